"""From a folder to a listing: which layout it is, which categories it has, and what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raysuite.datasets.entries import Entry, Listing, checked_category
from raysuite.datasets.layouts import plain, split_folders, visa
from raysuite.datasets.layouts.folders import holds_images, listed, subfolders
from raysuite.errors import DatasetError
from raysuite.storage import Location

LAYOUTS = ("mvtec", "visa", "btad", "folder")
"""Names of the layouts, in the order in which ``auto`` tries them."""

_SHOWN = 20  # categories named in a message
_GOOD_PLACE = {
    "mvtec": "train/good",
    "btad": "train/ok",
    "visa": f"{visa.SPLIT_FILE} as train and normal",
    "folder": "the folder itself or good/",
}


def find_entries(root: Location, layout: str = "auto", categories: Sequence[str] = ()) -> Listing:
    """List the images of a data set without reading them.

    Args:
        root: The folder of a data set, or of one of its categories.
        layout: One of `LAYOUTS`, or "auto" to find out.
        categories: The categories to list; by default all.

    Raises:
        DatasetError: The folder is missing, empty, unreadable or of no known layout; the layout or a category is not
            known; a category has no good training images; or, unless categories are named, a folder beside them has
            images and is no category.
    """
    return find_all((root,), layout, categories)[0]


def find_all(roots: Sequence[Location], layout: str = "auto", categories: Sequence[str] = ()) -> tuple[Listing, ...]:
    """List the images of several data sets whose categories are to stand side by side.

    Args:
        roots: Their folders.
        layout: That of all of them, or "auto" to find out each one's.
        categories: The categories to list, wherever they are; by default all. A data set with none of them has an
            empty listing.

    Raises:
        DatasetError: As `find_entries`; or a folder is given twice, or two have a category of the same name.
    """
    _check_layout(layout)
    seen: list[_Seen] = []
    for root in roots:
        if any(root.uri == other.root.uri for other in seen):
            raise DatasetError(f"{root} is given twice: give each data set once")
        seen.append(_look(root, layout))
    _check_known([(one.root, tuple(one.folders)) for one in seen], categories)
    if not categories:
        for one in seen:
            _check_left_out(one)
    owners: dict[str, Location] = {}
    for one in seen:
        for name in one.chosen(categories):
            if name in owners:
                raise DatasetError(
                    f"{owners[name]} and {one.root} both have a category {name!r}: rename one of the two, leave it out "
                    "by naming the others (--category), or take a run of its own for each data set"
                )
            owners[name] = one.root
    return tuple(_listing(one, categories) for one in seen)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A data set that was looked at: category → its folder, and VisA's rows."""

    root: Location
    layout: str
    folders: dict[str, str]
    rows: list[dict[str, str]]

    def chosen(self, wanted: Sequence[str]) -> list[str]:
        return [name for name in self.folders if not wanted or name in wanted]


def _look(root: Location, layout: str) -> _Seen:
    if not root.is_dir():
        what = "is a file" if root.is_file() else "does not exist"
        raise DatasetError(f"{root} {what}: give the folder of a data set")
    if not listed(root):
        raise DatasetError(f"{root} is empty: give the folder of a data set")
    if layout == "auto":
        layout = _detected(root)
    return _Seen(root, layout, *_categories(root, layout))


def _check_left_out(one: _Seen) -> None:
    """A folder with images that is no category, as its good ones lie elsewhere, must not be missing unnoticed."""
    if one.layout == "visa" or "" in one.folders.values():
        return
    for name in subfolders(one.root):
        if name in one.folders.values() or name == "ground_truth":
            continue
        # A run, or a scored archive, that was written beside the images.
        own = any((one.root / name / card).is_file() for card in ("config.yaml", "scan.json", "manifest.json"))
        if not own and holds_images(one.root / name):
            place = "directly in it or in good/" if one.layout == "folder" else f"in {_GOOD_PLACE[one.layout]}/"
            raise DatasetError(
                f"{one.root / name} has images, but none {place}, so that it is no category of layout {one.layout}: "
                "if it is to be one, its good images belong there; if not, move it elsewhere, or name the others "
                "(--category)"
            )


def _listing(one: _Seen, categories: Sequence[str]) -> Listing:
    entries: list[Entry] = []
    for category in one.chosen(categories):
        found = list(_entries(one.root, one.layout, category, one.folders[category], one.rows))
        if not any(entry.split == "train" for entry in found):
            place = _GOOD_PLACE[one.layout]
            raise DatasetError(
                f"category {category} of {one.root} has no good training images: expected them in {place}; "
                "to leave the category out, name the others"
            )
        entries += found
    return Listing.sorted(one.layout, one.root, entries)


def _check_layout(layout: str) -> None:
    known = ("auto", *LAYOUTS)
    if layout not in known:
        raise DatasetError(f"there is no layout {layout!r}{_nearest(layout, known)}: take one of {', '.join(known)}")


def _detected(root: Location) -> str:
    if (root / visa.SPLIT_FILE).is_file():
        return "visa"
    folders = split_folders.category_folders(root)
    if folders:
        # One category with a broken training folder must not hide what the others are.
        used = {
            layout
            for layout in split_folders.GOOD_FOLDER
            for f in folders.values()
            if split_folders.uses(root, f, layout)
        }
        return "btad" if used == {"btad"} else "mvtec"
    if plain.category_folders(root):
        return "folder"
    raise DatasetError(
        f"{root} has no layout that raysuite knows: expected <category>/train/good (MVTec), <category>/train/ok "
        f"(BTAD), {visa.SPLIT_FILE} (VisA), or PNG, JPEG, BMP, TIFF or WebP images of good parts in <category>/ or "
        "<category>/good"
    )


def _categories(root: Location, layout: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Category → its folder, and VisA's rows."""
    rows: list[dict[str, str]] = []
    if layout == "visa":
        rows = visa.rows_of(root)
        folders = {row["object"]: "" for row in rows}
    elif layout == "folder":
        folders = plain.category_folders(root)
    else:
        folders = split_folders.category_folders(root)
    if not folders:
        raise DatasetError(f"{root} has no category in the layout {layout}: expected images in {_GOOD_PLACE[layout]}")
    for name in folders:
        checked_category(name, str(root))
    return dict(sorted(folders.items())), rows


def _entries(root: Location, layout: str, category: str, folder: str, rows: list[dict[str, str]]) -> Iterable[Entry]:
    if layout == "visa":
        return visa.entries_of(root, rows, category)
    if layout == "folder":
        return plain.entries_of(root, category, folder)
    return split_folders.entries_of(root, category, folder, layout)


def _check_known(known: Sequence[tuple[Location, Sequence[str]]], wanted: Sequence[str]) -> None:
    names = sorted({name for _, some in known for name in some})
    for name in wanted:
        if name not in names:
            shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            places = ", ".join(str(root) for root, _ in known)
            lack, have = ("has", "it has") if len(known) == 1 else ("have", "they have")
            raise DatasetError(f"{places} {lack} no category {name!r}{_nearest(name, names)}: {have} {shown}")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
