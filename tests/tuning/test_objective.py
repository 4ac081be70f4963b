import json
from dataclasses import replace

import pytest
import torch

from raysuite.config import DetectionConfig, ModelConfig
from raysuite.corruption import unseen
from raysuite.errors import TrainingError
from raysuite.models.autoencoder import build
from raysuite.settings import preset, with_words
from raysuite.tuning.builtin import builtin
from raysuite.tuning.families import rotated
from raysuite.tuning.objective import LEAST_IMAGES, MOST_IMAGES, Exam, common_stride, images_for
from raysuite.tuning.space import Choice, Dimension, Int, Space

FIXED = DetectionConfig(choice="fixed")
CPU = torch.device("cpu")
FAMILIES = rotated(0)


def good(count, seed=0):
    rows = torch.linspace(0, 20, 48).sin()[:, None] * torch.linspace(0, 20, 64).cos()
    noise = torch.rand(count, 3, 48, 64, generator=torch.Generator().manual_seed(seed))
    return (120 + 60 * rows + 10 * noise).to(torch.uint8)


@pytest.fixture(scope="module")
def exam():
    return Exam.draw(good(10), good(6, seed=1), FAMILIES, seed=0, images=5)


@pytest.fixture(scope="module")
def net():
    return build(ModelConfig(widths=(8, 16), blocks=1, branch_width=4, dilations=(1, 2)), seed=0).eval()


class Pretender(torch.nn.Module):
    """Knows the good images by heart and answers with the nearest, mixed with what it is shown."""

    def __init__(self, known, copies):
        super().__init__()
        self.known, self.copies = known.float() / 255, copies

    def forward(self, images):
        nearest = torch.cdist(images.flatten(1), self.known.flatten(1)).argmin(1)
        return self.copies * images + (1 - self.copies) * self.known[nearest]


def test_an_exam_is_the_same_wherever_it_is_drawn_and_asks_of_images_kept_out_of_training(exam):
    again = Exam.draw(good(10), good(6, seed=1), FAMILIES, seed=0, images=5)
    other = Exam.draw(good(10), good(6, seed=1), FAMILIES, seed=1, images=5)
    assert len(exam.good_NCHW) == 5
    for name, (images_nCHW, masks_nHW, good_n) in exam.defects.items():
        assert torch.equal(images_nCHW, again.defects[name][0])
        changed_nHW = (images_nCHW.int() - exam.good_NCHW[good_n].int()).abs().amax(1) > 2
        assert (changed_nHW & masks_nHW).flatten(1).any(1).all()
    assert any(not torch.equal(one[0], other.defects[name][0]) for name, one in exam.defects.items())
    validation = {bytes(image.numpy()) for image in good(6, seed=1)}
    assert {bytes(image.numpy()) for image in exam.good_NCHW} <= validation


def test_a_familys_defects_do_not_depend_on_which_others_are_asked(exam):
    turned = Exam.draw(good(10), good(6, seed=1), rotated(1), seed=0, images=5)
    assert exam.families != turned.families
    for name in unseen.BY_NAME:
        assert torch.equal(exam.defects[name][0], turned.defects[name][0])


def test_judging_families_say_nothing_in_the_score(exam, net):
    for detection in (FIXED, DetectionConfig()):
        plain = exam.sit(net, detection, CPU)
        judged = exam.sit(net, detection, CPU, judge=True)
        assert judged.score == plain.score
        assert judged.detection == plain.detection, "nor do they choose map and score"
        assert set(plain.families) == set(FAMILIES.steering)
        assert set(judged.families) == set(unseen.BY_NAME)
        assert plain.judged is None
        assert 0 < judged.judged < 1
        assert json.loads(json.dumps(judged.as_mapping()))["residual"] == plain.residual > 0


def test_a_net_that_repairs_beats_one_that_copies(exam):
    known = torch.cat([exam.good_NCHW, good(10)])
    scores = [exam.sit(Pretender(known, copies), FIXED, CPU).score for copies in (0.0, 1.0)]
    assert scores[0] > scores[1] + 0.2
    assert all(0 < score < 1 for score in scores)


def test_the_same_net_and_exam_give_the_same_marks(exam, net):
    assert exam.sit(net, DetectionConfig(), CPU) == exam.sit(net, DetectionConfig(), CPU)


def test_images_on_which_nothing_can_be_seen_give_no_score_and_no_crash(net):
    blank = torch.full((6, 3, 48, 64), 255, dtype=torch.uint8)
    marks = Exam.draw(blank, blank, replace(FAMILIES, steering=("dent",), judging=("smear",)), 0, 4).sit(
        net, FIXED, CPU
    )
    assert marks.score is None
    assert marks.families == {}


def test_one_good_image_is_enough_for_an_exam(net):
    marks = Exam.draw(good(1), good(1, seed=1), FAMILIES, seed=0, images=8).sit(net, DetectionConfig(), CPU)
    assert 0 < marks.score < 1


def test_an_exam_without_images_is_refused_in_a_sentence():
    with pytest.raises(TrainingError, match="needs a good image"):
        Exam.draw(good(3), good(0), FAMILIES, seed=0, images=4)


def test_an_exam_costs_a_small_share_of_the_training_before_it():
    for steps in (50, 200, 3000):
        images = images_for(steps, batch_size=8, families=5)
        passes = images * (1 + 2 + 5)
        assert images == LEAST_IMAGES or passes <= 0.03 * 3 * 8 * steps
        assert LEAST_IMAGES <= images <= MOST_IMAGES
    assert images_for(3000, 8, 5) == MOST_IMAGES


def test_images_suit_the_deepest_net_of_the_space():
    base = with_words(preset("small"), ["data.image_size=256"])
    assert common_stride(Space((Dimension("model.width", Int(4, 8)),)), base) == 8
    deep = Space((Dimension("model.depth", Choice((1, 2, 3))), Dimension("model.stem", Choice((1, 2)))))
    assert common_stride(deep, base) == 16
    space = builtin("capacity", base)
    assert common_stride(space, base) % max(2 * 2**depth for depth in (1, 2)) == 0
