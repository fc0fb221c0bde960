"""Commands that are killed without warning, and what a store is that survived."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import refstore


class Warm:
    """Runs commands of refstore in processes that are ready at once; see `warm.py`."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / "output"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def run(
        self,
        *words: object,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        kill_after: float | None = None,
        kill_at_change: int = 0,
    ) -> tuple[int, float]:
        """Run a command; its exit code, or -9 where it was killed, and how many seconds it had.

        `kill_after` so many seconds, or before its so manieth change of a file system.
        """
        assert self._process.stdin
        self._output.unlink(missing_ok=True)
        task = {"words": [str(word) for word in words], "cwd": str(cwd), "env": dict(env or {})}
        task |= {"output": str(self._output), "kill_at_change": kill_at_change}
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        pid, start = self._answer(), time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return self._answer(), time.monotonic() - start

    def succeed(self, *words: object, cwd: Path, env: Mapping[str, str] | None = None) -> float:
        """Run a command that has to succeed; how many seconds it took."""
        code, seconds = self.run(*words, cwd=cwd, env=env)
        assert code == 0, f"refstore {words} ended with {code}: {self._output.read_text()}"
        return seconds

    def _answer(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


@dataclass(frozen=True)
class State:
    """All that a store says of an artifact: of each version its number, digest, labels and entries."""

    versions: tuple[tuple[Any, ...], ...]


def state(root: Path, name: str) -> State:
    with refstore.open(root) as store:
        assert store.catalog.problems() == []
        return State(
            tuple(
                (v.number, v.digest, tuple(v.aliases), tuple(entry.to_json().items() for entry in v.files()))
                for v in store.versions(name)
            )
        )


def check_whole(root: Path, name: str) -> None:
    """The files of the catalog are what their names say, and the index says what they do."""
    folder = root / ".refstore"
    for file in (folder / "records").iterdir():
        data = file.read_bytes()
        assert file.stem == hashlib.sha256(data).hexdigest()
        assert all(isinstance(json.loads(line), dict) for line in data.splitlines())
    before = state(root, name)
    for file in folder.glob("catalog.db*"):
        file.unlink()
    assert state(root, name) == before, "the index did not say what the records say"


def leftovers(root: Path) -> list[str]:
    """What unfinished commands left in the store."""
    return [path.name for path in _files(root / ".refstore" / "tmp")]


def content(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
