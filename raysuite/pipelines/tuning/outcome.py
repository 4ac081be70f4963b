"""What a search comes to: the best settings, the front, what mattered, the verdict, and how far it can be trusted."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml

from raysuite import settings
from raysuite.config import Config
from raysuite.errors import RunError
from raysuite.pipelines.tuning.judging import FIGURES
from raysuite.pipelines.tuning.trial import Brief
from raysuite.tuning.families import rotated
from raysuite.tuning.importance import importances
from raysuite.tuning.pareto import pareto_front
from raysuite.tuning.preference import Gain, gain
from raysuite.tuning.ranking import best_of_each, by_mean_rank
from raysuite.tuning.steering import steering_score
from raysuite.tuning.trials import TrialRecord, standings
from raysuite.tuning.verdict import rank_correlation, verdict

LEADERS = 10
COSTS = ("latency_ms", "parameters")
JUDGED = ("image_auroc", "pixel_auroc", "aupro")
"""Metrics of the verdict, the first in its headline."""

Rows = Sequence[Mapping[str, Any]]


class Outcome:
    """The figures of one search: of all categories together, or of one."""

    def __init__(self, brief: Brief, records: Sequence[TrialRecord]) -> None:
        """Gather the trials of ``brief.categories``.

        Raises:
            RunError: None of them has a score.
        """
        self.brief = brief
        self.trials: dict[int, list[TrialRecord]] = {}
        for record in records:
            if record.category in brief.categories:
                self.trials.setdefault(record.number, []).append(record)
        own = [row for rows in self.trials.values() for row in rows]
        self.order = [ranked.number for ranked in by_mean_rank(standings(own))]
        if not self.order:
            bad = next((row for row in own if row.reason and row.state in {"failed", "invalid"}), None)
            why = f": trial {bad.number} is {bad.state}, as {bad.reason}" if bad else ""
            raise RunError(f"no trial of {', '.join(brief.categories)} has a score{why}")
        if len(brief.categories) == 1:
            best = best_of_each(standings(own))[brief.categories[0]]
            assert best is not None  # noqa: S101 -- some trial has a score
        else:
            best = self.order[0]
        default = self._default_number()
        passed_over = self._gain(best, default)
        self.passed_over = (best, passed_over) if passed_over is not None and not passed_over.is_sure else None
        """The best trial by rank and what it gains on the default, if that is not sure: then the default wins."""
        self.winner = default if self.passed_over is not None and default is not None else best
        self.config: Config = self.trials[self.winner][0].as_config()

    @property
    def is_default(self) -> bool:
        """Whether nothing was found that the objective surely prefers to the start."""
        return self.config == self.brief.base

    def _gain(self, best: int, default: int | None) -> Gain | None:
        """``None`` if the default is the best, was not tried or did not come as far; an oracle asks no families."""
        if default is None or default == best or self.brief.oracle:
            return None
        rows = [{row.category: row for row in self.trials[number]} for number in (best, default)]
        categories = self.brief.categories
        if any(set(of) != set(categories) for of in rows):
            return None
        if any(rows[0][name].steps != rows[1][name].steps or rows[1][name].reached is None for name in categories):
            return None
        mine, other = ([of[name].families for name in categories] for of in rows)
        return gain(mine, other, rotated(self.brief.seed).steering)

    def as_mapping(self) -> dict[str, Any]:
        """The figures for ``summary.json``."""
        return {
            "categories": list(self.brief.categories),
            "winner": self._line(self.winner),
            "is_default": self.is_default,
            "passed_over": self._passed_over(),
            "changes": {
                key: {"default": old, "winner": new}
                for key, (old, new) in settings.differences(self.brief.base, self.config).items()
            },
            "default": self._default(),
            "leaders": [self._line(number) for number in self.order[:LEADERS]],
            "fronts": {cost: self._front(cost) for cost in COSTS},
            "importances": self._importances(),
        }

    def score(self, number: int, steps: int | None = None) -> float | None:
        """Over the categories, of a trial's last rung or of one rung; ``None`` if it lacks one."""
        rows = self.trials[number]
        if any(row.reached is None for row in rows) or len(rows) < len(self.brief.categories):
            return None
        scores = [row.score if steps is None else row.score_at(steps) for row in rows]
        known = [score for score in scores if score is not None]
        return steering_score(known) if len(known) == len(rows) else None

    def cost(self, number: int, name: str) -> float | None:
        """Latency or parameters, the mean over the categories."""
        known = [value for row in self.trials[number] if (value := getattr(row, name)) is not None]
        return statistics.fmean(known) if known else None

    def _line(self, number: int) -> dict[str, Any]:
        rows = self.trials[number]
        judged = [row.judged for row in rows if row.judged is not None]
        residuals = [row.residual for row in rows if row.residual is not None]
        return {
            "number": number,
            "state": rows[0].state,
            "steps": min(row.steps for row in rows),
            "score": self.score(number),
            "judged": steering_score(judged) if len(judged) == len(rows) else None,
            "residual": statistics.fmean(residuals) if residuals else None,
            "scores": {row.category: row.score for row in rows},
            "values": dict(rows[0].values),
            "parameters": self.cost(number, "parameters"),
            "latency_ms": self.cost(number, "latency_ms"),
            "seconds": sum(row.seconds for row in rows),
        }

    def _passed_over(self) -> dict[str, Any] | None:
        if self.passed_over is None:
            return None
        number, gained = self.passed_over
        return {"number": number, "score": self.score(number), "words": str(gained)}

    def _default(self) -> dict[str, Any] | None:
        number = self._default_number()
        return None if number is None else self._line(number)

    def _default_number(self) -> int | None:
        """The trial of the start itself, if the space has it."""
        base = settings.to_mapping(self.brief.base)
        return next((number for number, rows in self.trials.items() if rows[0].config == base), None)

    def _front(self, cost: str) -> list[dict[str, Any]]:
        """Trials that went to the end, as scores after fewer steps say too little."""
        last = self.brief.rungs[-1]
        numbers = list(self.trials)
        front = pareto_front(
            [self.score(number, last) for number in numbers], [self.cost(number, cost) for number in numbers]
        )
        return [
            {"number": numbers[index], "score": self.score(numbers[index]), cost: self.cost(numbers[index], cost)}
            for index in front
        ]

    def _importances(self) -> dict[str, Any]:
        """At the first rung: every trial has been there, after equally many steps."""
        first = self.brief.rungs[0]
        found = importances(
            self.brief.space,
            [rows[0].values for rows in self.trials.values()],
            [self.score(number, first) for number in self.trials],
            self.brief.seed,
        )
        return {"steps": first, **asdict(found)}


