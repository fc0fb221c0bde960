"""Folders that are no data, whatever folder they stand in: refstore's own, git's, and where checkouts go.

Each is taken where it is itself what was asked for.
"""

from __future__ import annotations

import os

from refstore.backends.local.paths import shown
from refstore.backends.notes import Notes

STORE = ".refstore"
CHECKOUTS = "artifacts"
"""The folder that checkouts go to if nobody says."""
MARK = "# What refstore checked out can be checked out again. To commit it, delete this file.\n"
"""What the `.gitignore` begins with that refstore puts into an `artifacts/` of its own making."""

_STORE = "Left out, because it is a store of refstore itself"
_GIT = "Left out, because it holds git's history and no data (to take it, add it by its own path)"
_CHECKOUTS = "Left out, because refstore checks out into it (to take it, add it by its own path)"


def leaves_out(folder: str, name: str, notes: Notes) -> bool:
    """Whether a folder below the one that was asked for is left out; a note names it.

    An `artifacts/` is one for checkouts where refstore made it, or where it stands beside a store.

    Args:
        folder: What it stands in, with a slash at its end.
        name: Its own.
        notes: Learns of it.
    """
    if name == STORE:
        finding = _STORE
    elif name == ".git":
        finding = _GIT
    elif name == CHECKOUTS and _is_for_checkouts(folder + name):
        finding = _CHECKOUTS
    else:
        return False
    notes.add(finding, shown(folder + name))
    return True


def _is_for_checkouts(path: str) -> bool:
    if os.path.isdir(os.path.join(os.path.dirname(path), STORE)):  # noqa: PTH112, PTH118, PTH120
        return True
    try:
        with open(os.path.join(path, ".gitignore"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            return file.read(len(MARK)) == MARK
    except (OSError, UnicodeDecodeError):
        return False
