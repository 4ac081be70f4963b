"""What corrupting a batch costs, as a share of the rest of a training step, in one run.

A step is what training does with a corrupted batch: forward, loss by regions, backward, clipping, optimiser, averaging,
as a preset and this machine have it, but for the replay of passes on a GPU. Corruptions and steps take turns, so that
what else the machine does disturbs both alike; the ratio is the median over the turns. As in training, a GPU corrupts
the batches of some steps at once. Then each shape and fill alone.

python -m benchmarks.corruption --preset base --repeats 5
python -m benchmarks.corruption --preset small --batch 8 --threads 2 --repeats 30
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from raysuite.config import FILLS, SHAPES, Config
from raysuite.corruption import fills, shapes
from raysuite.corruption.corruptor import Corrupted, Corruptor
from raysuite.models.autoencoder import build
from raysuite.settings import PRESETS, preset, with_words
from raysuite.training.acceleration import choose_compilation, choose_precision, in_precision
from raysuite.training.ahead import steps_at_once
from raysuite.training.averaging import AveragedNet
from raysuite.training.objectives import Share, make_objective

TARGET = 0.15


def training_step(config: Config, device: torch.device) -> Callable[[Corrupted], None]:
    """A step of training on a batch that is corrupted already."""
    settings = config.training
    net = build(config.model, 0).to(device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=settings.weight_decay, fused=True)
    averaged, objective = AveragedNet(net, settings.ema), make_objective(config, net)
    compiled = torch.compile(net, dynamic=False) if choose_compilation(config, device).used else net
    forward = in_precision(compiled, choose_precision(config, device))

    def step(batch: Corrupted) -> None:
        loss = objective.loss(forward, batch, Share.of(batch))
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        nn.utils.clip_grad_norm_(net.parameters(), settings.gradient_clip)
        optimiser.step()
        averaged.update()

    return step


def milliseconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1000 * (time.perf_counter() - start)


def quartiles(values: list[float]) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:9.2f} ms  ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--set", dest="words", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of the CPU; by default all")
    parser.add_argument("--batch", type=int, help="images a step; by default the preset's")
    parser.add_argument("--repeats", type=int, default=20, help="turns")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    config, device = with_words(preset(arguments.preset), arguments.words), torch.device(arguments.device)
    if arguments.batch:
        config = replace(config, training=replace(config.training, batch_size=arguments.batch))
    count, side = config.training.batch_size, config.data.crop_size or config.data.image_size
    generator = torch.Generator(device).manual_seed(0)
    at_once = steps_at_once(device, count * side * side)
    images_NCHW = torch.rand(count * at_once, 3, side, side, device=device)
    corruptor, step = Corruptor(config.corruption), training_step(config, device)
    corrupting: list[float] = []
    training: list[float] = []
    for turn in range(arguments.repeats + 3):  # The first three warm up.
        corrupting.append(milliseconds(lambda: corruptor(images_NCHW, generator), device) / at_once)
        whole = corruptor(images_NCHW, generator)
        batch = Corrupted(whole.inputs_NCHW[:count], whole.targets_NCHW[:count], whole.mask_N1HW[:count])
        training.append(milliseconds(lambda: step(batch), device))  # noqa: B023 -- called at once
        if turn < 3:
            corrupting, training = [], []
    ratios = [first / second for first, second in zip(corrupting, training, strict=True)]
    where = f"{torch.get_num_threads()} threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
    print(
        f"preset {config.preset}, batches of {count} at {side} px, {choose_precision(config, device)}, {device.type} "
        f"({where}), {at_once} corrupted at once; median and quartiles of {arguments.repeats} turns"
    )
    print(f"corruption        {quartiles(corrupting)}")
    print(f"rest of the step  {quartiles(training)}")
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    verdict = "below" if middle < TARGET else "ABOVE"
    print(f"ratio             {middle:9.3f}     ({low:.3f} to {high:.3f}), {verdict} the aim of {TARGET}")

    size, four = (side, side), torch.arange(min(4, count), device=device)
    areas_n = torch.full((len(four),), 0.02, device=device)
    works = {
        f"shape {name}": (shapes.BY_NAME[name], getattr(config.corruption.shapes, name), size, areas_n)
        for name in SHAPES
    } | {
        f"fill {name}": (fills.BY_NAME[name], getattr(config.corruption.fills, name), images_NCHW, four)
        for name in FILLS
    }
    print(f"\n{len(four)} spots of one family")
    for name, (draw, *given) in works.items():
        draw(*given, generator)
        times = [milliseconds(lambda: draw(*given, generator), device) for _ in range(arguments.repeats)]  # noqa: B023
        print(f"{name:<16}  {quartiles(times)}")


if __name__ == "__main__":
    main()
