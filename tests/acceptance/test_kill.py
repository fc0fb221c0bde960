"""`kill -9` at random moments, then the same command again: the same store as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.servers import seaweed_bulk
from tests.servers.running import Run

from .conftest import NewStore, write_tree
from .killing import Warm, check_whole, content, leftovers, state

pytestmark = pytest.mark.timeout(600)

FILES = OBJECTS = 120
MOMENTS = 20
HITS = 5  # so many of those meet a command that is still at work, on the busiest machine
CHANGES = 8  # an add makes at least so many changes in a file system: files of three parts, and their renames


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    with Warm(tmp_path) as warm:
        yield warm


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_tree(tmp_path / "tree", FILES)
    return tmp_path / "tree"


@pytest.fixture(scope="session")
def small_bulk(run: Run) -> seaweed_bulk.Bulk:
    return seaweed_bulk.shared(run, OBJECTS, 0)


class Moments:
    """Random moments of the time that a command takes, by the fastest of its runs so far."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._draw = seconds, random.Random(1)

    def took(self, seconds: float) -> None:
        self._seconds = min(self._seconds, seconds)

    def __iter__(self) -> Iterator[float]:
        return (self._draw.uniform(0, self._seconds) for _ in range(MOMENTS))


def check_adds(warm: Warm, new_store: NewStore, source: object, env: dict[str, str]) -> None:
    """Kill at random moments, and before each change of a file system."""
    words = ("add", source, "--name", "data", "--alias", "good")
    whole = new_store("whole")
    moments = Moments(warm.succeed(*words, cwd=whole, env=env))
    expected = state(whole, "data")
    check_whole(whole, "data")

    def survives(kill: dict[str, Any]) -> bool:
        """Whether the command had ended before the kill."""
        store = new_store(f"killed-{'-'.join(map(str, kill.values()))}")
        code, seconds = warm.run(*words, cwd=store, env=env, **kill)
        assert code in (0, -9)
        if code == 0:
            moments.took(seconds)
        warm.succeed(*words, cwd=store, env=env)
        assert state(store, "data") == expected, f"after {kill}"
        check_whole(store, "data")
        assert leftovers(store) == []
        return code == 0

    assert sum(not survives({"kill_after": moment}) for moment in moments) >= HITS
    changes = 1
    while not survives({"kill_at_change": changes}):
        changes += 1
    assert changes > CHANGES


def test_adding_local_files_survives_a_kill_at_any_moment(warm: Warm, new_store: NewStore, tree: Path) -> None:
    check_adds(warm, new_store, tree, {})


def test_adding_a_bucket_survives_a_kill_at_any_moment(
    warm: Warm, new_store: NewStore, run: Run, small_bulk: seaweed_bulk.Bulk
) -> None:
    check_adds(warm, new_store, small_bulk.uri, seaweed_bulk.shared_server(run).environment())


def test_a_checkout_survives_a_kill_at_any_moment(
    warm: Warm, new_store: NewStore, run: Run, small_bulk: seaweed_bulk.Bulk
) -> None:
    env, store = seaweed_bulk.shared_server(run).environment(), new_store("store")
    warm.succeed("add", small_bulk.uri, "--name", "data", cwd=store, env=env)
    moments = Moments(warm.succeed("checkout", "data", "whole", cwd=store, env=env))
    expected = content(store / "whole")
    assert len(expected) == OBJECTS

    kills: list[tuple[str, Any]] = [("kill_at_change", 1 + 4**n) for n in range(5)]
    hits = 0
    for number, (how, when) in enumerate(chain(kills, (("kill_after", moment) for moment in moments))):
        words, out = ("checkout", "data", f"out-{number}"), store / f"out-{number}"
        code, seconds = warm.run(*words, cwd=store, env=env, **{how: when})
        assert code in (0, -9)
        hits += code == -9
        if code == 0:
            moments.took(seconds)
        there = {name: data for name, data in content(out).items() if not name.startswith(".refstore-tmp/")}
        assert there.items() <= expected.items(), f"a file is half there: {how} {when}"
        warm.succeed(*words, cwd=store, env=env)
        assert content(out) == expected, f"{how} {when}"
    assert hits >= len(kills) + HITS
    check_whole(store, "data")
