"""Gradient-magnitude similarity over several scales: do two pictures have the same edges?

Xue et al., *Gradient Magnitude Similarity Deviation*, IEEE TIP 23(2), 2014; over four scales and as a loss in Zavrtanik
et al., *Reconstruction by inpainting for visual anomaly detection* (RIAD), Pattern Recognition 112, 2021.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# 170 of Xue et al. for grey levels to 255, which is 170 / 255² for grey levels to 1, as in RIAD.
STABILITY = 0.0026
SCALES = 4


def gradient_dissimilarity(first_NCHW: Tensor, second_NCHW: Tensor) -> Tensor:
    """1 − (2·g₁·g₂ + c) / (g₁² + g₂² + c), g the Prewitt gradient's magnitude of the grey picture, averaged.

    The scales are 1, 1/2, 1/4 and 1/8, as far as the picture is 8 pixels or larger there; each counts the same. Borders
    are reflected, where RIAD pads with zeros.

    Args:
        first_NCHW: Pictures, float, grey levels of about [0, 1].
        second_NCHW: Pictures of the same shape.

    Returns:
        A scalar in [0, 1], float32; 0 for the same edges.
    """
    scales: list[Tensor] = []
    first, second = (image.float().mean(1, keepdim=True) for image in (first_NCHW, second_NCHW))
    for scale in range(SCALES):
        if scale:
            if min(first.shape[2:]) < 16:
                break
            first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
        one, other = _gradient(first), _gradient(second)
        similarity = (2 * one * other + STABILITY) / (one.square() + other.square() + STABILITY)
        scales.append(1 - similarity.mean())
    return torch.stack(scales).mean()


def _gradient(grey_N1HW: Tensor) -> Tensor:
    across = torch.linspace(1.0, -1.0, 3, device=grey_N1HW.device).expand(3, 3) / 3
    kernels_2133 = torch.stack([across, across.T])[:, None]
    parts_N2HW = F.conv2d(F.pad(grey_N1HW, (1, 1, 1, 1), mode="reflect"), kernels_2133)
    # The root has no slope at zero, and flat places are many.
    return (parts_N2HW.square().sum(1, keepdim=True) + 1e-12).sqrt()
