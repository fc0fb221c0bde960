"""One test run: its folder, its ports, and the servers that all its processes share.

The process that pytest was started as owns the run. Its xdist workers get the folder's name, and whichever of them
first asks for a server starts it, under a file lock, and leaves what the others need to know in a JSON file. Nothing is
started that no test asks for. `guard.py` ends each server when the owner is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from .install import SERVERS

RUNS = SERVERS / "runs"
RUNS_KEPT = 5

T = TypeVar("T")


class ServerFailedError(Exception):
    """A server did not start; the message ends with what it last logged."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A view of the run's folder, the same from every process of the run."""

    folder: Path

    def shared(self, name: str, type_: Callable[..., T], start: Callable[[], T]) -> T:
        """The server called `name`: started by the first who asks, read from its state file by all others.

        `type_` is a dataclass whose fields JSON can hold.
        """
        state = self.folder / f"{name}.json"
        with self._lock(name):
            if state.exists():
                known = json.loads(state.read_text())
                if "failed" in known:
                    raise ServerFailedError(known["failed"])
                return type_(**known)
            try:
                server = start()
            except Exception as error:
                state.write_text(json.dumps({"failed": f"{name}: {error}"}))
                raise
            state.write_text(json.dumps(dataclasses.asdict(server)))  # type: ignore[call-overload]
            return server

    def server_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def port(self) -> int:
        """A free port of 127.0.0.1 that this run has not handed out before, below those the kernel gives to clients."""
        with self._lock("ports"):
            taken = self.folder / "ports.txt"
            used = set(taken.read_text().split()) if taken.exists() else set()
            while True:
                port = random.randrange(15000, 29000)
                if str(port) not in used and _is_free(port):
                    break
            taken.write_text(" ".join([*sorted(used), str(port)]))
            return port

    def spawn(
        self,
        folder: Path,
        command: Sequence[str | Path],
        *,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> None:
        """Start `command` under a guard, logging to `folder`/log, and wait until it listens on `port`."""
        guard = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))]
        with (folder / "log").open("ab") as log:
            subprocess.Popen(
                [*guard, str(self.folder), str(folder), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**server_environment(folder), **(env or {})},
                start_new_session=True,
            ).returncode = 0  # it outlives this process on purpose: no ResourceWarning when the handle goes
        if port is not None:
            self.wait(folder, lambda: _answers(port), timeout)

    def wait(self, folder: Path, ready: Callable[[], bool], timeout: float = 60) -> None:
        """Poll until `ready()`; raise ServerFailedError when the server has exited or the time is over."""
        end = time.monotonic() + timeout
        while not ready():
            exited = folder / "exit"
            if exited.exists() or time.monotonic() > end:
                what = f"exited with {exited.read_text()}" if exited.exists() else f"not ready after {timeout:g} s"
                raise ServerFailedError(f"{what}; {folder}/log ends with:\n{_tail(folder / 'log')}")
            time.sleep(0.02)

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with (self.folder / f"{name}.lock").open("w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield


class Owner:
    """What the pytest process that owns the run does: make the folder, hold it alive, and stop everything."""

    def __init__(self) -> None:
        RUNS.mkdir(parents=True, exist_ok=True)
        self.folder = RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        self.folder.mkdir()
        self._alive: IO[bytes] = (self.folder / "alive").open("wb")
        fcntl.flock(self._alive, fcntl.LOCK_EX)

    def stop(self) -> None:
        """End all servers, drop what they stored, keep their logs, and forget all but the last few runs."""
        self._alive.close()
        end = time.monotonic() + 15
        while any(self.folder.rglob("guard.pid")) and time.monotonic() < end:
            time.sleep(0.05)
        for data in [*self.folder.glob("*/data"), self.folder / "www"]:
            shutil.rmtree(data, ignore_errors=True)
        for old in sorted(RUNS.iterdir())[:-RUNS_KEPT]:
            if not _is_alive(old):
                shutil.rmtree(old, ignore_errors=True)


def server_environment(folder: Path) -> dict[str, str]:
    """What a server sees of this machine: nothing of the user's settings, and a home of its own."""
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH"}}
    return {
        **kept,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }


def _is_alive(run_folder: Path) -> bool:
    try:
        with (run_folder / "alive").open("rb") as f:
            fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _tail(log: Path, size: int = 2000) -> str:
    return log.read_bytes()[-size:].decode(errors="replace") if log.exists() else "(nothing)"
