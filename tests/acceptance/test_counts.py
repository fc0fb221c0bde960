"""What commands cost, in counts that no clock and no other load can change; docs/costs.md claims them.

Requests are those that the server's log has, statements those that SQLite was given, and modules those that a process
has when it ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import refstore
from refstore.catalog import chunks
from refstore.manifest.tree import GROUP, LEAF
from refstore.names import ArtifactName
from refstore.store import Store
from refstore.tracking.record import Labels, record
from tests.servers.s3 import S3Server

from . import synthetic
from .conftest import NewStore

OBJECTS = 1_100  # two pages of a listing
NOTHING: dict[str, int] = {}


# Requests


@pytest.fixture
def bucket(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with versions and 1,100 objects, which this process reads by way of the log."""
    for name, value in seaweed.environment(logged=True).items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {f"data/d{n % 7}/f{n:05d}": b"object %d" % n for n in range(OBJECTS)})
    return bucket


@pytest.fixture
def asked(seaweed: S3Server, bucket: str) -> Callable[[Callable[[], Any]], Counter[str]]:
    """`asked(call)` is what was asked of the bucket by a call, counted by operation."""

    def count(call: Callable[[], Any]) -> Counter[str]:
        mark = seaweed.mark()
        call()
        return seaweed.operations_since(mark, bucket)

    return count


def check_listed(found: Counter[str]) -> None:
    """Two pages with versions were asked for, and hardly anything else: folders, where a slow server is worth it."""
    assert found["ListObjectVersions"] == 2
    assert found.keys() <= {"ListObjectVersions", "ListObjectsV2"}
    assert found["ListObjectsV2"] <= 4


def test_each_command_makes_as_many_requests_as_docs_costs_says(
    bucket: str, asked: Callable[[Callable[[], Any]], Counter[str]], new_store: NewStore, tmp_path: Path
) -> None:
    def add() -> None:
        store.add(f"s3://{bucket}/data/", name="data")

    with refstore.open(new_store("store")) as store:
        check_listed(asked(add))
        check_listed(asked(add))
        assert len(store.versions("data")) == 1

        version = store.version("data")
        for question in (
            lambda: store.artifacts(),
            lambda: list(version.files()),
            lambda: list(store.diff("data:v0", "data:v0")),
            lambda: list(store.log()),
            lambda: store.set_alias("data:v0", "best"),
            lambda: store.describe("data:v0", "seven folders"),
            lambda: version.export(tmp_path / "files.csv"),
        ):
            assert asked(question) == NOTHING

        checkout = lambda: version.checkout(tmp_path / "out", paths=["d3/*"])  # noqa: E731
        fetched = len([entry for entry in version.files() if entry.path.startswith("d3/")])
        assert asked(checkout) == {"GetObject": fetched}
        assert asked(checkout) == NOTHING

        check_listed(asked(lambda: list(version.status())))

        uris = [f"s3://{bucket}/{entry.object.key}" for entry in list(version.files())[:3]]
        assert asked(lambda: store.add(uris, name="three")) == {"HeadObject": 3, "ListObjectVersions": 3}
        three = store.version("three")
        assert asked(lambda: list(three.verify())) == {"HeadObject": 3}
        assert asked(lambda: list(three.verify(content=True))) == {"GetObject": 3}


def test_a_large_object_takes_at_most_a_request_for_each_8_mib_and_two_more(
    seaweed: S3Server, bucket: str, asked: Callable[[Callable[[], Any]], Counter[str]], new_store: NewStore
) -> None:
    seaweed.put(bucket, "large/one", bytes(40 << 20))
    with refstore.open(new_store("store")) as store:
        store.add(f"s3://{bucket}/large/", name="large")
        out = store.root / "out"
        # How many depends on what one stream gives; the first of a bucket only settles where and how to ask.
        requests = asked(lambda: store.version("large").checkout(out))
        assert set(requests) == {"GetObject"}
        assert requests["GetObject"] <= 7


# Statements


