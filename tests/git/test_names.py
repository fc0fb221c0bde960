"""No name changes its meaning in silence: what a merge did to numbers is said, and a digest means the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import refstore
from refstore.errors import ArtifactNotFound, InvalidName
from tests.git.clone import Clone, clone_of


@pytest.fixture
def merged(ada: Clone) -> Clone:
    """Two branches added `mnist:v1`, and were merged: the later one is `mnist:v2` now."""
    for name in ("left", "right"):
        ada.branch(name)
        ada.add("mnist", a=name)
        ada.commit(name)
    ada.git("merge", "-q", "--no-edit", "left")
    return ada


def test_resolving_a_number_that_two_versions_had_says_so(merged: Clone) -> None:
    with refstore.open(merged.root) as store:
        heard: list[str] = []
        store.on_note = heard.append
        digest = store.version("mnist:v2").digest[:12]
        assert "another merge may change its number" in heard.pop()
        version = store.version("mnist:v1")
        note = (
            "mnist:v1 was also the number of another version before a merge; that one is mnist:v2 now "
            f"(mnist@{digest})."
        )
        assert version.notes == (note,)
        assert heard == [note]
        assert store.version("mnist").notes == ()
        assert store.version("mnist:v2").renumbered_from == 1
    for words in (["show", "mnist:v1"], ["ls", "mnist:v1"], ["diff", "mnist:v0", "mnist:v1"]):
        assert merged.cli(*words).stderr == f"note: {note}\n"
    assert merged.cli("show", "mnist:v0").stderr == ""
    assert json.loads(merged.cli("show", "mnist:v1", "--json").stdout)["notes"] == [note]
    assert "renumbered from:  v1" in merged.cli("show", "mnist:v2").stdout


def test_it_is_said_still_when_the_renumbering_was_recorded_and_the_version_removed(merged: Clone) -> None:
    merged.add("mnist", a="third")
    with refstore.open(merged.root) as store:
        assert len(store.version("mnist:v1").notes) == 1
        store.remove("mnist:v2")
        assert "removed since" in store.version("mnist:v1").notes[0]
        store.remove("mnist:v1")
        with pytest.raises(ArtifactNotFound, match="was also the number of another version"):
            store.version("mnist:v1")


def test_a_digest_means_the_same_bytes_on_both_sides_of_a_merge(ada: Clone, tmp_path: Path) -> None:
    meant: dict[str, str] = {}
    for name in ("left", "right"):
        ada.branch(name)
        ada.add("mnist", a=name)
        with refstore.open(ada.root) as store:
            meant[store.version("mnist").digest] = store.version("mnist").id
        ada.commit(name)
    ada.git("merge", "-q", "--no-edit", "left")
    with refstore.open(ada.root) as store:
        for digest, id in meant.items():
            assert store.version(f"mnist@{digest[:12]}").id == id


def test_of_versions_with_the_same_files_a_digest_means_the_first_by_time(ada: Clone, tmp_path: Path) -> None:
    bob = clone_of(ada, tmp_path / "bob")
    with refstore.open(ada.root) as store:
        first = store.version("mnist:v0")
    ada.add("mnist", a="other")
    for path, text in (("a", "a"), ("b", "b"), ("c", "c")):
        (ada.data / path).write_text(text)
    with refstore.open(ada.root) as store:
        store.set_alias("mnist:v1", "best")
        store.remove("mnist:v1", force=True)
    ada.commit()
    bob.git("pull", "-q")
    with refstore.open(bob.root) as store:
        assert store.version(f"mnist@{first.digest[:12]}").id == first.id


def test_a_prefix_that_fits_a_removed_version_too_is_refused_and_means_no_other(ada: Clone) -> None:
    # the shortest prefixes are of four digits, so some two of so many versions share one
    with refstore.open(ada.root) as store:
        seen: dict[str, str] = {}
        for i in range(2000):
            (ada.data / "a").write_text(str(i))
            digest = store.add(ada.data / "a", name="many", checksum=True).version.manifest  # type: ignore[union-attr]
            other = seen.setdefault(digest[:4], digest)
            if other != digest:
                break
        prefix = f"many@{digest[:4]}"
        with pytest.raises(InvalidName, match="give more digits"):
            store.version(prefix)
        store.remove(f"many@{digest}")
        with pytest.raises(InvalidName, match="give more digits"):
            store.version(prefix)
        assert store.version(f"many@{other}").digest == other


def test_a_number_that_a_merge_gave_is_said_to_be_unsettled_until_a_version_is_added(merged: Clone) -> None:
    with refstore.open(merged.root) as store:
        version = store.version("mnist:v2")
        (note,) = version.notes
        assert note == (
            "mnist:v2 was mnist:v1 before a merge, and another merge may change its number until a version is added to "
            f"mnist; mnist@{version.digest[:12]} means the same for good."
        )
        assert store.version("mnist").notes == ()
    merged.add("mnist", a="third")
    with refstore.open(merged.root) as store:
        assert store.version("mnist:v2").notes == ()
        assert store.version("mnist:v2").id == version.id
