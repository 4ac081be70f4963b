"""How well the fleet's planner packs trainings: the real planner on a virtual clock.

    python -m benchmarks.fleet --simulate

Each line compares the makespan with the lower bound max(longest training, total length / places). Trainings last what
was estimated times a factor that the planner does not know, from 0.8 to 1.25. Ray's own start-ups are not simulated.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping

from raysuite.forecast import simulate
from raysuite.planning import Job, Node


def fleet(categories: int, seeds: int, number: int = 0) -> tuple[list[Job], dict[str, float]]:
    """Trainings of unequal length: 5 to 30 minutes a category by estimate; and what each really lasts, in seconds."""
    rng = random.Random(number)
    jobs = []
    for category in range(categories):
        length = rng.uniform(300, 1800)
        jobs += [Job(f"{category}/{seed}", length) for seed in range(seeds)]
    return jobs, {job.key: job.length * rng.uniform(0.8, 1.25) for job in jobs}


def cluster(gpus: int) -> list[Node]:
    """Nodes of up to 8 GPUs, with 8 CPUs beside each GPU."""
    sizes = [8] * (gpus // 8) + ([gpus % 8] if gpus % 8 else [])
    return [Node(f"node-{index:03d}", 8 * size, size) for index, size in enumerate(sizes)]


def ratio(seconds: Mapping[str, float], makespan: float, places: float) -> float:
    """Makespan over its lower bound."""
    return makespan / max(*seconds.values(), sum(seconds.values()) / places)


def print_simulations(repeats: int) -> None:
    """The table of ratios."""
    print(f"{repeats} draws of lengths; makespan: the median, ratio: the worst")
    print(f"{'categories × seeds':>18} {'GPUs':>5} {'share':>6} {'makespan':>10} {'ratio':>6}")
    for categories, seeds, gpus, share in (
        *((15, 3, gpus, 1.0) for gpus in (1, 4, 16, 64)), (15, 3, 4, 0.25), (500, 1, 1000, 1.0), (500, 3, 1000, 1.0),
    ):  # fmt: skip
        ratios, spans = [], []
        for number in range(repeats):
            jobs, seconds = fleet(categories, seeds, number)
            makespan = simulate(jobs, seconds, cluster(gpus), gpu_share=share).makespan
            spans.append(makespan)
            ratios.append(ratio(seconds, makespan, gpus / share))
        middle = sorted(spans)[len(spans) // 2]
        print(f"{categories:>14} × {seeds} {gpus:>5} {share:>6g} {middle / 60:>6.0f} min {max(ratios):>6.3f}")
    print("\nnodes that come and go: 15 × 3 on 2 nodes of 4 GPUs")
    jobs, seconds = fleet(15, 3)
    first, second, third = (Node(f"node-{index}", 32, 4) for index in range(3))
    for title, changes in (
        ("nothing changes", []),
        ("one node joins after 10 min", [(600.0, [first, second, third])]),
        ("one node leaves after 10 min", [(600.0, [first])]),
        ("both leave, one comes back after 20 min", [(600.0, []), (1200.0, [third])]),
    ):
        line = simulate(jobs, seconds, [first, second], changes)
        told = f"{len(line.ends)} ended, {len(line.lost)} went on elsewhere"
        print(f"  {title:<42} {line.makespan / 60:>4.0f} min, {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulate", action="store_true", required=True, help="the planner on a virtual clock")
    parser.add_argument("--repeats", type=int, default=5, help="draws of lengths (default: %(default)s)")
    print_simulations(parser.parse_args().repeats)


if __name__ == "__main__":
    main()
