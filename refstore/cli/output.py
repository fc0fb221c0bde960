"""Printing: sizes, columns, colours, JSON, and nothing that a hostile file name could do to a terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

# C0 and C1 controls, DEL, line separators, marks that reorder text, and what is no character at all.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_CODES = {"green": 32, "red": 31, "yellow": 33, "blue": 34, "dim": 2, "bold": 1}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Output:
    """How one command prints.

    Attributes:
        json: `--json`: JSON on stdout, nothing else there.
        quiet: `--quiet`: only the result.
    """

    json: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """A line for a person; not for `--json`."""
        if not self.json:
            print(text)

    def record(self, data: Mapping[str, Any]) -> None:
        """A JSON line; only for `--json`."""
        if self.json:
            print_json(data)

    def notes(self, notes: Iterable[str]) -> None:
        """What a person should read once, on stderr. In JSON the notes are in the object itself."""
        if not self.quiet and not self.json:
            for note in notes:
                print(f"note: {printable(note)}", file=sys.stderr)

    def warn_of(self, problems: Sequence[str]) -> None:
        """What is wrong with files of the catalog, on stderr: the first few of them in full."""
        for problem in problems[:3]:
            print(f"warning: The catalog is not whole: {printable(problem)}", file=sys.stderr)
        if len(problems) > 3:
            print(f"warning: {len(problems) - 3} more files of the catalog are damaged.", file=sys.stderr)
        if problems:
            print("warning: 'refstore fsck' says more, and with --repair mends what it can.", file=sys.stderr)


def print_json(data: Mapping[str, Any]) -> None:
    """One line of JSON; ASCII, so that no terminal and no encoding can take it amiss."""
    print(json.dumps(data, separators=(", ", ": ")))


def printable(text: str) -> str:
    """The text with control characters, direction marks and broken characters escaped, so that they do nothing."""
    return _UNPRINTABLE.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )


def size(count: int | None) -> str:
    """Bytes for a person: `512 B`, `1.2 MiB`; `?` where the size is not known."""
    if count is None:
        return "?"
    number = float(count)
    for unit in _UNITS:
        if abs(number) < 1023.95 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{count} B" if unit == "B" else f"{number:.1f} {unit}"


def count(number: int, what: str) -> str:
    """`1 file`, `12,345 files`."""
    plural = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{number:,} {what if number == 1 else plural}"


def when(time: str) -> str:
    """A UTC time as recorded (`2026-11-23T06:13:20.123Z`) for a person: `2026-11-23 06:13:20`."""
    return time[:19].replace("T", " ")


def coloured(text: str, colour: str) -> str:
    """The text in a colour, where stdout is a terminal that wants colours (https://no-color.org)."""
    if not text or not colours():
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def colours() -> bool:
    """Whether stdout is a terminal that wants colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns(rows: Iterable[Sequence[str]], *, right: Sequence[int] = (), gap: str = "  ") -> Iterator[str]:
    """Rows as aligned lines. A stream: widths come from a few hundred rows at a time and only grow.

    Args:
        rows: Cells as plain text; control characters are escaped here.
        right: The columns that are aligned at their right.
        gap: What stands between two columns.
    """
    widths: list[int] = []
    stream = iter(rows)
    while batch := [[printable(cell) for cell in row] for row in islice(stream, _BATCH)]:
        for row in batch:
            widths.extend([0] * (len(row) - len(widths)))
            for at, cell in enumerate(row[:-1] if len(row) > 1 else row):
                widths[at] = max(widths[at], width(cell))
        for row in batch:
            cells = [_padded(cell, widths[at], at in right) for at, cell in enumerate(row[:-1])]
            yield gap.join([*cells, row[-1]]).rstrip()


def _padded(cell: str, to: int, right: bool) -> str:
    space = " " * max(0, to - width(cell))
    return space + cell if right else cell + space


def width(text: str) -> int:
    """How many cells of a terminal a text takes: East Asian wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
