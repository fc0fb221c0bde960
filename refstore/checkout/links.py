"""How a file at the destination is made from content in the cache."""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from enum import Enum
from pathlib import Path

from refstore.errors import InvalidSetting, LinkError

_FICLONE = 0x40049409
"""The request number of Linux: https://man7.org/linux/man-pages/man2/ioctl_ficlonerange.2.html"""


class Link(str, Enum):
    """The kinds of link, as the setting `link` and `--link` name them.

    AUTO: Independent files. Where the file system can clone them, the cache keeps a clone of what is fetched; elsewhere
        nothing is kept twice, and content that is in the cache already is copied from it.
    REFLINK: Clones of files in the cache, which share their blocks until one is changed.
    HARDLINK: One file under two names, read-only. Who makes it writable and edits it damages the cached content: the
        cache notices, and no longer serves it.
    SYMLINK: A symbolic link to the read-only file in the cache.
    COPY: Independent files; the cache is read where it has the content, and gets nothing.
    """

    AUTO = "auto"
    REFLINK = "reflink"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    COPY = "copy"

    @property
    def through_cache(self) -> bool:
        """Whether all content goes into the cache first."""
        return self in (Link.REFLINK, Link.HARDLINK, Link.SYMLINK)


def parse_link(text: str) -> Link:
    """The kind of link that a setting names.

    Raises:
        InvalidSetting: There is no such kind.
    """
    try:
        return Link(text)
    except ValueError:
        kinds = ", ".join(link.value for link in Link)
        raise InvalidSetting(f"{text!r} is not a kind of link: use one of {kinds}.") from None


def clone(source: int, target: int) -> bool:
    """Make the open file `target` share all blocks of the open file `source`; False where that can't be done."""
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def can_clone(source: Path, target: Path) -> bool:
    """Whether files in the folder `target` can be clones of files in the folder `source`. Tries it out."""
    return _try_out(source, target, Link.REFLINK)


def check_link(link: Link, cache: Path, dest: Path) -> None:
    """Try a kind of link out between two folders, before anything is transferred.

    Raises:
        LinkError: It can't be made there.
    """
    if link.through_cache and not _try_out(cache, dest, link):
        same = cache.stat().st_dev == dest.stat().st_dev
        why = "the file system there can't make them" if same else "they are on different file systems"
        plural = {Link.REFLINK: "clones (reflinks)", Link.HARDLINK: "hard links", Link.SYMLINK: "symbolic links"}[link]
        raise LinkError(
            f"Files in {dest} can't be {plural} of content in the cache {cache}: {why}. "
            "Use --link auto, or put the cache (cache_dir) on the destination's file system."
        )


def _try_out(source: Path, target: Path, link: Link) -> bool:
    name = f".refstore-probe-{uuid.uuid4().hex}"
    first, second = source / name, target / f"{name}-2"
    try:
        first.write_bytes(b"refstore")
        if link is Link.HARDLINK:
            os.link(first, second)
        elif link is Link.SYMLINK:
            second.symlink_to(first)
        else:
            with first.open("rb") as a, second.open("wb") as b:
                return clone(a.fileno(), b.fileno())
    except OSError:
        return False
    finally:
        for path in (first, second):
            with contextlib.suppress(OSError):
                path.unlink()
    return True
