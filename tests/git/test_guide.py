"""What docs/howto/git.md shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import ROOT, steps


def test_what_the_page_on_git_shows_is_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    followed = steps(ROOT / "docs/howto/git.md")
    assert len(followed) > 15
    for step in followed:
        ran = subprocess.run(
            ["bash", "-c", step.command],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said = ran.stdout.rstrip()
        assert ran.returncode == 0, f"$ {step.command}\n{said}"
        pattern = ".*".join(map(re.escape, step.output.rstrip().split("…")))
        assert re.fullmatch(pattern, said, re.DOTALL), f"$ {step.command}\n{said}\n--- but the page has\n{step.output}"
