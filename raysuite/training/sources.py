"""Where a training's images come from: a tensor that stays on the device, or a stream that is too large for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from typing import Protocol

import torch
from torch import Tensor

Stream = Generator[Tensor, None, None]
"""Images without an end, uint8 on the CPU, any number of them at a time: (n, 3, H, W)."""


class Source(Protocol):
    """The good images that one training learns from.

    Attributes:
        sample_NCHW: Some or all of them, uint8, to decide on augmentation by; on any device.
    """

    sample_NCHW: Tensor

    def __len__(self) -> int:
        """How many images there are."""

    def fingerprint(self) -> str:
        """SHA-256 of the images, in hex: which training a checkpoint belongs to."""

    def take(self, uniform_N: Tensor) -> Tensor:
        """The next images.

        Args:
            uniform_N: A random number in [0, 1) for each image to take, on the training's device.

        Returns:
            (N, 3, H, W) uint8, on the same device.
        """

    def move(self, device: torch.device) -> None:
        """Be ready to be taken from on this device."""

    def seek(self, taken: int) -> None:
        """Go on as if so many images had been taken."""

    def close(self) -> None:
        """Let go of the images: nothing more will be taken."""


class Resident:
    """Images that all lie on the training's device; the random numbers pick them, with replacement."""

    def __init__(self, images_NCHW: Tensor) -> None:
        """Take the images, uint8."""
        self.sample_NCHW = images_NCHW

    def __len__(self) -> int:
        return len(self.sample_NCHW)

    def fingerprint(self) -> str:
        """SHA-256 of all pixels, in hex."""
        return hashlib.sha256(self.sample_NCHW.cpu().contiguous().numpy().data).hexdigest()

    def take(self, uniform_N: Tensor) -> Tensor:
        """The images that the numbers pick."""
        return self.sample_NCHW[whole_numbers(uniform_N, len(self.sample_NCHW))]

    def move(self, device: torch.device) -> None:
        """Keep the images on this device.

        Raises:
            torch.OutOfMemoryError: They do not fit.
        """
        self.sample_NCHW = self.sample_NCHW.to(device)

    def seek(self, taken: int) -> None:
        """What was picked before has no bearing on what is picked next."""

    def close(self) -> None:
        """Let go of them."""
        self.sample_NCHW = self.sample_NCHW[:0].clone()


class Streamed:
    """Images out of a stream that holds each of them once an epoch, in an order of its own: the next ones are taken."""

    def __init__(
        self, open_stream: Callable[[int], Stream], *, size: int, sample_NCHW: Tensor, fingerprint: str
    ) -> None:
        """Describe the stream; it is opened when the first images are taken.

        Args:
            open_stream: Opens the stream behind its first so many images.
            size: Images an epoch.
            sample_NCHW: Some of them, uint8.
            fingerprint: SHA-256 of what the stream holds, in hex.
        """
        self.sample_NCHW = sample_NCHW
        self._open, self._size, self._fingerprint = open_stream, size, fingerprint
        self._taken, self._stream, self._left_NCHW = 0, None, sample_NCHW[:0]  # type: tuple[int, Stream | None, Tensor]

    def __len__(self) -> int:
        return self._size

    def fingerprint(self) -> str:
        """As was given."""
        return self._fingerprint

    def take(self, uniform_N: Tensor) -> Tensor:
        """The next images of the stream, whatever the numbers are."""
        if self._stream is None:
            self._stream = self._open(self._taken)
        parts: list[Tensor] = []
        missing = len(uniform_N)
        while missing:
            if len(self._left_NCHW) == 0:
                self._left_NCHW = next(self._stream)
            parts.append(self._left_NCHW[:missing])
            self._left_NCHW = self._left_NCHW[missing:]
            missing -= len(parts[-1])
        self._taken += len(uniform_N)
        return torch.cat(parts).to(uniform_N.device)

    def move(self, device: torch.device) -> None:
        """Images are moved when they are taken."""

    def seek(self, taken: int) -> None:
        """Go on behind the first ``taken`` images of the stream."""
        self._end()
        self._taken = taken

    def close(self) -> None:
        """End the stream."""
        self._end()

    def _end(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream, self._left_NCHW = None, self.sample_NCHW[:0]


def as_source(images: Tensor | Source) -> Source:
    """The source itself, or one of a tensor's images, (N, 3, H, W) uint8 on the training's device."""
    return Resident(images) if isinstance(images, Tensor) else images


def whole_numbers(uniform_N: Tensor, count: int) -> Tensor:
    """Whole numbers below ``count`` from numbers in [0, 1)."""
    # A float32 close to 1 may round up to the count itself.
    return (uniform_N * count).long().clamp(max=count - 1)
