import json

import numpy as np
import pytest
import torch

from raysuite.config import ERRORS, DetectionConfig
from raysuite.detection.calibration import calibrate
from raysuite.detection.difference import rounding_noise
from raysuite.errors import DetectorError

NOTHING_ELSE = {"device": torch.device("cpu"), "seed": 0, "provenance": {}}


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("normalise", ["place", "image", "none"])
@pytest.mark.parametrize("choice", ["auto", "fixed"])
def test_no_more_held_out_images_alarm_than_were_allowed(net, good_NCHW, rate, normalise, choice):
    held_out_NCHW = good_NCHW[10:]
    detection = DetectionConfig(
        choice=choice, false_alarm_rate=rate, map_normalise=normalise, score_normalise=normalise
    )
    detector = calibrate(
        net, category="a", detection=detection, train_NCHW=good_NCHW[:6], validation_NCHW=good_NCHW[6:10],
        held_out_NCHW=held_out_NCHW, **NOTHING_ELSE,
    )  # fmt: skip
    scored = detector.score([one.permute(1, 2, 0).numpy() for one in held_out_NCHW])
    assert scored.anomalous.mean() <= rate
    assert np.isclose(scored.scores, detector.threshold, rtol=1e-4).any(), "the threshold is one of the scores"


def test_good_errors_are_about_one_after_normalising(detector, good_NCHW):
    maps = detector.maps(detector.error(good_NCHW))
    assert 0.3 < maps.mean() < 1.2


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("choice", ["auto", "fixed"])
def test_a_perfect_repair_is_divided_by_what_rounding_makes_of_its_error(net, good_NCHW, error, choice, monkeypatch):
    monkeypatch.setattr("raysuite.detection.detector.difference", lambda images, _repaired, _kind: 0 * images.mean(1))
    made = calibrate(
        net, category="a", detection=DetectionConfig(error=error, choice=choice), train_NCHW=good_NCHW[:6],
        validation_NCHW=good_NCHW[6:10], held_out_NCHW=good_NCHW[10:], **NOTHING_ELSE,
    )  # fmt: skip
    assert made.detection.error == error
    for spread_HW in (made.map_spread_HW, made.score_spread_HW):
        assert spread_HW.unique().tolist() == pytest.approx([rounding_noise(error)])


def test_the_threshold_and_its_promise_go_into_the_provenance(detector):
    assert detector.provenance["seed"] == 3
    assert detector.provenance["threshold"]["threshold"] == detector.threshold
    assert detector.provenance["threshold"]["images"] == 16


def test_the_threshold_sees_held_out_images_alone_and_they_decide_nothing_else(net, good_NCHW):
    def made(validation, held_out):
        return calibrate(
            net, category="a", detection=DetectionConfig(), train_NCHW=good_NCHW[:10],
            validation_NCHW=good_NCHW[validation], held_out_NCHW=good_NCHW[held_out], **NOTHING_ELSE,
        )  # fmt: skip

    one, other = made(slice(10, 18), slice(18, 28)), made(slice(10, 18), slice(28, 40))
    assert one.threshold != other.threshold
    assert one.detection == other.detection
    for part in ("selection", "validation"):
        assert one.provenance[part] == other.provenance[part]
    assert torch.equal(one.map_spread_HW, other.map_spread_HW)


def test_fixed_takes_what_stands_and_auto_writes_down_what_it_took(net, good_NCHW, detector):
    wanted = DetectionConfig(
        choice="fixed", map_kernel=3, map_passes=1, score_passes=0, pooling="mean", score_normalise="image"
    )
    fixed = calibrate(
        net, category="a", detection=wanted, train_NCHW=good_NCHW[:10], validation_NCHW=good_NCHW[10:20],
        held_out_NCHW=good_NCHW[20:], **NOTHING_ELSE,
    )  # fmt: skip
    assert fixed.detection == wanted
    assert fixed.provenance["selection"] == {}
    assert detector.detection.choice == "fixed", "what stands in a detector is what it uses"
    chosen = detector.provenance["selection"]["map"]["chosen"]
    assert (chosen["kernel"], chosen["passes"]) == (detector.detection.map_kernel, detector.detection.map_passes)
    assert json.loads(json.dumps(dict(detector.provenance), allow_nan=False)) == dict(detector.provenance)


@pytest.mark.parametrize("part", ["train", "validation", "held_out"])
def test_without_images_of_a_part_there_is_no_detector(net, good_NCHW, part):
    parts = {f"{name}_NCHW": good_NCHW[: 0 if name == part else 4] for name in ("train", "validation", "held_out")}
    with pytest.raises(DetectorError, match="category nuts"):
        calibrate(net, category="nuts", detection=DetectionConfig(), **parts, **NOTHING_ELSE)


def test_a_single_image_makes_a_detector(net, good_NCHW):
    one_NCHW = good_NCHW[:1]
    detector = calibrate(
        net, category="a", detection=DetectionConfig(), train_NCHW=one_NCHW, validation_NCHW=one_NCHW,
        held_out_NCHW=one_NCHW, **NOTHING_ELSE,
    )  # fmt: skip
    assert np.isfinite(detector.threshold)
    assert 0 < detector.provenance["validation"]["score"] < 1
    assert "nothing was chosen" in detector.provenance["selection"]["note"]
