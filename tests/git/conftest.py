from __future__ import annotations

from pathlib import Path

import pytest

from tests.git.clone import Clone, make


@pytest.fixture
def ada(tmp_path: Path) -> Clone:
    """A repository with a store, and a first version of `mnist` on its branch `main`."""
    return make(tmp_path / "ada")
