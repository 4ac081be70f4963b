from functools import partial

import pytest
import torch

from raysuite.storage import Location
from raysuite.training.augmentation import Augmentation
from raysuite.training.batches import draw_batch
from raysuite.training.loop import train
from raysuite.training.sources import Resident, Streamed
from raysuite.training.turning import SYMMETRIES
from tests.training.pictures import generator, noise
from tests.training.test_checkpoints import CONFIG, Killed, assert_same
from tests.training.test_loop import CPU, stripes


def numbered(count):
    """Images that show which they are."""
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()


def stream(images_NCHW, opened, at_once, taken):
    """Pieces of a stream whose epochs are all shuffled alike, and a note of where it was opened."""
    opened.append(taken)
    order = torch.randperm(len(images_NCHW), generator=generator(1))
    while True:
        start = taken % len(images_NCHW)
        some = images_NCHW[order[start : start + at_once]]
        taken += len(some)
        yield some


def streamed(images_NCHW, opened=None, at_once=4):
    opened = [] if opened is None else opened
    return Streamed(
        partial(stream, images_NCHW, opened, at_once), size=len(images_NCHW), sample_NCHW=images_NCHW, fingerprint="1"
    )


def taken_from(source, *counts):
    return torch.cat([source.take(torch.rand(count))[:, 0, 0, 0] for count in counts]).tolist()


def test_resident_images_are_picked_by_the_first_random_numbers_of_a_batch():
    """Whatever else changes: the nets of a seed rest on which images it picks."""
    images_NCHW = noise(count=7, size=(8, 8))
    picked = torch.rand((7 + len(SYMMETRIES), 5), generator=generator(2))[0]
    wanted = images_NCHW[(picked * 7).long()].float() / 255
    for images in (images_NCHW, Resident(images_NCHW)):
        assert torch.equal(draw_batch(images, 5, 8, Augmentation(), generator(2)), wanted)


@pytest.mark.parametrize("at_once", [1, 4, 50])
def test_a_stream_gives_every_image_once_an_epoch_however_it_is_cut_into_batches(at_once):
    source = streamed(numbered(10), at_once=at_once)
    assert len(source) == 10
    seen = taken_from(source, 3, 3, 3, 8, 3)
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))


def test_a_stream_goes_on_where_it_is_told_and_is_opened_only_when_it_must():
    whole, opened = taken_from(streamed(numbered(10)), 20), []
    source = streamed(numbered(10), opened)
    source.seek(7)
    assert opened == []
    assert taken_from(source, 2, 5) == whole[7:14]
    source.seek(3)
    assert taken_from(source, 4) == whole[3:7]
    assert opened == [7, 3]


def test_a_training_out_of_a_stream_that_is_killed_goes_on_bit_for_bit(tmp_path):
    undisturbed = train(CONFIG, streamed(stripes(7)), seed=1, device=CPU)
    where, opened = Location.of(tmp_path / "checkpoint"), []

    def kill(line):
        if line.step == 8:
            raise Killed

    with pytest.raises(Killed):
        train(CONFIG, streamed(stripes(7), opened), seed=1, device=CPU, on_progress=kill, checkpoint=where)
    again = train(CONFIG, streamed(stripes(7), opened), seed=1, device=CPU, checkpoint=where)
    assert opened == [0, 6 * CONFIG.training.batch_size]
    assert_same(again, undisturbed)


def test_a_checkpoint_of_resident_images_is_not_gone_on_with_out_of_a_stream(tmp_path, caplog):
    where = Location.of(tmp_path / "checkpoint")
    train(CONFIG, stripes(), seed=1, device=CPU, checkpoint=where)
    again = train(CONFIG, streamed(stripes()), seed=1, device=CPU, checkpoint=where)
    assert again.resumed_at == 0
    assert "another training" in caplog.text
