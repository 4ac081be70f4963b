"""Every member of a run as a Ray Train run: a TorchTrainer whose worker reads shards and leaves a detector."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import pyarrow as pa
import ray
import ray.train
import ray.train.torch
import torch

from raysuite import settings
from raysuite.datasets.decoding import decode_image
from raysuite.datasets.shards import Manifest, read_samples
from raysuite.detection.calibration import calibrate
from raysuite.detection.preprocessing import choose_size, to_input
from raysuite.detection.split import split_good
from raysuite.errors import ClusterError, RaysuiteError, TrainingError
from raysuite.pipelines.lengths import jobs_of
from raysuite.pipelines.progress import Board, Event, Listener, Recorder
from raysuite.pipelines.session import cluster_nodes
from raysuite.planning import Need, Planner
from raysuite.runs import Member, Run
from raysuite.standing import Standing, standing_of
from raysuite.training.distributed import rank, workers
from raysuite.training.loop import train
from raysuite.training.progress import Progress

POLL_SECONDS = 1.0
# How long a cluster that has lost too many nodes is given to get some back.
PATIENCE_SECONDS = 600.0


def train_all(
    run: Run,
    members: Sequence[Member],
    on_event: Listener = lambda _: None,
    workers: int = 1,
    gpu_share: float = 1.0,
) -> list[Member]:
    """Train every member that is not trained yet; returns those that failed, their reasons in their status.

    Args:
        run: The run, its shards complete.
        members: Categories, seeds and objectives.
        on_event: Told of the plan and of every training's progress.
        workers: Workers of each training, which share its batches.
        gpu_share: Share of a GPU for each worker, where the cluster has GPUs.

    Raises:
        ClusterError: The cluster cannot hold even one training; or it lost nodes, until it could no longer, and got
            none back in `PATIENCE_SECONDS`.
    """
    todo = [member for member in members if not member.is_trained]
    if not todo:
        return []
    manifest = Manifest.read(run.shards)
    images = {name: counts["train"] for name, counts in manifest.categories.items()} if manifest else {}
    planner = Planner(jobs_of(run, todo, images), cluster_nodes(), workers, gpu_share)
    on_event(Event("train", "", 0, len(todo), planner.plan().sentence()))
    for member in todo:
        # A member that is never reached must not be missing from the results.
        member.set_status("pending")
    board = Board.remote()  # type: ignore[attr-defined]
    failed: list[Member] = []
    running: dict[Future[str | None], Member] = {}
    by_key = {member.key: member for member in todo}
    patient_until: float | None = None
    while planner.waiting or running:
        # Asked at every turn: nodes may have joined or left.
        for placed in planner.start(cluster_nodes()):
            member = by_key[placed.job.key]
            running[_start(run, member, placed.need, board)] = member
        patient_until = _wait_for_nodes(planner, patient_until, on_event) if not running else None
        finished, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        words = ray.get(board.all.remote())
        for member in running.values():
            if word := words.get(member.key):
                on_event(_event(run, member, word))
        for future in finished:
            member = running.pop(future)
            planner.end(member.key)
            steps, reason = run.config.training.steps, future.result()
            if reason is None:
                seconds = words.get(member.key, {}).get("seconds", 0.0)
                text, where = f"trained in {seconds:.0f} s", standing_of(member, steps, None)
                on_event(Event("train", member.title, steps, steps, text, "done", where))
            else:
                member.set_status("failed", reason)
                failed.append(member)
                where = standing_of(member, steps, None)
                on_event(Event("train", member.title, 0, steps, reason, "failed", where))
    (run.root / ".ray").delete_dir()
    return failed


def _wait_for_nodes(planner: Planner, until: float | None, on_event: Listener) -> float:
    """Nothing can go on until nodes join: say so; returns the moment (seconds, monotonic) when patience ends."""
    now = time.monotonic()
    if until is None:
        on_event(Event("train", "", 0, 0, f"waits up to {PATIENCE_SECONDS:.0f} s for nodes: {planner.lack}"))
        return now + PATIENCE_SECONDS
    if now > until:
        raise ClusterError(
            f"{planner.lack}, and no node joined in {PATIENCE_SECONDS:.0f} s; {len(planner.waiting)} trainings are not "
            "done: give the same command when the cluster has nodes again"
        )
    time.sleep(POLL_SECONDS)
    return until


def _event(run: Run, member: Member, word: Mapping[str, Any]) -> Event:
    text = f"loss {word['loss']:.5f}, {word['images_per_second']:.1f} images/s"
    where = Standing.told(member.names, "training", word)
    return Event("train", member.title, word["step"], run.config.training.steps, text, standing=where)


def _start(run: Run, member: Member, need: Need, board: Any) -> Future[str | None]:
    """Begin one training in a thread of its own.

    The thread is a daemon: Ctrl-C ends the command at once, and with it Ray and all that the thread waits for, where a
    pool of threads would wait for the training to finish.
    """
    future: Future[str | None] = Future()

    def work() -> None:
        try:
            future.set_result(_fit(run, member, need, board))
        except BaseException as error:
            # Raised again where the result is asked for.
            future.set_exception(error)

    threading.Thread(target=work, name=f"train {member.title}", daemon=True).start()
    return future


def _fit(run: Run, member: Member, need: Need, board: Any) -> str | None:
    """One training from start to end, in a thread of the driver; the reason if it failed."""
    digest = hashlib.sha256(f"{run.root.uri}|{member.key}".encode()).hexdigest()[:12]
    notes = run.root / ".ray"
    trainer = ray.train.torch.TorchTrainer(
        _worker,  # type: ignore[arg-type]
        train_loop_config={
            "run": run.root.uri,
            "category": member.category,
            "seed": member.seed,
            "objective": member.objective,
            "threads": need.cpus,
            "board": board,
        },
        scaling_config=ray.train.ScalingConfig(
            num_workers=need.workers,
            use_gpu=need.gpus > 0,
            resources_per_worker={"CPU": need.cpus, **({"GPU": need.gpus} if need.gpus else {})},
        ),
        # Ray Train's own notes, removed at the end: what is done is known from the run folder.
        run_config=ray.train.RunConfig(
            name=f"{member.folder.name}-{digest}", storage_path=notes.path, storage_filesystem=notes.fs
        ),
    )
    try:
        result: Any = trainer.fit()
    except ray.train.TrainingFailedError as error:
        causes = list(getattr(error, "worker_failures", {}).values())
        cause = causes[0] if causes else error
        return f"{type(cause).__name__}: {str(cause).strip().splitlines()[-1]}"
    except ray.exceptions.RayError as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    reason: str | None = result.return_value
    return reason


def _worker(job: dict[str, Any]) -> str | None:
    """In a Ray Train worker: train, calibrate and save one member; the reason if the data or settings forbid it."""
    run = Run.open(job["run"])
    member = run.member(job["category"], job["seed"], job["objective"])
    torch.set_num_threads(job["threads"])
    try:
        train_member(run, member, ray.train.torch.get_device(), job["board"])
    except RaysuiteError as error:
        if workers() > 1:
            # Ends the others too, which might wait for this one.
            raise
        return str(error)
    return None


def train_member(run: Run, member: Member, device: torch.device, board: Any = None) -> None:
    """Train one member on this machine, and leave its detector and history in the run folder.

    A training that was stopped goes on from its last checkpoint. Of several workers the first does all but the training
    itself.

    Args:
        run: The run, its shards complete.
        member: Its category, seed and objective.
        device: Where to train.
        board: The actor to tell of the progress, if any.

    Raises:
        RaysuiteError: There are too few readable images, or the training failed.
    """
    config = run.config_of(member)
    if rank() == 0:
        member.set_status("training")
    images_NCHW = load_training_images(run, member.category)
    split = split_good(len(images_NCHW), config.data, member.seed)
    record = Recorder(member, config.training)

    def tell(progress: Progress) -> None:
        if rank() == 0:
            word = record(progress)
            if board is not None:
                board.put.remote(member.key, word)

    checkpoint = member.folder / "checkpoint"
    trained = train(
        config, images_NCHW[split.train], seed=member.seed, device=device, on_progress=tell, checkpoint=checkpoint
    )
    if rank() > 0:
        return
    detector = calibrate(
        trained.net,
        category=member.category,
        detection=config.detection,
        train_NCHW=images_NCHW[split.train],
        validation_NCHW=images_NCHW[split.validation],
        held_out_NCHW=images_NCHW[split.held_out],
        device=device,
        seed=member.seed,
        symmetries=trained.augmentation.flips,
        provenance={
            "seed": member.seed,
            "objective": member.objective,
            "preset": config.preset,
            "steps": config.training.steps,
            "trained_images": len(split.train),
            "validation_images": len(split.validation),
            "held_out_images": len(split.held_out),
            "served_twice": split.shared,
            "augmentation": trained.augmentation.as_mapping(),
            "precision": trained.precision,
            "compiled": trained.compilation.used,
            "compile_reason": trained.compilation.reason,
            "workers": trained.workers,
            "device": device.type,
            "parameters": trained.net.parameter_count(),
            "seconds": trained.seconds,
            "settings": settings.to_mapping(config),
        },
    )
    (member.folder / "history.parquet").write_table(pa.Table.from_pylist([line.as_row() for line in trained.history]))
    detector.save(member.detector)
    checkpoint.delete_dir()
    member.set_status("trained")


def load_training_images(run: Run, category: str) -> torch.Tensor:
    """A category's readable good training images, resized to one size: (N, 3, H, W) uint8.

    Raises:
        TrainingError: Fewer than two can be read.
    """
    samples = [s for s in read_samples(run.shards, category, "train") if s["error"] is None and s["label"] in {0, None}]
    if len(samples) < 2:
        raise TrainingError(f"category {category} has {len(samples)} readable good training images; it needs 2 or more")
    # Order must not depend on how the shards were written, or a seed would not be enough to repeat a training.
    samples.sort(key=lambda sample: sample["id"])
    stride = run.config.model.stride
    size = choose_size([(s["height"], s["width"]) for s in samples], run.config.data.image_size, stride)
    return torch.stack([to_input(decode_image(sample["image"]), size) for sample in samples])
