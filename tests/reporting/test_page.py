import base64
import hashlib
import re

import pyarrow as pa
import pytest

from raysuite.reporting.definitions import METRICS
from raysuite.reporting.page import render_report, write_report
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import summarise
from raysuite.reporting.tables import mean_std
from raysuite.storage import Location

from .markup import Page
from .run_folder import FakeCategory, write_run_folder

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'.png"


@pytest.fixture(scope="module")
def page(small_page: str) -> Page:
    return Page(small_page)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    categories = [
        FakeCategory("<script>alert(3)", separation=0.5, hostile_id=HOSTILE),
        FakeCategory("b & \"c\" 'd' {{ 7*7 }}", failed=True),
        FakeCategory("plain", separation=0.5),
    ]
    return render_report(write_run_folder(Location.of(tmp_path_factory.mktemp("r")), categories, gallery=40))


def test_credentials_in_the_files_of_an_older_run_are_not_shown(fresh_run):
    uri = "s3://KEY:word@bucket/parts?secret_key=hidden"
    for name, old, new in (("config.yaml", "uri: data", f"uri: {uri}"), ("provenance.json", '"mvtec"', f'"{uri}"')):
        text = (fresh_run / name).read_text()
        assert old in text
        (fresh_run / name).write_text(text.replace(old, new))
    page = render_report(fresh_run)
    assert not any(secret in page for secret in ("KEY:", "word@", "secret_key=hidden"))
    assert page.count("s3://***@bucket/parts?secret_key=***") >= 2


def test_the_document_is_well_formed(page):
    assert page.unbalanced == []
    assert page.still_open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded_from_anywhere(page):
    loading = {"src", "href", "srcset", "data", "poster", "action", "background"}
    for tag, attributes in page.tags:
        for name in loading & attributes.keys():
            assert attributes[name].startswith(("data:image/", "#")), (tag, name)
        assert "url(" not in (attributes.get("style") or "")
        assert tag not in {"link", "iframe", "object", "embed", "base"}
    assert not re.search(r"url\(|@import", "".join(page.styles))


def test_the_policy_forbids_loads_and_lets_only_the_pages_own_scripts_run(page):
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert "unsafe" not in directives["script-src"]
    running = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    for script in running:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in directives["script-src"]


def test_plotly_is_there_once(page):
    assert sum("plotly.js v" in text for _, text in page.scripts) == 1


def test_no_chart_can_be_uploaded(page):
    assert "showSendToCloud: false" in page.scripts[-1][1]


def test_every_figure_has_its_place_and_its_words(page):
    places = {a["id"]: a for tag, a in page.tags if tag == "div" and a.get("class") == "plot"}
    whole = ("image_roc", "pixel_roc", "pro", "image_pr", "pixel_pr", "scores", "training", "rates")
    expected = {"figure-overview", "figure-timeline"}
    expected |= {f"figure-{category}-{name}" for category in (0, 2) for name in whole}
    expected |= {f"figure-1-{name}" for name in ("image_roc", "image_pr", "scores", "training", "rates")}
    assert places.keys() == expected
    assert all(place["aria-label"] for place in places.values())
    figures = [figure for figure in page.figures() if "layout" in figure]
    assert len(figures) == len(places)


def test_sections_come_in_their_order(page):
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    by_category = ["curves", "scores", "training", "where"]
    whole_run = ["gallery", "cost", "quality", "provenance", "definitions"]
    assert sections == ["verdict", "results", *by_category, *whole_run]


def test_table_values_are_the_metrics(page, small_run):
    (summary,) = summarise(load_results(small_run))
    for category in summary.categories:
        row = page.row(category.category)
        for metric, cell in zip(METRICS, row[1:], strict=False):
            expected = "failed" if category.failed else mean_std(category.metrics[metric.key])
            assert expected in cell
    means = page.row("Mean over categories")
    assert means[1:8] == [mean_std(summary.macro[metric.key]) for metric in METRICS]


