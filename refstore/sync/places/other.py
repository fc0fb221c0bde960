"""A folder behind any other protocol of fsspec that can write and rename: sftp, ftp, smb, webdav, memory and so on."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from refstore.backends import Backend, Location
from refstore.backends.generic.fs import FileSystems
from refstore.errors import SourceDenied, SourceMissing, SourceUnavailable, SourceUnreadable
from refstore.sync.places.place import PART, Place

_TEMPORARY = ".unfinished-"
_PIECE = 4 << 20
_ATTEMPTS = 3


class OtherPlace(Place):
    """Files appear by a rename, which most protocols do in one step."""

    def __init__(self, location: Location, backend: Backend) -> None:
        self.url = backend.uri(location).rstrip("/")
        self._host = location.bucket
        self._root = location.key.rstrip("/")
        self._systems = FileSystems(location.scheme)
        self._made: set[str] = set()

    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        """See `Place.get`."""
        first = self._call(partial(_first, path=self._path(key), start=start), missing=None)
        return None if first is None else self._rest(key, start, first)

    def _rest(self, key: str, start: int, piece: bytes) -> Iterator[bytes]:
        while piece:
            yield piece
            start += len(piece)
            if len(piece) < _PIECE:
                return
            piece = self._call(partial(_first, path=self._path(key), start=start), missing=b"")

    def put(self, key: str, data: bytes, *, only_new: bool = False) -> bool:
        """See `Place.put`. Two who write at once both write, and the later one's stays."""
        if only_new and self.has(key):
            return False
        self._write(key, len(data), lambda: iter((data,)))
        return True

    def put_parts(self, key: str, size: int, parts: Callable[[], Iterator[bytes]]) -> None:
        """See `Place.put_parts`."""
        self._write(key, size, parts)

    def _write(self, key: str, size: int, parts: Callable[[], Iterator[bytes]]) -> None:
        target = self._path(key)
        folder = target.rpartition("/")[0]
        temporary = f"{folder}/{_TEMPORARY}{secrets.token_hex(8)}"

        def write(fs: Any) -> None:
            if folder not in self._made:
                _make(fs, folder)
                self._made.add(folder)
            try:
                with fs.open(temporary, "wb", block_size=PART) as file:
                    for part in parts():
                        file.write(part)
                if fs.info(temporary)["size"] != size:
                    raise SourceUnavailable(f"{self.url} did not take all of what was written to it: try again.")
                try:
                    fs.mv(temporary, target)
                except Exception:
                    # Not every server renames onto a file that is there; one of that name has the same content.
                    if fs.info(target)["size"] != size:
                        raise
                    fs.rm_file(temporary)
            except BaseException:
                _discard(fs, temporary)
                raise

        self._call(write)

    def has(self, key: str) -> bool:
        """See `Place.has`."""
        return bool(self._call(lambda fs: fs.info(self._path(key))["type"] == "file", missing=False))

    def names(self, folder: str) -> Iterator[str]:
        """See `Place.names`."""
        rows = self._call(lambda fs: fs.ls(self._path(folder), detail=False), missing=[])
        for row in rows:
            name = str(row).rstrip("/").rpartition("/")[2]
            if not name.startswith(_TEMPORARY):
                yield name

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _call(self, action: Callable[[Any], Any], **missing: Any) -> Any:
        """Do something, over a new connection once more if the first one broke.

        Args:
            action: Gets the file system.
            **missing: With `missing`, what to answer where the file is not there.
        """
        try:
            return self._systems.call(self._host, self.url, action)
        except SourceMissing:
            if "missing" in missing:
                return missing["missing"]
            raise
        except SourceDenied as error:
            raise SourceDenied(f"No permission for the remote {self.url}: ask its owner for it.") from error
        except SourceUnreadable as error:
            raise SourceUnreadable(f"The remote {self.url} can't be written to by this protocol.") from error


def _first(fs: Any, path: str, start: int) -> bytes:
    return bytes(fs.cat_file(path, start=start, end=start + _PIECE))


def _make(fs: Any, folder: str) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            fs.makedirs(folder, exist_ok=True)
        except Exception:  # somebody may have made it, or one above it, a moment ago
            if fs.isdir(folder):
                return
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def _discard(fs: Any, path: str) -> None:
    try:
        fs.rm_file(path)
    except Exception:  # noqa: BLE001 - what the caller has to know is why it came to this
        return
