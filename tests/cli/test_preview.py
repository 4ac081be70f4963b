"""``raysuite data preview-corruption`` as a person meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from raysuite.cli.main import main


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["data", "preview-corruption", *(str(word) for word in words)])


def test_the_sheet_is_written_where_it_is_said_to_be(small_benchmark: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "sheet.png"
    result = call(small_benchmark, "weave", "--out", out, "--count", 2, "--image-size", 72)
    assert result.exit_code == 0, result.output
    assert f"{out}: 2 images of weave" in result.stdout
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 2 * 72
    first = out.read_bytes()
    assert call(small_benchmark, "weave", "--out", out, "--count", 2, "--image-size", 72).exit_code == 0
    assert out.read_bytes() == first
    assert call(small_benchmark, "weave", "--out", out, "--count", 2, "--image-size", 72, "--seed", 1).exit_code == 0
    assert out.read_bytes() != first


def test_settings_decide_what_is_drawn(small_benchmark: Path, tmp_path: Path) -> None:
    words = (small_benchmark, "weave", "--image-size", 72, "--count", 1)
    assert call(*words, "--out", tmp_path / "all.png").exit_code == 0
    assert call(*words, "--out", tmp_path / "less.png", "--set", "corruption.shapes.hair.weight=0").exit_code == 0
    with Image.open(tmp_path / "all.png") as full, Image.open(tmp_path / "less.png") as less:
        assert less.height < full.height


@pytest.mark.parametrize(
    ("words", "code", "names"),
    [
        (["weeve"], 1, ["weeve", "weave"]),
        (["weave", "--set", "corruption.shapes.disc.weight=-1"], 2, ["corruption.shapes.disc.weight"]),
        (["weave", "--set", "corruption.shapes.disk.weight=1"], 2, ["disk", "disc"]),
        (["weave", "--set", "corruption.fills.texture.folder=nowhere"], 2, ["corruption.fills.texture.folder"]),
    ],
)
def test_bad_input_is_one_sentence(
    small_benchmark: Path, tmp_path: Path, words: list[str], code: int, names: list[str]
) -> None:
    result = call(small_benchmark, *words, "--out", tmp_path / "sheet.png")
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    for name in names:
        assert name in lines[0]
    assert not (tmp_path / "sheet.png").exists()


def test_a_texture_folder_without_images_stops_a_benchmark_before_it_starts(
    small_benchmark: Path, tmp_path: Path
) -> None:
    (tmp_path / "textures").mkdir()
    setting = f"corruption.fills.texture.folder={tmp_path / 'textures'}"
    words = ["benchmark", str(small_benchmark), "--run", str(tmp_path / "run"), "--set", setting]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "corruption.fills.texture.folder" in result.stderr
    assert not (tmp_path / "run").exists()
