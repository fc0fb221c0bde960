"""Reading regular files: what is found under one open descriptor, its digest, and its bytes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from refstore.backends.local.digests import BUFFER, FLAGS, Failed, digest
from refstore.backends.local.paths import key_of, shown
from refstore.backends.times import iso_from_ns
from refstore.errors import (
    InvalidURI,
    RefstoreError,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
)
from refstore.manifest.entry import Checksum, Object

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
)


def kind_of(mode: int) -> str | None:
    """What a file is if it isn't a regular one: `a FIFO`, `a folder` …; None for a regular file."""
    return None if stat.S_ISREG(mode) else next((name for test, name in _KINDS if test(mode)), "a special file")


def translated(error: OSError, path: str) -> RefstoreError:
    """The error of ours for what the operating system said about a path."""
    if isinstance(error, RefstoreError):
        return error
    name = shown(path)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return SourceMissing(f"There is no file or folder {name}.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return SourceDenied(f"No permission to read {name}: change its mode or owner, or run as a user who may.")
    if error.errno == errno.ELOOP:
        return SourceUnreadable(
            f"{name} can't be read: it is a symbolic link that is not to be followed, or that leads to itself."
        )
    if error.errno == errno.ENAMETOOLONG:
        return InvalidURI(f"The path {name[:80]}… is longer than the file system allows.")
    if error.errno in (errno.ENXIO, errno.EISDIR, errno.ENODEV):
        return SourceUnreadable(f"{name} is not a regular file.")
    return SourceUnavailable(f"{name} can't be read: {error.strerror or type(error).__name__}.")


def open_regular(path: str, *, follow: bool) -> tuple[int, os.stat_result]:
    """A descriptor on a regular file, and what it says of itself. The caller closes it.

    Nothing but a regular file is ever read: an open that finds a FIFO does not wait for its writer.

    Raises:
        SourceUnreadable: It is not a regular file, or a symbolic link where those are not followed.
        SourceMissing, SourceDenied, SourceUnavailable: As the operating system says.
    """
    try:
        descriptor = os.open(path, FLAGS | (0 if follow else os.O_NOFOLLOW))
    except OSError as error:
        raise translated(error, path) from error
    found = os.fstat(descriptor)
    if kind := kind_of(found.st_mode):
        os.close(descriptor)
        raise SourceUnreadable(f"{shown(path)} is {kind}, not a regular file.")
    return descriptor, found


def as_object(path: str, found: os.stat_result, checksum: Checksum | None = None) -> Object:
    """The object for a file's path and what `stat` says of it."""
    return Object(
        "file", "", "", key_of(path), size=found.st_size, checksum=checksum, mtime=iso_from_ns(found.st_mtime_ns)
    )


def hashed(path: str, algorithm: str, *, follow: bool) -> Object:
    """Read a file once and say what it is, its digest included, all under one descriptor.

    A file that changes while it is read is read again, once.

    Raises:
        SourceUnreadable: It changed each time, or is no regular file.
        SourceMissing, SourceDenied, SourceUnavailable: As the operating system says.
    """
    found = digest(path, algorithm, FLAGS | (0 if follow else os.O_NOFOLLOW))
    if len(found) == 2:
        raise refused(found, path)
    value, (_, _, size, mtime_ns, _), _ = found
    return Object(
        "file", "", "", key_of(path), size=size, checksum=Checksum(algorithm, value), mtime=iso_from_ns(mtime_ns)
    )


def refused(failed: Failed, path: str) -> RefstoreError:
    """The error of ours for a digest that could not be made."""
    why, number = failed
    if why == "errno":
        return translated(OSError(number, os.strerror(number)), path)
    if why == "mode":
        return SourceUnreadable(f"{shown(path)} is {kind_of(number)}, not a regular file.")
    return SourceUnreadable(f"{shown(path)} changes while it is read: add it when nothing writes to it any more.")


class FileChunks(Iterator[bytes]):
    """The bytes of an open file. Closes the descriptor at the end, or when it is closed itself.

    Args:
        descriptor: Belongs to this object from now on.
        path: For messages.
        found: What `fstat` said when the file was opened.
        start: The offset of the first byte.
        length: How many bytes at most; None for all that follow.
    """

    def __init__(self, descriptor: int, path: str, found: os.stat_result, start: int, length: int | None) -> None:
        self._descriptor: int | None = descriptor
        self._path = path
        self._found = found
        self._offset = start
        self._end = found.st_size if length is None else min(start + length, found.st_size)

    def __next__(self) -> bytes:
        if self._descriptor is None:
            raise StopIteration
        try:
            chunk = os.pread(self._descriptor, max(0, min(BUFFER, self._end - self._offset)), self._offset)
            # What was read counts only if the file is still as it was when its size was compared with the record.
            if not _same(self._found, os.fstat(self._descriptor)) or (not chunk and self._offset < self._end):
                self.close()
                raise SourceChanged(f"{shown(self._path)} was changed while it was read.")
        except OSError as error:
            self.close()
            raise translated(error, self._path) from error
        if not chunk:
            self.close()
            raise StopIteration
        self._offset += len(chunk)
        return chunk

    def close(self) -> None:
        """Give the descriptor back; more than once does no harm."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return before.st_size == after.st_size and before.st_mtime_ns == after.st_mtime_ns
