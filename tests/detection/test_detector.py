import json
import pickle
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from raysuite.config import ERRORS
from raysuite.detection.detector import Detector
from raysuite.errors import DetectorError
from raysuite.models.autoencoder import build


def pictures(*sizes):
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.fixture
def saved(detector, tmp_path):
    detector.save(tmp_path / "detector")
    return tmp_path / "detector"


def edit(folder, **changes):
    file = folder / "detector.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_loaded_detector_scores_to_the_bit_as_the_saved_one(detector, saved):
    images = pictures((32, 64), (50, 70), (32, 64))
    first, second = detector.score(images), Detector.load(saved).score(images)
    assert np.array_equal(first.scores, second.scores)
    assert all(np.array_equal(a, b) for a, b in zip(first.maps, second.maps, strict=True))
    assert np.array_equal(first.anomalous, second.anomalous)


def test_all_that_a_detector_is_survives(detector, saved):
    loaded = Detector.load(str(saved))
    for name in ("category", "size", "detection", "threshold", "symmetries", "provenance"):
        assert getattr(loaded, name) == getattr(detector, name)
    assert loaded.net.config == detector.net.config
    assert not loaded.net.training
    assert sorted(p.name for p in saved.iterdir()) == ["detector.json", "weights.safetensors"]


def test_a_template_is_saved_and_loaded_with_the_net(detector, tmp_path):
    template_CHW = torch.rand(3, 32, 64, generator=torch.Generator().manual_seed(0))
    # To a device, as a loaded one is: the layout of the weights decides the last bits.
    placed = replace(detector, net=build(detector.net.config, 0, template_CHW).eval()).to("cpu")
    images = pictures((32, 64), (50, 70))
    placed.save(tmp_path)
    assert np.array_equal(Detector.load(tmp_path).score(images).scores, placed.score(images).scores)
    assert not np.array_equal(placed.score(images).scores, detector.score(images).scores)


def test_a_template_of_another_size_is_damage(detector, tmp_path):
    replace(detector, net=build(detector.net.config, 0, torch.rand(3, 32, 32)).eval()).save(tmp_path)
    with pytest.raises(DetectorError, match="its template is of another"):
        Detector.load(tmp_path)


@pytest.mark.parametrize("version", [2, 3])
def test_detectors_of_before_there_were_templates_are_read(detector, saved, version):
    card = json.loads((saved / "detector.json").read_text())
    for name in ("template", "output"):
        del card["model"][name]
    del card["detection"]["error"]
    edit(saved, version=version, model=card["model"], detection=card["detection"])
    squared = replace(detector, detection=replace(detector.detection, error="squared"))
    assert Detector.load(saved).score(pictures((32, 64))).scores == squared.score(pictures((32, 64))).scores


@pytest.mark.parametrize("error", ERRORS)
def test_a_detector_keeps_the_error_it_was_calibrated_with(detector, tmp_path, error):
    measured = replace(detector, detection=replace(detector.detection, error=error))
    measured.save(tmp_path)
    assert Detector.load(tmp_path).score(pictures((32, 64))).scores == measured.score(pictures((32, 64))).scores
    card = json.loads((tmp_path / "detector.json").read_text())
    del card["detection"]["error"]
    edit(tmp_path, version=4, detection=card["detection"])
    assert Detector.load(tmp_path).detection.error == "squared", "there was no other before format 5"


def test_maps_have_the_size_of_their_pictures(detector):
    sizes = [(32, 64), (100, 30), (7, 500)]
    scored = detector.score(pictures(*sizes))
    assert [one.shape for one in scored.maps] == sizes
    assert all(one.dtype == np.float32 and np.isfinite(one).all() and one.min() >= 0 for one in scored.maps)
    assert scored.scores.dtype == np.float32
    assert np.array_equal(scored.anomalous, scored.scores > detector.threshold)


def test_a_score_does_not_depend_on_the_company(detector):
    images = pictures((32, 64), (50, 70), (64, 64))
    together = detector.score(images).scores
    assert np.concatenate([detector.score([one]).scores for one in images]) == pytest.approx(together, rel=1e-4)


@contextmanager
def memory_for(count, net):
    """The net holds so many images at once; gives what sizes it was called with."""
    seen = []

    def check(_module, inputs):
        seen.append(len(inputs[0]))
        if len(inputs[0]) > count:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nmore lines")

    handle = net.register_forward_pre_hook(check)
    try:
        yield seen
    finally:
        handle.remove()


