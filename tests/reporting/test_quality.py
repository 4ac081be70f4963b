import pyarrow as pa
import pyarrow.parquet as pq

from raysuite.datasets.entries import Source
from raysuite.datasets.schema import SAMPLE_SCHEMA
from raysuite.datasets.shards import Manifest, category_folder
from raysuite.reporting.page import render_report
from raysuite.reporting.quality import anomalies, inspect_shards
from raysuite.storage import Location

from .markup import Page
from .run_folder import FakeCategory, write_run_folder


def row(name: str, split: str, content: str, **more: object) -> dict[str, object]:
    label = int("hole" in name)
    sound = {"image": b"x", "height": 64, "width": 96, "mode": "RGB", "sha256": content, "label": label}
    return {"id": name, "category": "cap", "split": split, "defect": "hole" if label else "good", **sound, **more}


def write_shards(shards: Location, rows: list[dict[str, object]], without: tuple[str, ...] = ("category",)) -> None:
    folder = category_folder(shards, "cap")
    (folder / "0.parquet").write_bytes(b"")  # makes the folder
    schema = pa.schema([field for field in SAMPLE_SCHEMA if field.name not in without])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), (folder / "0.parquet").path, filesystem=folder.fs)
    Manifest("f" * 64, {"cap": {"train": 0, "test": 0, "failed": 0}}, {"cap": Source("d", "mvtec")}).write(shards)


ROWS = [
    row("train/0.png", "train", "a"),
    row("train/1.png", "train", "a"),
    row("train/2.png", "train", "b", mode="L", height=32),
    row("test/good/0.png", "test", "b"),
    row("test/hole/0.png", "test", "c", mask=b"m"),
    row("test/hole/1.png", "test", "d"),
    row(
        "test/hole/<b>.png",
        "test",
        "e",
        image=None,
        height=None,
        width=None,
        mode=None,
        sha256=None,
        error="Truncated: x",
    ),
]


def test_what_is_wrong_is_found_without_reading_images(tmp_path):
    write_shards(Location.of(tmp_path), ROWS)
    (report,) = inspect_shards(Location.of(tmp_path))
    assert (report.train_good, report.test_good, report.test_defects) == (3, 1, {"hole": 3})
    assert report.leaks == (("train/2.png", "test/good/0.png"),)
    assert report.duplicates == (("train/0.png", "train/1.png"),)
    assert report.missing_masks == ("test/hole/1.png",)
    assert report.modes == {"RGB": 5, "L": 1}
    sentences = " ".join(sentence for sentence, _ in anomalies(report))
    for words in (
        "in training and in test",
        "cannot be used",
        "more than once",
        "no mask",
        "2 sizes: 96 × 64 (5)",
        "L (1)",
    ):
        assert words in sentences


def test_sound_images_have_nothing_to_tell(tmp_path):
    write_shards(Location.of(tmp_path), [ROWS[0], ROWS[4]])
    (report,) = inspect_shards(Location.of(tmp_path))
    assert anomalies(report) == []


def test_shards_of_older_versions_are_read(tmp_path):
    write_shards(Location.of(tmp_path), ROWS[:2], without=("category", "mode"))
    assert inspect_shards(Location.of(tmp_path))[0].modes == {"unknown": 2}


def test_shards_that_are_gone_or_damaged_are_no_report(tmp_path):
    assert inspect_shards(Location.of(tmp_path / "none")) == ()
    write_shards(Location.of(tmp_path), ROWS)
    (category_folder(Location.of(tmp_path), "cap") / "0.parquet").write_bytes(b"PAR1")
    assert inspect_shards(Location.of(tmp_path)) == ()


def test_the_page_tells_it_with_names_as_text(tmp_path):
    root = write_run_folder(Location.of(tmp_path / "run"), [FakeCategory("cap")], seeds=(0,))
    write_shards(root / "shards", ROWS)
    page = Page(render_report(root))
    section = page.visible[page.visible.index("Data quality") :]
    assert "1 image is in training and in test, byte for byte" in section
    assert "test/hole/<b>.png: Truncated: x" in section
    assert page.row("cap") != []
    assert page.unbalanced == []
