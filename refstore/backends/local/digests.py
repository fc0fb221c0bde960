"""Digests of the files of one folder, and the process that makes them beside the command.

Python's own lock lets no two threads hash small files at once, so `hashing.py` runs this file as a program, which needs
nothing but the standard library. It takes requests on its input and gives answers on its output until its input
ends, as it does when the command ends, in whatever way.
"""

# a Path for each of a million names costs more than the calls of the operating system themselves

from __future__ import annotations

import hashlib
import marshal
import mmap
import os
import sys
from stat import S_ISREG
from time import time_ns

# A process would take longer to import these than to read a thousand files; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO, Any

Found = tuple[str, tuple[int, int, int, int, int], int]
"""A digest in hex; the key of the file that it is of (`key_of`); when the look began, in nanoseconds since 1970."""

Failed = tuple[str, int]
"""Why there is none: `errno` and the number, `mode` and that of something that is no regular file, `changes`, or
`large` and the size in bytes of a file that is not one of the small ones."""

BUFFER = 1 << 20
"""How much is read at once, in bytes. Less costs no less, and has threads wait for Python's lock more often."""

LARGE = 1 << 20
"""From this size on, in bytes, a file is hashed by a thread, alone."""

FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""How files are opened: no FIFO waits for its writer."""

# One for each thread that reads at the same time.
_buffers: list[memoryview] = []


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
    make = _maker(algorithm)
    buffer = _taken()
    try:
        return _digest(name, make, flags, folder, stopped, buffer, [buffer], sys.maxsize)
    finally:
        _buffers.append(buffer)


def _digest(
    name: str,
    make: Callable[..., hashlib._Hash],
    flags: int,
    folder: int | None,
    stopped: Callable[[], bool] | None,
    buffer: memoryview,
    into: list[memoryview],
    large: int,
) -> Found | Failed:
    try:
        for _ in range(2):
            look = time_ns()
            descriptor = os.open(name, flags, dir_fd=folder)
            try:
                before = os.fstat(descriptor)
                if not S_ISREG(before.st_mode):
                    return "mode", before.st_mode
                if before.st_size >= large:
                    return "large", before.st_size
                size = os.readv(descriptor, into)
                running = make(buffer[:size], usedforsecurity=False)
                # No other read has to find the end where it should be: if there is more, `after` tells.
                if size != before.st_size:
                    while count := os.readv(descriptor, into):
                        running.update(buffer[:count])
                        size += count
                        if stopped is not None and stopped():
                            break
                after = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            # Another name for the file, or another mode, changes its ctime, and not what was read.
            if size == before.st_size == after.st_size and before.st_mtime_ns == after.st_mtime_ns:
                return running.hexdigest(), key_of(before), look
    except OSError as error:
        return "errno", error.errno or 0
    return "changes", 0


def _maker(algorithm: str) -> Callable[..., hashlib._Hash]:
    # By its own function, a digest need not be looked up by name each time.
    if algorithm in ("md5", "sha256"):
        return getattr(hashlib, algorithm)  # type: ignore[no-any-return]
    return lambda data, **more: hashlib.new(algorithm, data, **more)


def read_buffer(size: int) -> memoryview:
    """Memory of so many bytes that the kernel copies into at its full speed.

    AMD's Zen 3 copies at a fifth of the speed to the first 31 bytes of a page, where a large bytearray begins
    (https://xuanwo.io/2023/04-rust-std-fs-slower-than-python/), and not to a line of its cache after those.
    """
    # private, as a process that is forked from this one must not read into the same memory
    return memoryview(mmap.mmap(-1, 64 + size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))[64:]


def _taken() -> memoryview:
    try:
        return _buffers.pop()
    except IndexError:
        return read_buffer(BUFFER)


def digests(folder: str, names: Sequence[str], algorithm: str, flags: int) -> list[Found | Failed]:
    """The digests of some files of a folder, in their order; files of `LARGE` bytes or more are not read."""
    make, buffer = _maker(algorithm), _taken()
    into = [buffer]
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError as error:
        return [("errno", error.errno or 0)] * len(names)
    try:
        return [_digest(name, make, flags, descriptor, None, buffer, into, LARGE) for name in names]
    finally:
        _buffers.append(buffer)
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
