"""Files that travel through a job's log arrive as they were, and none that is not wanted or leads astray."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from raysuite.errors import JobError
from raysuite.storage import Location
from raysuite.submission import pack
from raysuite.submission.fetching import fetch
from raysuite.submission.pack import BEGIN, END, packed, unpack

FILES = {
    "report.html": b"<html>",
    "screw/seed-0/detector/weights.safetensors": bytes(range(256)) * 100,
    "screw/seed-0/checkpoint/state-a.safetensors": b"x",
    "shards/category=screw/0.parquet": b"x",
    ".ray/notes": b"x",
    "owner.json": b"{}",
}
RESULTS = {name: FILES[name] for name in list(FILES)[:2]}


@pytest.fixture
def run(tmp_path: Path) -> Location:
    for name, data in FILES.items():
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_bytes(data)
    return Location.of(tmp_path / "run")


def below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("patterns", "everything", "names"),
    [
        ((), False, list(RESULTS)),
        ((), True, list(FILES)),
        (("report.*",), False, ["report.html"]),
        (("*/checkpoint/*",), False, ["screw/seed-0/checkpoint/state-a.safetensors"]),
    ],
)
def test_what_is_wanted_arrives_by_either_way_as_it_was(
    run: Location, tmp_path: Path, patterns: tuple[str, ...], everything: bool, names: list[str]
) -> None:
    log = f"Running entrypoint for job x\n{packed(run, patterns, everything=everything)}\nbye\n"
    ways = [unpack(log, tmp_path / "a"), fetch(run, tmp_path / "b", patterns, everything=everything)]
    for way, folder in zip(ways, "ab", strict=True):
        assert below(tmp_path / folder) == {name: FILES[name] for name in names}
        assert (way.files, way.bytes) == (len(names), sum(len(FILES[name]) for name in names))


def test_too_much_for_a_log_is_refused_with_what_to_do(run: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "MOST_BYTES", 1000)
    with pytest.raises(JobError, match="too much for a job's log; name files with --file"):
        packed(run, (), everything=False)


def test_a_log_that_was_cut_off_or_damaged_is_refused(run: Location, tmp_path: Path) -> None:
    log = packed(run, (), everything=False)
    with pytest.raises(JobError, match="cut off"):
        unpack(log.removesuffix(END), tmp_path / "out")
    lines = log.splitlines()
    lines[1] = ("B" if lines[1][0] == "A" else "A") + lines[1][1:]
    with pytest.raises(JobError, match="damaged"):
        unpack("\n".join(lines), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "a/../../escaped"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    whole = sink.getvalue()
    card = json.dumps({"sha256": hashlib.sha256(whole).hexdigest()})
    with pytest.raises(JobError, match="no file below a folder"):
        unpack(f"{BEGIN}{card}\n{base64.b64encode(whole).decode()}\n{END}", tmp_path / "out")
    assert not list(tmp_path.rglob("escaped"))


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack.main([str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("Error: cannot list ")
