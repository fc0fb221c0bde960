"""Reading one file of any fsspec file system, from an offset, in pieces."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from refstore.backends.generic.fs import FileSystems
from refstore.errors import SourceUnavailable
from refstore.manifest.entry import Object

_PIECE = 1 << 20
_BLOCK = 4 << 20


def pieces(
    systems: FileSystems, obj: Object, uri: str, start: int, end: int | None, *, exact: bool, shared: bool
) -> Iterator[bytes]:
    """The bytes of a file. Nothing is opened before the first one is asked for.

    Args:
        systems: Where its file system comes from.
        obj: The file.
        uri: For messages.
        start: The offset of the first byte.
        end: The offset after the last byte; None for the end of the file.
        exact: The file is known to reach to `end`.
        shared: The file system's open files share their position, so that none is used.

    Raises:
        SourceUnavailable: The file ended before `end`, or could not be read on.
    """
    if start == 0 and obj.size is not None and 0 < obj.size <= _PIECE and (end is None or end >= obj.size):
        # Some look a file up again to open it; a small one is cheaper to have whole.
        data = systems.call(obj.bucket, uri, lambda fs: bytes(fs.cat_file(obj.key)))
        yield data if end is None else data[:end]
        offset = len(data)
    else:
        offset = yield from _by_handle(systems, obj, uri, start, end, shared=shared)
    if exact and end is not None and offset < end:
        raise SourceUnavailable(f"Reading {uri} ended after {offset} bytes of {end}: try again.")


def _by_handle(
    systems: FileSystems, obj: Object, uri: str, start: int, end: int | None, *, shared: bool
) -> Generator[bytes, None, int]:
    offset = start
    with _Handle(systems, obj, uri, shared=shared) as handle:
        while end is None or offset < end:
            piece = handle.read(offset, _PIECE if end is None else min(_PIECE, end - offset))
            if not piece:
                break
            offset += len(piece)
            yield piece
    return offset


class _Handle:
    """An open file of fsspec, read at offsets; it is opened when it is first read, and again after a failure."""

    def __init__(self, systems: FileSystems, obj: Object, uri: str, *, shared: bool) -> None:
        self._systems = systems
        self._obj = obj
        self._uri = uri
        self._shared = shared
        self._file: Any = None
        self._at = 0

    def read(self, offset: int, count: int) -> bytes:
        return self._systems.call(self._obj.bucket, self._uri, lambda fs: self._read(fs, offset, count))

    def _read(self, fs: Any, offset: int, count: int) -> bytes:
        if self._shared:
            return bytes(fs.cat_file(self._obj.key, start=offset, end=offset + count))
        try:
            if self._file is None:
                self._file = fs.open(self._obj.key, "rb", block_size=_BLOCK)
                self._at = 0
            if self._at != offset:
                self._file.seek(offset)
            data = bytes(self._file.read(count))
        except BaseException:
            # The next attempt opens it again, over a new connection.
            self.close()
            raise
        self._at = offset + len(data)
        return data

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except Exception:  # noqa: BLE001 - nothing was written, so nothing can be lost
                return

    def __enter__(self) -> _Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
