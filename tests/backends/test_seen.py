"""The stat cache: what it spares, and that it never says of a file what is not so."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import refstore
from refstore.backends.local import LocalBackend, digests, hashing, seen, walk, walked
from refstore.backends.local.digests import key_of
from refstore.config import Settings

OLD = time.time_ns() - 3600 * 10**9


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file counts as just changed: tests need not wait for clocks, and what the keys alone tell is seen."""
    monkeypatch.setattr(seen, "RACY_NS", -(10**18))


_OPENED: list[str] | None = None


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _OPENED is not None and isinstance(arguments[0], str):
        _OPENED.append(arguments[0])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that were opened; processes of ours would hide some."""
    global _OPENED
    monkeypatch.setattr(hashing, "_WORTH_A_PROCESS", 10**9)
    if _OPENED is None:
        sys.addaudithook(_hear)
    _OPENED = []
    yield _OPENED
    _OPENED.clear()


def cached(tmp_path: Path, **more: str) -> LocalBackend:
    backend = LocalBackend(Settings(**more))
    backend.seen_at = tmp_path / "state/seen.db"
    return backend


def sums(backend: LocalBackend, folder: Path) -> dict[str, str]:
    pages = backend.find(backend.parse(str(folder)))
    found = {entry.path: entry.object.checksum for page in pages for entry in page.entries}
    return {path: checksum.value for path, checksum in found.items() if checksum is not None}


def truth(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): md5(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("a.bin", "b/c.bin", "b/d.bin", "b.bin"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode().ljust(16))
        os.utime(path, ns=(OLD, OLD))
    return folder


def test_what_did_not_change_is_not_opened_again(tmp_path: Path, data: Path, trusting: None, opened: list[str]) -> None:
    backend = cached(tmp_path)
    assert sums(backend, data) == truth(data)
    assert "a.bin" in opened
    opened.clear()
    found = sums(backend, data)
    assert not [name for name in opened if name.endswith(".bin")]
    assert found == truth(data)


@pytest.mark.parametrize("never", ["never", "auto"])
def test_the_cache_can_be_turned_off(tmp_path: Path, data: Path, trusting: None, opened: list[str], never: str) -> None:
    backend = cached(tmp_path, stat_cache=never)
    sums(backend, data)
    opened.clear()
    sums(backend, data)
    assert ("a.bin" in opened) == (never == "never")
    assert backend.seen_at is not None
    assert backend.seen_at.exists() == (never == "auto")


def test_on_a_network_file_system_nothing_is_known_unless_one_says_always(
    tmp_path: Path, data: Path, trusting: None, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refstore.backends.local.tree.is_network", lambda path: True)
    for setting, reads in (("auto", True), ("always", False)):
        backend = cached(tmp_path, stat_cache=setting)
        sums(backend, data)
        with closing(sqlite3.connect(tmp_path / "state/seen.db")) as db:
            assert db.execute("select count(*) from runs").fetchone()[0] == (0 if reads else 2)
        opened.clear()
        sums(backend, data)
        assert ("a.bin" in opened) is reads


def edit_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"X")


def edit_and_restore_mtime(path: Path) -> None:
    before = path.stat()
    edit_in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_rename(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"Y" * before.st_size)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def restore_from_backup(path: Path) -> None:
    before = path.stat()
    path.unlink()
    path.write_bytes(b"Z" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap_with_another(path: Path) -> None:
    other, third = path.with_name("b.bin"), path.with_name("third")
    path.rename(third)
    other.rename(path)
    third.rename(other)


def edit_through_another_name(path: Path) -> None:
    other = path.parent.parent / "hard-link"
    os.link(path, other)
    edit_and_restore_mtime(other)


EDITS = [
    edit_in_place,
    edit_and_restore_mtime,
    replace_by_rename,
    restore_from_backup,
    swap_with_another,
    edit_through_another_name,
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_that_keeps_size_and_mtime_is_seen(
    tmp_path: Path, data: Path, trusting: None, edit: Callable[[Path], None]
) -> None:
    backend = cached(tmp_path)
    before = sums(backend, data)
    time.sleep(0.03)  # a tick of the clock that stamps files
    edit(data / "a.bin")
    assert sums(backend, data) == truth(data) != before


def test_a_file_that_was_changed_just_before_the_look_is_read_the_next_time_too(
    tmp_path: Path, data: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit within one tick of the clock leaves the key as it was, so a key so young proves nothing."""
    fixed = [0]

    def frozen(found: os.stat_result) -> tuple[int, int, int, int, int]:
        return (*key_of(found)[:3], found.st_mtime_ns, found.st_mtime_ns + fixed[0])

    monkeypatch.setattr("refstore.backends.local.walk.stat_key", frozen)
    monkeypatch.setattr("refstore.backends.local.digests.key_of", frozen)
    path, now = data / "a.bin", time.time_ns()
    os.utime(path, ns=(now, now))
    backend = cached(tmp_path)
    sums(backend, data)
    edit_in_place(path)
    os.utime(path, ns=(now, now))
    opened.clear()
    assert sums(backend, data) == truth(data)
    assert "a.bin" in opened
    assert "b.bin" not in opened, "that one is old enough"


