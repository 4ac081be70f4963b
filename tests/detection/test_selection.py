from dataclasses import replace

import numpy as np
import pytest
import torch

from raysuite.config import DetectionConfig
from raysuite.detection import selection
from raysuite.detection.maps import usual_errors
from raysuite.detection.selection import choose, filters_to_try, log_odds, separation
from raysuite.detection.trial import Defects, Trial, hold_trial

CONFIG = DetectionConfig()


def noise(count, seed, size=(64, 64)):
    return torch.rand(count, *size, generator=torch.Generator().manual_seed(seed)) ** 4


def trial(strength=2.0, images=12, families=5, side=9, pattern_HW=1.0, first=0):
    """Noise, with squares of a weak error on it whose strength rises from image to image."""
    good_NHW = noise(images, 0) * pattern_HW
    found = {}
    for family in range(families):
        rng = np.random.default_rng(first + family)
        error_nHW, mask_nHW = noise(images, 10 + family) * pattern_HW, torch.zeros(images, 64, 64, dtype=torch.bool)
        for index in range(images):
            row, column = rng.integers(2, 62 - side, 2)
            mask_nHW[index, row : row + side, column : column + side] = True
        rise_n11 = torch.linspace(0.2, 1.0, images).view(-1, 1, 1)
        found[f"family {family}"] = Defects(error_nHW + strength * rise_n11 * mask_nHW, mask_nHW, torch.arange(images))
    return Trial(good_NHW, found)


def usual(detection=CONFIG, pattern_HW=1.0):
    return usual_errors([noise(60, 5) * pattern_HW], filters_to_try(detection))


def merits(compared, part, **where):
    return [
        one["merit"] for one in compared[part]["candidates"] if all(one[key] == value for key, value in where.items())
    ]


def test_a_smoothing_that_is_plainly_too_narrow_is_replaced():
    configured = replace(CONFIG, map_kernel=1, map_passes=0)
    chosen, compared = choose(trial(), usual(configured), configured)
    assert chosen.choice == "fixed"
    assert (chosen.map_kernel, chosen.map_passes) in selection.MAP_FILTERS
    assert compared["map"]["gain"] > selection.SURE * compared["map"]["standard_error"] > 0
    assert compared["map"]["default"]["kernel"] == 1
    assert compared["map"]["chosen"] == compared["map"]["best"]
    assert (chosen.map_kernel, chosen.map_passes) == (
        compared["map"]["chosen"]["kernel"],
        compared["map"]["chosen"]["passes"],
    )


def test_a_pooling_that_drowns_small_defects_is_replaced():
    configured = replace(CONFIG, pooling="mean")
    chosen, compared = choose(trial(side=5), usual(configured), configured)
    assert chosen.pooling != "mean"
    assert max(merits(compared, "score", pooling="top")) > max(merits(compared, "score", pooling="mean")) + 0.05


def test_places_that_are_always_hard_are_divided_away():
    pattern_HW = torch.full((64, 64), 0.02)
    pattern_HW[20:40] = 1.0
    configured = replace(CONFIG, map_normalise="none", score_normalise="none")
    chosen, _ = choose(trial(strength=0.3, pattern_HW=pattern_HW), usual(configured, pattern_HW), configured)
    assert chosen.map_normalise == chosen.score_normalise == "place"


def test_noise_rarely_chooses():
    # Defects that leave no error at all: whatever ranks first among so many candidates does so by luck.
    changed = {"map": 0, "score": 0}
    for seed in range(1000, 1800, 100):
        families = {}
        for name, one in trial(images=16, families=7, first=seed).families.items():
            families[name] = Defects(noise(16, seed + len(families)), one.mask_nHW, one.good_n)
        usual = usual_errors([noise(60, seed + 50)], filters_to_try(CONFIG))
        _, compared = choose(Trial(noise(16, seed + 60), families), usual, CONFIG)
        for part in changed:
            changed[part] += compared[part]["chosen"] != compared[part]["default"]
    assert sum(changed.values()) <= 5, "of 16 choices"


def test_what_is_configured_is_always_among_the_candidates_and_never_worse_than_the_chosen():
    configured = replace(CONFIG, map_kernel=31, map_passes=1, score_kernel=3, score_share=0.1, score_normalise="none")
    chosen, compared = choose(trial(), usual(configured), configured)
    for part in ("map", "score"):
        table = compared[part]
        of = {str({k: v for k, v in one.items() if k != "merit"}): one["merit"] for one in table["candidates"]}
        assert str(table["default"]) in of
        assert len(of) == len(table["candidates"]), "no candidate is there twice"
        assert of[str(table["chosen"])] >= of[str(table["default"])]
    kept = ("floor", "flips", "false_alarm_rate")
    assert all(getattr(chosen, name) == getattr(configured, name) for name in kept)


