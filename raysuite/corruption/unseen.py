"""Defects that training never draws: what a detector is chosen and judged on when no label may be read.

Training pastes a picture through a soft mask. None of these does: they bend, drag, shade, break or wipe out what is
there, or draw what no shape of training draws. In a batch they run from faint to strong, so that figures measured on
them do not saturate. All are grey on grey images, and drawn on the images' device from one seeded generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from raysuite.corruption.noise import normal, pixel_grid, uniform

VISIBLE = 8.0 / 255.0
"""A pixel is visibly changed from this difference on, in any channel, in grey levels of [0, 1]."""

LEAST_AREA = 0.0004
"""A defect that is visible on a smaller share of its image is drawn anew, elsewhere."""

TRIES = 6

Draw = Callable[[Tensor, Tensor, Generator], Tensor]
Family = Callable[[Tensor, Generator], tuple[Tensor, Tensor]]


def visible(images_NCHW: Tensor, changed_NCHW: Tensor) -> Tensor:
    """Where a change can be seen, (N, H, W) bool, with small gaps closed as somebody who outlines a defect would.

    Gaps are closed within 2 pixels at a shorter side of 256: bent structure crosses itself, and where it does, the
    defect goes on.
    """
    seen_N1HW = ((changed_NCHW - images_NCHW).abs().amax(1, keepdim=True) >= VISIBLE).float()
    reach = max(1, round(2 * min(images_NCHW.shape[2:]) / 256))
    grown_N1HW = F.max_pool2d(seen_N1HW, 2 * reach + 1, 1, reach)
    return -F.max_pool2d(-grown_N1HW, 2 * reach + 1, 1, reach)[:, 0] > 0.5


def _made(draw: Draw, images_NCHW: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """One defect an image.

    Args:
        draw: What changes the images; its strengths lie in [0, 1].
        images_NCHW: Good images, float32 in [0, 1].
        generator: On the images' device; the same state gives the same defects.

    Returns:
        The defective images, float32 in [0, 1], and (N, H, W) bool masks of where the change is visible. An image on
        which no draw could be seen (a dent in a blank page) comes back as it was, with an empty mask.
    """
    n, device = len(images_NCHW), images_NCHW.device
    # Evenly spread over the batch: few images shall still have faint and strong defects alike.
    order = torch.randperm(n, generator=generator, device=device)
    strengths_N = (order + uniform((n,), 0.0, 1.0, generator)) / n
    changed_NCHW = images_NCHW.clone()
    masks_NHW = torch.zeros(n, *images_NCHW.shape[2:], dtype=torch.bool, device=device)
    todo = torch.arange(n, device=device)
    for _ in range(TRIES):
        drawn = draw(images_NCHW[todo], strengths_N[todo], generator).clamp(0.0, 1.0)
        masks = visible(images_NCHW[todo], drawn)
        enough = masks.flatten(1).float().mean(1) >= LEAST_AREA
        changed_NCHW[todo[enough]], masks_NHW[todo[enough]] = drawn[enough], masks[enough]
        todo = todo[~enough]
        if len(todo) == 0:
            break
    return changed_NCHW, masks_NHW


def _frame(images_NCHW: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Callable[[Tensor, Tensor], Tensor]]:
    """Axes of a random direction through a random point, in units of the shorter side.

    Returns:
        u along and v across, (n, H, W) each, and a function that reads the images at other (u, v).
    """
    n, _, height, width = images_NCHW.shape
    short = min(height, width)
    rows, columns = pixel_grid(height, width, images_NCHW.device)
    row = uniform((n, 1, 1), 0.1, 0.9, generator) * height / short
    column = uniform((n, 1, 1), 0.1, 0.9, generator) * width / short
    angle = uniform((n, 1, 1), 0.0, 2 * math.pi, generator)
    cos, sin = torch.cos(angle), torch.sin(angle)
    u = cos * (columns - column) + sin * (rows - row)
    v = cos * (rows - row) - sin * (columns - column)

    def read(at_u: Tensor, at_v: Tensor) -> Tensor:
        at_rows, at_columns = row + sin * at_u + cos * at_v, column + cos * at_u - sin * at_v
        grid = torch.stack([2 * short / width * at_columns - 1, 2 * short / height * at_rows - 1], dim=-1)
        return F.grid_sample(images_NCHW, grid, padding_mode="reflection", align_corners=False)

    return u, v, read


def _mix(images_NCHW: Tensor, changed_NCHW: Tensor, weight_NHW: Tensor) -> Tensor:
    return images_NCHW + weight_NHW[:, None] * (changed_NCHW - images_NCHW)


def _per_image(values_n: Tensor) -> Tensor:
    return values_n.view(-1, 1, 1)


def dent(images_NCHW: Tensor, strengths_n: Tensor, generator: Generator) -> Tensor:
    """Structure is pinched towards a point or bulges away from it; nothing is added, and there is no rim."""
    n = len(images_NCHW)
    u, v, read = _frame(images_NCHW, generator)
    radius = uniform((n, 1, 1), 0.06, 0.2, generator)
    pinch = _per_image(0.15 + 0.75 * strengths_n)
    pinch = torch.where(uniform((n, 1, 1), 0.0, 1.0, generator) < 0.5, pinch, -pinch)
    fade = (1 - (u * u + v * v) / radius.square()).clamp(min=0)
    stretch = 1 + pinch * fade.square()
    return _mix(images_NCHW, read(u * stretch, v * stretch), (fade > 0).float())


def smear(images_NCHW: Tensor, strengths_n: Tensor, generator: Generator) -> Tensor:
    """Content dragged along a short way, as by a finger over wet paint."""
    n = len(images_NCHW)
    u, v, read = _frame(images_NCHW, generator)
    length, half = uniform((n, 1, 1), 0.08, 0.35, generator), uniform((n, 1, 1), 0.015, 0.06, generator)
    soft = 2.0 / min(images_NCHW.shape[2:])
    inside = torch.minimum(half - v.abs(), torch.minimum(u, length - u))
    dragged = read(u * _per_image(0.8 * (1 - strengths_n)), v)
    return _mix(images_NCHW, dragged, (inside / soft + 0.5).clamp(0, 1))


def shading(images_NCHW: Tensor, strengths_n: Tensor, generator: Generator) -> Tensor:
    """One side lighter and the other darker, as light falls on a bump: smooth, and the structure goes on."""
    n = len(images_NCHW)
    u, v, _ = _frame(images_NCHW, generator)
    width = uniform((n, 1, 1), 0.03, 0.1, generator)
    # The derivative of a Gaussian bump, with peaks of ±1.
    relief = math.exp(0.5) * u / width * torch.exp(-(u * u + v * v) / (2 * width.square()))
    amount = _per_image(0.08 + 0.5 * strengths_n)
    return images_NCHW + (amount * relief)[:, None] * (0.25 + 0.75 * images_NCHW)


def fracture(images_NCHW: Tensor, strengths_n: Tensor, generator: Generator) -> Tensor:
    """A strip slipped along its cut by some pixels, as a broken part put together wrongly."""
    n = len(images_NCHW)
    u, v, read = _frame(images_NCHW, generator)
    half_long, half = uniform((n, 1, 1), 0.06, 0.25, generator), uniform((n, 1, 1), 0.01, 0.06, generator)
    slip = _per_image(0.008 + 0.05 * strengths_n)
    return _mix(images_NCHW, read(u - slip, v), ((u.abs() < half_long) & (v.abs() < half)).float())


def missing(images_NCHW: Tensor, strengths_n: Tensor, generator: Generator) -> Tensor:
    """A piece is gone: what surrounds it closes smoothly over the gap."""
    n = len(images_NCHW)
    u, v, _ = _frame(images_NCHW, generator)
    radius = _per_image(0.02 + 0.09 * strengths_n)
    gone = torch.zeros_like(u, dtype=torch.bool)
    for _ in range(4):
        du, dv = uniform((n, 1, 1), -0.8, 0.8, generator), uniform((n, 1, 1), -0.8, 0.8, generator)
        size = uniform((n, 1, 1), 0.5, 1.0, generator)
        gone |= (u / radius - du).square() + (v / radius - dv).square() < size.square()
    return _mix(images_NCHW, _closed_over(images_NCHW, ~gone), gone.float())


def _closed_over(images_NCHW: Tensor, known_NHW: Tensor) -> Tensor:
    """Fill unknown pixels from their surroundings, coarse to fine (pull-push, Gortler et al., SIGGRAPH 1996)."""
    known = known_NHW[:, None].float()
    levels = [(images_NCHW * known, known)]
    while max(known.shape[2:]) > 1:
        weighted, known = (F.avg_pool2d(part, 2, ceil_mode=True) for part in levels[-1])
        levels.append((weighted, known))
    filled = levels[-1][0] / levels[-1][1].clamp(min=1e-6)
    for weighted, weight in reversed(levels[:-1]):
        coarse = F.interpolate(filled, size=weight.shape[2:], mode="bilinear")
        filled = torch.where(weight > 0, weighted / weight.clamp(min=1e-6), coarse)
    return filled


def droplets(images_NCHW: Tensor, strengths_n: Tensor, generator: Generator) -> Tensor:
    """A group of small drops: a lens turns over what is below it, with a dark rim and a highlight."""
    n = len(images_NCHW)
    u, v, read = _frame(images_NCHW, generator)
    amount = _per_image(0.06 + 0.5 * strengths_n)
    out_NCHW, spread = images_NCHW, uniform((n, 1, 1), 0.02, 0.12, generator)
    for drop in range(7):
        du, dv = spread * normal((n, 1, 1), generator), spread * normal((n, 1, 1), generator)
        radius = uniform((n, 1, 1), 0.01, 0.03, generator)
        # Two drops at least; each further one falls in half of the images.
        there = uniform((n, 1, 1), 0.0, 1.0, generator) < (1.0 if drop < 2 else 0.5)
        r = ((u - du).square() + (v - dv).square()).sqrt() / radius
        shine = ((u - du + 0.35 * radius).square() + (v - dv + 0.35 * radius).square()).sqrt() / radius
        light = (1.5 - 4 * shine).clamp(0, 1) - 0.7 * torch.exp(-((r - 0.85) / 0.15).square())
        lens = _mix(out_NCHW, read(du - 0.8 * (u - du), dv - 0.8 * (v - dv)), 0.8 * amount.expand_as(r))
        out_NCHW = _mix(out_NCHW, lens + (amount * light)[:, None], ((r < 1) & there).float())
    return out_NCHW


def crack(images_NCHW: Tensor, strengths_n: Tensor, generator: Generator) -> Tensor:
    """A branching line of uneven width that wanders, darker than its surroundings or, less often, lighter."""
    n, _, height, width = images_NCHW.shape
    short, device = min(height, width), images_NCHW.device
    steps = max(16, round(0.6 * short))
    used = uniform((n, 1), 0.25, 1.0, generator)
    t = torch.arange(steps, device=device) / steps
    start_n2 = torch.tensor([height, width], device=device) * uniform((n, 2), 0.15, 0.85, generator)
    points: list[Tensor] = []
    reach: list[Tensor] = []
    heading = uniform((n, 1), 0.0, 2 * math.pi, generator)
    thick = uniform((n, 1), 0.4, 1.1, generator) * max(1.0, short / 256)
    for branch in range(3):
        turns = heading + (0.18 * normal((n, steps), generator)).cumsum(1)
        way_nS2 = start_n2[:, None] + torch.stack([torch.sin(turns), torch.cos(turns)], dim=-1).cumsum(1)
        share = used * (1.0 if branch == 0 else 0.5)
        uneven = 1 + 0.35 * torch.sin(
            uniform((n, 1), 10.0, 40.0, generator) * t + 6.3 * uniform((n, 1), 0, 1, generator)
        )
        points.append(way_nS2)
        reach.append(thick * uneven * (1 - 0.6 * t / share) * (t < share))
        # The next branch leaves the main line somewhere along it.
        fork = (uniform((n,), 0.15, 0.6, generator) * used[:, 0] * steps).long()
        start_n2 = points[0][torch.arange(n, device=device), fork]
        aside = uniform((n, 1), 0.4, 1.1, generator) * (1.0 if branch % 2 == 0 else -1.0)
        heading = turns[:, :1] + aside if branch else turns.mean(1, keepdim=True) + aside
    line_NHW = _splat(torch.cat(points, 1), torch.cat(reach, 1), (height, width))
    depth = _per_image(0.08 + 0.5 * strengths_n)
    depth = torch.where(uniform((n, 1, 1), 0.0, 1.0, generator) < 0.75, -depth, depth)
    return images_NCHW + (depth * line_NHW)[:, None]


def _splat(points_nP2: Tensor, reach_nP: Tensor, size: tuple[int, int]) -> Tensor:
    """Round dots at points (row, column in pixels) of given radius, the darkest winning: (n, H, W) in [0, 1]."""
    height, width = size
    canvas = torch.zeros(len(points_nP2), height * width, device=points_nP2.device)
    window = math.ceil(float(reach_nP.max()) + 0.5)
    for down in range(-window, window + 1):
        for right in range(-window, window + 1):
            cell = points_nP2.floor().long() + torch.tensor([down, right], device=points_nP2.device)
            distance = (points_nP2 - cell - 0.5).square().sum(-1).sqrt()
            inside = (cell >= 0).all(-1) & (cell[..., 0] < height) & (cell[..., 1] < width) & (reach_nP > 0)
            cover = (reach_nP + 0.5 - distance).clamp(0, 1) * inside
            index = (cell[..., 0] * width + cell[..., 1]).clamp(0, height * width - 1)
            canvas.scatter_reduce_(1, index, cover, "amax")
    return canvas.view(-1, height, width)


BY_NAME: dict[str, Family] = {
    draw.__name__: partial(_made, draw) for draw in (dent, smear, shading, fracture, missing, droplets, crack)
}
"""Families by name: (N, 3, H, W) float32 images in [0, 1] and a generator → defective images and (N, H, W) masks."""
