"""refstore in processes of its own: what one cost, and what one leaves behind that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFSTORE = (sys.executable, "-m", "refstore")

# The kernel counts what the parent had resident before `exec` as the child's peak, so the parent has to be small.
_SMALL_PARENT = """
import json, os, sys, time
start = time.monotonic()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(child, 0)
peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
with open(sys.argv[1], "w") as out:
    json.dump([time.monotonic() - start, used.ru_utime + used.ru_stime, peak], out)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
"""


@dataclass(frozen=True)
class Ran:
    """How a process ended.

    `peak` is its largest resident set, in bytes; `seconds` are by the clock, and `cpu` are those of all its threads.
    """

    code: int
    out: str
    err: str
    seconds: float
    cpu: float
    peak: int

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def measured(command: Sequence[object], cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 600) -> Ran:
    """Run a command to its end and say what it took."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SMALL_PARENT, str(report), *map(str, command)],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as parent:
            try:
                out, err = parent.communicate(timeout=timeout)
            except BaseException:
                os.killpg(parent.pid, signal.SIGKILL)  # what it started too
                raise
        seconds, cpu, peak = json.loads(report.read_text())
    return Ran(parent.returncode, out, err, seconds, cpu, peak)


def refstore(*words: object, cwd: Path, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command of refstore that has to succeed."""
    ran = measured([*REFSTORE, *words], cwd, env)
    assert ran.code == 0, f"refstore {words} ended with {ran.code}: {ran.err}"
    return ran
