"""``raysuite score`` on the command line: what is refused, before Ray starts and before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raysuite.cli.main import main
from tests.scoring.archive import save_detector, write_pictures


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive and a run with one detector, of 24 held-out images."""
    root = tmp_path_factory.mktemp("home")
    write_pictures(root / "in", 4)
    save_detector(root / "run", "weave")
    return root


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["score", *(str(word) for word in words)])


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["in", "--model", "run/weave", "--false-alarm-rate", "0.01"], 2, ["weave", "24", "1/25", "0.04"]),
        (["in", "--model", "run/weave", "--false-alarm-rate", "1.5"], 2, ["between 0 and 1"]),
        (["in", "--model", "run/weave", "--route", "*.png=nut"], 2, ["--route", "nut", "weave"]),
        (["nowhere", "--model", "run/weave"], 1, ["nothing at", "nowhere"]),
        (["none-*/*.png", "--model", "run/weave"], 1, ["no images", "none-"]),
        (["in", "--model", "run/nut"], 1, ["run/nut", "no trained detector"]),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, told: list[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(home)
    result = call(*words, "--output", tmp_path / "out")
    assert result.exit_code == code, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    for name in told:
        assert name in errors[0]
    assert "Traceback" not in result.output
    assert not (tmp_path / "out" / "parts").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--route", "screw"],
        ["--batch-size", "many"],
        ["--batch-size", "²"],
        ["--route", "[z-a]*=weave"],
        ["--maps", "jpeg"],
    ],
)
def test_wrong_words_are_usage_errors(home: Path, words: list[str], tmp_path: Path) -> None:
    result = call(home / "in", "--model", home / "run", "--output", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert words[0] in result.stderr


def test_the_plan_counts_and_promises(home: Path, tmp_path: Path) -> None:
    result = call(home / "in", "--model", home / "run", "--output", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "4 images in 1 units of work: 0 are done, 4 are to be scored" in result.stdout
    assert "at most 0.1 of good images, by 24 held-out ones (they could promise 0.04)" in result.stdout
    assert not (tmp_path / "out").exists()


def test_help_explains_the_command() -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert "raysuite score photos/ --model runs/parts/screw --output scored/" in result.stdout
