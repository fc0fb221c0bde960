"""The command line in this process, which is fast. What only a process of its own shows is in `test_process.py`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from refstore.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        """Its only JSON line."""
        (line,) = self.lines
        return line


Cli = Callable[..., Ran]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`cli("add", path, "--name", "mnist")` runs a command that has to succeed; `code=4` one that has to end so."""

    def run(*words: object, code: int = 0) -> Ran:
        capsys.readouterr()
        ended = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert ended == code, f"ended with {ended}, not {code}: {out}{err}"
        assert "Traceback" not in err
        return Ran(ended, out, err)

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with three files."""
    folder = tmp_path / "data"
    (folder / "raw").mkdir(parents=True)
    (folder / "labels.json").write_text('{"classes": 10}\n')
    (folder / "raw" / "train.csv").write_text("1,2,3\n" * 1000)
    (folder / "raw" / "test.csv").write_text("4,5,6\n")
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> Path:
    """A folder with an empty store, which is the current folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    cli("init")
    return folder


@pytest.fixture
def mnist(project: Path, data: Path, cli: Cli) -> Path:
    """The data, recorded as `mnist:v0`, then changed and recorded as `mnist:v1`. The value is the project."""
    cli("add", data, "--name", "mnist", "--type", "dataset", "--description", "as downloaded")
    (data / "labels.json").unlink()
    (data / "raw" / "extra.csv").write_text("7\n")
    (data / "raw" / "test.csv").write_text("4,5,6\n7,8,9\n")
    cli("add", data, "--name", "mnist", "--alias", "fixed", "--metadata", '{"split": "all"}')
    return project


@pytest.fixture
def command() -> list[str]:
    """The words that start refstore in a process of its own."""
    return [sys.executable, "-m", "refstore"]


def environment(**more: str) -> dict[str, str]:
    """This process's environment with some variables set."""
    return {**os.environ, **more}
