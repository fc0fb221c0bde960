"""Stores of a test's own, closed at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import refstore

NewStore = Callable[[str], refstore.Store]


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[NewStore]:
    """`new_store("a")` is a store in a folder of that name."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(refstore.create(tmp_path / name))
