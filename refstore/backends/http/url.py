"""HTTP URLs taken apart into a host and a key, and names of listings put back into keys.

A key is the path and the query as they go over the wire, percent-encoded, without the first `/`: two spellings of one
name are two keys, because only the server knows whether they are one file.
"""

from __future__ import annotations

import re
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from refstore.backends.base import Location
from refstore.backends.url_secrets import refuse_secret_query, refuse_user_info, shown
from refstore.errors import InvalidURI

_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)(?::([0-9]{0,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_IN_NAMES = "!$&'()*+,;=:@"


def parse_url(uri: str) -> Location:
    """What an `http://` or `https://` URL names. A path that ends in `/`, without a query, is a directory.

    What browsers escape before they send it (spaces, letters of other alphabets, a `%` that escapes nothing) is escaped
    here too, `.` and `..` are resolved, and a default port is left out.

    Raises:
        InvalidURI: It is no such URL, or has a fragment, which no server gets to see.
        SecretInURI: It holds user info, or a credential in its query.
    """
    match = _URL.fullmatch(uri)
    if not match:
        raise InvalidURI(f"{shown(uri)!r} is not a URL: write http://host/path or https://host/path.")
    scheme, authority, path, query, fragment = match[1].lower(), match[2], match[3] or "/", match[4] or "", match[5]
    user_info, _, host = authority.rpartition("@")
    refuse_user_info(uri, user_info)
    refuse_secret_query(uri, query[1:])
    if fragment is not None:
        raise InvalidURI(
            f"{shown(uri)} has a fragment, which no server gets to see: write %23 for a # in a name, or leave it out."
        )
    key = _escaped(_without_dots(path), safe="/")[1:] + (_escaped(query, safe="/?") if query else "")
    return Location(scheme, "", _host(uri, host, scheme), key, directory=not query and (not key or key.endswith("/")))


def url_of(scheme: str, host: str, key: str) -> str:
    """The URL of a key."""
    return f"{scheme}://{host}/{key}"


def name_of(key: str) -> str:
    """The entry path for a single URL: the last part of its path, decoded."""
    path = key.partition("?")[0]
    return decoded(path.rstrip("/").rpartition("/")[2]) or "index"


def decoded(segment: str) -> str:
    """One part of a URL's path as a name. An escaped `/` stays escaped, and so do bytes that are not UTF-8."""
    text = unquote_to_bytes(segment).decode("utf-8", "surrogateescape").replace("/", "%2F")
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in text)


def segment_of(name: str | bytes) -> str:
    """A name of a listing as part of a key: one spelling, whichever way the server's listing writes it."""
    raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
    return quote_from_bytes(raw, safe=_IN_NAMES)


def _host(uri: str, host: str, scheme: str) -> str:
    try:
        match = _HOST.fullmatch(host if host.isascii() else host.encode("idna").decode())
    except UnicodeError:
        match = None
    if not match:
        raise InvalidURI(f"{shown(uri)} has no valid host: write {scheme}://host/path or {scheme}://host:port/path.")
    port = match[2] or ""
    return match[1].lower() + (f":{port}" if port and port != _DEFAULT_PORTS[scheme] else "")


def _escaped(text: str, *, safe: str) -> str:
    return quote(_BARE_PERCENT.sub("%25", text), safe=safe + "%[]" + _IN_NAMES, errors="surrogateescape")


def _without_dots(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        plain = part.lower().replace("%2e", ".")
        if plain == ".." and len(parts) > 1:
            parts.pop()
        if plain not in (".", ".."):
            parts.append(part)
    if plain in (".", ".."):
        parts.append("")
    return "/".join(parts) or "/"
