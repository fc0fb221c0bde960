"""What `fsck` finds."""

from __future__ import annotations

from dataclasses import dataclass

DAMAGED = "damaged file"
UNREADABLE = "unreadable file"
NEWER = "newer file"
MALFORMED = "malformed file"
GONE = "missing file"
DANGLING = "missing record"
UNUSED = "unused part"
INDEX = "index"
CONTENT = "damaged content"

KINDS = (DAMAGED, UNREADABLE, NEWER, MALFORMED, GONE, DANGLING, UNUSED, INDEX, CONTENT)
"""The kinds of findings; `docs/json.md` lists them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a store.

    Attributes:
        kind: One of `KINDS`.
        where: The name of a file in `records/`, a checksum in the cache, or the path of the index.
        message: What is wrong, a sentence.
        repaired: Whether it was put right.
        sources: Where it could be had again: `commit 1a2b3c4`, `the remote origin`.
    """

    kind: str
    where: str
    message: str
    repaired: bool = False
    sources: tuple[str, ...] = ()
