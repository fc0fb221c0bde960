"""Local files that only their digest pins, read in place: proven once, and watched from then on."""

from __future__ import annotations

import io
import os
import threading
import time
from collections import OrderedDict

from refstore.backends.local.paths import path_of, shown
from refstore.backends.local.reading import open_regular, translated
from refstore.backends.registry import Backends
from refstore.checkout.proof import Digests, Verdict, computable, proofs_of
from refstore.checkout.seekable_file import SeekableFile
from refstore.errors import ChecksumMismatch, SourceChanged
from refstore.manifest.entry import Checksum, Object
from refstore.mounts import is_network

TICK = 50_000_000
"""Nanoseconds within which a file may change twice with one time on it."""
REMEMBERED = 100_000
"""Of so many files a process knows that they are proven."""
_PIECE = 1 << 20

_Signature = tuple[int, int, int, int, int]
_proven: OrderedDict[tuple[str, Checksum], _Signature] = OrderedDict()
_lock = threading.Lock()

if hasattr(os, "register_at_fork"):

    def _renew() -> None:
        global _lock
        _lock = threading.Lock()

    os.register_at_fork(after_in_child=_renew)


def open_proven(obj: Object, backends: Backends) -> io.RawIOBase | None:
    """Open a local file that its checksum pins, after all of its bytes were compared with that.

    A process does so once for a file, and again when its inode, size, time of modification or time of change is another
    (no program can set the last one back). Each read looks at these again, under the same descriptor: what changes
    while it is open is not handed out.

    Returns:
        The file; None where that is no proof: on a network file system, whose times come late.

    Raises:
        SourceMissing, SourceDenied, SourceUnreadable, SourceUnavailable: As the operating system says.
        ChecksumMismatch: The bytes are not those that were recorded.
        SourceChanged: It has another size, or changes while it is read.
    """
    if obj.scheme != "file" or obj.checksum is None or not computable(obj.checksum.algorithm):
        return None
    path = path_of(obj.key)
    descriptor, found = open_regular(path, follow=backends.settings.symlinks == "follow")
    file = _ProvenFile(descriptor, path, found)
    try:
        if obj.size is not None and found.st_size != obj.size:
            raise SourceChanged(
                f"{shown(path)} was changed: recorded were {obj.size} bytes, and now it has {found.st_size}."
            )
        known = (path, obj.checksum)
        with _lock:
            proven = _proven.get(known) == file.signature
        if not proven:
            if is_network(path) or found.st_ctime_ns > time.time_ns():
                file.close()
                return None
            _prove(obj, file, path)
            with _lock:
                _proven[known] = file.signature
                while len(_proven) > REMEMBERED:
                    _proven.popitem(last=False)
    except BaseException:
        file.close()
        raise
    return file


def _prove(obj: Object, file: _ProvenFile, path: str) -> None:
    # A change in the tick of the last one would leave all times as they are.
    fresh = file.signature[-1] + TICK - time.time_ns()
    if fresh > 0:
        time.sleep(fresh / 1e9)
    digests = Digests(proofs_of(obj, ()))
    while piece := file.read(_PIECE):
        digests.update(piece)
    if digests.verdict() is not Verdict.PROVEN:
        raise ChecksumMismatch(f"The bytes of {shown(path)} are not those that were recorded: {digests.difference()}.")
    file.seek(0)


def _signature(found: os.stat_result) -> _Signature:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _ProvenFile(SeekableFile):
    """A descriptor whose every read is refused once the file is another than when it was opened."""

    def __init__(self, descriptor: int, path: str, found: os.stat_result) -> None:
        self._descriptor = descriptor
        self._path = path
        self.signature = _signature(found)
        self._size = found.st_size
        self._position = 0

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            count = os.preadv(self._descriptor, [view], self._position)
            same = _signature(os.fstat(self._descriptor)) == self.signature
        except OSError as error:
            raise translated(error, self._path) from error
        if not same:
            raise SourceChanged(f"{shown(self._path)} was changed while it was read.")
        self._position += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
