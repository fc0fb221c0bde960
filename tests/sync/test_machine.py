"""Several people who work in every way at once: with git, with a remote, on branches, interrupted, in any order.

Each has a real clone of one repository, and all share a remote. Whatever they do, git never has a conflict, no name
changes its meaning in silence, `fsck` finds nothing, and once all have the same records their states are equal.

`REFSTORE_MACHINE=200` tries so many examples of the machine, and longer ones.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import refstore
from refstore.errors import ArtifactNotFound, SourceUnavailable
from refstore.names import ArtifactName
from refstore.records.types import Used
from refstore.sync.fetch import fetch
from refstore.sync.pull import pull
from refstore.sync.push import push
from refstore.sync.stored import StoredRemote
from refstore.tracking import implied_run
from tests.git.clone import Clone, clone_of, make
from tests.servers.s3 import S3Server

from . import clones

WHO = st.integers(0, 3)
NAMES = st.sampled_from(["mnist", "cnn"])
ALIASES = st.sampled_from(["best", "prod"])
BRANCHES = st.sampled_from(["main", "side"])
WHICH = st.integers(0, 5)

LONG = int(os.environ.get("REFSTORE_MACHINE", "0"))


@dataclass(frozen=True)
class Seen:
    """What a catalog said at some moment.

    Attributes:
        records: The ids of all its records.
        numbers: The id of the version that each number means, and whether asking for it said something of a merge.
        digests: The digest of the files that `name@prefix` means.
    """

    records: frozenset[str]
    numbers: dict[tuple[str, int], tuple[str, bool]]
    digests: dict[str, str]


class People(RuleBasedStateMachine):
    """Who they are is drawn; a person that a step names and that is not there is another one."""

    url = ""

    @initialize(count=st.integers(2, 4), by_git=st.booleans())
    def begin(self, count: int, by_git: bool) -> None:
        self.by_git = by_git
        self.folder = Path(tempfile.mkdtemp(prefix="refstore-people-"))
        self.remote = (self.url and f"{self.url}/{self.folder.name}") or str(self.folder / "remote")
        first = make(self.folder / "0")
        bare = Clone(self.folder / "shared.git", self.folder)
        first.git("clone", "-q", "--bare", str(first.root), str(bare.root))
        first.git("remote", "add", "origin", str(bare.root))
        first.git("fetch", "-q", "origin")
        self.people = [first, *(clone_of(bare, self.folder / str(number)) for number in range(1, count))]
        for person in self.people:
            for key, value in (("gc.auto", "0"), ("core.fsync", "none"), ("advice.detachedHead", "false")):
                person.git("config", key, value)
        self.seen: list[Seen] = []
        for person in self.people:
            self.look(person)

    def teardown(self) -> None:
        if not hasattr(self, "by_git"):
            return
        try:
            if sys.exc_info()[0] is None:
                self.all_share_everything(self.by_git)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def person(self, who: int) -> Clone:
        return self.people[who % len(self.people)]

    # What is never to be

    def look(self, person: Clone) -> None:
        """Compare what the names mean to one with what they meant to anybody who had no other records."""
        rows = person.state()
        now = Seen(frozenset(row[1] for row in rows if row[0] == "record"), {}, {})
        with refstore.open(person.root) as store:
            queries = store.catalog.queries
            for info in queries.artifacts():
                for version in queries.versions(info.name, deleted=True):
                    place = (info.name.artifact, version.number)
                    assert place not in now.numbers, "two versions have one number"
                    now.numbers[place] = (version.id, said_by(store, f"{place[0]}:v{place[1]}"))
                    with suppress(ArtifactNotFound):
                        name = f"{place[0]}@{version.manifest[:16]}"
                        now.digests[name] = store.version(name).digest
        for before in self.seen:
            if not before.records <= now.records:
                continue
            for place, (id, told) in before.numbers.items():
                after = now.numbers.get(place)
                if after is None or after[0] == id:
                    continue
                assert told or after[1], f"{place} meant {id[:8]} and now means {after[0][:8]}, and nothing says so"
            for name, digest in before.digests.items():
                assert now.digests.get(name, digest) == digest
        self.seen.append(now)

    # What each does alone

    def some(self, store: refstore.Store, name: str, which: int) -> refstore.Version | None:
        with suppress(ArtifactNotFound):
            found = store.versions(name)
            return found[which % len(found)] if found else None
        return None

    @rule(who=WHO, name=NAMES, which=WHICH, alias=st.none() | ALIASES, count=st.integers(1, 40))
    def add(self, who: int, name: str, which: int, alias: str | None, count: int) -> None:
        person = self.person(who)
        with refstore.open(person.root) as store, suppress(AssertionError):  # nothing new
            clones.add(store, count, {0: which}, name=name, aliases=[alias] if alias else [])
        self.look(person)

    @rule(who=WHO, name=NAMES, text=st.sampled_from("abc"))
    def add_files(self, who: int, name: str, text: str) -> None:
        person = self.person(who)
        person.record(name, {"a": text, "b": "b"})
        self.look(person)

    @rule(who=WHO, name=NAMES, which=WHICH, alias=ALIASES, there=st.booleans())
    def change_alias(self, who: int, name: str, which: int, alias: str, there: bool) -> None:
        person = self.person(who)
        with refstore.open(person.root) as store, suppress(ArtifactNotFound):
            if not there:
                store.remove_alias(f"{name}:{alias}")
            elif version := self.some(store, name, which):
                store.set_alias(version.qualified_name, alias)
        self.look(person)

    @rule(who=WHO, name=NAMES, which=WHICH, tag=ALIASES, there=st.booleans())
    def change_tag(self, who: int, name: str, which: int, tag: str, there: bool) -> None:
        person = self.person(who)
        with refstore.open(person.root) as store, suppress(ArtifactNotFound):
            if version := self.some(store, name, which):
                (store.tag if there else store.untag)(version.qualified_name, [tag])
        self.look(person)

    @rule(who=WHO, name=NAMES, which=WHICH, text=st.sampled_from(["", "good", "bad"]))
    def describe(self, who: int, name: str, which: int, text: str) -> None:
        person = self.person(who)
        with refstore.open(person.root) as store:
            if version := self.some(store, name, which):
                store.describe(version.qualified_name, text)
        self.look(person)

    @rule(who=WHO, name=NAMES, which=WHICH)
    def remove(self, who: int, name: str, which: int) -> None:
        person = self.person(who)
        with refstore.open(person.root) as store:
            if version := self.some(store, name, which):
                store.remove(version.qualified_name, force=True)
        self.look(person)

    @rule(who=WHO, name=NAMES, which=WHICH)
    def use(self, who: int, name: str, which: int) -> None:
        person = self.person(who)
        with refstore.open(person.root) as store:
            if version := self.some(store, name, which):
                with store.catalog.writing() as writing:
                    run = implied_run.start(writing, ArtifactName("", "uncategorized", name), "train")
                    writing.add(Used(**writing.stamp, run=run, version=version.id))
                    implied_run.finish(writing, run)
                    writing.commit()
        self.look(person)

    @rule(who=WHO, keep=st.integers(0, 3))
    def pack(self, who: int, keep: int) -> None:
        person = self.person(who)
        commit(person)
        before = person.state()
        with refstore.open(person.root) as store:
            store.pack(keep=keep)
        assert person.state() == before
        commit(person)

    @rule(who=WHO)
    def lose_the_index(self, who: int) -> None:
        person = self.person(who)
        for file in (person.root / ".refstore").glob("catalog.db*"):
            file.unlink()
        self.look(person)

    @rule(who=WHO)
    def check(self, who: int) -> None:
        check_whole(self.person(who))

    # With git

    @rule(who=WHO)
    def commit(self, who: int) -> None:
        commit(self.person(who))

    @rule(who=WHO, branch=BRANCHES)
    def switch(self, who: int, branch: str) -> None:
        person = self.person(who)
        commit(person)
        there = person.git("branch", "--list", branch).strip()
        person.git("switch", "-q", *([] if there else ["-c"]), branch)
        self.look(person)

    @rule(
        who=WHO, branch=BRANCHES, how=st.sampled_from(["merge", "merge", "merge --squash", "merge --no-ff", "rebase"])
    )
    def join(self, who: int, branch: str, how: str) -> None:
        person = self.person(who)
        commit(person)
        if person.git("branch", "--list", branch).strip():
            self.git(person, *how.split(), branch)
            commit(person)
            self.look(person)

    @rule(who=WHO, branch=BRANCHES, rebase=st.booleans())
    def pull_commits(self, who: int, branch: str, rebase: bool) -> None:
        person = self.person(who)
        commit(person)
        person.git("fetch", "-q")
        if person.git("branch", "-r", "--list", f"origin/{branch}").strip():
            self.git(person, *(["rebase"] if rebase else ["merge"]), f"origin/{branch}")
            self.look(person)

    @rule(who=WHO)
    def push_commits(self, who: int) -> None:
        """Their own branch, after what others pushed to it was merged."""
        person = self.person(who)
        branch = person.git("branch", "--show-current").strip()
        self.pull_commits(who, branch, rebase=False)
        person.git("push", "-q", "origin", branch)

    def git(self, person: Clone, *words: str) -> None:
        quiet = ["-q"] if "rebase" in words else ["-q", *([] if "--squash" in words else ["--no-edit"])]
        person.git(words[0], *quiet, *words[1:])
        assert "<<<<<<<" not in "".join(path.read_text() for path in person.records.glob("*.jsonl"))

    # With the remote

    @rule(who=WHO)
    def push(self, who: int) -> None:
        person = self.person(who)
        with refstore.open(person.root) as store:
            pushed = push(store.catalog, StoredRemote(self.remote, store.backends))
        assert (pushed.refused, pushed.notes) == ((), ())

    @rule(who=WHO, at=st.integers(1, 5), how=st.sampled_from(["before", "after"]))
    def push_half(self, who: int, at: int, how: str) -> None:
        person = self.person(who)
        with refstore.open(person.root) as store, suppress(SourceUnavailable):
            inner = StoredRemote(self.remote, store.backends)
            push(store.catalog, clones.Watched(inner, lambda number: how if number >= at else ""))

    @rule(who=WHO)
    def pull(self, who: int) -> None:
        person = self.person(who)
        with refstore.open(person.root) as store:
            pulled = pull(store.catalog, StoredRemote(self.remote, store.backends))
        assert (pulled.refused, pulled.held_back) == ((), ())
        self.look(person)

    @rule(who=WHO)
    def fetch(self, who: int) -> None:
        person = self.person(who)
        before = person.state()
        with refstore.open(person.root) as store:
            fetched = fetch(store.catalog, StoredRemote(self.remote, store.backends))
        assert (fetched.refused, fetched.held_back) == ((), ())
        assert person.state() == before

    # And in the end

    @rule(by_git=st.booleans())
    def all_share_everything(self, by_git: bool) -> None:
        if by_git:
            self.share_by_git()
        else:
            for who in range(len(self.people)):
                self.push(who)
            for who in range(len(self.people)):
                self.pull(who)
        self.all_are_equal()

    def share_by_git(self) -> None:
        for number, person in enumerate(self.people):
            commit(person)
            person.git("push", "-q", "-f", "origin", f"HEAD:refs/heads/of-{number}")
        for person in self.people:
            person.git("fetch", "-q")
            for number in range(len(self.people)):
                self.git(person, "merge", f"origin/of-{number}")
            self.look(person)

    def all_are_equal(self) -> None:
        first, *others = self.people
        state = first.state()
        for other in others:
            assert other.state() == state
        assert first.fresh_state(Path(tempfile.mkdtemp(dir=self.folder))) == state
        for person in self.people:
            check_whole(person)


def commit(person: Clone) -> None:
    person.git("add", "-A")
    person.git("commit", "-q", "--allow-empty", "-m", "work")


def said_by(store: refstore.Store, name: str) -> bool:
    """Whether asking for a version says that a merge gave numbers."""
    try:
        return bool(store.version(name).notes)
    except ArtifactNotFound as error:
        return "merge" in str(error)


def check_whole(person: Clone) -> None:
    with refstore.open(person.root) as store:
        assert [found.message for found in store.fsck()] == []


def run(machine: type[People], examples: int, steps: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=LONG or examples,
            stateful_step_count=2 * steps if LONG else steps,
            deadline=None,
            derandomize=not LONG,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink) if LONG else (Phase.generate,),
        ),
    )


@pytest.mark.timeout(0 if LONG else 600)
def test_whatever_people_do_they_end_in_one_state() -> None:
    run(People, 8, 20)


@pytest.mark.timeout(0 if LONG else 600)
def test_the_same_with_a_bucket(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)

    class WithBucket(People):
        url = f"s3://{seaweed.make_bucket(versioned=False)}"

    run(WithBucket, 2, 20)
