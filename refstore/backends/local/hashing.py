"""Hashing of many files at once: small ones in processes of their own, large ones in threads.

Measured with MD5 on files of 4 KiB: threads gain nothing, a process for each core all that the cores have. From a MiB
on, threads are as good, and can be stopped in the middle of a file.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from types import TracebackType

from refstore.backends.local import digests
from refstore.backends.local.digests import FLAGS, Failed, Found

BATCH = 256
"""How many small files one request is about."""

LARGE = 1 << 20
"""From this size on, in bytes, a file is hashed by a thread, alone."""

_WORTH_A_PROCESS = 512
# More would wait for the one that makes entries of what they find.
_MOST = 4


def cores() -> int:
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _can_start() -> bool:
    # An interpreter inside another program has no path, or that program's; and names have to mean the same there.
    name = os.path.basename(sys.executable or "").lower()  # noqa: PTH119
    return (
        "python" in name
        and not getattr(sys, "frozen", False)
        and sys.getfilesystemencoding() == "utf-8"
        and os.path.isfile(digests.__file__)  # noqa: PTH113
    )


class _Worker:
    """A process that makes digests; it ends by itself when this one does."""

    def __init__(self) -> None:
        # In a session of its own, so that Ctrl-C reaches it as the end of its input alone.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", digests.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def ask(self, folder: str, names: Sequence[str], algorithm: str, flags: int) -> list[Found | Failed] | None:
        """What `digests.digests` says; None where the process is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            digests.send(self._process.stdin, (folder, list(names), algorithm, flags))
            answer: list[Found | Failed] = digests.receive(self._process.stdout)
        except (OSError, EOFError, ValueError):
            return None
        return answer

    def close(self) -> None:
        """End it; what it has in hand is given up."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Hashing:
    """Makes digests ahead of who waits for them. Processes and threads are started when there is enough to do.

    Args:
        algorithm: Of the digests.
        follow: Whether symbolic links are.
    """

    def __init__(self, algorithm: str, *, follow: bool) -> None:
        self._algorithm = algorithm
        self._flags = FLAGS | (0 if follow else os.O_NOFOLLOW)
        self._width = min(_MOST, cores())
        self._threads: ThreadPoolExecutor | None = None
        self._workers: SimpleQueue[_Worker] = SimpleQueue()
        self._all: list[_Worker] = []
        self._may_start = self._width > 1 and _can_start()
        self._seen = 0
        self._stopped = False

    def __enter__(self) -> Hashing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.close()
        if self._threads is not None:
            self._threads.shutdown()

    def few(self, folder: str, names: Sequence[str]) -> Future[list[Found | Failed]]:
        """The digests of at most `BATCH` small files of a folder."""
        self._seen += len(names)
        if self._may_start and self._seen >= _WORTH_A_PROCESS:
            if not self._all:
                self._start()
            return self._pool().submit(self._by_process, folder, names)
        done: Future[list[Found | Failed]] = Future()
        done.set_result(digests.digests(folder, names, self._algorithm, self._flags))
        return done

    def one(self, path: str) -> Future[list[Found | Failed]]:
        """The digest of one large file."""
        return self._pool().submit(
            lambda: [digests.digest(path, self._algorithm, self._flags, stopped=lambda: self._stopped)]
        )

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._width, "refstore-hash")
        return self._threads

    def _start(self) -> None:
        for _ in range(self._width):
            try:
                worker = _Worker()
            except OSError:
                self._may_start = bool(self._all)
                return
            self._all.append(worker)
            self._workers.put(worker)

    def _by_process(self, folder: str, names: Sequence[str]) -> list[Found | Failed]:
        try:
            worker = self._workers.get_nowait()
        except Empty:
            answer = None
        else:
            answer = worker.ask(folder, names, self._algorithm, self._flags)
            if answer is not None:
                self._workers.put(worker)
        if answer is None and not self._stopped:
            # It was killed, or could not start: the work is done here.
            answer = digests.digests(folder, names, self._algorithm, self._flags)
        return answer or []
