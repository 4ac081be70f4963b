"""Exact metrics that keep and sort every pixel, to hold the histograms against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score


@dataclass(frozen=True)
class Exact:
    auroc: float
    ap: float
    f1_max: float
    aupro: float


def exact_metrics(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Exact:
    scores = np.concatenate([m.ravel() for m in maps])
    defects = np.concatenate([m.ravel() for m in masks])
    precision, recall, _ = precision_recall_curve(defects, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return Exact(
        auroc=float(roc_auc_score(defects, scores)),
        ap=float(average_precision_score(defects, scores)),
        f1_max=float(f1.max()),
        aupro=exact_aupro(maps, masks),
    )


def exact_aupro(maps: Sequence[np.ndarray], masks: Sequence[np.ndarray], limit: float = 0.3) -> float:
    """Walk down all pixels by score; each is worth 1/background of FPR, or 1/(its region's size * regions) of PRO."""
    shares, regions = [], 0
    for mask in masks:
        share = np.zeros(mask.shape)
        labels, count = ndimage.label(mask, structure=[[1, 1, 1]] * 3)
        for i, box in enumerate(ndimage.find_objects(labels), start=1):
            inside = labels[box] == i
            share[box][inside] = 1 / inside.sum()
        shares.append(share.ravel())
        regions += count
    scores = np.concatenate([m.ravel() for m in maps])
    share = np.concatenate(shares)
    falling = np.argsort(-scores, kind="stable")
    scores, share = scores[falling], share[falling]
    last_of_tie = np.append(scores[1:] != scores[:-1], True)
    fpr = np.append(0, np.cumsum(share == 0)[last_of_tie] / (share == 0).sum())
    pro = np.append(0, np.cumsum(share)[last_of_tie] / regions)
    area = 0.0
    below = fpr <= limit
    area += (np.diff(fpr[below]) * (pro[below][1:] + pro[below][:-1]) / 2).sum()
    if not below.all():
        left, right = below.sum() - 1, below.sum()
        slope = (pro[right] - pro[left]) / (fpr[right] - fpr[left])
        width = limit - fpr[left]
        area += width * (pro[left] + slope * width / 2)
    return float(area / limit)
