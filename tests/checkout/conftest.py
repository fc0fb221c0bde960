from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checkout.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with Workshop(tmp_path) as shop:
        yield shop


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """`mount("tmpfs", "size=1m")` mounts a file system of its own; skips where that isn't allowed."""
    mounted: list[Path] = []

    def make(kind: str, options: str, device: str = "none") -> Path:
        point = tmp_path / f"mounted-{len(mounted)}"
        point.mkdir()
        try:
            done = subprocess.run(
                ["mount", "-t", kind, "-o", options, device, point], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            pytest.skip("no mount command here")
        if done.returncode:
            pytest.skip(f"{kind} can't be mounted here: {done.stderr.strip()}")
        mounted.append(point)
        return point

    yield make
    for point in mounted:
        subprocess.run(["umount", "-l", point], check=False)
