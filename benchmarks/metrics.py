"""What pixel metrics cost from histograms, against keeping and sorting every pixel, in one run.

python -m benchmarks.metrics --images 40 --side 512
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from raysuite.metrics.pixel import PixelMetrics, pixel_metrics
from tests.metrics.oracles import Exact, exact_metrics
from tests.metrics.synthetic import TAILS, collected, synthetic_maps


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, the seconds it took, and its peak memory beyond the maps in MiB (from a second, traced pass)."""
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, seconds, peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--tail", choices=TAILS, default="squared", help="shape of the score distribution")
    arguments = parser.parse_args()
    maps, masks = synthetic_maps(arguments.tail, arguments.images, arguments.side)

    ours: PixelMetrics
    ours, our_seconds, our_peak = measured(lambda: pixel_metrics(collected(maps, masks)))
    exact: Exact
    exact, exact_seconds, exact_peak = measured(lambda: exact_metrics(maps, masks))

    print(f"{arguments.images} {arguments.tail} maps of {arguments.side} x {arguments.side}")
    print(f"histograms  {our_seconds:7.2f} s  {our_peak:7.1f} MiB")
    print(f"exact sort  {exact_seconds:7.2f} s  {exact_peak:7.1f} MiB")
    print(f"ratio       {exact_seconds / our_seconds:7.1f} x  {exact_peak / our_peak:7.1f} x")
    bounds = {"auroc": "error_bound", "ap": "ap_error_bound", "f1_max": "f1_error_bound", "aupro": "aupro_error_bound"}
    for name, bound in bounds.items():
        value, off = getattr(ours, name), getattr(ours, name) - getattr(exact, name)
        print(f"{name:<7} {value:.6f}  off by {off:+.1e}  bound {getattr(ours, bound):.1e}")


if __name__ == "__main__":
    main()
