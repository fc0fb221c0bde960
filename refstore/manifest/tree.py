"""The tree of chunks that a manifest is: its shape, its hashes, and how it is built from a sorted stream.

Three levels: leaves of some 32 entries, groups of some 64 leaves, and one root, a list of groups. Where a leaf or a
group ends depends on the path of its last entry alone, so equal runs of entries make equal chunks in every version, and
a change touches the chunks that it falls in, and no others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import lt
from typing import Any, Protocol

from refstore.errors import DuplicatePath, UsageError
from refstore.manifest.entry import Entry
from refstore.manifest.lines import line_of, lines_of
from refstore.manifest.rows import PATH, SIZE, Row, Rows, pages_of, row_of

LEAF = 0
GROUP = 1
ROOT = 2

_LEAF_BITS = 5
_GROUP_BITS = 11
_LEAF_MASK = (1 << _LEAF_BITS) - 1
_GROUP_MASK = (1 << _GROUP_BITS) - 1

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Chunk:
    """One node of the tree.

    Attributes:
        id: SHA-256 of its content, 32 bytes.
        last: The path of the last entry below it; "" for an empty tree.
        entries: How many entries are below it.
        size: The sum of their sizes, in bytes.
    """

    id: bytes
    last: str
    entries: int
    size: int


class Sink(Protocol):
    """Where a builder puts the chunks that it makes. The same chunk may come twice."""

    def leaf(self, chunk: Chunk, rows: list[Row]) -> None:
        """A leaf and its entries as rows, sorted by path."""

    def node(self, chunk: Chunk, level: int, children: list[Chunk]) -> None:
        """A group or a root and what it lists, in order."""


def ends(path: str) -> int:
    """What a path ends: `LEAF`, `GROUP`, or -1 for nothing."""
    try:
        return _level(hashlib.sha256(path.encode()).digest())
    except UnicodeEncodeError:
        raise _not_unicode(path) from None


def _level(digest: bytes) -> int:
    if digest[3] & _LEAF_MASK:
        return -1
    return LEAF if int.from_bytes(digest[:4], "big") & _GROUP_MASK else GROUP


def leaf_of(rows: list[Row], lines: list[str] | None = None) -> Chunk:
    """The leaf that some entries make, sorted by path; `lines` are theirs, where they are known."""
    text = "\n".join(["refstore leaf", *(lines or map(line_of, rows)), ""])
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise _not_unicode(next(row[0] for row in rows if "\\ud" in ascii(row))) from None
    size = sum([row[SIZE] or 0 for row in rows])
    return Chunk(hashlib.sha256(data).digest(), rows[-1][0] if rows else "", len(rows), size)


def _not_unicode(path: str) -> UsageError:
    return UsageError(
        f"The name {path!r} is not valid Unicode (UTF-8) and can't be recorded: rename the file or exclude it."
    )


def leaves(entries: Iterable[Entry]) -> Iterator[tuple[Chunk, Rows]]:
    """The leaves that a sorted stream of entries makes. Holds one of them, and a page.

    Raises:
        DuplicatePath: Two entries have the same path.
        ValueError: One comes out of order.
    """
    cut = _Cut()
    for page in pages_of(entries):
        for _, rows, lines in cut.leaves(page):
            yield leaf_of(rows, lines), Rows(rows)
    if cut.rest:
        yield leaf_of(cut.rest, cut.lines), Rows(cut.rest)


class _Cut:
    """Where leaves end in a sorted stream of rows.

    Attributes:
        rest: The rows behind the last end.
        lines: Their canonical texts.
        last: The path of the last row; None before the first.
    """

    def __init__(self) -> None:
        self.rest: list[Row] = []
        self.lines: list[str] = []
        self.last: str | None = None

    def leaves(self, rows: list[Row]) -> Iterator[tuple[int, list[Row], list[str]]]:
        """Take some more: the leaves that end in them.

        Of each it gives whether a group ends there, too (`GROUP`, else `LEAF`), its rows, and their canonical texts.
        """
        paths = [row[PATH] for row in rows]
        before = paths if self.last is None else [self.last, *paths]
        after = islice(before, 1, None)
        if not all(map(lt, before, after)):
            raise next(_misplaced(path, last) for last, path in pairwise(before) if path <= last)
        sha256, start = hashlib.sha256, 0
        try:
            digests = [sha256(path).digest() for path in map(str.encode, paths)]
        except UnicodeEncodeError:
            raise _not_unicode(next(path for path in paths if "\\ud" in ascii(path))) from None
        lines = lines_of(rows)
        for end, digest in enumerate(digests, 1):
            if digest[3] & _LEAF_MASK:
                continue
            leaf, texts = self.rest + rows[start:end], self.lines + lines[start:end]
            self.rest, self.lines, self.last, start = [], [], paths[end - 1], end
            yield _level(digest), leaf, texts
        self.rest += rows[start:]
        self.lines += lines[start:]
        if paths:
            self.last = paths[-1]


def _misplaced(path: str, last: str) -> Exception:
    if path == last:
        return DuplicatePath(f"Two entries have the path {path!r}.")
    return ValueError(f"{path!r} comes after {last!r}")


def child_line(child: Chunk) -> str:
    """What the text of a node says of one child; the hash of the node covers it."""
    return f"{child.id.hex()} {child.entries} {child.size} {_encode(child.last)}\n"


def node_of(kind: str, children: list[Chunk], lines: list[str] | None = None) -> Chunk:
    """The node that some children make, in order; `kind` is `group` or `root`, `lines` are theirs, where known."""
    data = f"refstore {kind}\n{''.join(lines or map(child_line, children))}".encode()
    return Chunk(
        hashlib.sha256(data).digest(),
        children[-1].last if children else "",
        sum([c.entries for c in children]),
        sum([c.size for c in children]),
    )


class TreeBuilder:
    """Builds a tree from entries in the byte order of their paths, or from whole chunks of another tree.

    Holds one leaf's entries (or a page of them), one group's leaves and the root's groups at a time.

    Args:
        sink: Where the chunks go.
        told: Hears the lines (`lines.entry_line`) of each leaf that is made of entries.
    """

    def __init__(self, sink: Sink, told: Callable[[list[str]], None] | None = None) -> None:
        self._sink = sink
        self._told = told
        self._cut = _Cut()
        self._leaves: list[Chunk] = []
        self._groups: list[Chunk] = []

    def add(self, entry: Entry) -> None:
        """Take the next entry.

        Raises:
            DuplicatePath: It has the path of the one before.
            ValueError: It comes out of order.
        """
        self.add_rows([row_of(entry)])

    def add_rows(self, rows: list[Row]) -> None:
        """Take the next entries; raises as `add`."""
        for level, leaf, lines in self._cut.leaves(rows):
            self._end_leaf(leaf, lines)
            if level == GROUP:
                self._end_group()

    @property
    def at_leaf(self) -> bool:
        """Whether a whole leaf may come next."""
        return not self._cut.rest

    @property
    def at_group(self) -> bool:
        """Whether a whole group may come next."""
        return not self._cut.rest and not self._leaves

    def add_leaf(self, leaf: Chunk) -> None:
        """Take a whole leaf of another tree; one that does not end by its path must be the last."""
        if not leaf.entries:
            return
        self._leaves.append(leaf)
        self._cut.last = leaf.last
        if ends(leaf.last) == GROUP:
            self._end_group()

    def add_group(self, group: Chunk) -> None:
        """Take a whole group of another tree; one that does not end by its path must be the last."""
        if not group.entries:
            return
        self._groups.append(group)
        self._cut.last = group.last

    def finish(self) -> Chunk:
        """End the tree; its root."""
        if self._cut.rest or self._cut.last is None:
            self._end_leaf(self._cut.rest, self._cut.lines)
            self._cut.rest, self._cut.lines = [], []
        if self._leaves:
            self._end_group()
        root = node_of("root", self._groups)
        self._sink.node(root, ROOT, self._groups)
        return root

    def _end_leaf(self, rows: list[Row], lines: list[str]) -> None:
        leaf = leaf_of(rows, lines)
        if self._told is not None:
            self._told(lines)
        self._sink.leaf(leaf, rows)
        self._leaves.append(leaf)

    def _end_group(self) -> None:
        group = node_of("group", self._leaves)
        self._sink.node(group, GROUP, self._leaves)
        self._groups.append(group)
        self._leaves = []


def ends_by_path(chunk: Chunk, level: int) -> bool:
    """Whether a leaf or a group ends by its last path, and not just because the tree ended there."""
    return ends(chunk.last) >= level


def change_line(old: Entry | None, new: Entry | None) -> dict[str, Any]:
    """The change line of a manifest for one path: an entry put, or a path dropped."""
    if new is not None:
        return {"put": new.to_json()}
    assert old is not None
    return {"drop": old.path}
