"""Steps a second of raysuite's training loop against a bare torch loop, in one run.

Both train the same net on batches of the same shape, in the same precision, compiled or not alike, with the data on the
device. The bare loop does the least a training can do: forward, mean squared error, backward, optimiser step, on one
fixed batch. Blocks of steps of the two take turns, so that what else the machine does disturbs both alike; the ratio is
the median over pairs of blocks. The first table leaves corruption out of raysuite's loop: augmentation, the loss by
regions, clipping, averaging and the history remain. The second has all. On a GPU raysuite replays its passes from a
CUDA graph, and the bare loop does not. With --modes, instead, bare loops in every precision, as written, compiled and
on a GPU compiled to CUDA graphs, take turns: which is the fastest here, and what compiling costs first.

python -m benchmarks.training --preset small --steps 10 --repeats 12
python -m benchmarks.training --preset small --steps 3 --repeats 12 --modes
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal
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
        if self.mask_N1HW is None or len(self.mask_N1HW) != len(images_NCHW):
            self.mask_N1HW = torch.zeros_like(images_NCHW[:, :1], dtype=torch.bool)
            self.mask_N1HW[:, :, :32, :32] = True
        return Corrupted(images_NCHW, images_NCHW, self.mask_N1HW)


def bare_loop(
    config: Config, device: torch.device, precision: str, compiled: bool, mode: str = "default"
) -> Callable[[int], None]:
    """A bare loop that runs a given number of steps at a call; ``mode`` is the compiler's."""
    net = build(config.model, 0).to(device, memory_format=torch.channels_last).train()
    settings, side = config.training, config.data.crop_size or config.data.image_size
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=settings.weight_decay, fused=True)
    batch_NCHW = torch.rand(settings.batch_size, 3, side, side, device=device)
    batch_NCHW = batch_NCHW.contiguous(memory_format=torch.channels_last)
    forward = in_precision(torch.compile(net, dynamic=False, mode=mode) if compiled else net, precision)

    def run(steps: int) -> None:
        for _ in range(steps):
            loss = torch.nn.functional.mse_loss(forward(batch_NCHW), batch_NCHW)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    return run


def clock(device: torch.device) -> float:
    """Seconds, once the device has done what it was told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def pairs_of_blocks(
    config: Config, images_NCHW: Tensor, device: torch.device, steps: int, repeats: int, corruptor: type
) -> tuple[list[float], list[float]]:
    """Seconds of raysuite's blocks and of the bare blocks that follow them; the first of each is a warm-up."""

    def wait() -> float:
        return clock(device)

    run = bare_loop(config, device, choose_precision(config, device), choose_compilation(config, device).used)
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


def compare_modes(config: Config, device: torch.device, steps: int, repeats: int) -> None:
    """Bare loops in each precision, as written and compiled, block by block in turn."""
    loops: dict[str, Callable[[int], None]] = {}
    graphs = "compiled to CUDA graphs"
    ways = [(precision, words) for precision in ("float32", "bfloat16") for words in ("as written", "compiled")]
    if device.type == "cuda":
        ways.append(("bfloat16", graphs))
    for precision, words in ways:
        torch._dynamo.reset()
        name = f"{precision}, {words}"
        mode = "reduce-overhead" if words == graphs else "default"
        loops[name] = bare_loop(config, device, precision, words != "as written", mode)
        start = clock(device)
        loops[name](1)
        print(f"  {name}: first step {clock(device) - start:.1f} s", flush=True)
        loops[name](2)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(repeats):
        for name, run in loops.items():
            start = clock(device)
            run(steps)
            seconds[name].append((clock(device) - start) / steps)
    base = seconds["float32, as written"]
    for name, values in seconds.items():
        faster = spread([b / v for b, v in zip(base, values, strict=True)])
        print(f"  {name}: {spread([1000 * value for value in values])} ms a step, {faster} x")


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
    parser.add_argument("--modes", action="store_true", help="compare precisions, and compiling with not compiling")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    config = preset(options.preset)
    # As in a training of the preset's own length, which decides whether compiling pays.
    compile_: Literal["on", "off"] = "on" if choose_compilation(config, device).used else "off"
    config = replace(config, training=replace(config.training, compile=compile_))
    side = config.data.image_size
    grain = torch.randint(0, 256, (options.images, 3, side // 8, side // 8), generator=torch.Generator().manual_seed(0))
    images_NCHW = grain.to(torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    print(
        f"preset {options.preset}, {device.type}, {options.threads} threads, {choose_precision(config, device)}, "
        f"compile {compile_}, batches of {config.training.batch_size} at {side} pixels, torch {torch.__version__}; "
        f"{options.repeats} pairs of blocks of {options.steps} steps; medians and quartiles"
    )
    if options.modes:
        compare_modes(config, device, options.steps, options.repeats)
        return
    for title, corruptor in (("without corruption", NoCorruption), ("with corruption", Corruptor)):
        ours, bare = pairs_of_blocks(config, images_NCHW, device, options.steps, options.repeats, corruptor)
        print(f"\n{title}")
        print(f"  raysuite  {spread([options.steps / seconds for seconds in ours])} steps/s")
        print(f"  bare loop {spread([options.steps / seconds for seconds in bare])} steps/s")
        print(f"  ratio     {spread([b / o for o, b in zip(ours, bare, strict=True)])}")


if __name__ == "__main__":
    main()
