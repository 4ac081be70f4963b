"""Images that a layout has no place for are not missing, and do not pass for defects, without a word."""

import pytest

from raysuite.datasets.layouts import find_entries
from raysuite.errors import DatasetError
from raysuite.storage import Location

from .images import plant


@pytest.mark.parametrize(
    ("files", "left_out"),
    [
        (["caps/good/1.png", "lids/dent/1.png"], "lids"),
        (["caps/1.png", "lids/may/2/1.png"], "lids"),
        (["caps/1.png", "lids/Good/1.png"], "lids"),
        (["grid/train/good/1.png", "plain/good/1.png"], "plain"),
    ],
)
def test_a_folder_with_images_that_is_no_category_is_not_missing_unnoticed(tmp_path, files, left_out):
    plant(tmp_path, files)
    with pytest.raises(DatasetError, match=rf"{left_out} has images, but none .*good/.*--category"):
        find_entries(Location.of(tmp_path))
    other = files[0].split("/", maxsplit=1)[0]
    assert [entry.category for entry in find_entries(Location.of(tmp_path), categories=[other]).entries] == [other]


def test_other_folders_beside_the_categories_are_none_of_its_business(tmp_path):
    plant(tmp_path, ["caps/1.png", "notes/readme.txt", "ground_truth/caps/1.png", "scored/overlays/1.png"])
    (tmp_path / "scored" / "scan.json").write_text("{}")
    assert len(find_entries(Location.of(tmp_path)).entries) == 1


@pytest.mark.parametrize(
    "files", [["grid/train/good/1.png", "grid/test/Good/1.png"], ["caps/1.png", "caps/GOOD/1.png"]]
)
def test_good_images_in_a_folder_of_another_spelling_do_not_pass_for_defects(tmp_path, files):
    plant(tmp_path, files)
    with pytest.raises(DatasetError, match=r"(Good|GOOD).*count as defects: rename it 'good'"):
        find_entries(Location.of(tmp_path))
