"""DVC as its users have it: a repository of git, with hard links to its cache so that nothing is stored twice."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from benchmarks import environments
from benchmarks.bench import Bench

_SETTINGS = {"cache.type": "hardlink", "core.analytics": "false", "core.check_update": "false"}


class Repository:
    """A new repository.

    Attributes:
        folder: Where it is.
        cache: Where it keeps content, and of each version a list of all files.
    """

    def __init__(self, bench: Bench, folder: Path | None = None) -> None:
        self._bench, self._program = bench, environments.program("dvc")
        self.folder = folder or Path(tempfile.mkdtemp(prefix="dvc-", dir=bench.folder))
        self.folder.mkdir(exist_ok=True)
        self.cache = self.folder / ".dvc/cache"
        _git(self.folder, "init", "--quiet")
        self.do("init", "--quiet")
        # its own notes of files and listings, which are by default of all repositories of a machine
        for name, value in (_SETTINGS | {"core.site_cache_dir": str(self.folder / ".dvc/site")}).items():
            self.do("config", name, value)

    def words(self, *words: object) -> list[object]:
        """The words of a command."""
        return [self._program, *words]

    def do(self, *words: object, env: dict[str, str] | None = None) -> None:
        """A command that is not measured."""
        self._bench.once(self.words(*words), self.folder, env)

    def commit(self) -> None:
        """Make a commit of all that git is to keep."""
        _git(self.folder, "add", "--all")
        _git(self.folder, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "one")

    def lists(self) -> int:
        """How many bytes its lists of files have."""
        return sum(file.stat().st_size for file in self.cache.rglob("*.dir"))


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
