"""Can the processes of a cluster share a folder? A small file is written, read and deleted, by each of them.

`Probe.begin` is called once, by the driver; `Probe.look` on every node; `Probe.end` at last, by the driver again.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass

from raysuite.errors import StorageError
from raysuite.storage import Location

PREFIX = ".raysuite-check-"


@dataclass(frozen=True, slots=True)
class Probe:
    """A folder that is looked at.

    Attributes:
        uri: The folder, a path or a URI.
        mark: Name of the folder in it that holds the probe's files, and for its time alone.
    """

    uri: str
    mark: str

    @classmethod
    def begin(cls, uri: str) -> Probe:
        """Write the driver's own file.

        Raises:
            StorageError: The folder is not there, or may not be written to.
        """
        place = Location.of(uri)
        if place.is_local and not place.is_dir():
            raise StorageError(f"there is no folder {uri}; make it, or mount it, first")
        # As it stands there, so that a path that was given relative to this folder means the same one elsewhere.
        probe = cls(place.uri, f"{PREFIX}{uuid.uuid4().hex[:12]}")
        probe._file("driver").write_text(probe.mark)
        return probe

    def look(self, name: str) -> None:
        """Read the driver's file, then write one, read it back and delete it.

        Args:
            name: Of the file; no other process may have the same.

        Raises:
            StorageError: One of these cannot be done here, or this is not the driver's folder.
        """
        driver, own = self._file("driver"), self._file(name)
        # First, and nothing is written if it fails: a path that is not mounted here would be made on this node's disk.
        if driver.is_local and not driver.is_file():
            there = Location.of(self.uri).is_dir()
            raise StorageError(
                f"{self.uri} {'is another folder than' if there else 'is not there, but'} where the command was given; "
                "mount the same folder on every node under the same name, or take a URI such as s3://bucket/folder"
            )
        for file in (driver, own):
            if file is own:
                own.write_text(self.mark)
            if file.read_text() != self.mark:
                raise StorageError(f"{file} does not hold what was written into it")
        try:
            own.fs.delete_file(own.path)
        except OSError as error:
            raise StorageError(f"cannot delete {own}: {error}") from error

    def end(self) -> None:
        """Remove the probe's files. What cannot be removed is left."""
        with contextlib.suppress(StorageError, OSError):
            (Location.of(self.uri) / self.mark).delete_dir()

    def _file(self, name: str) -> Location:
        return Location.of(self.uri) / self.mark / name
