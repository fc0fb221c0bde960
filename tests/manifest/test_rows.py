"""Pages of rows are pages of entries to those who ask for entries."""

from __future__ import annotations

from refstore.manifest.entry import Checksum, Entry, Object
from refstore.manifest.rows import Rows, RowStream, entry_of, pages_of, row_of

MD5 = Checksum("md5", "0cc175b9c0f1b6a831c399e269772661")
FULL = Entry("a", Object("s3", "lab", "b", "k/a", 3, "v1", "e1", MD5, "2026-01-01T00:00:00Z", "GLACIER"))
BARE = Entry("b", Object("file", "", "", "/b"))


def test_an_entry_comes_back_from_its_row() -> None:
    assert [entry_of(row_of(entry)) for entry in (FULL, BARE)] == [FULL, BARE]


def test_a_page_of_rows_is_a_sequence_of_entries() -> None:
    page = Rows.of([FULL, BARE])
    assert (len(page), list(page), page[1], list(page[1:])) == (2, [FULL, BARE], BARE, [BARE])
    assert page.size == 3
    assert Rows.of(page) is page
    assert [entry.path for entry in page.placed(lambda row: f"x/{row[0]}")] == ["x/a", "x/b"]


def test_a_stream_is_read_by_entries_or_by_pages() -> None:
    pages = [[row_of(FULL)], [row_of(BARE)]]
    assert list(RowStream(iter(pages))) == [FULL, BARE]
    assert list(pages_of(RowStream(iter(pages)))) == pages
    assert list(pages_of([FULL, BARE])) == [[row_of(FULL), row_of(BARE)]]