def test_too_few_images_or_no_visible_defect_keep_what_is_configured():
    for small in (trial(images=3), Trial(noise(12, 0), {})):
        chosen, compared = choose(small, usual(), CONFIG)
        assert chosen == replace(CONFIG, choice="fixed")
        assert "nothing was chosen" in compared["note"]


def test_one_defect_in_all_chooses_nothing():
    whole = trial()
    name, some = next(iter(whole.families.items()))
    one = Defects(some.error_nHW[3:4], some.mask_nHW[3:4], some.good_n[3:4])
    chosen, compared = choose(Trial(whole.good_NHW, {name: one}), usual(), CONFIG)
    assert chosen == replace(CONFIG, choice="fixed")
    assert compared["map"]["standard_error"] in {0.0, None}


def test_a_family_seen_on_few_images_counts_with_these():
    whole = trial()
    name, some = next(iter(whole.families.items()))
    few = Defects(some.error_nHW[3:5], some.mask_nHW[3:5], some.good_n[3:5])
    chosen, compared = choose(Trial(whole.good_NHW, {**whole.families, name: few}), usual(), CONFIG)
    assert all(np.isfinite(one["merit"]) for part in ("map", "score") for one in compared[part]["candidates"])
    assert chosen.choice == "fixed"


def test_separation_is_a_smooth_auroc_that_knows_no_unit():
    generator = torch.Generator().manual_seed(0)
    good_N = torch.exp(torch.randn(4000, generator=generator))
    defective_n = torch.exp(1.0 + torch.randn(4000, generator=generator))
    surely = separation(good_N, defective_n)
    below = float((good_N[None] < defective_n[:, None]).double().mean())
    assert float(surely.mean()) == pytest.approx(below, abs=0.01)
    assert torch.allclose(separation(5 * good_N, 5 * defective_n), surely)
    assert float(separation(torch.ones(3), torch.tensor([1.5]))[0]) == pytest.approx(1.0, abs=1e-4)
    assert separation(torch.zeros(3), torch.zeros(1)).isfinite().all()


def test_separation_is_as_often_right_as_it_says_however_few_good_images_there_are():
    rng = np.random.default_rng(0)
    for count in (3, 4, 12):
        # Where a further good image lies among what good images foretell is evenly spread over [0, 1].
        good_TN, further_T = np.exp(rng.normal(size=(4000, count))), np.exp(rng.normal(size=4000))
        told = [
            float(separation(torch.from_numpy(good_N), torch.tensor([further]))[0])
            for good_N, further in zip(good_TN, further_T, strict=True)
        ]
        assert np.quantile(told, (0.01, 0.1, 0.5, 0.9, 0.99)) == pytest.approx((0.01, 0.1, 0.5, 0.9, 0.99), abs=0.02)


def test_log_odds_count_the_way_that_is_left():
    assert log_odds(0.98) - log_odds(0.96) == pytest.approx(log_odds(0.99) - log_odds(0.98), abs=0.03)
    assert log_odds(0.5) == 0
    assert np.isfinite([log_odds(0.0), log_odds(1.0)]).all()


def test_a_trial_shows_the_same_defects_to_every_net():
    images_NCHW = torch.randint(60, 200, (5, 3, 48, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    shown: list[list[torch.Tensor]] = [[], [], []]

    def net(log, factor):
        return lambda batch: (log.append(batch), factor * batch.float().mean(1))[1]

    first, again, other = (
        hold_trial(net(log, factor), images_NCHW, seed)
        for log, factor, seed in zip(shown, (1.0, 3.0, 1.0), (1, 1, 2), strict=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(shown[0], shown[1], strict=True))
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(shown[0], shown[2], strict=False))
    assert torch.equal(first.good_NHW, images_NCHW.float().mean(1))
    assert first.families.keys() == again.families.keys()
    for name, defects in first.families.items():
        assert torch.equal(defects.mask_nHW, again.families[name].mask_nHW)
        assert defects.mask_nHW.flatten(1).any(1).all(), "an image on which nothing shows is no defect"
        assert len(defects.good_n) == len(defects.error_nHW) == len(defects.mask_nHW)
    assert other.good_NHW.shape == first.good_NHW.shape


def test_a_trial_of_many_images_stays_small():
    images_NCHW = torch.zeros(100, 3, 32, 32, dtype=torch.uint8)
    assert len(hold_trial(lambda batch: batch.float().mean(1), images_NCHW, 0).good_NHW) == 24
