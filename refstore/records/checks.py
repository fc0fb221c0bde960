"""What a record may say: names that obey the rules, ids that are ids, times that are times, numbers within bounds.

Records come from other people, by git or from a remote. What is checked here is never checked again: the names of
artifacts become folders, and a clock or a number beyond all bounds would be the last one that anybody could give.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from refstore.errors import CatalogCorrupt, InvalidName
from refstore.names import check_alias, check_part, check_tag, check_type
from refstore.records.types import Manifest, Record, RunFinished, RunStarted

MAX_CLOCK = (1 << 53) - 1
"""The highest logical clock. A writer that has seen it gives it again, and times decide; so it stops nobody."""

MAX_NUMBER = 10**15
"""The highest number of a version."""

MAX_INTEGER = (1 << 63) - 1
"""The highest sum that the index can hold, in bytes or entries."""

MAX_SECONDS = 999_999_999 * 86_400 + 86_399
"""The longest lifetime, in seconds; Python has no longer stretch of time."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_HIGHEST = {
    "clock": MAX_CLOCK,
    "number": MAX_NUMBER,
    "was": MAX_NUMBER,
    "entries": MAX_INTEGER,
    "size": MAX_INTEGER,
    "changes": MAX_INTEGER,
    "seconds": MAX_SECONDS,
    "pid": (1 << 32) - 1,
}
_IDS = ("manifest", "version")
_IDS_OR_NONE = ("base", "run", "source", "diff")


def is_digest(text: object) -> bool:
    """Whether it is a SHA-256 in lower-case hex."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def is_time(text: object) -> bool:
    """Whether it is a moment in UTC as records have it: ISO 8601 with a Z, at most six decimals."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def check(record: Record, where: str) -> None:
    """Refuse a record that says what no record may.

    Args:
        record: As `parse` gave it.
        where: The file and line, for messages.

    Raises:
        CatalogCorrupt: It does.
    """
    kind = record.kind

    def refuse(field: str, why: str) -> CatalogCorrupt:
        return CatalogCorrupt(f"{where}: the field {field!r} of a {kind} record {why}.")

    if not is_time(record.time):
        raise refuse("time", "is not a time in UTC")
    for name, highest in _HIGHEST.items():
        value = getattr(record, name, 0)
        if not 0 <= value <= highest:
            raise refuse(name, f"is {value}, and may be 0 to {highest}")
    for name in _IDS:
        value = getattr(record, name, None)
        if value is not None and not is_digest(value) and not (kind == "alias" and value == ""):
            raise refuse(name, "is not an id")
    for name in _IDS_OR_NONE:
        value = getattr(record, name, "")
        if value and not is_digest(value) and not (name == "run" and isinstance(record, RunStarted)):
            raise refuse(name, "is not an id")
    _check_names(record, refuse)
    if isinstance(record, Manifest):
        if not all(is_digest(part) for part in record.parts) or len(set(record.parts)) != len(record.parts):
            raise refuse("parts", "holds what is not the name of a part")
        if record.base == record.manifest:
            raise refuse("base", "is the manifest itself")
    if isinstance(record, RunFinished) and record.state not in ("finished", "failed"):
        raise refuse("state", "is neither 'finished' nor 'failed'")


def _check_names(record: Record, refuse: Callable[[str, str], CatalogCorrupt]) -> None:
    rules: tuple[tuple[str, Callable[[str], Any], bool], ...] = (
        ("entity", check_part, True),
        ("project", check_part, False),
        ("artifact", check_part, False),
        ("type", check_type, False),
        ("alias", check_alias, False),
        ("tag", check_tag, False),
    )
    for name, rule, may_lack in rules:
        value = getattr(record, name, None)
        if value is None or (may_lack and not value):
            continue
        try:
            rule(value)
        except InvalidName as error:
            raise refuse(name, f"breaks the rules of names: {str(error).rstrip('.')}") from error
    if isinstance(record, RunStarted):
        try:
            check_part(record.run)
        except InvalidName as error:
            raise refuse("run", f"breaks the rules of names: {str(error).rstrip('.')}") from error
