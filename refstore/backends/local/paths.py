"""Local paths as people write them, as the operating system takes them, and as keys and URIs hold them.

Names of files are bytes to the kernel, and text in a key. A path that is UTF-8 is its own text. Any other becomes `%`
followed by the whole path percent-encoded: `%/data/caf%E9.txt`. An ordinary key begins with `/`, so the two can't be
confused, and both lead back to the exact bytes.
"""

# Path collapses what this module must keep apart, and takes no part in what names are as bytes.
# ruff: noqa: PTH109, PTH111, PTH118

from __future__ import annotations

import os
import re
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from refstore.backends.url_secrets import refuse_user_info
from refstore.errors import InvalidURI

_FILE_URI = re.compile(r"file:", re.IGNORECASE)
_CHAINED = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*::")


def key_of(path: str) -> str:
    """The key for an absolute path of the operating system."""
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return "%" + quote_from_bytes(raw)


def path_of(key: str) -> str:
    """The path of the operating system for a key."""
    return os.fsdecode(unquote_to_bytes(key[1:]) if key.startswith("%") else key.encode("utf-8"))


def readable(path: str) -> str:
    """A path as text for entry paths: bytes that are not UTF-8 stand as `%E9`. Not reversible."""
    text = os.fsencode(path).decode("utf-8", "surrogateescape")
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in text)


def uri_of(key: str) -> str:
    """The `file:///` URI for a key; letters of other alphabets stay readable."""
    if key.startswith("%"):
        return "file://" + key[1:]
    escaped = re.sub(r"[%#?\s]", lambda found: quote(found[0], safe=""), key)
    if not escaped.isprintable():
        escaped = "".join(c if c.isprintable() else quote(c, safe="") for c in escaped)
    return "file://" + escaped


def shown(path: str) -> str:
    """A path as messages hold it: its URI."""
    return uri_of(key_of(path))


def parse_path(uri: str) -> tuple[str, bool]:
    """The absolute path that a plain path or a `file:` URI names, and whether it can only be a folder.

    A plain path is taken as it stands: nothing in it is decoded. It counts from the current folder, and `~/` from the
    home folder. Symbolic links in it stay, but for those before a `..`, where only the link's target has the answer.

    Raises:
        InvalidURI: It names no local path: another host, a relative URI, a query or fragment, a zero byte, a chain.
        SecretInURI: It holds user info.
    """
    path = _from_file_uri(uri) if _FILE_URI.match(uri) else _from_plain(uri)
    if "\0" in path:
        raise InvalidURI(f"The path {uri!r} holds a zero byte, which no file name can.")
    directory = path.endswith(("/", "/.", "/..")) or path in (".", "..")
    return _absolute(path), directory


def _from_file_uri(uri: str) -> str:
    rest = uri[len("file:") :]
    if "?" in rest or "#" in rest:
        raise InvalidURI(
            f"A file URI has no query and no fragment ({uri}): write %3F for ? and %23 for #, or give the plain path."
        )
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        user_info, _, host = authority.rpartition("@")
        refuse_user_info(uri, user_info)
        if host.lower() not in ("", "localhost"):
            raise InvalidURI(
                f"{uri} names the host {host!r}, and a file URI can only be of this machine: write file:///{host}/… for"
                " an absolute path, or mount the host's folder and give its path."
            )
        if not slash:
            raise InvalidURI(f"{uri} has no path: write file:///absolute/path.")
        rest = "/" + path
    if not rest.startswith("/"):
        raise InvalidURI(
            f"{uri} is relative, and a file URI must be absolute: write file:///absolute/path, or the plain path."
        )
    return os.fsdecode(unquote_to_bytes(rest.encode("utf-8", "surrogateescape")))


def _from_plain(text: str) -> str:
    if _CHAINED.match(text) and not os.path.lexists(text):
        raise InvalidURI(
            f"{text!r} is a chain of file systems, and a reference can hold only one: give the URI of the file itself."
        )
    if text == "~" or text.startswith("~/"):
        return os.path.expanduser(text) + ("/" if text == "~/" else "")
    return text


def _absolute(path: str) -> str:
    parts = os.path.join(os.getcwd(), path).split("/")
    if ".." in parts:
        after = len(parts) - parts[::-1].index("..")
        parts = [os.path.realpath("/".join(parts[:after])), *parts[after:]]
    # POSIX gives two leading slashes a meaning of their own, and normpath would keep them.
    return os.path.normpath("/" + "/".join(parts).lstrip("/"))
