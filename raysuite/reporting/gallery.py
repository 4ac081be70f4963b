"""Which pictures a page shows: the hardest images of every category, within a budget of bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysuite.reporting.images import data_uri, outline_layer
from raysuite.reporting.results import GalleryItem, SeedResult

KINDS = {
    "miss": "Defects with the lowest scores",
    "false_alarm": "Good images with the highest scores",
    "borderline": "Nearest to the threshold",
}
LIMIT = 8
"""Images of one kind shown for one category."""

BUDGET = 13_000_000
"""Bytes of all pictures together; in a page they weigh a third more, and Plotly is 5 MB beside them."""

SHOWN = ("image", "reconstruction", "map")


@dataclass(frozen=True, slots=True)
class GalleryView:
    """One image of the gallery.

    Attributes:
        item: What is known of it.
        pictures: Image, reconstruction and map as data URIs; None = not there, or not an image.
        outline: A transparent picture of the mask's contour, to be laid on the others; None without a mask.
    """

    item: GalleryItem
    pictures: Mapping[str, str | None]
    outline: str | None = None

    @property
    def verdict(self) -> str:
        """On which side of the threshold the image fell; empty if its score or threshold is not known."""
        score, threshold = self.item.score, self.item.threshold
        if score is None or threshold is None:
            return ""
        above = score > threshold
        if self.item.is_defect:
            return "caught" if above else "missed"
        return "false alarm" if above else "passed"

    @property
    def ratio(self) -> float | None:
        """Score over threshold."""
        return _ratio(self.item) if self.item.score is not None and self.item.threshold else None


@dataclass(frozen=True, slots=True)
class CategoryGallery:
    """The pictures of one category by kind, the hardest first, and how many more are in its files."""

    category: str
    kinds: Mapping[str, tuple[GalleryView, ...]]
    hidden: int

    @property
    def defects(self) -> tuple[str, ...]:
        """The kinds of defect in it, sorted."""
        return tuple(sorted({v.item.defect for some in self.kinds.values() for v in some if v.item.defect}))


def galleries(shown: Mapping[str, Sequence[SeedResult]], budget: int = BUDGET) -> tuple[CategoryGallery, ...]:
    """Choose pictures: first the hardest of each kind and category, then the second of each, until the budget is used.

    Args:
        shown: The runs of each category.
        budget: Bytes that all pictures may have together.
    """
    ranked = {(name, kind): _ranked(runs, kind) for name, runs in shown.items() for kind in KINDS}
    for name in shown:
        # What is among the hardest with one seed may be borderline with another: it is shown where it is worse.
        worse = {item.id for kind in ("miss", "false_alarm") for item in ranked[name, kind]}
        ranked[name, "borderline"] = [item for item in ranked[name, "borderline"] if item.id not in worse]
    chosen: defaultdict[tuple[str, str], list[GalleryItem]] = defaultdict(list)
    for rank in range(LIMIT):
        for key, items in ranked.items():
            # An item that does not fit ends its list: what is shown must be the hardest, without gaps.
            if rank < len(items) and len(chosen[key]) == rank and (size := _size(items[rank])) <= budget:
                budget -= size
                chosen[key].append(items[rank])
    return tuple(
        CategoryGallery(
            name,
            {kind: tuple(map(_view, chosen[name, kind])) for kind in KINDS},
            sum(len(ranked[name, kind]) - len(chosen[name, kind]) for kind in KINDS),
        )
        for name in shown
    )


def _ranked(runs: Sequence[SeedResult], kind: str) -> list[GalleryItem]:
    """The hardest first, an image once: with several seeds, where it went most wrong."""
    items = [item for run in runs for item in run.gallery if item.kind == kind]
    if kind == "borderline":
        items.sort(key=lambda item: max(_ratio(item), 1 / max(_ratio(item), 1e-12)))
    else:
        items.sort(key=_ratio, reverse=kind == "false_alarm")
    worst: dict[str, GalleryItem] = {}
    for item in items:
        worst.setdefault(item.id, item)
    return list(worst.values())


def _ratio(item: GalleryItem) -> float:
    # Scores of different seeds compare only as multiples of their thresholds.
    return (item.score or 0.0) / (item.threshold or 1.0)


def _size(item: GalleryItem) -> int:
    # The outline is drawn later; it has never been seen to weigh more than the mask itself by much.
    return sum(len(data) for data in item.pictures.values() if data is not None) + 500


def _view(item: GalleryItem) -> GalleryView:
    pictures = {name: data_uri(item.pictures.get(name)) for name in SHOWN}
    return GalleryView(item, pictures, data_uri(outline_layer(item.pictures.get("mask"))))
