"""Eight clones that push to one bucket at once, while one of them is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import refstore
from refstore.catalog.state import rows
from tests.servers.s3 import S3Server
from tests.sync import clones

from . import process
from .process import REFSTORE

pytestmark = pytest.mark.timeout(1200)

PUSHERS, ROUNDS = 8, 5


@pytest.fixture
def url(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{seaweed.make_bucket(versioned=False)}/team"


def records(store: refstore.Store) -> set[str]:
    store.catalog.refresh()
    return {row[1] for row in rows(store.catalog._db) if row[0] == "record"}


def kill(pusher: subprocess.Popen[str], started: float, seconds: float) -> None:
    """End it that long after it began to push, without warning; it may be at its end already."""
    time.sleep(max(0.0, started + seconds - time.monotonic()))
    with suppress(ProcessLookupError):
        os.kill(pusher.pid, signal.SIGKILL)


def test_eight_clones_push_at_once_five_times_while_one_is_killed_and_nothing_is_lost(tmp_path: Path, url: str) -> None:
    draw = random.Random(5)
    with ExitStack() as stack:
        stores = [stack.enter_context(refstore.create(tmp_path / str(number))) for number in range(PUSHERS)]
        for store in stores:
            store.remotes.add("origin", url)
        start = time.monotonic()
        process.refstore("push", cwd=stores[0].root)
        alone, hits, made = time.monotonic() - start, 0, set[str]()
        for turn in range(ROUNDS):
            for number, store in enumerate(stores):
                clones.add(store, 300, {number: turn + 1}, name="shared", aliases=["best"])
                clones.add(store, 5, {0: turn + 1}, name=f"own-{number}")
                made |= records(store)
            victim = draw.randrange(PUSHERS)
            begun = time.monotonic()
            pushers = [push(store.root) for store in stores]
            # they wait for each other's cores, so it takes several times what one takes alone
            kill(pushers[victim], begun, draw.uniform(0.5, PUSHERS / 2) * alone)
            ended = [(*pusher.communicate(timeout=600), pusher.returncode) for pusher in pushers]
            codes = [code for _, _, code in ended]
            hits += codes[victim] == -signal.SIGKILL
            assert all(code == 0 for number, code in enumerate(codes) if number != victim), ended
            assert codes[victim] in (0, -signal.SIGKILL), ended
            with refstore.Store.clone(url, tmp_path / f"seen-{turn}") as early:
                there = records(early)
                others = [records(store) for number, store in enumerate(stores) if number != victim]
                assert set().union(*others) <= there <= made
                assert early.catalog.problems() == []
                assert list(early.fsck()) == []
            process.refstore("push", cwd=stores[victim].root)
            with refstore.Store.clone(url, tmp_path / f"all-{turn}") as late:
                assert records(late) == made
        assert hits, "nothing was ever killed"
        with refstore.Store.clone(url, tmp_path / "fresh") as fresh:
            expected = clones.state(fresh)
            assert {row[1] for row in expected if row[0] == "record"} == made
        for store in stores:
            pulled = store.remotes.pull().records
            assert (pulled.refused, pulled.held_back) == ((), ())  # type: ignore[union-attr]
            assert clones.state(store) == expected
            clones.check_whole(store)


def push(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*REFSTORE, "push"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
