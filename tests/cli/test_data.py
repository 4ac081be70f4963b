"""``raysuite data`` as a person meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from raysuite.cli.main import main


def test_synth_writes_what_inspect_then_counts(tmp_path: Path) -> None:
    words = [
        "data",
        "synth",
        str(tmp_path / "data"),
        "--image-size",
        "64",
        "--train",
        "3",
        "--good",
        "2",
        "--defects",
        "1",
    ]
    assert CliRunner().invoke(main, words).exit_code == 0
    result = CliRunner().invoke(main, ["data", "inspect", str(tmp_path / "data"), "--json"])
    assert result.exit_code == 0
    reports = json.loads(result.stdout)
    assert len(reports) == 3
    for report in reports:
        assert (report["train_good"], report["test_good"]) == (3, 2)
        assert len(report["test_defects"]) >= 3
        assert set(report["test_defects"].values()) == {1}


def test_inspect_lists_unreadable_files_and_leaks_and_ends_with_3(small_benchmark: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(small_benchmark / "weave", root / "weave")
    (root / "weave" / "train" / "good" / "zero.png").write_bytes(b"")
    shutil.copy(root / "weave" / "train" / "good" / "000.png", root / "weave" / "test" / "good" / "copy.png")
    result = CliRunner().invoke(main, ["data", "inspect", str(root)])
    assert result.exit_code == 3
    assert "zero.png" in result.stdout
    assert "copy.png" in result.stdout


def test_file_names_are_not_taken_for_markup(small_benchmark: Path, tmp_path: Path) -> None:
    shutil.copytree(small_benchmark / "weave", tmp_path / "data" / "[red]weave")
    result = CliRunner().invoke(main, ["data", "inspect", str(tmp_path / "data")])
    assert "[red]weave" in result.stdout


def test_several_data_sets_are_inspected_together(small_benchmark: Path, tmp_path: Path) -> None:
    shutil.copytree(small_benchmark / "weave" / "train" / "good", tmp_path / "parts" / "caps")
    result = CliRunner().invoke(main, ["data", "inspect", str(small_benchmark), str(tmp_path / "parts")])
    assert "layout mvtec" in result.stdout
    assert "layout folder, 8 images" in result.stdout
    assert all(name in result.stdout for name in ("weave", "flange", "caps"))


@pytest.mark.parametrize(
    "words", [[], ["data"], ["benchmark"], ["train"], ["evaluate"], ["report"], ["demo"], ["data", "shard"]]
)
def test_every_command_explains_itself(words: list[str]) -> None:
    result = CliRunner().invoke(main, [*words, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
