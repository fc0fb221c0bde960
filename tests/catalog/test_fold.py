"""The state is a function of the set of records, whatever their order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import refstore
from refstore.catalog.fold import Claim, fold, settle
from refstore.records.types import Alias, Description, Lifetime, Metadata, Record, Renumbered, Tag, Tombstone, Version
from tests.sync import clones


def a_version(number: int, time: int, manifest: str = "m", type: str = "dataset") -> Version:
    return Version(
        time=f"2026-01-01T00:00:{time:02d}Z", clock=time, project="p", artifact="a", type=type, number=number,
        manifest=manifest,
    )  # fmt: skip


def an_alias(version: str, clock: int, name: str = "best") -> Alias:
    return Alias(time="2026-01-01T00:01:00Z", clock=clock, project="p", artifact="a", alias=name, version=version)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=12, unique=True), st.randoms())
def test_numbers_are_unique_and_do_not_depend_on_the_order(given: list[tuple[int, int]], rng: random.Random) -> None:
    claims = [Claim(f"id{i}", f"{time:02d}", number) for i, (number, time) in enumerate(given)]
    settled = settle(claims)
    shuffled = list(claims)
    rng.shuffle(shuffled)
    assert settle(shuffled) == settled
    assert len(set(settled.values())) == len(claims)
    for number in {claim.number for claim in claims}:
        earliest = min((c for c in claims if c.number == number), key=lambda c: (c.time, c.id))
        assert settled[earliest.id] == number


def test_the_earlier_of_two_versions_keeps_its_number_and_the_other_says_what_it_was() -> None:
    early, late = a_version(3, 1), a_version(3, 2, "n")
    state = fold([late, early])
    assert state is not None
    assert [(v.id, v.number, v.was) for v in state.versions] == [(early.id, 3, None), (late.id, 4, 3)]


def test_a_renumbering_holds_when_still_another_version_comes() -> None:
    early, late, third = a_version(3, 1), a_version(3, 2, "n"), a_version(4, 3, "o")
    moved = Renumbered(time="2026-01-01T00:00:30Z", clock=9, version=late.id, number=4, was=3)
    state = fold([third, moved, late, early])
    assert state is not None
    assert {v.id: v.number for v in state.versions} == {early.id: 3, late.id: 4, third.id: 5}


def everything() -> list[Record]:
    one, two = a_version(0, 1), a_version(1, 2, "n")
    time = "2026-01-01T00:02:00Z"
    return [
        one,
        two,
        an_alias(one.id, 5),
        an_alias(two.id, 6),
        an_alias(two.id, 7, "gone"),
        an_alias("", 8, "gone"),
        Tag(time=time, clock=9, version=one.id, tag="good", present=True),
        Tag(time=time, clock=10, version=one.id, tag="bad", present=True),
        Tag(time=time, clock=11, version=one.id, tag="bad", present=False),
        Description(time=time, clock=12, version=one.id, description="first"),
        Description(time=time, clock=13, version=one.id, description="second"),
        Metadata(time=time, clock=14, version=one.id, metadata={"a": 1}),
        Metadata(time=time, clock=15, version=one.id, metadata={"b": 2}),
        Lifetime(time=time, clock=16, version=one.id, seconds=60),
    ]


@given(st.permutations(everything()))
def test_the_last_change_holds_in_any_order(records: list[Record]) -> None:
    state = fold(records)
    assert state is not None
    one, two = state.versions
    assert state.aliases == {"best": two.id}
    assert one.tags == ("good",)
    assert one.description == "second"
    assert (one.metadata, one.lifetime) == ({"b": 2}, 60)


def test_a_removed_version_loses_its_aliases_and_keeps_its_number() -> None:
    records = everything()
    two = records[1]
    state = fold([*records, Tombstone(time="2026-01-01T00:03:00Z", clock=20, version=two.id)])
    assert state is not None
    assert state.aliases == {}
    assert [(v.number, v.deleted) for v in state.versions] == [(0, False), (1, True)]


def test_an_artifact_has_the_type_of_its_first_version() -> None:
    state = fold([a_version(1, 2, type="model"), a_version(0, 1, type="dataset")])
    assert state is not None
    assert state.type == "dataset"
    assert fold([an_alias("x", 1)]) is None


def test_a_version_behind_all_others_is_added_without_a_fold_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refstore.create(tmp_path / "a") as store:
        clones.add(store, 5)
        monkeypatch.setattr("refstore.catalog.ingest.refold", None)
        for number in range(3):
            clones.add(store, 5, {number: 1})
        with pytest.raises(TypeError):
            clones.add(store, 5, {4: 1}, aliases=["best"])
        monkeypatch.undo()
        clones.check_whole(store)


def test_a_version_that_moves_the_number_of_another_is_folded_with_it(tmp_path: Path) -> None:
    with refstore.create(tmp_path / "a") as store:
        clones.add(store, 5)
        first = store.catalog.queries.version_by_id(store.version("data").id)
        assert first is not None
        for number in (1, 1, 3):  # two claim one number, and the later one has the next; then comes one behind both
            with store.catalog.writing() as writing:
                named = {"type": "dataset", "number": number, "manifest": first.manifest}
                writing.add(Version(**writing.stamp, **first.artifact.parts, **named))
                writing.commit()
        assert [version.number for version in store.versions("data")] == [4, 3, 1, 0]
        clones.check_whole(store)
