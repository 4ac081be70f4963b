"""A training with a meter beside it, whose readings go into the member's timeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from raysuite.memory import first_line
from raysuite.metering import Meter
from raysuite.runs import Member
from raysuite.timeline import write_span
from raysuite.training.distributed import rank, workers


@contextmanager
def metered_training(member: Member, device: torch.device, gpus: float) -> Iterator[Meter]:
    """Measure what is done within, and note it down: at its beginning, so that a worker that is killed is not unknown.

    Memory and node are those of the first worker, which alone writes.

    Args:
        member: What is trained.
        device: Where.
        gpus: GPUs, or the share of one, that each worker holds.
    """
    meter = Meter(device)
    held = {"workers": workers(), "cpus": workers() * torch.get_num_threads(), "gpus": workers() * gpus}
    reason: str | None = None

    def note(**more: object) -> None:
        if rank() == 0:
            write_span(member, {"stage": "train", **held, **meter.read(), "reason": reason, **more})

    note(ended=None)
    try:
        yield meter
    except BaseException as error:
        reason = first_line(error)
        raise
    finally:
        note()
