"""What all layouts share: listing folders, telling images from other files, and finding a mask."""

from __future__ import annotations

from collections.abc import Mapping

from raysuite.errors import DatasetError, StorageError
from raysuite.storage import Location

IMAGE_SUFFIXES = frozenset({"png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp"})


def suffix(name: str) -> str:
    """What follows the last dot, in lower case."""
    return name.rpartition(".")[2].lower()


def stem(name: str) -> str:
    """The name without its suffix."""
    return name.rpartition(".")[0]


def joined(*parts: str) -> str:
    """A path relative to the root; an empty part is left out."""
    return "/".join(part for part in parts if part)


def at(root: Location, path: str) -> Location:
    """The place of a path relative to the root; the root itself if it is empty."""
    return root / path if path else root


def listed(folder: Location) -> list[tuple[str, bool]]:
    """Names in a folder, sorted, each with whether it is a folder; hidden ones left out.

    Files that cannot be read are among them, such as links that lead nowhere: they become rows with an error.

    Raises:
        DatasetError: The folder is missing or may not be read.
    """
    try:
        return [(name, is_dir) for name, is_dir in folder.children(lost=True) if not name.startswith(".")]
    except StorageError as error:
        raise DatasetError(f"cannot list {folder}: {error.__cause__ or error}") from error


def subfolders(folder: Location) -> list[str]:
    """Names of the folders in a folder, sorted; none if it is missing."""
    return [name for name, is_dir in listed(folder) if is_dir] if folder.is_dir() else []


def image_names(folder: Location) -> list[str]:
    """Names of the images in a folder, sorted; none if it is missing."""
    if not folder.is_dir():
        return []
    return [name for name, is_dir in listed(folder) if not is_dir and suffix(name) in IMAGE_SUFFIXES]


def holds_images(folder: Location, depth: int = 3) -> bool:
    """Whether there is an image in a folder, or in those below it, so many levels deep."""
    found = listed(folder)
    return any(not is_dir and suffix(name) in IMAGE_SUFFIXES for name, is_dir in found) or (
        depth > 1 and any(is_dir and holds_images(folder / name, depth - 1) for name, is_dir in found)
    )


def check_spelling(name: str, good: str, place: str) -> None:
    """Refuse a folder whose name is that of the good images but for capitals: they would pass for a kind of defects.

    Raises:
        DatasetError: It is.
    """
    if name != good and name.lower() == good:
        raise DatasetError(f"{place} is named {name!r}, and its images would count as defects: rename it {good!r}")


def masks_by_stem(folder: Location) -> Mapping[str, str]:
    """Stem of an image → name of its mask in this folder.

    A mask is named after its image, with or without ``_mask`` behind; the one with ``_mask`` is preferred.
    """
    names = image_names(folder)
    plain = {stem(name): name for name in names}
    marked = {stem(name).removesuffix("_mask"): name for name in names if stem(name).endswith("_mask")}
    return plain | marked
