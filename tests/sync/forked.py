"""Pushes and pulls in processes of their own, which are ready at once and can be killed; see `acceptance/warm.py`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType


class Forked:
    """Runs `push` and `pull` of stores with a remote in a folder."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sync.forked"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def run(
        self, action: str, store: Path, remote: Path, *, kill_at_change: int = 0, kill_after: float | None = None
    ) -> tuple[int, float]:
        """The exit code, or -9 where it was killed, and how many seconds it took."""
        assert self._process.stdin
        assert self._process.stdout
        task = {"action": action, "store": str(store), "remote": str(remote), "kill_at_change": kill_at_change}
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        pid, start = int(self._process.stdout.readline()), time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return int(self._process.stdout.readline()), time.monotonic() - start


def child(task: dict[str, str]) -> None:
    import refstore
    from refstore.records import transaction
    from refstore.sync import bundles
    from refstore.sync.pull import pull
    from refstore.sync.push import push
    from refstore.sync.stored import StoredRemote
    from tests.acceptance.warm import kill_at_change

    # small enough for a few hundred entries to be written in several steps
    transaction.PART_SIZE, bundles.BUNDLE = 8 << 10, 4 << 10
    with refstore.open(task["store"]) as store:
        if task["kill_at_change"]:
            kill_at_change(int(task["kill_at_change"]))
        action = {"push": push, "pull": pull}[task["action"]]
        action(store.catalog, StoredRemote(task["remote"], store.backends))


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                child(json.loads(line))
                code = 0
            finally:
                os._exit(code)
        print(pid, file=answers)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers)


if __name__ == "__main__":
    import refstore.store
    import refstore.sync.pull
    import refstore.sync.push
    import refstore.sync.stored  # noqa: F401

    serve()
