"""What makes two looks at an object the same, and how well it is pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refstore.manifest.entry import MAX_SIZE, Checksum, Entry, Object, Pin
from refstore.manifest.lines import entry_line, lines_of
from refstore.manifest.rows import row_of
from refstore.records.encoding import canonical

MD5 = Checksum("md5", "0cc175b9c0f1b6a831c399e269772661")
BASE = Object("s3", "", "b", "k", 3, None, "e1", None, "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("obj", "pin"),
    [
        (Object("s3", "", "b", "k", 3, "v1", "e"), Pin.VERSION),
        (Object("gs", "", "b", "k", 3, None, "e", MD5), Pin.CHECKSUM),
        (Object("s3", "", "b", "k", 3, None, "e"), Pin.ETAG),
        (Object("http", "", "h", "k", 3, None, 'W/"e"'), Pin.NONE),
        (Object("file", "", "", "/k", 3, mtime="2026-01-01T00:00:00Z"), Pin.NONE),
    ],
)
def test_the_strongest_proof_is_the_pin(obj: Object, pin: Pin) -> None:
    assert obj.pin is pin


def test_pins_are_ordered_by_strength() -> None:
    assert [pin.strength for pin in (Pin.NONE, Pin.ETAG, Pin.CHECKSUM, Pin.VERSION)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (BASE, BASE, True),
        (BASE, replace(BASE, mtime="2027-01-01T00:00:00Z", storage_class="GLACIER"), True),
        (BASE, replace(BASE, etag="e2"), False),
        (BASE, replace(BASE, size=4), False),
        (BASE, replace(BASE, endpoint="lab"), False),
        (BASE, replace(BASE, key="K"), False),
        (replace(BASE, version="1"), replace(BASE, version="1", etag="rewritten"), True),
        (replace(BASE, version="1"), replace(BASE, version="2"), False),
        (replace(BASE, checksum=MD5, etag=None), replace(BASE, checksum=MD5, etag="e2"), True),
        (replace(BASE, etag=None, mtime=None), replace(BASE, etag=None, mtime=None), False),
        # A better pin than before is worth a new version.
        (BASE, replace(BASE, checksum=MD5), False),
        (replace(BASE, checksum=MD5), BASE, True),
    ],
)
def test_like_is_compared_with_like(old: Object, new: Object, same: bool) -> None:
    assert old.same_as(new) is same


objects = st.builds(
    Object,
    st.sampled_from(["s3", "gs", "file"]),
    st.text(max_size=3),
    st.text(max_size=3),
    st.text(max_size=5),
    st.none() | st.integers(0, MAX_SIZE),
    st.none() | st.text(min_size=1, max_size=4),
    st.none() | st.text(min_size=1, max_size=4),
    st.none() | st.just(MD5),
    st.none() | st.just("2026-01-01T00:00:00Z"),
    st.none() | st.just("GLACIER"),
)


@given(st.text(max_size=8), objects)
def test_an_entry_comes_back_from_its_json(path: str, obj: Object) -> None:
    entry = Entry(path, obj)
    assert Entry.from_json(entry.to_json()) == entry


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
MAYBE = st.none() | TEXT


ENTRY = st.builds(
    Entry,
    TEXT,
    st.builds(Object, TEXT, TEXT, TEXT, TEXT, st.none() | st.integers(0), MAYBE, MAYBE, st.none() | st.just(MD5), MAYBE,
              MAYBE),
)  # fmt: skip


@given(ENTRY)
def test_the_line_of_an_entry_is_its_canonical_json(entry: Entry) -> None:
    assert entry_line(entry).encode() == canonical(entry.to_json())


VARIED = st.sampled_from(["a", "b", 'quo"te', "back\\slash", "100%s", "\u00e9", "line\nend", "\u2028", "\x7f", ""])
COLUMNS = st.tuples(*[st.just([None]) | st.lists(VARIED, min_size=1, max_size=3) for _ in range(4)])


@given(
    st.lists(VARIED, min_size=1),
    st.lists(VARIED, min_size=1),
    COLUMNS,
    st.sampled_from([[3], [3, 4], [None], [None, 3]]),
)
def test_lines_that_are_made_at_once_are_those_of_the_single_entries(
    keys: list[str], buckets: list[str], rest: tuple[list[str | None], ...], sizes: list[int | None]
) -> None:
    def of(values: Sequence[Any], number: int) -> Any:
        return values[number % len(values)]

    entries = [
        Entry(
            f"{of(keys, n)}{n}",
            Object(
                "s3", of(buckets, n // 2), of(buckets, n), of(keys, n), of(sizes, n), of(rest[0], n), of(rest[1], n),
                of([MD5, None] if n % 3 else [MD5], n), of(rest[2], n), of(rest[3], n),
            ),
        )
        for n in range(12)
    ]  # fmt: skip
    assert lines_of([row_of(entry) for entry in entries]) == [canonical(entry.to_json()).decode() for entry in entries]


@pytest.mark.parametrize("count", [1, 7, 8, 1000])
def test_lines_of_files_of_one_folder_are_canonical(count: int) -> None:
    entries = [Entry(f"{n:04d}%d", Object("file", "", "", f"/{n}%", n, None, None, MD5)) for n in range(count)]
    assert lines_of([row_of(entry) for entry in entries]) == [canonical(entry.to_json()).decode() for entry in entries]
