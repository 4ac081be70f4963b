"""One trial of a search, as a plain function for Ray Tune: some settings, trained to one rung after the other.

What a trial leaves is in the search's folder and nowhere else: its rows, written at every rung, and the checkpoints of
its trainings. So a search that is killed, with all its processes, goes on from there; Ray Tune's own notes are not
needed for it.
"""

from __future__ import annotations

import faulthandler
import gc
import math
import os
import socket
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.tune
import torch

from raysuite import settings
from raysuite.config import Config
from raysuite.errors import ConfigError, RaysuiteError, TrainingError
from raysuite.memory import first_line
from raysuite.models.autoencoder import Autoencoder
from raysuite.pipelines.images import GoodImages, good_images
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.judging import as_detector, figures_on_test
from raysuite.runs import Run
from raysuite.training.loop import Trained, train
from raysuite.training.progress import Progress
from raysuite.training.sources import Resident
from raysuite.tuning.families import rotated
from raysuite.tuning.objective import Exam, common_stride, images_for
from raysuite.tuning.space import Space
from raysuite.tuning.steering import steering_score
from raysuite.tuning.trials import Rung, State, TrialRecord, read_trial, write_trial

PASSES = 10
"""Forward passes of which the fastest is a net's latency: what else the machine does only makes them slower."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What all trials of one search have in common.

    Attributes:
        run: URI of the search's folder, its shards complete.
        base: What the search starts from.
        space: What is searched, validated.
        categories: What each trial is trained on, one net a category.
        rungs: Steps after which trials are scored, rising; the last are all steps.
        seed: Of the images' split, the exam and all trainings: trials differ by their settings alone.
        oracle: Score trials on the test images, with their labels.
        threads: CPU threads of a trial.
        timeout: Seconds that a trial may take from one rung to the next; ``None`` for no limit.
    """

    run: str
    base: Config
    space: Space
    categories: tuple[str, ...]
    rungs: tuple[int, ...]
    seed: int
    oracle: bool
    threads: int
    timeout: float | None = None

    @property
    def objective(self) -> str:
        """What scores are by: ``good`` images alone, or the labels of the test images, as an ``oracle``."""
        return "oracle" if self.oracle else "good"

    def fresh(self, number: int, values: Mapping[str, Any]) -> list[TrialRecord]:
        """The rows of a trial that begins now."""
        try:
            config = settings.to_mapping(self.space.config(self.base, values))
        except ConfigError:
            config = None
        return [
            TrialRecord(
                number=number, category=category, seed=self.seed, values=self.space.active(values), config=config,
                started=time.time(), node=socket.gethostname(), objective=self.objective,
            )
            for category in self.categories
        ]  # fmt: skip


def run_trial(config: Mapping[str, Any], brief: Brief) -> None:
    """Train, score and report a trial, from where it was stopped if it was; Ray Tune calls this in a worker.

    Nothing that goes wrong with a trial is raised: it becomes the state and the reason of its rows, and the search goes
    on. A trial that takes too long from one rung to the next takes its process along, whatever that hangs in.

    Args:
        config: ``trial`` has the ``number`` and the ``values`` of the trial.
        brief: Of the search.
    """
    gc.collect()  # The process may have done another trial before.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    torch.set_num_threads(brief.threads)
    _Trial(brief, config["trial"]["number"], config["trial"]["values"]).go()


class _Paused(Exception):  # noqa: N818 -- no error
    """Another category's turn."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A category's images and exam."""

    images: GoodImages
    exam: Exam


@lru_cache(maxsize=64)
def _kept(run: str, category: str, base: Config, seed: int, stride: int, first: int) -> Kept:
    """The same for all trials of a search, which is why a worker that does several of them keeps it."""
    images = good_images(Run.open(run), category, base, seed, stride)
    families = rotated(seed)
    count = images_for(first, base.training.batch_size, len(families.steering))
    # No trial has a threshold, so what is held out for it is free; what is made of the search has another split.
    unseen_NCHW = torch.cat([images.validation_NCHW, images.held_out_NCHW])
    return Kept(images, Exam.draw(images.train_NCHW, unseen_NCHW, families, seed, count))


def images_and_exam(brief: Brief, category: str) -> Kept:
    """What all trials of a search are trained on and asked about."""
    stride = common_stride(brief.space, brief.base)
    return _kept(brief.run, category, brief.base, brief.seed, stride, brief.rungs[0])


