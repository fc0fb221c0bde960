from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refstore.checkout.paths import MAX_PART, FilesAndFolders, entry_path, folded, local_path
from refstore.errors import UnsafePath

ODD = [
    "",
    ".",
    "..",
    "%_",
    "%+",
    "%_%2E",
    "%2E",
    "a",
    "a%b",
    "é",
    ".git",
    ".GIT",
    ".refstore",
    ".refstore-tmp",
    "con",
    "x.",
]
LONG = st.builds(lambda text, times: text * times, st.text("a.é%\0\\: ", min_size=1, max_size=4), st.integers(60, 80))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
PATHS = st.lists(TEXT | st.sampled_from(ODD) | LONG, max_size=3).map("/".join)


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("train/a.png", "train/a.png"),
        ("h#1+2%.txt", "h#1+2%.txt"),
        ("a b?c&d%20é", "a b?c&d%20é"),
        (".gitignore", ".gitignore"),
        ("back\\slash", "back\\slash"),
        ("dd//x", "dd/%_/x"),
        ("../../etc/passwd", "%_%2E%2E/%_%2E%2E/etc/passwd"),
        ("./x", "%_%2E/x"),
        ("/abs", "%_/abs"),
        ("folder/", "folder/%_"),
        ("", "%_"),
        ("nul\0byte", "%_nul%00byte"),
        ("%_taken", "%_%25_taken"),
        (".git/hooks/post-checkout", "%_%2Egit/hooks/post-checkout"),
        ("sub/.GIT/config", "sub/%_%2EGIT/config"),
        (".refstore.toml", "%_%2Erefstore%2Etoml"),
        (".refstore-tmp/x", "%_%2Erefstore-tmp/x"),
    ],
)
def test_only_what_cannot_be_a_file_name_is_escaped(path: str, local: str) -> None:
    assert local_path(path, windows=False) == local
    assert entry_path(local) == path


@given(PATHS, st.booleans())
@example("x" * 256, False)
@example("é" * 400 + "/k", False)
@example("%" * 300, True)
@settings(max_examples=200, deadline=None)
def test_the_escape_is_undone_exactly_and_never_leaves_the_destination(path: str, windows: bool) -> None:
    local = local_path(path, windows=windows)
    assert entry_path(local) == path
    for part in local.split("/"):
        assert part not in ("", ".", "..")
        assert "\0" not in part
        assert len(part.encode()) <= MAX_PART
        assert part.casefold() != ".git"
        assert not part.casefold().startswith(".refstore")


@given(PATHS, PATHS)
@settings(max_examples=100, deadline=None)
def test_two_paths_never_share_a_file(one: str, other: str) -> None:
    assert (local_path(one) == local_path(other)) == (one == other)


def test_on_windows_devices_drives_and_trailing_dots_are_escaped() -> None:
    for part in ("CON", "nul.txt", "a:b", "end.", "end ", "a\\b", "q?", 'x"y', "tab\t"):
        local = local_path(f"d/{part}/f", windows=True)
        assert local != f"d/{part}/f"
        assert not set(local) & set('\\:*?"<>|\t')
        assert entry_path(local) == f"d/{part}/f"
    assert local_path("COM0x/console", windows=True) == "COM0x/console"


def test_a_path_too_long_for_any_file_system_is_refused_by_name() -> None:
    with pytest.raises(UnsafePath, match="too long"):
        local_path("d/" * 3000)


def test_a_file_and_a_folder_of_one_name_are_found_with_others_sorted_between_them() -> None:
    shapes = FilesAndFolders()
    clashes = [shapes.add(path) for path in ["a", "a-b", "a.txt", "a/b", "ab", "c/", "c/d", "d", "d/", "e//x", "e/x"]]
    assert clashes == [None, None, None, "a", None, None, None, None, "d", None, None]


def test_names_that_differ_in_case_or_unicode_form_fold_together() -> None:
    assert folded("Straße/É") == folded("STRASSE/e\u0301")
    assert folded("a/b") != folded("a/c")
