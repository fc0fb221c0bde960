"""The data: the same bytes in every run, made from a seed, and never the same twice within it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

SEED = 20_260_101
FANOUT = 1000
_PIECE = 1 << 20


def content(number: int, size: int, round: int = 0) -> bytes:
    """What a file of that number holds, after so many changes."""
    return random.Random(f"{SEED} {number} {round}").randbytes(size)


def path(number: int) -> str:
    """Where it is: a thousand in a folder."""
    return f"d{number // FANOUT:04d}/f{number:07d}.bin"


def tree(root: Path, count: int, size: int = 4096) -> Path:
    """So many files below a folder, unless they are there."""
    if root.exists():
        return root
    for number in range(count):
        file = root / path(number)
        if number % FANOUT == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(content(number, size))
    return root


def changed(count: int, changes: int = 10) -> list[int]:
    """The numbers of the files that a change touches: spread over all of them."""
    return [place * count // changes for place in range(changes)]


def change(root: Path, count: int, round: int, size: int = 4096) -> None:
    """Write some of the files of a tree anew, as a new file each: links to the old one keep what they had."""
    for number in changed(count):
        file = root / path(number)
        file.unlink()
        file.write_bytes(content(number, size, round))


def large(root: Path, count: int, size: int) -> Path:
    """A few files of many MiB, unless they are there."""
    if root.exists():
        return root
    root.mkdir(parents=True)
    for number in range(count):
        with (root / f"large-{number:02d}.bin").open("wb") as file:
            for piece in pieces(number, size):
                file.write(piece)
    return root


def pieces(number: int, size: int) -> Iterator[bytes]:
    """The content of a large file: one random MiB, with the offset written over the start of each copy of it."""
    piece = content(number, min(_PIECE, size))
    for offset in range(0, size, _PIECE):
        yield offset.to_bytes(8, "big") + piece[8 : min(_PIECE, size - offset)]
