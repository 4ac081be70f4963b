"""A histogram over time: exact, small however long the time is, and the same whichever way it is put together."""

import numpy as np
import pytest

from raysuite.scoring.pace import MOST_BINS, Pace


def counted(at_ms: np.ndarray, failed: np.ndarray) -> Pace:
    pace = Pace()
    pace.add(at_ms, failed)
    return pace


@pytest.mark.parametrize("days", [0.001, 1, 400])
def test_nothing_is_lost_and_few_bins_are_kept(days):
    rng = np.random.default_rng(3)
    at_ms = rng.integers(0, int(days * 86_400_000) + 1, 20_000) + 1_760_000_000_000
    failed = rng.random(20_000) < 0.1
    card = counted(at_ms, failed).as_mapping()
    assert len(card["bins"]) <= MOST_BINS
    assert sum(images for _, images, _ in card["bins"]) == 20_000
    assert sum(bad for *_, bad in card["bins"]) == failed.sum()
    starts = [start for start, *_ in card["bins"]]
    width = card["bin_seconds"]
    for start, images, _ in card["bins"][:20]:
        assert images == ((at_ms >= 1000 * start) & (at_ms < 1000 * (start + width))).sum()
    assert starts == sorted(starts)


def test_parts_put_together_are_the_whole():
    rng = np.random.default_rng(4)
    at_ms = np.sort(rng.integers(0, 90_000_000, 5_000))
    failed = rng.random(5_000) < 0.2
    whole = counted(at_ms, failed)
    halves = [counted(at_ms[own], failed[own]) for own in (slice(0, 40), slice(40, None))]
    assert halves[0].width < halves[1].width
    for first, second in (halves, halves[::-1]):
        assert (first + second).as_mapping() == whole.as_mapping()


def test_nothing_at_all_is_nothing():
    empty = np.zeros(0, np.int64)
    assert counted(empty, empty.astype(bool)).as_mapping() == {"bin_seconds": 1, "bins": []}
