import os
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysuite.datasets.entries import Entry, checked_category
from raysuite.datasets.layouts import LAYOUTS, find_all, find_entries
from raysuite.errors import DatasetError
from raysuite.storage import Location

from .images import plant

MVTEC = [
    "bottle/train/good/000.png",
    "bottle/train/good/001.png",
    "bottle/test/good/000.png",
    "bottle/test/crack/000.png",
    "bottle/test/crack/001.png",
    "bottle/ground_truth/crack/000_mask.png",
    "cable/train/good/000.png",
]
BTAD = [
    "01/train/ok/0000.bmp",
    "01/test/ok/0001.bmp",
    "01/test/ko/0002.bmp",
    "01/test/ko/0003.bmp",
    "01/ground_truth/ko/0002.png",
]
VISA_ROWS = """object,split,label,image,mask
candle,train,normal,candle/Data/Images/Normal/0000.JPG,
candle,test,normal,candle/Data/Images/Normal/0001.JPG,
candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png
candle,test,anomaly,candle/Data/Images/Anomaly/001.JPG,candle/Data/Masks/Anomaly/001.png
"""


def brief(listing):
    return [(e.category, e.split, e.label, e.defect, e.id, e.mask) for e in listing.entries]


def found(root, *args, **kwargs):
    return find_entries(Location.of(root), *args, **kwargs)


def visa(root, rows=VISA_ROWS):
    plant(root, ["candle/Data/Images/Normal/0000.JPG", "candle/Data/Masks/Anomaly/000.png"])
    return plant(root, {"split_csv/1cls.csv": rows.encode()})


def test_mvtec_is_found_with_its_masks(tmp_path):
    listing = found(plant(tmp_path, MVTEC))
    assert listing.layout == "mvtec"
    assert listing.categories == ("bottle", "cable")
    assert brief(listing) == [
        ("bottle", "train", 0, "good", "bottle/train/good/000.png", None),
        ("bottle", "train", 0, "good", "bottle/train/good/001.png", None),
        ("bottle", "test", 1, "crack", "bottle/test/crack/000.png", "bottle/ground_truth/crack/000_mask.png"),
        ("bottle", "test", 1, "crack", "bottle/test/crack/001.png", None),
        ("bottle", "test", 0, "good", "bottle/test/good/000.png", None),
        ("cable", "train", 0, "good", "cable/train/good/000.png", None),
    ]
    assert {e.image for e in listing.entries} == {e.id for e in listing.entries}


def test_one_category_alone_may_be_the_root(tmp_path):
    listing = found(plant(tmp_path, MVTEC) / "bottle")
    assert listing.categories == ("bottle",)
    assert listing.of("bottle")[0].id == "train/good/000.png"


def test_categories_can_be_chosen(tmp_path):
    listing = found(plant(tmp_path, MVTEC), categories=["cable"])
    assert [e.category for e in listing.entries] == ["cable"]


def test_btad_is_found_with_masks_named_as_the_image(tmp_path):
    listing = found(plant(tmp_path, BTAD))
    assert listing.layout == "btad"
    assert brief(listing) == [
        ("01", "train", 0, "good", "01/train/ok/0000.bmp", None),
        ("01", "test", 1, "ko", "01/test/ko/0002.bmp", "01/ground_truth/ko/0002.png"),
        ("01", "test", 1, "ko", "01/test/ko/0003.bmp", None),
        ("01", "test", 0, "good", "01/test/ok/0001.bmp", None),
    ]


