"""A run folder with all it says of itself, so that two can be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysuite import settings
from raysuite.errors import RaysuiteError
from raysuite.reporting.results import RunResults, load_results
from raysuite.runs import Run
from raysuite.storage import Location


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run with what its folder says of itself."""

    where: Location
    results: RunResults
    run: Run | None

    @classmethod
    def at(cls, where: str | Location) -> LoadedRun:
        """Read a run folder.

        Raises:
            RunError: There is no such folder, or it was not evaluated yet.
        """
        root = where if isinstance(where, Location) else Location.of(where)
        results = load_results(root)
        try:
            return cls(root, results, Run.open(root.uri))
        except RaysuiteError:
            # Its results stand; what it was made with cannot be said.
            return cls(root, results, None)

    @property
    def fingerprint(self) -> str | None:
        """Of all images of the run; None if it is not known."""
        data = self.results.provenance.get("data")
        value = data.get("fingerprint") if isinstance(data, dict) else None
        return None if value is None else str(value)


def differences(ours: LoadedRun, baseline: LoadedRun, objective: str, other: str) -> dict[str, tuple[str, str]]:
    """In what two runs differ, with both values in words: settings first, then seeds, code and machine.

    Args:
        ours: The run.
        baseline: The other one.
        objective: The kind of objective that is looked at in the run.
        other: That in the baseline.
    """
    found: dict[str, tuple[Any, Any]] = {}
    if ours.run is not None and baseline.run is not None:
        found |= settings.differences(ours.run.config, baseline.run.config)
    if objective != other:
        found["objective.kind"] = (objective, other)
    seeds = [sorted({run.seed for run in one.results.runs}) for one in (ours, baseline)]
    cards = [one.results.provenance for one in (ours, baseline)]
    rest = {"seeds": tuple(", ".join(map(str, some)) for some in seeds)}
    for name, path in {
        "raysuite": ("raysuite",), "git commit": ("git", "commit"), "torch": ("versions", "torch"),
        "processor": ("hardware", "processor"), "GPUs": ("hardware", "gpus"),
    }.items():  # fmt: skip
        rest[name] = tuple(_within(card, path) for card in cards)
    found |= {name: (values[0], values[1]) for name, values in rest.items() if values[0] != values[1]}
    return {name: (_said(one), _said(two)) for name, (one, two) in found.items()}


def _within(card: Any, path: Sequence[str]) -> Any:
    for name in path:
        card = card.get(name) if isinstance(card, Mapping) else None
    return card


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "not known" if value is None else str(value)