def test_what_failed_is_said_first_and_the_mean_is_marked(page):
    verdict = page.visible[: page.visible.index("Results")]
    assert "incomplete ‡" in verdict
    assert "over 3 of 4 categories × 2 seeds" in verdict
    assert "toothbrush : seeds 0, 1: failed: the loss is no longer a number" in verdict
    assert "Fewer than three seeds" in verdict


def test_the_command_that_made_the_run_is_said(page):
    assert "Made by raysuite benchmark data --run runs/demo" in page.visible


def test_undefined_is_never_a_number(page):
    assert page.row("leather")[4:8] == ["n/d"] * 4
    assert not re.search(r"\b(nan|NaN|None|null|undefined)\b", page.visible)


def test_confusion_counts_add_up_to_the_images(page, small_run):
    scores = [s for s in load_results(small_run).of("carpet")[0].scores if s.score is not None]
    heads = next(index for index, row in enumerate(page.rows) if row[:3] == ["Seed", "Threshold", "Defects caught"])
    row = page.rows[heads + 1]
    missed = sum(s.label == 1 and not s.anomalous for s in scores)
    assert int(row[3]) == missed
    assert sum(map(int, row[2:6])) == len(scores)


def test_unreadable_images_are_named_with_their_reason(page):
    unscored = page.visible[page.visible.index("Test images without a score") :]
    assert "broken.png : DecodeError: broken.png ends after 12 bytes" in unscored


def test_hostile_names_stay_text(hostile):
    parsed = Page(hostile)
    assert parsed.unbalanced == []
    running = [text for attributes, text in parsed.scripts if attributes.get("type") != "application/json"]
    assert len(running) == 2
    assert not any("alert(" in text for text in running)
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert HOSTILE in parsed.visible
    assert "<script>alert(3)" in parsed.visible
    assert "{{ 7*7 }}" in parsed.visible


def test_hostile_names_stay_text_inside_charts(hostile):
    # Plotly reads a few tags in its texts, links among them, so that names go in escaped.
    figures = [figure for figure in Page(hostile).figures() if "data" in figure]
    texts = [t for figure in figures for trace in figure["data"] for t in trace.get("text") or ()]
    assert any("&lt;img" in text for text in texts)
    assert not any("<" in text for text in texts)


