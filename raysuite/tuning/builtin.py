"""The built-in search spaces, made from the config's own fields and around the settings that a search starts from.

Every range holds the start's own value, so that the start is a point of the space. Families of corruption are taken
from the config as they are: a new one is searched without a line here.
"""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from raysuite import settings
from raysuite.config import ERRORS, Config
from raysuite.errors import ConfigError
from raysuite.tuning.domains import Choice, Domain, Float, Int, label_of
from raysuite.tuning.keys import types, value_at
from raysuite.tuning.space import Condition, Dimension, Space

SPACES = ("corruption", "capacity", "full")

FAINTEST_WEIGHT, STRONGEST_WEIGHT = 0.01, 1.0
"""Of a family: the one is as good as left out, the other outweighs all defaults of the fills together."""

EMAS = (0.9, 0.98, 0.99, 0.995, 0.998, 0.999)


def builtin(name: str, base: Config) -> Space:
    """A built-in space for some settings to start from.

    Args:
        name: ``corruption``: what training pastes over good images, its noise, and λ. ``capacity``: the net. ``full``:
            both, the schedule, and how map and score are made.
        base: The start.

    Raises:
        ConfigError: There is no such space, or it has nothing to search from this start.
    """
    match name:
        case "corruption":
            dimensions = _corruption(base)
        case "capacity":
            dimensions = _capacity(base)
        case "full":
            dimensions = itertools.chain(_corruption(base), _capacity(base), _schedule(base), _detection(base))
        case _:
            raise ConfigError(f"there is no space {name!r}; take one of {', '.join(SPACES)}, or a YAML file")
    space = Space(tuple(dimensions))
    if not space.dimensions:
        raise ConfigError(
            f"the space {name} has nothing to search with objective.kind={base.objective.kind}: "
            "that objective pastes nothing over the images"
        )
    return space.validated(base)


def _corruption(base: Config) -> Iterator[Dimension]:
    if base.objective.kind != "filter":
        return
    for section in ("shapes", "fills"):
        for family in dataclasses.fields(getattr(base.corruption, section)):
            yield from _family(base, f"corruption.{section}.{family.name}")
    around = _Around(base)
    yield around("corruption.clean_share", Float(0.0, 0.4))
    yield around("corruption.max_count", Int(1, 8))
    yield around("corruption.min_area", Float(0.0003, 0.01, log=True))
    yield around("corruption.max_area", Float(0.02, 0.4, log=True))
    yield around("corruption.opaque_share", Float(0.0, 1.0))
    yield around("corruption.min_opacity", Float(0.1, 0.8))
    yield around("corruption.noise", Choice(("preserved", "removed", "none")))
    yield around("corruption.noise_level", Float(0.01, 0.2, log=True), ("corruption.noise", ("preserved", "removed")))
    yield around("objective.repair_weight", Float(0.1, 0.9))


def _family(base: Config, prefix: str) -> Iterator[Dimension]:
    """Its weight, and each of its parameters from half to twice what it is, as far as the config allows."""
    weight = value_at(base, f"{prefix}.weight")
    # A family that the start leaves out can stay left out; otherwise no weight is 0, so that never all are.
    domain = Float(min(FAINTEST_WEIGHT, weight), max(STRONGEST_WEIGHT, weight), log=weight > 0)
    yield Dimension(f"{prefix}.weight", domain)
    for key in types():
        if key.startswith(f"{prefix}.") and not key.endswith(".weight"):
            domain_of_key = _about(base, key)
            if domain_of_key is not None:
                yield Dimension(key, domain_of_key)


def _about(base: Config, key: str) -> Domain | None:
    """A domain for a setting of which no more is known than what the config has and takes; ``None`` for none."""
    kind, value = types()[key], value_at(base, key)
    if kind is bool or typing.get_origin(kind) is typing.Literal:
        words = (False, True) if kind is bool else typing.get_args(kind)
        return Choice(tuple(word for word in words if _accepts(base, {key: word})))
    if isinstance(value, tuple):
        scaled = [tuple(max(1, round(item * factor)) for item in value) for factor in (0.5, 1, 2)]
        choices = {label_of(items): items for items in scaled if _accepts(base, {key: items})}
        return Choice(tuple(choices.values())) if len(choices) > 1 else None
    if kind not in {int, float} or value <= 0:
        return None
    factors = (2.0, 1.75, 1.5, 1.25, 1.1)
    ends = [
        next((end for end in candidates if _accepts(base, {key: end})), value)
        for candidates in (
            [kind(_round(value / factor)) for factor in factors],
            [kind(_round(value * factor)) for factor in factors],
        )
    ]
    if ends[0] >= ends[1]:
        return None
    return Int(ends[0], ends[1], log=True) if kind is int else Float(ends[0], ends[1], log=True)


def _round(value: float) -> float:
    """To three digits, for people to read."""
    return float(f"{value:.3g}")


