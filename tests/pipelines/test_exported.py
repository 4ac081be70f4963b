"""What Ray's metrics endpoint really says of trainings."""

from __future__ import annotations

import time
import urllib.request

import pytest

from raysuite.pipelines.exported import Exported

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

NAMES = {"category": "tile", "seed": 3, "objective": "filter"}
WORD = {"step": 40, "steps": 800, "loss": 0.25, "images_per_second": 31.5, "seconds_left": 100.0, "node": "node-7"}


def scrape() -> dict[str, tuple[dict[str, str], float]]:
    """Name of each metric of ours → the tags and the value of its last line, as Prometheus reads them."""
    import ray
    from prometheus_client.parser import text_string_to_metric_families

    node = ray.nodes()[0]
    with urllib.request.urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics") as page:
        families = text_string_to_metric_families(page.read().decode())
        return {
            ",".join([sample.name, sample.labels.get("state", "")]).rstrip(","): (sample.labels, sample.value)
            for family in families for sample in family.samples
            # Other tests, of the same driver, have trained categories of their own.
            if sample.name.startswith("ray_raysuite") and sample.labels.get("category", "tile") == "tile"
        }  # fmt: skip


def test_trainings_are_exported_with_few_tags_and_images_are_counted_once() -> None:
    exported = Exported(batch_size=8)
    exported.training(NAMES, {**WORD, "step": 20})
    exported.training(NAMES, WORD)
    # Its worker is lost, and it goes on from a checkpoint.
    exported.ended(NAMES, failed=True, again=True)
    exported.training(NAMES, {**WORD, "step": 30})
    exported.training(NAMES, {**WORD, "step": 50, "loss": 0.125})
    exported.states({"training": 1, "pending": 4})
    # Metrics travel to the node's agent in several parts: all of these have to be there, with their last values.
    last = {
        "ray_raysuite_training_step": 50, "ray_raysuite_training_steps": 800, "ray_raysuite_training_loss": 0.125,
        "ray_raysuite_training_seconds_left": 100, "ray_raysuite_training_images_per_second": 31.5,
        "ray_raysuite_trained_images_total": 8 * 60, "ray_raysuite_training_failures_total": 1,
        "ray_raysuite_training_retries_total": 1, "ray_raysuite_trainings,training": 1,
        "ray_raysuite_trainings,pending": 4, "ray_raysuite_trainings,failed": 0,
    }  # fmt: skip
    # Of the images: 40 steps before, 20 after what the checkpoint held.
    deadline = time.monotonic() + 60
    found = scrape()
    while {name: value for name, (_, value) in found.items() if name in last} != last and time.monotonic() < deadline:
        time.sleep(1)
        found = scrape()
    assert {name: value for name, (_, value) in found.items() if name in last} == last
    tags, _ = found["ray_raysuite_training_loss"]
    assert {name: tags[name] for name in NAMES} == {"category": "tile", "seed": "3", "objective": "filter"}
    assert not {"node", "run", "step"} & set(tags), "what has many values is no tag"
