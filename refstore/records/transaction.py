"""Transaction files: what one command adds to the catalog, written once and never changed.

A file is JSON Lines: a header for people, then records; the change lines of a manifest follow its record. It is named
by the SHA-256 of its bytes and appears by fsync and rename. A change of many MiB is cut into part files, which stand
there before the file that names them.
"""

from __future__ import annotations

import contextlib
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

from refstore.errors import CatalogCorrupt, CatalogTooNew
from refstore.failed_write import storage_error
from refstore.records.checks import check
from refstore.records.encoding import FORMAT, canonical
from refstore.records.types import Manifest, Record, parse

SUFFIX = ".jsonl"
PART_SIZE = 4 << 20
"""Bytes of change lines after which a part file is closed; the most that writing holds in memory."""

MAX_LINE = 16 << 20
"""The longest line that is read, in bytes; a longer one is damage, or an attack."""


_DAY = 86_400.0
_BETWEEN = '}\n{"put":'


def fsync_folder(folder: Path) -> None:
    """Make the renames in a folder durable, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def remove_unfinished(scratch: Path) -> None:
    """Delete what ended processes of this machine left among the unfinished files, and others' of over a day ago."""
    names = [item for item in scratch.glob("transaction-*.tmp") if item.is_file()] if scratch.is_dir() else []
    for path in names:
        _, host, pid, _ = (*path.name.split("-"), "", "", "")[:4]
        with contextlib.suppress(OSError):
            here = host == _host() and sys.platform != "win32"
            if not _is_running(pid) if here else time.time() - path.stat().st_mtime > _DAY:
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


class NewFile:
    """A file being written: hashed as it goes, and renamed to its hash at the end.

    Args:
        folder: Where it is written; on the file system of the place where it goes.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"transaction-{_host()}-{os.getpid()}-{secrets.token_hex(6)}.tmp"
        self._file: BinaryIO = self.path.open("xb")
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Add bytes to it."""
        self._hash.update(data)
        self._file.write(data)

    def close(self) -> str:
        """Have it on the disk; the hash of its bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def place(self, records: Path) -> str:
        """Have it on the disk, and in `records/` under its name, which is returned without suffix."""
        name = self.close()
        self.path.replace(records / (name + SUFFIX))
        return name

    def discard(self) -> None:
        """Remove what is left of it, if anything."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class ChangeLines:
    """Change lines of a manifest: the last few MiB are held, what came before stands in part files.

    Attributes:
        held: Those that are in no part file, without their line ends.
        parts: The part files and their names.
    """

    def __init__(self, scratch: Path, doing: str) -> None:
        self._scratch, self._doing = scratch, doing
        self._size = 0
        self.held: list[bytes] = []
        self.parts: list[tuple[NewFile, str]] = []

    def add(self, lines: list[bytes]) -> None:
        """Take some more, without their line ends.

        Raises:
            StorageFull: There is no space for a part file.
        """
        self.held += lines
        self._size += sum(map(len, lines)) + len(lines)
        if self._size >= PART_SIZE:
            try:
                self._part()
            except OSError as error:
                raise storage_error(error, self._doing) from error

    def put(self, lines: list[str]) -> None:
        """Take the canonical texts of some entries that are put; raises as `add`."""
        # no text of JSON has a line end in it, and so all are made at once
        if lines:
            self.add(f'{{"put":{_BETWEEN.join(lines)}}}'.encode().split(b"\n"))

    def discard(self) -> None:
        """Remove the part files."""
        for file, _ in self.parts:
            file.discard()

    def _part(self) -> None:
        file = NewFile(self._scratch)
        self.parts.append((file, ""))
        file.write(canonical({"refstore": FORMAT, "part": len(self.held)}) + b"\n")
        file.write(b"\n".join([*self.held, b""]))
        self.parts[-1] = (file, file.close())
        self.held, self._size = [], 0


