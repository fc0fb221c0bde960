"""What git knows of a catalog's files: which are committed, which are gone, and their bytes in any commit."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from refstore.records.transaction import SUFFIX

_PATIENCE = 300.0
"""Seconds that git may take over one question: a search of a long history reads much."""

_NAME = re.compile(rf"(?:.*/)?([0-9a-f]{{64}}){re.escape(SUFFIX)}", re.DOTALL)
_NOWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")


class History:
    """The git repository that a store lies in. Asks git, and changes nothing; made by `History.of`.

    Args:
        folder: The store's `.refstore`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, folder: Path) -> History | None:
        """The history of a store's `.refstore`; None outside a working tree, or without git."""
        history = cls(folder)
        answer = history._ask("rev-parse", "--is-inside-work-tree")
        return history if answer is not None and answer.strip() == b"true" else None

    def ignores(self, name: str = "records/0.jsonl") -> str | None:
        """The rule by which git ignores a file below `.refstore`, as `FILE:LINE:PATTERN`; None where it does not."""
        answer = self._ask("check-ignore", "--verbose", "--no-index", f"./{name}")
        rule = (answer or b"").decode("utf-8", "replace").partition("\t")[0]
        # the last rule that fits is told, also one that takes the file back in
        return None if not rule or rule.split(":", 2)[-1].startswith("!") else rule

    def uncommitted(self) -> set[str]:
        """The names of the files in `records/` that are not there as the last commit has them, without suffix."""
        answer = self._ask("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "./records")
        return {found[1] for line in _texts(answer) if (found := _NAME.fullmatch(line[3:]))}

    def gone(self) -> list[str]:
        """The names of the files in `records/` that git tracks and that are not there, without suffix."""
        answer = self._ask("ls-files", "-z", "--deleted", "--", "./records")
        return sorted({found[1] for line in _texts(answer) if (found := _NAME.fullmatch(line))})

    def bytes_of(self, name: str) -> Iterator[tuple[str, bytes]]:
        """What a file in `records/` held: where (a short commit, or `the index of git`), and the bytes; newest first.

        Args:
            name: The file's name without its suffix.
        """
        path = f"./records/{name}{SUFFIX}"
        staged = self._ask("cat-file", "blob", f":{path}")
        if staged is not None:
            yield "the index of git", staged
        log = self._ask("log", "--all", "--reflog", "--full-history", "--diff-filter=AM", "--format=%h", "--", path)
        for commit in (log or b"").decode("ascii", "replace").split():
            data = self._ask("cat-file", "blob", f"{commit}:{path}")
            if data is not None:
                yield commit, data

    def elsewhere(self, here: set[str]) -> Iterator[tuple[str, str]]:
        """The files of `records/` in any commit that are not in a set of names: commit and name, newest first."""
        log = self._ask(
            "log", "--all", "--reflog", "--full-history", "--no-renames", "--diff-filter=A", "--name-only", "-z",
            "--format=%x01%h", "--", "./records",
        )  # fmt: skip
        commit, told = "", set(here)
        for text in _texts(log):
            for part in text.split("\n"):
                if part.startswith("\x01"):
                    commit = part[1:]
                elif (found := _NAME.fullmatch(part)) and found[1] not in told:
                    told.add(found[1])
                    yield commit, found[1]

    def _ask(self, *words: str) -> bytes | None:
        environ = {key: value for key, value in os.environ.items() if key not in _NOWHERE}
        environ |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
        try:
            done = subprocess.run(
                ["git", "-C", str(self._folder), *words],
                capture_output=True,
                env=environ,
                timeout=_PATIENCE,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None


def _texts(answer: bytes | None) -> list[str]:
    return [text for text in (answer or b"").decode("utf-8", "surrogateescape").split("\0") if text]
