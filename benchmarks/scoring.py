"""How much of the net's own rate does `raysuite score` keep, and what does a rerun of a finished archive cost?

    python -m benchmarks.scoring --images 2000

Draws an archive of photographs of the built-in benchmark, trains nothing (the net's weights do not change its speed),
and measures in one run, all on all CPUs that Ray has: the forward pass alone on ready tensors, by each engine that is
installed, with one process of many threads and with one process a CPU, whichever is faster; decoding alone; a loop of
`Detector.score`; and the command's own pass with Ray, from its first news to the last image's, so that the start of Ray
is told apart. Passes are repeated, and the fastest forward is measured again before and after each: the ratio is that
of a pass to the mean of the two; their median is told, with the least and the most. If anomalib is installed, its own
prediction with the same net is beside it, and that of two of its own nets. Rates are images a second.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.predicting import own, predicted, wrapped
from raysuite.config import Config
from raysuite.datasets.decoding import decode_image
from raysuite.datasets.procedural import write_benchmark
from raysuite.detection.calibration import calibrate
from raysuite.detection.detector import Detector
from raysuite.engines.runtimes import NAMES, is_there
from raysuite.engines.runtimes import build as build_engine
from raysuite.models.autoencoder import build
from raysuite.pipelines.scoring import Request, score
from raysuite.pipelines.session import cluster_resources, ray_session
from raysuite.settings import PRESETS

DETECTOR = "run/weave/seed-0/detector"


def rate(work: Callable[[], int], seconds: float) -> float:
    """Images a second of calls that tell how many they did, for some seconds after a first one."""
    work()
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        done += work()
    return done / passed


def make_detector(config: Config, side: int, folder: Path) -> Detector:
    """A detector of an untrained net, saved as a run's category."""
    rng = np.random.default_rng(0)
    good_NCHW = torch.from_numpy(rng.integers(90, 160, (24, 3, side, side), dtype=np.uint8))
    detector = calibrate(
        build(config.model, seed=0).eval(), category="weave", detection=config.detection, train_NCHW=good_NCHW[:4],
        validation_NCHW=good_NCHW[4:6], held_out_NCHW=good_NCHW[6:], device=torch.device("cpu"), seed=0, provenance={},
    )  # fmt: skip
    detector.save(folder / "weave" / "seed-0" / "detector")
    return Detector.load(folder / "weave" / "seed-0" / "detector")


def make_archive(folder: Path, images: int, side: int) -> list[bytes]:
    """Photographs below ``folder / archive``, a few drawn ones copied many times; the bytes of the drawn ones."""
    write_benchmark(
        folder / "drawn", seed=1, image_size=side, train=32, good=0, defect_per_kind=0, categories=("weave",)
    )
    drawn = [path.read_bytes() for path in sorted((folder / "drawn").rglob("*.png"))]
    for k in range(images):
        path = folder / "archive" / f"{k // 1000:04d}" / f"{k:07d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn[k % len(drawn)])
    return drawn


def forward(folder: str, engine: str, threads: int, batch: int) -> Callable[[], int]:
    """The net and its score, with ready tensors."""
    torch.set_num_threads(threads)
    detector = Detector.load(Path(folder) / DETECTOR)
    rng = np.random.default_rng(0)
    inputs_NCHW = torch.from_numpy(rng.integers(0, 255, (batch, 3, *detector.size), dtype=np.uint8))
    error = build_engine(engine, detector, batch)

    def work() -> int:
        detector.scores(error(inputs_NCHW))
        return batch

    return work


def decode(folder: str) -> Callable[[], int]:
    drawn = [path.read_bytes() for path in sorted((Path(folder) / "drawn").rglob("*.png"))]

    def work() -> int:
        for data in drawn:
            decode_image(data)
        return len(drawn)

    return work


def loop(folder: str) -> Callable[[], int]:
    torch.set_num_threads(1)
    drawn = [path.read_bytes() for path in sorted((Path(folder) / "drawn").rglob("*.png"))][:8]
    detector = Detector.load(Path(folder) / DETECTOR)

    def work() -> int:
        detector.score([decode_image(data) for data in drawn])
        return len(drawn)

    return work


def measured(jobs: list[tuple[Any, ...]], seconds: float) -> list[float]:
    """In a process of a pool: of each function and its words what the function that it makes reaches."""
    return [rate(make(*words), seconds) for make, *words in jobs]


