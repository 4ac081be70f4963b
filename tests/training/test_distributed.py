import os
import socket
from dataclasses import replace

import pytest
import safetensors.torch
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

import raysuite.training.loop
from raysuite.corruption.corruptor import Corrupted
from raysuite.errors import ConfigError, TrainingError
from raysuite.models.autoencoder import build
from raysuite.settings import for_objective
from raysuite.storage import Location
from raysuite.training.distributed import (
    GlobalBatchNorm2d,
    agree,
    rank,
    slice_of,
    synchronise_batch_norm,
    total_gradients,
    workers,
)
from raysuite.training.loop import train
from raysuite.training.objectives import Share, make_objective
from tests.training.test_loop import CPU, TINY, stripes

CONFIG = replace(TINY, training=replace(TINY.training, steps=20, batch_size=4, log_every=5, checkpoint_every=8))
CONFIGS = {
    "filter": replace(CONFIG, objective=replace(CONFIG.objective, gradient_weight=0.1, idempotence_weight=0.1)),
    "sparse": for_objective(CONFIG, "sparse"),
    "contractive": for_objective(CONFIG, "contractive"),
}


BARE = replace(CONFIGS["filter"], model=replace(CONFIG.model, norm="none"))


def trial_images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(9))


def answers(trained):
    with torch.no_grad():
        return trained.net(trial_images()).contiguous()


def lines(trained):
    return torch.tensor([[line.loss, line.kept_loss, line.repaired_loss, line.extra_loss] for line in trained.history])


def gradients(config):
    """Of the first step's loss, by parameter, and what batch normalisation has learned from it."""
    net = build(config.model, 1).train()
    synchronise_batch_norm(net)
    objective = make_objective(config, net)
    batch = objective.draw(trial_images(), torch.Generator().manual_seed(4))
    mine = slice_of(4)
    batch = Corrupted(batch.inputs_NCHW[mine], batch.targets_NCHW[mine], batch.mask_N1HW[mine])
    objective.loss(net, batch, Share.of(batch)).total.backward()
    total_gradients(net.parameters())
    learned = {f"{name}": value.clone() for name, value in net.named_buffers() if name.endswith(("mean", "var"))}
    return learned | {name: p.grad.contiguous() for name, p in net.named_parameters()}


def train_both(number, folder):
    for name, config in CONFIGS.items():
        safetensors.torch.save_file(gradients(config), f"{folder}/{name}-gradients-{number}")
        trained = train(config, stripes(), seed=1, device=CPU)
        assert trained.workers == 2
        assert not any(isinstance(module, GlobalBatchNorm2d) for module in trained.net.modules())
        found = {"answers": answers(trained), "history": lines(trained)}
        safetensors.torch.save_file(found, f"{folder}/{name}-{number}")


def normalise_both(number, folder):
    net = nn.Sequential(nn.BatchNorm2d(3))
    names = list(net.state_dict())
    synchronise_batch_norm(net)
    assert type(net[0]) is GlobalBatchNorm2d
    assert list(net.state_dict()) == names
    x_NCHW = trial_images().requires_grad_()
    y_NCHW = net(5 * x_NCHW[slice_of(4)] + 100)
    (y_NCHW**3).sum().backward()
    found = {"y": y_NCHW.detach(), "gradient": x_NCHW.grad[slice_of(4)].clone(), **net.state_dict()}
    safetensors.torch.save_file(found, f"{folder}/norm-{number}")


def refuse_both(number, folder):
    with pytest.raises(ConfigError, match=r"batch_size is 5, which 2 workers cannot share.*such as 4 or 6"):
        train(replace(CONFIG, training=replace(CONFIG.training, batch_size=5)), stripes(), seed=1, device=CPU)
    assert agree(3)
    assert not agree(number)


def go_on_both(number, folder):
    short = replace(CONFIG, training=replace(CONFIG.training, steps=2))
    shared = Location.of(f"{folder}/shared")
    train(short, stripes(), seed=1, device=CPU, checkpoint=shared)
    dist.barrier()
    assert train(short, stripes(), seed=1, device=CPU, checkpoint=shared).resumed_at == 2
    # Each in a folder of its own, of which the first alone writes: the second has nothing to go on from.
    apart = Location.of(f"{folder}/{number}")
    train(short, stripes(), seed=1, device=CPU, checkpoint=apart)
    with pytest.raises(TrainingError, match="do not read the same checkpoint"):
        train(short, stripes(), seed=1, device=CPU, checkpoint=apart)


def stop_and_go_on_both(number, folder):
    """Stopped at step 10, gone on with from step 8: in the middle of a line of the history, which has 5 steps."""

    def stop(line):
        if line.step == 10:
            raise KeyboardInterrupt

    where = Location.of(f"{folder}/stopped")
    with pytest.raises(KeyboardInterrupt):
        train(CONFIGS["filter"], stripes(), seed=1, device=CPU, checkpoint=where, on_progress=stop)
    dist.barrier()
    again = train(CONFIGS["filter"], stripes(), seed=1, device=CPU, checkpoint=where)
    assert again.resumed_at == 8
    safetensors.torch.save_file({"answers": answers(again), "history": lines(again)}, f"{folder}/resumed-{number}")


