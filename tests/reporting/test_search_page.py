"""The page of a search: the verdict first, figures that are those of the trials, and names that stay text."""

import json
import re
from dataclasses import asdict, replace

import pytest

from raysuite.errors import RunError
from raysuite.reporting import search_cost
from raysuite.reporting.search import markdown, text
from raysuite.reporting.search_cost import held_figure
from raysuite.reporting.search_page import MOST_ROWS, render_search_report, write_search_report
from raysuite.reporting.search_results import load_search
from raysuite.storage import Location
from raysuite.tuning.standing import Trial, standing
from raysuite.tuning.trials import read_trials, rows_of
from raysuite.tuning.verdict import rank_correlation

from .markup import Page
from .search_folder import write_search_folder

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'\n缺陷"


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Location:
    return write_search_folder(Location.of(tmp_path_factory.mktemp("searches") / "over"))


@pytest.fixture(scope="module")
def page(search: Location) -> Page:
    return Page(render_search_report(search))


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Page:
    root = write_search_folder(Location.of(tmp_path_factory.mktemp("searches") / "open"), is_over=False)
    return Page(render_search_report(root))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Page:
    root = write_search_folder(
        Location.of(tmp_path_factory.mktemp("searches") / "oracle"),
        (HOSTILE, "plain"), oracle=True, reason=HOSTILE, node=HOSTILE,
    )  # fmt: skip
    return Page(render_search_report(root))


def test_credentials_in_the_files_of_an_older_search_are_not_shown(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"), is_over=False)
    for name, old in (("config.yaml", "/data"), ("provenance.json", '"raysuite": "1')):
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, f"{old}://KEY:word@bucket/parts"))
    page = render_search_report(root)
    assert "word@" not in page
    assert page.count("://***@bucket/parts") == 2


def figure_of(page: Page, name: str) -> dict[str, object]:
    """Figures stand in the page in the order of their places."""
    ids = [a["id"] for tag, a in page.tags if tag == "div" and a.get("class") == "plot"]
    return page.figures()[ids.index(name)]


def test_the_document_is_whole_and_loads_nothing(page):
    assert page.unbalanced == []
    assert page.still_open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        for name in {"src", "href"} & attributes.keys():
            assert attributes[name].startswith(("data:image/", "#")), (tag, name)


def test_the_verdict_comes_first_with_its_interval(page, search):
    summary = json.loads((search / "summary.json").read_text())
    words = summary["final"]["verdicts"]["image_auroc"]["words"]
    opening = page.visible[: page.visible.index("Best settings")]
    assert f"of the winner against the default: {words}" in opening
    assert "1 trial came to nothing" in opening
    assert page.row("image AUROC")[1] == "+5.0"
    assert "not over" not in page.visible
    assert "oracle" not in page.visible.lower()


def test_figures_of_the_page_are_those_of_the_trials(page, search):
    trials = {trial.number: trial for trial in standing_of(search)}
    history = figure_of(page, "figure-0-history")
    shown = {
        number: score
        for trace in history["data"] if trace["mode"] == "markers" and trace["name"] != "came to nothing"
        for number, score in zip(trace["x"], trace["y"], strict=True)
    }  # fmt: skip
    assert shown == {
        number: pytest.approx(100 * trial.score, abs=0.001)
        for number, trial in trials.items() if trial.score is not None
    }  # fmt: skip
    assert len(shown) == 23
    for name in ("rungs", "parallel", "importance", "latency_ms", "parameters", "0-image_auroc"):
        assert figure_of(page, f"figure-0-{name}")["data"]
    best = next(trial for trial in trials.values() if page.row(str(trial.number))[3] == max_score(trials))
    assert page.row(str(best.number))[3] == f"{100 * best.score:.1f}"


def standing_of(search):
    from raysuite.runs import Run

    (group,) = standing(Run.open(search.uri)).groups
    return group.trials


def max_score(trials):
    return f"{100 * max(t.score for t in trials.values() if t.score is not None and t.steps == 900):.1f}"


def test_all_is_readable_without_scripts(page, search):
    for record in read_trials(rows_of(search)):
        assert any(row[0] == str(record.number) and record.state in row for row in page.rows)
    reasons = next(row for row in page.rows if "the loss is no longer a number" in row)
    assert reasons[:3] == ["2", "weave", "failed"]
    changed = {row[0] for row in page.rows if len(row) == 3}
    assert "training.learning_rate" in changed
    places = [a for tag, a in page.tags if tag == "div" and a.get("class") == "plot"]
    assert all(place["aria-label"] for place in places)
    assert not re.search(r"\b(nan|NaN|None|null|undefined)\b", page.visible)


