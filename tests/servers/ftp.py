"""pyftpdlib: an FTP server over a folder, for the backend that serves all other protocols of fsspec."""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from .running import Run

USER, PASSWORD = "me", "hunter2"


@dataclass(frozen=True)
class Ftp:
    """An FTP server over the folder `root`; `USER` with `PASSWORD` may read and write there, nobody else."""

    host: str
    port: int
    root: str

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def folder(self) -> Path:
        """A new folder below the root."""
        path = Path(self.root) / f"f-{uuid.uuid4().hex[:12]}"
        path.mkdir()
        return path


def shared(run: Run) -> Ftp:
    return run.shared("ftp", Ftp, lambda: _start(run))


def _start(run: Run) -> Ftp:
    folder, port = run.server_folder("ftp"), run.port()
    root = folder / "data"
    root.mkdir()
    login = ["-w", "-u", USER, "-P", PASSWORD]
    command = [sys.executable, "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", str(port), "-d", str(root), *login]
    run.spawn(folder, command, port=port)
    return Ftp("127.0.0.1", port, str(root))
