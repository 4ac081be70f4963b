"""Bad input on the command line: one sentence that names the culprit, the right exit code, and no traceback."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raysuite.cli.main import main
from raysuite.config import FILLS, OBJECTIVES, SHAPES
from raysuite.datasets.entries import Source
from raysuite.runs import Run
from raysuite.settings import preset


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def assert_one_sentence(result: Result, code: int, *names: str) -> None:
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    assert "Traceback" not in result.output
    for name in names:
        assert name in lines[0]


def test_missing_data_set_is_named(tmp_path: Path) -> None:
    assert_one_sentence(call("benchmark", tmp_path / "nowhere", "--run", tmp_path / "run"), 1, "nowhere")


def test_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_one_sentence(call("benchmark", tmp_path / "empty", "--run", tmp_path / "run"), 1, "empty")
    assert not (tmp_path / "run").exists()


def test_category_without_good_images_is_named(small_benchmark: Path, tmp_path: Path) -> None:
    shutil.copytree(small_benchmark / "weave" / "test", tmp_path / "data" / "weave" / "test")
    assert_one_sentence(call("benchmark", tmp_path / "data", "--run", tmp_path / "run"), 1, "weave")


def test_unknown_setting_is_named_with_the_nearest(small_benchmark: Path, tmp_path: Path) -> None:
    result = call("benchmark", small_benchmark, "--run", tmp_path / "run", "--set", "training.stepz=3")
    assert_one_sentence(result, 2, "training.stepz", "training.steps")


@pytest.mark.parametrize("word", ["training.steps=many", "training.steps=0", "corruption.noise=.nan", "steps"])
def test_impossible_values_are_usage_errors(small_benchmark: Path, tmp_path: Path, word: str) -> None:
    result = call("benchmark", small_benchmark, "--run", tmp_path / "run", "--set", word)
    assert_one_sentence(result, 2, word.partition("=")[0])


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--image-size", "100"], ["data.image_size", "100", "multiple of 8", "96"]),
        (["--image-size", "64", "--set", "model.dilations=[1,16]"], ["data.image_size", "136 or more", "dilations"]),
        (["--set", "objective.repair_weight=1.2"], ["objective.repair_weight", "from 0 to 1"]),
        (["--set", "objective.repair_weight=-0.1"], ["objective.repair_weight", "from 0 to 1"]),
        ([f"--set=corruption.shapes.{shape}.weight=0" for shape in SHAPES], ["corruption.shapes", *SHAPES]),
        ([f"--set=corruption.fills.{fill}.weight=0" for fill in FILLS], ["corruption.fills", *FILLS]),
        (["--set", "objective.kind=plain"], ["model.skip", "objective.kind=plain", "--objective plain"]),
        (["--objective", "contractive", "--set", "training.precision=bfloat16"], ["training.precision", "contractive"]),
        (["--set", "objective.kind=nonsense"], ["objective.kind", "nonsense", *OBJECTIVES]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_impossible_combinations_name_the_setting_and_what_it_may_be(
    small_benchmark: Path, tmp_path: Path, words: list[str], names: list[str]
) -> None:
    result = call("benchmark", small_benchmark, "--run", tmp_path / "run", *words)
    assert_one_sentence(result, 2, *names)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["benchmark", "train"])
def test_unknown_objective_is_refused_with_those_there_are(small_benchmark: Path, tmp_path: Path, command: str) -> None:
    result = call(command, small_benchmark, "--run", tmp_path / "run", "--objective", "nonsense")
    assert result.exit_code == 2
    assert all(word in result.stderr for word in ("--objective", "nonsense", *OBJECTIVES))
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_run_folder_of_another_configuration_is_refused(small_benchmark: Path, tmp_path: Path) -> None:
    Run.create(str(tmp_path / "run"), [Source(str(small_benchmark), "mvtec")], preset("small"))
    result = call("benchmark", small_benchmark, "--run", tmp_path / "run", "--preset", "tiny")
    assert_one_sentence(result, 2, str(tmp_path / "run"), "another configuration", "preset")


def test_folder_that_is_no_run_is_not_written_to(small_benchmark: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    result = call("benchmark", small_benchmark, "--run", tmp_path)
    assert_one_sentence(result, 1, str(tmp_path), "not empty")
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("command", ["benchmark", "train"])
def test_data_sets_with_a_category_of_one_name_are_refused_before_anything_is_written(
    small_benchmark: Path, tmp_path: Path, command: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(small_benchmark / "weave" / "train" / "good", other / "weave")
    result = call(command, small_benchmark, other, "--run", tmp_path / "run")
    assert_one_sentence(result, 1, str(small_benchmark), str(other), "'weave'", "rename", "--category")
    assert not (tmp_path / "run").exists()


def test_a_data_set_given_twice_is_named(small_benchmark: Path, tmp_path: Path) -> None:
    result = call("benchmark", small_benchmark, f"{small_benchmark}/", "--run", tmp_path / "run")
    assert_one_sentence(result, 1, str(small_benchmark), "given twice")
    assert not (tmp_path / "run").exists()


def test_a_category_that_no_data_set_has_is_named_with_those_there_are(small_benchmark: Path, tmp_path: Path) -> None:
    shutil.copytree(small_benchmark / "weave" / "train" / "good", tmp_path / "parts" / "caps")
    words = ["--run", tmp_path / "run", "--category", "caps", "--category", "lids"]
    result = call("train", small_benchmark, tmp_path / "parts", *words)
    assert_one_sentence(result, 1, str(small_benchmark), str(tmp_path / "parts"), "'lids'", "caps, flange, weave")
    assert not (tmp_path / "run").exists()


def test_unknown_category_is_named(small_benchmark: Path, tmp_path: Path) -> None:
    result = call("benchmark", small_benchmark, "--run", tmp_path / "run", "--category", "weeve")
    assert_one_sentence(result, 1, "weeve", "weave")


def test_unreadable_folder_is_named(small_benchmark: Path) -> None:
    call("data", "inspect", small_benchmark)  # imports what the command needs while every file may be read
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        locked = Path(folder) / "weave" / "train" / "good"
        shutil.copytree(small_benchmark / "weave", Path(folder) / "weave")
        locked.chmod(0)
        # Root may read every folder, so as root the command is run with another user's rights.
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            result = call("data", "inspect", folder)
        finally:
            os.seteuid(before)
            locked.chmod(0o755)
    assert_one_sentence(result, 1, str(locked))


@pytest.mark.parametrize("command", ["report", "evaluate"])
def test_what_is_no_run_folder_is_named(tmp_path: Path, command: str) -> None:
    assert_one_sentence(call(command, tmp_path), 1, str(tmp_path), "no run folder")


@pytest.mark.parametrize("option", ["--config", "--space"])
def test_files_of_settings_that_are_no_utf_8_are_named(small_benchmark: Path, tmp_path: Path, option: str) -> None:
    (tmp_path / "latin.yaml").write_bytes("# Größe\nmodel.width: [8, 16]\n".encode("latin-1"))
    result = call("tune", small_benchmark, "--run", tmp_path / "run", option, tmp_path / "latin.yaml", "--dry-run")
    assert_one_sentence(result, 2, "latin.yaml", "is not UTF-8 text")


def test_a_job_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_bytes("name: Größe\n".encode("latin-1"))
    assert_one_sentence(call("submit", tmp_path / "job.yaml", "--dry-run"), 2, "job.yaml", "is not UTF-8 text")


@pytest.mark.parametrize("seeds", ["2147483648", "99999999999999999999", "2147483640-2147483700"])
def test_seeds_are_bounded(small_benchmark: Path, tmp_path: Path, seeds: str) -> None:
    result = call("benchmark", small_benchmark, "--run", tmp_path / "run", "--seeds", seeds)
    assert result.exit_code == 2
    assert "2147483647" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seeds", ["a", "3-1", "1,,2", ""])
def test_seeds_that_are_no_list_are_usage_errors(small_benchmark: Path, tmp_path: Path, seeds: str) -> None:
    result = call("benchmark", small_benchmark, "--run", tmp_path / "run", "--seeds", seeds)
    assert result.exit_code == 2
    assert "seeds" in result.stderr
