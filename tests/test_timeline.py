import json

from raysuite.runs import Member
from raysuite.storage import Location
from raysuite.timeline import FILE, spans, spans_by_node, write_span


def member(tmp_path) -> Member:
    (tmp_path / "a").mkdir()
    return Member(Location.of(tmp_path / "a"), "a", 0, "filter")


def test_a_span_that_goes_on_is_one_line(tmp_path):
    one = member(tmp_path)
    first = {"stage": "train", "node": "n", "started": 5.0}
    write_span(one, {**first, "ended": None})
    write_span(one, {**first, "started": 9.0, "ended": None})
    write_span(one, {**first, "ended": 8.0, "reason": "stopped"})
    assert [(span["started"], span["ended"]) for span in spans(one)] == [(5.0, 8.0), (9.0, None)]


def test_a_damaged_timeline_is_no_timeline(tmp_path):
    one = member(tmp_path)
    for text in ("", "{", "{}", '[1, {"stage": "train"}, {"started": "x", "stage": "train"}]'):
        (tmp_path / "a" / FILE).write_text(text)
        assert spans(one) == []
    write_span(one, {"stage": "train", "node": "n", "started": 1})
    assert len(json.loads((tmp_path / "a" / FILE).read_text())) == 1


def test_blocks_become_a_span_a_node():
    blocks = [
        {"node": node, "started": start, "ended": start + 2.0} for node, start in (("b", 3.0), ("a", 1.0), ("b", 9.0))
    ]
    found = list(spans_by_node(blocks))
    assert [(span["node"], span["started"], span["ended"], span["busy_seconds"]) for span in found] == [
        ("a", 1.0, 3.0, 2.0),
        ("b", 3.0, 11.0, 4.0),
    ]