def test_a_link_that_leads_to_another_file_is_read(tmp_path: Path, data: Path, trusting: None) -> None:
    (data / "link").symlink_to("a.bin")
    backend = cached(tmp_path)
    assert sums(backend, data)["link"] == md5((data / "a.bin").read_bytes())
    (data / "link").unlink()
    (data / "link").symlink_to("b.bin")
    assert sums(backend, data)["link"] == md5((data / "b.bin").read_bytes())


def test_another_algorithm_has_its_own_digests(tmp_path: Path, data: Path, trusting: None) -> None:
    sums(cached(tmp_path), data)
    found = sums(cached(tmp_path, hash="sha256"), data)
    assert found["a.bin"] == hashlib.sha256((data / "a.bin").read_bytes()).hexdigest()


@pytest.mark.parametrize("damage", ["flip", "garbage", "folder"])
def test_a_damaged_cache_is_of_no_consequence(tmp_path: Path, data: Path, trusting: None, damage: str) -> None:
    backend = cached(tmp_path)
    sums(backend, data)
    assert backend.seen_at is not None
    if damage == "flip":
        with sqlite3.connect(backend.seen_at) as db:
            for version, blob in db.execute("select version, data from runs").fetchall():
                wrong = blob.replace(md5(b"a.bin".ljust(16)).encode(), b"0" * 32)
                db.execute("update runs set data = ? where version = ?", (wrong, version))
        db.close()
    else:
        for path in backend.seen_at.parent.iterdir():
            path.unlink()
        if damage == "garbage":
            backend.seen_at.write_bytes(b"no database" * 1000)
        else:
            backend.seen_at.mkdir()
    for _ in range(2):
        assert sums(backend, data) == truth(data)


def test_what_was_read_before_an_interrupt_is_known(
    tmp_path: Path, data: Path, trusting: None, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refstore.backends.local.tree._AHEAD", 0)
    backend = cached(tmp_path)
    (data / "z").mkdir()
    (data / "z/broken").symlink_to("nowhere")
    with pytest.raises(refstore.errors.SourceUnreadable):
        sums(backend, data)
    (data / "z/broken").unlink()
    opened.clear()
    sums(backend, data)
    assert "c.bin" not in opened


# -- a second add ------------------------------------------------------------------------------------------------------


NAMES = ("a", "b", "c", "d/a", "d/b", "d/e/a", "f/a", "d.x", "é", "d/z\u0301")
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(("write", "edit", "touch", "drop", "backup"))), max_size=6
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(STEPS, min_size=1, max_size=4), run=st.sampled_from((2, 10_000)))
def test_adding_again_and_again_makes_the_same_versions_as_without_a_cache(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str]]], run: int
) -> None:
    base = tmp_path_factory.mktemp("model")
    folder, count = base / "data", 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "RUN", run)
        patch.setattr(seen, "RACY_NS", -(10**18))
        (folder / "d/e").mkdir(parents=True)
        (folder / "always").write_bytes(b"here")
        with refstore.create(base) as store:
            for steps in rounds:
                for name, step in steps:
                    path, count = folder / name, count + 1
                    if step == "drop":
                        path.unlink(missing_ok=True)
                        continue
                    path.parent.mkdir(exist_ok=True)
                    content = b"%08d" % count if step != "touch" or not path.exists() else path.read_bytes()
                    if step == "edit" and path.exists():
                        path.write_bytes(content)
                    else:
                        path.with_name("new").write_bytes(content)
                        path.with_name("new").replace(path)
                    if step == "backup":
                        os.utime(path, ns=(OLD, OLD))
                    # no two files share a tick and so a key
                    os.utime(path, ns=(OLD, OLD + count))
                made = store.add(folder, name="x")
                assert made.version is not None
                entries = list(store.catalog.queries.entries(made.version))
                found = {e.path: e.object.checksum.value for e in entries if e.object.checksum is not None}
                assert found == truth(folder)
                assert made.file_count == len(found)
    shutil.rmtree(base)


