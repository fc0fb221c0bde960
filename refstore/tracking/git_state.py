"""The state of the code that runs: the commit, and whether the files differ from it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 20.0
"""Seconds that git may take over a question, before a run begins without the answer."""


@dataclass(frozen=True, slots=True)
class GitState:
    """What git says of a folder.

    Attributes:
        root: The folder that holds `.git`.
        commit: What is checked out, in hex; "" where nothing was committed yet.
        dirty: Whether tracked files differ from it. The store's own files don't count.
        diff: The SHA-256 of that difference, in hex; "" where there is none.
    """

    root: Path
    commit: str
    dirty: bool
    diff: str


def git_root(folder: Path) -> Path | None:
    """The first folder, from this one upwards, that holds `.git`. Asks the file system alone."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def git_state(folder: Path) -> GitState | None:
    """What git says of a folder; None outside a repository, without git, or where it does not answer."""
    root = git_root(folder)
    if root is None:
        return None
    commit = _ask(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit is None:
        return None
    name = commit.decode("ascii", "replace").strip()
    if not name:
        return GitState(root, "", False, "")
    diff = _ask(root, "diff", "--no-ext-diff", "--binary", "HEAD", "--", ".", ":(exclude,top).refstore")
    digest = hashlib.sha256(diff).hexdigest() if diff else ""
    return GitState(root, name, bool(diff), digest)


def _ask(root: Path, *arguments: str) -> bytes | None:
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, env=environ, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode in (0, 1) else None
