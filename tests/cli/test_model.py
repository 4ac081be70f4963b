"""``raysuite model describe`` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raysuite.cli.main import main
from raysuite.models.description import describe
from raysuite.settings import preset, with_words


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["model", "describe", *words])


def test_the_table_ends_in_the_totals() -> None:
    result = call("--preset", "tiny")
    assert result.exit_code == 0, result.output
    assert "skips.1" in result.stdout
    assert "dilated conv 3 × 3, by 1, 2, 4, 8" in result.stdout
    totals = {line[:16].strip(): line[17:] for line in result.stdout.splitlines()}
    assert totals["parameters"].startswith("82,828, 334 kB")
    assert "GFLOP an image of 256 × 256" in totals["computation"]
    assert "% of the image's side" in totals["receptive field"]
    assert "8 images of 256 × 256 in float32" in totals["training"]
    assert {"scoring", "not counted"} <= set(totals)


def test_settings_of_every_kind_reach_the_net(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    file.write_text("preset: tiny\nmodel: {skip: concat}\n")
    result = call("--config", str(file), "--image-size", "128", "--set", "model.norm=group", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    config = with_words(preset("tiny"), ["model.skip=concat", "data.image_size=128", "model.norm=group"])
    assert record["preset"] == "tiny"
    assert record["parameters"] == describe(config).parameters
    assert record["gflop"] == pytest.approx(2 * sum(layer["macs"] for layer in record["layers"]) / 1e9)
    assert record["layers"][-1]["height"] == 128
    assert any(layer["kind"] == "skip, concatenation" for layer in record["layers"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--image-size", "100"], "data.image_size is 100, but it must be a multiple of 8"),
        (["--image-size", "64"], "data.image_size is 64, but it must be 72 or more"),
        (["--set", "model.skip=add"], "model.skip is 'add', but it must be one of convex, concat, none"),
        (["--set", "model.wide=3"], "did you mean model.width?"),
    ],
)
def test_an_impossible_net_is_one_sentence_and_a_usage_error(words: list[str], told: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [["model"], ["model", "describe"]])
def test_help_explains_the_command(words: list[str]) -> None:
    result = CliRunner().invoke(main, [*words, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert words == ["model"] or "raysuite model describe --preset base" in result.stdout
