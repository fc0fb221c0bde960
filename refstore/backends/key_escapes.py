"""How keys stand in URIs that people read and type: as they are, but for what has a meaning there or can't be printed.

`escape` writes `%`, `?` and `#`, and every character that can't be printed, as percent-escapes of its UTF-8 bytes.
`unescape` undoes exactly these and no others, so that a key typed by hand is nearly always itself: `a%20b` names the
key `a%20b`.
"""

from __future__ import annotations

import re

_RUN = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def escape(key: str) -> str:
    """The key as a URI shows it."""
    if key.isprintable() and not any(character in key for character in "%?#"):
        return key
    return "".join(_escaped(character) if _has_meaning(character) else character for character in key)


def unescape(text: str) -> str:
    """The key that a URI means."""
    return _RUN.sub(_undone, text) if "%" in text else text


def _has_meaning(character: str) -> bool:
    return character in "%?#" or not character.isprintable()


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _undone(run: re.Match[str]) -> str:
    raw = bytes.fromhex(run[0].replace("%", ""))
    out, at = [], 0
    while at < len(raw):
        # The first byte of a character says how many there are of it; any other byte stands alone.
        lead = raw[at]
        length = 1 if lead < 0xC2 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
        try:
            character = raw[at : at + length].decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            character, length = "", 1
        kept = character if len(character) == 1 and _has_meaning(character) else run[0][3 * at : 3 * (at + length)]
        out.append(kept)
        at += length
    return "".join(out)
