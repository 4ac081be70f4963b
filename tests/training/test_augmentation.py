import torch

from raysuite.training.augmentation import SYMMETRIES, draw_batch, find_symmetries


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def texture(count=24, size=(64, 64)):
    """Isotropic grain in blobs, so that it has something left at 32 pixels a side."""
    coarse = torch.rand(count, 3, size[0] // 8, size[1] // 8, generator=generator(3))
    return (coarse.repeat_interleave(8, 2).repeat_interleave(8, 3) * 255).to(torch.uint8)


def parts(height=64, width=64):
    """A dark wedge that always lies the same way, with a little noise."""
    picture = torch.full((3, height, width), 200.0)
    picture[:, 8 : height // 2, 6:20] = 30.0
    picture[:, 8:20, 6 : width - 24] = 30.0
    noise = torch.randn(24, 3, height, width, generator=generator(4)) * 4
    return (picture + noise).clamp(0, 255).to(torch.uint8)


def test_a_texture_may_be_mirrored_and_turned():
    assert find_symmetries(texture()) == SYMMETRIES


def test_only_square_images_are_turned():
    assert find_symmetries(texture(size=(64, 96))) == SYMMETRIES[:2]


def test_a_part_that_always_lies_the_same_way_is_left_so():
    assert find_symmetries(parts()) == ()


def test_each_symmetry_is_judged_by_itself():
    left_right = torch.minimum(parts(), parts().flip(3))
    assert find_symmetries(left_right) == ("mirror",)


def test_too_few_images_allow_nothing():
    assert find_symmetries(texture(2)) == ()


def test_many_images_are_thinned_not_refused():
    assert find_symmetries(texture(200, (16, 16))) == SYMMETRIES


def test_a_seed_decides_the_batch():
    images_NCHW = texture()
    first, again, other = (draw_batch(images_NCHW, 5, 32, SYMMETRIES, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_crops_have_the_size_asked_or_the_images():
    images_NCHW = texture(size=(64, 96))
    for crop, shape in ((32, (32, 32)), (80, (64, 80)), (200, (64, 96))):
        batch_NCHW = draw_batch(images_NCHW, 4, crop, SYMMETRIES, generator())
        assert batch_NCHW.shape == (4, 3, *shape)
        assert batch_NCHW.dtype == torch.float32
        assert batch_NCHW.min() >= 0
        assert batch_NCHW.max() <= 1


def test_without_symmetries_a_whole_image_comes_out_as_it_is():
    images_NCHW = parts()[:1]
    batch_NCHW = draw_batch(images_NCHW, 8, 64, (), generator())
    assert torch.equal(batch_NCHW, (images_NCHW.float() / 255).expand(8, -1, -1, -1))


def test_only_allowed_symmetries_are_drawn():
    image = parts()[:1]
    as_is = image[0].float() / 255
    allowed = {"mirror": as_is.flip(2), "flip": as_is.flip(1), "turn": as_is.transpose(1, 2).flip(2)}
    for name, changed in allowed.items():
        drawn = draw_batch(image, 24, 64, (name,), generator())
        same = [torch.equal(one, as_is) for one in drawn]
        assert 4 < sum(same) < 20, "about half are changed"
        assert all(kept or torch.equal(one, changed) for one, kept in zip(drawn, same, strict=True))
