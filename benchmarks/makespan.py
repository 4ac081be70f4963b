"""What the fleet costs beside bare loops: eight equal trainings through Ray, and the same ones without it, in turn.

    python -m benchmarks.makespan --repeats 3

Both train, calibrate and save the same detectors from the same shards, one core each, as many side by side as there are
cores. The bare loops are processes that call one training after another, timed from when both are ready to begin. The
fleet is timed from the moment its first worker begins until the last detector stands, so that Ray's start and that of
the first worker are left out, as they would be in a long run; they are printed apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import torch

from raysuite.config import Config
from raysuite.datasets.procedural import write_benchmark
from raysuite.pipelines.benchmark import Request, train
from raysuite.pipelines.training import train_member
from raysuite.runs import Run
from raysuite.settings import preset, with_words

CATEGORIES = 8


def write_equal(root: Path, side: int) -> None:
    """Eight copies of one procedural category."""
    write_benchmark(root, seed=0, image_size=side, train=40, good=1, defect_per_kind=1, categories=("weave",))
    for number in range(1, CATEGORIES):
        shutil.copytree(root / "weave", root / f"weave-{number}")


def fleet(data: Path, run: Path, config: Config) -> tuple[float, float]:
    """Seconds until the first training begins, and from then on until the last one has ended."""
    start, begun, stop = time.time(), [0.0], threading.Event()

    def watch() -> None:
        while not begun[0] and not stop.wait(0.05):
            for file in run.glob("*/seed-0/status.json"):
                if json.loads(file.read_text())["state"] == "training":
                    begun[0] = time.time()

    watcher = threading.Thread(target=watch)
    watcher.start()
    opened, failed = train(Request(run=str(run), data=(str(data),), config=config), lambda _: None)
    stop.set()
    watcher.join()
    assert not failed, [member.status()["reason"] for member in failed]
    ended = max(member.status()["since"] for member in opened.members())
    return begun[0] - start, ended - begun[0]


def bare(run: Path, processes: int) -> float:
    """Seconds for the same trainings in bare processes, from when all are ready to begin."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    categories = sorted({member.category for member in Run.open(str(run)).members()})
    workers = [
        context.Process(target=_bare, args=(str(run), categories[number::processes], ready))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    assert all(worker.exitcode == 0 for worker in workers)
    return time.perf_counter() - start


def _bare(root: str, categories: list[str], ready: Barrier) -> None:
    torch.set_num_threads(1)
    run = Run.open(root)
    ready.wait()
    for category in categories:
        train_member(run, run.member(category, 0), torch.device("cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="pairs (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=150, help="steps of each training (default: %(default)s)")
    parser.add_argument("--side", type=int, default=128, help="pixels a side (default: %(default)s)")
    options = parser.parse_args()
    # Workers must not be held back where bare loops are not.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 -- Ray spells it so
    words = [f"training.steps={options.steps}", f"data.image_size={options.side}"]
    config, cores = with_words(preset("small"), words), os.cpu_count() or 1
    ratios = []
    print(f"{CATEGORIES} trainings of {options.steps} steps at {options.side} pixels, {cores} cores")
    for number in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_equal(root / "data", options.side)
            before, makespan = fleet(root / "data", root / "run", config)
            for done in (root / "run").glob("*/seed-0"):
                shutil.rmtree(done)
                done.mkdir()
            alone = bare(root / "run", min(cores, CATEGORIES))
        ratios.append(makespan / alone)
        print(
            f"{number + 1}: start-up {before:.0f} s, fleet {makespan:.1f} s, bare {alone:.1f} s, "
            f"ratio {ratios[-1]:.3f}", flush=True,
        )  # fmt: skip
    print(f"ratio: median {np.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}; the aim is below 1.15")


if __name__ == "__main__":
    main()