def test_an_unchanged_add_opens_no_file_and_writes_nothing(
    tmp_path: Path, data: Path, trusting: None, opened: list[str]
) -> None:
    with refstore.create(tmp_path) as store:
        assert store.add(data, name="d").new
        files = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*") if path.is_file()}
        opened.clear()
        again = store.add(data, name="d")
        assert not again.new
        assert not [name for name in opened if name.endswith(".bin")]
        assert {path: path.stat().st_mtime_ns for path in store.folder.rglob("*") if path.is_file()} == files
        assert again.file_count == 4


def test_a_folder_that_did_not_change_is_told_by_its_mark_alone(
    tmp_path: Path, data: Path, trusting: None, opened: list[str]
) -> None:
    with refstore.create(tmp_path) as store:
        store.add(data, name="d")
        with sqlite3.connect(store.folder / "seen.db") as db:
            db.execute("update runs set data = x'00'")
        db.close()
        opened.clear()
        assert not store.add(data, name="d").new
        assert not [name for name in opened if name.endswith(".bin")]


def test_a_folder_with_a_file_that_was_changed_just_now_has_no_mark(tmp_path: Path, data: Path) -> None:
    (data / "a.bin").write_bytes(b"young")
    backend = cached(tmp_path)
    sums(backend, data)
    assert backend.seen_at is not None
    with sqlite3.connect(backend.seen_at) as db:
        marks = dict(db.execute("select folder, mark from runs"))
    db.close()
    assert marks[os.fsencode(f"{data}/")] == b""


def test_runs_have_one_mark_only_where_all_names_and_keys_are_the_same() -> None:
    def marked(names: list[str], keys: list[tuple[int, int, int, int, int]]) -> bytes:
        return walked.mark(walk.Run("/d/", "", 0, True, names, keys))

    key = (1, 2**64 - 1, 3, -4, 5)
    marks = [marked(["a"], [(*key[:at], key[at] - 1, *key[at + 1 :])]) for at in range(5)]
    marks += [marked(["a"], [key]), marked(["b"], [key]), marked(["a", "b"], [key, key]), marked(["ab"], [key])]
    assert len({*marks}) == len(marks)
    assert marked(["a"], [(*key[:3], 2**63, 5)]) == b"", "that is no time: the keys themselves have to be compared"


def test_only_what_changed_is_opened_and_written(tmp_path: Path, data: Path, trusting: None, opened: list[str]) -> None:
    with refstore.create(tmp_path) as store:
        store.add(data, name="d")
        (data / "b/c.bin").write_bytes(b"changed")
        (data / "b.bin").unlink()
        opened.clear()
        made = store.add(data, name="d")
        assert [name for name in opened if name.endswith(".bin")] == ["c.bin"]
        assert (made.added, made.removed, made.changed, made.file_count) == (0, 1, 1, 3)


def test_two_artifacts_of_one_folder_do_not_mistake_their_manifests(tmp_path: Path, data: Path, trusting: None) -> None:
    with refstore.create(tmp_path) as store:
        store.add(data, name="a")
        store.add(data, name="b")
        (data / "a.bin").write_bytes(b"one")
        store.add(data, name="a")
        (data / "b.bin").write_bytes(b"two")
        made = store.add(data, name="b")
        assert made.changed == 2
        assert store.add(data, name="a").changed == 1
        assert not store.add(data, name="b").new


# -- processes ---------------------------------------------------------------------------------------------------------


