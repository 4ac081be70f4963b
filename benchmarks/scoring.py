"""How much of the net's own rate does `raysuite score` keep, and what does a rerun of a finished archive cost?

    python -m benchmarks.scoring --images 2000

Draws an archive of photographs of the built-in benchmark, trains nothing (the net's weights do not change its speed),
and measures in one run: the forward pass alone on ready tensors, decoding alone, a bare loop of `Detector.score`, and
the command's own pass with Ray, from the first part's end to the last, so that the start of Ray is told apart. Rates
are images a second: the command's on all CPUs that Ray has, the others' on one thread, so the ratios are to the
others' rate times the CPUs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from raysuite.config import Config
from raysuite.datasets.decoding import decode_image
from raysuite.datasets.procedural import write_benchmark
from raysuite.detection.calibration import calibrate
from raysuite.detection.detector import Detector
from raysuite.models.autoencoder import build
from raysuite.pipelines.scoring import Request, score
from raysuite.pipelines.session import cluster_resources, ray_session
from raysuite.scoring.scorer import fastest_batch
from raysuite.settings import PRESETS

SECONDS = 5.0


def rate(work: Callable[[], int]) -> float:
    """Images a second of calls that tell how many they did, for some seconds after a first one."""
    work()
    done, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < SECONDS:
        done += work()
    return done / seconds


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--preset", default="small", choices=list(PRESETS))
    parser.add_argument("--unit-size", type=int, default=64)
    words = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        detector = make_detector(PRESETS[words.preset], words.side, folder / "run")
        drawn = make_archive(folder, words.images, words.side)
        batch = fastest_batch(str(folder / "run" / "weave" / "seed-0" / "detector"), "cpu")
        inputs_NCHW = torch.zeros((batch, 3, *detector.size), dtype=torch.uint8)

        def forward() -> int:
            detector.scores(detector.error(inputs_NCHW))
            return batch

        def decode() -> int:
            for data in drawn:
                decode_image(data)
            return len(drawn)

        def bare() -> int:
            detector.score([decode_image(data) for data in drawn[:batch]])
            return batch

        rates = {"forward": rate(forward), "decode": rate(decode), "loop of Detector.score": rate(bare)}
        ends: list[tuple[float, float]] = []
        request = Request(
            (str(folder / "archive"),), (str(folder / "run" / "weave"),), str(folder / "out"),
            batch_size=batch, unit_size=words.unit_size,
        )  # fmt: skip
        with ray_session(None):
            cpus = int(cluster_resources()["CPU"])
            start = time.perf_counter()
            summary = score(request, lambda event: ends.append((time.perf_counter(), event.done)))
            whole = time.perf_counter() - start
        # From the first news to the last one of the pass itself; what comes after is counting.
        begun, done = ends[0]
        last, at_last = next((end for end in ends if end[1] == words.images), ends[-1])
        rates["raysuite score"] = (at_last - done) / max(last - begun, 1e-9)
        start = time.perf_counter()
        again = score(request)
        rerun = time.perf_counter() - start
    assert summary["images"] == words.images
    assert again["this_time"]["scored"] == 0
    for name, value in rates.items():
        print(f"{name:<24} {value:8.1f} images/s")
    ratios = {name: rates["raysuite score"] / (cpus * rates[name]) for name in ("forward", "loop of Detector.score")}
    for name, value in ratios.items():
        print(f"raysuite score / ({cpus} CPUs × {name}): {value:.2f}")
    print(f"all of it, Ray's workers and counting included: {whole:.1f} s; again, with nothing to do: {rerun:.2f} s")
    print(json.dumps({"batch": batch, "cpus": cpus, "rates": rates, "ratios": ratios, "rerun_s": rerun}))


if __name__ == "__main__":
    main()
