"""Versions, aliases, tags and lineage against a model of a few dictionaries, in whatever order things happen."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import refstore
from refstore.errors import ArtifactNotFound, TypeConflict, UsageError
from refstore.tracking import current

NAMES = st.sampled_from(["mnist", "cnn"])
CONTENTS = st.frozensets(st.sampled_from(["a", "b", "c"]))
ALIASES = st.sampled_from(["best", "prod"])


class Artifacts(RuleBasedStateMachine):
    """Each artifact is a list of contents, some removed, and a mapping of aliases to numbers."""

    @initialize()
    def begin(self) -> None:
        self.before = Path.cwd()
        self.folder = Path(tempfile.mkdtemp(prefix="refstore-model-"))
        os.chdir(self.folder)
        (self.folder / "data").mkdir()
        for name in "abc":
            (self.folder / "data" / name).write_text(name)
        refstore.create(self.folder).close()
        self.versions: dict[str, list[frozenset[str]]] = {}
        self.gone: set[tuple[str, int]] = set()
        self.aliases: dict[tuple[str, str], int] = {}
        self.types: dict[str, str] = {}
        self.used: dict[str, set[tuple[str, int]]] = {}
        self.logged: dict[str, set[tuple[str, int]]] = {}
        self.run: refstore.Run | None = None
        self.next_run()

    def teardown(self) -> None:
        while current.run() is not None:
            current.finish()
        os.chdir(self.before)
        shutil.rmtree(self.folder)

    @rule()
    def next_run(self) -> None:
        self.run = refstore.init(project="vision", reinit=True)
        self.used[self.run.id], self.logged[self.run.id] = set(), set()

    def latest(self, name: str) -> int | None:
        left = [n for n in range(len(self.versions.get(name, []))) if (name, n) not in self.gone]
        return max(left, default=None)

    def record(self, name: str, content: frozenset[str]) -> int:
        latest = self.latest(name)
        if latest is not None and self.versions[name][latest] == content:
            return latest
        self.versions.setdefault(name, []).append(content)
        return len(self.versions[name]) - 1

    def draft(self, name: str, content: frozenset[str], type: str) -> refstore.Artifact:
        draft = refstore.Artifact(name, type=type)
        for each in sorted(content):
            draft.add_reference(self.folder / "data" / each)
        return draft

    @rule(name=NAMES, content=CONTENTS, type=st.sampled_from(["x", "y"]), aliases=st.frozensets(ALIASES))
    def log(self, name: str, content: frozenset[str], type: str, aliases: frozenset[str]) -> None:
        assert self.run
        draft = self.draft(name, content, type)
        if self.types.setdefault(name, type) != type:
            with pytest.raises(TypeConflict):
                self.run.log_artifact(draft, aliases=sorted(aliases))
            return
        number = self.record(name, content)
        self.run.log_artifact(draft, aliases=sorted(aliases))
        self.logged[self.run.id].add((name, number))
        self.aliases.update({(name, alias): number for alias in aliases})
        assert draft.version == f"v{number}"

    @rule(name=NAMES, content=CONTENTS)
    def use_a_draft(self, name: str, content: frozenset[str]) -> None:
        assert self.run
        draft = self.draft(name, content, self.types.setdefault(name, "x"))
        number = self.record(name, content)
        assert self.run.use_artifact(draft).version == f"v{number}"
        self.logged[self.run.id].add((name, number))
        self.used[self.run.id].add((name, number))

    @rule(name=NAMES, alias=st.one_of(ALIASES, st.just("latest"), st.integers(0, 3).map("v{}".format)))
    def use(self, name: str, alias: str) -> None:
        assert self.run
        number = self.meaning(name, alias)
        if number is None:
            with pytest.raises(ArtifactNotFound):
                self.run.use_artifact(f"{name}:{alias}")
            return
        found = self.run.use_artifact(f"{name}:{alias}")
        assert found.version == f"v{number}"
        self.used[self.run.id].add((name, number))

    def meaning(self, name: str, alias: str) -> int | None:
        if alias == "latest":
            return self.latest(name)
        number = int(alias[1:]) if alias[0] == "v" else self.aliases.get((name, alias))
        known = number is not None and number < len(self.versions.get(name, [])) and (name, number) not in self.gone
        return number if known else None

    @precondition(lambda self: self.versions)
    @rule(name=NAMES, data=st.data(), alias=ALIASES, add=st.booleans())
    def change_aliases(self, name: str, data: st.DataObject, alias: str, add: bool) -> None:
        left = [n for n in range(len(self.versions.get(name, []))) if (name, n) not in self.gone]
        if not left:
            return
        number = data.draw(st.sampled_from(left))
        found = refstore.Api().artifact(f"vision/{name}:v{number}")
        has = self.aliases.get((name, alias)) == number
        if add and not has:
            found.aliases.append(alias)
            self.aliases[name, alias] = number
        elif not add and has:
            found.aliases.remove(alias)
            del self.aliases[name, alias]
        found.save()

    @precondition(lambda self: self.versions)
    @rule(name=NAMES, data=st.data(), force=st.booleans())
    def delete(self, name: str, data: st.DataObject, force: bool) -> None:
        left = [n for n in range(len(self.versions.get(name, []))) if (name, n) not in self.gone]
        if not left:
            return
        number = data.draw(st.sampled_from(left))
        named = [key for key, at in self.aliases.items() if key[0] == name and at == number]
        found = refstore.Api().artifact(f"vision/{name}:v{number}")
        if named and not force:
            with pytest.raises(UsageError):
                found.delete()
            return
        found.delete(delete_aliases=force)
        self.gone.add((name, number))
        for key in named:
            del self.aliases[key]

    @precondition(lambda self: self.versions)
    @rule(name=NAMES, content=CONTENTS)
    def log_after_the_latest_is_gone(self, name: str, content: frozenset[str]) -> None:
        """Steps that chance seldom brings together, and after which a number could be given again."""
        latest = self.latest(name)
        if latest is None:
            return
        refstore.Api().artifact(f"vision/{name}:v{latest}").delete(delete_aliases=True)
        self.gone.add((name, latest))
        self.aliases = {key: at for key, at in self.aliases.items() if (key[0], at) != (name, latest)}
        self.log(name, content, self.types[name], frozenset())

    @rule()
    def lose_the_index(self) -> None:
        store = current.stores().here
        store.close()
        for file in (self.folder / ".refstore").glob("catalog.db*"):
            file.unlink()

    @invariant()
    def the_catalog_says_what_the_model_says(self) -> None:
        if not hasattr(self, "versions"):
            return
        api = refstore.Api()
        for name, contents in self.versions.items():
            left = [n for n in range(len(contents)) if (name, n) not in self.gone]
            found = {a.version: a for a in api.artifacts(self.types[name], f"vision/{name}")}
            assert sorted(found) == sorted(f"v{n}" for n in left)
            for number in left:
                artifact = found[f"v{number}"]
                assert set(artifact.manifest.entries) == set(contents[number])
                named = sorted(a for (n, a), at in self.aliases.items() if n == name and at == number)
                assert artifact.aliases == (["latest"] if number == max(left) else []) + named
        for id, pairs in self.logged.items():
            past = api.run(id)
            assert {(a.name.split(":")[0], int(a.version[1:])) for a in past.logged_artifacts()} == pairs - self.gone
            assert {(a.name.split(":")[0], int(a.version[1:])) for a in past.used_artifacts()} == self.used[
                id
            ] - self.gone
            assert past.state == ("running" if self.run and id == self.run.id else "finished")


TestArtifacts = Artifacts.TestCase
TestArtifacts.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
