"""The fleet: every member of a run trained on whatever the cluster has, nothing idle, nothing lost.

The driver asks the planner, again and again, which trainings start where, and gives them to lanes of workers. A lane
that is done with one gets the next. A training whose workers died goes on in another lane from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any

import ray

from raysuite.datasets.shards import Manifest
from raysuite.errors import ClusterError
from raysuite.forecast import Outlook, in_words
from raysuite.memory import first_line
from raysuite.pipelines.board import LaneWord, open_board
from raysuite.pipelines.exported import Exported
from raysuite.pipelines.growth import Room, planner_for
from raysuite.pipelines.lanes import End, Lane, open_lane
from raysuite.pipelines.lengths import jobs_of
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.session import cluster_nodes
from raysuite.pipelines.trials import deserves_a_trial, try_on_cluster
from raysuite.planning import Job, Placed, Planner
from raysuite.runs import Member, Run
from raysuite.standing import Standing, standing_of

POLL_SECONDS = 0.5
COUNT_SECONDS = 5.0
LEAVE_SECONDS = 60.0
# How long after its workers a node may be found to be gone.
NODE_LOSS_SECONDS = 30.0
# How often the workers of a training may fail to start, but for want of room.
MOST_FALSE_STARTS = 3


def train_all(
    run: Run,
    members: Sequence[Member],
    on_event: Listener = lambda _: None,
    workers: int = 1,
    gpu_share: float = 1.0,
    retries: int = 1,
    wait_minutes: float = 10.0,
) -> list[Member]:
    """Train every member that is not trained yet; returns those that failed, their reasons in their status.

    Args:
        run: The run, its shards complete.
        members: Categories, seeds and objectives.
        on_event: Told of the plan and of every training's progress.
        workers: Workers of each training, which share its batches.
        gpu_share: Share of a GPU for each worker, where the cluster has GPUs.
        retries: How often a training that failed is tried again, from its last checkpoint. Nodes that are lost do not
            count.
        wait_minutes: How long a cluster that can hold no training is given to get nodes.

    Raises:
        ClusterError: The cluster can never hold a training; or it does not grow so far, or has lost too many nodes, and
            got none in ``wait_minutes``.
    """
    todo = [member for member in members if not member.is_trained]
    if not todo:
        return []
    manifest = Manifest.read(run.shards)
    images = {name: counts["train"] for name, counts in manifest.categories.items()} if manifest else {}

    def tell(words: str) -> None:
        on_event(Event("train", "", 0, len(todo), words))

    planner = planner_for(jobs_of(run, todo, images), workers, gpu_share, tell)
    plan = planner.plan()
    tell((try_on_cluster(plan, run, todo) if deserves_a_trial(plan) else Outlook(plan)).sentence())
    for member in todo:
        # A member that is never reached must not be missing from the results.
        member.set_status("pending")
    # Notes of a driver that was killed.
    (run.root / ".ray").delete_dir()
    failed = Fleet(run, todo, planner, on_event, retries, wait_minutes * 60).work()
    (run.root / ".ray").delete_dir()
    return failed


@dataclass(frozen=True, slots=True)
class Suspect:
    """A try that was counted, and will not have been one if one of these nodes turns out to be gone by then."""

    key: str
    nodes: tuple[str, ...]
    until: float


class Fleet:
    """The trainings under way."""

    def __init__(
        self,
        run: Run,
        members: Iterable[Member],
        planner: Planner,
        on_event: Listener,
        retries: int,
        patience_seconds: float,
    ) -> None:
        self._run, self._planner, self._on_event, self._retries = run, planner, on_event, retries
        self._patience_seconds = patience_seconds
        self._exported = Exported(run.config.training.batch_size)
        self._counted_at = 0.0
        self._members = {member.key: member for member in members}
        self._board = open_board()
        self._lanes: list[Lane] = []
        self._leaving: list[Lane] = []
        self._fallen: list[tuple[Lane, End, float]] = []
        self._suspects: list[Suspect] = []
        self._tries, self._false_starts = Counter[str](), Counter[str]()
        self._failed: list[Member] = []
        self._patient_until: float | None = None
        self._notes = 0

    def work(self) -> list[Member]:
        """Do all; returns the members that failed."""
        try:
            with Room() as room, self._exported:
                return self._work(room)
        except ray.exceptions.RayError as error:
            raise ClusterError(
                f"the connection to the cluster's processes is lost ({first_line(error)}); the same command goes on"
            ) from error
        finally:
            # After an error too: who keeps the connection wants the room back.
            for lane in list(self._lanes):
                with contextlib.suppress(ray.exceptions.RayError):
                    self._dismiss(lane)

    def _work(self, room: Room) -> list[Member]:
        while self._planner.waiting or self._planner.placed:
            # Asked at every turn: nodes may have joined or left.
            nodes = cluster_nodes()
            self._start(self._planner.start(nodes), frozenset(node.name for node in nodes))
            if self._planner.growth is not None:
                room.ask(*self._planner.wants(), beside=len(self._planner.placed))
            self._count()
            for lane in [lane for lane in self._lanes if lane.member is None]:
                # Others may need what it holds, and it what others hold.
                self._dismiss(lane)
            if not self._planner.placed:
                self._wait_for_nodes(room)
                continue
            self._patient_until = None
            time.sleep(POLL_SECONDS)
            self._listen()
        # The last state is exported too.
        self._counted_at = -math.inf
        self._count()
        for lane in list(self._lanes):
            self._dismiss(lane)
        # What comes next wants their room; and a Ray Train run that outlives the connection can end the process.
        wait([lane.ended for lane in self._leaving], timeout=LEAVE_SECONDS)
        return self._failed

    def _dismiss(self, lane: Lane) -> None:
        lane.dismiss(self._board)
        self._lanes.remove(lane)
        self._leaving.append(lane)

    def _start(self, started: Iterable[Placed], nodes: frozenset[str]) -> None:
        for placed in started:
            idle = (lane for lane in self._lanes if lane.member is None and lane.need == placed.need)
            lane = next(idle, None)
            if lane is None:
                lane = open_lane(self._run, placed.need, self._board)
                lane.began_with = nodes
                self._lanes.append(lane)
            lane.hand(self._board, self._members[placed.job.key])
            if lane.nodes:
                self._planner.move(placed.job.key, lane.nodes)

    def _listen(self) -> None:
        """What has become of the trainings."""
        told: dict[str, LaneWord] = ray.get(self._board.lanes.remote())
        words: dict[str, dict[str, Any]] = ray.get(self._board.words.remote())
        notes: list[tuple[str, str]] = ray.get(self._board.notes.remote(self._notes))
        self._notes += len(notes)
        for key, note in notes:
            self._on_event(Event("train", f"{self._members[key].title} memory", 0, 0, note))
        for lane in list(self._lanes):
            word = told.get(lane.name, LaneWord())
            if len(word.nodes) == lane.need.workers and not lane.nodes:
                lane.nodes = tuple(word.nodes.values())
                if lane.member is not None:
                    self._planner.move(lane.member.key, lane.nodes)
                    self._false_starts.pop(lane.member.key, None)
            if lane.member is not None and len(word.outcomes) == lane.handed:
                member, lane.member = lane.member, None
                self._end(member, word.outcomes[-1], words)
            if lane.ended.done():
                self._lanes.remove(lane)
                if lane.member is not None:
                    self._fallen.append((lane, lane.ended.result(), time.monotonic() + NODE_LOSS_SECONDS))
            elif lane.member is not None and (said := words.get(lane.member.key)):
                self._exported.training(lane.member.names, said)
                self._on_event(self._progress(lane.member, said))
        self._pick_up()

    def _pick_up(self) -> None:
        """Decide about trainings whose workers are no more."""
        alive = {node.name for node in cluster_nodes()}
        for suspect in list(self._suspects):
            # Workers are missed before their node is: it was no failure of the training after all.
            gone = bool(set(suspect.nodes) - alive)
            if gone:
                self._tries[suspect.key] -= 1
            if gone or time.monotonic() > suspect.until:
                self._suspects.remove(suspect)
        for fallen in list(self._fallen):
            lane, end, until = fallen
            if lane.member is None:
                continue
            if lane.member.is_trained:
                # Its workers were lost when all was done but to say so.
                self._fallen.remove(fallen)
                self._end(lane.member, None, {})
                continue
            key, lost = lane.member.key, bool((set(lane.nodes) or lane.began_with) - alive)
            # A last try is not given up before it is known whether a node was lost with the workers.
            unsure = bool(lane.nodes) and not end.told and self._tries[key] >= self._retries
            if unsure and not lost and time.monotonic() < until:
                continue
            self._fallen.remove(fallen)
            if lost:
                self._again(self._planner.end(key), "its node is lost")
            elif lane.nodes:
                if not end.told:
                    self._suspects.append(Suspect(key, lane.nodes, until))
                self._end(lane.member, end.reason, {})
            elif end.for_want_of_room:
                self._again(self._planner.end(key), "the cluster has no room for it yet")
            else:
                self._false_starts[key] += 1
                if self._false_starts[key] > MOST_FALSE_STARTS:
                    self._end(lane.member, end.reason, {}, final=True)
                else:
                    self._again(self._planner.end(key), f"its workers did not start: {end.reason}")

    def _end(
        self, member: Member, reason: str | None, words: Mapping[str, Mapping[str, Any]], *, final: bool = False
    ) -> None:
        """A training has ended, well or not."""
        job, steps = self._planner.end(member.key), self._run.config.training.steps
        if reason is None:
            said = words.get(member.key, {})
            if said:
                # It may have been quicker than the last look at it.
                self._exported.training(member.names, said)
            self._exported.ended(member.names, failed=False, again=False)
            self._on_event(
                Event(
                    "train", member.title, steps, steps, f"trained in {said.get('seconds', 0.0):.0f} s", "done",
                    standing_of(member, steps, None),
                )
            )  # fmt: skip
            return
        self._tries[member.key] += 1
        again = self._tries[member.key] <= self._retries and not final
        self._exported.ended(member.names, failed=True, again=again)
        if again:
            self._again(job, f"{reason}; retry {self._tries[member.key]} of {self._retries}")
            return
        member.set_status("failed", reason)
        self._failed.append(member)
        where = standing_of(member, steps, None)
        self._on_event(Event("train", member.title, 0, steps, reason, "failed", where))

    def _again(self, job: Job, why: str) -> None:
        member = self._members[job.key]
        # The last word of the lost try is no longer true.
        ray.get(self._board.clear.remote(job.key))
        member.set_status("pending", why)
        self._planner.again(job)
        # A subject of its own, so that it is said whatever was said of the training a moment ago.
        self._on_event(Event("train", f"{member.title} again", 0, 0, why))

    def _progress(self, member: Member, word: Mapping[str, Any]) -> Event:
        text = f"loss {word['loss']:.5f}, {word['images_per_second']:.1f} images/s"
        where = Standing.told(member.names, "training", word)
        return Event("train", member.title, word["step"], self._run.config.training.steps, text, standing=where)

    def _count(self) -> None:
        """Export now and then how many trainings are in which state."""
        if time.monotonic() - self._counted_at > COUNT_SECONDS:
            self._counted_at = time.monotonic()
            counts = Counter({"training": len(self._planner.placed), "pending": len(self._planner.waiting)})
            counts["failed"] = len(self._failed)
            counts["trained"] = len(self._members) - counts.total()
            self._exported.states(counts)

    def _wait_for_nodes(self, room: Room) -> None:
        """Nothing can go on until nodes join: say so, and wait."""
        now, time_given = time.monotonic(), in_words(self._patience_seconds)
        if self._patient_until is None:
            asked = ", the cluster's autoscaler is asked for room" if self._planner.growth is not None else ""
            # A subject of its own, so that it is said whatever was said a moment ago.
            self._on_event(Event("train", "waits for nodes", 0, 0, f"up to {time_given}{asked}: {self._planner.lack}"))
            self._patient_until = now + self._patience_seconds
        if room.refused:
            raise ClusterError(f"the cluster's autoscaler says that it can never hold a training: {self._planner.lack}")
        if now > self._patient_until:
            raise ClusterError(
                f"{self._planner.lack}, and no node joined in {time_given}; "
                f"{len(self._planner.waiting)} trainings are not done: give the same command when the cluster has "
                "nodes again"
            )
        time.sleep(POLL_SECONDS)
