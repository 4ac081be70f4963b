from dataclasses import replace

import pytest
import torch

from raysuite.config import AugmentationConfig, Config, DataConfig, ModelConfig, TrainingConfig
from raysuite.errors import ConfigError
from raysuite.storage import Location
from raysuite.training.augmentation import Augmentation, choose_augmentation
from raysuite.training.checkpoints import averaged_net
from raysuite.training.loop import train
from raysuite.training.template import make_template, unlikeness

CPU = torch.device("cpu")
CONFIG = Config(
    data=DataConfig(image_size=32),
    model=ModelConfig(widths=(8, 16), blocks=1, branch_width=4, dilations=(1, 2)),
    training=TrainingConfig(steps=8, batch_size=4, log_every=4, checkpoint_every=4, precision="float32"),
)


def parts(count=8, size=32):
    """A bright square at the same place on every image, under a little noise."""
    noise = torch.randint(0, 20, (count, 3, size, size), generator=torch.Generator().manual_seed(0))
    noise[:, :, 8:16, 8:16] += 200
    return noise.to(torch.uint8)


def texture(count=8, size=32):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator).to(torch.uint8)


def template_of(images_NCHW, setting="auto", crop=32, **settings):
    augmentation = choose_augmentation(AugmentationConfig(**settings), images_NCHW, crop)
    return make_template(setting, images_NCHW, crop, augmentation).image_CHW


def test_things_that_lie_alike_get_their_mean_and_textures_get_none():
    template_CHW = template_of(parts(), flips="off", rotation="off", shift="off")
    assert (template_CHW - parts().float().mean(0) / 255).abs().max() < 0.02
    assert template_of(texture()) is None


def test_parts_that_lie_a_little_differently_get_none_and_the_reason_says_so():
    moved = torch.stack([one.roll((row, 2 * row), (1, 2)) for row, one in enumerate(parts())])
    made = make_template("auto", moved, 32, Augmentation())
    assert made.image_CHW is None
    assert made.reason.startswith(f"images vary about their mean by {unlikeness(moved):.3f}")


def test_unlikeness_is_variance_about_the_mean_over_that_of_the_mean():
    images = torch.tensor([[0, 100], [20, 180]], dtype=torch.uint8).view(2, 1, 1, 2).expand(-1, 3, -1, -1)
    assert unlikeness(images) == pytest.approx((10**2 + 40**2) / 2 / 65**2)
    assert unlikeness(images[:1].clone()) == pytest.approx(0, abs=1e-12)


def test_of_two_images_there_is_none():
    made = make_template("auto", parts(2), 32, Augmentation())
    assert (made.image_CHW, made.reason) == (None, "fewer than 3 images")


def test_a_setting_is_obeyed():
    assert template_of(parts(), "off") is None
    assert template_of(texture(), "on").shape == (3, 32, 32)


def test_crops_have_no_place():
    assert template_of(parts(), crop=16) is None
    with pytest.raises(ConfigError, match=r"model\.template is on, but training sees crops of 16 × 16"):
        template_of(parts(), "on", crop=16)
    with pytest.raises(ConfigError, match=r"model\.template.*off or auto with data\.crop_size"):
        replace(CONFIG, data=DataConfig(image_size=64, crop_size=32), model=replace(CONFIG.model, template="on"))


def test_what_training_mirrors_the_template_has_mirrored_too():
    template_CHW = make_template("auto", parts(), 32, Augmentation(flips=("mirror",))).image_CHW
    left, right = float(template_CHW[:, 8:16, 8:16].mean()), float(template_CHW[:, 8:16, 16:24].mean())
    assert left == pytest.approx(right, abs=0.1)
    assert left > float(template_CHW[:, 20:].mean()) + 0.3


def test_a_net_knows_by_the_template_what_belongs_into_a_hole():
    """Without one it sees a plain image and cannot know that a square is missing."""
    config = replace(CONFIG, training=replace(CONFIG.training, steps=60, learning_rate=5e-3))
    hole_NCHW = parts(1).float() / 255
    hole_NCHW[:, :, 8:16, 8:16] = 0.04
    filled = {}
    for template in ("on", "off"):
        net = train(replace(config, model=replace(config.model, template=template)), parts(), seed=0, device=CPU).net
        assert net.has_template == (template == "on")
        with torch.inference_mode():
            filled[template] = float(net(hole_NCHW)[:, :, 9:15, 9:15].mean())
    assert filled["on"] > filled["off"] + 0.1


def test_a_stopped_training_goes_on_with_the_same_template(tmp_path):
    whole = train(CONFIG, parts(), seed=1, device=CPU).net

    def stop(line):
        raise KeyboardInterrupt

    assert whole.has_template
    where = Location.of(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(replace(CONFIG, training=replace(CONFIG.training, checkpoint_every=2)), parts(), seed=1, device=CPU,
              checkpoint=where, on_progress=stop)  # fmt: skip
    again = train(replace(CONFIG, training=replace(CONFIG.training, checkpoint_every=2)), parts(), seed=1, device=CPU,
                  checkpoint=where)  # fmt: skip
    assert again.resumed_at > 0
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.net.state_dict()[name]), name
    step, net = averaged_net(where, CONFIG.model)
    assert step == 8
    assert torch.equal(net.template_CHW, whole.template_CHW)
