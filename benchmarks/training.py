"""Steps a second of raysuite's training loop against a bare torch loop, in one run.

Both train the same net on batches of the same shape, in the same precision, compiled or not alike, with the data on the
device. The bare loop does the least a training can do: forward, mean squared error, backward, optimiser step, on one
fixed batch. Blocks of steps of the two take turns, so that what else the machine does disturbs both alike; the ratio is
the median over pairs of blocks. The first table leaves corruption out of raysuite's loop: augmentation, the loss by
regions, clipping, averaging and the history remain. The second has all.

python -m benchmarks.training --preset small --steps 10 --repeats 12
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from raysuite.config import Config
from raysuite.corruption.corruptor import Corrupted, Corruptor
from raysuite.models.autoencoder import build
from raysuite.settings import PRESETS, preset
from raysuite.training.acceleration import choose_compilation, choose_precision, in_precision
from raysuite.training.loop import train
from raysuite.training.progress import Progress


class NoCorruption:
    """Stands in for the corruptor: no work, and a mask that the loss can balance regions by."""

    def __init__(self, _config: object) -> None:
        self.mask_N1HW: Tensor | None = None

    def __call__(self, images_NCHW: Tensor, _generator: torch.Generator) -> Corrupted:
        """The batch as it is."""
        if self.mask_N1HW is None:
            self.mask_N1HW = torch.zeros_like(images_NCHW[:, :1], dtype=torch.bool)
            self.mask_N1HW[:, :, :32, :32] = True
        return Corrupted(images_NCHW, images_NCHW, self.mask_N1HW)


def bare_loop(config: Config, device: torch.device) -> Callable[[int], None]:
    """A bare loop that runs a given number of steps at a call."""
    net = build(config.model, 0).to(device, memory_format=torch.channels_last).train()
    settings, side = config.training, config.data.crop_size or config.data.image_size
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=settings.weight_decay, fused=True)
    batch_NCHW = torch.rand(settings.batch_size, 3, side, side, device=device)
    batch_NCHW = batch_NCHW.contiguous(memory_format=torch.channels_last)
    compiled = choose_compilation(config, device).used
    forward = in_precision(torch.compile(net, dynamic=False) if compiled else net, choose_precision(config, device))

    def run(steps: int) -> None:
        for _ in range(steps):
            loss = torch.nn.functional.mse_loss(forward(batch_NCHW), batch_NCHW)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    return run


def pairs_of_blocks(
    config: Config, images_NCHW: Tensor, device: torch.device, steps: int, repeats: int, corruptor: type
) -> tuple[list[float], list[float]]:
    """Seconds of raysuite's blocks and of the bare blocks that follow them; the first of each is a warm-up."""

    def wait() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    run = bare_loop(config, device)
    run(3)
    ours: list[float] = []
    bare: list[float] = []
    since = wait()

    def take_turns(_line: Progress) -> None:
        nonlocal since
        ended = wait()
        ours.append(ended - since)
        run(steps)
        since = wait()
        bare.append(since - ended)

    training = replace(config.training, steps=steps * (repeats + 1), log_every=steps)
    # The loop as it is; only what it makes of "corrupt this batch" may be replaced.
    with mock.patch("raysuite.training.objectives.Corruptor", corruptor):
        train(replace(config, training=training), images_NCHW, seed=0, device=device, on_progress=take_turns)
    return ours[1:], bare[1:]


def spread(values: list[float]) -> str:
    """Median and quartiles."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--steps", type=int, default=10, help="steps of a block (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=12, help="pairs of blocks (default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--images", type=int, default=64, help="training images (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    config = preset(options.preset)
    # As in a training of the preset's own length, which decides whether compiling pays.
    compile_ = "on" if choose_compilation(config, device).used else "off"
    config = replace(config, training=replace(config.training, compile=compile_))
    side = config.data.image_size
    grain = torch.randint(0, 256, (options.images, 3, side // 8, side // 8), generator=torch.Generator().manual_seed(0))
    images_NCHW = grain.to(torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    print(
        f"preset {options.preset}, {device.type}, {options.threads} threads, {choose_precision(config, device)}, "
        f"compile {compile_}, batches of {config.training.batch_size} at {side} pixels, torch {torch.__version__}; "
        f"{options.repeats} pairs of blocks of {options.steps} steps; medians and quartiles"
    )
    for title, corruptor in (("without corruption", NoCorruption), ("with corruption", Corruptor)):
        ours, bare = pairs_of_blocks(config, images_NCHW, device, options.steps, options.repeats, corruptor)
        print(f"\n{title}")
        print(f"  raysuite  {spread([options.steps / seconds for seconds in ours])} steps/s")
        print(f"  bare loop {spread([options.steps / seconds for seconds in bare])} steps/s")
        print(f"  ratio     {spread([b / o for o, b in zip(ours, bare, strict=True)])}")


if __name__ == "__main__":
    main()
