"""How good the demo's detectors are, on seeds given, beside a plain bottleneck autoencoder of the same size.

    python -m benchmarks.demo --seeds 101,102,103

Every seed draws other images and starts from other weights. The plain autoencoder has no corruption, no noise and no
skips, and eight channels at its narrowest; map, score and calibration are the same.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from raysuite.config import Config
from raysuite.datasets.decoding import decode_image, decode_mask
from raysuite.datasets.entries import Listing
from raysuite.datasets.layouts import find_entries
from raysuite.datasets.procedural import write_benchmark
from raysuite.detection.calibration import calibrate, split_held_out
from raysuite.detection.preprocessing import to_input
from raysuite.metrics.histograms import PixelHistograms
from raysuite.metrics.image import image_metrics
from raysuite.metrics.pixel import pixel_metrics
from raysuite.settings import preset, with_words
from raysuite.storage import Location
from raysuite.training.loop import train

PLAIN = ["corruption.clean_share=1", "corruption.noise=0", "model.skip=none", "model.bottleneck=8"]
SIZE = 128


def measure(listing: Listing, category: str, config: Config, seed: int) -> tuple[float, float, float]:
    """Image AUROC, pixel AUROC and AUPRO of one detector, in per cent."""
    read = {entry.id: decode_image((listing.root / entry.image).read_bytes()) for entry in listing.of(category)}
    good = [read[entry.id] for entry in listing.of(category) if entry.split == "train"]
    images_NCHW = torch.stack([to_input(image, (SIZE, SIZE)) for image in good])
    learn, held_out = split_held_out(len(good), config.data.held_out_share, seed)
    device = torch.device("cpu")
    trained = train(config, images_NCHW[learn], seed=seed, device=device)
    detector = calibrate(
        trained.net, category=category, detection=config.detection, train_NCHW=images_NCHW[learn],
        held_out_NCHW=images_NCHW[held_out], device=device, provenance={},
    )  # fmt: skip
    tests = [entry for entry in listing.of(category) if entry.split == "test"]
    scored = detector.score([read[entry.id] for entry in tests])
    pixels = PixelHistograms.empty()
    for entry, map_HW in zip(tests, scored.maps, strict=True):
        mask_HW = decode_mask((listing.root / entry.mask).read_bytes()) if entry.mask else None
        pixels.add(map_HW, mask_HW, defect=entry.label == 1)
    image = image_metrics(scored.scores, [int(entry.label or 0) for entry in tests])
    pixel = pixel_metrics(pixels)
    assert image.auroc is not None
    assert pixel.auroc is not None
    assert pixel.aupro is not None
    return 100 * image.auroc, 100 * pixel.auroc, 100 * pixel.aupro


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", default="101", help="comma-separated (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base = with_words(preset("tiny"), [f"data.image_size={SIZE}"])
    kinds = {"repairing": base, "plain": with_words(base, PLAIN)}
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
