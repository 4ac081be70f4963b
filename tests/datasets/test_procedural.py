import numpy as np
import pytest

from raysuite.datasets.decoding import decode_image, decode_mask
from raysuite.datasets.layouts import find_entries
from raysuite.datasets.procedural import CATEGORIES, draw_defect, draw_good, write_benchmark
from raysuite.datasets.procedural import benchmark as benchmark_module
from raysuite.datasets.reading import read_sample
from raysuite.errors import DatasetError
from raysuite.storage import Location

KINDS = [(category, kind) for category, scene in CATEGORIES.items() for kind in scene.kinds]


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.png")}


def test_the_same_seed_writes_the_same_files_and_another_seed_other_images(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_benchmark(tmp_path / name, seed=seed, image_size=48, train=2, good=1, defect_per_kind=1)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert not set(a.values()) & {data for path, data in c.items() if "ground_truth" not in path}


def test_it_writes_an_ordinary_data_set_that_reads_without_errors(tmp_path):
    root = Location.of(tmp_path)
    count = write_benchmark(root, seed=0, image_size=48, train=3, good=2, defect_per_kind=1)
    listing = find_entries(root)
    assert listing.layout == "mvtec"
    assert listing.categories == tuple(sorted(CATEGORIES))
    assert len(listing.entries) == count == 3 * 5 + len(KINDS)
    rows = [read_sample(root, entry) for entry in listing.entries]
    assert [row["error"] for row in rows] == [None] * count
    assert {(row["height"], row["width"]) for row in rows} == {(48, 48)}
    for row in rows:
        assert (row["mask"] is not None) == (row["label"] == 1)
        if row["label"] == 1:
            assert decode_mask(row["mask"]).any()


def test_nothing_is_drawn_beside_the_images_of_another_drawing_or_of_somebody(tmp_path):
    def draw(**more):
        small = {"seed": 0, "image_size": 32, "train": 2, "good": 1, "defect_per_kind": 1, "categories": ("grain",)}
        return write_benchmark(tmp_path, **(small | more))

    count = draw()
    draw(categories=("weave",))
    assert draw(seed=1) == count, "the same files are drawn anew"
    for more in ({"train": 1}, {"good": 0}, {"defect_per_kind": 0}):
        with pytest.raises(DatasetError, match=r"holds .* which would stay beside"):
            draw(**more)
    (tmp_path / "screws").mkdir()
    with pytest.raises(DatasetError, match=r"holds screws, which would stay beside .*take another folder"):
        draw()


def test_categories_can_be_chosen_and_written_alone_without_changing(tmp_path):
    write_benchmark(tmp_path / "all", seed=0, image_size=32, train=1, good=1, defect_per_kind=1)
    write_benchmark(tmp_path / "one", seed=0, image_size=32, train=1, good=1, defect_per_kind=1, categories=["grain"])
    everything, alone = contents(tmp_path / "all"), contents(tmp_path / "one")
    assert alone
    assert all(path.startswith("grain/") and everything[path] == data for path, data in alone.items())


@pytest.mark.parametrize(("category", "kind"), KINDS)
def test_a_mask_is_where_the_defect_changed_the_image(category, kind):
    scene_class = CATEGORIES[category]
    for index in range(3):
        image_HW3, mask_HW = draw_defect(category, kind, seed=5, index=index, size=128)
        # The same scene without the defect, from the same random numbers.
        rng = benchmark_module._rng(5, category, f"test/{kind}", index)
        good_HW3 = benchmark_module._quantised(scene_class.draw(rng, 128).shade())
        change_HW = np.abs(image_HW3.astype(int) - good_HW3).max(axis=2)
        assert (change_HW[~mask_HW] == 0).all()
        assert np.mean(change_HW[mask_HW] >= benchmark_module.VISIBLE) > 0.6
        assert 0.001 < mask_HW.mean() < 0.2


@pytest.mark.parametrize("category", CATEGORIES)
def test_good_images_vary(category):
    images = [draw_good(category, seed=0, split="train", index=k, size=64).astype(float) for k in range(4)]
    assert all(image.shape == (64, 64, 3) and 20 < image.mean() < 235 for image in images)
    for k in range(3):
        assert np.abs(images[k] - images[k + 1]).mean() > 2


@pytest.mark.parametrize("category", CATEGORIES)
def test_train_and_test_never_share_an_image(category):
    train = draw_good(category, seed=0, split="train", index=0, size=32)
    test = draw_good(category, seed=0, split="test", index=0, size=32)
    assert (train != test).any()


@pytest.mark.parametrize(("category", "kind"), KINDS)
@pytest.mark.parametrize("size", [32, 96])
def test_every_kind_can_be_drawn_at_other_sizes(category, kind, size):
    image_HW3, mask_HW = draw_defect(category, kind, seed=0, index=0, size=size)
    assert image_HW3.shape == (size, size, 3)
    assert mask_HW.shape == (size, size)
    assert mask_HW.any()


@pytest.mark.parametrize(
    ("category", "kind"), [("weave", "misweave"), ("grain", "blister"), ("weave", "snag"), ("flange", "misplaced_hole")]
)
def test_structural_defects_do_not_show_in_the_brightness(category, kind):
    good = [draw_good(category, seed=0, split="test", index=k, size=96).mean() for k in range(12)]
    bad = [draw_defect(category, kind, seed=0, index=k, size=96)[0].mean() for k in range(12)]
    assert abs(np.mean(bad) - np.mean(good)) < 2 * np.std(good)


def test_unknown_names_are_refused_with_the_known_ones(tmp_path):
    with pytest.raises(DatasetError, match="'wood': take one of weave, grain, flange"):
        write_benchmark(tmp_path, seed=0, categories=["wood"])
    assert not list(tmp_path.iterdir())
    with pytest.raises(DatasetError, match="'dent': take one of missing_thread"):
        draw_defect("weave", "dent", seed=0, index=0)


def test_too_small_images_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="take 32 or more"):
        write_benchmark(tmp_path, seed=0, image_size=16)
    with pytest.raises(DatasetError, match="take 32 or more"):
        draw_defect("flange", "scratch", seed=0, index=0, size=31)


def test_files_are_rgb_images_and_masks_of_0_and_255(tmp_path):
    write_benchmark(tmp_path, seed=0, image_size=32, train=1, good=0, defect_per_kind=1, categories=["flange"])
    mask = (tmp_path / "flange/ground_truth/chip/000_mask.png").read_bytes()
    assert set(np.unique(decode_image(mask))) == {0, 255}