class TransactionWriter:
    """Writes one transaction. Nothing is visible before `commit`; leaving the context without it leaves nothing behind.

    Args:
        records: The folder `records/`.
        scratch: A folder on the same file system for what is not finished.
    """

    def __init__(self, records: Path, scratch: Path) -> None:
        self._records = records
        self._scratch = scratch
        self._parts: list[tuple[NewFile, str]] = []
        self._changes: list[ChangeLines] = []
        self._lines: list[bytes] = []
        scratch.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> TransactionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for changes in self._changes:
            changes.discard()
        for file, _name in self._parts:
            file.discard()

    def add(self, record: Record) -> None:
        """Add a record that has no change lines."""
        self._lines.append(canonical(record.to_json()) + b"\n")

    def change_lines(self) -> ChangeLines:
        """A place for the change lines of a manifest whose record comes later, or never."""
        lines = ChangeLines(self._scratch, f"for the catalog in {self._records.parent}")
        self._changes.append(lines)
        return lines

    def adopt(self, lines: ChangeLines) -> None:
        """Take over lines that were made before; without `commit` nothing is left of them either."""
        self._changes.append(lines)

    def add_manifest(self, manifest: Manifest, changes: Iterable[dict[str, Any]] | ChangeLines) -> None:
        """Add a manifest and its change lines, which are streamed; its `changes` and `parts` are filled in here."""
        if not isinstance(changes, ChangeLines):
            lines = self.change_lines()
            for change in changes:
                lines.add([canonical(change)])
            changes = lines
        self._changes.remove(changes)
        self._parts += changes.parts
        record = Manifest(
            time=manifest.time,
            clock=manifest.clock,
            manifest=manifest.manifest,
            base=manifest.base,
            changes=len(changes.held),
            parts=tuple(name for _, name in changes.parts),
            entries=manifest.entries,
            size=manifest.size,
        )
        self._lines.append(canonical(record.to_json()) + b"\n")
        self._lines += [line + b"\n" for line in changes.held]

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
            file = NewFile(self._scratch)
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


def _unreadable(path: Path, error: OSError) -> CatalogCorrupt:
    return CatalogCorrupt(f"The catalog file {path.name} can't be read: {error.strerror or error}.")


class _Bytes:
    """The lines of a file as bytes, hashed as they are read."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        try:
            while line := self._file.readline(MAX_LINE):
                self._hash.update(line)
                yield line
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def check(self) -> None:
        """Read what is left, and compare the hash with the name of the file."""
        for _ in self:
            pass
        if self._hash.hexdigest() + SUFFIX != self._path.name:
            raise CatalogCorrupt(
                f"{self._path.name} was changed after it was written, and its name is not the hash of its bytes any "
                "more: restore it from git or from a remote."
            )


def _lines(path: Path, start: int = 0, *, whole: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """The lines of a file with their number (from 1, or from 1 at `start`) and the offset behind each.

    With `whole` the file's hash is compared with its name at the end.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise CatalogCorrupt(
            f"The catalog file {path.name} is missing from {path.parent}: restore it from git or from a remote."
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        file.seek(start)
        lines = _Bytes(file, path)
        for number, line in enumerate(lines, 1):
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
            yield line, number, start
        if whole:
            lines.check()


def _decoded(line: bytes, path: Path, number: int) -> Any:
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise CatalogCorrupt(
            f"Line {number} of {path.name} is not JSON: restore it from git or from a remote."
        ) from error


def _check_name(path: Path) -> None:
    with path.open("rb") as file:
        _Bytes(file, path).check()


def read(path: Path, *, whole: bool = False) -> Iterator[Placed]:
    """The records of one transaction file; the change lines of manifests are passed over. A part file has none.

    Args:
        path: The file.
        whole: Compare the hash of all its bytes with its name too, a part file's excepted: the manifest proves that.

    Raises:
        CatalogCorrupt: It is damaged.
        CatalogTooNew: A newer refstore wrote it.
    """
    skip = 0
    for line, number, offset in _lines(path, whole=whole):
        if skip:
            skip -= 1
            continue
        data = _decoded(line, path, number)
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
        try:
            record = parse(data, where)
            check(record, where)
        except CatalogTooNew:
            # An edit may look like a newer format, which would close the whole catalog.
            if whole:
                _check_name(path)
            raise
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
        path = folder / (part + SUFFIX)
        for line, number, _ in _lines(path):
            data = _decoded(line, path, number)
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
        path = folder / (name + SUFFIX)
        for line, number, _ in _lines(path, placed.offset):
            yield _decoded(line, path, number)
            left -= 1
            if not left:
                return
        raise CatalogCorrupt(f"{name}{SUFFIX} is cut off: {left} lines of a manifest are missing.")
