"""A run against a baseline: the differences are those of metrics.parquet, and what cannot be compared is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from raysuite.errors import RunError
from raysuite.reporting.contrast import SIGNIFICANT, Contrast, contrast
from raysuite.reporting.contrast_table import Beside, change_text, p_text, signed
from raysuite.reporting.definitions import METRICS
from raysuite.reporting.loaded import LoadedRun
from raysuite.storage import Location

from .run_folder import FakeCategory, write_run_folder

NAMES = ("carpet", "grid", "screw", "tile", "wood")
GOOD = tuple(FakeCategory(name, separation=1.5 + 0.1 * at) for at, name in enumerate(NAMES))
WORSE = tuple(replace(category, separation=0.4 * category.separation) for category in GOOD)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Location]:
    home = tmp_path_factory.mktemp("contrasts")
    made = {
        "good": (GOOD, (0, 1, 2)),
        "worse": ((*WORSE, FakeCategory("zipper")), (1, 2, 3)),
        "other images": (tuple(replace(category, n_good=9) for category in GOOD[:2]), (0,)),
        "others": ((FakeCategory("weave"),), (0,)),
        "failed": ((replace(GOOD[0], failed=True), *GOOD[1:3]), (5,)),
    }
    return {
        name: write_run_folder(Location.of(home / name), categories, seeds, gallery=0)
        for name, (categories, seeds) in made.items()
    }


def against(runs: dict[str, Location], ours: str, baseline: str) -> Contrast:
    return contrast(LoadedRun.at(runs[ours]), LoadedRun.at(runs[baseline]), "filter", "filter")


def test_differences_are_those_of_the_seeds_that_both_have(runs):
    found = against(runs, "good", "worse")
    rows = {
        name: [row for row in (runs[name] / "metrics.parquet").read_table().to_pylist() if row["seed"] in (1, 2)]
        for name in ("good", "worse")
    }
    for category in NAMES:
        change = found.of(category)
        assert change is not None
        assert change.seeds == (1, 2)
        for metric in METRICS:
            ours, base = (
                sum(row[metric.key] for row in some if row["category"] == category) / 2 for some in rows.values()
            )
            assert change.changes[metric.key].value == pytest.approx(ours - base)
            if metric.key == "image_auroc":
                assert change.changes[metric.key].test.value == pytest.approx(ours - base)
    for metric in METRICS:
        values = [found.of(name).changes[metric.key].value for name in NAMES]
        assert found.means[metric.key].value == pytest.approx(sum(values) / 5)
        assert found.counted[metric.key] == 5


def test_a_clear_difference_is_significant_and_none_is_not(runs):
    assert against(runs, "good", "worse").means["image_auroc"].significant
    same = against(runs, "good", "good")
    assert not any(change.significant for change in same.means.values())
    assert all(change.value == 0 for one in same.categories for change in one.changes.values())
    assert same.differences == {}
    assert same.warnings == ()


def test_p_values_are_corrected_for_the_number_of_categories(runs):
    few = [run for run in LoadedRun.at(runs["good"]).results.runs if run.category == "tile"]
    whole = LoadedRun.at(runs["good"])
    alone = replace(whole, results=replace(whole.results, runs=tuple(few)))
    single = contrast(alone, LoadedRun.at(runs["worse"]), "filter", "filter").of("tile").changes["image_auroc"].test
    among = against(runs, "good", "worse").of("tile").changes["image_auroc"].test
    assert among.p_value >= single.p_value
    assert (among.low, among.high) == (single.low, single.high)


def test_what_only_one_run_has_is_listed_and_not_counted(runs):
    found = against(runs, "good", "worse")
    zipper = found.of("zipper")
    assert zipper is not None
    assert (zipper.changes, zipper.note) == ({}, "only in the baseline")
    failed = against(runs, "failed", "good")
    assert failed.of("carpet").note == "failed in the run"
    assert failed.counted["image_auroc"] == 2


def test_other_test_images_are_not_tested_and_warned_of(runs):
    found = against(runs, "other images", "good")
    change = found.of("carpet")
    assert "other test images" in change.note
    assert change.changes["image_auroc"].test is None
    assert "Other test images in carpet, grid" in found.warnings[0]


def test_seeds_without_a_match_are_compared_as_means_and_it_is_said(runs):
    found = against(runs, "failed", "good")
    assert found.of("grid").seeds == ()
    assert found.of("grid").note == "no seed in common"
    assert found.of("grid").changes["image_auroc"].test is not None


def test_few_categories_make_no_claim_about_their_mean(runs):
    mean = against(runs, "failed", "worse").means["image_auroc"]
    assert not mean.significant
    assert change_text(mean) == signed(mean.value)


def test_runs_without_a_common_category_are_refused_by_name(runs):
    with pytest.raises(RunError, match="no category in common: weave on the one side, carpet, grid, screw and 2 more"):
        against(runs, "others", "good")


def test_settings_code_and_data_that_differ_are_said(tmp_path: Path):
    roots = [write_run_folder(Location.of(tmp_path / name), GOOD[:1], (0,), gallery=0) for name in ("a", "b")]
    card = yaml.safe_load((roots[0] / "config.yaml").read_text())
    card["settings"]["training"]["steps"] += 7
    (roots[0] / "config.yaml").write_text(yaml.safe_dump(card))
    provenance = json.loads((roots[0] / "provenance.json").read_text())
    provenance["git"]["commit"] = "1" * 40
    provenance["data"]["fingerprint"] = "f" * 64
    (roots[0] / "provenance.json").write_text(json.dumps(provenance))
    found = contrast(LoadedRun.at(roots[0]), LoadedRun.at(roots[1]), "filter", "filter")
    steps = card["settings"]["training"]["steps"]
    assert found.differences == {
        "training.steps": (str(steps), str(steps - 7)), "git commit": ("1" * 40, "0" * 40),
    }  # fmt: skip
    assert "fingerprint ffffffffffff here, abababababab in b" in found.warnings[0]


def test_the_table_shows_the_means_the_differences_and_what_differs(runs):
    beside = Beside([LoadedRun.at(runs[name]) for name in ("worse", "good", "failed")])
    text = beside.plain()
    lines = text.splitlines()
    assert lines[0] == "Image AUROC, percent"
    assert lines[1].split() == ["Category", "worse", "good", "difference", "failed", "difference"]
    change = beside.contrasts[0].of("wood").changes["image_auroc"]
    wood = next(line for line in lines if line.startswith("wood"))
    assert f"{signed(change.value)} {SIGNIFICANT} [" in wood
    assert "seeds: 1, 2, 3 in worse, 0, 1, 2 in good" in lines
    assert "Mean of 2" in text, "carpet failed in the third run"
    assert beside.incomplete
    records = json.loads(json.dumps(beside.records(), allow_nan=False))
    assert records["runs"][0]["mean"]["aupro"]["categories"] == 5
    wood = next(one for one in records["runs"][0]["categories"] if one["category"] == "wood")
    assert wood["metrics"]["image_auroc"]["difference"] == change.value
    assert wood["metrics"]["pixel_ap"]["p_value"] is None


def test_runs_of_the_same_name_are_told_apart_by_their_place(tmp_path: Path):
    roots = [write_run_folder(Location.of(tmp_path / name / "run"), GOOD[:1], (0,), gallery=0) for name in ("a", "b")]
    assert Beside([LoadedRun.at(root) for root in roots]).names == (roots[0].uri, roots[1].uri)


def test_small_numbers_are_printed_for_what_they_are():
    assert (signed(0.0), signed(-0.00001), signed(-0.012), signed(0.1)) == ("+0.0", "+0.0", "-1.2", "+10.0")
    assert (p_text(0.0004), p_text(0.0123)) == ("< 0.001", "0.012")
    assert change_text(None) == "–"