def test_pictures_that_are_not_pictures_are_left_out(fresh_run):
    where = fresh_run / "screw/seed-0/gallery.parquet"
    table = where.read_table()
    svg = pa.array([b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"] * len(table))
    where.write_table(table.set_column(table.column_names.index("image"), "image", svg))
    html = render_report(fresh_run)
    assert "no picture" in html
    assert "svg+xml" not in "".join(a.get("src") or "" for _, a in Page(html).tags)


def test_the_gallery_shows_the_worst_once_and_counts_the_rest(hostile):
    parsed = Page(hostile)
    assert re.search(r"\d+ more (is|are) in gallery\.parquet", parsed.visible)
    shown = [a["alt"] for tag, a in parsed.tags if tag == "img" and a["alt"].startswith("image of plain")]
    assert len(shown) == len(set(shown))


def test_a_run_in_which_all_failed_still_reports(tmp_path):
    run = write_run_folder(Location.of(tmp_path), [FakeCategory("a", failed=True)], seeds=(0,))
    visible = Page(render_report(run)).visible
    assert "Nothing was measured" in visible
    assert "lower the learning rate" in visible


def test_one_category_needs_no_picker(tmp_path):
    html = render_report(write_run_folder(Location.of(tmp_path), [FakeCategory("carpet")], seeds=(0,)))
    assert '<nav class="picker"' not in html
    assert "figure-overview" not in html


def test_a_report_weighs_little_more_than_plotly(small_page):
    plotly = max(len(text) for _, text in Page(small_page).scripts)
    assert len(small_page) - plotly < 500_000


def test_the_report_is_written_whole_and_again_the_same(fresh_run):
    written = write_report(fresh_run)
    assert written.path == (fresh_run / "report.html").path
    first = written.read_bytes()
    write_report(fresh_run)
    assert written.read_bytes() == first
    assert not [name for name, _ in fresh_run.children() if name.endswith(".tmp")]


@pytest.fixture(scope="module")
def compared(compared_run) -> Page:
    return Page(render_report(compared_run))


def test_objectives_are_compared_above_the_details(compared):
    assert compared.unbalanced == []
    sections = [attributes["id"] for tag, attributes in compared.tags if tag == "section"]
    assert sections[:4] == ["verdict", "comparison", "results", "curves"]
    assert compared.visible.count("with objective filter") >= 2, "the verdict and the results say whose they are"
    assert "toothbrush , plain: seeds 0, 1: failed" in compared.visible


def test_compared_values_are_the_metrics_and_the_best_is_bold(compared, compared_run):
    summaries = summarise(load_results(compared_run))
    expected = ["carpet", *(mean_std(summary.of("carpet").metrics["image_auroc"]) for summary in summaries)]
    assert compared.row("carpet") == expected
    assert compared.row("toothbrush") == ["toothbrush", "failed", "failed", "failed"]
    best = [attributes for tag, attributes in compared.tags if tag == "td" and attributes.get("class") == "best"]
    assert len(best) >= 3 * 2


def test_pictures_and_charts_are_those_of_the_own_objective_alone(compared, page):
    assert "Curves, scores, training and gallery are those of objective filter" in compared.visible
    assert sum("layout" in one for one in compared.figures()) == sum("layout" in one for one in page.figures())
    assert "Results with objective plain" in compared.visible


def test_one_objective_looks_as_if_there_were_no_others(page):
    assert "comparison" not in {attributes.get("id") for _, attributes in page.tags}
    assert "with objective" not in page.visible


def test_a_category_without_the_own_objective_is_shown_with_another(tmp_path):
    root = write_run_folder(Location.of(tmp_path / "r"), [FakeCategory("carpet")], seeds=(0,))
    table = (root / "metrics.parquet").read_table()
    write_run_folder(root, [FakeCategory("wood")], seeds=(0,), objectives=("plain",))
    (root / "metrics.parquet").write_table(pa.concat_tables([table, (root / "metrics.parquet").read_table()]))
    visible = Page(render_report(root)).visible
    assert "carpet · filter" in visible
    assert "wood · plain" in visible
    assert "No mean, as there is no category that every objective has." in visible


def test_synthetic_validation_is_named_as_what_it_is(page):
    heads = next(row for row in page.rows if "Objective" in row)
    cells = next(row for row in page.rows if row[:3] == ["carpet", "filter", "0"])
    assert cells[heads.index("Synthetic validation")] == "0.9000"
    assert "Synthetic validation" in page.visible[page.visible.index("What the figures mean") :]


def test_every_training_is_printed_as_metrics_parquet_has_it(page, small_run):
    heads = next(row for row in page.rows if row[:4] == ["Category", "Objective", "Seed", "Status"])
    for row in (small_run / "metrics.parquet").read_table().to_pylist():
        cells = next(cells for cells in page.rows if cells[:3] == [row["category"], "filter", str(row["seed"])])
        for metric in METRICS:
            value = row[metric.key]
            printed = cells[heads.index(metric.label)]
            assert printed == ("–" if row["status"] != "done" else "n/d" if value is None else f"{100 * value:.1f}")


def test_the_protocol_says_what_saw_which_images(page):
    protocol = page.visible[page.visible.index("Protocol and provenance") :]
    assert "good training images alone: of each category all but 10 %" in protocol
    assert "read by the evaluation alone" in protocol
    assert "raysuite benchmark data --run runs/demo" in protocol


def test_a_run_without_its_config_has_no_protocol_and_still_a_report(fresh_run):
    (fresh_run / "config.yaml").write_text("settings: [")
    visible = Page(render_report(fresh_run)).visible
    assert "Training sees" not in visible
    assert "Protocol and provenance" in visible
