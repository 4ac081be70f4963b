import math

import numpy as np
import pytest

from raysuite.tuning.preference import gain

NAMES = ("dent", "smear", "crack", "shading", "missing")


def figures(separation, ap=0.3):
    return {
        name: {"separation": one, "image_auroc": one, "pixel_auroc": 0.8, "pixel_ap": ap, "aupro": None}
        for name, one in zip(NAMES, separation, strict=True)
    }


DEFAULT = [figures((0.6, 0.8, 0.7, 0.9, 0.75))]


def test_what_is_gained_on_all_families_is_sure_and_what_is_gained_on_one_is_not():
    everywhere = gain([figures((0.65, 0.85, 0.75, 0.95, 0.8))], DEFAULT, NAMES)
    once = gain([figures((0.85, 0.8, 0.7, 0.9, 0.75))], DEFAULT, NAMES)
    assert everywhere.odds == pytest.approx(once.odds), "the mean is the same"
    assert everywhere.is_sure
    assert not once.is_sure


def test_a_loss_is_never_sure_and_nothing_is_gained_on_oneself():
    assert not gain([figures((0.5, 0.7, 0.6, 0.8, 0.65))], DEFAULT, NAMES).is_sure
    itself = gain(DEFAULT, DEFAULT, NAMES)
    assert (itself.odds, itself.error) == (0, 0)
    assert not itself.is_sure


def test_families_that_do_not_steer_say_nothing():
    better = [figures((0.6, 0.8, 0.7, 0.9, 0.99))]
    assert gain(better, DEFAULT, NAMES[:4]).odds == 0


def test_one_family_is_never_enough():
    alone = gain([figures((0.9,) * 5)], DEFAULT, NAMES[:1])
    assert alone.odds > 0
    assert math.isinf(alone.error)
    assert not alone.is_sure


def test_without_a_score_there_is_no_gain():
    assert gain([figures((None,) * 5, ap=None)], DEFAULT, NAMES) is None


def test_luck_with_families_is_seldom_taken_for_a_gain():
    rng = np.random.default_rng(0)

    def lucky():
        return [figures(np.clip(0.75 + 0.05 * rng.normal(size=5), 0.01, 0.99))]

    sure = [gain(lucky(), lucky(), NAMES).is_sure for _ in range(400)]
    # P(t > 2) with 4 degrees of freedom is 0.058.
    assert np.mean(sure) < 0.1
