"""Where a checkout goes if nobody says: a folder in `artifacts/`, which git leaves out when it was made here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refstore.backends.local.left_out import CHECKOUTS, MARK

_IGNORE = f"{MARK}*\n"


@contextmanager
def in_artifacts(name: str) -> Iterator[Path]:
    """A folder of that name in `artifacts/`, below the current folder.

    An `artifacts/` that comes into being inside the context gets a `.gitignore`, so that a `git add` of everything does
    not commit gigabytes, or goes again if it stays empty. One that was there before is left as it is.
    """
    parent = Path(CHECKOUTS)
    was_there = parent.exists()
    try:
        yield parent / name
    finally:
        if not was_there and parent.is_dir():
            with suppress(OSError):
                parent.rmdir()
            if parent.is_dir():
                with suppress(OSError):
                    (parent / ".gitignore").write_text(_IGNORE, encoding="utf-8")