def _capacity(base: Config) -> Iterator[Dimension]:
    around, model = _Around(base), base.model
    finest, coarsest = model.level_widths[0], model.level_widths[-1]
    if model.widths:
        scaled = [tuple(max(4, round(width * factor)) for width in model.widths) for factor in (0.5, 0.75, 1, 1.5, 2)]
        fitting = [widths for widths in dict.fromkeys(scaled) if _accepts(base, {"model.widths": widths})]
        yield around("model.widths", Choice(tuple(fitting)))
    else:
        widest = _first_accepted(base, "model.width", (max(8, finest * 2), finest * 3 // 2, finest))
        yield around("model.width", Int(min(max(4, finest // 2), widest), widest, log=True))
    # Levels, dilations and kernel together set how large an image must be, and objectives may forbid copying: what is
    # kept of them goes together in every combination.
    # Without a block any dilation is accepted, so what goes together with blocks is found out with one; if not even one
    # fits, there is nothing of them to search.
    one_block = {"model.blocks": max(1, model.blocks)}
    blocks = _accepts(base, one_block)
    fitted = settings.with_values(base, one_block) if blocks else base
    together: dict[str, Sequence[Any]] = {
        "model.kernel": (3, 5) if blocks else (),
        "model.dilations": ((1,), (1, 2), (1, 2, 4), (1, 2, 4, 8), (1, 2, 4, 8, 16)) if blocks else (),
        "model.skip": ("convex", "concat", "none"),
        "model.output": ("direct", "convex"),
        "model.norm": ("batch", "group"),
    }
    if base.data.crop_size in {0, base.data.image_size}:
        together["model.template"] = ("auto", "off")
    if not model.widths:
        together["model.depth"] = (model.depth - 1, model.depth + 1)
    for key, choices in _compatible(fitted, together).items():
        yield around(key, Choice(choices))
    if blocks:
        most = _first_accepted(fitted, "model.blocks", (max(4, model.blocks + 2), model.blocks + 1, model.blocks, 1))
        yield around("model.blocks", Int(1, most))
        branches = _multiples(finest, (0.25, 0.5, 2))
        fitting_branches = [width for width in branches if _accepts(fitted, {"model.branch_width": width})]
        yield around("model.branch_width", Choice((0, *fitting_branches)))
    yield around("model.bottleneck", Choice((0, *_multiples(coarsest, (0.25, 0.5)))))
    if blocks:
        yield around("model.separable", Choice((False, True)))


def _multiples(width: int, factors: Iterable[float]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(max(1, round(width * factor)) for factor in factors))


def _compatible(base: Config, candidates: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
    """As many of the candidates as the config accepts in all combinations, the start's own values among them.

    Returns:
        In the order of the candidates, settings of which two values or more are left.
    """
    kept: dict[str, list[Any]] = {key: [value_at(base, key)] for key in candidates}
    for key, values in candidates.items():
        for value in values:
            wider = {**kept, key: [value]}
            if value not in kept[key] and all(
                _accepts(base, dict(zip(wider, combination, strict=True)))
                for combination in itertools.product(*wider.values())
            ):
                kept[key].append(value)
    return {key: tuple(sorted(values)) for key, values in kept.items() if len(values) > 1}


def _schedule(base: Config) -> Iterator[Dimension]:
    around, rate = _Around(base), base.training.learning_rate
    yield around("training.learning_rate", Float(_round(rate / 5), min(1.0, _round(rate * 4)), log=True))
    yield around("training.warmup_share", Float(0.0, 0.2))
    yield around("training.weight_decay", Float(1e-6, 1e-2, log=True))
    yield around("training.gradient_clip", Float(0.2, 5.0, log=True))
    yield around("training.ema", Choice(EMAS))


def _detection(base: Config) -> Iterator[Dimension]:
    around = _Around(base)
    fixed = ("detection.choice", ("fixed",))
    yield around("detection.choice", Choice(("auto", "fixed")))
    yield around("detection.error", Choice(ERRORS))
    # Kernels are odd.
    yield around("detection.map_kernel", Choice((5, 7, 11, 15, 21)), fixed)
    yield around("detection.map_passes", Int(1, 4), fixed)
    yield around("detection.map_normalise", Choice(("place", "image")), fixed)
    yield around("detection.score_kernel", Choice((3, 5, 7, 11)), fixed)
    yield around("detection.score_passes", Int(0, 4), fixed)
    yield around("detection.score_normalise", Choice(("place", "image")), fixed)
    yield around("detection.pooling", Choice(("top", "max", "mean")), fixed)
    yield around("detection.score_share", Float(0.001, 0.05, log=True), ("detection.pooling", ("top",)))
    yield around("detection.floor", Float(0.1, 2.0, log=True), fixed)


class _Around:
    """Makes dimensions whose domains are widened to hold the start's own value."""

    def __init__(self, base: Config) -> None:
        self.base = base

    def __call__(self, key: str, domain: Domain, when: tuple[str, tuple[Any, ...]] | None = None) -> Dimension:
        value = value_at(self.base, key)
        if isinstance(domain, Choice):
            widened: Domain = domain if domain.contains(value) else Choice((*domain.values, value))
        else:
            low, high = min(domain.low, value), max(domain.high, value)
            widened = dataclasses.replace(domain, low=low, high=high, log=domain.log and low > 0)
        return Dimension(key, widened, Condition(*when) if when else None)


def _first_accepted(base: Config, key: str, values: Iterable[int]) -> int:
    """The first that the config takes; the start's own is the last of them."""
    return next(value for value in values if _accepts(base, {key: value}))


def _accepts(base: Config, values: Mapping[str, Any]) -> bool:
    try:
        settings.with_values(base, values)
    except ConfigError:
        return False
    return True
