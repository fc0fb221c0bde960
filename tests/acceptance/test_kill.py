"""`kill -9` at random moments, then the same command again: the same store as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import seaweed_bulk
from tests.servers.running import Run

from .conftest import NewStore, write_tree
from .killing import Warm, check_whole, content, leftovers, state

pytestmark = pytest.mark.timeout(600)

FILES = 400
OBJECTS = 250
MOMENTS = 20
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


def moments(seconds: float, seed: str) -> list[float]:
    """Twenty random moments of so many seconds, in order."""
    draw = random.Random(seed)
    return sorted(draw.uniform(0, seconds) for _ in range(MOMENTS))


def check_adds(warm: Warm, new_store: NewStore, source: object, env: dict[str, str]) -> None:
    """Kill at random moments, and before each change of a file system."""
    words = ("add", source, "--name", "data", "--alias", "good")
    whole = new_store("whole")
    seconds = warm.succeed(*words, cwd=whole, env=env)
    expected = state(whole, "data")
    check_whole(whole, "data")

    def survives(kill: dict[str, Any]) -> bool:
        """Whether the command had ended before the kill."""
        store = new_store(f"killed-{'-'.join(map(str, kill.values()))}")
        code, _ = warm.run(*words, cwd=store, env=env, **kill)
        assert code in (0, -9)
        warm.succeed(*words, cwd=store, env=env)
        assert state(store, "data") == expected, f"after {kill}"
        check_whole(store, "data")
        assert leftovers(store) == []
        return code == 0

    assert sum(survives({"kill_after": moment}) for moment in moments(seconds, "add")) < MOMENTS // 2
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
    seconds = warm.succeed("checkout", "data", "whole", cwd=store, env=env)
    expected = content(store / "whole")
    assert len(expected) == OBJECTS

    killed = 0
    kills: list[dict[str, Any]] = [{"kill_after": moment} for moment in moments(seconds, "checkout")]
    kills += [{"kill_at_change": 1 + 4**n} for n in range(5)]
    for number, kill in enumerate(kills):
        words = ("checkout", "data", f"killed-{number}")
        code, _ = warm.run(*words, cwd=store, env=env, **kill)
        assert code in (0, -9)
        killed += code == -9
        for name, data in content(store / f"killed-{number}").items():
            assert name.startswith(".refstore-tmp/") or data == expected.get(name), f"{name} is half there after {kill}"
        warm.succeed(*words, cwd=store, env=env)
        assert content(store / f"killed-{number}") == expected, f"after {kill}"
    assert killed >= len(kills) // 2
    check_whole(store, "data")
