"""Reading a raysuite command without running it: whether it is right, and which files and folders it names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from raysuite.errors import ConfigError
from raysuite.submission.places import Place

READ = {"data", "inputs", "file", "models", "spaces", "warm_start", "runs", "baseline", "model"}
RESULTS = ("run", "output", "out", "folder")
WRITTEN = {*RESULTS, "storage"}


@dataclass(frozen=True, slots=True)
class Command:
    """What a command names.

    Attributes:
        places: Its files and folders.
        results: Where it writes; empty if it does not say so.
    """

    places: tuple[Place, ...]
    results: str


def read(root: click.Group, words: Sequence[str]) -> Command:
    """Read a command as ``raysuite`` would.

    Raises:
        click.UsageError: As ``raysuite`` would.
        ConfigError: It is one that has no place in a job.
    """
    if {"-h", "--help"} & set(words):
        raise ConfigError("the command asks for help; ask raysuite here, not on the cluster")
    context, rest = click.Context(root, info_name="raysuite"), list(words)
    command: click.Command = root
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest or [""])
        command = found or command  # there is one, or it has raised
        context = click.Context(command, info_name=name, parent=context)
    context = command.make_context(context.info_name, rest, parent=context.parent)
    if context.get_parameter_source("address") is click.core.ParameterSource.COMMANDLINE:
        raise ConfigError("the command has --address; a job runs on the cluster that it is sent to, so leave that out")
    places = tuple(_places(command, context))
    results = next((str(context.params[name]) for name in RESULTS if context.params.get(name)), "")
    return Command(places, results)


def _places(command: click.Command, context: click.Context) -> Iterator[Place]:
    for parameter in command.params:
        name = parameter.name or ""
        value = context.params.get(name)
        what = (
            parameter.opts[0] if isinstance(parameter, click.Option) else parameter.make_metavar(context).strip("[].")
        )
        if name in READ | WRITTEN and value:
            for word in map(str, value) if isinstance(value, tuple) else (str(value),):
                # The built-in spaces have names without a slash or suffix.
                if name != "spaces" or "/" in word or "." in word:
                    # evaluate, report and status read their run, but a copy of it would be of no use.
                    yield Place(word, what, name in READ)
        if name == "words":
            for word in value or ():
                key, _, text = word.partition("=")
                if key.endswith(".folder") and text:
                    yield Place(text, f"--set {key}", is_read=True)
