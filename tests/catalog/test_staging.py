from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refstore.catalog.staging import Staging
from refstore.errors import DuplicatePath, UsageError
from refstore.manifest.entry import Checksum, Entry, Object


def entry(path: str, key: str | None = None) -> Entry:
    return Entry(path, Object("s3", "", "b", key or path, 5, "v", None, Checksum("md5", "0" * 32)))


PATHS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)


@given(st.lists(st.lists(PATHS, max_size=8), max_size=8))
def test_entries_come_out_by_path_and_once_in_whatever_order_they_came(pages: list[list[str]]) -> None:
    with Staging() as staging:
        for page in pages:
            staging.add([entry(path) for path in page])
        wanted = sorted({path for page in pages for path in page})
        assert staging.count == len(wanted)
        assert list(staging.entries()) == [entry(path) for path in wanted]


def test_pages_that_have_their_paths_for_themselves_are_not_sorted_again() -> None:
    with Staging() as staging:
        for page in (["c", "d"], ["g", "h"], ["a", "b"], ["f", "e"]):
            staging.add(map(entry, page))
        assert staging._table is None
        assert [found.path for found in staging.entries()] == list("abcdefgh")
        staging.add([entry("bb"), entry("dd")])
        assert staging._table is not None
        assert [found.path for found in staging.entries()] == ["a", "b", "bb", "c", "d", "dd", "e", "f", "g", "h"]


@pytest.mark.parametrize("pages", [[["a", "a"]], [["a", "c"], ["b", "c"]], [["a"], ["a"]]])
def test_two_objects_of_one_path_are_refused(pages: list[list[str]]) -> None:
    made = [[entry(path, f"{number}/{n}") for n, path in enumerate(page)] for number, page in enumerate(pages)]
    with Staging() as staging:
        for page in made[:-1]:
            staging.add(page)
        with pytest.raises(DuplicatePath, match="would both be"):
            staging.add(made[-1])


def test_a_name_that_is_not_unicode_is_refused() -> None:
    with Staging() as staging, pytest.raises(UsageError, match="not valid Unicode"):
        staging.add([entry("a"), entry("b\udcff")])