def test_a_search_that_is_not_over_says_so_and_shows_what_there_is(unfinished):
    assert "The search is not over. The best so far is trial" in unfinished.visible
    assert "Nobody works on it; the same command goes on." in unfinished.visible
    assert "1 interrupted" in unfinished.visible
    assert "winner against the default" not in unfinished.visible
    assert "figure-0-history" in {a.get("id") for _, a in unfinished.tags}


def test_a_search_that_went_on_keeps_no_verdict_of_an_earlier_end(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"))
    before = json.loads((root / "summary.json").read_text())
    (root / "summary.json").write_text(json.dumps({**before, "trained_steps": before["trained_steps"] - 100}))
    visible = Page(render_search_report(root)).visible
    assert "The search is not over." in visible
    assert "of an earlier end" in visible
    assert "winner against the default" not in visible


def test_an_oracle_is_marked_everywhere(hostile):
    assert hostile.visible.count("ORACLE: trials were chosen with the labels of the test images.") == 1
    for heading in ("Best settings (oracle)", "Best score (oracle)", "Score (oracle), %"):
        assert heading in hostile.visible
    for figure in hostile.figures():
        titles = [axis.get("title", {}).get("text", "") for axis in figure["layout"].values() if isinstance(axis, dict)]
        assert not any(title.startswith("Score, ") for title in titles)


def test_hostile_names_stay_text(hostile):
    assert hostile.unbalanced == []
    running = [text for attributes, text in hostile.scripts if attributes.get("type") != "application/json"]
    assert len(running) == 2
    assert not any("alert(" in text for text in running)
    assert not any(name.startswith("on") for _, attributes in hostile.tags for name in attributes)
    assert " ".join(HOSTILE.split()) in hostile.visible
    ticks = figure_of(hostile, "figure-timeline")["layout"]["yaxis"]["ticktext"]
    assert any("&lt;img" in tick for tick in ticks)
    assert not any("<" in tick for tick in ticks)


def test_hostile_names_stay_text_in_markdown_too(tmp_path):
    names = ("<img src=x>", "a|b", "*bold* [link](http://x)")
    root = write_search_folder(Location.of(tmp_path / "search"), names, per_category=True, reason="[red]<b>no")
    written = markdown(json.loads((root / "summary.json").read_text()))
    assert not re.search(r"(?<!\\)[<>\[\]]", written)
    assert r"## Best trials on \<img src=x\>" in written
    assert r"| a\|b | " in written
    assert r"\*bold\* \[link\](http://x)" in written


def test_categories_that_keep_the_default_are_named_and_the_others_have_a_difference_each(tmp_path):
    root = write_search_folder(
        Location.of(tmp_path / "search"), ("weave", "knit", "mesh", "felt"), per_category=True, keep=("mesh", "felt")
    )
    summary, page = json.loads((root / "summary.json").read_text()), Page(render_search_report(root))
    assert page.row("image AUROC")[3] == "2 categories"
    assert page.row("knit")[1:] == page.row("weave")[1:] == ["+5.0", "+5.0", "+5.0"]
    for told in (page.visible, markdown(summary), text(summary)):
        assert "ot in the verdict: felt, mesh, which keep the default" in told
        assert "Mean of winner minus default in each category, points" in told
    assert "| knit | +5.0 | +5.0 | +5.0 |" in markdown(summary)


def test_on_one_category_the_verdict_says_all(search, page):
    summary = json.loads((search / "summary.json").read_text())
    assert "over 3 seeds" in text(summary)
    for told in (page.visible, markdown(summary), text(summary)):
        assert "in each category" not in told
        assert "not in the verdict" not in told


def test_a_shared_search_s_outcome_is_found_in_whatever_order_its_categories_were_written(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"), ("weave", "knit"))
    summary = json.loads((root / "summary.json").read_text())
    summary["outcomes"][0]["categories"] = ["weave", "knit"]
    (root / "summary.json").write_text(json.dumps(summary))
    found = load_search(root)
    assert found.outcome(found.standing.groups[0]) == summary["outcomes"][0]


def test_a_summary_of_an_older_version_still_has_a_page(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"))
    summary = json.loads((root / "summary.json").read_text())
    for one in summary["final"]["verdicts"].values():
        del one["by_category"], one["over"]
        one["method"] = "paired t"
    (root / "summary.json").write_text(json.dumps(summary))
    assert Page(render_search_report(root)).row("image AUROC")[1] == "+5.0"


def test_how_far_the_objective_is_to_be_trusted_is_said_in_whole_sentences(search):
    summary = json.loads((search / "summary.json").read_text())
    few = {**summary["correlations"][0], "full": asdict(rank_correlation([1, 2], [1, 2]))}
    words = text({**summary, "correlations": [few]})
    assert (
        "weave, image AUROC: of trials that went to the end, rank correlation 1.00 over 2 trials, too few for an "
        "interval; of all trials, rank correlation 1.00, 95 % interval" in words
    )


def test_what_trials_held_is_drawn_over_time_and_its_most_and_mean_are_said(page):
    held = figure_of(page, "figure-held")
    (trace,) = held["data"]
    # Two at a time, for 28 of 30 seconds, of half a GPU each.
    assert trace["line"]["shape"] == "hv"
    assert (min(trace["y"]), max(trace["y"]), trace["y"][-1]) == (0, 1, 0)
    assert held["layout"]["yaxis"]["title"]["text"] == "GPUs held"
    assert "GPUs held: at most 1, 0.933 on average" in page.visible
    assert any("2025-10-09 08:53:20" in row for row in page.rows)


def test_without_gpus_what_is_held_are_cpus_and_where_nobody_noted_it_trials(search):
    trials = standing_of(search)
    assert held_figure(trials, {"cpus": 3, "gpus": 0.0})[1].startswith("CPUs held: at most 6,")
    assert held_figure(trials, {})[1].startswith("Trials at once: at most 2,")
    assert held_figure((), {}) == (None, "")


def test_an_end_that_was_written_a_moment_late_holds_nothing_twice(search):
    first = standing_of(search)[0]
    rows = [replace(first.rows[0], started=start, ended=start + 10.02) for start in (0.0, 10.0)]
    trials = [Trial(number, (row,), "done") for number, row in enumerate(rows)]
    assert held_figure(trials, {"cpus": 2})[1].startswith("CPUs held: at most 2,")


def test_too_many_trials_for_a_timeline_are_told_and_what_they_held_is_still_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(search_cost, "MOST_ROWS", 1)
    page = Page(render_search_report(write_search_folder(Location.of(tmp_path / "search"))))
    assert "There is no timeline: 2 trials at once are too many to draw (more than 1)." in page.visible
    assert figure_of(page, "figure-held")["data"]
    monkeypatch.setattr(search_cost, "MOST_ROWS", 2)
    monkeypatch.setattr(search_cost, "MOST_BARS", 10)
    page = Page(render_search_report(write_search_folder(Location.of(tmp_path / "search"))))
    assert "There is no timeline: 24 trials are too many to draw (more than 10)." in page.visible


def test_searches_of_single_categories_have_a_panel_each(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"), ("weave", "knit"), per_category=True)
    page = Page(render_search_report(root))
    assert [a["data-panel"] for _, a in page.tags if "data-panel" in a] == ["0", "1"]
    assert "best-knit.yaml" in page.visible
    assert "best-weave.yaml" in page.visible


def test_an_empty_search_still_has_a_page(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"), trials=1, is_over=False)
    rows_of(root).delete_dir()
    visible = Page(render_search_report(root)).visible
    assert "No trial has begun." in visible
    assert "1 pending" in visible


def test_a_page_weighs_little_more_than_plotly_and_is_written_the_same_again(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"), trials=MOST_ROWS // 4)
    target = write_search_report(root)
    first = target.read_bytes()
    assert len(first) - max(len(text) for _, text in Page(first.decode()).scripts) < 1_000_000
    write_search_report(root)
    assert target.read_bytes() == first


def test_what_is_no_search_or_damaged_is_told(tmp_path):
    with pytest.raises(RunError, match=r"no search\.json"):
        render_search_report(Location.of(tmp_path))
    root = write_search_folder(Location.of(tmp_path / "search"), trials=4)
    (root / "test.parquet").write_bytes(b"rubbish")
    assert "test.parquet cannot be read" in Page(render_search_report(root)).visible
    (root / "search.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        render_search_report(root)
