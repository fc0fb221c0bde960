"""One file of a checkout, up to the moment where only its name is missing: from the cache, or from its source."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from refstore.checkout.cache import Cache
from refstore.checkout.destination import Destination
from refstore.checkout.disk import pieces, write_all, writing
from refstore.checkout.links import Link, can_clone, clone
from refstore.checkout.parts import Stopped
from refstore.checkout.pinned import Content, PinnedReads
from refstore.checkout.proof import STRONG, new_hash
from refstore.checkout.staged import Work
from refstore.checkout.written import RACY_NS
from refstore.errors import RefstoreError, SourceMissing, SourceUnavailable
from refstore.manifest.entry import STORED, Checksum, Object, Pin

WORTH_RESUMING = 8 << 20
"""Partial files of objects above this size are kept for the next checkout, in bytes."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


class Arrived:
    """Counts the bytes that arrived since somebody asked. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._size = 0

    def add(self, size: int) -> None:
        """So many more bytes; a negative number where bytes have to be read again."""
        with self._lock:
            self._size += size

    def take(self) -> int:
        """The bytes since the last call."""
        with self._lock:
            size, self._size = self._size, 0
        return size


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is complete, under a temporary name. Its content may still have to reach the disk.

    Attributes:
        work: What it is for.
        temporary: Its name in `Destination.temporary`.
        md5: Of its bytes.
        size: In bytes.
        link: "", `hardlink` or `symlink`.
        transferred: Bytes that were read from the source; None if it came from the cache.
        verified: Whether a digest, a version or an ETag vouches for it.
    """

    work: Work
    temporary: str
    md5: str
    size: int
    link: str
    transferred: int | None
    verified: bool


