"""Which paths a glob takes: `*.png` at any depth, `train/*.png` from the top; `*` stops at `/`, `**` does not.

A glob that takes a folder takes all that is below it: `train` takes `train/a.png`, and never `train2/a.png`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from refstore.errors import UsageError


def _translate(pattern: str) -> str:
    anywhere = "/" not in pattern.rstrip("/")
    pattern = pattern.strip("/")
    out = "(?:.*/)?" if anywhere else ""
    i = 0
    while i < len(pattern):
        rest = pattern[i:]
        if rest.startswith("**/"):
            out += "(?:.*/)?"
            i += 3
        elif rest.startswith("**"):
            out += ".*"
            i += 2
        elif rest[0] == "*":
            out += "[^/]*"
            i += 1
        elif rest[0] == "?":
            out += "[^/]"
            i += 1
        elif match := re.match(r"\[(!?)(\]?[^\]]*)\]", rest):
            inside = match[2].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            out += f"[{'^' if match[1] else ''}{inside}]"
            i += match.end()
        else:
            out += re.escape(rest[0])
            i += 1
    return out + "(?:/.*)?"


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test of whether any of some globs takes a path. Without globs, none does.

    Args:
        patterns: `*`, `?`, `[…]` and `**`. One without `/` (but at its end) is tried at every depth.

    Raises:
        UsageError: One of them has no meaning: `[z-a]`.
    """
    if not patterns:
        return lambda path: False
    try:
        match = re.compile("|".join(f"(?:{_translate(p)})" for p in patterns), re.DOTALL).fullmatch
    except re.error as error:
        raise UsageError(f"{', '.join(map(repr, patterns))} is not a glob ({error}).") from error
    return lambda path: match(path) is not None
