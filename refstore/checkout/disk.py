"""What the local disk refuses, said in refstore's errors; and the few file operations that all here share."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refstore.errors import CheckoutError, RefstoreError, StorageFull

PIECE = 1 << 20
"""Bytes read from a local file at a time."""

_FULL = {
    errno.ENOSPC: "no space is left there",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the file would be too large",
}
_REFUSED = {errno.EROFS: "it is mounted read-only", errno.EIO: "the disk reports an error"}
_DENIED = {errno.EACCES, errno.EPERM}


def storage_error(error: OSError, where: Path | str) -> RefstoreError:
    """The error to raise in the place of one that writing to `where` ended with."""
    code = error.errno or 0
    if code in _FULL:
        return StorageFull(f"Can't write to {where}: {_FULL[code]}. Make room; what is finished is kept.")
    if code in _REFUSED:
        return StorageFull(f"Can't write to {where}: {_REFUSED[code]}.")
    if code in _DENIED:
        return CheckoutError(f"Can't write to {where}: permission denied.")
    return CheckoutError(f"Can't write to {where}: {error.strerror or error}.")


@contextmanager
def writing(where: Path | str) -> Iterator[None]:
    """Turn what the system refuses while files are written to `where` into errors of refstore.

    Raises:
        StorageFull: No space, no quota, a read-only or failing disk.
        CheckoutError: Anything else that the system refuses.
    """
    try:
        yield
    except RefstoreError:
        raise
    except OSError as error:
        raise storage_error(error, where) from error


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data`: a single write may take only a part of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def pieces(fd: int) -> Iterator[bytes]:
    """What is in an open file from where it stands, piece by piece."""
    while piece := os.read(fd, PIECE):
        yield piece


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a loss of power. File systems that can't do that are left alone."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_descriptor(fd)
    finally:
        os.close(fd)


def sync_descriptor(fd: int) -> None:
    """Like `sync_folder`, for a folder that is open."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