class Fetcher:
    """Makes the files of one checkout. Safe to use from several threads.

    Args:
        dest: Where they go.
        cache: What is there already, and gets content where `link` says so.
        reads: Reads sources.
        link: How files are made from the cache.
        advance: Told how many bytes arrived.
    """

    def __init__(
        self, dest: Destination, cache: Cache, reads: PinnedReads, link: Link, advance: Callable[[int], None]
    ) -> None:
        self._dest, self._cache, self._reads, self._link, self._advance = dest, cache, reads, link, advance
        self._keeps_clones = link is Link.AUTO and cache.root.is_dir() and can_clone(cache.make(), dest.temporary_path)
        self._salt = os.fsencode(os.path.realpath(dest.path))
        self._where = str(dest.path)

    def fetch(self, work: Work) -> Fetched:
        """Make one file.

        Raises:
            RefstoreError: As `PinnedReads.read`; or the disk refuses.
            Stopped: The whole checkout is given up.
        """
        temporary = hashlib.sha256(self._salt + b"\0" + work.object + work.local.encode("utf-8", "surrogateescape"))
        name = temporary.hexdigest()[:40]
        cached = find_cached(work, self._cache)
        if cached is not None:
            made = self._from_cache(work, name, cached)
            if made is not None:
                self._advance(made.size)
                return made
        obj = work.entry.object
        if obj.scheme == STORED:
            size = self._cache.bring(obj.checksum, f"The stored content of {work.entry.path} ({obj.checksum})")
            made = self._from_cache(work, name, obj.checksum) if obj.checksum is not None else None
            if made is None:
                raise SourceUnavailable(f"The content {obj.checksum} vanished from the cache: try again.")
            self._advance(made.size)
            return replace(made, transferred=size)
        if self._link.through_cache:
            return self._by_way_of_cache(work, name)
        with writing(self._dest.path):
            fd, empty = _open_partial(name, self._dest.temporary)
        try:
            content = self._read(work.entry.object, fd, empty, lambda: os.unlink(name, dir_fd=self._dest.temporary))
            with writing(self._dest.path):
                _set_time(fd, work.entry.object)
            if self._keeps_clones and self._is_pinned(work.entry.object, content):
                # the cache is a convenience: a checkout does not fail for it
                with contextlib.suppress(RefstoreError, OSError):
                    self._cache.add_clone(fd, content.checksum)
        finally:
            os.close(fd)
        verified = self._is_pinned(work.entry.object, content)
        return Fetched(work, name, content.md5, content.size, "", content.transferred, verified)

    @staticmethod
    def _is_pinned(obj: Object, content: Content) -> bool:
        return content.proven or obj.pin in (Pin.VERSION, Pin.ETAG) or (obj.etag or "W/")[:2] != "W/"

    def _read(self, obj: Object, fd: int, empty: bool, discard: Callable[[], None]) -> Content:
        try:
            return self._reads.read(obj, fd, empty=empty, where=self._where, advance=self._advance)
        except BaseException as error:
            keep = isinstance(error, (Stopped, SourceUnavailable)) and os.fstat(fd).st_size > WORTH_RESUMING
            if not keep:
                with contextlib.suppress(OSError):
                    discard()
            raise

    def _by_way_of_cache(self, work: Work, name: str) -> Fetched:
        obj = work.entry.object
        folder = self._cache.make()
        partial = folder / name
        with writing(folder):
            folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fd, empty = _open_partial(name, folder_fd)
            finally:
                os.close(folder_fd)
        try:
            content = self._read(obj, fd, empty, partial.unlink)
        finally:
            os.close(fd)
        self._cache.adopt(partial, content.checksum)
        verified = self._is_pinned(obj, content)
        made = self._from_cache(work, name, content.checksum, content.md5)
        if made is None:
            raise SourceUnavailable(f"{self._cache.path(content.checksum)} vanished from the cache: try again.")
        return Fetched(work, name, content.md5, content.size, made.link, content.transferred, verified)

    def _from_cache(self, work: Work, name: str, checksum: Checksum, md5: str | None = None) -> Fetched | None:
        """A file from the cache; None if what is there turns out to be damaged."""
        if checksum.algorithm == "md5":
            md5 = checksum.value
        try:
            source = self._cache.open(checksum)
        except SourceMissing:
            return None
        folder = self._dest.temporary
        with source, writing(self._dest.path):
            size = os.fstat(source.fileno()).st_size
            if self._link in (Link.HARDLINK, Link.SYMLINK):
                md5 = md5 or _md5(source.fileno())
                if self._make_link(name, self._cache.path(checksum)):
                    return Fetched(work, name, md5, size, self._link.value, None, True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
            try:
                if self._link is not Link.COPY and clone(source.fileno(), fd):
                    md5 = md5 or _md5(source.fileno())
                else:
                    # read in full anyway, so look at it: an edit that restored the time would show here
                    md5, whole = _copy(source.fileno(), fd, checksum)
                    if not whole:
                        os.unlink(name, dir_fd=folder)
                        self._cache.verify(checksum)
                        return None
                _set_time(fd, work.entry.object)
            finally:
                os.close(fd)
        return Fetched(work, name, md5, size, "", None, True)

    def _make_link(self, name: str, path: Path) -> bool:
        folder = self._dest.temporary
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        if self._link is Link.SYMLINK:
            os.symlink(path.absolute(), name, dir_fd=folder)
            return True
        try:
            os.link(path, name, dst_dir_fd=folder, follow_symlinks=False)
        except OSError:
            # a file can only have so many names: this one becomes a copy
            return False
        return True


def find_cached(work: Work, cache: Cache) -> Checksum | None:
    """Under which checksum the cache has the content of a file; None if it doesn't."""
    obj = work.entry.object
    known: list[Checksum] = []
    if obj.checksum is not None and obj.checksum.algorithm in STRONG:
        known.append(obj.checksum)
    if work.md5 is not None and (obj.checksum is None or obj.checksum.algorithm != "md5"):
        known.append(Checksum("md5", work.md5))
    return next((checksum for checksum in known if cache.has(checksum, obj.size)), None)


def _open_partial(name: str, folder: int) -> tuple[int, bool]:
    """A temporary file for writing, with what an earlier try left in it; and whether it is sure to be empty."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(FileExistsError):
        return os.open(name, flags | os.O_EXCL, 0o666, dir_fd=folder), True
    try:
        fd = os.open(name, flags, 0o666, dir_fd=folder)
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            return fd, not found.st_size
        os.close(fd)
    except OSError as error:
        if not _exists(name, folder):
            raise error
    # not what we left: writing into it could change something elsewhere
    os.unlink(name, dir_fd=folder)
    return os.open(name, flags | os.O_EXCL, 0o666, dir_fd=folder), True


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _copy(source: int, target: int, checksum: Checksum) -> tuple[str, bool]:
    """Copy a file; its MD5, and whether it is what its checksum says."""
    md5 = new_hash("md5")
    named = md5 if checksum.algorithm == "md5" else new_hash(checksum.algorithm)
    for piece in pieces(source):
        md5.update(piece)
        if named is not md5:
            named.update(piece)
        write_all(target, piece)
    return md5.digest().hex(), named.digest().hex() == checksum.value


def _md5(fd: int) -> str:
    running = new_hash("md5")
    os.lseek(fd, 0, os.SEEK_SET)
    for piece in pieces(fd):
        running.update(piece)
    return running.digest().hex()


def _set_time(fd: int, obj: Object) -> None:
    """Give a file the object's time of modification.

    Besides being what people expect of a copy, it lets every later edit show: an edit sets a time of today.
    """
    mtime = time_ns(obj.mtime)
    if mtime is not None and mtime < time.time_ns() - RACY_NS:
        with contextlib.suppress(OSError, OverflowError):
            os.utime(fd, ns=(time.time_ns(), mtime))


def time_ns(text: str | None) -> int | None:
    """A recorded time of modification in nanoseconds since 1970; None if there is none."""
    match = _TIME.fullmatch(text or "")
    if not match:
        return None
    try:
        whole = datetime.fromisoformat(f"{match[1]}+00:00")
    except ValueError:
        return None
    return int(whole.timestamp()) * 10**9 + int((match[2] or "").ljust(9, "0"))
