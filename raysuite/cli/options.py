"""Options that several commands share, and how their words become settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from raysuite.config import OBJECTIVES, Config
from raysuite.corruption.photographs import check_textures
from raysuite.settings import PRESETS, from_yaml, is_oracle, preset, text_of, with_words

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 3650 * _UNITS["d"]
LAST_SEED = 2**31 - 1
"""Seeds stand in tables as 64 bits, and some generators take 32."""

LAYOUT_NAMES = ("auto", "mvtec", "visa", "btad", "folder")


class Seeds(click.ParamType[tuple[int, ...]]):
    """Seeds as ``0,1,2`` or ``0-2``."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse the words."""
        if isinstance(value, tuple):
            return value
        seeds: list[int] = []
        for part in str(value).split(","):
            match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
            if not match:
                self.fail(f"{value!r} is no list of seeds; write 0,1,2 or 0-2", param, ctx)
            first = int(match[1])
            last = int(match[2] or first)
            if last < first or last - first >= 1000:
                self.fail(f"{part!r} is no range of seeds, such as 0-2", param, ctx)
            if last > LAST_SEED:
                self.fail(f"{part!r} is no range of seeds up to {LAST_SEED}", param, ctx)
            seeds += range(first, last + 1)
        return tuple(dict.fromkeys(seeds))


class Duration(click.ParamType[float]):
    """A time as ``45m``, ``8h`` or ``1h30m``, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the words."""
        if isinstance(value, float):
            return value
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", str(value))
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if not re.fullmatch(r"(?:\d+(?:\.\d+)?[smhd])+", str(value)) or seconds <= 0:
            self.fail(f"{value!r} is no time; write 90s, 45m, 8h, 7d or 1h30m", param, ctx)
        if seconds > _LONGEST:
            self.fail(f"{value} is longer than ten years", param, ctx)
        return seconds


data_argument = click.argument("data", nargs=-1, required=True)
layout_option = click.option(
    "--layout",
    type=click.Choice(LAYOUT_NAMES),
    default="auto",
    show_default=True,
    help="How DATA is laid out; with several, how all of them are.",
)
category_option = click.option(
    "--category", "categories", multiple=True, metavar="NAME", help="Only this category; may be given again."
)
objective_option = click.option(
    "--objective",
    "objectives",
    multiple=True,
    type=click.Choice(OBJECTIVES),
    metavar="KIND",
    help=f"What the net is asked for: {', '.join(OBJECTIVES)}; given again, each is trained and the report compares "
    "them.  [default: objective.kind]",
)
address_option = click.option(
    "--address",
    metavar="HOST:PORT",
    envvar="RAY_ADDRESS",
    show_envvar=True,
    help="A running Ray cluster, or auto for the one on this machine; by default Ray starts here.",
)
jobs_address_option = click.option(
    "--address",
    metavar="URL",
    envvar="RAY_API_SERVER_ADDRESS",
    default="http://127.0.0.1:8265",
    show_default=True,
    show_envvar=True,
    help="The dashboard of the cluster.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")


def settings_options(command: F) -> F:
    """``--preset``, ``--config``, ``--image-size``, ``--steps`` and ``--set``."""
    for option in (
        click.option("--set", "words", multiple=True, metavar="KEY=VALUE", help="One setting; may be given again."),
        click.option("--steps", type=int, help="Training steps: training.steps."),
        click.option("--image-size", type=int, help="Shorter side in pixels: data.image_size."),
        click.option("--config", "file", metavar="FILE", help="Settings in YAML; what it leaves out is the preset's."),
        click.option(
            "--preset", "name", type=click.Choice(list(PRESETS)), help="Size of net and training.  [default: small]"
        ),
    ):
        command = option(command)
    return command


def build_config(
    name: str | None,
    file: str | None,
    image_size: int | None,
    steps: int | None,
    words: tuple[str, ...],
    fixed: tuple[str, ...] | None = None,
) -> Config:
    """The settings that the options of `settings_options` ask for, the more particular ones winning.

    ``fixed`` are the words of ``--fix``, of a command that searches the other settings; ``None`` for all others.
    """
    config = from_yaml(text_of(file), file) if file else preset(name or "small")
    if file and name:
        raise click.UsageError("give --preset or --config, not both: a config names its own preset")
    shorthand = []
    if image_size is not None:
        shorthand.append(f"data.image_size={image_size}")
    if steps is not None:
        shorthand.append(f"training.steps={steps}")
    config = with_words(config, [*shorthand, *words])
    if fixed is None:
        return check_textures(config)
    return check_textures(with_words(config, fixed, "--fix"), searched=True)


def from_oracle(file: str | None) -> bool:
    """Whether what ``--config`` names, if anything, says that it was chosen with the labels of test images."""
    return file is not None and is_oracle(text_of(file))
