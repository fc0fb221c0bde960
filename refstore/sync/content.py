"""Stored content on its way to and from remotes: what `put` and `add_file` keep, file by file, verified on the way."""

from __future__ import annotations

import fcntl
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from refstore.checkout.cache import Cache
from refstore.checkout.disk import pieces, write_all, writing
from refstore.checkout.proof import computable, new_hash
from refstore.errors import ChecksumMismatch, RefstoreError, SourceMissing, SourceUnavailable, SourceUnreadable
from refstore.manifest.entry import Checksum
from refstore.progress import Progress, Silent
from refstore.sync.remote import Remote

_PAGE = 1000
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of stored content.

    Attributes:
        files: How many were sent or fetched.
        size: Their bytes.
        missing: Content that versions need and that neither side has, the first few.
        missing_count: How much of it there is.
    """

    files: int = 0
    size: int = 0
    missing: tuple[Checksum, ...] = ()
    missing_count: int = 0


def push_content(
    wanted: Iterable[Checksum], cache: Cache, remote: Remote, *, jobs: int = 16, progress: Progress | None = None
) -> Moved:
    """Send what a remote lacks. Each file is verified while it is read, and appears there whole or not at all.

    Args:
        wanted: What versions say the store keeps; taken a page at a time.
        cache: Where it is.
        remote: Where it goes.
        jobs: Files at once.
        progress: Told of files and bytes.

    Raises:
        ChecksumMismatch: Content in the cache was changed. What was sent stays; the next push sends the rest.
        AccessError, SourceUnavailable, SourceError: The remote can't be written.
    """

    def lacking(page: Sequence[Checksum]) -> Iterator[Checksum]:
        there = remote.has_content(page)
        return (checksum for checksum in page if checksum not in there)

    def send(checksum: Checksum) -> int | None:
        path = cache.path(checksum)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return None
        remote.write_content(checksum, path)
        return size

    return _moved(wanted, lacking, send, remote, jobs, progress or Silent())


def pull_content(
    wanted: Iterable[Checksum], cache: Cache, remote: Remote, *, jobs: int = 16, progress: Progress | None = None
) -> Moved:
    """Fetch what the cache lacks. Each file is verified while it arrives, and goes on where an earlier try stopped.

    The arguments are those of `push_content`.

    Raises:
        ChecksumMismatch: The remote holds something else. What was fetched stays.
        AccessError, SourceUnavailable, SourceError: It can't be read.
        StorageFull: There is no space for it.
    """

    def lacking(page: Sequence[Checksum]) -> Iterator[Checksum]:
        return (checksum for checksum in page if not cache.has(checksum))

    def fetch(checksum: Checksum) -> int | None:
        try:
            return bring(cache, remote, checksum)
        except SourceMissing:
            return None

    return _moved(wanted, lacking, fetch, remote, jobs, progress or Silent())


def _moved(
    wanted: Iterable[Checksum],
    lacking: Callable[[Sequence[Checksum]], Iterator[Checksum]],
    move: Callable[[Checksum], int | None],
    remote: Remote,
    jobs: int,
    progress: Progress,
) -> Moved:
    files = size = missing_count = 0
    missing: list[Checksum] = []
    stream = iter(wanted)
    under_way: dict[Future[int | None], Checksum] = {}

    def finish() -> None:
        nonlocal files, size, missing_count
        for future in wait(under_way, return_when=FIRST_COMPLETED).done:
            checksum = under_way.pop(future)
            moved = future.result()
            if moved is None:
                missing_count += 1
                missing.extend([checksum] if len(missing) < 3 else [])
            else:
                files, size = files + 1, size + moved
                progress.advance(1, moved)

    with ThreadPoolExecutor(max(1, jobs), "refstore-content") as pool:
        try:
            while page := list(islice(stream, _PAGE)):
                for checksum in lacking(page):
                    while len(under_way) >= 2 * jobs:
                        finish()
                    under_way[pool.submit(move, checksum)] = checksum
            while under_way:
                finish()
        except BaseException:
            # Leaving the pool waits for what is under way, and that may be a very long file.
            remote.stop()
            for future in under_way:
                future.cancel()
            raise
    return Moved(files, size, tuple(missing), missing_count)


def bring(cache: Cache, remote: Remote, checksum: Checksum) -> int:
    """Have one file come from a remote into the cache; its size in bytes.

    Raises:
        SourceMissing: The remote does not have it.
        ChecksumMismatch: What it has is something else.
        SourceUnreadable: Nothing here can verify it.
        AccessError, SourceUnavailable: The remote can't be read. What arrived is kept for the next try.
        StorageFull: There is no space for it.
    """
    if not computable(checksum.algorithm):
        raise SourceUnreadable(f"The content {checksum} can't be verified: nothing here computes {checksum.algorithm}.")
    partial = cache.make() / f"remote-{checksum.algorithm}-{checksum.value}"
    with writing(cache.root):
        fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Another thread or process may be at the same file; then it is there when this one comes to it.
            fcntl.flock(fd, fcntl.LOCK_EX)
            if cache.has(checksum):
                # What was opened may be a new file by the name that the other's had until it was complete.
                partial.unlink(missing_ok=True)
                return cache.path(checksum).stat().st_size
            size = _receive(fd, partial, remote, checksum)
            cache.adopt(partial, checksum)
            return size
        finally:
            os.close(fd)


def _receive(fd: int, partial: Path, remote: Remote, checksum: Checksum) -> int:
    digest = new_hash(checksum.algorithm)
    size = 0
    for piece in pieces(fd):
        digest.update(piece)
        size += len(piece)
    resumed = size > 0
    tries = 0
    while True:
        before = size
        try:
            with closing(_Closing(remote.read_content(checksum, size))) as arriving:
                for piece in arriving.pieces:
                    digest.update(piece)
                    write_all(fd, piece)
                    size += len(piece)
        except SourceMissing:
            partial.unlink(missing_ok=True)
            raise
        except SourceUnavailable:
            tries = tries + 1 if size == before else 1
            if tries == _TRIES:
                raise
            continue
        if digest.digest().hex() == checksum.value:
            os.fsync(fd)
            return size
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        digest, size = new_hash(checksum.algorithm), 0
        if not resumed:
            partial.unlink(missing_ok=True)
            raise ChecksumMismatch(
                f"What {remote.url} holds as the content {checksum} is something else: delete it there, and push it "
                "again from the store that has it."
            )
        resumed = False


class _Closing:
    """Pieces, with a `close` also where their iterator has none."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces

    def close(self) -> None:
        close = getattr(self.pieces, "close", None)
        if close is not None:
            close()


