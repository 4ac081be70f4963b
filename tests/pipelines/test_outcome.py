"""What a search comes to, from its rows alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raysuite import settings
from raysuite.pipelines.tuning.outcome import Outcome, best_yaml
from raysuite.pipelines.tuning.trial import Brief
from raysuite.reporting.search import default_words
from raysuite.settings import preset
from raysuite.tuning.families import rotated
from raysuite.tuning.space import Dimension, Int, Space
from raysuite.tuning.trials import Rung, TrialRecord

BASE = preset("tiny")
SPACE = Space((Dimension("model.width", Int(8, 32)),)).validated(BASE)
BRIEF = Brief("run", BASE, SPACE, ("weave",), (2, 6), 0, oracle=False, threads=1)


def trial(number: int, width: int, score: float, separations: tuple[float, ...], steps: int = 6) -> TrialRecord:
    families = {
        name: {"separation": one, "image_auroc": one, "pixel_auroc": 0.8, "pixel_ap": 0.3, "aupro": 0.5}
        for name, one in zip(rotated(0).steering, separations, strict=True)
    }
    values = {"model.width": width}
    return TrialRecord(
        number=number, category="weave", seed=0, state="done" if steps == 6 else "stopped", values=values,
        config=settings.to_mapping(SPACE.config(BASE, values)), curve=(Rung(steps, score, 1e-3, 1.0),),
        families=families,
    )  # fmt: skip


DEFAULT = trial(0, BASE.model.width, 0.6, (0.6, 0.7, 0.8, 0.7, 0.6))


def outcome(*others: TrialRecord, **changes: Any) -> Outcome:
    return Outcome(replace(BRIEF, **changes), [DEFAULT, *others])


def test_a_trial_that_is_better_everywhere_wins() -> None:
    found = outcome(trial(1, 8, 0.7, (0.7, 0.8, 0.88, 0.8, 0.7)))
    assert found.winner == 1
    assert not found.is_default
    assert found.as_mapping()["passed_over"] is None


def test_a_trial_that_is_better_by_luck_with_one_family_leaves_the_default_and_is_named() -> None:
    lucky = trial(1, 8, 0.7, (0.6, 0.7, 0.99, 0.7, 0.62))
    found = outcome(lucky)
    assert found.winner == 0
    assert found.is_default
    assert found.config == BASE
    card = found.as_mapping()
    assert card["passed_over"]["number"] == 1
    assert card["leaders"][0]["number"] == 1
    assert "trial 1 has a better score (70.0), but not surely so: +" in default_words(card)


def test_an_oracle_s_settings_say_so_wherever_they_are_taken_to() -> None:
    better = trial(1, 8, 0.7, (0.7, 0.8, 0.88, 0.8, 0.7))
    for oracle in (False, True):
        found = outcome(better, oracle=oracle)
        words = best_yaml(found)
        assert settings.is_oracle(words) == oracle
        assert settings.from_yaml(words) == found.config


def test_the_rule_is_not_asked_of_an_oracle_nor_where_the_default_did_not_come_as_far() -> None:
    lucky = trial(1, 8, 0.7, (0.6, 0.7, 0.99, 0.7, 0.62))
    assert outcome(lucky, oracle=True).winner == 1
    early = trial(0, BASE.model.width, 0.6, (0.6, 0.7, 0.8, 0.7, 0.6), steps=2)
    assert Outcome(BRIEF, [early, lucky]).winner == 1
    assert Outcome(BRIEF, [lucky]).winner == 1