def test_visa_is_read_from_its_split_file(tmp_path):
    listing = found(visa(tmp_path))
    assert listing.layout == "visa"
    assert brief(listing) == [
        ("candle", "train", 0, "good", "candle/Data/Images/Normal/0000.JPG", None),
        ("candle", "test", 1, "anomaly", "candle/Data/Images/Anomaly/000.JPG", "candle/Data/Masks/Anomaly/000.png"),
        ("candle", "test", 1, "anomaly", "candle/Data/Images/Anomaly/001.JPG", None),
        ("candle", "test", 0, "good", "candle/Data/Images/Normal/0001.JPG", None),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("candle,validation,normal,a.png,", "line 6: the split is 'validation'"),
        ("candle,test,broken,a.png,", "line 6: the label is 'broken'"),
        ("candle,train,anomaly,a.png,", "anomaly is in the train split"),
        ("candle,test,normal,../../etc/passwd,", "not a path below"),
        ("candle,test,normal,/etc/passwd,", "not a path below"),
        ("candle,test,anomaly,a.png,../m.png", "not a path below"),
        ("candle,test,normal,,", "path is empty"),
        ("../../home,test,normal,a.png,", "cannot be a category's name"),
        ("..,test,normal,a.png,", "cannot be a category's name"),
        ("candle,test,normal,candle/Data/Images/Normal/0000.JPG,", "already named in line 2"),
    ],
)
def test_a_bad_line_of_visas_split_file_is_named(tmp_path, row, message):
    with pytest.raises(DatasetError, match=message):
        found(visa(tmp_path, VISA_ROWS + row + "\n"))


def test_a_split_file_without_its_columns_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="lacks the column object"):
        found(visa(tmp_path, "category,split\n"))
    with pytest.raises(DatasetError, match="cannot read the split file"):
        found(plant(tmp_path, {"split_csv/1cls.csv": b"\xff\xfe\x00"}))


def test_a_folder_of_images_trains_on_all_of_them(tmp_path):
    root = plant(
        tmp_path / "caps", ["b.PNG", "a.jpeg", "notes.txt", ".hidden.png", "c.TIF", "d.webp", "e.bmp", "f.gif"]
    )
    listing = found(root)
    assert listing.layout == "folder"
    assert listing.categories == ("caps",)
    assert [(e.id, e.split, e.label) for e in listing.entries] == [
        (name, "train", 0) for name in ("a.jpeg", "b.PNG", "c.TIF", "d.webp", "e.bmp")
    ]


def test_a_folder_of_folders_is_a_category_each(tmp_path):
    listing = found(plant(tmp_path, ["caps/a.png", "lids/a.png", "lids/b.png", "papers/readme.txt"]))
    assert listing.layout == "folder"
    assert [(e.category, e.id) for e in listing.entries] == [
        ("caps", "caps/a.png"),
        ("lids", "lids/a.png"),
        ("lids", "lids/b.png"),
    ]


@pytest.mark.parametrize("good", ["", "good/"])
@pytest.mark.parametrize("above", ["", "caps/"])
def test_other_subfolders_are_defects_and_every_fifth_good_image_is_kept_for_the_test(tmp_path, good, above):
    images = [f"{above}{good}{k:02d}.png" for k in range(10)]
    others = [f"{above}dent/x.png", f"{above}dent/y.png", f"{above}ground_truth/dent/x_mask.png"]
    listing = found(plant(tmp_path / "caps", images + others))
    assert listing.categories == ("caps",)
    assert [e.id for e in listing.entries if e.split == "test" and e.label == 0] == [images[4], images[9]]
    assert [(e.id, e.defect, e.mask) for e in listing.entries if e.label == 1] == [
        (others[0], "dent", others[2]),
        (others[1], "dent", None),
    ]
    assert sum(e.split == "train" for e in listing.entries) == 8


