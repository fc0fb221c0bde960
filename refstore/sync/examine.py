"""Whether one file of the catalog is what it has to be, byte by byte and record by record."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from refstore.errors import CatalogCorrupt, CatalogTooNew, RefstoreError
from refstore.manifest.entry import Entry
from refstore.records.encoding import FORMAT, canonical
from refstore.records.transaction import MAX_LINE, SUFFIX, read
from refstore.records.types import Manifest, Record, Version, parse
from refstore.sync.finding import DAMAGED, MALFORMED, NEWER, UNREADABLE, Finding
from refstore.sync.references import PART, References

_PIECE = 1 << 20


def examine(path: Path, references: References) -> Finding | None:
    """Check a file of `records/`, and note what it holds and refers to; None where nothing is wrong with it.

    Reads it twice, in pieces: once for its hash, and where that fits its name, once by lines.
    """
    try:
        with path.open("rb") as file:
            running = hashlib.sha256()
            while piece := file.read(_PIECE):
                running.update(piece)
            if running.hexdigest() + SUFFIX != path.name:
                return _damaged(path)
            file.seek(0)
            return examine_bytes(file, path.name, references)
    except OSError as error:
        return Finding(UNREADABLE, path.name, f"{path.name} can't be read: {error.strerror or error}.")


def examine_bytes(file: BinaryIO, name: str, references: References) -> Finding | None:
    """Check the lines of a file whose hash fits its name, and note what it holds and refers to."""
    try:
        for record in _records(file, name):
            if isinstance(record, str):
                references.hold(PART, record)
            else:
                references.take(record, name)
    except CatalogTooNew as error:
        return Finding(NEWER, name, str(error))
    except CatalogCorrupt as error:
        return Finding(MALFORMED, name, str(error))
    return None


def _records(file: BinaryIO, name: str) -> Iterator[Record | str]:
    """The records of a file, or the name of a part file; every line is checked on the way."""
    changes = part = 0
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), 1):
        where = f"{name}, line {number},"
        try:
            data = json.loads(line)
            whole = canonical(data) + b"\n" == line
        except (ValueError, RecursionError, RefstoreError):
            whole, data = False, None
        if not whole:
            raise CatalogCorrupt(f"{where} is not in canonical form: another program wrote it, and wrongly.")
        if number == 1:
            if not isinstance(data, dict) or not isinstance(data.get("refstore"), int):
                raise CatalogCorrupt(f"{name} is not a transaction file of a refstore catalog.")
            if data["refstore"] > FORMAT:
                raise CatalogTooNew(f"{name} was written in format {data['refstore']}: it needs a newer refstore.")
            if "part" in data:
                part = changes = data["part"]
                yield name.removesuffix(SUFFIX)
        elif changes:
            changes -= 1
            _check_change(data, where)
        elif part:
            raise CatalogCorrupt(f"{where} is one more than the {part} lines that this part file should have.")
        else:
            record = parse(data, where)
            if isinstance(record, Manifest):
                changes = record.changes
            yield record
    if changes:
        raise CatalogCorrupt(f"{name} is cut off: {changes} lines of a manifest are missing.")


def _check_change(data: object, where: str) -> None:
    try:
        assert isinstance(data, dict)
        if data.keys() == {"put"}:
            Entry.from_json(data["put"])
        elif data.keys() != {"drop"} or not isinstance(data["drop"], str):
            raise ValueError
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError, RefstoreError) as error:
        raise CatalogCorrupt(f"{where} is not a line of a manifest.") from error


def _damaged(path: Path) -> Finding:
    """Why a file is not what its name says, and what it held as far as it can still be read."""
    try:
        for _ in read(path, whole=True):
            pass
        message = f"{path.name} was changed after it was written: its bytes are not those that its name stands for."
    except RefstoreError as error:
        message = str(error)
    held = _versions(path)
    if held:
        message += f" It held {', '.join(held[:5])}{' and more' if len(held) > 5 else ''}."
    return Finding(DAMAGED, path.name, message)


def _versions(path: Path) -> list[str]:
    """The names of the versions in a damaged file, as they were given, from the lines that can be read."""
    found = []
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(MAX_LINE), b""):
            if b'"kind":"version"' not in line:
                continue
            try:
                record = parse(json.loads(line), path.name)
            except (ValueError, RecursionError, RefstoreError):
                continue
            if isinstance(record, Version):
                found.append(f"{record.name}:v{record.number}")
    return found


def fits(data: bytes, name: str) -> bool:
    """Whether some bytes are those that a name in `records/`, without its suffix, stands for."""
    return hashlib.sha256(data).hexdigest() == name


def take_bytes(data: bytes, name: str, references: References) -> None:
    """Note what a file held that is not there, whose bytes fit its name (without suffix)."""
    examine_bytes(io.BytesIO(data), name + SUFFIX, references)
