"""Names of a stranger's files are shown, and not obeyed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from raysuite.cli.main import main
from raysuite.printing import printable


@pytest.mark.parametrize("text", ["weave/photo 1.png", "Zahnbürste ≥ 3 × 4 – 画像", ""])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_control_characters_are_written_out() -> None:
    assert printable("\x1b]0;owned\x07\x1b[2J\nok\u202e.png") == r"\x1b]0;owned\x07\x1b[2J\nok\u202e.png"
    assert printable("one\ntwo\x1b[2J", keep="\n") == "one\ntwo\\x1b[2J"


def test_a_command_obeys_no_name_of_a_file(tmp_path: Path) -> None:
    good = tmp_path / "data" / "weave" / "train" / "good"
    good.mkdir(parents=True)
    for name in ("000.png", "001.png"):
        Image.new("RGB", (16, 16)).save(good / name)
    (good / "\x1b]0;owned\x07\nok.png").write_bytes(b"no image")
    result = CliRunner().invoke(main, ["data", "inspect", str(tmp_path / "data")])
    assert r"\x1b]0;owned\x07\nok.png" in result.output
    assert "\x1b" not in result.output
