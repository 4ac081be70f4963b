"""What stands in cluster/vms, by Ray's own schema and checks, and without a cloud."""

from __future__ import annotations

import copy
import re
from importlib import metadata
from typing import Any

import jsonschema
import pytest

from tests.cluster.files import document, images

NAMES = ("aws", "gcp", "hosts")


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """As ``ray up`` takes it: with Ray's defaults, and valid."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    whole = prepare_config(copy.deepcopy(config))
    validate_config(whole)
    return dict(whole)


@pytest.mark.parametrize("name", NAMES)
def test_launcher_files_are_valid_by_rays_own_schema(name: str) -> None:
    whole = prepared(document(f"vms/{name}.yaml"))
    kinds = whole["available_node_types"]
    assert whole["head_node_type"] in kinds
    most = sum(kind["max_workers"] for key, kind in kinds.items() if key != whole["head_node_type"])
    assert (most or kinds[whole["head_node_type"]]["max_workers"]) >= 2


def test_rays_schema_refuses_what_it_does_not_know() -> None:
    config = {**document("vms/aws.yaml"), "max_worker": 8}
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        prepared(config)


@pytest.mark.parametrize("name", NAMES)
def test_the_token_comes_along_and_is_asked_for(name: str) -> None:
    config = document(f"vms/{name}.yaml")
    assert list(config["file_mounts"].values()) == ["~/.ray"], "where ray get-auth-token --generate puts it"
    # In a container the home is the image's user's.
    assert list(config["file_mounts"]) == (["/home/ray/.ray"] if "docker" in config else ["~/.ray"])


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_images_and_gpus_are_where_they_belong(name: str) -> None:
    config = document(f"vms/{name}.yaml")
    ray = re.escape(metadata.version("ray"))
    assert all(re.search(rf":[\d.]+-ray{ray}(-cuda)?$", image) for image in images(config))
    assert config["docker"]["worker_image"] == config["docker"]["head_image"] + "-cuda"
    kinds = config["available_node_types"]
    assert kinds["head"]["resources"] == {"CPU": 0}
    assert kinds["gpu"]["resources"]["GPU"] == 1
    assert kinds["gpu"]["min_workers"] == 1, "or raysuite would see no GPU, and train on CPUs"


def test_hosts_are_documentation_addresses_and_all_are_used() -> None:
    config = document("vms/hosts.yaml")
    addresses = [config["provider"]["head_ip"], *config["provider"]["worker_ips"]]
    assert all(address.startswith("192.0.2.") for address in addresses)
    assert config["min_workers"] == config["max_workers"] == len(config["provider"]["worker_ips"])
