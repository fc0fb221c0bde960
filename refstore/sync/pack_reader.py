"""Packs, and files of the catalog, read without believing a byte of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from refstore.errors import CatalogCorrupt, CatalogTooNew, RefstoreError, RemoteCorrupt, UsageError
from refstore.manifest.entry import Entry
from refstore.records.checks import check, is_time
from refstore.records.encoding import FORMAT, canonical
from refstore.records.transaction import MAX_LINE, SUFFIX
from refstore.records.types import Manifest, Record, parse

MAX_LINES = 1_000_000
"""The most lines that a pack may have."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a pack.

    Attributes:
        part: The number of change lines, where it is a part of a manifest; else None.
        summary: What is said for people; () of a part.
        time: When it was written, UTC; "" of a part.
    """

    part: int | None
    summary: tuple[str, ...]
    time: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A record and where it stands in its pack.

    Attributes:
        record: The record.
        id: Its id.
        start: The offset of its line, in bytes.
        lines: The offset behind its line, where a manifest's change lines begin.
        end: The offset behind all that belongs to it.
    """

    record: Record
    id: str
    start: int
    lines: int
    end: int


class Reader:
    """Reads one pack or file of the catalog from its beginning, and believes nothing that it can check.

    Each line has to be canonical, and what a refstore of this format writes. A manifest is not yet proven.

    Args:
        file: The bytes, at their beginning.
        name: The pack's name, for messages.

    Raises:
        CatalogCorrupt: A line is damaged or says what can't be; the message names the file.
        CatalogTooNew: A newer refstore wrote it.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._number = 0
        self._offset = 0
        self.header = self._header()

    def records(self) -> Iterator[Placed]:
        """The records in order; of a part none, but its lines are checked all the same."""
        if self.header.part is not None:
            self._changes(self.header.part)
            if self._line() is not None:
                raise self._bad("stands behind the last line of a part")
            return
        while True:
            start = self._offset
            if (line := self._line()) is None:
                return
            record = parse(self._json(line), self._where())
            check(record, self._where())
            if not _is(line, record.to_json()):
                raise self._bad("is not in the one form that a record has")
            lines = self._offset
            if isinstance(record, Manifest):
                self._changes(record.changes)
            yield Placed(record, record.id, start, lines, self._offset)

    def _header(self) -> Header:
        line = self._line()
        data = self._json(line) if line is not None else None
        if not isinstance(data, dict) or type(data.get("refstore")) is not int:
            raise CatalogCorrupt(f"{self._name}{SUFFIX} is not a file of a refstore catalog.")
        if data["refstore"] > FORMAT:
            raise CatalogTooNew(
                f"{self._name}{SUFFIX} was written in format {data['refstore']} and this refstore knows {FORMAT}: "
                "upgrade refstore."
            )
        if line is None or not _is(line, data):
            raise self._bad("is not canonical JSON")
        if data.keys() == {"refstore", "part"} and data["refstore"] == FORMAT:
            if type(data["part"]) is int and data["part"] >= 0:
                return Header(data["part"], (), "")
        elif data.keys() - {"pack"} == {"refstore", "summary", "time"} and data["refstore"] == FORMAT:
            summary = data["summary"]
            listed = isinstance(summary, list) and all(isinstance(sentence, str) for sentence in summary)
            if listed and is_time(data["time"]) and type(data.get("pack", 0)) is int:
                return Header(None, tuple(summary), data["time"])
        raise self._bad("is not the header of a transaction or part file")

    def _changes(self, count: int) -> None:
        for _ in range(count):
            line = self._line()
            if line is None:
                raise self._bad("is missing: the change of a manifest is cut off")
            data = self._json(line)
            try:
                change = check_change(data)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise self._bad(f"is not a change line of a manifest ({error})") from error
            if not _is(line, change):
                raise self._bad("is not in the one form that a change line has")

    def _line(self) -> bytes | None:
        line = self._file.readline(MAX_LINE)
        if not line:
            return None
        self._number += 1
        self._offset += len(line)
        if self._number > MAX_LINES:
            raise self._bad(f"is one more than the {MAX_LINES} that a pack may have")
        if not line.endswith(b"\n"):
            raise self._bad("is cut off, or too long")
        return line

    def _json(self, line: bytes) -> Any:
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._bad("is not JSON") from error

    def _where(self) -> str:
        return f"{self._name}{SUFFIX}, line {self._number},"

    def _bad(self, what: str) -> CatalogCorrupt:
        return CatalogCorrupt(f"Line {self._number} of {self._name}{SUFFIX} {what}.")


def _is(line: bytes, data: object) -> bool:
    """Whether a line is the canonical form of a value."""
    try:
        return canonical(data) + b"\n" == line
    except (UsageError, RecursionError):
        return False


def check_change(data: Any) -> dict[str, Any]:
    """A change line again, from what it means.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    if not isinstance(data, dict) or len(data) != 1:
        raise ValueError("neither an entry nor a path")
    if "put" in data:
        return {"put": Entry.from_json(data["put"]).to_json()}
    if not isinstance(data["drop"], str):
        raise TypeError("the path is not text")
    return {"drop": data["drop"]}


def refusal(name: str, place: str, error: RefstoreError) -> RemoteCorrupt:
    """The error by which a pack is refused."""
    text = str(error) if name in str(error) else f"{name}: {error}"
    return RemoteCorrupt(f"A pack of {place} was refused: {text}")
