"""What a file at the destination is: ours and unchanged, the recorded content whoever wrote it, or somebody else's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from refstore.checkout.cache import Cache
from refstore.checkout.destination import Destination
from refstore.checkout.disk import pieces
from refstore.checkout.proof import STRONG, new_hash
from refstore.checkout.written import Written, stat_key
from refstore.manifest.entry import STORED, Checksum, Object


class Recognition:
    """Looks at the files of one destination. Nothing is changed.

    Args:
        dest: The destination.
        cache: Where the symbolic links point that checkouts make.
    """

    def __init__(self, dest: Destination, cache: Cache) -> None:
        self._dest, self._cache = dest, cache

    def key(self, local: str, found: os.stat_result, written: Written | None) -> str:
        """A file's stat key, made as that of its row in the ledger was."""
        if stat.S_ISLNK(found.st_mode):
            return stat_key(found, "symlink", self._dest.link_target(local))
        return stat_key(found, (written.link or "") if written else "")

    def content_if_ours(self, local: str, found: os.stat_result, written: Written | None) -> str | None:
        """The MD5 of a file that a checkout wrote and nobody changed since; None for any other file.

        Its stat key decides; where that can't, its content. "" is for a link to cached content that is no longer there.
        """
        if written is None:
            return None
        if stat.S_ISLNK(found.st_mode):
            target = self._dest.link_target(local)
            checksum = self._cache.checksum_at(Path(target))
            if checksum is None:
                return None
            if not self._cache.has(checksum):
                return "" if checksum.value in (written.md5, written.pending_md5) or written.link == "symlink" else None
            if written.link == "symlink" and written.key == stat_key(found, "symlink", target):
                return written.md5
            digests = self._digests(local, {"md5"})
            return digests["md5"] if digests and digests["md5"] in (written.md5, written.pending_md5) else None
        if not stat.S_ISREG(found.st_mode):
            return None
        if written.md5 and written.settled and written.key == stat_key(found, written.link or ""):
            return written.md5
        if found.st_size != written.size and written.pending_md5 is None:
            return None
        digests = self._digests(local, {"md5"})
        return digests["md5"] if digests and digests["md5"] in (written.md5, written.pending_md5) else None

    def prove(self, local: str, found: os.stat_result, obj: Object, md5: str | None) -> str | None:
        """The MD5 of a file that turns out to hold an object's content; None for any other.

        Args:
            local: The file.
            found: From `lstat`.
            obj: The object.
            md5: Of the object's content, where an earlier read told.
        """
        if obj.size is not None and obj.size != self.size(local, found):
            return None
        strong, etag = _strong(obj), _md5_etag(obj)
        if strong is None and etag is None and md5 is None:
            return None
        digests = self._digests(local, {"md5"} | ({strong.algorithm} if strong else set()))
        if digests is None:
            return None
        if strong is not None:
            return digests["md5"] if digests[strong.algorithm] == strong.value else None
        return digests["md5"] if digests["md5"] in (md5, etag) else None

    def is_content(self, local: str, size: int, here: str, obj: Object, md5: str | None) -> bool:
        """Whether a file of ours, made from another object, holds the content of this one.

        Args:
            local: The file.
            size: Of its content, in bytes.
            here: The MD5 of its content.
            obj: The object.
            md5: Of the object's content, where an earlier read told.
        """
        if obj.size is not None and obj.size != size:
            return False
        strong = _strong(obj)
        if strong is None:
            return here in (md5, _md5_etag(obj))
        if strong.algorithm == "md5":
            return strong.value == here
        digests = self._digests(local, {strong.algorithm})
        return digests is not None and digests[strong.algorithm] == strong.value

    def size(self, local: str, found: os.stat_result) -> int:
        """The size of a file's content in bytes, also by way of a link into the cache; -1 for all else."""
        if stat.S_ISREG(found.st_mode):
            return found.st_size
        target = Path(self._dest.link_target(local))
        checksum = self._cache.checksum_at(target)
        return target.stat().st_size if checksum is not None and self._cache.has(checksum) else -1

    def _digests(self, local: str, algorithms: set[str]) -> dict[str, str] | None:
        """Digests of a file's content; None for a link out of the cache, and for what is no regular file."""
        hashes = {algorithm: new_hash(algorithm) for algorithm in algorithms}
        target = Path(self._dest.link_target(local))
        try:
            if self._cache.checksum_at(target) is not None:
                fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            else:
                fd = self._dest.read(local)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            for piece in pieces(fd):
                for running in hashes.values():
                    running.update(piece)
        except OSError:
            return None
        finally:
            os.close(fd)
        return {algorithm: running.digest().hex() for algorithm, running in hashes.items()}


def _strong(obj: Object) -> Checksum | None:
    return obj.checksum if obj.checksum is not None and obj.checksum.algorithm in STRONG else None


def _md5_etag(obj: Object) -> str | None:
    """An ETag that could be the MD5 of the content. A file with that MD5 is the content; any other may be, too."""
    etag = obj.etag
    if obj.scheme == STORED or etag is None or len(etag) != 32:
        return None
    return etag.lower() if all(c in "0123456789abcdefABCDEF" for c in etag) else None
