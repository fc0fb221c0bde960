"""Getting a file of the catalog back: from its own bytes, or from a commit. Only what has the right hash is taken."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from refstore.failed_write import storage_error
from refstore.records.transaction import NewFile, fsync_folder
from refstore.sync.examine import fits
from refstore.sync.history import History


@dataclass(frozen=True, slots=True)
class Found:
    """The right bytes of a file.

    Attributes:
        source: Where they are from: `commit 1a2b3c4`, `the index of git`, or "" for the file itself.
        data: The bytes.
    """

    source: str
    data: bytes


def whole(data: bytes, name: str) -> bytes | None:
    """The bytes that a name (without suffix) stands for, line ends put right if need be; None if these are not them."""
    for candidate in (data, data.replace(b"\r\n", b"\n")):
        if fits(candidate, name):
            return candidate
    return None


def search(name: str, path: Path, history: History | None) -> Found | None:
    """The right bytes of a damaged or missing file; None where neither it nor git has them.

    Args:
        name: The file's name without its suffix.
        path: Where it is, or should be.
        history: Where else to look.
    """
    with contextlib.suppress(OSError):
        data = whole(path.read_bytes(), name)
        if data is not None:
            return Found("", data)
    if history is not None:
        for source, held in history.bytes_of(name):
            data = whole(held, name)
            if data is not None:
                return Found(source if " " in source else f"commit {source}", data)
    return None


def write(records: Path, scratch: Path, data: bytes) -> None:
    """Put a file into `records/`, in the place of one that is damaged: it appears whole, and is on disk on return.

    Args:
        records: The folder.
        scratch: A folder on the same file system for what is not finished.
        data: Its bytes; their hash is its name.

    Raises:
        StorageFull, StoreError: It can't be written.
    """
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        file = NewFile(scratch)
        try:
            file.write(data)
            file.place(records)
        finally:
            file.discard()
    except OSError as error:
        raise storage_error(error, f"for the catalog in {records.parent}") from error
    fsync_folder(records)
