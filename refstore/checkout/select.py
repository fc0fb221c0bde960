"""Which entries `--path GLOB` means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from refstore.errors import ArtifactNotFound


class Selection:
    """A set of globs over entry paths. With no globs it takes everything.

    `*` and `?` stay within one part of a path, `**` crosses parts, `[a-z]` and `[!a-z]` are sets. A glob takes in a
    folder with all that is below it: `train` takes `train/a.png`, and never `train2/a.png`. A glob that is exactly an
    entry's path means that entry, whatever characters it holds.

    Attributes:
        globs: As given, without trailing slashes.
    """

    def __init__(self, globs: Sequence[str] = ()) -> None:
        self.globs = tuple(glob.rstrip("/") or glob for glob in globs)
        self._patterns = [_compiled(glob) for glob in self.globs]
        self._used: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self.globs)

    def takes(self, path: str) -> bool:
        """Whether an entry is meant."""
        if not self.globs:
            return True
        found = False
        for number, (glob, pattern) in enumerate(zip(self.globs, self._patterns, strict=True)):
            if path == glob or path.startswith(glob + "/") or pattern.fullmatch(path):
                self._used.add(number)
                found = True
        return found

    def check_used(self, label: str) -> None:
        """Refuse globs that no entry matched: they are most likely mistyped.

        Raises:
            ArtifactNotFound: There is one.
        """
        unused = [glob for number, glob in enumerate(self.globs) if number not in self._used]
        if unused:
            raise ArtifactNotFound(
                f"No file of {label} matches {', '.join(map(repr, unused))}: see `refstore ls {label}`."
            )


def _compiled(glob: str) -> re.Pattern[str]:
    try:
        return re.compile(_regex(glob) + r"(/.*)?", re.DOTALL)
    except re.error:
        return re.compile(re.escape(glob) + r"(/.*)?", re.DOTALL)


def _regex(glob: str) -> str:
    out, i = "", 0
    while i < len(glob):
        c = glob[i]
        i += 1
        if c == "*":
            if glob[i : i + 1] != "*":
                out += "[^/]*"
                continue
            while glob[i : i + 1] == "*":
                i += 1
            if glob[i : i + 1] == "/":
                i += 1
                out += "(?:.*/)?"
            else:
                out += ".*"
        elif c == "?":
            out += "[^/]"
        elif c == "[" and (end := glob.find("]", i + 2 if glob[i : i + 1] in "!^" else i + 1)) > 0:
            inside = glob[i:end].replace("\\", "\\\\").replace("[", "\\[")
            i = end + 1
            out += "(?!/)[" + ("^" + inside[1:] if inside[0] in "!^" else inside) + "]"
        else:
            out += re.escape(c)
    return out
