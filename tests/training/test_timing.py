"""The short trial that tells how long a training will take."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from raysuite.config import Config
from raysuite.settings import preset, with_words
from raysuite.training import timing
from raysuite.training.timing import time_steps


@pytest.fixture
def config() -> Config:
    return with_words(preset("tiny"), ["data.image_size=64", "model.dilations=[1,2]", "training.batch_size=8"])


def test_a_trial_counts_the_steps_it_took_and_leaves_threads_and_random_numbers_alone(config: Config) -> None:
    torch.manual_seed(1)
    before, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(1)
    steps, seconds = time_steps(config, torch.device("cpu"))
    assert 1 <= steps <= timing.MOST_STEPS
    assert seconds > 0
    assert torch.equal(torch.rand(1), before)
    assert torch.get_num_threads() == threads
    short = replace(config, training=replace(config.training, steps=2))
    assert time_steps(short, torch.device("cpu"))[0] <= 2


@pytest.mark.parametrize("kind", ["contractive", "sparse", "denoise"])
def test_every_objective_can_be_tried_also_in_the_share_of_one_of_several_workers(config: Config, kind: str) -> None:
    from raysuite.settings import for_objective

    assert time_steps(for_objective(config, kind), torch.device("cpu"), workers=4)[1] > 0


def test_a_batch_that_is_too_large_for_the_time_is_measured_in_part(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def train(trial: Config, *_: object, **more: object) -> None:
        # 1 s an image.
        sizes.append(trial.training.batch_size)
        for step in range(trial.training.steps):
            more["on_progress"](type("Line", (), {"seconds": float((step + 1) * sizes[-1])}))  # type: ignore[operator]

    monkeypatch.setattr(timing, "train", train)
    monkeypatch.setattr(timing, "SECONDS", 8.0)
    large = replace(config, training=replace(config.training, batch_size=64))
    assert time_steps(large, torch.device("cpu")) == (timing.MOST_STEPS, 64.0)
    assert sizes == [2, 4], "two steps of so many fit"


def test_a_worker_is_timed_with_the_drawing_of_the_whole_batch(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(trial: Config, *_: object, **more: object) -> None:
        for step in range(trial.training.steps):
            seconds = 0.01 * trial.training.batch_size * (step + 1)
            more["on_progress"](type("Line", (), {"seconds": seconds}))  # type: ignore[operator]

    drawn: list[int] = []
    draw_batch = timing.draw_batch

    def counted(images: torch.Tensor, count: int, *rest: object) -> torch.Tensor:
        drawn.append(count)
        time.sleep(0.05)
        return draw_batch(images, count, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(timing, "train", train)
    monkeypatch.setattr(timing, "draw_batch", counted)
    large = replace(config, training=replace(config.training, batch_size=32))
    assert time_steps(large, torch.device("cpu"))[1] == pytest.approx(0.32)
    assert not drawn
    # Of 32 images another 24: three times what 8 take.
    assert time_steps(large, torch.device("cpu"), workers=4)[1] >= 0.08 + 3 * 0.05
    assert set(drawn) == {8}


def test_what_a_gpu_draws_at_once_is_shared_among_the_steps(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(trial: Config, *_: object, **more: object) -> None:
        for step in range(trial.training.steps):
            # A step takes 1 s; every third one draws, which takes 3 s.
            more["on_progress"](type("Line", (), {"seconds": float(step + 3 * (step // 3))}))  # type: ignore[operator]

    monkeypatch.setattr(timing, "train", train)
    monkeypatch.setattr(timing, "SECONDS", 1e9)
    assert time_steps(config, torch.device("cuda")) == (timing.MOST_STEPS, 2.0)


def test_a_trial_ends_at_the_first_step_after_its_time(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    start = time.perf_counter()
    steps, _ = time_steps(config, torch.device("cpu"))
    assert steps == 1
    assert time.perf_counter() - start < 60
