"""Published results stand beside a run's own only where they belong, and agree with their own means."""

from __future__ import annotations

import pytest

from raysuite.reporting.definitions import METRICS
from raysuite.reporting.published import _known, published_beside
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import summarise
from raysuite.storage import Location

from .run_folder import FakeCategory, write_run_folder

BOTTLE = FakeCategory("bottle", n_good=20, n_defect=63)


def beside(tmp_path, *categories: FakeCategory):
    root = write_run_folder(Location.of(tmp_path / "run"), categories, seeds=(0,), gallery=0)
    return published_beside(summarise(load_results(root))[0])


@pytest.mark.parametrize("data_set", _known(), ids=lambda one: one["name"])
def test_every_published_figure_has_its_source_and_agrees_with_the_printed_mean(data_set):
    names = [(method["name"]) for method in data_set["methods"]]
    assert len(names) == len(set(names))
    known = {metric.key for metric in METRICS}
    for method in data_set["methods"]:
        assert method["source"]
        assert method["note"]
        assert set(method["mean"]) <= known
        for key, values in method.get("figures", {}).items():
            assert len(values) == len(data_set["categories"])
            assert all(0 < value <= 100 for value in values)
            # Rounded once from unrounded figures; those printed without decimals are rounded to a whole percent.
            rounding = 0.5 if isinstance(method["mean"][key], int) else 0.1
            assert sum(values) / len(values) == pytest.approx(method["mean"][key], abs=rounding)


def test_a_category_has_its_published_figures_beside_it(tmp_path):
    (found,) = beside(tmp_path, BOTTLE)
    assert (found.data_set, found.categories, found.of, found.notes) == ("MVTec AD", ("bottle",), 15, ())
    methods = {method.name: method for method in found.methods}
    assert methods["RIAD"].figures["image_auroc"] == {"bottle": pytest.approx(0.999)}
    assert methods["DRAEM"].means == pytest.approx({"image_auroc": 0.992, "pixel_auroc": 0.991, "pixel_ap": 0.865})
    assert not methods["NSA (logistic)"].pretrained
    assert methods["DRAEM"].pretrained
    assert methods["GLASS (anomalib's run)"].features.startswith("ImageNet")
    assert found.own["image_auroc"] is not None


def test_a_mean_over_all_categories_is_not_set_beside_some(tmp_path):
    (found,) = beside(tmp_path, BOTTLE)
    assert "GLASS-j" not in {method.name for method in found.methods}
    card = next(one for one in _known() if one["name"] == "MVTec AD")
    everything = [FakeCategory(name, n_good=g, n_defect=d) for name, (g, d) in card["categories"].items()]
    (found,) = beside(tmp_path / "all", *everything)
    methods = {method.name: method for method in found.methods}
    assert methods["GLASS-j"].means == pytest.approx({"image_auroc": 0.999, "pixel_auroc": 0.993})
    assert methods["GLASS-j"].test_labels
    assert methods["PatchCore-1 %"].means["pixel_auroc"] == pytest.approx(0.98)


def test_a_name_alone_proves_nothing(tmp_path):
    assert beside(tmp_path, FakeCategory("screw"), FakeCategory("weave")) == ()


def test_other_good_images_are_said(tmp_path):
    (found,) = beside(tmp_path, FakeCategory("grid", n_good=24, n_defect=57), FakeCategory("weave"))
    assert found.categories == ("grid",)
    assert "24 good test images here, 21 in the official split" in found.notes[0]


def test_what_failed_has_nothing_beside_it(tmp_path):
    assert beside(tmp_path, FakeCategory("bottle", failed=True), FakeCategory("weave")) == ()
