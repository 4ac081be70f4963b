"""Does `raysuite score` stay small while the archive grows, and what do a rerun and other kinds of inputs cost?

    python -m benchmarks.archives growth --out /tmp/growth
    python -m benchmarks.archives kinds RUN --data ../shared/data/mvtec_ad --out /tmp/kinds

``growth``: archives of more and more small images (links to a few files, which are read each time), scored by the
command in a process of its own; the most memory that its driver and that any one of its workers held, and the time of
the same command again. ``kinds``: the images of every category of a run, scored as a folder, a tar and a zip archive, a
Parquet file and objects of a local S3 server (moto), each by the same command; rates beside the folder's.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from moto.server import ThreadedMotoServer
from pyarrow.fs import S3FileSystem

from benchmarks.scoring import make_detector
from raysuite.datasets.procedural import write_benchmark
from raysuite.settings import preset, with_words

COMMAND = [sys.executable, "-m", "raysuite.cli.main", "score"]
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


class Held:
    """The most resident memory of a process and of its largest descendant, in MB, sampled while it runs."""

    def __init__(self, pid: int) -> None:
        self.driver = self.worker = 0.0
        self._pid, self._stop = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Sample no more."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            parents = {}
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit():
                    try:
                        parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    except OSError:
                        continue
            self.driver = max(self.driver, resident(self._pid))
            for pid in parents:
                above = pid
                while above in parents and above != self._pid:
                    above = parents[above]
                if above == self._pid and pid != self._pid and is_worker(pid):
                    self.worker = max(self.worker, resident(pid))


def resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
    except OSError:
        return 0.0


def is_worker(pid: int) -> bool:
    try:
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return name.startswith(b"ray::") and b"Agent" not in name


def scored(words: Sequence[object], environment: dict[str, str] | None = None) -> tuple[dict[str, object], float, Held]:
    """What the command printed as JSON, how long it took in all, and what it held."""
    start = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 -- words of this file
        [*COMMAND, *map(str, words), "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    held = Held(process.pid)
    out, _ = process.communicate()
    held.end()
    assert process.returncode in {0, 3}, process.returncode
    return json.loads(out), time.perf_counter() - start, held


def grow(out: Path, counts: Sequence[int], side: int) -> None:
    """Archives of so many images each."""
    config = with_words(preset("tiny"), [f"data.image_size={side}", "model.dilations=[1,2]"])
    write_benchmark(out / "data", seed=0, image_size=side, train=50, good=1, defect_per_kind=1, categories=("weave",))
    make_detector(config, side, out / "run")
    files = sorted((out / "data" / "weave" / "train" / "good").iterdir())
    print(f"images of {side} × {side} pixels, {os.cpu_count()} cores")
    print("| images | driver, MB | largest worker, MB | images/s | again, s |\n| --: | --: | --: | --: | --: |")
    for count in counts:
        source = out / f"in-{count}"
        for number in range(count):
            folder = source / f"{number // 1000:04d}"
            folder.mkdir(parents=True, exist_ok=True)
            if not (file := folder / f"{number % 1000:03d}.png").exists():
                os.link(files[number % len(files)], file)
        words = [source, "--model", out / "run" / "weave", "--output", out / f"out-{count}", "--engine", "eager"]
        done, _, held = scored(words)
        again, seconds, _ = scored(words)
        assert done["images"] == count
        assert again["this_time"]["scored"] == 0  # type: ignore[index]
        speed = count / done["this_time"]["seconds"]  # type: ignore[index]
        print(f"| {count} | {held.driver:.0f} | {held.worker:.0f} | {speed:.0f} | {seconds:.1f} |", flush=True)


def of_all_kinds(out: Path, run: Path, data: Path) -> None:
    """The run's categories below ``data``, as archives of every kind."""
    environment = {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    print("| category | kind | images | failed | images/s | to the folder |\n| :-- | :-- | --: | --: | --: | --: |")
    for category in sorted(folder.name for folder in data.iterdir() if (run / folder.name).is_dir()):
        folders = [data / category / split for split in ("train", "test")]
        files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in IMAGES)
        place = out / category
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        with tarfile.open(place / "all.tar", "w") as tar, zipfile.ZipFile(place / "all.zip", "w") as zipped:
            for path in files:
                tar.add(path, path.relative_to(data).as_posix())
                zipped.write(path, path.relative_to(data).as_posix())
        rows = [{"id": path.relative_to(data).as_posix(), "image": path.read_bytes()} for path in files]
        pq.write_table(pa.Table.from_pylist(rows), place / "all.parquet", row_group_size=64)
        with bucket(category, environment, files, data) as uri:
            first = 0.0
            sources = {kind: [place / f"all.{kind}"] for kind in ("tar", "zip", "parquet")}
            for kind, source in {"folder": folders, **sources, "S3": [uri]}.items():
                words = [*source, "--model", run / category, "--output", place / f"out-{kind}", "--engine", "eager"]
                done, _, _ = scored([*words, "--unit-size", "32"], environment)
                speed = done["this_time"]["scored"] / done["this_time"]["seconds"]  # type: ignore[index]
                first = first or speed
                count, failed = done["images"], done["failed"]
                print(f"| {category} | {kind} | {count} | {failed} | {speed:.1f} | {speed / first:.2f} |", flush=True)


@contextmanager
def bucket(name: str, environment: dict[str, str], files: Sequence[Path], data: Path) -> Iterator[str]:
    """The URI of a bucket on a local server that holds the files."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        os.environ.update(environment)
        address = f"127.0.0.1:{server.get_host_and_port()[1]}"
        s3 = S3FileSystem(endpoint_override=address, scheme="http", allow_bucket_creation=True)
        s3.create_dir(f"archive-{name}")
        for path in files:
            with s3.open_output_stream(f"archive-{name}/{path.relative_to(data).as_posix()}") as sink:
                sink.write(path.read_bytes())
        yield f"s3://archive-{name}?scheme=http&endpoint_override={address}"
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("growth", "kinds"))
    parser.add_argument("run", nargs="?", type=Path, help="with kinds: a run of these categories")
    parser.add_argument("--data", type=Path, help="with kinds: their data set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--side", type=int, default=64)
    options = parser.parse_args()
    if options.what == "growth":
        grow(options.out, options.counts, options.side)
    elif options.run is None or options.data is None:
        parser.error("kinds needs a run and --data")
    else:
        of_all_kinds(options.out, options.run, options.data)


if __name__ == "__main__":
    main()
