"""The tree of chunks that a manifest is: its shape, its hashes, and how it is built from a sorted stream.

Three levels: leaves of some 32 entries, groups of some 64 leaves, and one root, a list of groups. Where a leaf or a
group ends depends on the path of its last entry alone, so equal runs of entries make equal chunks in every version, and
a change touches the chunks that it falls in, and no others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from refstore.errors import DuplicatePath, UsageError
from refstore.manifest.entry import Entry

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

    def leaf(self, chunk: Chunk, entries: list[Entry]) -> None:
        """A leaf and its entries, sorted by path."""

    def node(self, chunk: Chunk, level: int, children: list[Chunk]) -> None:
        """A group or a root and what it lists, in order."""


def _ends(path: str) -> int:
    """What a path ends: `LEAF`, `GROUP`, or -1 for nothing."""
    try:
        bits = int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big")
    except UnicodeEncodeError:
        raise _not_unicode(path) from None
    if bits & _LEAF_MASK:
        return -1
    return LEAF if bits & _GROUP_MASK else GROUP


def entry_line(entry: Entry) -> str:
    """The canonical text of an entry, which its leaf's hash covers.

    Raises:
        UsageError: A name in it is not valid Unicode.
    """
    return _encode(entry.to_json())


def _leaf(entries: list[Entry]) -> Chunk:
    text = "refstore leaf\n" + "".join([entry_line(entry) + "\n" for entry in entries])
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise _not_unicode(next(entry.path for entry in entries if "\\ud" in ascii(entry_line(entry)))) from None
    size = sum([entry.object.size or 0 for entry in entries])
    return Chunk(hashlib.sha256(data).digest(), entries[-1].path if entries else "", len(entries), size)


def _not_unicode(path: str) -> UsageError:
    return UsageError(
        f"The name {path!r} is not valid Unicode (UTF-8) and can't be recorded: rename the file or exclude it."
    )


def _node(kind: str, children: list[Chunk]) -> Chunk:
    lines = [f"{c.id.hex()} {c.entries} {c.size} {_encode(c.last)}\n" for c in children]
    data = f"refstore {kind}\n{''.join(lines)}".encode()
    return Chunk(
        hashlib.sha256(data).digest(),
        children[-1].last if children else "",
        sum([c.entries for c in children]),
        sum([c.size for c in children]),
    )


class TreeBuilder:
    """Builds a tree from entries in the byte order of their paths, or from whole chunks of another tree.

    Holds one leaf's entries, one group's leaves and the root's groups at a time.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._entries: list[Entry] = []
        self._leaves: list[Chunk] = []
        self._groups: list[Chunk] = []
        self._last: str | None = None

    def add(self, entry: Entry) -> None:
        """Take the next entry.

        Raises:
            DuplicatePath: It has the path of the one before.
            ValueError: It comes out of order.
        """
        path = entry.path
        if self._last is not None and path <= self._last:
            if path == self._last:
                raise DuplicatePath(f"Two entries have the path {path!r}.")
            raise ValueError(f"{path!r} comes after {self._last!r}")
        self._last = path
        self._entries.append(entry)
        level = _ends(path)
        if level >= LEAF:
            self._end_leaf()
            if level == GROUP:
                self._end_group()

    @property
    def at_leaf(self) -> bool:
        """Whether a whole leaf may come next."""
        return not self._entries

    @property
    def at_group(self) -> bool:
        """Whether a whole group may come next."""
        return not self._entries and not self._leaves

    def add_leaf(self, leaf: Chunk) -> None:
        """Take a whole leaf of another tree; one that does not end by its path must be the last."""
        if not leaf.entries:
            return
        self._leaves.append(leaf)
        self._last = leaf.last
        if _ends(leaf.last) == GROUP:
            self._end_group()

    def add_group(self, group: Chunk) -> None:
        """Take a whole group of another tree; one that does not end by its path must be the last."""
        if not group.entries:
            return
        self._groups.append(group)
        self._last = group.last

    def finish(self) -> Chunk:
        """End the tree; its root."""
        if self._entries or self._last is None:
            self._end_leaf()
        if self._leaves:
            self._end_group()
        root = _node("root", self._groups)
        self._sink.node(root, ROOT, self._groups)
        return root

    def _end_leaf(self) -> None:
        leaf = _leaf(self._entries)
        self._sink.leaf(leaf, self._entries)
        self._leaves.append(leaf)
        self._entries = []

    def _end_group(self) -> None:
        group = _node("group", self._leaves)
        self._sink.node(group, GROUP, self._leaves)
        self._groups.append(group)
        self._leaves = []


def ends_by_path(chunk: Chunk, level: int) -> bool:
    """Whether a leaf or a group ends by its last path, and not just because the tree ended there."""
    return _ends(chunk.last) >= level


def change_line(old: Entry | None, new: Entry | None) -> dict[str, Any]:
    """The change line of a manifest for one path: an entry put, or a path dropped."""
    if new is not None:
        return {"put": new.to_json()}
    assert old is not None
    return {"drop": old.path}
