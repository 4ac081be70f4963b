"""One member of a run: shards in, a detector out; in each of its workers."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pyarrow as pa
import torch

from raysuite import settings
from raysuite.detection.calibration import calibrate
from raysuite.metering import Meter
from raysuite.pipelines.images import good_images
from raysuite.pipelines.metered import metered_training
from raysuite.pipelines.progress import Recorder
from raysuite.runs import Member, Run
from raysuite.training.distributed import rank
from raysuite.training.loop import train
from raysuite.training.progress import Progress


def train_member(run: Run, member: Member, device: torch.device, board: Any = None, gpus: float = 0.0) -> None:
    """Train one member on this machine, and leave its detector and history in the run folder.

    A training that was stopped goes on from its last checkpoint. Of several workers the first does all but the training
    itself.

    Args:
        run: The run, its shards complete.
        member: Its category, seed and objective.
        device: Where to train.
        board: The actor to tell of the progress, if any.
        gpus: GPUs, or the share of one, that each worker holds; for the record.

    Raises:
        RaysuiteError: There are too few readable images, or the training failed.
    """
    with metered_training(member, device, gpus) as meter:
        _train_member(run, member, device, board, meter)


def _train_member(run: Run, member: Member, device: torch.device, board: Any, meter: Meter) -> None:
    config = run.config_of(member)
    if rank() == 0:
        member.set_status("training")
    images = good_images(run, member.category, config, member.seed)
    record = Recorder(member, config.training)

    def tell(progress: Progress) -> None:
        meter.look()
        if rank() == 0:
            word = record(progress)
            if board is not None:
                board.put.remote(member.key, word)

    def note(words: str) -> None:
        if board is not None:
            board.note.remote(member.key, words)

    checkpoint = member.folder / "checkpoint"
    with closing(images.source) as source:
        trained_images = len(source)
        trained = train(
            config, source, seed=member.seed, device=device, on_progress=tell, checkpoint=checkpoint, on_smaller=note
        )
    if rank() > 0:
        return
    detector = calibrate(
        trained.net,
        category=member.category,
        detection=config.detection,
        train_NCHW=images.train_NCHW,
        validation_NCHW=images.validation_NCHW,
        held_out_NCHW=images.held_out_NCHW,
        device=device,
        seed=member.seed,
        symmetries=trained.augmentation.flips,
        provenance={
            "seed": member.seed,
            "objective": member.objective,
            "preset": config.preset,
            "steps": config.training.steps,
            "trained_images": trained_images,
            "validation_images": len(images.validation_NCHW),
            "held_out_images": len(images.held_out_NCHW),
            "served_twice": images.shared,
            "streamed": images.streamed,
            "augmentation": trained.augmentation.as_mapping(),
            "template": {"used": trained.net.has_template, "reason": trained.template.reason},
            "precision": trained.precision,
            "compiled": trained.compilation.used,
            "compile_reason": trained.compilation.reason,
            "cuda_graph": trained.recording.used,
            "cuda_graph_reason": trained.recording.reason,
            "workers": trained.workers,
            "micro_batch": trained.micro_batch,
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
