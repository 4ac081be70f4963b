"""The folder of a search with figures made up from its settings, written by the code that a real one is written by."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from raysuite import settings
from raysuite.datasets.entries import Source
from raysuite.pipelines.tuning import outcome as outcomes
from raysuite.pipelines.tuning.finals import TEST
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.outcome import Outcome
from raysuite.pipelines.tuning.trial import Brief
from raysuite.runs import Run
from raysuite.settings import preset
from raysuite.storage import Location
from raysuite.tuning.spacefile import space_from_mapping
from raysuite.tuning.trials import Rung, TrialRecord, as_table, write_trial

RUNGS = (100, 300, 900)
SPACE: dict[str, Any] = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "model.width": {"low": 16, "high": 48},
    "model.skip": ["convex", "concat", "none"],
    "model.bottleneck": {"choices": [16, 32, 64], "when": {"model.skip": ["none"]}},
    "model.dilations": [[1, 2], [1, 2, 4]],
}
BEGAN = 1_760_000_000.0


def write_search_folder(
    root: Location,
    categories: Sequence[str] = ("weave",),
    *,
    trials: int = 24,
    per_category: bool = False,
    oracle: bool = False,
    is_over: bool = True,
    reason: str = "the loss is no longer a number",
    node: str = "node-1",
    keep: Sequence[str] = (),
) -> Location:
    """Write the folder of a search.

    Args:
        root: Where to.
        categories: What is searched on.
        trials: Of each search; the third of four fails if there are so many, and one is going on before the end.
        per_category: A search each.
        oracle: By test labels.
        is_over: With all that stands there in the end.
        reason: Of the trial that failed.
        node: Of all trials.
        keep: Categories on which no trial is better than the default.
    """
    config = preset("tiny")
    run = Run.create(root.uri, [Source("/data", "mvtec")], config)
    folder, space = SearchFolder(run), space_from_mapping(SPACE).validated(config)
    card = {
        "categories": sorted(categories), "per_category": per_category, "space": space.as_mapping(), "search": "tpe",
        "early_stopping": True, "minimise": None, "rungs": RUNGS, "seed": 0,
        "objective": "oracle" if oracle else "good",
    }  # fmt: skip
    folder.claim(card, [space.default_of(config)])
    folder.note_plan({"trials_each": trials, "each": {"cpus": 2, "gpus": 0.5}, "time_budget": 3600.0})
    folder.set_spent(categories, 1234.5)
    provenance = {"raysuite": "1", "commands": [{"command": "raysuite tune data --run search", "at": "now"}]}
    (root / "provenance.json").write_text(json.dumps(provenance))
    groups = [(one,) for one in sorted(categories)] if per_category else [tuple(sorted(categories))]
    briefs = [Brief(root.uri, config, space, group, RUNGS, 0, oracle, 2) for group in groups]
    records = [record for brief in briefs for record in _records(brief, trials, is_over, reason, node, keep)]
    for record in records:
        write_trial(folder.rows, record)
    if is_over:
        _conclude(folder, briefs, records, card)
    return root


def _records(
    brief: Brief, trials: int, is_over: bool, reason: str, node: str, keep: Sequence[str]
) -> list[TrialRecord]:
    rng, found = random.Random(7), list[TrialRecord]()
    values = [brief.space.default_of(brief.base), *(brief.space.draw(rng) for _ in range(trials - 1))]
    for number, own in enumerate(map(brief.space.active, values)):
        config = settings.to_mapping(brief.space.config(brief.base, own))
        is_last = number == trials - 1 and not is_over
        kept = 3 if number == 0 or rng.random() < 0.4 else rng.choice([1, 2])
        for category in brief.categories:
            quality = 0.8 - 0.1 * abs(math.log10(own["training.learning_rate"]) + 3) + 0.02 * rng.random()
            if number == 0 and category in keep:
                quality = 0.9
            rungs = [
                Rung(steps, round(quality + 0.03 * place, 4), 1e-3 / (1 + place), 10.0 * (place + 1))
                for place, steps in enumerate(RUNGS[:kept])
            ]
            begun = BEGAN + 30.0 * (number // 2) + 2 * (number % 2)
            record = TrialRecord(
                number=number, category=category, seed=0, state="done" if kept == 3 else "stopped", values=own,
                reason=None if kept == 3 else f"others were better after {rungs[-1].steps} steps", config=config,
                curve=tuple(rungs), judged=quality if kept == 3 else None, parameters=1000 * own["model.width"],
                latency_ms=1.0 + own["model.width"] / 10, started=begun, ended=begun + 28.0, node=node,
                objective=brief.objective,
            )  # fmt: skip
            if is_last:
                record = replace(record, state="running", reason=None, ended=None, curve=())
            elif number == 2:
                record = replace(record, state="failed", reason=reason, curve=record.curve[:1])
            found.append(record)
    return found


def _conclude(
    folder: SearchFolder, briefs: Sequence[Brief], records: Sequence[TrialRecord], card: dict[str, Any]
) -> None:
    root = folder.run.root
    tested = [
        {"number": one.number, "category": one.category, "steps": one.steps, "error": None,
         "objective": one.objective,
         **dict.fromkeys(("image_auroc", "pixel_auroc", "pixel_ap", "aupro"), min(1.0, (one.score or 0) * 1.05))}
        for one in records if one.reached is not None
    ]  # fmt: skip
    (root / "test.parquet").write_table(pa.Table.from_pylist(tested, schema=TEST))
    (root / "trials.parquet").write_table(as_table(records))
    found = [Outcome(brief, records) for brief in briefs]
    rows = {
        name: [
            # Pairs differ by 5 points on the mean, and not all by the same.
            {"category": category, "seed": seed,
             **dict.fromkeys(("image_auroc", "pixel_auroc", "aupro"), base + slope * (seed - 2))}
            for one in found if not one.is_default for category in one.brief.categories for seed in (1, 2, 3)
        ]
        for name, base, slope in (("winner", 0.9, 0.01), ("default", 0.85, 0.008))
    }  # fmt: skip
    summary = {
        "format": 1, "oracle": briefs[0].oracle, "minimise": None, "states": outcomes.states(records, together=True),
        "failures": outcomes.failures(records), "without": [], "spent_seconds": 1234.5,
        "training_seconds": 0.9 * sum(one.seconds for one in records),
        "trained_steps": sum(one.steps for one in records),
        "outcomes": [
            {"file": f"best-{one.brief.categories[0]}.yaml", **one.as_mapping()} for one in found
        ],
        "correlations": outcomes.correlations(records, tested, RUNGS),
        "each": {"cpus": 2, "gpus": 0.5},
        "final": {
            "seeds": [1, 2, 3], "verdicts": outcomes.verdicts(rows["winner"], rows["default"]),
            "rows": [{"settings": name, **row} for name, own in rows.items() for row in own], "failed": [],
        },
    }  # fmt: skip
    (root / "summary.json").write_text(json.dumps(summary))
