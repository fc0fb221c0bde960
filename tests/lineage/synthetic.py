"""Graphs of any size, put straight into the index: what is tested is how it is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import refstore
from refstore.catalog.ids import packed

NO_CHOICE = '[[],[],"",[]]'


def record_id(name: str) -> str:
    """The id that a node of this name has."""
    return hashlib.sha256(name.encode()).hexdigest()


def fill(store: refstore.Store, count: int, edges: Iterable[tuple[str, str, str]]) -> None:
    """Add so many runs `r0`, `r1`, … and versions `v0`, `v1`, … where `r1` made `v1`, and some edges between them."""
    db = store.catalog._db
    db.execute("BEGIN")
    lines = list(edges)
    names = [f"{kind}{n}" for n in range(count) for kind in "rv"] + [name for run, v, _ in lines for name in (run, v)]
    numbers = {name: place for place, name in enumerate(dict.fromkeys(names), 1)}
    db.executemany("INSERT INTO ids VALUES (?, ?)", ((n, packed(record_id(name))) for name, n in numbers.items()))
    db.execute("INSERT INTO artifacts VALUES (1, '', 'p', 'm', 'model', '2026-01-01', '2026-01-01')")
    db.executemany(
        "INSERT INTO versions VALUES (?, 1, ?, ?, NULL, ?, '', '{}', '[]', ?, ?, 0, NULL, NULL, 0)",
        (
            (numbers[f"v{n}"], n, packed(record_id(f"m{n}")), f"2026-01-01T{n:09}", NO_CHOICE, numbers[f"r{n}"])
            for n in range(count)
        ),
    )
    db.executemany(
        """INSERT INTO runs VALUES (?, ?, '', 'p', '', 'train', '', '', '[]', '{}', '{}', 'finished', ?, ?, 'host',
           'user', 0, '[]', '3.13', '', 0, '', NULL)""",
        ((numbers[f"r{n}"], f"r{n:07}", f"2026-01-01T{n:09}", f"2026-01-01T{n:09}") for n in range(count)),
    )
    db.executemany(
        "INSERT INTO edges VALUES (?, ?, ?, '')", ((numbers[run], kind, numbers[v]) for run, v, kind in lines)
    )
    db.execute("COMMIT")


def chain(count: int) -> Iterator[tuple[str, str, str]]:
    """Each run uses the version before, and the one before that."""
    for n in range(count):
        yield f"r{n}", f"v{n}", "logged"
        for back in (1, 2):
            if n >= back:
                yield f"r{n}", f"v{n - back}", "used"


def star(count: int) -> Iterator[tuple[str, str, str]]:
    """All runs use the first version."""
    for n in range(count):
        yield f"r{n}", f"v{n}", "logged"
        if n:
            yield f"r{n}", "v0", "used"