def failures(records: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Trials that came to nothing, with the reason."""
    return [
        {"number": row.number, "category": row.category, "state": row.state, "reason": row.reason}
        for row in records if row.state in {"failed", "invalid"}
    ]  # fmt: skip


def states(records: Sequence[TrialRecord], *, together: bool) -> dict[str, int]:
    """How many trials are in which state; if trials are of several categories together, the worst one counts."""
    worst = ("invalid", "failed", "running", "stopped", "done")
    of: dict[tuple[int, str], str] = {}
    for record in records:
        key = (record.number, "" if together else record.category)
        of[key] = min(of.get(key, "done"), record.state, key=worst.index)
    return dict(Counter(of.values()))


def correlations(records: Sequence[TrialRecord], tested: Rows, rungs: Sequence[int]) -> list[dict[str, Any]]:
    """How the objective ranked the trials of each category, and how the test metrics do.

    ``full`` is over trials that went to the end alone; ``all`` has those too that were stopped, where both figures also
    rise with the steps, which is no merit of the objective.
    """
    found = []
    by_key = {(row["number"], row["category"]): row for row in tested if row["error"] is None}
    for category in dict.fromkeys(record.category for record in records):
        own = [
            (record, by_key[record.number, category])
            for record in records if record.category == category and (record.number, category) in by_key
        ]  # fmt: skip
        for metric in FIGURES:
            parts = {"all": own, "full": [pair for pair in own if pair[0].steps == rungs[-1]]}
            found.append(
                {
                    "category": category,
                    "metric": metric,
                    **{
                        name: asdict(rank_correlation([one.score for one, _ in part], [row[metric] for _, row in part]))
                        for name, part in parts.items()
                    },
                }
            )
    return found


def verdicts(winner: Rows, default: Rows) -> dict[str, dict[str, Any]]:
    """Winner against default by metric, over the same categories and seeds.

    Args:
        winner: Rows of metrics of the retrained winners.
        default: Those of the retrained default; categories without a winner's row are left out.
    """
    pairs = {(row["category"], row["seed"]) for row in winner}
    return {
        metric: asdict(
            verdict(
                {(row["category"], row["seed"]): row.get(metric) for row in winner},
                {(row["category"], row["seed"]): row.get(metric) for row in default
                 if (row["category"], row["seed"]) in pairs},
            )
        )
        for metric in JUDGED
    }  # fmt: skip


def best_yaml(outcome: Outcome) -> str:
    """The winner's settings as YAML for ``--config``, with a word on where they are from.

    An oracle's are marked in a way that `raysuite.settings.is_oracle` reads, so that a run with them is marked as well.
    """
    origin = f"# Trial {outcome.winner} of raysuite tune, searched on {', '.join(outcome.brief.categories)}.\n"
    if not outcome.brief.oracle:
        return origin + settings.to_yaml(outcome.config)
    oracle = "# ORACLE: chosen with test labels; no figure of it on the same test images is an honest one.\n"
    card = {"oracle": True, "settings": settings.to_mapping(outcome.config)}
    return oracle + origin + yaml.safe_dump(card, sort_keys=False, allow_unicode=True)