def test_a_named_layout_overrules_the_found_one(tmp_path):
    root = plant(tmp_path, ["part/train/good/a.png", "part/train/ok/b.png"])
    assert [e.id for e in found(root).entries] == ["part/train/good/a.png"]
    assert [e.id for e in found(root, "btad").entries] == ["part/train/ok/b.png"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_named_layout_that_is_not_there_is_refused(tmp_path, layout):
    with pytest.raises(DatasetError, match=r"no category in the layout|split file"):
        found(plant(tmp_path, ["a/b/c/d.png"]), layout)


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(DatasetError, match="nowhere does not exist"):
        found(tmp_path / "nowhere")


def test_a_file_is_no_data_set(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.zip is a file"):
        found(plant(tmp_path, ["a.zip"]) / "a.zip")


def test_an_empty_folder_is_called_empty(tmp_path):
    (tmp_path / ".cache").mkdir()
    with pytest.raises(DatasetError, match="is empty"):
        found(tmp_path)


def test_a_folder_of_other_things_has_no_known_layout(tmp_path):
    with pytest.raises(DatasetError, match="no layout that raysuite knows: expected <category>/train/good"):
        found(plant(tmp_path, ["docs/readme.txt"]))


def test_an_unknown_layout_names_the_nearest(tmp_path):
    with pytest.raises(DatasetError, match=r"no layout 'mvtech' \(did you mean 'mvtec'\?\): take one of auto, mvtec"):
        found(tmp_path, "mvtech")


def test_an_unknown_category_names_the_nearest_and_the_rest(tmp_path):
    with pytest.raises(DatasetError, match=r"no category 'botle' \(did you mean 'bottle'\?\): it has bottle, cable"):
        found(plant(tmp_path, MVTEC), categories=["botle"])


def test_many_categories_are_not_all_shown(tmp_path):
    with pytest.raises(DatasetError, match="and 5 more"):
        found(plant(tmp_path, [f"c{k:02d}/train/good/a.png" for k in range(25)]), categories=["zzz"])


def several(*roots, **kwargs):
    return find_all([Location.of(root) for root in roots], **kwargs)


def test_each_of_several_data_sets_has_its_own_layout(tmp_path):
    mvtec, btad = plant(tmp_path / "a", MVTEC), plant(tmp_path / "b", BTAD)
    one, two = several(mvtec, btad)
    assert (one, two) == (found(mvtec), found(btad))
    assert [listing.source.layout for listing in (one, two)] == ["mvtec", "btad"]
    assert [listing.source.uri for listing in (one, two)] == [str(mvtec), str(btad)]


def test_categories_are_chosen_across_data_sets(tmp_path):
    roots = plant(tmp_path / "a", MVTEC), plant(tmp_path / "b", BTAD)
    one, two = several(*roots, categories=["cable"])
    assert (one.categories, two.categories) == (("cable",), ())
    with pytest.raises(
        DatasetError, match=r"/a, .*/b have no category 'cabel' \(did you mean 'cable'.*01, bottle, cable"
    ):
        several(*roots, categories=["01", "cabel"])


def test_two_data_sets_with_a_category_of_one_name_are_refused_unless_it_is_left_out(tmp_path):
    roots = plant(tmp_path / "a", MVTEC), plant(tmp_path / "b", ["bottle/train/ok/0.png", "lid/train/ok/0.png"])
    with pytest.raises(DatasetError, match=r"/a and .*/b both have a category 'bottle': rename.*--category"):
        several(*roots)
    one, two = several(*roots, categories=["cable", "lid"])
    assert (one.categories, two.categories) == (("cable",), ("lid",))


def test_a_data_set_given_twice_is_refused(tmp_path):
    root = plant(tmp_path / "a", MVTEC)
    with pytest.raises(DatasetError, match=r"/a is given twice"):
        several(root, tmp_path / "a" / ".." / "a")
    with pytest.raises(DatasetError, match=r"both have a category 'bottle'"):
        several(root, root / "bottle")


@pytest.mark.parametrize("files", [["cap/test/good/a.png"], ["cap/train/a.png"], ["cap/train/good/notes.txt"]])
def test_a_category_without_good_training_images_says_where_they_belong(tmp_path, files):
    with pytest.raises(
        DatasetError, match=r"category cap of .* has no good training images: expected them in train/good"
    ):
        found(plant(tmp_path, files))


def test_a_broken_category_can_be_left_out(tmp_path):
    root = plant(tmp_path, [*MVTEC, "zipper/test/good/a.png"])
    assert found(root, categories=["bottle", "cable"]).categories == ("bottle", "cable")


def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    class Closed(pafs.FileSystemHandler):
        def get_file_info(self, paths):
            return [pafs.FileInfo(path, pafs.FileType.Directory) for path in paths]

        def get_file_info_selector(self, _selector):
            raise PermissionError("permission denied")

        def get_type_name(self):
            return "closed"

        def normalize_path(self, path):
            return path

        copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = move = None
        open_append_stream = open_input_file = open_input_stream = open_output_stream = None

    Closed.__abstractmethods__ = frozenset()
    with pytest.raises(DatasetError, match="cannot list closed://data: permission denied"):
        find_entries(Location(pafs.PyFileSystem(Closed()), "data", "closed://data"))


def named_in_bytes(path):
    try:
        Path(os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")


def test_a_file_whose_name_is_not_utf8_is_listed_and_the_others_are_too(tmp_path):
    plant(tmp_path, MVTEC)
    before = found(tmp_path)
    named_in_bytes(os.fsencode(tmp_path) + b"/bottle/train/good/\xff.png")
    named_in_bytes(os.fsencode(tmp_path) + b"/bottle/\xff.txt")
    after = found(tmp_path)
    assert {e.id for e in after.entries} - {e.id for e in before.entries} == {r"bottle/train/good/\xff.png"}
    assert len(after.entries) == len(before.entries) + 1


def test_a_link_that_leads_nowhere_is_listed(tmp_path):
    plant(tmp_path, MVTEC)
    (tmp_path / "bottle/train/good/lost.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "bottle/train/good/round.png").symlink_to(tmp_path / "bottle/train/good/round.png")
    ids = {e.id for e in found(tmp_path).entries}
    assert {"bottle/train/good/lost.png", "bottle/train/good/round.png"} <= ids


@pytest.mark.parametrize("name", [b"bottle/test/\xff/0.png", b"bottle/train/good/\xff.png"])
def test_names_that_would_hide_images_are_refused(tmp_path, name):
    # A folder that cannot be opened by its text, and a file whose text is the name of another one.
    plant(tmp_path, MVTEC)
    plant(tmp_path, [r"bottle/train/good/\xff.png"])
    named_in_bytes(os.fsencode(tmp_path) + b"/" + name)
    with pytest.raises(DatasetError, match=r"cannot list .*not UTF-8: rename"):
        found(tmp_path)


def test_any_pyarrow_filesystem_will_do(tmp_path):
    plant(tmp_path, MVTEC)
    mounted = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    listing = find_entries(Location(mounted, "bottle", "mounted://bottle"))
    assert len(listing.entries) == 5


@given(st.text(min_size=1, max_size=8))
def test_a_category_never_leaves_a_run_folder(name):
    try:
        checked_category(name, "here")
    except DatasetError:
        return
    assert name not in {".", ".."}
    assert not set(name) & set("/\\\0\n")


def test_odd_but_harmless_names_are_kept(tmp_path):
    root = plant(tmp_path, ["<b>ø 12 & 'x'</b>".replace("/", "") + "/train/good/ü  1.png"])
    (entry,) = found(root).entries
    assert isinstance(entry, Entry)
    assert entry.category == "<b>ø 12 & 'x'<b>"
    assert (root / entry.image).is_file()


def test_order_does_not_depend_on_the_file_system(tmp_path):
    names = [f"cap/train/good/{k}.png" for k in (3, 1, 2, 10)] + ["cap/test/good/1.png", "cap/test/dent/1.png"]
    one = found(plant(tmp_path / "one", names))
    other = found(plant(tmp_path / "other", names[::-1]))
    assert one.entries == other.entries


def test_two_images_of_one_stem_share_a_mask(tmp_path):
    listing = found(
        plant(tmp_path, ["c/train/good/a.png", "c/test/k/a.png", "c/test/k/a.jpg", "c/ground_truth/k/a.png"])
    )
    assert [e.mask for e in listing.entries if e.label == 1] == ["c/ground_truth/k/a.png"] * 2


@pytest.mark.data
def test_the_real_sets_are_found(real_data):
    for name, counts in {
        "mvtec_ad": {"bottle": (209, 20, 63), "grid": (240, 24, 57)},
        "kolektor_sdd": {"commutator": (265, 83, 52)},
    }.items():
        listing = found(real_data / name)
        assert listing.layout == "mvtec"
        for category, expected in counts.items():
            entries = listing.of(category)
            train = sum(e.split == "train" for e in entries)
            good = sum(e.split == "test" and e.label == 0 for e in entries)
            assert (train, good, len(entries) - train - good) == expected
            assert all(e.mask for e in entries if e.label == 1)
