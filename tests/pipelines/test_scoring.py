"""The whole pass: every image accounted for, whatever it is, changes or is asked for twice."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pytest
from click.testing import CliRunner, Result

from raysuite.cli.main import main
from raysuite.errors import ConfigError, RunError
from raysuite.locks import owned
from raysuite.pipelines.progress import Event
from raysuite.pipelines.scoring import Request, plan, score
from raysuite.storage import Location
from tests.scoring import zoo
from tests.scoring.archive import encoded, picture, rows_of, save_detector, write_pictures
from tests.scoring.test_tiled import even_detector

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with one detector, not to be written to."""
    root = tmp_path_factory.mktemp("run")
    save_detector(root, "weave")
    return root


@pytest.fixture
def request_(run: Path, tmp_path: Path) -> Request:
    """Forty images, two of them bad."""
    write_pictures(tmp_path / "in", 40)
    (tmp_path / "in" / "line-0" / "empty.png").write_bytes(b"")
    (tmp_path / "in" / "line-0" / "text.png").write_bytes(b"no image")
    (tmp_path / "in" / "line-0" / "notes.txt").write_text("no image")
    return Request((str(tmp_path / "in"),), (str(run / "weave"),), str(tmp_path / "out"), unit_size=16)


def stamps(out: Path) -> dict[str, int]:
    """When each part was written; what a dying worker had not finished has another name."""
    return {path.stem: path.stat().st_mtime_ns for path in (out / "parts").rglob("*.parquet")}


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.usefixtures("local_ray")
class TestOnOneRay:
    """What needs no process of its own."""

    def test_every_image_is_accounted_for_and_said(self, request_: Request, run: Path, tmp_path: Path) -> None:
        (source,), out = request_.inputs, request_.output
        words = ["score", source, "--model", run / "weave", "--output", out, "--unit-size", "16"]
        plan = call(*words, "--dry-run", "--json")
        assert plan.exit_code == 0
        assert json.loads(plan.stdout)["to_score"] == 42
        assert not (tmp_path / "out").exists()
        result = call(*words, "--overlays", "3", "--maps", "png8")
        assert result.exit_code == 3, result.output
        assert "42 images = 40 scored + 2 failed" in result.stdout
        assert "1 .txt" in result.stdout
        assert "Truncated: 1" in result.stderr
        assert len(list((tmp_path / "out" / "overlays").glob("*.jpg"))) == 3
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert (tmp_path / "out" / "summary.html").is_file()
        assert sum(images for _, images, _ in summary["pace"]["bins"]) == summary["rows"]
        assert summary["images"] == summary["rows"] == summary["scored"] + summary["failed"] == 42
        before = stamps(tmp_path / "out")
        again = call(*words, "--overlays", "3", "--maps", "png8", "--json")
        assert json.loads(again.stdout)["this_time"]["scored"] == 0
        assert stamps(tmp_path / "out") == before
        other = call(*words, "--maps", "png16")
        assert other.exit_code == 2
        assert "maps was 'png8' and is now 'png16'" in other.stderr

    def test_a_zoo_of_bad_files_ends_with_a_row_each(self, run: Path, tmp_path: Path) -> None:
        wanted = zoo.fill(tmp_path / "in")
        out = tmp_path / "out"
        result = call("score", tmp_path / "in", "--model", run / "weave", "--output", out, "--engine", "eager")
        assert result.exit_code == 3, result.output
        rows = rows_of(out, ["id", "uri", "error"])
        kinds = {row["id"]: str(row["error"] or zoo.OK).partition(":")[0] for row in rows}
        assert kinds == wanted
        assert len(rows) == len(wanted)

    def test_tiles_are_asked_for_and_said(self, tmp_path: Path) -> None:
        even_detector(tmp_path / "run")
        write_pictures(tmp_path / "in", 3)
        (tmp_path / "in" / "large.png").write_bytes(encoded(picture(1, side=150)))
        words = ["score", tmp_path / "in", "--model", tmp_path / "run" / "cloth", "--output", tmp_path / "out"]
        words += ["--engine", "eager"]
        assert "give that too" in call(*words, "--overlap", "0.5").stderr
        result = call(*words, "--tile", "--overlays", "4", "--json")
        assert result.exit_code == 0, result.output
        assert "1 images were scored in tiles by cloth" in result.stderr
        assert json.loads(result.stdout)["models"]["cloth"]["tiled"] == 1
        assert {row["tiles"] for row in rows_of(tmp_path / "out")} == {1, 36}
        assert call(*words).exit_code == 2

    def test_changes_of_the_archive_are_followed(self, request_: Request, tmp_path: Path) -> None:
        events: list[Event] = []
        first = score(request_, events.append)
        assert first["this_time"]["scored"] == 42
        assert [event.state for event in events][-1] == "done"
        changed = tmp_path / "in" / "line-1" / "00001.png"
        changed.write_bytes(encoded(picture(500, side=48)))
        again = score(request_)
        assert (again["images"], again["this_time"]["changed"], again["this_time"]["scored"]) == (42, 1, 1)
        shutil.rmtree(tmp_path / "in" / "line-0")
        write_pictures(tmp_path / "in" / "new", 3, first=900)
        second = score(request_)
        assert second["images"] == 23
        assert second["failed"] == 0
        rows = rows_of(tmp_path / "out", ["uri", "height"])
        assert len(rows) == len({row["uri"] for row in rows}) == 23
        assert {row["height"] for row in rows if row["uri"] == str(changed)} == {48}
        assert second["superseded"] == len(list((tmp_path / "out" / "superseded").iterdir())) > 0

    def test_what_was_gone_for_a_while_is_not_scored_again(self, request_: Request, tmp_path: Path) -> None:
        score(request_)
        rows = sorted(rows_of(tmp_path / "out", ["uri", "scored_at"]), key=str)
        (tmp_path / "in" / "line-0").rename(tmp_path / "away")
        assert score(request_)["images"] == 20
        (tmp_path / "away").rename(tmp_path / "in" / "line-0")
        planned = plan(request_)
        assert (planned["images"], planned["to_score"]) == (42, 0)
        back = score(request_)
        assert (back["images"], back["failed"], back["this_time"]["scored"]) == (42, 2, 0)
        assert sorted(rows_of(tmp_path / "out", ["uri", "scored_at"]), key=str) == rows
        assert not any((tmp_path / "out" / "superseded").iterdir())

    def test_a_summary_that_is_gone_is_made_again_from_the_parts(self, request_: Request, tmp_path: Path) -> None:
        first = score(request_)
        (tmp_path / "out" / "summary.json").unlink()
        again = score(request_)
        assert (again["this_time"]["scored"], again["scored"]) == (0, first["scored"])
        assert (tmp_path / "out" / "summary.json").is_file()

    def test_a_folder_in_which_nothing_was_scored_may_be_given_again(
        self, request_: Request, run: Path, tmp_path: Path
    ) -> None:
        table, out = tmp_path / "list.csv", tmp_path / "out"
        table.write_text("mypics\n" + "".join(f"{path}\n" for path in sorted(Path(request_.inputs[0]).glob("*/*.png"))))
        words = ["score", table, "--model", run / "weave", "--output", out, "--engine", "eager"]
        assert "name it with --image-column" in call(*words).stderr
        assert call(*words, "--image-column", "mypics", "--dry-run").exit_code == 0
        assert call(*words, "--image-column", "mypics").exit_code == 3
        assert len(rows_of(out)) == 42
        refused = call(*words)
        assert (refused.exit_code, "columns was" in refused.stderr) == (2, True)

    def test_a_second_scorer_is_refused(self, request_: Request) -> None:
        with owned(Location.of(request_.output)), pytest.raises(RunError, match=r"worked on by .*--output"):
            score(request_)
        assert score(request_)["images"] == 42

    def test_an_output_of_something_else_or_within_an_input_is_refused(self, request_: Request) -> None:
        taken = Path(request_.output)
        taken.mkdir()
        (taken / "precious.txt").write_text("mine")
        with pytest.raises(RunError, match="no scored archive"):
            score(request_)
        inner = Request(request_.inputs, request_.models, f"{request_.inputs[0]}/out")
        with pytest.raises(ConfigError, match="lies in the input"):
            score(inner)
        assert [path.name for path in taken.iterdir()] == ["precious.txt"]

    @pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="moto, the S3 server, is not installed")
    def test_archives_and_rows_may_lie_in_a_bucket(self, run: Path, tmp_path: Path, server: str) -> None:
        write_pictures(tmp_path / "in", 12)
        shutil.make_archive(str(tmp_path / "in" / "more"), "zip", tmp_path / "in")
        store = pafs.S3FileSystem(endpoint_override=server, scheme="http", allow_bucket_creation=True)
        store.create_dir("bucket")
        pafs.copy_files(str(tmp_path / "in"), "bucket/in", pafs.LocalFileSystem(), store, use_threads=False)
        pafs.copy_files(str(run / "weave"), "bucket/run/weave", pafs.LocalFileSystem(), store, use_threads=False)
        options = f"?endpoint_override={server}&scheme=http"
        asked = Request(
            (f"s3://bucket/in{options}",), (f"s3://bucket/run/weave{options}",), f"s3://bucket/out{options}"
        )
        summary = score(asked)
        assert (summary["images"], summary["scored"]) == (24, 24)
        table: Any = pads.dataset("bucket/out/parts", filesystem=store, format="parquet").to_table(["uri", "sha256"])
        assert len(set(table["uri"].to_pylist())) == 24
        assert len(set(table["sha256"].to_pylist())) == 12
        assert score(asked)["this_time"]["scored"] == 0

    @pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="moto, the S3 server, is not installed")
    def test_credentials_of_an_input_are_not_repeated_and_may_change(
        self, run: Path, tmp_path: Path, server: str
    ) -> None:
        write_pictures(tmp_path / "in", 8)
        store = pafs.S3FileSystem(endpoint_override=server, scheme="http", allow_bucket_creation=True)
        store.create_dir("bucket")
        pafs.copy_files(str(tmp_path / "in"), "bucket/in", pafs.LocalFileSystem(), store, use_threads=False)
        out = tmp_path / "out"

        def asked(user: str) -> Request:
            place = f"s3://{user}@bucket/in?endpoint_override={server}&scheme=http"
            return Request((place,), (str(run / "weave"),), str(out), overlays=2)

        assert score(asked("me:first-word"))["scored"] == 8
        assert len(list((out / "overlays").iterdir())) == 2
        assert {row["uri"].partition("@")[0] for row in rows_of(out)} == {"s3://***"}
        shown = [out / name for name in ("scan.json", "summary.json", "summary.html", "manifest.json")]
        assert not any("first-word" in file.read_text() for file in shown)
        assert score(asked("me:second-word"))["this_time"]["scored"] == 0

    @pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="moto, the S3 server, is not installed")
    def test_credentials_of_a_list_and_of_an_output_are_not_repeated(
        self, run: Path, tmp_path: Path, server: str
    ) -> None:
        names = [path.relative_to(tmp_path).as_posix() for path in write_pictures(tmp_path / "in", 4)]
        store = pafs.S3FileSystem(endpoint_override=server, scheme="http", allow_bucket_creation=True)
        store.create_dir("bucket")
        pafs.copy_files(str(tmp_path / "in"), "bucket/in", pafs.LocalFileSystem(), store, use_threads=False)
        options = f"?endpoint_override={server}&scheme=http"
        table = tmp_path / "list.csv"
        table.write_text("uri\n" + "".join(f"s3://me:secret-word@bucket/{name}{options}\n" for name in names))
        out = f"s3://me:secret-word@bucket/out{options}"
        asked = Request((str(table),), (str(run / "weave"),), out, overlays=2)
        assert score(asked)["scored"] == 4
        rows: Any = pads.dataset("bucket/out/parts", filesystem=store, format="parquet").to_table(["id", "uri"])
        written = [str(rows.to_pylist())]
        for name in ("scan.json", "summary.json", "summary.html", "manifest.json"):
            with store.open_input_stream(f"bucket/out/{name}") as file:
                written.append(file.read().decode())
        assert not any("secret-word" in text for text in written)
        assert len(store.get_file_info(pafs.FileSelector("bucket/out/overlays"))) == 2
        assert score(asked)["this_time"]["scored"] == 0


@pytest.fixture
def server(tmp_path: Path) -> Any:
    """Host and port of an empty S3 server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
