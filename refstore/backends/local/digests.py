"""Digests of the files of one folder, and the process that makes them beside the command.

Python's own lock lets no two threads hash small files at once, so `hashing.py` runs this file as a program, which needs
nothing but the standard library. It takes requests on its input and gives answers on its output until its input
ends, as it does when the command ends, in whatever way.
"""

# a Path for each of a million names costs more than the calls of the operating system themselves

from __future__ import annotations

import hashlib
import marshal
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

Found = tuple[str, tuple[int, int, int, int, int], int]
"""A digest in hex; the key of the file that it is of (`key_of`); when the look began, in nanoseconds since 1970."""

Failed = tuple[str, int]
"""Why there is none: `errno` and the number, `mode` and that of something that is no regular file, or `changes`."""

BUFFER = 1 << 20
"""How much is read at once, in bytes."""

FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""How files are opened: no FIFO waits for its writer."""

_SMALL = 128 << 10
_local = threading.local()


def key_of(found: os.stat_result) -> tuple[int, int, int, int, int]:
    """What changes when a file does: device, inode, size, and the times of modification and of change, in ns."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def digest(
    name: str, algorithm: str, flags: int, folder: int | None = None, stopped: Callable[[], bool] | None = None
) -> Found | Failed:
    """Read a file once, all under one descriptor. One that changes while it is read is read again, once.

    Args:
        name: Its path.
        algorithm: As `hashlib` names it.
        flags: To open it with.
        folder: A descriptor of the folder that the path starts in.
        stopped: Whether nobody waits for it any more; asked between reads.
    """
    try:
        for _ in range(2):
            look = time.time_ns()
            descriptor = os.open(name, flags, dir_fd=folder)
            try:
                before = os.fstat(descriptor)
                if not stat.S_ISREG(before.st_mode):
                    return "mode", before.st_mode
                running = hashlib.new(algorithm, usedforsecurity=False)
                size = _read(descriptor, before.st_size, running.update, stopped)
                after = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            key = key_of(before)
            if size == before.st_size and key[2:4] == key_of(after)[2:4]:
                # Another name for the file, or another mode, changes its ctime, and not what was read.
                return running.hexdigest(), key, look
    except OSError as error:
        return "errno", error.errno or 0
    return "changes", 0


def _read(
    descriptor: int, expected: int, update: Callable[[memoryview | bytes], None], stopped: Callable[[], bool] | None
) -> int:
    if expected < _SMALL:
        # One read that asks for a byte more than there is finds the end, too.
        data = os.read(descriptor, expected + 1)
        update(data)
        if len(data) == expected:
            return expected
        size = len(data)
    else:
        size = 0
    buffer = getattr(_local, "buffer", None)
    if buffer is None:
        buffer = _local.buffer = memoryview(bytearray(BUFFER))
    while count := os.readv(descriptor, [buffer]):
        update(buffer[:count])
        size += count
        if stopped is not None and stopped():
            break
    return size


def digests(folder: str, names: Sequence[str], algorithm: str, flags: int) -> list[Found | Failed]:
    """The digests of some files of a folder, in their order."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError as error:
        return [("errno", error.errno or 0)] * len(names)
    try:
        return [digest(name, algorithm, flags, descriptor) for name in names]
    finally:
        os.close(descriptor)


def send(pipe: IO[bytes], message: Any) -> None:
    """Write a message to a pipe."""
    data = marshal.dumps(message)
    pipe.write(len(data).to_bytes(4, "big") + data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """The next message from a pipe.

    Raises:
        EOFError: There is none.
    """
    head = pipe.read(4)
    if len(head) < 4:
        raise EOFError
    return marshal.loads(pipe.read(int.from_bytes(head, "big")))


def _serve() -> None:
    # Not by `sys.stdin` and `sys.stdout`, which the interpreter flushes at its end.
    requests, answers = open(0, "rb", closefd=False), open(1, "wb", closefd=False)  # noqa: SIM115
    try:
        while True:
            send(answers, digests(*receive(requests)))
    except (EOFError, BrokenPipeError, ValueError):
        os._exit(0)


if __name__ == "__main__":
    sys.stdout = sys.stdin = None
    _serve()
