"""A command line as a record may hold it: what looks like a credential is left out."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

HIDDEN = "***"

_SECRET = (
    r"(?:[\w\-]*[_\-])?(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|auth(?:orization)?|bearer|"
    r"sig(?:nature)?|sas|(?:(?:api|access|auth|private|account|secret|encryption|ssh)[_\-]?)key(?:[_\-]?id)?|"
    r"apikey|connection[_\-]?string)(?:[_\-](?:key|id|value|string))?"
)
_NAME = re.compile(rf"-{{0,2}}{_SECRET}", re.IGNORECASE)
_ASSIGNED = re.compile(rf"((?:^|[?&;,\s])-{{0,2}}[\w\-.]*?{_SECRET}\s*[=:])([^&;,\s]+)", re.IGNORECASE)
_SIGNED = re.compile(r"((?:X-Amz|X-Goog)-(?:Signature|Credential|Security-Token)=)[^&\s]+", re.IGNORECASE)
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://)[^/?#\s@]+@")
_KNOWN = re.compile(
    r"(?<![\w])(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_\w{20,}|github_pat_\w{20,}|hf_\w{20,}|sk-[\w\-]{20,}|xox[abp]-[\w\-]+"
    r"|eyJ[\w\-]{10,}\.[\w\-]+\.[\w\-]+"
)


def redacted(arguments: Sequence[str]) -> tuple[str, ...]:
    """The words of a command line with `***` where a password, a token or a signature stands."""
    out: list[str] = []
    hide = False
    for word in arguments:
        if hide and not word.startswith("-"):
            out.append(HIDDEN)
            hide = False
            continue
        hide = word.startswith("-") and _NAME.fullmatch(word) is not None
        out.append(_clean(word))
    return tuple(out)


def command_line() -> tuple[str, ...]:
    """How this program was started."""
    words = list(getattr(sys, "orig_argv", ())) or [sys.executable, *sys.argv]
    if "-c" in words[1:3]:
        at = words.index("-c") + 1
        words[at : at + 1] = ["…"]
    return tuple(word.encode("utf-8", "replace").decode() for word in redacted(words))


def _clean(word: str) -> str:
    word = _USER_INFO.sub(rf"\1{HIDDEN}@", word)
    word = _SIGNED.sub(rf"\1{HIDDEN}", word)
    word = _ASSIGNED.sub(rf"\1{HIDDEN}", word)
    return _KNOWN.sub(HIDDEN, word)
