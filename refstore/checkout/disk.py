"""What the local disk refuses, said in refstore's errors; and the few file operations that all here share."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from refstore.errors import CheckoutError, RefstoreError, StorageFull

PIECE = 1 << 20
"""Bytes read from a local file at a time."""

_FEW = 8

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


def sync_files(folder: int, names: Sequence[str]) -> None:
    """Have the content of finished files reach the disk, before they get the names that people know.

    One `syncfs` does it for all files of a file system (https://man7.org/linux/man-pages/man2/syncfs.2.html; only from
    Linux 5.8 on it tells of errors), and is faster from a few files on.

    Args:
        folder: Where they are, open.
        names: What they are called there; what is gone or a symbolic link is passed over.
    """
    if len(names) > _FEW and _sync_file_system(folder):
        return
    for name in names:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                continue
            raise
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _sync_file_system(folder: int) -> bool:
    """`syncfs`; False where it failed, and where there is none that can be relied on."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < (5, 8):
        return False
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        return False
    # it also tells of files that are not ours: what is wrong with these, fsync says of each
    return bool(syncfs(folder) == 0)


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