@contextmanager
def traced(store: Store) -> Iterator[list[str]]:
    """The statements that SQLite is given meanwhile; `executemany` gives one for each row."""
    statements: list[str] = []
    connection = store.catalog._db
    connection.set_trace_callback(statements.append)
    try:
        yield statements
    finally:
        connection.set_trace_callback(None)


def rows_of(statements: list[str]) -> Counter[str]:
    """How many rows went into each table."""
    return Counter(words[2] for words in map(str.split, statements) if words[:2] == ["INSERT", "INTO"])


def add(store: Store, count: int, state: dict[int, int]) -> list[str]:
    """Record so many entries; the statements that it took."""
    with traced(store) as statements:
        record(
            store.catalog,
            ArtifactName("", store.settings.project, "data"),
            (synthetic.entry(number, state) for number in range(count)),
            Labels(),
            job_type="add",
            sources=["s3://bucket/data/"],
            markers=0,
            notes=(),
            dry_run=False,
        )
    return statements


def others(statements: list[str]) -> int:
    """How many of them are not a row that is written."""
    return sum(not statement.lstrip().startswith("INSERT") for statement in statements)


def ten_changes(count: int) -> dict[int, int]:
    return {place * count // 10: 1 for place in range(10)}


def test_adding_ten_times_as_many_objects_takes_no_more_statements_but_for_the_rows(new_store: NewStore) -> None:
    taken = {}
    for count in (1_000, 10_000):
        with refstore.open(new_store(f"store-{count}")) as store:
            statements = add(store, count, {})
        assert rows_of(statements)["entries"] == count
        taken[count] = others(statements)
    assert taken[10_000] - taken[1_000] < 20, "a handful for each batch of chunks, some 4,000 entries"
    assert taken[1_000] < 80


def test_an_unchanged_add_writes_nothing_whatever_its_size(new_store: NewStore) -> None:
    for count in (1_000, 10_000):
        root = new_store(f"store-{count}")
        with refstore.open(root) as store:
            add(store, count, {})
            add(store, count, {})
            statements = add(store, count, {})
            assert rows_of(statements) == NOTHING
            assert others(statements) < 40
            assert len(store.versions("data")) == 1


def test_ten_changes_write_the_chunks_that_they_are_in_and_no_others(new_store: NewStore) -> None:
    count = 10_000
    with refstore.open(new_store("store")) as store:
        first = rows_of(add(store, count, {}))
        again = rows_of(add(store, count, ten_changes(count)))
        before, after = leaves(store, "data:v0"), leaves(store, "data:v1")
        new = after.keys() - before.keys()
        assert 1 <= len(new) <= 10
        assert again["entries"] == sum(after[leaf] for leaf in new)
    assert again["entries"] < first["entries"] / 8
    assert again["chunks"] <= 10 + 10 + 1, "a leaf and a group for each change at most, and the root"


# Chunks


def leaves(store: Store, name: str) -> dict[int, int]:
    """The leaves of a version, each with its number of entries."""
    db = store.catalog._db
    root = chunks.root_number(db, store.version(name).info.manifest)
    rows = db.execute(
        "SELECT c.id, c.entries FROM links g JOIN links l ON l.parent = g.child JOIN chunks c ON c.id = l.child "
        f"JOIN chunks p ON p.id = l.parent WHERE g.parent = ? AND c.level = {LEAF} AND p.level = {GROUP}",
        (root,),
    )
    return dict(rows.fetchall())


def test_a_diff_opens_the_chunks_that_differ_and_no_others(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for count in (2_000, 20_000):
        with refstore.open(new_store(f"store-{count}")) as store:
            for state in ({}, ten_changes(count)):
                add(store, count, state)
            old, new = leaves(store, "data:v0"), leaves(store, "data:v1")
            differ = {**{k: old[k] for k in old.keys() - new.keys()}, **{k: new[k] for k in new.keys() - old.keys()}}
            read: list[object] = []
            with monkeypatch.context() as patch:
                patch.setattr(
                    chunks, "entry_of", lambda row, make=chunks.entry_of, read=read: read.append(row) or make(row)
                )
                assert len(list(store.diff("data:v0", "data:v1"))) == 10
            assert 2 <= len(differ) <= 20
            assert len(read) == sum(differ.values())
    assert len(read) < 20_000 / 8


# Modules

SDKS = {
    "aiobotocore",
    "aiohttp",
    "asyncio",
    "azure",
    "boto3",
    "botocore",
    "fsspec",
    "gcsfs",
    "google",
    "obstore",
    "s3fs",
}
LATER = {"numpy", "pandas", "paramiko", "pyarrow", "requests", "rich", "sqlite_utils", "yaml"}
TYPER = {"annotated_doc", "shellingham", "typer"}
OURS = {"refstore"}


def imported(script: str, *words: str, cwd: Path) -> set[str]:
    """The modules that a process has imported when it ends, but for those that every Python here starts with."""
    script = (
        f"import sys; before = set(sys.modules); {script}; print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *words]
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=True)
    return set(ran.stderr.splitlines()[-1].split())


def foreign(modules: set[str]) -> set[str]:
    """The packages among them that do not come with Python."""
    return (
        {name.partition(".")[0] for name in modules}
        - set(sys.stdlib_module_names)
        - {"_sysconfigdata__linux_x86_64-linux-gnu"}
    )


RUN = "from refstore.cli import main; main(sys.argv[1:])"


def test_the_version_is_printed_by_refstore_and_typer_alone(tmp_path: Path) -> None:
    modules = imported(RUN, "--version", cwd=tmp_path)
    assert foreign(modules) <= OURS | TYPER
    assert not modules & {"sqlite3", "asyncio", "refstore.store"}


READING = ("ls", "ls data", "show data", "log", "log data -n 5", "-C . ls", "runs", "ls --help", "--help")
NOT_TO_READ = {"asyncio", "concurrent.futures", "email", "importlib.metadata", "ssl", "tomllib", "zipfile"}


@pytest.mark.parametrize("words", READING)
def test_what_only_reads_imports_the_catalog_and_no_more(new_store: NewStore, words: str) -> None:
    store = new_store("store")
    synthetic.add(store, 10, {})
    imported(RUN, "ls", cwd=store)
    modules = imported(RUN, *words.split(), cwd=store)
    assert foreign(modules) <= OURS | TYPER
    assert modules & NOT_TO_READ == set()
    assert "hashlib" not in modules or words == "show data", "only that one looks into the tree"
    assert not {
        name for name in modules if name.startswith(("refstore.backends", "refstore.checkout", "refstore.sync"))
    }


def test_commands_on_local_files_import_nothing_that_is_for_other_sources(new_store: NewStore) -> None:
    store = new_store("store")
    (store / "data").mkdir()
    (store / "data/file").write_bytes(b"x")
    for words in ("add data --name d --max-objects 5", "add data --name d -t dataset --json", "status d", "checkout d"):
        modules = imported(RUN, *words.split(), cwd=store)
        assert foreign(modules) <= OURS | TYPER, words
        assert modules & {"asyncio", "email", "importlib.metadata", "ssl", "urllib.request"} == set(), words


@pytest.mark.parametrize("place", ["data/", "data"])
def test_adding_a_plain_prefix_of_s3_imports_no_client_library(
    seaweed: S3Server, new_store: NewStore, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {f"data/f{n}": b"x" for n in range(5)})
    modules = imported(RUN, "add", f"s3://{bucket}/{place}", "--name", "data", cwd=new_store("store"))
    assert foreign(modules) <= OURS | TYPER
    assert "refstore.backends.s3.listing" in modules


def test_importing_refstore_imports_nothing_but_its_names(tmp_path: Path) -> None:
    modules = imported("import refstore", cwd=tmp_path)
    assert foreign(modules) == OURS
    assert {name for name in modules if name.startswith("refstore")} <= {"refstore", "refstore.version_number"}
    assert not modules & {"sqlite3", "json", "asyncio", "dataclasses", "inspect"}