class FromRemotes:
    """Brings content that the cache lacks from whichever remote has it. Safe to use from several threads.

    Args:
        remotes: Gives the name and the remote of each, in the order in which they are asked.
    """

    def __init__(self, remotes: Callable[[], Iterable[tuple[str, Remote]]]) -> None:
        self._remotes = remotes
        self._lock = threading.Lock()
        self._brought: Counter[str] = Counter()

    def bring(self, cache: Cache, checksum: Checksum, what: str) -> int:
        """Have content come into the cache; its size in bytes.

        Args:
            cache: Where it goes.
            checksum: What it is known by.
            what: What a person calls it, for messages.

        Raises:
            SourceMissing: No remote has it; the message says what to do.
            RefstoreError: As `content.bring`, where no remote gave it and one could not be asked.
        """
        asked: list[str] = []
        trouble: RefstoreError | None = None
        for name, remote in self._remotes():
            asked.append(name)
            try:
                size = bring(cache, remote, checksum)
            except SourceMissing:
                continue
            except RefstoreError as error:
                trouble = trouble or error
                continue
            with self._lock:
                self._brought[f"{name} ({remote.url})"] += 1
            return size
        if trouble is not None:
            raise trouble
        raise SourceMissing(nowhere(what, cache, asked))

    def who_has(self, checksum: Checksum) -> str | None:
        """The name of the first remote that has it; None where none does.

        Raises:
            RefstoreError: None has it, and one could not be asked.
        """
        trouble: RefstoreError | None = None
        for name, remote in self._remotes():
            try:
                if remote.has_content([checksum]):
                    return name
            except RefstoreError as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
        return None

    def told(self) -> list[str]:
        """A sentence for each remote that content came from since the last call."""
        with self._lock:
            brought, self._brought = self._brought, Counter()
        return [
            f"The stored content of {number:,} file{'s' * (number != 1)} came from the remote {name}."
            for name, number in brought.items()
        ]


def nowhere(what: str, cache: Cache, asked: Sequence[str]) -> str:
    """The sentence for content that can't be had."""
    if not asked:
        return (
            f"{what} is not in the cache {cache.root}, and the store has no remote to fetch it from: add the one that "
            "was pushed to with `refstore remote add origin URL`, or put the file again."
        )
    where = "the remote" if len(asked) == 1 else "any of the remotes"
    return (
        f"{what} is neither in the cache {cache.root} nor at {where} {', '.join(asked)}: run "
        "`refstore push --content` in the store that has it, or put the file again."
    )
