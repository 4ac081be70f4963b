"""What the tests of corruption share: images, seeds, and settings that leave one family on."""

import dataclasses

import torch

from raysuite.config import FILLS, SHAPES, CorruptionConfig


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=16, size=(64, 64), grey=False):
    images_NCHW = torch.rand(count, 1 if grey else 3, *size, generator=generator(9))
    return images_NCHW.expand(-1, 3, -1, -1).contiguous()


def corruption(shape=None, fill=None, **changes):
    """Settings with one shape and one fill, or all where none is named."""
    config = CorruptionConfig(**changes)
    for section, names, name in (("shapes", SHAPES, shape), ("fills", FILLS, fill)):
        if name is not None:
            families = getattr(config, section)
            off = {n: dataclasses.replace(getattr(families, n), weight=0.0) for n in names if n != name}
            on = {name: dataclasses.replace(getattr(families, name), weight=1.0)}
            config = dataclasses.replace(config, **{section: dataclasses.replace(families, **off, **on)})
    return config
