"""The gradients of a batch: of all its images at once, or of as many as fit into memory, one micro-batch after another.

The losses of the micro-batches add up to that of the batch, and so do their gradients. Only batch normalisation sees a
difference: it takes the statistics of each micro-batch by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from raysuite.corruption.corruptor import Corrupted
from raysuite.errors import TrainingError
from raysuite.memory import first_line, is_out_of_memory, release
from raysuite.training.distributed import workers
from raysuite.training.objectives import Net, Objective, Share

_log = logging.getLogger(__name__)

LESS = "lower data.crop_size or data.image_size, or take a smaller preset"
"""What to do if nothing that a training can do by itself is enough."""


class Accumulation:
    """Computes the gradients of batches, in smaller parts from the time on when memory first ran out.

    Attributes:
        micro_batch: Images at once, of this worker.
    """

    def __init__(
        self,
        net: nn.Module,
        objective: Objective,
        micro_batch: int,
        on_smaller: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``on_smaller`` is told in a sentence whenever the parts become smaller."""
        self.micro_batch = micro_batch
        self._on_smaller = on_smaller
        self._net = net
        self._objective = objective
        self._normalised = any(isinstance(module, nn.BatchNorm2d) for module in net.modules())

    def gradients(self, forward: Net, batch: Corrupted) -> Tensor:
        """Put the gradients of this worker's share of the loss into the net's parameters, in place of what is there.

        Args:
            forward: The net, however it is computed.
            batch: This worker's slice of the whole batch. All workers must come here together.

        Returns:
            (4,) float32: this worker's shares of the loss, and of its parts kept, repaired and extra.

        Raises:
            TrainingError: Not even one image fits into memory; or memory ran out in a net whose batch normalisation has
                the workers wait for one another, so that one alone cannot take smaller parts.
        """
        share = Share.of(batch)
        self._net.zero_grad(set_to_none=True)
        while True:
            try:
                return self._attempt(forward, batch, share)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if words := self._why_not_smaller(batch):
                    raise TrainingError(f"{words} ({first_line(error)})") from error
            self._net.zero_grad(set_to_none=True)
            release()
            self._halve()

    def _attempt(self, forward: Net, batch: Corrupted, share: Share) -> Tensor:
        found: list[Tensor] = []
        for part in self._parts(batch):
            loss = self._objective.loss(forward, part, share.of_part(len(batch.inputs_NCHW), len(part.inputs_NCHW)))
            loss.total.backward()  # type: ignore[no-untyped-call]
            found.append(torch.stack([loss.total.detach(), loss.kept, loss.repaired, loss.extra]))
        return found[0] if len(found) == 1 else torch.stack(found).sum(0)

    def _parts(self, batch: Corrupted) -> Iterator[Corrupted]:
        whole = (batch.inputs_NCHW, batch.targets_NCHW, batch.mask_N1HW)
        for parts in zip(*(torch.split(tensor, self.micro_batch) for tensor in whole), strict=True):
            yield Corrupted(*parts)

    def _why_not_smaller(self, batch: Corrupted) -> str | None:
        height, width = batch.inputs_NCHW.shape[2:]
        if self.micro_batch == 1:
            return f"one image of {height} × {width} pixels at a time does not fit into memory: {LESS}"
        if workers() > 1 and self._normalised:
            return (
                f"{self.micro_batch} images of {height} × {width} pixels at once do not fit into memory, and with "
                f"batch normalisation over {workers()} workers one of them alone cannot take fewer: lower "
                "training.batch_size, share it among more workers, or set model.norm=group"
            )
        return None

    def _halve(self) -> None:
        before, self.micro_batch = self.micro_batch, -(-self.micro_batch // 2)
        aside = "; batch normalisation takes the statistics of each micro-batch" if self._normalised else ""
        words = (
            f"{before} images at once do not fit into memory: going on with micro-batches of {self.micro_batch}, whose "
            f"gradients add up{aside}"
        )
        _log.warning("%s", words)
        self._on_smaller(words)
