from __future__ import annotations

import pytest

from refstore.checkout.select import Selection
from refstore.errors import ArtifactNotFound

FILES = ["a.png", "train/1.png", "train/deep/2.png", "train2/3.png", "odd[1].png", "odd1.png", "x*y"]


@pytest.mark.parametrize(
    ("glob", "taken"),
    [
        ("train", ["train/1.png", "train/deep/2.png"]),
        ("train/", ["train/1.png", "train/deep/2.png"]),
        ("*.png", ["a.png", "train/1.png", "train/deep/2.png", "train2/3.png", "odd[1].png", "odd1.png"]),
        ("**/*.png", ["a.png", "train/1.png", "train/deep/2.png", "train2/3.png", "odd[1].png", "odd1.png"]),
        ("train/*.png", ["train/1.png"]),
        ("train?", ["train2/3.png"]),
        ("train/**", ["train/1.png", "train/deep/2.png"]),
        ("odd[1].png", ["odd[1].png", "odd1.png"]),
        ("odd[!a-z].png", ["odd1.png"]),
        ("x*y", ["x*y"]),
        ("/*.png", ["a.png", "odd[1].png", "odd1.png"]),
        ("odd[z", []),
    ],
)
def test_a_glob_takes_whole_parts_of_paths(glob: str, taken: list[str]) -> None:
    selection = Selection([glob])
    assert [path for path in FILES if selection.takes(path)] == taken


def test_no_globs_take_everything() -> None:
    assert all(map(Selection().takes, FILES))


def test_a_glob_that_takes_nothing_is_an_error_that_names_it() -> None:
    selection = Selection(["*.png", "trian/**"])
    for path in FILES:
        selection.takes(path)
    with pytest.raises(ArtifactNotFound, match="'trian/"):
        selection.check_used("m:v0")
