"""How good the demo's detectors are, on seeds given, beside a plain bottleneck autoencoder of the same size.

    python -m benchmarks.demo --seeds 101,102,103

Every seed draws other images and starts from other weights. The plain autoencoder is the objective of that name: no
corruption, no noise and no skips, and eight channels at its narrowest; map, score and calibration are made alike.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.measuring import calibrated, figures_on_test, fit, load
from raysuite.config import Config
from raysuite.datasets.entries import Listing
from raysuite.datasets.layouts import find_entries
from raysuite.datasets.procedural import write_benchmark
from raysuite.settings import for_objective, preset, with_words
from raysuite.storage import Location

SIZE = 128


def measure(listing: Listing, name: str, config: Config, seed: int) -> tuple[float, float, float]:
    """Image AUROC, pixel AUROC and AUPRO of one detector, in per cent."""
    category = load(listing, name, config)
    trained = fit(category, config, seed)
    figures = figures_on_test(category, calibrated(category, trained.net, config, seed, trained.augmentation.flips))
    return 100 * figures["image_auroc"], 100 * figures["pixel_auroc"], 100 * figures["aupro"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", default="101", help="comma-separated (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base = with_words(preset("tiny"), [f"data.image_size={SIZE}"])
    kinds = {"filter": base, "plain": for_objective(base, "plain")}
    means: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    print(f"{'seed':>6} {'category':<8} {'kind':<10} image AUROC  pixel AUROC  AUPRO")
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            write_benchmark(Path(folder), seed=seed, image_size=SIZE)
            listing = find_entries(Location.of(folder))
            for kind, config in kinds.items():
                rows = []
                for category in listing.categories:
                    rows.append(measure(listing, category, config, seed))
                    image, pixel, pro = rows[-1]
                    print(f"{seed:>6} {category:<8} {kind:<10} {image:11.1f} {pixel:12.1f} {pro:6.1f}", flush=True)
                means[kind].append(np.mean(rows, axis=0))
    for kind, rows_of in means.items():
        image, pixel, pro = np.mean(rows_of, axis=0)
        lowest = min(row[0] for row in rows_of)
        print(f"{'mean':>6} {'':<8} {kind:<10} {image:11.1f} {pixel:12.1f} {pro:6.1f}")
        print(f"{'lowest':>6} {'':<8} {kind:<10} {lowest:11.1f}")


if __name__ == "__main__":
    main()
