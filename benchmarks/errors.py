"""What does scoring pay for an error measure beside the plain squared error?

    python -m benchmarks.errors --preset small

One thread, one image size, by each engine that is installed: passes of the same net with each `detection.error` in
turn, so that a busy machine slows all alike; the ratio is that of a pass to the squared error's of the same round.
Printed are the medians, with the quartiles of the ratio. The weights are not trained: they do not change the speed.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from raysuite.config import ERRORS
from raysuite.detection.detector import Detector
from raysuite.engines.runtimes import NAMES, build, is_there
from raysuite.models.autoencoder import build as build_net
from raysuite.settings import preset


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="small")
    parser.add_argument("--side", type=int, default=256, help="of the images (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config, size = preset(options.preset), (options.side, options.side)
    ones_HW = torch.ones(size)
    plain = Detector("any", size, build_net(config.model, 0).eval(), config.detection, ones_HW, ones_HW, 1.0)
    images_NCHW = torch.randint(0, 256, (options.batch_size, 3, *size), dtype=torch.uint8)
    print(f"{'engine':<10} {'error':<10} ms an image   beside squared")
    for name in (name for name in NAMES if name != "compiled" and is_there(name)):
        passes = {
            error: build(
                name,
                replace(plain, detection=replace(config.detection, error=error)).to("cpu"),
                options.batch_size,
            )
            for error in ERRORS
        }
        seconds: dict[str, list[float]] = {error: [] for error in ERRORS}
        for _ in range(options.rounds + 1):
            for error, compute in passes.items():
                start = time.perf_counter()
                compute(images_NCHW)
                seconds[error].append((time.perf_counter() - start) / options.batch_size)
        squared = np.array(seconds["squared"][1:])
        for error, taken in seconds.items():
            low, middle, high = np.quantile(np.array(taken[1:]) / squared, (0.25, 0.5, 0.75))
            print(
                f"{name:<10} {error:<10} {1e3 * np.median(taken[1:]):11.1f}   {middle:.2f} ({low:.2f} to {high:.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