class _Trial:
    def __init__(self, brief: Brief, number: int, values: Mapping[str, Any]) -> None:
        self.brief, self.number, self.values = brief, number, values
        self.folder = SearchFolder(Run.open(brief.run))
        self.device = torch.device("cuda" if torch.cuda.is_available() and ray.get_gpu_ids() else "cpu")
        self.rows: dict[str, TrialRecord] = {}
        self.spent: dict[str, float] = {}
        self.at: str | None = None
        """What is trained now."""
        self.since = time.perf_counter()

    def go(self) -> None:
        rows = [
            read_trial(self.folder.rows, self.number, fresh.category) or fresh
            for fresh in self.brief.fresh(self.number, self.values)
        ]
        if any(row.state == "failed" for row in rows):
            return  # It hung, and the worker that hung in it is no more.
        for row in rows:
            self.spent[row.category] = row.seconds
            again = replace(row, state="running", reason=None, ended=None, node=socket.gethostname())
            self._write(row.category, row if row.state == "done" else again)
        try:
            self._watch()
            self._climb(self.brief.space.config(self.brief.base, self.values))
        except ConfigError as error:
            self._end("invalid", str(error))
        except RaysuiteError as error:
            self._end("failed", str(error))
        except Exception as error:  # Whatever it is: others go on, and the row says what it was.
            self._end("failed", f"{type(error).__name__}: {first_line(error)}")
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _climb(self, config: Config) -> None:
        categories = self.brief.categories
        left = [rung for rung in self.brief.rungs if not all(self._has(category, rung) for category in categories)]
        if len(categories) == 1:
            # One training that pauses: nothing is set up anew.
            self._train(config, categories[0], left, self._report)
            return

        def pause(_step: int) -> None:
            raise _Paused

        for rung in left:
            for category in [category for category in categories if not self._has(category, rung)]:
                with suppress(_Paused):
                    self._train(config, category, [rung], pause)
            self._report(rung)

    def _train(self, config: Config, category: str, rungs: list[int], then: Callable[[int], None]) -> None:
        self.at, self.since = category, time.perf_counter()
        kept = images_and_exam(self.brief, category)
        # A stream can be opened again; images in memory are let go by who trained on them.
        source = kept.images.source if kept.images.streamed else Resident(kept.images.train_NCHW)

        def judge(step: int, trained: Trained) -> None:
            self._judge(config, category, step, trained)
            then(step)
            self.since = time.perf_counter()

        work = self.folder.work(self.number, category)
        with closing(source):
            train(
                config, source, seed=self.brief.seed, device=self.device, checkpoint=work / "checkpoint",
                pauses=rungs, on_pause=judge,
            )  # fmt: skip

    def _judge(self, config: Config, category: str, step: int, trained: Trained) -> None:
        """Score the net, and write the row."""
        kept, is_last = images_and_exam(self.brief, category), step == self.brief.rungs[-1]
        flips = trained.augmentation.flips
        marks = kept.exam.sit(trained.net, config.detection, self.device, symmetries=flips, judge=is_last)
        score = marks.score
        if self.brief.oracle:
            detector = as_detector(trained.net, category, config, kept.images, self.device, self.brief.seed, flips)
            figures = figures_on_test(self.folder.run, detector)
            known = [value for name in ("image_auroc", "aupro") if (value := figures[name]) is not None]
            score = steering_score(known) if known else None
        work = self.folder.work(self.number, category)
        (work / "history.parquet").write_table(_table(trained))
        self.spent[category] += self._since()
        row = self.rows[category].with_rung(Rung(step, score, marks.residual, self.spent[category]))
        row = replace(
            row,
            judged=marks.judged,
            families=marks.families,
            parameters=trained.net.parameter_count(),
            latency_ms=row.latency_ms or latency_ms(trained.net, self.device, kept.exam.good_NCHW[:1]),
            checkpoint=(work / "checkpoint").uri,
        )
        if is_last and score is not None:
            row = replace(row, state="done", ended=time.time())
        self._write(category, row)
        if row.score is None:
            raise TrainingError(f"its score is not defined after {step} steps: no defect can be told from good images")

    def _report(self, step: int) -> None:
        """Tell Ray Tune, which does not return from this if the trial is to stop."""
        faulthandler.cancel_dump_traceback_later()
        rows = self.rows.values()
        ray.tune.report(
            {
                "steps": step,
                "score": steering_score([score for row in rows if (score := row.score) is not None]),
                "latency_ms": statistics.fmean(row.latency_ms or math.nan for row in rows),
                "parameters": statistics.fmean(row.parameters or math.nan for row in rows),
            }
        )
        self._watch()

    def _watch(self) -> None:
        """End this process if it takes longer than it may, from here on: by a thread that needs nothing of Python's."""
        if self.brief.timeout is not None:
            faulthandler.dump_traceback_later(self.brief.timeout, exit=True, file=_nowhere())

    def _has(self, category: str, rung: int) -> bool:
        return any(one.steps == rung for one in self.rows[category].curve)

    def _end(self, state: State, reason: str) -> None:
        for category, row in self.rows.items():
            if row.state != "running":
                continue
            ended = replace(row, state=state, reason=reason, ended=time.time())
            if category == self.at:
                ended = replace(ended, seconds_after_rung=row.seconds_after_rung + self._since())
            elif self.at is not None:
                ended = replace(ended, reason=f"on {self.at}: {reason}")
            self._write(category, ended)

    def _since(self) -> float:
        """Seconds since the clock was last read."""
        now = time.perf_counter()
        passed, self.since = now - self.since, now
        return passed

    def _write(self, category: str, row: TrialRecord) -> None:
        self.rows[category] = row
        write_trial(self.folder.rows, row)


def _table(trained: Trained) -> pa.Table:
    """Its history; the columns are there even if there is no line yet."""
    schema = pa.schema([(one.name, pa.int64() if one.name == "step" else pa.float64()) for one in fields(Progress)])
    return pa.Table.from_pylist([line.as_row() for line in trained.history], schema=schema)


@lru_cache(maxsize=1)
def _nowhere() -> Any:
    """A file that stays open, as the handler of faults only keeps its number."""
    return Path(os.devnull).open("w", encoding="utf-8")


@torch.inference_mode()
def latency_ms(net: Autoencoder, device: torch.device, image_1CHW: torch.Tensor) -> float:
    """Milliseconds of a forward pass of one image, the fastest of `PASSES` after a first one.

    Args:
        net: In evaluation mode, on the device.
        device: Where it computes.
        image_1CHW: uint8.
    """
    inputs_1CHW = (image_1CHW.to(device).float() / 255).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(1 + PASSES):
        start = time.perf_counter()
        net(inputs_1CHW)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds[1:])
