import pytest

from raysuite.reporting.recall import NO_MASK, by_kind, by_size
from raysuite.reporting.results import Score, SeedResult


def run(*scores: tuple[str | None, float | None, float | None], seed: int = 0) -> SeedResult:
    """Defects as (kind, score, area) with a threshold of 1."""
    found = tuple(
        Score(f"{n}.png", kind, 1, score, None if score is None else score > 1, None, area)
        for n, (kind, score, area) in enumerate(scores)
    )
    good = Score("good.png", "good", 0, 5.0, True, None)
    return SeedResult("a", seed, "filter", "done", scores=(*found, good), values={"threshold": 1.0})


def test_recall_by_kind_counts_each_seed_and_puts_the_lowest_first():
    first = run(("dent", 2.0, None), ("dent", 3.0, None), ("hole", 0.5, None), ("hole", 2.0, None))
    second = run(("dent", 2.0, None), ("dent", 0.5, None), ("hole", 0.5, None), ("hole", 0.4, None), seed=1)
    hole, dent = by_kind([first, second])
    assert (hole.name, hole.images, hole.recall.mean) == ("hole", 2, 0.25)
    assert (dent.name, dent.recall.mean) == ("dent", 0.75)
    assert dent.by_seed == ((0, 2, 2), (1, 1, 2))
    assert dent.ratio == 2.0
    assert hole.ratio == pytest.approx(0.5)


def test_good_and_unread_images_are_no_defects():
    assert by_kind([run(("dent", None, 0.1))]) == ()


def test_sizes_are_in_order_and_know_their_edges():
    groups = by_size([run(("d", 2.0, 0.5), ("d", 0.5, 0.0001), ("d", 2.0, 0.01), ("d", 2.0, 0.0099), ("d", 2.0, None))])
    assert [(group.name, group.images) for group in groups] == [
        ("below 0.1 %", 1),
        ("0.3 to 1 %", 1),
        ("1 to 3 %", 1),
        ("10 % and more", 1),
        (NO_MASK, 1),
    ]


def test_without_any_mask_there_are_no_sizes():
    assert by_size([run(("d", 2.0, None))]) == ()