def refuse_more_than(count):
    """Nets of `train` hold so many images at once, until called again with None."""

    def built(config, seed, template_CHW=None):
        net = build(config, seed, template_CHW)

        def check(_module, _inputs, output):
            if net.training and len(output) > count:
                raise torch.OutOfMemoryError("CUDA out of memory")

        net.head.register_forward_hook(check)
        return net

    raysuite.training.loop.build = build if count is None else built


def run_out_both(number, folder):
    """The first alone has memory for one of its two images; then both have, in a net whose sums tie them together."""
    try:
        if number == 0:
            refuse_more_than(1)
        trained = train(BARE, stripes(), seed=1, device=CPU)
        assert trained.micro_batch == 1
        found = {"answers": answers(trained), "history": lines(trained)}
        safetensors.torch.save_file(found, f"{folder}/split-{number}")
        refuse_more_than(1)
        with pytest.raises(TrainingError, match=r"2 images of 32 × 32 pixels at once.*2 workers.*training\.batch_size"):
            train(CONFIG, stripes(), seed=1, device=CPU)
        dist.barrier()
    finally:
        refuse_more_than(None)


def join(number, port, folder):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=number, world_size=2)
    try:
        for work in (train_both, normalise_both, refuse_both, go_on_both, stop_and_go_on_both, run_out_both):
            work(number, folder)
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two real processes that make one group leave behind; both have ended, and what they assert holds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = tmp_path_factory.mktemp("workers")
    mp.spawn(join, args=(port, str(found)), nprocs=2, join=True)
    return found


def both(folder, name):
    return [safetensors.torch.load_file(folder / f"{name}-{number}") for number in (0, 1)]


@pytest.mark.parametrize("name", CONFIGS)
def test_two_workers_have_the_gradients_and_statistics_that_one_would(folder, name):
    first, second = both(folder, f"{name}-gradients")
    alone = gradients(CONFIGS[name])
    assert set(first) == set(alone)
    for key, wanted in alone.items():
        assert torch.equal(first[key], second[key]), "the workers agree to the bit"
        scale = float(wanted.abs().max())
        assert float((first[key] - wanted).abs().max()) < 1e-4 * scale + 1e-6, key


@pytest.mark.parametrize("name", CONFIGS)
def test_two_workers_train_the_net_that_one_would(folder, name):
    """In float32, over 20 steps: rounding differs, and AdamW makes much of it where a gradient is almost zero."""
    first, second = both(folder, name)
    assert torch.equal(first["answers"], second["answers"])
    alone = train(CONFIGS[name], stripes(), seed=1, device=CPU)
    for found in (first, second):
        assert found["history"].numpy() == pytest.approx(lines(alone).numpy(), rel=2e-3, abs=1e-6)
        assert float((found["answers"] - answers(alone)).abs().max()) < 0.01


def test_stopped_workers_go_on_with_what_all_of_them_had(folder):
    for undisturbed, resumed in zip(both(folder, "filter"), both(folder, "resumed"), strict=True):
        assert torch.equal(resumed["answers"], undisturbed["answers"])
        assert resumed["history"].numpy() == pytest.approx(undisturbed["history"].numpy(), rel=1e-5)


def test_a_worker_whose_memory_runs_out_takes_smaller_parts_by_itself(folder):
    first, second = both(folder, "split")
    assert torch.equal(first["answers"], second["answers"])
    alone = train(BARE, stripes(), seed=1, device=CPU)
    for found in (first, second):
        assert found["history"].numpy() == pytest.approx(lines(alone).numpy(), rel=2e-3, abs=1e-6)
        assert float((found["answers"] - answers(alone)).abs().max()) < 0.01


def test_global_batch_norm_is_batch_norm_of_all_images(folder):
    net = nn.Sequential(nn.BatchNorm2d(3))
    x_NCHW = trial_images().requires_grad_()
    y_NCHW = net(5 * x_NCHW + 100)
    (y_NCHW**3).sum().backward()
    parts = both(folder, "norm")
    assert torch.allclose(torch.cat([part["y"] for part in parts]), y_NCHW.detach(), atol=1e-4)
    assert torch.allclose(torch.cat([part["gradient"] for part in parts]), x_NCHW.grad, atol=1e-3)
    for part in parts:
        for name in ("0.running_mean", "0.running_var"):
            assert torch.allclose(part[name], net.state_dict()[name], rtol=1e-5)


def test_alone_everything_is_mine():
    assert (workers(), rank(), slice_of(5)) == (1, 0, slice(0, 5))
    net = nn.Sequential(nn.BatchNorm2d(3))
    synchronise_batch_norm(net)
    assert type(net[0]) is nn.BatchNorm2d
    assert agree(7)
