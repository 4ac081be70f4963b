from raysuite.pipelines.gallery import EACH, hardest


def row(name: str, label: int, score: float, defect: str = "dent") -> dict[str, object]:
    return {"id": name, "label": label, "score": score, "defect": defect if label else "good"}


def of(kinds: dict[str, str], kind: str) -> list[str]:
    return [name for name, found in kinds.items() if found == kind]


def test_the_lowest_defects_and_the_highest_good_images_come_hardest_first():
    rows = [row(f"d{n}", 1, n / 10) for n in range(20)] + [row(f"g{n}", 0, n / 10) for n in range(20)]
    kinds = hardest(rows, 1.0)
    assert of(kinds, "miss") == [f"d{n}" for n in range(EACH)]
    assert of(kinds, "false_alarm") == [f"g{19 - n}" for n in range(EACH)]


def test_no_kind_of_defect_is_hidden_by_a_worse_one():
    rows = [row(f"d{n}", 1, n / 100) for n in range(20)] + [row("hole", 1, 9.0, "hole"), row("cut", 1, 5.0, "cut")]
    assert of(hardest(rows, 1.0), "miss") == [*(f"d{n}" for n in range(EACH)), "cut", "hole"]


def test_the_borderline_is_nearest_by_factor_and_has_nothing_of_the_others():
    low = [row(f"low{n}", 1, 0.01) for n in range(EACH)]
    high = [row(f"high{n}", 0, 100.0) for n in range(EACH)]
    near = [row("half", 0, 0.5), row("tenth", 0, 0.1), row("twice", 1, 1.9), row("same", 0, 1.0)]
    assert of(hardest([*low, *high, *near], 1.0), "borderline") == ["same", "twice", "half", "tenth"]


def test_few_images_are_each_shown_once():
    kinds = hardest([row("d", 1, 2.0), row("g", 0, 1.0)], 1.5)
    assert kinds == {"d": "miss", "g": "false_alarm"}
    assert hardest([], 1.0) == {}


def test_a_threshold_of_zero_still_has_a_borderline():
    rows = [row(f"g{n}", 0, float(n)) for n in range(2 * EACH)]
    assert of(hardest(rows, 0.0), "borderline") == [f"g{n}" for n in range(EACH)]
