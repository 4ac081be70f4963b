"""``raysuite submit`` says what is wrong with a job before it asks any cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raysuite.cli.commands import read
from raysuite.cli.main import main

JOBS = Path(__file__).parents[2] / "jobs"


def submit(*words: str) -> Result:
    return CliRunner().invoke(main, ["submit", "--dry-run", *words])


def test_a_dry_run_prints_the_line_that_the_cluster_would_run() -> None:
    done = submit(str(JOBS / "report.yaml"), "--set", "run=s3://bucket/runs/parts", "--json")
    assert done.exit_code == 0, done.output
    card = json.loads(done.stdout)
    assert card["command"] == ["report", "s3://bucket/runs/parts"]
    assert card["entrypoint"].endswith("-- report s3://bucket/runs/parts")
    assert card["resources"] == {"num_cpus": 1.0, "num_gpus": 0.0, "memory": 2**31}
    assert card["results"] == "s3://bucket/runs/parts"
    assert card["retries"] == 1
    text = submit("--", "data", "shard", "s3://bucket/parts", "s3://bucket/shards").stdout
    assert "raysuite data shard s3://bucket/parts s3://bucket/shards" in text
    assert "s3://bucket/shards" in text.partition("Results:")[2]


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (("--", "benchmark", "parts", "--run", "s3://b/r"), "DATA is parts, a path below a folder of this machine", 2),
        (("--", "benchmark", "s3://b/p", "--run", "/home/me/r"), "--run is /home/me/r, a path that the cluster may", 2),
        (("--shared", "/mnt", "--", "report", "/mnt/../etc"), "is /mnt/../etc", 2),
        (("--", "report", "s3://b/r", "--jsn"), "No such option '--jsn'", 2),
        (("--", "benchmark", "s3://b/p", "--run", "s3://b/r", "--preset", "huge"), "'huge' is not one of", 2),
        (("--", "evaluate", "s3://b/r", "--address", "auto"), "leave that out", 2),
        (("--", "report", "--help"), "ask raysuite here", 2),
        (("--", "rm", "-rf", "/"), "--allow-command", 2),
        (("--", "report", "s3://me:word@b/r"), "credentials", 2),
        (("--", "demo"), "--folder is demo", 2),
        (("--set", "run=x", "--", "report", "s3://b/r"), "--set before -- is for the parameters of a spec", 2),
        ((str(JOBS / "report.yaml"), "--set", "rum=x"), "did you mean run?", 2),
        (("nothing-there.yaml",), "cannot read", 1),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(words: tuple[str, ...], told: str, code: int) -> None:
    done = submit(*words)
    assert done.exit_code == code, done.output
    assert told in done.output
    assert "word@" not in done.output


def test_words_behind_the_spec_are_put_after_its_command() -> None:
    done = submit(
        str(JOBS / "train-all.yaml"), "--set", "data=/mnt/a", "--set", "data=/mnt/b", "--set", "run=/mnt/r",
        "--shared", "/mnt", "--json", "--", "--category", "screw",
    )  # fmt: skip
    command = json.loads(done.stdout)["command"]
    assert command[:3] == ["train", "/mnt/a", "/mnt/b"]
    assert command[-2:] == ["--category", "screw"]


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("benchmark a b --run r --config c.yaml", "read:DATA=a read:DATA=b write:--run=r read:--config=c.yaml"),
        (
            "benchmark a --run r --set corruption.fills.texture.folder=dtd",
            "read:--set corruption.fills.texture.folder=dtd",
        ),
        ("tune a --run r --space full --space my.yaml --warm-start old", "read:--space=my.yaml read:--warm-start=old"),
        ("score x.tar --model m/screw --output o", "read:INPUT=x.tar read:--model=m/screw write:--output=o"),
        ("report r --compare old", "write:RUN=r read:--compare=old"),
        ("data shard a out", "read:DATA=a write:OUTPUT=out"),
        ("export m/screw --format onnx --output o.onnx", "read:RUN/CATEGORY=m/screw write:--output=o.onnx"),
        ("cluster check --storage s --plan parts", "write:--storage=s read:--plan=parts"),
    ],
)
def test_files_and_folders_of_a_command_are_found_among_its_words(words: str, places: str) -> None:
    found = read(main, words.split()).places
    named = {f"{'read' if one.is_read else 'write'}:{one.what}={one.word}" for one in found}
    for place in places.replace("--set c", "--set_c").split():
        assert place.replace("--set_c", "--set c") in named
    assert "full" not in {one.word for one in found}


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("benchmark tiny --preset tiny --run r", {1: "tiny", 5: "r"}),
        ("benchmark --category tiny tiny --run=tiny tiny", {3: "tiny", 4: "tiny", 5: "tiny"}),
        ("tune full --space full --run r --warm-start=full", {1: "full", 5: "r", 6: "full"}),
        ("train a --run r --set corruption.fills.texture.folder=a", {1: "a", 3: "r", 5: "a"}),
    ],
)
def test_a_place_is_where_it_is_named_and_not_where_another_word_is_the_same(
    words: str, places: dict[int, str]
) -> None:
    assert {one.at: one.word for one in read(main, words.split()).places} == places


def test_standard_output_is_no_place() -> None:
    command = read(main, ["report", "r", "--format", "json", "--output", "-"])
    assert [one.word for one in command.places] == [command.results] == ["r"]
    assert submit("--shared", "/mnt", "--", "report", "/mnt/r", "--format", "json", "--output", "-").exit_code == 0


def test_inputs_are_copied_on_request_and_named_as_the_cluster_sees_them(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.png").write_bytes(b"x")
    words = ["--upload", str(tmp_path / "up"), "--", "report", "s3://b/r"]
    # A dry run copies nothing.
    assert submit(*words).exit_code == 0
    assert not (tmp_path / "up").exists()
