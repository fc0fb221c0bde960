"""The recorded bytes of one entry for fsspec: whole, in ranges, and as an open file."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from fsspec.spec import AbstractBufferedFile

from refstore.catalog.fork_gate import inside_sqlite
from refstore.checkout.disk import PIECE, write_all, writing
from refstore.checkout.pinned import PinnedReads
from refstore.checkout.proven import open_proven
from refstore.checkout.reader import BUFFER, in_ranges, known_as, open_cached, open_copy, open_ranges
from refstore.errors import SourceGone, SourceMissing
from refstore.manifest.entry import Entry

if TYPE_CHECKING:
    from refstore.filesystem import RefstoreFileSystem
    from refstore.store import Store


@contextlib.contextmanager
def _listed() -> Iterator[None]:
    """What is listed and gone is no missing file; see `SourceGone`."""
    try:
        yield
    except SourceMissing as error:
        raise SourceGone(str(error)) from error


class PinnedBytes:
    """Where the recorded bytes of one entry come from. Made in the thread that asked; read in any, by one at a time.

    Args:
        entry: What to read.
        store: Of the thread that asks.
        reads: Reads whole objects of that store.
    """

    def __init__(self, entry: Entry, store: Store, reads: PinnedReads) -> None:
        self.entry = entry
        self._cache = store.cache
        self._backends = store.backends
        self._reads = reads
        with inside_sqlite():
            self._known = known_as(entry.object, store.ledger)

    def _from_cache(self) -> BinaryIO | None:
        return open_cached(self.entry, self._cache, self._known)

    def whole(self) -> bytes:
        """All bytes, compared with their digest where there is one."""
        with _listed():
            if (cached := self._from_cache()) is not None:
                with cached:
                    return cached.read()
            return self._reads.read_bytes(self.entry.object)

    def copy(self, target: int, where: str, advance: Any) -> None:
        """Write all bytes to an open file, compared with their digest where there is one."""
        with _listed():
            if (cached := self._from_cache()) is None:
                self._reads.read(self.entry.object, target, where=where, advance=advance)
                return
            with cached:
                while piece := cached.read(PIECE):
                    with writing(where):
                        write_all(target, piece)
                    advance(len(piece))

    def open(self, ahead: int | None = None) -> BinaryIO:
        """A seekable file on the bytes.

        Args:
            ahead: As in `open_ranges`.
        """
        obj = self.entry.object
        with _listed():
            if (cached := self._from_cache()) is not None:
                return cached
            if in_ranges(obj):
                return open_ranges(obj, self._backends, ahead)
            proven = open_proven(obj, self._backends)
            if proven is not None:
                return cast(BinaryIO, proven if ahead == 0 else io.BufferedReader(proven, BUFFER))
            return open_copy(obj, self._backends, self._cache)

    def ranges(self, wanted: list[tuple[int | None, int | None]]) -> list[bytes]:
        """Several parts, each as Python slices: below zero counts from the end. One request for each at most."""
        with self.open(ahead=0) as file:
            size = self.entry.object.size
            if size is None:
                size = file.seek(0, io.SEEK_END)
            return [read_at(file, *slice(start, end).indices(size)[:2]) for start, end in wanted]


def read_at(file: BinaryIO, start: int, end: int) -> bytes:
    """The bytes from one offset to another; fewer at the end of the file."""
    with _listed():
        if file.tell() != start:
            file.seek(start)
        left = max(0, end - start)
        out = file.read(left)
        if len(out) == left or not out:
            return out
        # an unbuffered file gives what it has
        parts = [out]
        left -= len(out)
        while left and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


class PinnedFile(AbstractBufferedFile):  # type: ignore[misc]
    """An open file of a version. All is read ahead of what is asked for, in steps that grow while reading goes on.

    With one of fsspec's own caches (`cache_type="bytes"`, `"blockcache"`, `"parts"` …) that one decides what is read.

    Args:
        fs: The file system.
        path: As it was asked for.
        name: A path that means this file for good, for pickles.
        source: Its bytes.
        block_size: How far to read ahead at first, in bytes.
        cache_type: A cache of fsspec.
        cache_options: For that.
        info: What the file system says of it.
    """

    def __init__(
        self,
        fs: RefstoreFileSystem,
        path: str,
        name: str,
        source: PinnedBytes,
        *,
        block_size: int | None,
        cache_type: str | None,
        cache_options: dict[str, Any] | None,
        info: dict[str, Any],
    ) -> None:
        self._name, self._asked = name, {"block_size": block_size, "cache_type": cache_type}
        self._bytes_lock = threading.Lock()
        self._file = source.open((block_size or None) if cache_type is None else 0)
        size = info["size"] if info["size"] is not None else self._file.seek(0, io.SEEK_END)
        super().__init__(
            fs, path, "rb", block_size or "default", cache_type=cache_type or "none",
            cache_options=cache_options, size=size,
        )  # fmt: skip
        self._details = info

    def _fetch_range(self, start: int, end: int) -> bytes:
        # some of fsspec's caches fetch in threads of their own
        with self._bytes_lock:
            return read_at(self._file, start, min(end, self.size))

    def readline(self, size: int = -1) -> bytes:
        """The next line; of `size` bytes at most, if that is not below zero."""
        if self._asked["cache_type"] is not None or self.closed:
            return cast(bytes, super().readline())
        with self._bytes_lock, _listed():
            self._file.seek(self.loc)
            line = self._file.readline(size)
        self.loc += len(line)
        return line

    def close(self) -> None:
        """Let go of the source."""
        super().close()
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.fs, self._name, self.loc, self._asked)


def _reopen(fs: RefstoreFileSystem, path: str, at: int, asked: dict[str, Any]) -> PinnedFile:
    file: PinnedFile = fs.open(path, "rb", **asked)
    file.seek(at)
    return file
