"""Progress on stderr: a line that lives while a command works and is gone when it ends."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from refstore.cli.output import Output, count, size

if TYPE_CHECKING:
    from rich.console import RenderableType

_PATIENCE = 0.3
"""Seconds before a bar appears: what is done by then needs none."""

_WIDE = 95
"""Columns that a terminal needs to show a bar beside the numbers."""


@contextmanager
def bar(label: str, out: Output) -> Iterator[Bar | None]:
    """A bar for a long command, where a person looks at stderr; else None.

    Args:
        label: What is being done: `Listing`, `Checking out`.
        out: With `--quiet` there is no bar.
    """
    if out.quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    line = Bar(label)
    try:
        yield line
    finally:
        line.stop()


class Bar:
    """Objects and bytes that are done, of how many, how fast, and how long still. A `refstore.progress.Progress`."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._lock = threading.Lock()
        self._done = [0, 0]
        self._all: tuple[int, int] | None = None
        self._started = time.monotonic()
        self._live: Any = None
        self._stopped = False
        self._timer = threading.Timer(_PATIENCE, self._show)
        self._timer.daemon = True
        self._timer.start()

    def total(self, objects: int, bytes: int) -> None:
        """How much there is in all, once that is known."""
        self._all = (objects, bytes)

    def advance(self, objects: int, bytes: int) -> None:
        """That much more is done."""
        with self._lock:
            self._done[0] += objects
            self._done[1] += bytes

    def stop(self) -> None:
        """Take the line away for good; lines of a result follow."""
        self._timer.cancel()
        with self._lock:
            self._stopped = True
            live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.live import Live

        live = Live(get_renderable=self._render, console=Console(stderr=True), refresh_per_second=8, transient=True)
        with self._lock:
            if self._stopped:
                return
            live.start()
            self._live = live

    def _render(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner
        from rich.table import Table

        objects, done = self._done
        seconds = max(time.monotonic() - self._started, 0.001)
        line = Table.grid(padding=(0, 1))
        for _ in range(5):
            line.add_column(no_wrap=True, overflow="ellipsis")
        if self._all is None:
            text = f"{count(objects, 'object')}, {size(done)}, {objects / seconds:,.0f}/s"
            line.add_row(Spinner("dots"), self._label, text, _clock(seconds))
            return line
        all_objects, all_bytes = self._all
        share = done / all_bytes if all_bytes else objects / all_objects if all_objects else 1.0
        left = _clock(seconds / share - seconds) + " left" if 0.01 < share <= 1 else ""
        room = get_terminal_size().columns
        line.add_row(
            self._label,
            ProgressBar(total=1.0, completed=min(share, 1.0), width=24) if room >= _WIDE else "",
            f"{objects:,} of {count(all_objects, 'object')}, {size(done)} of {size(all_bytes)},",
            f"{size(int(done / seconds))}/s",
            left,
        )
        return line


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
