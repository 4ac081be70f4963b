import dataclasses
import json

import numpy as np

from raysuite.datasets.inspection import inspect
from raysuite.datasets.layouts import find_entries
from raysuite.storage import Location

from .images import encoded, picture, plant


def test_a_report_counts_everything_and_names_what_is_wrong(tmp_path):
    one, two, three = (encoded(picture(12, 20, seed=k)) for k in range(3))
    gray = encoded(picture(8, 8)[..., 0])
    mask = encoded(np.eye(12, 20, dtype=np.uint8))
    plant(
        tmp_path,
        {
            "cap/train/good/0.png": one,
            "cap/train/good/1.png": one,
            "cap/train/good/2.png": two,
            "cap/train/good/3.png": gray,
            "cap/train/good/4.png": b"",
            "cap/test/good/0.png": two,
            "cap/test/dent/0.png": three,
            "cap/test/dent/1.png": encoded(picture(12, 20, seed=9)),
            "cap/test/hole/0.png": encoded(picture(12, 20, seed=8)),
            "cap/ground_truth/dent/0_mask.png": mask,
            "cap/ground_truth/hole/0_mask.png": encoded(np.eye(3, dtype=np.uint8)),
        },
    )
    (report,) = inspect(find_entries(Location.of(tmp_path)))
    assert report.category == "cap"
    assert (report.train_good, report.test_good, report.test_defects) == (5, 1, {"dent": 2, "hole": 1})
    assert report.sizes == ((12, 20, 7), (8, 8, 1))
    assert report.modes == {"RGB": 7, "L": 1}
    assert report.missing_masks == ("cap/test/dent/1.png",)
    assert [(name, error.partition(":")[0]) for name, error in report.failures] == [
        ("cap/train/good/4.png", "Truncated"),
        ("cap/test/hole/0.png", "MaskSize"),
    ]
    assert report.leaks == (("cap/train/good/2.png", "cap/test/good/0.png"),)
    assert report.duplicates == (("cap/train/good/0.png", "cap/train/good/1.png"),)
    json.dumps(dataclasses.asdict(report))


def test_files_that_are_no_images_are_no_leak_and_no_duplicates(tmp_path):
    names = ["cap/train/good/1.png", "cap/train/good/2.png", "cap/test/good/3.png"]
    plant(tmp_path, {"cap/train/good/0.png": encoded(picture(seed=0)), **dict.fromkeys(names, b"")})
    (report,) = inspect(find_entries(Location.of(tmp_path)))
    assert len(report.failures) == 3
    assert report.leaks == report.duplicates == ()


def test_categories_come_one_after_the_other(tmp_path):
    plant(tmp_path, ["a/train/good/0.png", "b/train/good/0.png"])
    reports = inspect(find_entries(Location.of(tmp_path)))
    assert next(reports).category == "a"
    (tmp_path / "b/train/good/0.png").write_bytes(b"")
    assert next(reports).failures[0][0] == "b/train/good/0.png"
