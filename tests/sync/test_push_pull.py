"""Push and pull: the difference of two sets moves, whole and once, whatever interrupts it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import refstore
from refstore.errors import RemoteCorrupt, SourceUnavailable
from refstore.records import transaction
from refstore.sync import bundles
from refstore.sync import fetch as fetching
from refstore.sync.fetch import fetch
from refstore.sync.pull import pull
from refstore.sync.push import push
from refstore.sync.remote import Remote
from refstore.sync.stored import StoredRemote
from tests.servers.s3 import S3Server

from .clones import Watched, add, check_whole, folder_remote, state
from .conftest import NewStore


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "folder":
        return str(tmp_path / "remote")
    seaweed: S3Server = request.getfixturevalue("seaweed")
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{seaweed.make_bucket(versioned=False)}/team"


def at(place: str | Path, store: refstore.Store) -> Remote:
    return StoredRemote(str(place), store.backends)


def files(store: refstore.Store) -> set[str]:
    return {path.name for path in (store.folder / "records").iterdir()}


def test_what_one_pushes_the_other_pulls(place: str, new_store: NewStore) -> None:
    one, two = new_store("one"), new_store("two")
    add(one, 100, aliases=["good"])
    sent = push(one.catalog, at(place, one))
    assert (sent.records, sent.packs) == (6, 1)
    assert "uncategorized/data:v0" in sent.summary[0]
    got = pull(two.catalog, at(place, two))
    assert (got.records, got.packs, got.refused, got.held_back) == (6, 1, (), ())
    assert got.summary == sent.summary
    assert state(two) == state(one)
    assert files(two) == files(one), "a transaction that is sent alone stays the same file everywhere"
    check_whole(two)


def test_nothing_new_moves_nothing(place: str, new_store: NewStore) -> None:
    one, two = new_store("one"), new_store("two")
    add(one)
    push(one.catalog, at(place, one))
    pull(two.catalog, at(place, two))
    before = files(two)
    again = Watched(at(place, one))
    assert push(one.catalog, again).records == 0
    assert again.asked == {"identity": 1}
    again = Watched(at(place, two))
    assert pull(two.catalog, again).records == 0
    assert again.asked == {"identity": 1, "names": 1}
    assert push(two.catalog, at(place, two)).packs == 0
    assert files(two) == before


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_stores_agree_in_whatever_order_they_push_and_pull(
    order: tuple[int, ...], tmp_path: Path, new_store: NewStore
) -> None:
    stores = [new_store(name) for name in ("a", "b", "c")]
    for number, store in enumerate(stores):
        add(store, 20, {number: 1}, aliases=["best"])
        add(store, 20, {number: 2})
        store.set_alias("data:v1" if number else "data:v0", "mine")
    remote = tmp_path / "remote"
    for place in order:
        push(stores[place].catalog, at(remote, stores[place]))
        pull(stores[place].catalog, at(remote, stores[place]))
    for place in (*order, *order):
        push(stores[place].catalog, at(remote, stores[place]))
        pull(stores[place].catalog, at(remote, stores[place]))
    one, two, three = map(state, stores)
    assert one == two == three
    numbers = [version.number for version in stores[0].versions("data")]
    assert numbers == [5, 4, 3, 2, 1, 0], "numbers that were taken twice were settled"
    assert len({store.version("data:mine").id for store in stores}) == 1
    assert len({store.version("data:best").id for store in stores}) == 1


def test_many_small_transactions_travel_as_few_packs(tmp_path: Path, new_store: NewStore) -> None:
    one, two = new_store("one"), new_store("two")
    for number in range(20):
        add(one, 10, {number % 10: number})
    remote = Watched(at(tmp_path / "remote", one))
    sent = push(one.catalog, remote)
    assert sent.packs == 1
    assert all(any(f"data:v{number}" in said for said in sent.summary) for number in range(20))
    got = pull(two.catalog, at(tmp_path / "remote", two))
    assert got.summary == sent.summary
    assert state(two) == state(one)
    assert len(files(two)) == 1


def test_equal_records_make_equal_packs_wherever_they_are_pushed_from(tmp_path: Path, new_store: NewStore) -> None:
    one, two = new_store("one"), new_store("two")
    for number in range(3):
        add(one, 10, {number: 1})
    shutil.copytree(one.folder / "records", two.folder / "records", dirs_exist_ok=True)
    mine, other = Watched(at(tmp_path / "first", one)), Watched(at(tmp_path / "second", two))
    push(one.catalog, mine)
    push(two.catalog, other)
    assert mine.wrote == other.wrote
    assert len(mine.wrote) == 1


def test_bundles_are_cut_and_each_refers_only_to_those_before(
    tmp_path: Path, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "BUNDLE", 4000)
    one = new_store("one")
    for number in range(20):
        add(one, 10, {number % 10: number})
        one.set_alias(f"data:v{number}", "best")
    remote = Watched(at(tmp_path / "remote", one))
    push(one.catalog, remote)
    assert len(remote.wrote) > 5
    # Whoever sees only some of what was written so far has something whole.
    part = tmp_path / "some"
    (part / "packs").mkdir(parents=True)
    shutil.copy(tmp_path / "remote" / "refstore.json", part)
    two = new_store("two")
    for name in remote.wrote:
        shutil.copy(tmp_path / "remote" / "packs" / f"{name}.jsonl.gz", part / "packs")
        got = pull(two.catalog, at(part, two))
        assert (got.held_back, got.refused, got.packs) == ((), (), 1)
        assert two.catalog.problems() == []
    assert state(two) == state(one)


def test_a_push_costs_requests_for_what_is_new_and_not_for_what_is_there(tmp_path: Path, new_store: NewStore) -> None:
    costs = []
    for name, count in (("small", 2), ("large", 60)):
        store = new_store(name)
        for number in range(count):
            add(store, 10, {number % 10: number})
        push(store.catalog, at(tmp_path / f"{name}-remote", store))
        add(store, 11)
        remote = Watched(at(tmp_path / f"{name}-remote", store))
        push(store.catalog, remote)
        costs.append(remote.asked)
    assert costs == [{"identity": 1, "write": 1}] * 2


def test_a_bucket_is_asked_no_more_than_that(
    seaweed: S3Server, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment(logged=True).items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket(versioned=False)
    store, other = new_store("store"), new_store("other")
    remote = StoredRemote(f"s3://{bucket}/team", store.backends)
    for number in range(5):
        add(store, 10, {number: 1})
    push(store.catalog, remote)
    add(store, 11)
    mark = seaweed.mark()
    push(store.catalog, remote)
    assert seaweed.operations_since(mark, bucket).total() == 2
    mark = seaweed.mark()
    pull(other.catalog, remote)
    assert seaweed.operations_since(mark, bucket).total() == 4, "its identity, its list, and two packs"
    assert state(other) == state(store)


def test_parts_of_a_long_manifest_travel_as_they_are(
    tmp_path: Path, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "PART_SIZE", 20_000)
    one, two = new_store("one"), new_store("two")
    add(one, 1000)
    remote = Watched(at(tmp_path / "remote", one))
    push(one.catalog, remote)
    assert {f"{name}.jsonl" for name in remote.wrote} == files(one)
    assert len(remote.wrote) > 5
    pull(two.catalog, at(tmp_path / "remote", two))
    assert files(two) == files(one)
    assert state(two) == state(one)
    check_whole(two)
    # and where some of the records are there by another way, the same parts are taken
    add(one, 2000, name="more")
    add(one, 11, name="small")
    push(one.catalog, at(tmp_path / "remote", one))
    three = new_store("three")
    small = min((one.folder / "records").iterdir(), key=lambda path: (-path.stat().st_mtime_ns, path.name))
    shutil.copy(small, three.folder / "records")
    pull(three.catalog, at(tmp_path / "remote", three))
    assert state(three) == state(one)
    check_whole(three)


def test_of_a_pack_that_is_partly_known_only_the_rest_is_written(tmp_path: Path, new_store: NewStore) -> None:
    one, two = new_store("one"), new_store("two")
    add(one, 10)
    shutil.copytree(one.folder / "records", two.folder / "records", dirs_exist_ok=True)
    add(one, 10, {1: 1})
    push(one.catalog, at(tmp_path / "remote", one))
    got = pull(two.catalog, at(tmp_path / "remote", two))
    assert got.records == len(state_records(one)) - 5
    assert state(two) == state(one)
    assert sum(path.read_bytes().count(b'"kind"') for path in (two.folder / "records").iterdir()) == len(
        state_records(two)
    )
    check_whole(two)


def state_records(store: refstore.Store) -> list[object]:
    return [row for row in state(store) if row[0] == "record"]


def test_a_fetch_shows_nothing_and_a_pull_takes_it_without_reading_it_again(
    tmp_path: Path, new_store: NewStore
) -> None:
    one, two = new_store("one"), new_store("two")
    add(one)
    push(one.catalog, at(tmp_path / "remote", one))
    found = fetch(two.catalog, at(tmp_path / "remote", two), "origin")
    assert (found.packs, found.records) == (1, 5)
    assert state(two) == []
    assert len(list((two.folder / "incoming" / "origin").iterdir())) == 1
    remote = Watched(at(tmp_path / "remote", two))
    assert pull(two.catalog, remote, "origin").records == 5
    assert "read" not in remote.asked
    assert state(two) == state(one)
    assert list((two.folder / "incoming" / "origin").iterdir()) == []


def test_what_another_branch_took_away_is_pulled_again(tmp_path: Path, new_store: NewStore) -> None:
    one, two = new_store("one"), new_store("two")
    add(one)
    push(one.catalog, at(tmp_path / "remote", one))
    pull(two.catalog, at(tmp_path / "remote", two))
    for path in (two.folder / "records").iterdir():
        path.unlink()
    assert state(two) == []
    assert pull(two.catalog, at(tmp_path / "remote", two)).records == 5
    assert state(two) == state(one)


def test_a_damaged_file_is_mended_by_a_pull(tmp_path: Path, new_store: NewStore) -> None:
    one = new_store("one")
    add(one, 50)
    push(one.catalog, at(tmp_path / "remote", one))
    before = state(one)
    (path,) = (one.folder / "records").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    (one.folder / "catalog.db").rename(one.folder / "away")
    with refstore.open(one.root) as again:
        assert again.catalog.problems()
        assert "refstore fsck" in push(again.catalog, at(tmp_path / "remote", again)).notes[-1]
        pull(again.catalog, at(tmp_path / "remote", again))
        assert state(again) == before


def test_an_index_that_is_made_anew_learns_what_the_remote_has(tmp_path: Path, new_store: NewStore) -> None:
    one = new_store("one")
    for number in range(4):
        add(one, 10, {number: 1})
    push(one.catalog, at(tmp_path / "remote", one))
    one.close()
    for path in one.folder.glob("catalog.db*"):
        path.unlink()
    with refstore.open(one.root) as again:
        remote = Watched(at(tmp_path / "remote", again))
        assert push(again.catalog, remote).packs == 0
        assert remote.asked == {"identity": 1, "names": 1, "read": 1}


def test_a_remote_that_was_wiped_gets_everything_again(tmp_path: Path, new_store: NewStore) -> None:
    one, two = new_store("one"), new_store("two")
    add(one)
    push(one.catalog, at(tmp_path / "remote", one))
    shutil.rmtree(tmp_path / "remote")
    add(one, 6)
    assert push(one.catalog, at(tmp_path / "remote", one)).records == 10
    pull(two.catalog, at(tmp_path / "remote", two))
    assert state(two) == state(one)


def test_packs_that_a_remote_lost_are_noticed_by_a_fetch_and_brought_back(tmp_path: Path, new_store: NewStore) -> None:
    one, two = new_store("one"), new_store("two")
    add(one)
    push(one.catalog, at(tmp_path / "remote", one))
    add(one, 6)
    push(one.catalog, at(tmp_path / "remote", one))
    next((tmp_path / "remote" / "packs").iterdir()).unlink()
    (note,) = fetch(one.catalog, at(tmp_path / "remote", one)).notes
    assert "lost packs" in note
    push(one.catalog, at(tmp_path / "remote", one))
    pull(two.catalog, at(tmp_path / "remote", two))
    assert state(two) == state(one)


def test_what_a_listing_missed_is_looked_for_again(
    tmp_path: Path, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_AGAIN", (0.0, 0.0))
    one, two = new_store("one"), new_store("two")
    add(one)
    base = Watched(at(tmp_path / "remote", one))
    push(one.catalog, base)
    add(one, 5, {1: 1})
    push(one.catalog, at(tmp_path / "remote", one))
    remote = Watched(at(tmp_path / "remote", two), hide={base.wrote[0]: 2})
    got = pull(two.catalog, remote)
    assert remote.asked["names"] == 3
    assert (got.held_back, got.packs) == ((), 2)
    assert state(two) == state(one)


def test_what_lacks_something_waits_and_the_rest_is_taken(
    tmp_path: Path, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_AGAIN", (0.0,))
    one, two = new_store("one"), new_store("two")
    add(one)
    base = Watched(at(tmp_path / "remote", one))
    push(one.catalog, base)
    add(one, 5, {1: 1})
    later = Watched(at(tmp_path / "remote", one))
    push(one.catalog, later)
    add(one, 7, name="other")
    push(one.catalog, at(tmp_path / "remote", one))
    got = pull(two.catalog, Watched(at(tmp_path / "remote", two), hide={base.wrote[0]: 99}))
    (sentence,) = got.held_back
    assert later.wrote[0] in sentence
    assert [info.name.artifact for info in two.artifacts()] == ["other"]
    # nobody waits a second time for what is known to lack something
    remote = Watched(at(tmp_path / "remote", two), hide={base.wrote[0]: 99})
    assert pull(two.catalog, remote).held_back == got.held_back
    assert remote.asked == {"identity": 1, "names": 1}
    assert pull(two.catalog, at(tmp_path / "remote", two)).held_back == ()
    assert state(two) == state(one)


def fails_after(count: int, how: str) -> Callable[[int], str]:
    return lambda number: how if number > count else ""


@pytest.mark.parametrize("how", ["before", "after"])
def test_an_interrupted_push_is_finished_by_the_next_one(
    how: str, tmp_path: Path, new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "BUNDLE", 3000)
    monkeypatch.setattr(transaction, "PART_SIZE", 20_000)
    one = new_store("one")
    add(one, 300)
    for number in range(8):
        add(one, 300, {number: 1})
    expected = Watched(folder_remote(tmp_path / "whole", one))
    total = push(one.catalog, expected).packs
    assert total > 6
    for stop in range(2, total + 2):
        remote = folder_remote(tmp_path / f"remote-{stop}", one)
        remote.identity(create=True)
        with pytest.raises(SourceUnavailable):
            # an identity, a listing, and then writes
            push(one.catalog, Watched(remote, fails_after(stop, how)), jobs=1)
        watched = Watched(remote)
        assert push(one.catalog, watched).packs <= total - (stop - 2)
        assert set(remote.names()) == set(expected.wrote), "the same packs as without an interruption"
        two = new_store(f"two-{how}-{stop}")
        assert pull(two.catalog, remote).held_back == ()
        assert state(two) == state(one)


def test_an_interrupted_pull_is_finished_by_the_next_one(tmp_path: Path, new_store: NewStore) -> None:
    one = new_store("one")
    for number in range(6):
        add(one, 20, {number: 1})
        push(one.catalog, at(tmp_path / "remote", one))
    for stop in range(2, 8):
        two = new_store(f"two-{stop}")
        with pytest.raises(SourceUnavailable):
            pull(two.catalog, Watched(at(tmp_path / "remote", two), fails_after(stop, "before")), jobs=1)
        assert state(two) == []
        remote = Watched(at(tmp_path / "remote", two))
        pull(two.catalog, remote)
        assert remote.asked["read"] == 6 - (stop - 2)
        assert state(two) == state(one)


def test_two_may_push_at_once(place: str, new_store: NewStore) -> None:
    stores = [new_store(name) for name in ("a", "b")]
    for number, store in enumerate(stores):
        for change in range(3):
            add(store, 20, {number: change + 1})
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda store: push(store.catalog, at(place, store)), stores))
    for store in stores:
        pull(store.catalog, at(place, store))
    third = new_store("c")
    pull(third.catalog, at(place, third))
    assert state(stores[0]) == state(stores[1]) == state(third)


def test_an_identity_that_refstore_never_gives_is_refused(tmp_path: Path, new_store: NewStore) -> None:
    class Odd(Watched):
        def identity(self, *, create: bool = False) -> str | None:
            return "x\n" * 5

    store = new_store("a")
    for action in (push, pull, fetch):
        with pytest.raises(RemoteCorrupt, match="no refstore remote"):
            action(store.catalog, Odd(at(tmp_path / "remote", store)))
