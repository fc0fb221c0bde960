"""People who work on one repository: real clones, each with a store, and what refstore says of each."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import refstore
from refstore.catalog.catalog import Catalog

IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class Clone:
    """A working tree with a store in it.

    Attributes:
        root: The folder with `.git` and `.refstore`.
        data: A folder of its own, outside, for what is added.
    """

    root: Path
    data: Path

    def git(self, *words: str, code: int | None = 0) -> str:
        """Run git; what it printed."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_EDITOR": "true"}
        done = subprocess.run(
            ["git", *IDENTITY, *words], cwd=self.root, env=environ, capture_output=True, text=True, check=False
        )
        assert code is None or done.returncode == code, f"git {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def commit(self, message: str = "work") -> str:
        """Commit all that is new; the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def commit_of(self, name: str) -> str:
        """The commit of a branch."""
        return self.git("rev-parse", name).strip()

    def branch(self, name: str, start: str = "main") -> None:
        """Go to a new branch."""
        self.git("checkout", "-q", "-b", name, start)

    def go(self, name: str) -> None:
        """Go to a branch or commit."""
        self.git("checkout", "-q", name)

    def add(self, name: str, **files: str) -> str:
        """Record some files as a version, alone; the id of its record."""
        return self.record(name, files).id

    def record(self, name: str, files: dict[str, str], **labels: Any) -> refstore.Version:
        """Record some files as a version, alone."""
        for old in self.data.iterdir():
            old.unlink()
        for path, text in files.items():
            (self.data / path).write_text(text)
        with refstore.open(self.root) as store:
            version = store.add(self.data, name=name, **labels).version
        assert version is not None
        return version

    @property
    def records(self) -> Path:
        """The folder `records/`."""
        return self.root / ".refstore" / "records"

    def names(self) -> set[str]:
        """The names of the files in it."""
        return {path.name for path in self.records.glob("*.jsonl")}

    def state(self) -> list[tuple[Any, ...]]:
        """All that the records add up to, as the index says after it followed the files."""
        with Catalog(self.root / ".refstore") as catalog:
            assert catalog.problems() == []
            assert catalog.damage() is None
            return list(catalog.state())

    def fresh_state(self, folder: Path) -> list[tuple[Any, ...]]:
        """The same as an index says that never saw these files before."""
        with Catalog(self.root / ".refstore", str(folder)) as catalog:
            return list(catalog.state())

    def ids(self, artifact: str) -> dict[str, int]:
        """The number of each version of an artifact, by the id of its record."""
        with refstore.open(self.root) as store:
            return {version.id: version.number for version in store.versions(artifact)}

    def cli(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command of refstore in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "refstore", *words], cwd=self.root, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done


def make(folder: Path) -> Clone:
    """A repository with a store, and a first version of `mnist` on its branch `main`."""
    root, data = folder / "repo", folder / "data"
    root.mkdir(parents=True)
    data.mkdir()
    clone = Clone(root, data)
    clone.git("init", "-q", "-b", "main")
    with refstore.create(root):
        pass
    clone.add("mnist", a="a", b="b", c="c")
    clone.commit("first")
    return clone


def clone_of(other: Clone, folder: Path) -> Clone:
    """A clone of a clone."""
    data = folder / "data"
    data.mkdir(parents=True)
    other.git("clone", "-q", str(other.root), str(folder / "repo"))
    return Clone(folder / "repo", data)
