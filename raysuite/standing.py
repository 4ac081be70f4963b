"""Where each member of a run stands, read from the run folder alone: from any shell, also after the driver died."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raysuite.locks import Owner
from raysuite.runs import Member, Run, mapping_in

STATES = ("training", "stopped", "pending", "trained", "done", "failed")
SKEW_SECONDS = 30.0
"""By how much the clocks of nodes may differ."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one member stands.

    Attributes:
        category: The category.
        seed: The seed.
        objective: The kind of objective.
        state: ``pending``; ``training``; ``stopped``, that is in training when its driver ended; ``trained``; ``done``,
            that is evaluated too; or ``failed``.
        reason: Why it failed.
        step: Steps done.
        steps: Steps in all.
        loss: The last one told.
        kept_loss: Its part over pixels that were not corrupted.
        repaired_loss: Its part over corrupted pixels.
        val_score: The validation score, when trained, from 0 to 1.
        images_per_second: The last rate told.
        seconds_left: Until the last step at that rate, while training.
        node: Name of the machine that its first worker is or was on.
        updated: When it was last heard of in training, seconds since 1970.
    """

    category: str
    seed: int
    objective: str
    state: str
    reason: str | None = None
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    kept_loss: float | None = None
    repaired_loss: float | None = None
    val_score: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    node: str | None = None
    updated: float | None = None

    @classmethod
    def told(cls, names: Mapping[str, Any], state: str, word: Mapping[str, Any], **more: Any) -> Standing:
        """A standing of a member's `Member.names`, a state, and the last word of its training."""
        known = ("step", "steps", "loss", "kept_loss", "repaired_loss", "images_per_second", "node", "updated")
        said: dict[str, Any] = {name: word.get(name) for name in known}
        left = word.get("seconds_left") if state == "training" else None
        return cls(**names, state=state, seconds_left=left, **said, **more)

    def as_row(self) -> dict[str, Any]:
        """The standing as a mapping, for JSON."""
        return asdict(self)


def standing_of(member: Member, steps: int, owner: Owner | None) -> Standing:
    """Where one member stands.

    Args:
        member: Whose.
        steps: Of its training.
        owner: Who works on the run; None if nobody living does.
    """
    status, word = member.status(), {"steps": steps, **member.progress()}
    if member.is_evaluated:
        return Standing.told(member.names, "done", word, val_score=member.metrics().get("val_score"))
    if status["state"] == "failed":
        # After the training too: what cannot be evaluated is as little done.
        return Standing.told(member.names, "failed", word, reason=status.get("reason"))
    if member.is_trained:
        card = mapping_in(member.detector / "detector.json") or {}
        score = card.get("provenance", {}).get("validation", {}).get("score")
        return Standing.told(member.names, "trained", word, val_score=score)
    state = str(status["state"])
    if state == "training" and (owner is None or status.get("since", 0.0) < owner.started - SKEW_SECONDS):
        # It was begun by a driver that is no more, and the one at work now has not come to it.
        state = "stopped"
    return Standing.told(member.names, state if state in STATES else "pending", word)


def standings(run: Run, owner: Owner | None) -> list[Standing]:
    """Where all members of a run stand, in order.

    Args:
        run: The run.
        owner: Who works on it; None if nobody living does.
    """
    return [standing_of(member, run.config.training.steps, owner) for member in run.members()]


def totals(members: Iterable[Standing]) -> dict[str, int]:
    """How many members are in which state; states without any are left out."""
    counted = Counter(member.state for member in members)
    return {state: counted[state] for state in STATES if counted[state]}