def test_pictures_that_do_not_fit_into_memory_together_are_scored_a_few_at_a_time(detector):
    images = pictures((32, 64), (50, 70), (64, 64), (32, 64), (40, 40))
    together = detector.score(images)
    with memory_for(2, detector.net) as seen:
        apart = detector.score(images)
    assert seen[0] == 5
    assert sum(size for size in seen if size <= 2) == 5
    assert apart.scores == pytest.approx(together.scores, rel=1e-4)
    for one, other in zip(apart.maps, together.maps, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


def test_a_picture_that_does_not_fit_into_memory_alone_is_told_in_a_sentence(detector):
    with memory_for(0, detector.net), pytest.raises(DetectorError, match=r"one image of 32 × 64 pixels.*\(CUDA out"):
        detector.score(pictures((32, 64), (50, 70)))


def test_no_pictures_give_no_scores(detector):
    scored = detector.score([])
    assert scored.scores.shape == scored.anomalous.shape == (0,)
    assert scored.maps == []


def test_a_picture_that_is_none_is_refused(detector):
    with pytest.raises(DetectorError, match="float64"):
        detector.score([np.zeros((32, 64, 3))])


@pytest.mark.parametrize("file", ["detector.json", "weights.safetensors"])
def test_a_missing_file_names_the_folder(saved, file):
    (saved / file).unlink()
    with pytest.raises(DetectorError, match=str(saved)):
        Detector.load(saved)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DetectorError, match=r"nowhere holds no detector"):
        Detector.load(tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
@pytest.mark.parametrize("file", ["detector.json", "weights.safetensors"])
def test_a_truncated_file_names_the_folder(saved, file, keep):
    whole = (saved / file).read_bytes().rstrip()
    (saved / file).write_bytes(whole[:keep])
    with pytest.raises(DetectorError, match=str(saved)):
        Detector.load(saved)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"words"', "{}", "\x00"])
def test_a_card_that_is_none_names_the_folder(saved, text):
    (saved / "detector.json").write_text(text)
    with pytest.raises(DetectorError, match=str(saved)):
        Detector.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"format": None},
        {"version": "1"},
        {"version": None},
        {"size": [32]},
        {"size": [32, 32]},
        {"size": "ab"},
        {"model": "small"},
        {"model": {"widths": [8]}},
        {"symmetries": None},
        {"model": {"width": [8, 16]}},
        {"model": {"widths": [0]}},
        {"detection": []},
        {"detection": {"map_kernel": 4}},
        {"threshold": None},
        {"threshold": float("nan")},
        {"threshold": "high"},
        {"provenance": [1]},
    ],
)
def test_a_card_at_odds_with_itself_names_the_folder(saved, changes):
    edit(saved, **changes)
    with pytest.raises(DetectorError, match=str(saved)):
        Detector.load(saved)


def test_a_newer_format_asks_for_an_upgrade(saved):
    edit(saved, version=6)
    with pytest.raises(DetectorError, match=r"version 6.*upgrade"):
        Detector.load(saved)


def test_an_older_format_asks_for_a_new_training(saved):
    edit(saved, version=1)
    with pytest.raises(DetectorError, match=r"version 1.*train"):
        Detector.load(saved)


def test_flips_average_over_what_the_category_allows(detector):
    inputs_NCHW = torch.stack([torch.from_numpy(one).permute(2, 0, 1) for one in pictures((32, 64), (32, 64))])
    flipping = replace(detector, detection=replace(detector.detection, flips=True))
    plain_NHW, mirrored_NHW = detector.error(inputs_NCHW), detector.error(inputs_NCHW.flip(3)).flip(2)
    assert torch.allclose(flipping.error(inputs_NCHW), (plain_NHW + mirrored_NHW) / 2, rtol=1e-4)
    assert torch.allclose(flipping.error(inputs_NCHW.flip(3)).flip(2), flipping.error(inputs_NCHW), rtol=1e-4)
    assert torch.equal(replace(flipping, symmetries=()).error(inputs_NCHW), plain_NHW)


@pytest.mark.parametrize("pooling", ["top", "max", "mean"])
def test_scores_are_pooled_as_configured(detector, pooling):
    error_NHW = torch.rand(3, 32, 64, generator=torch.Generator().manual_seed(0))
    detection = replace(detector.detection, pooling=pooling, score_passes=0, score_share=0.1)
    ones = torch.ones(32, 64)
    scores_N = replace(detector, detection=detection, score_spread_HW=ones).scores(error_NHW)
    ranked = error_NHW.flatten(1).sort(1, descending=True).values
    wanted = {"top": ranked[:, :205].mean(1), "max": ranked[:, 0], "mean": ranked.mean(1)}
    assert torch.allclose(scores_N, wanted[pooling])


@pytest.mark.parametrize("tensors", [{}, {"map_spread": torch.ones(32, 64)}])
def test_missing_weights_name_the_folder(saved, tensors):
    (saved / "weights.safetensors").write_bytes(safetensors.torch.save(tensors))
    with pytest.raises(DetectorError, match=str(saved)):
        Detector.load(saved)


class Attack:
    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return open, (str(self.proof), "w")


def test_pickled_weights_are_refused_and_run_nothing(saved, tmp_path):
    proof = tmp_path / "ran"
    (saved / "weights.safetensors").write_bytes(pickle.dumps(Attack(proof)))
    with pytest.raises(DetectorError, match="damaged"):
        Detector.load(saved)
    torch.save({"net.head.weight": torch.zeros(1)}, saved / "weights.safetensors")
    with pytest.raises(DetectorError, match="damaged"):
        Detector.load(saved)
    assert not proof.exists()


def test_a_uri_is_a_folder_too(detector, tmp_path):
    uri = (tmp_path / "a b").as_uri()
    detector.save(uri)
    assert Detector.load(uri).threshold == detector.threshold