def on_all(processes: int, jobs: list[tuple[Any, ...]], seconds: float) -> list[float]:
    """The rates of as many processes at once, added up; all do the same at about the same time."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        rates = [pool.submit(measured, jobs, seconds) for _ in range(processes)]
        return [sum(some) for some in zip(*(one.result() for one in rates), strict=True)]


@dataclass(frozen=True)
class Forward:
    """A way of running the net alone, and its rate."""

    rate: float
    engine: str
    processes: int
    threads: int
    batch: int

    def again(self, folder: str, seconds: float) -> float:
        """Measure its rate anew."""
        return on_all(self.processes, [(forward, folder, self.engine, self.threads, self.batch)], seconds)[0]

    def __str__(self) -> str:
        return f"{self.processes} × {self.threads} threads, batch {self.batch}"


def fastest_forwards(folder: str, cpus: int, seconds: float) -> dict[str, Forward]:
    """Of each engine the best way."""
    found: dict[str, Forward] = {}
    # Compiling takes a minute a size, and was never the fastest.
    ways = [(name, batch) for name in NAMES if is_there(name) and name != "compiled" for batch in (4, 16)]
    for processes, threads in {(1, cpus), (cpus, 1)}:
        jobs = [(forward, folder, name, threads, batch) for name, batch in ways]
        for (name, batch), reached in zip(ways, on_all(processes, jobs, seconds), strict=True):
            if name not in found or reached > found[name].rate:
                found[name] = Forward(reached, name, processes, threads, batch)
    return found


def timed_score(request: Request, images: int) -> tuple[float, dict[str, Any]]:
    """The rate from the first news of a pass to the news of its last image, and the summary; after that is counting."""
    news: list[tuple[float, float]] = []
    summary = score(request, lambda event: news.append((time.perf_counter(), event.done)))
    (begun, done), (last, at_last) = news[0], next((one for one in news if one[1] == images), news[-1])
    return (at_last - done) / max(last - begun, 1e-9), summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3, help="Passes over the archive, each into a new folder.")
    parser.add_argument("--preset", default="small", choices=list(PRESETS))
    parser.add_argument("--unit-size", type=int, default=64)
    parser.add_argument("--anomalib-images", type=int, default=200, help="Of its prediction, if it is installed.")
    parser.add_argument("--seconds", type=float, default=4.0, help="Of each rate but the command's.")
    parser.add_argument("--engine", help="Of raysuite score.  [default: the fastest of the forward passes]")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        detector = make_detector(PRESETS[words.preset], words.side, folder / "run")
        make_archive(folder, words.images, words.side)
        with ray_session(None):
            cpus = int(cluster_resources()["CPU"])
            forwards = fastest_forwards(home, cpus, words.seconds)
            fastest = max(forwards.values(), key=lambda one: one.rate)
            rates = {f"forward, {name}": one.rate for name, one in forwards.items()}
            others = on_all(cpus, [(decode, home), (loop, home)], words.seconds)
            rates["decode"], rates["loop of Detector.score"] = others
            passes, alone = list[float](), [fastest.again(home, 3 * words.seconds)]
            for k in range(words.repeats):
                request = Request(
                    (str(folder / "archive"),), (str(folder / "run" / "weave"),), str(folder / f"out-{k}"),
                    engine=words.engine or fastest.engine, unit_size=words.unit_size,
                )  # fmt: skip
                start = time.perf_counter()
                reached, summary = timed_score(request, words.images)
                whole = time.perf_counter() - start
                assert summary["images"] == words.images
                passes.append(reached)
                alone.append(fastest.again(home, 3 * words.seconds))
        rates[f"forward, {fastest.engine}"] = statistics.median(alone)
        rates["raysuite score"] = statistics.median(passes)
        kept = [2 * one / (alone[k] + alone[k + 1]) for k, one in enumerate(passes)]
        if importlib.util.find_spec("anomalib") is not None:
            few = folder / "few"
            few.mkdir()
            for path in sorted((folder / "archive").rglob("*.png"))[: words.anomalib_images]:
                (few / path.name).write_bytes(path.read_bytes())
            torch.set_num_threads(cpus)
            rates["anomalib, from a path"] = predicted(few, wrapped(detector), None)
            rates["anomalib, batches of 8"] = predicted(few, wrapped(detector), 8)
            for name in ("Draem", "Ganomaly"):
                rates[f"anomalib's {name}"] = predicted(few, own(name, few), None)
        start = time.perf_counter()
        again = score(request)
        rerun = time.perf_counter() - start
    assert again["this_time"]["scored"] == 0
    engines = summary["models"]["weave"]["engines"]
    for name, value in rates.items():
        way = forwards.get(name.removeprefix("forward, "))
        print(f"{name:<24} {value:8.1f} images/s  {way or ''}")
    print(f"raysuite score: engine and batch size {engines}")
    bases = [name for name in rates if not name.startswith(("forward", "raysuite", "decode"))]
    ratios = {name: rates["raysuite score"] / rates[name] for name in bases}
    spread = f"{min(kept):.2f} to {max(kept):.2f} in {words.repeats} passes"
    print(f"raysuite score / forward, {fastest.engine}: {statistics.median(kept):.2f} ({spread})")
    for name, value in ratios.items():
        print(f"raysuite score / {name}: {value:.2f}")
    print(f"all of it, Ray's workers and counting included: {whole:.1f} s; again, with nothing to do: {rerun:.2f} s")
    told = {"cpus": cpus, "engines": engines, "rates": rates, "passes": passes, "forward": alone, "kept": kept}
    print(json.dumps(told | {"ratios": ratios, "rerun_s": rerun}))


if __name__ == "__main__":
    main()
