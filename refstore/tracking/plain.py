"""Values as people give them, as JSON: what a record can hold."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from datetime import date, timedelta
from enum import Enum
from typing import Any

from refstore.errors import UsageError


def plain(value: Any) -> Any:
    """A value in the form of JSON.

    Mappings, name spaces and dataclasses become objects, sequences and sets become lists, numbers of numpy and torch
    become numbers, NaN becomes null as W&B has it, dates ISO 8601, a time span seconds; all else becomes its text.

    Raises:
        UsageError: A number is infinite.
    """
    if value is None or (isinstance(value, bool | str | int) and not isinstance(value, Enum)):
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, os.PathLike):
        return os.fspath(value) if isinstance(os.fspath(value), str) else str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    tolist = getattr(value, "tolist", None)
    if callable(tolist):
        return plain(tolist())
    return str(value)


def plain_object(value: Any, what: str) -> dict[str, Any]:
    """A mapping, a name space or a dataclass as a JSON object; None as an empty one.

    Args:
        value: What a person gave.
        what: What it is, for the message.

    Raises:
        UsageError: It is none of these.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) and hasattr(value, "__dict__") and not isinstance(value, type):
        value = plain(value) if dataclasses.is_dataclass(value) else vars(value)
    elif dataclasses.is_dataclass(value):
        value = plain(value)
    if not isinstance(value, Mapping):
        raise UsageError(f"The {what} must be a mapping with text as its keys, not {type(value).__name__}.")
    out = plain(value)
    assert isinstance(out, dict)
    return out


def _number(value: float) -> float | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise UsageError("An infinite number has no form in JSON: leave it out, or write it as text.")
    return float(value)
