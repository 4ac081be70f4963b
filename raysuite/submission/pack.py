"""What `raysuite jobs fetch` runs on the cluster: prints files of a folder as one archive, in the job's log.

A job's log is the one thing of a cluster that can be read through its dashboard's address; it is made for text, so
there is a limit to what goes through it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import sys
import tarfile
import textwrap
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from raysuite.errors import JobError, RaysuiteError
from raysuite.storage import Location
from raysuite.submission.fetching import Fetched, wanted

MOST_BYTES = 32 * 2**20
BEGIN, END = "raysuite-archive-begins ", "raysuite-archive-ends"
_WIDTH = 4096


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the archive; 1 if the folder is not there or holds too much."""
    parser = argparse.ArgumentParser(prog="raysuite.submission.pack", allow_abbrev=False)
    parser.add_argument("--file", action="append", default=[], dest="patterns")
    parser.add_argument("--all", action="store_true", dest="everything")
    parser.add_argument("folder")
    options = parser.parse_args(arguments)
    try:
        print(packed(Location.of(options.folder), options.patterns, everything=options.everything), flush=True)
    except RaysuiteError as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def packed(folder: Location, patterns: Sequence[str], *, everything: bool) -> str:
    """Files of a folder as lines of text, which `unpack` reads.

    Raises:
        StorageError: The folder is not there.
        JobError: They are more than `MOST_BYTES`.
    """
    sink, size = io.BytesIO(), 0
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name in folder.walk():
            if not wanted(name, patterns, everything=everything):
                continue
            data = (folder / name).read_bytes()
            size += len(data)
            if size > MOST_BYTES:
                raise JobError(
                    f"what is wanted of {folder} is more than {MOST_BYTES // 2**20} MiB, too much for a job's log; "
                    "name files with --file 'report.html', or have results on storage that this machine sees too"
                )
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    whole = sink.getvalue()
    lines = textwrap.wrap(base64.b64encode(whole).decode(), _WIDTH)
    card = {"bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
    return "\n".join([BEGIN + json.dumps(card), *lines, END])


def unpack(log: str, to: Path) -> Fetched:
    """Write the files that a job's log holds below a folder.

    Raises:
        JobError: The log holds no whole archive, or one with names that lead out of the folder.
    """
    lines = log.splitlines()
    begin = next((index for index, line in enumerate(lines) if line.startswith(BEGIN)), None)
    if begin is None or END not in lines[begin:]:
        raise JobError("the job's log does not hold the files; they may have been cut off, so try again")
    card = json.loads(lines[begin].removeprefix(BEGIN))
    whole = base64.b64decode("".join(lines[begin + 1 : lines.index(END, begin)]))
    if hashlib.sha256(whole).hexdigest() != card["sha256"]:
        raise JobError("the files have been damaged on their way; try again")
    count = size = 0
    with tarfile.open(fileobj=io.BytesIO(whole), mode="r:gz") as archive:
        for entry in archive:
            inner, stream = PurePosixPath(entry.name), archive.extractfile(entry)
            if stream is None or inner.is_absolute() or ".." in inner.parts:
                raise JobError(f"the job's log holds {entry.name!r}, which is no file below a folder")
            data = stream.read()
            Location.of(to / inner).write_bytes(data)
            count, size = count + 1, size + len(data)
    return Fetched(count, size)


if __name__ == "__main__":
    sys.exit(main())
