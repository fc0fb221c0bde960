"""Hashing of many files at once: small ones in processes of their own, large ones in threads.

Measured with MD5 on files of 4 KiB: threads gain nothing, a process for each core all that the cores have. From a MiB
on, threads are as good, and can be stopped in the middle of a file.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from refstore.backends.local import digests
from refstore.backends.local.digests import FLAGS, Failed, Found

BATCH = 256
"""How many small files one request is about."""

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


Request = tuple[str, list[str], str, int]
"""What `digests.digests` is asked: a folder, names in it, the algorithm, how to open them."""

Answer = list[Found | Failed]


class _Worker:
    """A process that makes digests; it ends by itself when this one does.

    Requests are written ahead, so that it has the next one whatever this process is busy with. A thread takes the
    answers, and so neither of the two ever waits for the other to read.

    Args:
        instead: Answers where the process is gone.
        heard: Is told of each answer before who waits for it.
    """

    def __init__(self, instead: Callable[[Request], Answer], heard: Callable[[Request, Answer], None]) -> None:
        # In a session of its own, so that Ctrl-C reaches it as the end of its input alone.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", digests.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._instead, self._heard = instead, heard
        self._asked: deque[tuple[Request, Future[Answer]]] = deque()
        self._lock, self._gone = threading.Lock(), False
        self._reader = threading.Thread(target=self._read, name="refstore-hash", daemon=True)
        self._reader.start()

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, request: Request) -> Future[Answer]:
        """Have a request answered, after those that came before."""
        answer: Future[Answer] = Future()
        with self._lock:
            gone = self._gone
            if not gone:
                self._asked.append((request, answer))
        if gone:
            answer.set_result(self._instead(request))
            return answer
        assert self._process.stdin is not None
        # Where the process is gone, who reads notices it too.
        with contextlib.suppress(OSError, ValueError):
            digests.send(self._process.stdin, request)
        return answer

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, EOFError, ValueError):
            while True:
                found = digests.receive(self._process.stdout)
                request, answer = self._asked.popleft()
                self._heard(request, found)
                answer.set_result(found)
        with self._lock:
            self._gone = True
        for request, answer in self._asked:
            try:
                answer.set_result(self._instead(request))
            except BaseException as error:  # noqa: BLE001 - it is for who waits
                answer.set_exception(error)

    def close(self) -> None:
        """End it; what it has in hand is given up."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Hashing:
    """Makes digests ahead of who waits for them. Processes and threads are started when there is enough to do.

    To be asked by one thread: a worker answers in the order in which it was asked.

    Args:
        algorithm: Of the digests.
        follow: Whether symbolic links are.
    """

    def __init__(self, algorithm: str, *, follow: bool) -> None:
        self._algorithm = algorithm
        self._flags = FLAGS | (0 if follow else os.O_NOFOLLOW)
        self._width = min(_MOST, cores())
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._large: dict[str, Future[Answer]] = {}
        self._workers: list[_Worker] = []
        self._may_start = self._width > 1 and _can_start()
        self._seen = 0
        self._stopped = False

    def __enter__(self) -> Hashing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stopped = True
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.close()
        if self._threads is not None:
            self._threads.shutdown()

    def few(self, folder: str, names: Sequence[str]) -> Future[Answer]:
        """The digests of at most `BATCH` files of a folder. Where the answer says `large`, `large` has the digest."""
        self._seen += len(names)
        request = (folder, list(names), self._algorithm, self._flags)
        if self._may_start and self._seen >= _WORTH_A_PROCESS:
            if not self._workers:
                self._start()
            if self._workers:
                return min(self._workers, key=len).ask(request)
        done: Future[Answer] = Future()
        done.set_result(self._here(request))
        return done

    def one(self, path: str) -> Future[Answer]:
        """The digest of one large file."""
        with self._lock:
            if self._stopped:
                nothing: Future[Answer] = Future()
                nothing.cancel()
                return nothing
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._width, "refstore-hash")
            return self._threads.submit(
                lambda: [digests.digest(path, self._algorithm, self._flags, stopped=lambda: self._stopped)]
            )

    def large(self, path: str) -> Found | Failed:
        """The digest of one of the files that an answer of `few` called large; its reading began with that answer."""
        return self._large.pop(path).result()[0]

    def _heard(self, request: Request, answer: Answer) -> None:
        if min(map(len, answer), default=3) == 2:
            for name, found in zip(request[1], answer, strict=True):
                if found[0] == "large":
                    self._large[request[0] + name] = self.one(request[0] + name)

    def _start(self) -> None:
        for _ in range(self._width):
            try:
                self._workers.append(_Worker(self._here, self._heard))
            except OSError:
                self._may_start = bool(self._workers)
                return

    def _here(self, request: Request) -> Answer:
        if self._stopped:
            return []
        answer = digests.digests(*request)
        self._heard(request, answer)
        return answer
