"""One member of a run: shards in, a detector out; in each of its workers."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import torch

from raysuite import settings
from raysuite.datasets.decoding import decode_image
from raysuite.datasets.shards import read_samples
from raysuite.detection.calibration import calibrate
from raysuite.detection.preprocessing import choose_size, to_input
from raysuite.detection.split import split_good
from raysuite.errors import TrainingError
from raysuite.pipelines.progress import Recorder
from raysuite.runs import Member, Run
from raysuite.training.distributed import rank
from raysuite.training.loop import train
from raysuite.training.progress import Progress


def train_member(run: Run, member: Member, device: torch.device, board: Any = None) -> None:
    """Train one member on this machine, and leave its detector and history in the run folder.

    A training that was stopped goes on from its last checkpoint. Of several workers the first does all but the training
    itself.

    Args:
        run: The run, its shards complete.
        member: Its category, seed and objective.
        device: Where to train.
        board: The actor to tell of the progress, if any.

    Raises:
        RaysuiteError: There are too few readable images, or the training failed.
    """
    config = run.config_of(member)
    if rank() == 0:
        member.set_status("training")
    images_NCHW = load_training_images(run, member.category)
    split = split_good(len(images_NCHW), config.data, member.seed)
    record = Recorder(member, config.training)

    def tell(progress: Progress) -> None:
        if rank() == 0:
            word = record(progress)
            if board is not None:
                board.put.remote(member.key, word)

    checkpoint = member.folder / "checkpoint"
    trained = train(
        config, images_NCHW[split.train], seed=member.seed, device=device, on_progress=tell, checkpoint=checkpoint
    )
    if rank() > 0:
        return
    detector = calibrate(
        trained.net,
        category=member.category,
        detection=config.detection,
        train_NCHW=images_NCHW[split.train],
        validation_NCHW=images_NCHW[split.validation],
        held_out_NCHW=images_NCHW[split.held_out],
        device=device,
        seed=member.seed,
        symmetries=trained.augmentation.flips,
        provenance={
            "seed": member.seed,
            "objective": member.objective,
            "preset": config.preset,
            "steps": config.training.steps,
            "trained_images": len(split.train),
            "validation_images": len(split.validation),
            "held_out_images": len(split.held_out),
            "served_twice": split.shared,
            "augmentation": trained.augmentation.as_mapping(),
            "precision": trained.precision,
            "compiled": trained.compilation.used,
            "compile_reason": trained.compilation.reason,
            "workers": trained.workers,
            "device": device.type,
            "parameters": trained.net.parameter_count(),
            "seconds": trained.seconds,
            "settings": settings.to_mapping(config),
        },
    )
    (member.folder / "history.parquet").write_table(pa.Table.from_pylist([line.as_row() for line in trained.history]))
    detector.save(member.detector)
    checkpoint.delete_dir()
    member.set_status("trained")


def load_training_images(run: Run, category: str) -> torch.Tensor:
    """A category's readable good training images, resized to one size: (N, 3, H, W) uint8.

    Raises:
        TrainingError: Fewer than two can be read.
    """
    samples = [s for s in read_samples(run.shards, category, "train") if s["error"] is None and s["label"] in {0, None}]
    if len(samples) < 2:
        raise TrainingError(f"category {category} has {len(samples)} readable good training images; it needs 2 or more")
    # Order must not depend on how the shards were written, or a seed would not be enough to repeat a training.
    samples.sort(key=lambda sample: sample["id"])
    stride = run.config.model.stride
    size = choose_size([(s["height"], s["width"]) for s in samples], run.config.data.image_size, stride)
    return torch.stack([to_input(decode_image(sample["image"]), size) for sample in samples])
