"""A recorded object and what is at its place now: the same bytes, others, or nobody can tell without reading them."""

from __future__ import annotations

from enum import Enum

from refstore.backends.base import Backend
from refstore.errors import SourceChanged
from refstore.manifest.entry import Object


class Likeness(Enum):
    """What a look at an object says of its bytes."""

    SAME = "same"
    OTHER = "other"
    UNKNOWN = "unknown"


def compare(recorded: Object, found: Object) -> Likeness:
    """Compare like with like, the strongest first.

    A new version with equal bytes is the same, and so is a file that was only touched or moved to another storage
    class. An ETag that differs means other bytes only if there is no checksum to say otherwise: a copy onto itself
    changes it.
    """
    if recorded.size is not None and found.size is not None and recorded.size != found.size:
        return Likeness.OTHER
    if recorded.version is not None and recorded.version == found.version:
        return Likeness.SAME
    mine, theirs = recorded.checksum, found.checksum
    if mine is not None and theirs is not None and mine.algorithm == theirs.algorithm:
        return _alike(mine.value == theirs.value)
    if recorded.etag is not None and found.etag is not None:
        if recorded.etag == found.etag:
            return Likeness.SAME
        weak = recorded.etag.startswith("W/") or found.etag.startswith("W/")
        return Likeness.UNKNOWN if weak and mine is not None else Likeness.OTHER
    if recorded.version is not None and found.version is not None:
        return Likeness.OTHER
    if recorded.mtime is not None and found.mtime is not None:
        if _moment(recorded) == _moment(found):
            return Likeness.SAME
        return Likeness.UNKNOWN if mine is not None else Likeness.OTHER
    return Likeness.UNKNOWN


def compare_content(recorded: Object, found: Object, backend: Backend) -> Likeness:
    """Like `compare`; of a local file that was touched the content decides. Nothing is downloaded."""
    likeness = compare(recorded, found)
    if likeness is Likeness.UNKNOWN and recorded.scheme == "file" and recorded.checksum is not None:
        try:
            # a touched file is hashed before it is handed out
            with backend.open(recorded):
                return Likeness.SAME
        except SourceChanged:
            return Likeness.OTHER
    return likeness


def _alike(same: bool) -> Likeness:
    return Likeness.SAME if same else Likeness.OTHER


def _moment(obj: Object) -> str | None:
    """A time of modification as exactly as it can be compared: services tell some of them in whole seconds only."""
    return obj.mtime if obj.scheme == "file" else (obj.mtime or "")[:19]
