"""``raysuite model``: what the net of some settings is made of, and what it costs."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from raysuite.cli.options import build_config, json_option, settings_options

if TYPE_CHECKING:
    from raysuite.models.description import Description


@click.group()
def model() -> None:
    """Look at the net."""


@model.command()
@settings_options
@json_option
def describe(as_json: bool, **given: Any) -> None:
    """Print the layers of the net, its parameters, computation, receptive field and memory.

    Nothing is trained or computed: sizes that would not fit this machine can be looked at too.

    \b
    Examples:
      raysuite model describe --preset base --image-size 512
      raysuite model describe --set model.separable=true --set model.kernel=5
    """
    from raysuite.models.description import describe as look  # noqa: PLC0415 -- torch takes seconds to import

    config = build_config(**given)
    description = look(config)
    if as_json:
        record = {"preset": config.preset, "gflop": description.gflop, **dataclasses.asdict(description)}
        click.echo(json.dumps(record, indent=2))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(_table(description))
    console.print(_totals(description), soft_wrap=True)


def _table(description: Description) -> Table:
    table = Table()
    for name in ("layer", "kind", "output", "parameters", "million multiply-adds"):
        table.add_column(name, justify="left" if name in {"layer", "kind"} else "right")
    for layer in description.layers:
        table.add_row(
            layer.name,
            layer.kind,
            f"{layer.channels} × {layer.height} × {layer.width}",
            f"{layer.parameters:,}" if layer.parameters else "–",
            f"{layer.macs / 1e6:,.1f}" if layer.macs else "–",
        )
    return table


def _totals(description: Description) -> Text:
    side, crop, reach = description.image_size, description.crop_size, description.receptive_field
    lines = {
        "parameters": f"{description.parameters:,}, {_size(description.weight_bytes)} of weights",
        "computation": f"{description.gflop:.2f} GFLOP an image of {side} × {side}: two for each multiply-add of the "
        "convolutions",
        "receptive field": f"{reach} × {reach} pixels, {100 * reach / side:.0f} % of the image's side",
        "scoring": f"{_size(description.scoring_bytes)} at the peak of one image in float32, beside the weights",
        "training": f"{_size(description.step_bytes)} at the peak of a step of {description.batch_size} images of "
        f"{crop} × {crop} in {description.precision}: activations and gradients; "
        f"{_size(description.state_bytes)} all the time: weights, their average, the optimiser's moments",
        "not counted": "workspaces of kernels, corruption, and the training images on the device",
    }
    return Text("\n".join(f"{name:<16} {line}" for name, line in lines.items()))


def _size(count: int) -> str:
    """Bytes in decimal units, with three digits."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
