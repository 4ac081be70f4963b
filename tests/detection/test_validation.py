from dataclasses import replace

import numpy as np
import pytest
import torch

from raysuite.detection.trial import Defects, Trial
from raysuite.detection.validation import FIGURES, validate


@pytest.fixture(scope="module")
def plain(detector):
    """A detector whose map and score are those of the error itself."""
    detection = replace(detector.detection, map_passes=0, score_passes=0, pooling="max")
    return replace(detector, detection=detection, map_spread_HW=torch.ones(32, 64), score_spread_HW=torch.ones(32, 64))


def trial(strength):
    generator = torch.Generator().manual_seed(0)
    good_NHW = 0.1 + torch.rand(8, 32, 64, generator=generator)
    mask_nHW = torch.zeros(8, 32, 64, dtype=torch.bool)
    mask_nHW[:, 10:16, 20:30] = True
    families = {
        name: Defects(torch.rand(8, 32, 64, generator=generator) + factor * mask_nHW, mask_nHW, torch.arange(8))
        for name, factor in (("faint", strength), ("strong", 2 * strength))
    }
    return Trial(good_NHW, families)


def test_figures_are_means_over_the_families(plain):
    figures = validate(plain, trial(0.5))
    assert set(figures["families"]) == {"faint", "strong"}
    for name in FIGURES:
        assert figures[name] == pytest.approx(np.mean([of[name] for of in figures["families"].values()]))
        assert 0 <= figures[name] <= 1
    assert figures["images"] == 8
    assert figures["residual"] == pytest.approx(0.6, abs=0.02)
    assert figures["families"]["strong"]["pixel_ap"] > figures["families"]["faint"]["pixel_ap"]


def test_the_score_rises_with_what_is_found_also_where_the_image_auroc_stands_at_one(plain):
    figures = [validate(plain, trial(strength)) for strength in (0.05, 0.2, 0.5, 0.7)]
    scores = [of["score"] for of in figures]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    assert 0 < scores[0] < scores[-1] < 1


def test_what_is_not_defined_is_none(plain):
    good_NHW = torch.rand(8, 32, 64)
    nothing = validate(plain, Trial(good_NHW, {}))
    assert [nothing[name] for name in (*FIGURES, "score")] == [None] * 6
    assert nothing["residual"] > 0
    whole = trial(0.5)
    one = Trial(
        whole.good_NHW[:1],
        {name: Defects(d.error_nHW[:1], d.mask_nHW[:1], d.good_n[:1]) for name, d in whole.families.items()},
    )
    assert validate(plain, one)["separation"] is None
    assert 0 < validate(plain, one)["score"] < 1, "one good image is enough to tune by"
