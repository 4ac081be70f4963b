"""How far a net looks: the pixels of the input that one pixel of the output depends on."""

from __future__ import annotations

from raysuite.config import ModelConfig

Interval = tuple[int, int]
"""First and last index along one side, both included."""


def receptive_field(config: ModelConfig) -> int:
    """Side in pixels of the square that a pixel of the output can depend on, far from all borders.

    Followed back layer by layer, exactly, for every place that a pixel can have in a cell of the coarsest map; the
    widest counts. Statistics are left out: under group normalisation all pixels of an image act on all others.
    """
    fields = (_input_of((place, place), config) for place in range(config.stride))
    return max(last - first + 1 for first, last in fields)


def _input_of(pixels: Interval, config: ModelConfig) -> Interval:
    """The pixels of the input that these pixels of the output depend on; the order is that of the net, backwards."""
    levels = len(config.level_widths)
    decoded = _shrink(pixels, config.stem)
    skipped: list[Interval] = []
    for _ in range(levels):
        decoded = _widen(decoded, 2)  # two 3 × 3 convolutions
        if config.skip == "convex":
            decoded = _widen(decoded, 1)  # the gate's 3 × 3 convolution, which sees both sides of the skip
        skipped.append(decoded)
        decoded = _shrink(decoded, 2)
    encoded = _widen(decoded, config.blocks * max(config.dilations) * (config.kernel // 2))
    for _ in range(levels):
        encoded = _grow(encoded, 2)
        here = skipped.pop()
        if config.skip != "none":
            encoded = min(encoded[0], here[0]), max(encoded[1], here[1])
        encoded = _widen(encoded, 2)
    return _grow(encoded, config.stem)


def _widen(interval: Interval, reach: int) -> Interval:
    """What a convolution reads that looks so many places to both sides."""
    return interval[0] - reach, interval[1] + reach


def _shrink(interval: Interval, factor: int) -> Interval:
    """What an enlargement by the factor reads."""
    return interval[0] // factor, interval[1] // factor


def _grow(interval: Interval, factor: int) -> Interval:
    """What a reduction by the factor, such as pooling, reads."""
    return factor * interval[0], factor * interval[1] + factor - 1
