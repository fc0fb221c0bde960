r"""From the path of an entry to a relative path that is safe to write, and back.

Entry paths are hostile: they come from the keys of buckets, from listings and from other people's catalogs. A part
(what stands between two `/`) that is a harmless file name stays as it is, whatever `%` or `#` it holds. Any other part
is escaped, and only that part:

- it gets the prefix `%_`, and in it the characters that are in the way, and `%` itself, become `%XX` (the bytes of
  their UTF-8);
- of a part that is too long for a file name (over 255 bytes), each piece but the last becomes a folder with the prefix
  `%+`.

What is in the way: an empty part (`a//b`, a leading or trailing `/`), `.` and `..`, NUL, parts that begin with `%_` or
`%+` themselves (which makes the escape reversible: `entry_path` undoes it exactly), and the names by which a checkout
could change what git or refstore do in that folder: `.git` and `.refstore…`, in any case. On Windows also `\ : * ? " <
> |`, control characters, a trailing dot or space, and device names such as `CON`.

| entry path | below the destination |
| --- | --- |
| `a/h#1+2%.txt` | `a/h#1+2%.txt` |
| `a//b` | `a/%_/b` |
| `../../etc/passwd` | `%_%2E%2E/%_%2E%2E/etc/passwd` |
| `/abs` | `%_/abs` |
| `folder/` | `folder/%_` |
| `.git/hooks/x` | `%_%2Egit/hooks/x` |
"""

from __future__ import annotations

import os
import re
import unicodedata
from urllib.parse import unquote_to_bytes

from refstore.errors import UnsafePath

ESCAPED = "%_"
CONTINUED = "%+"
MAX_PART = 255
"""Bytes in a file name, on all file systems that matter."""
MAX_PATH = 3500
"""Bytes in a whole local path; what the kernel takes (4096) less room for the destination itself."""

_WINDOWS = re.compile(r'[\x00-\x1f\\:*?"<>|]')
_PROTECTED = re.compile(r"\.git|\.refstore.*", re.IGNORECASE | re.DOTALL)
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)


def encode(path: str) -> bytes:
    """The bytes of a path: UTF-8, and what Python's surrogate escapes stand for. Entries are sorted by them."""
    return path.encode("utf-8", "surrogateescape")


def decode(path: bytes) -> str:
    """The reverse of `encode`."""
    return path.decode("utf-8", "surrogateescape")


def local_path(path: str, *, windows: bool = os.name == "nt") -> str:
    """The relative path, with `/`, that an entry gets below the destination. No two entry paths share one.

    Raises:
        UnsafePath: It is too long for any file system.
    """
    try:
        encode(path)
    except UnicodeEncodeError:
        raise UnsafePath(f"{path!r} can't be a file name: it is not Unicode. Leave it out with --path.") from None
    local = "/".join(_safe(part, windows) for part in path.split("/"))
    size = len(encode(local))
    if size > MAX_PATH:
        raise UnsafePath(
            f"{path[:80]}… is too long for a file ({size} bytes; {MAX_PATH} at most). Leave it out with --path."
        )
    return local


def entry_path(local: str) -> str:
    """The reverse of `local_path`."""
    parts: list[str] = []
    whole = ""
    for part in local.split("/"):
        if part.startswith(CONTINUED):
            whole += decode(unquote_to_bytes(encode(part[2:])))
            continue
        parts.append(whole + (decode(unquote_to_bytes(encode(part[2:]))) if part.startswith(ESCAPED) else part))
        whole = ""
    return "/".join(parts)


def _safe(part: str, windows: bool) -> str:
    hostile = (
        part in ("", ".", "..")
        or "\0" in part
        or part.startswith((ESCAPED, CONTINUED))
        or _PROTECTED.fullmatch(part) is not None
        or len(encode(part)) > MAX_PART
    )
    if windows and not hostile:
        hostile = bool(_WINDOWS.search(part) or part[-1] in ". " or _DEVICE.fullmatch(part))
    return _escape(part, windows) if hostile else part


def _escape(part: str, windows: bool) -> str:
    characters = [_percent(c) if c in "\0%" or (windows and _WINDOWS.match(c)) else c for c in part]
    if part in (".", "..") or _PROTECTED.fullmatch(part):
        characters = ["%2E" if c == "." else c for c in characters]
    if windows and _DEVICE.fullmatch(part):
        characters[0] = _percent(part[0])
    if windows and part[-1:] in (".", " "):
        characters[-1] = _percent(part[-1])
    pieces = [""]
    room = MAX_PART - len(ESCAPED)
    for c in characters:
        size = len(encode(c))
        if size > room:
            pieces.append("")
            room = MAX_PART - len(ESCAPED)
        pieces[-1] += c
        room -= size
    return "/".join([CONTINUED + piece for piece in pieces[:-1]] + [ESCAPED + pieces[-1]])


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in encode(character))


def folded(local: str) -> str:
    """What a path is to a file system that ignores case and Unicode normal forms (macOS, Windows)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())


class FilesAndFolders:
    """Finds paths of which one has to be a file and another, for the same name, a folder: `a` and `a/b`.

    Only the paths that the last one begins with are held.
    """

    def __init__(self) -> None:
        self._open: list[str] = []

    def add(self, path: str) -> str | None:
        """The path of a file that would have to be a folder for this one; None if there is none so far.

        Args:
            path: Paths have to come sorted by their bytes.
        """
        while self._open and not path.startswith(self._open[-1]):
            self._open.pop()
        clash = next((shorter for shorter in self._open if path.startswith(shorter + "/")), None)
        self._open.append(path)
        return clash
