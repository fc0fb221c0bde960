"""The change lines of a manifest as rows, checked, with a look at the next ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from refstore.errors import CatalogCorrupt
from refstore.manifest.entry import check_entry
from refstore.manifest.lines import line_of
from refstore.manifest.rows import Row

_AHEAD = 256
"""Change lines that are looked at at once; the leaves that they fall in, some MB, are read in one statement."""


class Changes:
    """Change lines in the order of their paths, with a look at the next ones.

    Args:
        lines: As `read_changes` gives them.
        ahead: Hears the paths of the next ones, some at once.
    """

    def __init__(self, lines: Iterable[dict[str, Any]], ahead: Callable[[list[str]], None]) -> None:
        self._lines, self._ahead = iter(lines), ahead
        self._next: deque[tuple[str, Row | None, str]] = deque()
        self._before: str | None = None
        self._fill()

    def _fill(self) -> None:
        self._next.extend(map(self._read, islice(self._lines, _AHEAD)))
        if self._next:
            self._ahead([path for path, _, _ in self._next])
        self.path = self._next[0][0] if self._next else None

    def _read(self, line: dict[str, Any]) -> tuple[str, Row | None, str]:
        try:
            put = line.get("put")
            if put is None:
                path, row, text = line["drop"], None, ""
            else:
                check_entry(put)
                path, get = put["path"], put.get
                row = (
                    path, put["scheme"], get("endpoint", ""), get("bucket", ""), get("key", ""), get("size"),
                    get("version"), get("etag"), get("checksum"), get("mtime"), get("storage_class"),
                )  # fmt: skip
                text = line_of(row)
                text.encode()
            if not isinstance(path, str) or (self._before is not None and path <= self._before):
                raise ValueError("out of order")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CatalogCorrupt(
                f"A line of a manifest is damaged, after that of {self._before or ''!r}: {error}."
            ) from error
        self._before = path
        return path, row, text

    def take(self) -> tuple[str, Row | None, str]:
        """The next: its path, its row or None where the path is dropped, and its text."""
        change = self._next.popleft()
        if self._next:
            self.path = self._next[0][0]
        else:
            self._fill()
        return change
