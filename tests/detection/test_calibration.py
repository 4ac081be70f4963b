import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raysuite.config import DetectionConfig
from raysuite.detection.calibration import calibrate, split_held_out
from raysuite.errors import DetectorError


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.integers(2, 400), st.floats(0.001, 0.5), st.integers(0, 2**31))
def test_the_split_is_whole_disjoint_and_reproducible(count, share, seed):
    train, held_out = split_held_out(count, share, seed)
    assert sorted([*train.tolist(), *held_out.tolist()]) == list(range(count))
    assert len(train) >= 1
    assert len(held_out) == min(max(1, round(share * count)), count - 1)
    assert train.tolist() == sorted(train.tolist())
    assert held_out.tolist() == sorted(held_out.tolist())
    again = split_held_out(count, share, seed)
    assert torch.equal(train, again[0])
    assert torch.equal(held_out, again[1])


def test_another_seed_splits_otherwise():
    assert not torch.equal(split_held_out(100, 0.1, 0)[1], split_held_out(100, 0.1, 1)[1])


def test_a_single_image_serves_as_both():
    assert [part.tolist() for part in split_held_out(1, 0.1, 0)] == [[0], [0]]


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("normalise", [True, False])
def test_no_more_held_out_images_alarm_than_were_allowed(net, good_NCHW, rate, normalise):
    held_out_NCHW = good_NCHW[10:]
    detector = calibrate(
        net, category="a", detection=DetectionConfig(false_alarm_rate=rate, normalise=normalise),
        train_NCHW=good_NCHW[:10], held_out_NCHW=held_out_NCHW, device=torch.device("cpu"), provenance={},
    )  # fmt: skip
    scored = detector.score([one.permute(1, 2, 0).numpy() for one in held_out_NCHW])
    assert scored.anomalous.mean() <= rate
    assert np.isclose(scored.scores, detector.threshold, rtol=1e-4).any(), "the threshold is one of the scores"


def test_good_errors_are_about_one_after_normalising(detector, good_NCHW):
    maps = detector.maps(detector.error(good_NCHW))
    assert 0.3 < maps.mean() < 1.2


def test_the_threshold_and_its_promise_go_into_the_provenance(detector):
    assert detector.provenance["seed"] == 3
    assert detector.provenance["threshold"]["threshold"] == detector.threshold
    assert detector.provenance["threshold"]["images"] == 20


def test_without_held_out_images_there_is_no_detector(net, good_NCHW):
    with pytest.raises(DetectorError, match="category nuts"):
        calibrate(
            net, category="nuts", detection=DetectionConfig(), train_NCHW=good_NCHW, held_out_NCHW=good_NCHW[:0],
            device=torch.device("cpu"), provenance={},
        )  # fmt: skip
