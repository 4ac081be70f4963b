"""Which families of synthetic defects steer a search, and which judge what it found."""

from __future__ import annotations

import random
from dataclasses import dataclass

from raysuite.corruption import unseen

HELD_BACK = 2
"""So many of the families steer nothing."""


@dataclass(frozen=True, slots=True)
class Families:
    """A division of the families that no training ever draws (`raysuite.corruption.unseen`).

    Attributes:
        steering: Trials are scored on these.
        judging: What the search found is judged on these; no trial is chosen, stopped or scored by them. A net that has
            learned the generator of the others instead of what is normal is found out here.
    """

    steering: tuple[str, ...]
    judging: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Both, those that steer first."""
        return self.steering + self.judging


def rotated(seed: int) -> Families:
    """The division of a search's seed: `HELD_BACK` families judge, and with other seeds others do.

    From one seed to the next the judges move on along one order of all families, so that as many searches as there are
    families give each of them its turn equally often.
    """
    names = list(unseen.BY_NAME)
    # Neighbours in the source are alike (smear beside dent, droplets beside crack): mixed once, for all seeds.
    random.Random(0).shuffle(names)
    start = seed * HELD_BACK % len(names)
    turned = names[start:] + names[:start]
    judging = turned[:HELD_BACK]
    return Families(tuple(name for name in unseen.BY_NAME if name not in judging), tuple(judging))
