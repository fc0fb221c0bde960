"""The command line: a skin over the Python API. A command calls it and prints; nothing else in refstore prints.

May import everything. Never holds a rule of its own about stores, sources or versions.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        words: What follows `refstore` on the command line; None for this process's own.

    Returns:
        The exit code; `refstore.errors` and `docs/cli.md` list them.
    """
    own = words is None
    words = sys.argv[1:] if words is None else words
    if list(words) == ["--version"]:
        # What scripts and prompts ask for needs none of what follows.
        print_version()
        return 0
    if own:
        # Imports and pages of rows are all that most commands make, and neither has cycles: a tenth of the time of both
        # was the collector's.
        gc.set_threshold(20_000, 50, 50)
    from refstore.cli.app import app
    from refstore.cli.ending import run

    return run(app, words)


def print_version() -> None:
    """`refstore 0.1.0`."""
    from refstore.version_number import __version__

    print(f"refstore {__version__}")
