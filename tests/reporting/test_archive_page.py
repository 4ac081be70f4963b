"""The page of a scored archive: counts that reconcile, names that stay text, and a size that no archive changes."""

import json
from pathlib import Path

import pytest

from raysuite.errors import RunError
from raysuite.reporting.archive_figures import distribution_figure
from raysuite.reporting.archive_page import PICTURE_BYTES, render_archive_page, write_archive_page
from raysuite.storage import Location

from .archive_folder import HOSTILE, noise, write_archive
from .markup import Page


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Location:
    """Not to be changed."""
    return write_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def page(archive: Location) -> Page:
    return Page(render_archive_page(archive))


@pytest.fixture
def summary(archive: Location) -> dict:
    return json.loads((archive / "summary.json").read_text())


def changed(archive: Location, folder: Path, summary: dict) -> Location:
    """The archive as far as its page needs it, with another summary."""
    out = Location.of(folder / "changed")
    (out / "scan.json").write_text((archive / "scan.json").read_text())
    (out / "summary.json").write_text(json.dumps(summary))
    return out


def test_the_document_is_whole_and_loads_nothing(page):
    assert page.unbalanced == []
    assert page.still_open == []
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        for name in {"src", "href"} & attributes.keys():
            assert attributes[name].startswith(("data:image/", "#")), (tag, name)


def test_counts_reconcile_and_every_reason_is_there(page, summary):
    assert summary["images"] == summary["scored"] + summary["failed"] == 27
    assert f"Images in 27 12 MB = scored {summary['scored']} + failed {summary['failed']}" in page.visible
    assert "1 .txt, 2 without a suffix" in page.visible
    for kind, errors in summary["errors"].items():
        assert page.row(kind)[1] == str(errors["count"])
        assert all(" ".join(text.split()) in page.visible for text in errors["examples"])
    for name, model in summary["models"].items():
        row = page.row(name)
        assert row[1:3] == [str(model["scored"]), str(model["anomalous"])]
        assert row[4] == "10"
        assert row[6] == "24"


def test_errors_of_more_kinds_than_are_kept_are_counted_too(archive, summary, tmp_path):
    summary["failed"] += 5
    page = Page(render_archive_page(changed(archive, tmp_path, summary)))
    assert page.row("Other kinds")[1] == "5"


def test_a_distribution_holds_every_image_on_its_side_of_the_threshold(summary):
    for model in summary["models"].values():
        figure = distribution_figure(model)
        bars = {trace.name: sum(trace.y) for trace in figure.data if trace.type == "bar"}
        assert sum(bars.values()) == model["scored"]
        assert bars.get("anomalous", 0) == model["anomalous"]
        (line,) = (trace for trace in figure.data if trace.type == "scatter")
        assert sum(line.y) == pytest.approx(model["scored"], rel=0.01)


def test_the_worst_come_first_with_their_pictures(page, summary):
    ranks = [row for row in page.rows if row[0].isdigit() and len(row) == 7]
    assert len(ranks) == len(summary["worst"])
    for row, found in zip(ranks, summary["worst"], strict=True):
        assert " ".join(found["id"].split()) in " ".join(row[2].split())
        assert row[4] == f"{found['score']:.4g}"
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 4
    assert all(one["src"].startswith("data:image/webp;base64,") and one["alt"] for one in pictures)


def test_pictures_keep_to_their_budget(archive, summary, tmp_path):
    summary["worst"] = [summary["worst"][0]] * 120
    out = changed(archive, tmp_path, summary)
    for rank in range(1, 121):
        (out / "overlays" / f"{rank:04d}-x.jpg").write_bytes(noise(240, rank))
    html = render_archive_page(out)
    pictures = [attributes for tag, attributes in Page(html).tags if tag == "img"]
    assert 0 < len(pictures) < 120
    assert PICTURE_BYTES / 2 < sum(len(one["src"]) for one in pictures) * 3 / 4 <= PICTURE_BYTES


def test_a_picture_that_is_none_is_left_out(archive, summary, tmp_path):
    out = changed(archive, tmp_path, summary)
    (out / "overlays" / "0001-x.jpg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    assert not [tag for tag, _ in Page(render_archive_page(out)).tags if tag == "img"]


def test_hostile_names_stay_text(page):
    running = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    assert len(running) == 2
    assert not any("alert(" in text for text in running)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert " ".join(HOSTILE.split()) in page.visible
    assert "<script>alert(3)" in page.visible


def test_a_hundred_million_images_are_a_page_no_larger(archive, summary, tmp_path):
    small = len(render_archive_page(archive))
    for model in summary["models"].values():
        model["histogram"] = [2_000_000] * len(model["histogram"])
        model["scored"] = sum(model["histogram"])
    summary["images"] = summary["rows"] = summary["scored"] = 100_000_000
    summary["pace"] = {"bin_seconds": 4096, "bins": [[4096 * n, 400_000, 12] for n in range(240)]}
    large = render_archive_page(changed(archive, tmp_path, summary))
    assert len(large) < small + 100_000
    assert "100,000,000" in Page(large).visible


def test_a_summary_of_an_older_version_has_a_page_too(archive, summary, tmp_path):
    del summary["pace"]
    for model in summary["models"].values():
        del model["calibration_histogram"]
    visible = Page(render_archive_page(changed(archive, tmp_path, summary))).visible
    assert "Not known: the archive was scored by an older raysuite." in visible


def test_warnings_come_before_everything_else(archive, summary, tmp_path):
    summary["warnings"] = ["what looks good to weave scores higher"]
    visible = Page(render_archive_page(changed(archive, tmp_path, summary))).visible
    assert visible.index("what looks good to weave") < visible.index("Images in")


def test_what_is_unfinished_or_damaged_is_told(archive, tmp_path, summary):
    out = changed(archive, tmp_path, summary)
    first = write_archive_page(out).read_bytes()
    assert write_archive_page(out).read_bytes() == first
    (out / "summary.json").write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        render_archive_page(out)
    (out / "summary.json").fs.delete_file((out / "summary.json").path)
    with pytest.raises(RunError, match="not scored to its end"):
        render_archive_page(out)
