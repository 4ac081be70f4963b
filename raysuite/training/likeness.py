"""How far a change takes good images away from one another: the measurements that augmentation is chosen by.

Two views of an image are compared, because neither sees everything. Small pictures show where things are, which
tells objects apart that always lie the same way; two pieces of a texture never agree pixel by pixel, however they
lie. There the directions of edges are compared, which ignore where things are.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from raysuite.training.turning import SYMMETRIES, sample_turned

MOST_IMAGES = 64
"""At most so many images are looked at, evenly spread over all."""

FREE_ANGLES = tuple(2 * math.pi * k / 11 for k in range(1, 6))
"""Stand for all angles, in radians. No usual symmetry is a multiple of an eleventh; the other half is their mirror."""

_SMALL = 32  # pixels of the shorter side in which pictures are compared
_SCALES = 3  # directions are taken at full, half and quarter resolution
_WINDOW = 256  # pixels a side of the middle of an image in which they are taken
_HARMONICS = 8
_GREY_LEVEL = 1 / 255  # pictures that differ by less are as good as equal
_DIRECTION = 0.05  # so are directions; what images of 64 × 64 pixels of noise differ by is 0.2


class Likeness:
    """Compares changed good images with the others as they are.

    Every figure is a ratio: the mean distance of a changed image to all other images, over that of an unchanged one.
    About 1 says that a changed image is one like the others. The mean over all pairs, and not the distance to the
    nearest, because it stays steady with few images and with images that lie in many ways.

    Attributes:
        moved: The ratio for images that are moved far off. Well above 1 where things have their place.
        border: Standard deviation of the pixels along the border, over that of all pixels of the image; the median of
            all images. Near 0 where the background is plain.
        aligned: Things have their place, so that the small pictures tell all; else directions are compared as well.
        plain: The background goes on beyond the image as it is at its border.
    """

    def __init__(self, images_NCHW: Tensor) -> None:
        """Look at some of the images.

        Args:
            images_NCHW: Good images, uint8; 2 or more.
        """
        picks = torch.linspace(0, len(images_NCHW) - 1, min(MOST_IMAGES, len(images_NCHW))).round().long()
        # One at a time and on the CPU: large images need little memory so, and every machine decides alike.
        images = [images_NCHW[pick].cpu().float() / 255 for pick in picks.tolist()]
        height, width = images_NCHW.shape[2:]
        unit = _SMALL / min(height, width)
        self._size = (round(height * unit), round(width * unit))
        twice = [2 * side for side in self._size]
        self._pictures_NCHW = torch.cat([F.interpolate(image[None], size=twice, mode="area") for image in images])
        self._views_NF = self._view(self._pictures_NCHW)
        self._directions_NK = torch.stack([edge_directions(image.mean(0)) for image in images])
        far = [round(0.37 * side) for side in twice]  # no simple fraction: a regular pattern would meet itself there
        self.moved = self._picture_ratio(self._pictures_NCHW.roll(far, (2, 3)))
        self.border = self._border_spread()
        self.aligned = self.moved > 1.3
        self.plain = self.border < 0.25

    def symmetry(self, name: str) -> float:
        """The ratio for one of `SYMMETRIES`; a quarter turn needs square images."""
        order_K = _orders()
        turned_NK = {
            "mirror": self._directions_NK.conj() * (-1.0) ** order_K,
            "flip": self._directions_NK.conj(),
            "turn": self._directions_NK * 1j**order_K,
        }[name]
        return self._ratio(SYMMETRIES[name](self._pictures_NCHW), turned_NK)

    def turned(self, angle: float) -> float:
        """The ratio for images turned by ``angle`` radians; what lies beyond the image goes on as its border."""
        phase_K = torch.polar(torch.ones(len(_orders())), angle * _orders())
        return self._ratio(self._warp(angle, 0, 0), self._directions_NK * phase_K)

    def shifted(self, share: float) -> float:
        """The ratio for images moved by a share of each side, down or to the right: the worse of the two."""
        height, width = self._pictures_NCHW.shape[2:]
        moves = ((share * height, 0.0), (0.0, share * width))
        return max(self._picture_ratio(self._warp(0, down, right)) for down, right in moves)

    def _ratio(self, pictures_NCHW: Tensor, directions_NK: Tensor) -> float:
        ratio = self._picture_ratio(pictures_NCHW)
        if self.aligned:
            return ratio
        own_NF, changed_NF = (
            torch.view_as_real(d.resolve_conj()).flatten(1) for d in (self._directions_NK, directions_NK)
        )
        return max(ratio, _distance(changed_NF, own_NF) / max(_distance(own_NF, own_NF), _DIRECTION))

    def _picture_ratio(self, pictures_NCHW: Tensor) -> float:
        floor = _GREY_LEVEL * math.sqrt(self._views_NF.shape[1])
        as_is = max(_distance(self._views_NF, self._views_NF), floor)
        return _distance(self._view(pictures_NCHW), self._views_NF) / as_is

    def _view(self, pictures_NCHW: Tensor) -> Tensor:
        # Without their mean: no change here alters it, and brightness that varies would only hide what does differ.
        views_NCHW = F.interpolate(pictures_NCHW, size=self._size, mode="area")
        return (views_NCHW - views_NCHW.mean((2, 3), keepdim=True)).flatten(1)

    def _warp(self, angle: float, down: float, right: float) -> Tensor:
        count, _, height, width = self._pictures_NCHW.shape
        centres_N2 = torch.tensor([[height / 2 - down, width / 2 - right]]).expand(count, 2)
        angles_N = torch.full((count,), float(angle))
        return sample_turned(self._pictures_NCHW, centres_N2, angles_N, (height, width), "border")

    def _border_spread(self) -> float:
        inside = torch.zeros(self._pictures_NCHW.shape[2:], dtype=torch.bool)
        inside[2:-2, 2:-2] = True
        rim = self._pictures_NCHW[:, :, ~inside].std(2).mean(1)
        return float((rim / self._pictures_NCHW.flatten(2).std(2).mean(1).clamp(min=_GREY_LEVEL)).median())


def edge_directions(image_HW: Tensor) -> Tensor:
    """In which directions an image's edges run, at three scales, as circular moments.

    The k-th moment is the mean of exp(i·k·θ) over pixels, weighted by the gradient's magnitude, with θ its direction:
    the Fourier series of the histogram of directions, without bins. So turning an image by φ multiplies the k-th
    moment by exp(i·k·φ), and flipping it conjugates it: nothing has to be interpolated. Odd moments tell the lit side
    of a bump from the shaded one.

    Args:
        image_HW: Grey levels, float32.

    Returns:
        Complex, the moments 1 to 8 at full, half and quarter resolution; zeros where nothing has an edge.
    """
    moments = []
    for scale in range(_SCALES):
        level_HW = image_HW if scale == 0 else F.avg_pool2d(image_HW[None, None], 2**scale)[0, 0]
        top, left = (max(0, (side - _WINDOW) // 2) for side in level_HW.shape)
        level_HW = level_HW[top : top + _WINDOW, left : left + _WINDOW]
        across_HW, down_HW = level_HW.diff(dim=1), level_HW.diff(dim=0)
        gradient_HW = torch.complex(
            (across_HW[1:] + across_HW[:-1]) / 2,
            (down_HW[:, 1:] + down_HW[:, :-1]) / 2,
        )
        length_HW = gradient_HW.abs()
        unit_HW = gradient_HW / length_HW.clamp(min=1e-9)
        total = length_HW.sum().clamp(min=1e-9)
        for _ in range(_HARMONICS):
            moments.append(gradient_HW.sum() / total)
            gradient_HW = gradient_HW * unit_HW
    return torch.stack(moments)


def _orders() -> Tensor:
    return torch.arange(1, _HARMONICS + 1).repeat(_SCALES)


def _distance(changed_NF: Tensor, others_NF: Tensor) -> float:
    """Mean Euclidean distance of each changed image to all images but itself."""
    distances_NN = torch.cdist(changed_NF, others_NF, compute_mode="donot_use_mm_for_euclid_dist")
    count = len(distances_NN)
    return float((distances_NN.sum() - distances_NN.trace()) / (count * (count - 1)))
