"""Transaction files: what one command adds to the catalog, written once and never changed.

A file is JSON Lines: a header for people, then records; the change lines of a manifest follow its record. It is named
by the SHA-256 of its bytes and appears by fsync and rename. A change of many MiB is cut into part files, which stand
there before the file that names them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from refstore.errors import CatalogCorrupt, CatalogTooNew, StorageFull, StoreError
from refstore.records.encoding import FORMAT, canonical
from refstore.records.types import Manifest, Record, parse

SUFFIX = ".jsonl"
PART_SIZE = 4 << 20
"""Bytes of change lines after which a part file is closed; the most that writing holds in memory."""

MAX_LINE = 16 << 20
"""The longest line that is read, in bytes; a longer one is damage, or an attack."""


_DAY = 86_400.0


def fsync_folder(folder: Path) -> None:
    """Make the renames in a folder durable, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def storage_error(error: OSError, doing: str) -> StoreError:
    """The error to raise for a failed write of the store's own files."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(
            f"There is no space left {doing}; nothing was recorded. Free some space and repeat the command."
        )
    return StoreError(f"Writing failed {doing}: {error.strerror or error}.")


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def remove_unfinished(scratch: Path) -> None:
    """Delete what killed processes of this machine left among the unfinished files, and all over a day old."""
    names = [item for item in scratch.glob("transaction-*.tmp") if item.is_file()] if scratch.is_dir() else []
    for path in names:
        _, host, pid, _ = (*path.name.split("-"), "", "", "")[:4]
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _DAY or (host == _host() and not _is_running(pid)):
                path.unlink()


def _is_running(pid: str) -> bool:
    if sys.platform == "win32" or not pid.isdecimal():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


class _File:
    """A file being written: hashed as it goes, renamed to its hash at the end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"transaction-{_host()}-{os.getpid()}-{secrets.token_hex(6)}.tmp"
        self._file: BinaryIO = self.path.open("xb")
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)

    def close(self) -> str:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class TransactionWriter:
    """Writes one transaction. Nothing is visible before `commit`; leaving the context without it leaves nothing behind.

    Args:
        records: The folder `records/`.
        scratch: A folder on the same file system for what is not finished.
    """

    def __init__(self, records: Path, scratch: Path) -> None:
        self._records = records
        self._scratch = scratch
        self._parts: list[tuple[_File, str]] = []
        self._lines: list[bytes] = []
        scratch.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> TransactionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file, _name in self._parts:
            file.discard()

    def add(self, record: Record) -> None:
        """Add a record that has no change lines."""
        self._lines.append(canonical(record.to_json()) + b"\n")

    def add_manifest(self, manifest: Manifest, changes: Iterable[dict[str, Any]]) -> None:
        """Add a manifest and its change lines, which are streamed; its `changes` and `parts` are filled in here."""
        held: list[bytes] = []
        size = 0
        names: list[str] = []
        try:
            for change in changes:
                line = canonical(change) + b"\n"
                held.append(line)
                size += len(line)
                if size >= PART_SIZE:
                    names.append(self._part(held))
                    held, size = [], 0
        except OSError as error:
            raise storage_error(error, f"for the catalog in {self._records.parent}") from error
        record = Manifest(
            time=manifest.time,
            clock=manifest.clock,
            manifest=manifest.manifest,
            base=manifest.base,
            changes=len(held),
            parts=tuple(names),
            entries=manifest.entries,
            size=manifest.size,
        )
        self._lines.append(canonical(record.to_json()) + b"\n")
        self._lines += held

    def _part(self, lines: list[bytes]) -> str:
        file = _File(self._scratch)
        self._parts.append((file, ""))
        file.write(canonical({"refstore": FORMAT, "part": len(lines)}) + b"\n")
        file.write(b"".join(lines))
        name = file.close()
        self._parts[-1] = (file, name)
        return name

    def commit(self, stamp: str, summary: list[str]) -> list[tuple[str, int]]:
        """Make the transaction part of the catalog: the rename of its last file is the commit.

        Args:
            stamp: The time, UTC.
            summary: A sentence each for people who read the file: what changed.

        Returns:
            Names (without suffix) and sizes in bytes of the files, the transaction's own last.

        Raises:
            StorageFull: There is no space for it; nothing was recorded.
        """
        file = None
        try:
            file = _File(self._scratch)
            file.write(canonical({"refstore": FORMAT, "summary": summary, "time": stamp}) + b"\n")
            for line in self._lines:
                file.write(line)
            name = file.close()
            done = []
            for part, part_name in self._parts:
                done.append((part_name, part.path.stat().st_size))
                part.path.replace(self._records / (part_name + SUFFIX))
            if self._parts:
                fsync_folder(self._records)
            done.append((name, file.path.stat().st_size))
            file.path.replace(self._records / (name + SUFFIX))
            self._parts = []
        except OSError as error:
            if file is not None:
                with contextlib.suppress(OSError):
                    file.discard()
            raise storage_error(error, f"for the catalog in {self._records.parent}") from error
        fsync_folder(self._records)
        return done


