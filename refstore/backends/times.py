"""Times of modification as entries hold them: UTC, ISO 8601 with a Z, at most six decimals."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def iso_from_datetime(moment: datetime) -> str:
    """The text for a moment; one without a time zone is taken as UTC. Zeros at the end of a fraction are left out."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    text = moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def datetime_from_iso(text: str) -> datetime:
    """The moment of such a text. Python 3.10 reads no Z by itself, and not every number of decimals."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole).replace(microsecond=int(fraction.ljust(6, "0")), tzinfo=timezone.utc)


def iso_from_ns(nanoseconds: int) -> str | None:
    """The text for nanoseconds since 1970, cut to microseconds; None for a time that no calendar of ours has."""
    seconds, rest = divmod(nanoseconds // 1000, 1_000_000)
    whole = _whole(seconds)
    if whole is None or not rest:
        return whole and whole + "Z"
    return f"{whole}.{rest:06d}".rstrip("0") + "Z"


@lru_cache(4096)
def _whole(seconds: int) -> str | None:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
    except OverflowError:
        return None


def iso_from_http(text: str | None) -> str | None:
    """The text for an HTTP date such as `Tue, 15 Nov 1994 12:45:26 GMT`; None where there is no readable one."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        return iso_from_datetime(parsedate_to_datetime(text))
    except (ValueError, OverflowError):
        return None


def iso_from_any(value: object) -> str | None:
    """The text for what a file system calls a time: a `datetime`, seconds since 1970, an ISO or HTTP date."""
    if isinstance(value, datetime):
        return iso_from_datetime(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return iso_from_ns(round(value * 1_000_000) * 1000)
        except (ValueError, OverflowError):
            return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{14}(\.[0-9]+)?", value):
        # FTP: https://www.rfc-editor.org/rfc/rfc3659#section-2.3
        value = f"{value[:8]}T{value[8:14]}"
        try:
            return iso_from_datetime(datetime.strptime(value, "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc))
        except ValueError:
            return None
    if isinstance(value, str) and value:
        try:
            # Python 3.10 knows no Z.
            return iso_from_datetime(datetime.fromisoformat(value.replace("Z", "+00:00")))
        except ValueError:
            return iso_from_http(value)
    return None
