import itertools

import pytest
import torch

from raysuite.detection.flips import averaged, versions
from raysuite.symmetries import ORIENTATIONS
from raysuite.training.turning import SYMMETRIES


@pytest.mark.parametrize(
    ("symmetries", "count"),
    [((), 1), (("mirror",), 2), (("flip",), 2), (("mirror", "flip"), 4), (("turn",), 4), (("mirror", "turn"), 8)],
)
def test_symmetries_lead_to_all_their_combinations(symmetries, count):
    assert len(versions(symmetries)) == len(set(versions(symmetries))) == count
    assert versions(symmetries)[0] == (0, False)


def test_names_that_are_no_orientation_are_passed_over():
    assert versions(("rotate",)) == [(0, False)]


SUBSETS = [some for count in range(4) for some in itertools.combinations(ORIENTATIONS, count)]


@pytest.mark.parametrize("symmetries", SUBSETS)
def test_an_error_that_lies_at_its_pixel_comes_back_to_it(symmetries):
    images_NCHW = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    seen = []

    def error(changed_NCHW):
        seen.append(changed_NCHW)
        return changed_NCHW.mean(1)

    assert torch.allclose(averaged(error, images_NCHW, symmetries), images_NCHW.mean(1))
    assert len(seen) == len(versions(symmetries))
    assert torch.equal(seen[0], images_NCHW)
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(seen, 2))


def test_names_mean_what_they_mean_in_training():
    images_NCHW = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    plainly = {
        "mirror": images_NCHW.flip(3),
        "flip": images_NCHW.flip(2),
        "turn": images_NCHW.transpose(2, 3).flip(3),
    }
    for name, changed_NCHW in plainly.items():
        assert torch.equal(SYMMETRIES[name](images_NCHW), changed_NCHW)
        seen = []

        def error(changed_NCHW, log=seen):
            log.append(changed_NCHW)
            return changed_NCHW.mean(1)

        averaged(error, images_NCHW, (name,))
        assert torch.equal(seen[1], changed_NCHW)