def test_processes_say_what_this_one_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_WORTH_A_PROCESS", 0)
    monkeypatch.setattr(hashing, "cores", lambda: 2)
    for number in range(600):
        (tmp_path / f"{number:03d}").write_bytes(b"%d" % number * (number % 90))
    (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"latin")
    backend = LocalBackend(Settings())
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*args: object, **more: object) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **more))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    found = sums(backend, tmp_path)
    assert found.pop("caf%E9") == md5(b"latin")
    (tmp_path / os.fsdecode(b"caf\xe9")).unlink()
    assert found == truth(tmp_path)
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


@pytest.mark.parametrize("worth", [0, 10**9])
def test_on_a_first_walk_large_files_are_found_by_those_who_open_them(
    tmp_path: Path, data: Path, trusting: None, monkeypatch: pytest.MonkeyPatch, worth: int
) -> None:
    monkeypatch.setattr(hashing, "_WORTH_A_PROCESS", worth)
    monkeypatch.setattr(hashing, "cores", lambda: 2)
    threads: list[str] = []
    one = hashing.Hashing.one

    def noted(self: hashing.Hashing, path: str) -> hashing.Future[hashing.Answer]:
        threads.append(str(Path(path).relative_to(data)))
        return one(self, path)

    monkeypatch.setattr(hashing.Hashing, "one", noted)
    large = ["b/large.bin", "c/large.bin", "c/nearly/larger.bin", "large.bin"]
    for size, name in enumerate(large, digests.LARGE):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(os.urandom(size))
    (data / "d.bin").write_bytes(bytes(digests.LARGE - 1))
    (data / "link.bin").symlink_to("b/large.bin")
    expected = truth(data)
    assert sums(cached(tmp_path), data) == expected
    assert sorted(threads) == [*large, "link.bin"]
    threads.clear()
    assert sums(cached(tmp_path), data) == expected
    assert threads == []
    os.utime(data / "large.bin", ns=(OLD, OLD))
    assert sums(cached(tmp_path), data) == expected
    assert threads == ["large.bin"]


def test_a_first_walk_looks_at_files_only_where_it_opens_them(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    look = walk.Walk._looked

    def noted(self: walk.Walk, files: list[os.DirEntry[str]], folder: str) -> dict[str, walk.Key]:
        looked.append(folder)
        return look(self, files, folder)

    monkeypatch.setattr(walk.Walk, "_looked", noted)
    assert sums(cached(tmp_path), data / "b") == truth(data / "b")
    assert looked == []
    # Something is known below the folder now.
    assert sums(cached(tmp_path), data) == truth(data)
    assert looked == [f"{data}/", f"{data}/b/"]


def test_files_are_hashed_all_the_same_where_processes_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_WORTH_A_PROCESS", 0)
    monkeypatch.setattr(hashing, "cores", lambda: 2)
    monkeypatch.setattr(hashing.digests, "__file__", __file__.replace("test_seen.py", "__init__.py"))
    for number in range(600):
        (tmp_path / f"{number:03d}").write_bytes(b"%d" % number)
    assert sums(LocalBackend(Settings()), tmp_path) == truth(tmp_path)


def test_a_file_that_may_not_be_had_is_named_by_processes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_WORTH_A_PROCESS", 0)
    monkeypatch.setattr(hashing, "cores", lambda: 2)
    monkeypatch.setattr(hashing, "FLAGS", hashing.FLAGS | os.O_DIRECTORY)
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(refstore.errors.SourceMissing, match=f"no file or folder file://{tmp_path}/a"):
        sums(LocalBackend(Settings()), tmp_path)


@pytest.mark.parametrize("signal", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_the_one_that_started_them(tmp_path: Path, signal: signal.Signals) -> None:
    script = """
import os, sys, time
from refstore.backends.local import hashing
hashing._WORTH_A_PROCESS, hashing.cores = 0, lambda: 2
with hashing.Hashing("md5", follow=True) as made:
    made.few(sys.argv[1], ["a"]).result()
    print(*[worker._process.pid for worker in made._workers], flush=True)
    time.sleep(60)
"""
    (tmp_path / "a").write_bytes(b"a")
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        pids = parent.stdout.readline().split()
        assert len(pids) == 2
        parent.send_signal(signal)
        parent.wait(30)
    until = time.monotonic() + 30
    while any(_runs(int(pid)) for pid in pids):
        assert time.monotonic() < until, "they are still there"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
