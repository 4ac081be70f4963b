"""Reading a raysuite command without running it: whether it is right, and which files and folders it names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import click

from raysuite.cli.other_reports import STANDARD_OUTPUT
from raysuite.errors import ConfigError
from raysuite.submission.places import Place

READ = {"data", "inputs", "file", "models", "spaces", "warm_start", "runs", "baseline", "model"}
RESULTS = ("run", "output", "out", "folder")
WRITTEN = {*RESULTS, "storage"}
MARK = "-marked"


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
    command, context = _parsed(root, words)
    if context.get_parameter_source("address") is click.core.ParameterSource.COMMANDLINE:
        raise ConfigError("the command has --address; a job runs on the cluster that it is sent to, so leave that out")
    places = _found(root, words, list(_places(command, context)))
    results = next((str(context.params[name]) for name in RESULTS if _is_written(context.params.get(name))), "")
    return Command(tuple(places), results)


def _parsed(root: click.Group, words: Sequence[str]) -> tuple[click.Command, click.Context]:
    context, rest = click.Context(root, info_name="raysuite"), list(words)
    command: click.Command = root
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest or [""])
        command = found or command  # there is one, or it has raised
        context = click.Context(command, info_name=name, parent=context)
    return command, command.make_context(context.info_name, rest, parent=context.parent)


def _found(root: click.Group, words: Sequence[str], places: list[Place]) -> list[Place]:
    """The places with the words that name them.

    Click does not tell which word became which value, and several may be the same. So the command is read with each of
    its words changed: the place that changes with it is named by it.
    """
    found = list(places)
    for index, word in enumerate(words):
        try:
            marked = list(_places(*_parsed(root, [*words[:index], word + MARK, *words[index + 1 :]])))
        except click.UsageError:
            continue  # no option or value of that name
        if len(marked) == len(places):
            for which, (before, after) in enumerate(zip(places, marked, strict=True)):
                if after.word != before.word:
                    found[which] = replace(before, at=index)
    return found


def _is_written(value: object) -> bool:
    return bool(value) and value != STANDARD_OUTPUT


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
                if (name != "spaces" or "/" in word or "." in word) and (name in READ or _is_written(word)):
                    # evaluate, report and status read their run, but a copy of it would be of no use.
                    yield Place(word, what, name in READ)
        if name == "words":
            for word in value or ():
                key, _, text = word.partition("=")
                if key.endswith(".folder") and text:
                    yield Place(text, f"--set {key}", is_read=True)
