"""Checkpoints, from which a stopped training goes on as if it had not been stopped.

Two files: tensors as safetensors, and ``checkpoint.json``, written last and atomically, which names the other with its
checksum and says which training they belong to. The tensors of two checkpoints take turns under two names, so that the
last one stays whole until the next one is.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from raysuite import settings
from raysuite.config import Config, ModelConfig
from raysuite.errors import StorageError, TrainingError
from raysuite.memory import is_out_of_memory
from raysuite.models.autoencoder import Autoencoder, build
from raysuite.storage import Location
from raysuite.training.state import State

FORMAT = "raysuite-checkpoint"
VERSION = 1
_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoint of one training in a folder of its own."""

    def __init__(self, where: Location, config: Config, seed: int, images: str, device: str) -> None:
        self.where = where
        self.last_step = 0
        self._file = where / "checkpoint.json"
        self._names = ["state-a.safetensors", "state-b.safetensors"]
        chosen = settings.to_mapping(config)
        # What is made of the net later does not matter to its training.
        del chosen["detection"], chosen["preset"]
        self._training = {
            "settings": chosen,
            "seed": seed,
            "images": images,
            # A generator's state can only be taken over by one of the same kind.
            "device": device,
        }

    def restore(self, state: State) -> bool:
        """Let a training go on from the checkpoint, if there is one and it is this training's; says whether.

        A damaged one is as good as none; that, and one of another training, is logged in a sentence.

        Raises:
            StorageError: The place cannot be looked at.
        """
        if not self._file.is_file():
            return False
        try:
            card: dict[str, Any] = json.loads(self._file.read_text())
            if (card["format"], card["version"]) != (FORMAT, VERSION) or card["training"] != self._training:
                _log.warning("%s belongs to another training, which is not gone on with: starting anew", self.where)
                return False
            data = (self.where / str(card["tensors"])).read_bytes()
            if hashlib.sha256(data).hexdigest() != card["sha256"]:
                raise ValueError(f"{card['tensors']} is not what was written")
            state.restore(safetensors.torch.load(data), card["state"])
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, StorageError) as error:
            if is_out_of_memory(error):
                raise
            _log.warning("the checkpoint in %s is damaged (%s): starting anew", self.where, error)
            return False
        if card["tensors"] == self._names[0]:
            self._names.reverse()
        self.last_step = state.step
        _log.info("going on from step %d, whose checkpoint is in %s", state.step, self.where)
        return True

    def save(self, state: State) -> None:
        """Write a checkpoint, which takes the place of the last one.

        Raises:
            StorageError: The place may not be written.
        """
        data = safetensors.torch.save(state.tensors())
        (self.where / self._names[0]).write_bytes(data)
        card = {
            "format": FORMAT,
            "version": VERSION,
            "training": self._training,
            "tensors": self._names[0],
            "sha256": hashlib.sha256(data).hexdigest(),
            "state": state.values(),
        }
        self._file.write_text(json.dumps(card, allow_nan=False) + "\n")
        self._names.reverse()
        self.last_step = state.step


def averaged_net(where: Location, model: ModelConfig) -> tuple[int, Autoencoder]:
    """The averaged net of the checkpoint in a folder, whichever training it is of, and the step that it is of.

    Args:
        where: The folder.
        model: What net it is.

    Returns:
        The net on the CPU, in evaluation mode.

    Raises:
        TrainingError: There is no checkpoint, it is damaged, or it is one of another net.
    """
    try:
        card = json.loads((where / "checkpoint.json").read_text())
        tensors = safetensors.torch.load((where / str(card["tensors"])).read_bytes())
        net = build(model, seed=0, template_CHW=tensors.get("averaged.template_CHW")).eval()
        net.load_state_dict({k.removeprefix("averaged."): v for k, v in tensors.items() if k.startswith("averaged.")})
        return int(card["state"]["step"]), net
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, StorageError) as error:
        if is_out_of_memory(error):
            raise
        raise TrainingError(f"the checkpoint in {where} cannot be used: {error}") from error
