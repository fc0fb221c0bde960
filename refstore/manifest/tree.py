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
from json.encoder import encode_basestring
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
        digest = hashlib.sha256(path.encode()).digest()
    except UnicodeEncodeError:
        raise _not_unicode(path) from None
    if digest[3] & _LEAF_MASK:
        return -1
    return LEAF if int.from_bytes(digest[:4], "big") & _GROUP_MASK else GROUP


def entry_line(entry: Entry) -> str:
    """The canonical text of an entry, which its leaf's hash covers: what `canonical(entry.to_json())` gives, sooner."""
    o, text = entry.object, encode_basestring
    line = f'"path":{text(entry.path)},"scheme":{text(o.scheme)}'
    if o.mtime is not None:
        line = f'"mtime":{text(o.mtime)},{line}'
    if o.key:
        line = f'"key":{text(o.key)},{line}'
    if o.etag is not None:
        line = f'"etag":{text(o.etag)},{line}'
    if o.endpoint:
        line = f'"endpoint":{text(o.endpoint)},{line}'
    if o.checksum is not None:
        line = f'"checksum":{text(str(o.checksum))},{line}'
    if o.bucket:
        line = f'"bucket":{text(o.bucket)},{line}'
    if o.size is not None:
        line = f'{line},"size":{o.size:d}'
    if o.storage_class is not None:
        line = f'{line},"storage_class":{text(o.storage_class)}'
    if o.version is not None:
        line = f'{line},"version":{text(o.version)}'
    return f"{{{line}}}"


def leaf_of(entries: list[Entry], lines: list[str] | None = None) -> Chunk:
    """The leaf that some entries make, sorted by path; `lines` are theirs, where they are known."""
    text = "\n".join(["refstore leaf", *(lines or map(entry_line, entries)), ""])
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


def leaves(entries: Iterable[Entry]) -> Iterator[tuple[Chunk, list[Entry]]]:
    """The leaves that a sorted stream of entries makes. Holds one of them.

    Raises:
        DuplicatePath: Two entries have the same path.
        ValueError: One comes out of order.
    """
    held: list[Entry] = []
    last: str | None = None
    for entry in entries:
        path = entry.path
        if last is not None and path <= last:
            raise _misplaced(path, last)
        last = path
        held.append(entry)
        if _ends(path) >= LEAF:
            yield leaf_of(held), held
            held = []
    if held:
        yield leaf_of(held), held


def _misplaced(path: str, last: str) -> Exception:
    if path == last:
        return DuplicatePath(f"Two entries have the path {path!r}.")
    return ValueError(f"{path!r} comes after {last!r}")


def node_of(kind: str, children: list[Chunk]) -> Chunk:
    """The node that some children make, in order; `kind` is `group` or `root`."""
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

    Args:
        sink: Where the chunks go.
        told: Hears the lines (`entry_line`) of each leaf that is made of entries.
    """

    def __init__(self, sink: Sink, told: Callable[[list[str]], None] | None = None) -> None:
        self._sink = sink
        self._told = told
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
            raise _misplaced(path, self._last)
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
        root = node_of("root", self._groups)
        self._sink.node(root, ROOT, self._groups)
        return root

    def _end_leaf(self) -> None:
        lines = [entry_line(entry) for entry in self._entries]
        leaf = leaf_of(self._entries, lines)
        if self._told is not None:
            self._told(lines)
        self._sink.leaf(leaf, self._entries)
        self._leaves.append(leaf)
        self._entries = []

    def _end_group(self) -> None:
        group = node_of("group", self._leaves)
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