@dataclass(frozen=True, slots=True)
class Placed:
    """A record and where it stands.

    Attributes:
        record: The record.
        offset: The offset in bytes of what follows it in its file: for a manifest, its change lines.
    """

    record: Record
    offset: int


def _lines(path: Path, start: int = 0) -> Iterator[tuple[Any, int, int]]:
    """Decoded lines of a file with their number (from 1, or from 1 at `start`) and the offset behind each."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise CatalogCorrupt(
            f"The catalog file {path.name} is missing from {path.parent}: restore it from git or from a remote."
        ) from None
    with file:
        file.seek(start)
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            start += len(line)
            if line.startswith((b"<<<<<<<", b"=======", b">>>>>>>")):
                raise CatalogCorrupt(
                    f"{path.name} holds the conflict marks of an unfinished merge: restore the file from git."
                )
            if line.endswith(b"\r\n"):
                raise CatalogCorrupt(
                    f"The line ends of {path.name} were converted to CRLF: restore it from git, with '*.jsonl "
                    "-text' in .gitattributes."
                )
            if not line.endswith(b"\n"):
                raise CatalogCorrupt(f"{path.name} is cut off in line {number}: restore it from git or from a remote.")
            try:
                yield json.loads(line), number, start
            except (ValueError, RecursionError) as error:
                raise CatalogCorrupt(
                    f"Line {number} of {path.name} is not JSON: restore it from git or from a remote."
                ) from error


def read(path: Path) -> Iterator[Placed]:
    """The records of one transaction file; the change lines of manifests are passed over. A part file has none.

    Raises:
        CatalogCorrupt: It is damaged.
        CatalogTooNew: A newer refstore wrote it.
    """
    skip = 0
    for data, number, offset in _lines(path):
        where = f"{path.name}, line {number},"
        if number == 1:
            if not isinstance(data, dict) or not isinstance(data.get("refstore"), int):
                raise CatalogCorrupt(f"{path.name} is not a transaction file of a refstore catalog.")
            if data["refstore"] > FORMAT:
                raise CatalogTooNew(
                    f"{path.name} was written in format {data['refstore']} and this refstore knows {FORMAT}: "
                    "upgrade refstore."
                )
            if "part" in data:
                return
            continue
        if skip:
            skip -= 1
            continue
        record = parse(data, where)
        if isinstance(record, Manifest):
            skip = record.changes
        yield Placed(record, offset)
    if skip:
        raise CatalogCorrupt(
            f"{path.name} is cut off: {skip} lines of a manifest are missing. Restore it from git or from a remote."
        )


def read_changes(folder: Path, name: str, placed: Placed) -> Iterator[dict[str, Any]]:
    """The change lines of a manifest, those of its parts first.

    Args:
        folder: The folder `records/`.
        name: The transaction file's name without its suffix.
        placed: The manifest, as `read` gave it.

    Raises:
        CatalogCorrupt: A part is missing or damaged.
    """
    manifest = placed.record
    assert isinstance(manifest, Manifest)
    for part in manifest.parts:
        count = None
        for data, number, _ in _lines(folder / (part + SUFFIX)):
            if number == 1:
                count = data.get("part") if isinstance(data, dict) else None
                if not isinstance(count, int):
                    raise CatalogCorrupt(f"{part}{SUFFIX} is not a part of a transaction.")
            else:
                yield data
        if count is None or number != count + 1:
            raise CatalogCorrupt(f"{part}{SUFFIX} is cut off: restore it from git or from a remote.")
    left = manifest.changes
    if left:
        for data, _, _ in _lines(folder / (name + SUFFIX), placed.offset):
            yield data
            left -= 1
            if not left:
                return
        raise CatalogCorrupt(f"{name}{SUFFIX} is cut off: {left} lines of a manifest are missing.")
