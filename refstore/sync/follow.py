"""Following the files by hand, and telling what came and went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refstore.catalog.catalog import Catalog

_Names = dict[str, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync brought.

    Attributes:
        came: The versions that are there now and were not: their full names, by name and number.
        went: Those that were there and are not.
        renumbered: Those that have another number now: the full names before and after.
        moved: The aliases that mean another version now, came or went: `mnist:best`, and the version or "".
        records: How many more records there are; negative where there are fewer.
        problems: What is wrong with files of the catalog, a sentence each.
    """

    came: tuple[str, ...]
    went: tuple[str, ...]
    renumbered: tuple[tuple[str, str], ...]
    moved: tuple[tuple[str, str], ...]
    records: int
    problems: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.came or self.went or self.renumbered or self.moved or self.records)


def sync(catalog: Catalog) -> Synced:
    """Bring the index to what the files say, and find out what that changed.

    Looks at every file, for those that were changed in their place. Holds the names of all versions and aliases.

    Args:
        catalog: Not yet brought up to date, or what came since then is not told.
    """
    before, aliases, records = _seen(catalog)
    catalog.refresh(thorough=True)
    after, aliases_after, records_after = _seen(catalog)
    return Synced(
        tuple(_title(after[id]) for id in _ordered(after, after.keys() - before.keys())),
        tuple(_title(before[id]) for id in _ordered(before, before.keys() - after.keys())),
        tuple(
            (_title(before[id]), _title(after[id]))
            for id in _ordered(after, before.keys() & after.keys())
            if before[id] != after[id]
        ),
        tuple(
            (name, _title(after[aliases_after[name]]) if name in aliases_after else "")
            for name in sorted(aliases.keys() | aliases_after.keys())
            if aliases.get(name) != aliases_after.get(name)
        ),
        records_after - records,
        tuple(catalog.problems()),
    )


def _seen(catalog: Catalog) -> tuple[_Names, dict[str, str], int]:
    queries = catalog.queries
    return queries.all_versions(), queries.all_aliases(), queries.count_records()


def _title(version: tuple[str, int]) -> str:
    return f"{version[0]}:v{version[1]}"


def _ordered(names: _Names, ids: set[str]) -> list[str]:
    return sorted(ids, key=names.__getitem__)
