"""What the measurements share: servers, processes, repetition, and the table that they end in."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.acceptance.process import REFSTORE, Ran, measured
from tests.conftest import FOREIGN
from tests.servers import seaweed_bulk
from tests.servers.running import Run
from tests.servers.s3 import S3Server

_SILENT = ("DATACHAIN_NO_ANALYTICS", "DVC_NO_ANALYTICS", "ITERATIVE_DO_NOT_TRACK", "WANDB_SILENT")
"""What keeps the peers from reporting their use."""


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        what: What was done, and with how much.
        seconds: By the clock: the median of `runs`.
        runs: How often.
        cpu: Seconds of all cores: the median.
        peak: The largest resident set, in bytes: the median.
        requests: How many were made to the server; None where there is none.
        against: What it is compared with.
        ratio: Its seconds (or bytes) in terms of those of `against`; None for what others are compared with.
        note: What else is to be known.
        low: Seconds of the fastest run; None where there was one.
        high: Of the slowest.
        kept: Bytes that it keeps on disk.
        at_most: The target: the most that `ratio` may be; None where there is none.
        failed: Whether this is ours, and could not be measured.
    """

    what: str
    seconds: float | None = None
    runs: int = 1
    cpu: float | None = None
    peak: int | None = None
    requests: int | None = None
    against: str = ""
    ratio: float | None = None
    note: str = ""
    low: float | None = None
    high: float | None = None
    kept: int | None = None
    at_most: float | None = None
    failed: bool = False


@dataclass(frozen=True)
class Took:
    """Several runs of the same, by their medians."""

    seconds: float
    cpu: float
    peak: int
    requests: int | None
    runs: int
    last: Ran
    low: float | None = None
    high: float | None = None
    kept: int | None = None

    def result(
        self,
        what: str,
        against: str = "",
        other: Took | None = None,
        note: str = "",
        at_most: float | None = None,
    ) -> Result:
        """A line of the table; `other` is what `against` took, and `at_most` the target for the ratio."""
        return Result(
            what,
            self.seconds,
            self.runs,
            self.cpu,
            self.peak,
            self.requests,
            against,
            self.seconds / other.seconds if other else None,
            note,
            self.low,
            self.high,
            self.kept,
            at_most,
        )


class Failed(SystemExit):
    """A command that had to succeed did not; the message ends with what it said."""


class Bench:
    """One run of the measurements.

    Attributes:
        quick: Whether it is to be over soon: a tenth of the data, and everything once.
        folder: A temporary folder for stores and trees.
        shrink: By what the number of objects is divided.
    """

    def __init__(self, run: Run, folder: Path, quick: bool, shrink: int = 0) -> None:
        self.run, self.folder, self.quick = run, folder, quick
        self.shrink = shrink or (10 if quick else 1)
        (folder / "home").mkdir()

    def scaled(self, number: int) -> int:
        """So many, or a tenth of it in a quick run."""
        return number // self.shrink

    @cached_property
    def server(self) -> S3Server:
        """SeaweedFS, behind an access log."""
        return seaweed_bulk.shared_server(self.run)

    def bucket(self, count: int) -> seaweed_bulk.Bulk:
        """A bucket with versions and so many small objects."""
        return seaweed_bulk.shared(self.run, count, 0)

    def store(self) -> Path:
        """A new folder with an empty store."""
        folder = Path(tempfile.mkdtemp(prefix="store-", dir=self.folder))
        self.once([*REFSTORE, "init"], folder)
        return folder

    def tree(self, count: int) -> Path:
        """A tree of so many small files, a thousand in a folder; made once."""
        root = self.folder / f"tree-{count}"
        if not root.exists():
            for number in range(count):
                folder = root / f"d{number // 1000:04d}"
                if number % 1000 == 0:
                    folder.mkdir(parents=True)
                (folder / f"f{number:07d}.bin").write_bytes(b"object %d\n" % number)
        return root

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a measured process sees: nothing of the user's settings, nor what keeps Python from keeping bytecode."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith((*FOREIGN, "PYTHON"))}
        kept |= {"HOME": str(self.folder / "home"), "NO_PROXY": "*", "AWS_EC2_METADATA_DISABLED": "true"}
        kept |= dict.fromkeys(_SILENT, "true")
        # The others were installed with their bytecode; without it this checkout would be compiled at each start.
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        return kept | {"PYTHONPATH": str(Path(__file__).parents[1])} | dict(more or {})

    def once(
        self, command: Sequence[object], cwd: Path, env: Mapping[str, str] | None = None, limit: float = 3600
    ) -> Ran:
        """Run a command that has to succeed, within so many seconds."""
        ran = measured(command, cwd, self.environment(env), timeout=limit)
        if ran.code:
            raise Failed(f"{' '.join(map(str, command))} ended with {ran.code}:\n{ran.err[-2000:]}")
        return ran

    def took(
        self,
        command: Sequence[object],
        cwd: Callable[[], Path] | Path,
        env: Mapping[str, str] | None = None,
        *,
        runs: int = 3,
        requests: Callable[[], int] | None = None,
        limit: float = 3600,
    ) -> Took:
        """Run a command some times (once in a quick run), and take the medians.

        Args:
            command: Its words.
            cwd: Where; a function is called before each run, outside of the time that is measured.
            env: Variables.
            runs: How often.
            requests: How many requests the server has had so far; they are counted in the last run.
            limit: The seconds that a run may take.
        """
        ended: list[Took] = []
        for _ in range(1 if self.quick else runs):
            folder = cwd if isinstance(cwd, Path) else cwd()
            before = requests() if requests else 0
            ran = self.once(command, folder, env, limit)
            asked = requests() - before if requests else None
            ended.append(Took(ran.seconds, ran.cpu, ran.peak, asked, 1, ran))
        return together(ended)

    def interleaved(
        self,
        commands: Mapping[str, tuple[Sequence[object], Callable[[], Path] | Path]],
        env: Mapping[str, str],
        *,
        runs: int = 3,
        requests: Callable[[], int] | None = None,
    ) -> dict[str, Took]:
        """Run several commands in turns, so that what else the machine does meets them all; the medians of each.

        Args:
            commands: By name: the words, and where (see `took`).
            env: Variables.
            runs: How many turns.
            requests: As in `took`.
        """
        turns: dict[str, list[Took]] = {name: [] for name in commands}
        for _ in range(1 if self.quick else runs):
            for name, (words, cwd) in commands.items():
                turns[name].append(self.took(words, cwd, env, runs=1, requests=requests))
        return {name: together(took) for name, took in turns.items()}

    def requests(self, bucket: str) -> Callable[[], int]:
        """Counts the requests to a bucket by the server's own log."""
        start = self.server.mark()
        return lambda: len(self.server.requests_since(start, bucket))


def together(took: Sequence[Took]) -> Took:
    """Several runs as one: the medians, and the fastest and the slowest."""
    seconds = [each.seconds for each in took]
    return Took(
        statistics.median(seconds),
        statistics.median(each.cpu for each in took),
        int(statistics.median(each.peak for each in took)),
        took[-1].requests,
        len(took),
        took[-1].last,
        min(seconds) if len(took) > 1 else None,
        max(seconds) if len(took) > 1 else None,
    )


def refstore(*words: object) -> list[object]:
    """The words of a command of refstore."""
    return [*REFSTORE, *words]


def peer(name: str, *words: object) -> list[object]:
    """The words that run one of `peers.py`."""
    return [sys.executable, "-m", "benchmarks.peers", name, *words]


def forget(folder: Path) -> None:
    """Delete a folder that is not needed any more."""
    shutil.rmtree(folder, ignore_errors=True)
