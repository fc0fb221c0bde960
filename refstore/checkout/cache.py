"""Content by checksum: what `refstore put` stores, and what checkouts share.

::

    cache/md5/9e/107d9d372bb6826bd81d3542a419d6    read-only, under its digest
    cache/tmp/                                      what is being written
    cache/damaged/                                  what turned out to be something else than its name says

A file gets its name by a rename, when all its bytes are on the disk. Its time of modification is then set to one fixed
moment, so that a later edit (through a hard link, say) shows without a record of its own: content whose time is another
is read in full again before it is served. Several processes may share a cache.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import BinaryIO, Protocol

from refstore.checkout.cache_folder import CacheFolder
from refstore.checkout.disk import PIECE, pieces, sync_folder, write_all, writing
from refstore.checkout.links import clone
from refstore.checkout.proof import Hash, computable, new_hash
from refstore.errors import ChecksumMismatch, SourceChanged, SourceDenied, SourceMissing, SourceUnreadable, UsageError
from refstore.manifest.entry import Checksum

SEALED_NS = 946_684_800 * 10**9
"""The time of modification of all cached content: 2000-01-01T00:00:00Z, in nanoseconds."""
_TRIES = 3


class Elsewhere(Protocol):
    """Where content may be had that a cache lacks."""

    def bring(self, cache: Cache, checksum: Checksum, what: str) -> int:
        """Have content come into the cache; its size in bytes. Raises SourceMissing with what to do."""

    def who_has(self, checksum: Checksum) -> str | None:
        """The name of a place that has it; None where none does."""

    def told(self) -> list[str]:
        """A sentence for each place that content came from since the last call."""


class Cache(CacheFolder):
    """Content by checksum in a folder. Safe to use from several threads and processes.

    Args:
        root: The folder; made when something is first put into it.
        elsewhere: Where to look for stored content that is not here.
    """

    def __init__(self, root: Path, elsewhere: Elsewhere | None = None) -> None:
        super().__init__(root)
        self.elsewhere = elsewhere

    def bring(self, checksum: Checksum | None, what: str) -> int:
        """Have stored content come here from elsewhere, verified; its size in bytes.

        Args:
            checksum: What it is known by.
            what: What a person calls it, for messages.

        Raises:
            SourceMissing: It is nowhere to be had; the message says what to do.
            RefstoreError: The places that may have it can't be asked.
        """
        if checksum is None:
            raise SourceMissing("The record of stored content holds no checksum.")
        if self.elsewhere is None:
            raise SourceMissing(
                f"{what} is not in the cache {self.root}: copy it there from the store that has it, or put the file "
                "again."
            )
        return self.elsewhere.bring(self, checksum, what)

    def has(self, checksum: Checksum, size: int | None = None) -> bool:
        """Whether the content is here, unedited. Content that was touched since is read in full to find out.

        Args:
            checksum: What it is known by.
            size: In bytes, if the caller knows it too.
        """
        try:
            found = os.lstat(self._name(checksum))
        except OSError:
            return False
        if not stat.S_ISREG(found.st_mode):
            return False
        if found.st_mtime_ns != SEALED_NS and not self.verify(checksum):
            return False
        return size is None or found.st_size == size

    def open(self, checksum: Checksum) -> BinaryIO:
        """Cached content, for reading.

        Raises:
            SourceMissing: It is not here, or was damaged.
        """
        if not self.has(checksum):
            raise SourceMissing(f"The content {checksum} is not in the cache {self.root}.")
        path = self.path(checksum)
        with contextlib.suppress(OSError):
            os.utime(path, ns=(time.time_ns(), SEALED_NS))
        return path.open("rb")

    def make(self) -> Path:
        """Make the folders that writing needs.

        Returns:
            The folder for temporary files, on the cache's file system.
        """
        temporary = self.root / "tmp"
        with writing(self.root):
            temporary.mkdir(parents=True, exist_ok=True)
        return temporary

    def add_file(self, path: Path, algorithm: str = "md5") -> tuple[Checksum, int]:
        """Put a copy of a file into the cache, reading it once.

        Where the file system can clone files the copy takes no space, and no change to the file while it is read can
        matter.

        Args:
            path: A regular file, or a link to one.
            algorithm: What to know it by: `md5` or `sha256`.

        Returns:
            Its checksum, and its size in bytes.

        Raises:
            SourceMissing: There is no such file.
            SourceDenied: It may not be read.
            SourceUnreadable: It is not a regular file.
            SourceChanged: It kept changing while it was read.
            StorageFull: There is no space for the copy.
        """
        if not computable(algorithm):
            raise UsageError(f"{algorithm!r} is not a hash for stored content: use md5 or sha256.")
        try:
            source = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise SourceMissing(f"{path} does not exist.") from None
        except PermissionError:
            raise SourceDenied(f"{path} may not be read: permission denied.") from None
        except OSError as error:
            raise SourceUnreadable(f"{path} can't be read: {error.strerror}.") from error
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode):
                raise SourceUnreadable(f"{path} is not a regular file.")
            temporary, target = self._temporary()
            try:
                checksum, size = self._copy(path, source, target, algorithm)
                self._seal(target, temporary, checksum)
            finally:
                os.close(target)
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()
        finally:
            os.close(source)
        return checksum, size

    def _copy(self, path: Path, source: int, target: int, algorithm: str) -> tuple[Checksum, int]:
        for _ in range(_TRIES):
            os.lseek(source, 0, os.SEEK_SET)
            with writing(self.root):
                os.ftruncate(target, 0)
                os.lseek(target, 0, os.SEEK_SET)
            if clone(source, target):
                digest, size = _hash(target, new_hash(algorithm))
                return Checksum(algorithm, digest), size
            before = os.fstat(source)
            running, size = new_hash(algorithm), 0
            while True:
                try:
                    piece = os.read(source, PIECE)
                except OSError as error:
                    raise SourceUnreadable(f"{path} can't be read: {error.strerror}.") from error
                if not piece:
                    break
                running.update(piece)
                size += len(piece)
                with writing(self.root):
                    write_all(target, piece)
            after = os.fstat(source)
            if size == after.st_size and _unchanged(before, after):
                return Checksum(algorithm, running.digest().hex()), size
        raise SourceChanged(f"{path} changes while it is read. Store it when nothing writes to it any more.")

    def adopt(self, temporary: Path, checksum: Checksum) -> Path:
        """Make a file part of the cache. Its bytes must have been verified by the caller.

        Args:
            temporary: A file on the cache's file system (see `make`) that nothing else uses; it is gone afterwards.
            checksum: What it is known by.

        Returns:
            Its path in the cache.
        """
        with writing(self.root):
            fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                return self._seal(fd, temporary, checksum)
            finally:
                os.close(fd)
                with contextlib.suppress(FileNotFoundError):
                    temporary.unlink()

    def add_clone(self, fd: int, checksum: Checksum) -> bool:
        """Keep a clone of an open file whose bytes have that checksum; False where the file system can't."""
        if self.has(checksum):
            return True
        temporary, target = self._temporary()
        try:
            if not clone(fd, target):
                return False
            self._seal(target, temporary, checksum)
        finally:
            os.close(target)
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        return True

    def _temporary(self) -> tuple[Path, int]:
        with writing(self.root):
            fd, name = tempfile.mkstemp(dir=self.make())
        return Path(name), fd

    def _seal(self, fd: int, temporary: Path, checksum: Checksum) -> Path:
        path = self.path(checksum)
        if self.has(checksum):
            return path
        with writing(self.root):
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                sync_folder(path.parent.parent)
                sync_folder(self.root)
            os.fchmod(fd, 0o444)
            os.utime(fd, ns=(time.time_ns(), SEALED_NS))
            os.fsync(fd)
            try:
                # unlike a rename it never replaces: other names of the content that is there stay names of one file
                os.link(temporary, path)
            except FileExistsError:
                return path
            except OSError:
                temporary.replace(path)
            sync_folder(path.parent)
        return path

    def verify(self, checksum: Checksum) -> bool:
        """Read content in full and compare it with its name. What is damaged is moved to `damaged/`.

        Returns:
            Whether it is here and whole.
        """
        path = self.path(checksum)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            if computable(checksum.algorithm):
                before = os.fstat(fd)
                digest, _ = _hash(fd, new_hash(checksum.algorithm))
                if digest == checksum.value and _unchanged(before, os.fstat(fd)):
                    with contextlib.suppress(OSError):
                        os.fchmod(fd, 0o444)
                        os.utime(fd, ns=(time.time_ns(), SEALED_NS))
                    return True
        except OSError:
            return False
        finally:
            os.close(fd)
        with writing(self.root):
            damaged = self.root / "damaged"
            damaged.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                path.rename(damaged / f"{checksum.algorithm}-{checksum.value}-{time.time_ns()}")
        return False

    def is_whole(self, checksum: Checksum) -> bool | None:
        """Whether content is what its name says, read in full. Changes nothing; None where that can't be computed here.

        Raises:
            SourceUnreadable: It can't be read.
        """
        if not computable(checksum.algorithm):
            return None
        path = self.path(checksum)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                return _hash(fd, new_hash(checksum.algorithm))[0] == checksum.value
            finally:
                os.close(fd)
        except OSError as error:
            raise SourceUnreadable(f"The cached content {checksum} can't be read: {error.strerror}.") from error

    def check(self, checksum: Checksum) -> None:
        """Like `verify`, for callers that want an error.

        Raises:
            SourceMissing: The content is not here.
            ChecksumMismatch: It is damaged; it was moved to `damaged/`.
        """
        if not self.path(checksum).is_file():
            raise SourceMissing(f"The content {checksum} is not in the cache {self.root}.")
        if not self.verify(checksum):
            raise ChecksumMismatch(
                f"The cached content {checksum} was changed after it was stored. It is now in {self.root / 'damaged'}."
            )


def _hash(fd: int, running: Hash) -> tuple[str, int]:
    os.lseek(fd, 0, os.SEEK_SET)
    size = 0
    for piece in pieces(fd):
        running.update(piece)
        size += len(piece)
    return running.digest().hex(), size


def _unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
