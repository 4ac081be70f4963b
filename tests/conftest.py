"""Fixtures that several folders share: small data sets, and one local Ray for all tests that need it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysuite.datasets.procedural import write_benchmark

S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes the Ray that all share."""
    for item in items:
        if "local_ray" in getattr(item, "fixturenames", ()):
            item.add_marker("ray")


@pytest.fixture(scope="session")
def small_benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two procedural categories of a few images each, 64 pixels a side; not to be written to."""
    root = tmp_path_factory.mktemp("benchmark")
    write_benchmark(root, seed=3, image_size=64, train=8, good=3, defect_per_kind=1, categories=("weave", "flange"))
    return root


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """Ray on this machine with two CPUs, started once and ended with the session."""
    import ray

    from raysuite.pipelines.session import cluster_resources  # noqa: F401 -- sets Ray's environment before its import

    with pytest.MonkeyPatch.context() as patch:
        # For the S3 server of the tests. Workers have what the environment holds when Ray starts, so it is set here,
        # and over what may be set already: nobody's own keys have a place in a test. Workers are as nice as the tests
        # that wait for them.
        for name, value in {**S3_ENVIRONMENT, "RAY_worker_niceness": "0"}.items():
            patch.setenv(name, value)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        for name in ("ray", "ray.data", "ray.train"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
        ray.shutdown()
