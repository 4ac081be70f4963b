import pytest

from raysuite.reporting.gallery import KINDS, LIMIT, GalleryView, galleries
from raysuite.reporting.results import GalleryItem, SeedResult


def item(kind: str, score: float | None, name: str = "x", *, seed: int = 0, label: int | None = None, size: int = 10):
    pictures = {"image": b"\x89PNG\r\n\x1a\n" + b"0" * size}
    return GalleryItem(seed, kind, name, None, score, 1.0, pictures, label)


def run(*items: GalleryItem, seed: int = 0) -> SeedResult:
    return SeedResult("a", seed, "filter", "done", gallery=items)


def names(category, kind: str) -> list[str]:
    return [view.item.id for view in category.kinds[kind]]


@pytest.mark.parametrize(
    ("kind", "label", "score", "verdict"),
    [
        ("miss", None, 0.5, "missed"),
        ("miss", 1, 2.0, "caught"),
        ("false_alarm", None, 0.5, "passed"),
        ("false_alarm", 0, 2.0, "false alarm"),
        ("borderline", 1, 0.9, "missed"),
        ("borderline", 0, 1.1, "false alarm"),
        ("miss", 1, None, ""),
    ],
)
def test_an_item_says_on_which_side_of_the_threshold_it_fell(kind, label, score, verdict):
    assert GalleryView(item(kind, score, label=label), {}).verdict == verdict


def test_the_hardest_of_each_kind_come_first_and_an_image_once():
    first = run(item("miss", 0.5, "m1"), item("false_alarm", 3.0, "f1"), item("borderline", 1.3, "b1"))
    second = run(item("miss", 0.2, "m2"), item("miss", 0.7, "m1"), item("borderline", 0.9, "b2"), seed=1)
    (one,) = galleries({"a": [first, second]})
    assert list(one.kinds) == list(KINDS)
    assert names(one, "miss") == ["m2", "m1"]
    assert one.kinds["miss"][1].item.score == 0.5
    assert names(one, "borderline") == ["b2", "b1"]
    assert one.hidden == 0


def test_a_budget_is_shared_by_all_categories_and_leaves_no_gaps():
    runs = {
        name: [run(*(item("miss", 0.1 + n / 100, f"{name}{n}", size=1000) for n in range(LIMIT)))] for name in "abcd"
    }
    shown = galleries(runs, budget=10_000)
    counts = [len(one.kinds["miss"]) for one in shown]
    assert 5 <= sum(counts) <= 8
    assert max(counts) - min(counts) <= 1
    assert all(
        names(one, "miss") == [f"{one.category}{n}" for n in range(count)]
        for one, count in zip(shown, counts, strict=True)
    )
    assert all(one.hidden == LIMIT - count for one, count in zip(shown, counts, strict=True))


def test_what_does_not_fit_is_not_passed_over_for_an_easier_one():
    (one,) = galleries({"a": [run(item("miss", 0.1, "huge", size=50_000), item("miss", 0.5, "small"))]}, budget=5000)
    assert names(one, "miss") == []
    assert one.hidden == 2
