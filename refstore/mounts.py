"""What kind of file system a path lies on, and which kinds are another machine's."""

from __future__ import annotations

import os
import re
import sys

_NETWORK = frozenset(
    """
    9p afs beegfs ceph cifs davfs fuse.blobfuse2 fuse.davfs2 fuse.gcsfuse fuse.glusterfs fuse.juicefs fuse.rclone
    fuse.s3fs fuse.sshfs glusterfs gpfs lustre nfs nfs4 orangefs panfs smb smb2 smb3 smbfs virtiofs wekafs
    """.split()  # noqa: SIM905
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def file_system(path: str | os.PathLike[str]) -> str | None:
    """The kind of file system that a path lies on, as Linux's table of mounts names it; None where there is no table.

    https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    best, kind = "", None
    real = os.path.realpath(path)
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123
            for line in mounts:
                before, _, after = line.partition(" - ")
                point = _ESCAPE.sub(lambda digits: chr(int(digits[1], 8)), before.split(" ")[4])
                inside = real == point or real.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, after.split(" ")[0]
    except OSError:
        return None
    return kind


def is_network(path: str | os.PathLike[str]) -> bool:
    """Whether a path is on a network file system; False where that can't be told."""
    kind = file_system(path)
    if kind is None:
        return sys.platform == "win32" and os.fspath(path).startswith("\\\\")
    return kind in _NETWORK
