"""Canonical bytes and ids. `docs/format.md` is the specification."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from typing import Any

from refstore.errors import UsageError

FORMAT = 1
"""The version of everything that is written to `records/`; a higher one in a file is refused."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


def canonical(data: Any) -> bytes:
    """The one encoding of a JSON value: sorted keys, no spaces, UTF-8, no NaN, no newline.

    Raises:
        UsageError: The value has no JSON form (NaN, an object, a file name that is not UTF-8).
    """
    try:
        return _encode(data).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"This can't be recorded, since it has no form in JSON and UTF-8: {str(error)!r}.") from error


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex: the id of a record, and the name of a transaction file."""
    return hashlib.sha256(data).hexdigest()


def now() -> str:
    """The time in UTC with microseconds: `2026-11-23T06:13:20.123456Z`."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
