"""The same work done by several, in turns, so that what else the machine does meets them all.

One that can't be installed, or fails, is a line of the report and not the end of the run.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bench import Bench, Failed, Result, Took, together
from benchmarks.environments import PeerMissing
from tests.servers.install import NotInstalledError
from tests.servers.running import ServerFailedError

REFSTORE = "refstore"
FAILURES = (Failed, PeerMissing, NotInstalledError, ServerFailedError, OSError, subprocess.TimeoutExpired)

LIMIT = 600
"""Seconds after which a command is given up (a tenth of it in a quick run)."""


@dataclass(frozen=True)
class Entrant:
    """One way to do the work.

    Attributes:
        words: The command that is measured.
        cwd: Where it runs; a function is called before each turn, outside of the time, and prepares what is needed.
        kept: How many bytes it keeps on disk, asked after its last turn.
        turns: The most turns it gets, where one takes minutes; 0 for as many as the others.
    """

    words: Sequence[object]
    cwd: Callable[[], Path] | Path
    kept: Callable[[], int] | None = None
    turns: int = 0


class Race:
    """Some entrants. `enter` them, `run`, then ask for the `lines`.

    Args:
        bench: Where they run.
        what: The work, as the report calls it.
        env: Variables for all of them.
        requests: How many requests the server has had so far.
        runs: How many turns each gets (one in a quick run).
    """

    def __init__(
        self,
        bench: Bench,
        what: str,
        env: Mapping[str, str] | None = None,
        *,
        requests: Callable[[], int] | None = None,
        runs: int = 3,
    ) -> None:
        self._bench, self._what, self._env = bench, what, dict(env or {})
        self._requests, self._runs = requests, 1 if bench.quick else runs
        self._makers: dict[str, Callable[[], Entrant]] = {}
        self.took: dict[str, Took] = {}
        self.failed: dict[str, str] = {}

    def enter(self, name: str, make: Callable[[], Entrant]) -> None:
        """Add one. `make` installs and prepares what it needs, and may fail."""
        self._makers[name] = make

    def run(self) -> Race:
        """Run all in turns."""
        entrants: dict[str, Entrant] = {}
        for name, make in self._makers.items():
            try:
                entrants[name] = make()
            except FAILURES as error:
                self.failed[name] = _reason(error)
        turns: dict[str, list[Took]] = {name: [] for name in entrants}
        for turn in range(self._runs):
            for name, entrant in entrants.items():
                if name not in self.failed and turn < (entrant.turns or self._runs):
                    try:
                        turns[name].append(self._one(entrant))
                    except FAILURES as error:
                        self.failed[name] = _reason(error)
        for name, took in turns.items():
            if name not in self.failed:
                kept = entrants[name].kept
                self.took[name] = replace(together(took), kept=kept() if kept else None)
        return self

    def _one(self, entrant: Entrant) -> Took:
        limit = LIMIT / 10 if self._bench.quick else LIMIT
        return self._bench.took(entrant.words, entrant.cwd, self._env, runs=1, requests=self._requests, limit=limit)

    def lines(self, at_most: Mapping[str, float], ours: str = REFSTORE) -> Iterator[Result]:
        """A line for each of the others, and one of ours, and its ratio to each.

        Args:
            at_most: The target: by name of the other, the most that ours may take in terms of it.
            ours: The name of ours.
        """
        for name, reason in self.failed.items():
            yield Result(f"{name}: {self._what}", note=f"failed: {reason}", failed=name == ours)
        for name, took in self.took.items():
            if name != ours:
                yield took.result(f"{name}: {self._what}")
        if mine := self.took.get(ours):
            yield mine.result(f"{ours}: {self._what}")
            for name, took in self.took.items():
                if name != ours:
                    ratio, limit = mine.seconds / took.seconds, at_most.get(name)
                    yield Result(f"{ours}: {self._what}", against=name, ratio=ratio, at_most=limit)


def _reason(error: BaseException) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done after {error.timeout:.0f} s"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].replace("|", "/")[:300]
