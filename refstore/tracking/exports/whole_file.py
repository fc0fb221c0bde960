"""A file that appears whole, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from refstore.errors import StorageFull, UsageError


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """A file to write to, under a temporary name beside `path`; it gets its name at the end, if nothing went wrong.

    Args:
        path: The name that it is to have.
        force: Replace a file of that name.

    Raises:
        UsageError: There is one, and `force` is not set; or the folder can't be written to.
        StorageFull: No space is left.
    """
    _check_free(path, force)
    unfinished = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.unfinished")
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _check_free(path, force)
        unfinished.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"{path} can't be written: no space is left.") from error
        raise UsageError(f"{path} can't be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _check_free(path: Path, force: bool) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file in it.")
    if not os.path.lexists(path):
        return
    if not path.is_file() and not path.is_symlink():
        raise UsageError(f"{path} is no regular file, and is not replaced; write to stdout with '-' instead.")
    if not force:
        raise UsageError(f"{path} exists: name another file, or replace it with --force (in Python force=True).")
