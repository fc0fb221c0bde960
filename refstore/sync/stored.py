"""A remote that is only storage: a bucket, a prefix of one, or a folder. No server takes part.

::

    refstore.json                                      the format, and a random name for this remote
    packs/<SHA-256>.jsonl.gz                           one transaction or part file each, named by the unpacked bytes
    content/<algorithm>/<first two digits>/<the rest>  what `refstore put` stored

Every file is written once, whole or not at all, and never changes. So nothing needs a lock.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import secrets
import threading
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from refstore.backends import Backends
from refstore.checkout.parallel import in_parallel
from refstore.checkout.proof import computable, new_hash
from refstore.errors import (
    CatalogTooNew,
    ChecksumMismatch,
    RemoteCorrupt,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
    UsageError,
)
from refstore.manifest.entry import Checksum
from refstore.sync.places import Place, place_at
from refstore.sync.places.place import PART, part_size
from refstore.sync.remote import MAX_PACK, Remote

FORMAT = 1
"""The layout above. A reader refuses a higher one."""

_MARKER = "refstore.json"
_MARKER_SIZE = 64 << 10
_SUFFIX = ".jsonl.gz"
_NAME = re.compile(r"[0-9a-f]{64}")
_ALGORITHM = re.compile(r"[a-z0-9]{2,16}")
_VALUE = re.compile(r"[0-9a-f]{8,128}")
# From this many on, a folder of content is listed (up to 1,000 names a request) and not asked for each.
_WORTH_A_LISTING = 8


class StoredRemote(Remote):
    """See the module, and `Remote` for what the methods promise.

    Args:
        url: `s3://bucket/prefix`, `gs://`, `az://`, `sftp://`, another protocol of fsspec that can write, `file://` or
            a path.
        backends: Whose settings say where endpoints are; the clients are those that sources are read with.
        jobs: Requests at once, where one call asks for many things.

    Raises:
        InvalidURI: It can't be a remote.
        SecretInURI: It carries a credential.
        UnsupportedScheme: The package for its scheme is not installed.
        CredentialsMissing, InvalidSetting: Its endpoint or account is not set up here.
    """

    def __init__(self, url: str, backends: Backends, *, jobs: int = 16) -> None:
        self._place: Place = place_at(url, backends)
        self.url = self._place.url
        self._jobs = jobs
        self._stopped = threading.Event()

    def identity(self, *, create: bool = False) -> str | None:
        """See `Remote.identity`.

        Raises:
            RemoteCorrupt: What is there is not refstore's.
            CatalogTooNew: A newer refstore made it.
        """
        found = self._identity()
        if found is None and create:
            marker = {"refstore": FORMAT, "remote": secrets.token_hex(16)}
            self._place.put(_MARKER, json.dumps(marker, sort_keys=True).encode() + b"\n", only_new=True)
            # Somebody else may have been first, or may have written over it: what is there now is what counts.
            found = self._identity()
        return found

    def _identity(self) -> str | None:
        pieces = self._place.get(_MARKER)
        if pieces is None:
            return None
        text = _joined(pieces, _MARKER_SIZE)
        try:
            marker = json.loads(text or b"")
            number, name = marker["refstore"], marker["remote"]
        except (ValueError, LookupError, TypeError):
            number = name = None
        if type(number) is not int or not isinstance(name, str) or not name:
            raise RemoteCorrupt(f"{self.url} is no refstore remote: its {_MARKER} was not written by refstore.")
        if number > FORMAT:
            raise CatalogTooNew(
                f"The remote {self.url} has format {number}, and this refstore knows {FORMAT}: upgrade refstore."
            )
        return name

    def names(self) -> Iterator[str]:
        """See `Remote.names`. Files that are no packs are passed over."""
        for name in self._place.names("packs"):
            pack = name.removesuffix(_SUFFIX)
            if name.endswith(_SUFFIX) and _NAME.fullmatch(pack):
                yield pack

    def read(self, name: str) -> bytes:
        """See `Remote.read`.

        Raises:
            SourceMissing: There is no such pack.
        """
        pieces = self._place.get(_pack(name))
        if pieces is None:
            raise SourceMissing(f"The remote {self.url} has no pack {name}: was it deleted there?")
        data = self._unpacked(pieces, name)
        if hashlib.sha256(data).hexdigest() != name:
            raise RemoteCorrupt(f"The pack {name} of {self.url} is damaged: its bytes are not what its name says.")
        return data

    def _unpacked(self, pieces: Iterator[bytes], name: str) -> bytes:
        """The unpacked bytes; what grows beyond all measure is given up before it is in memory."""
        unzip = zlib.decompressobj(wbits=31)
        parts, size = [], 0
        try:
            for piece in pieces:
                rest = piece
                while rest and not unzip.eof:
                    parts.append(unzip.decompress(rest, PART))
                    size += len(parts[-1])
                    rest = unzip.unconsumed_tail
                    if size > MAX_PACK:
                        raise RemoteCorrupt(
                            f"The pack {name} of {self.url} is larger than a pack may be ({MAX_PACK >> 20} MiB)."
                        )
        except zlib.error:
            raise RemoteCorrupt(f"The pack {name} of {self.url} is damaged: it can't be unpacked.") from None
        finally:
            _close(pieces)
        if not unzip.eof:
            raise RemoteCorrupt(f"The pack {name} of {self.url} is cut off.")
        return b"".join(parts)

    def write(self, name: str, data: bytes) -> None:
        """See `Remote.write`."""
        # The time is left out, so that everybody writes the same bytes under the same name.
        self._place.put(_pack(name), gzip.compress(data, mtime=0))

    def has_content(self, checksums: Collection[Checksum]) -> set[Checksum]:
        """See `Remote.has_content`: never more requests than checksums, but for folders of very many files."""
        folders: dict[str, set[Checksum]] = defaultdict(set)
        for checksum in checksums:
            folders[_content(checksum).rpartition("/")[0]].add(checksum)
        listed = {folder: asked for folder, asked in folders.items() if len(asked) >= _WORTH_A_LISTING}
        single = [checksum for folder, asked in folders.items() if folder not in listed for checksum in asked]
        found: set[Checksum] = set()
        for checksum, is_there in in_parallel(lambda c: (c, self._place.has(_content(c))), single, self._jobs):
            if is_there:
                found.add(checksum)

        def look(folder: str) -> set[Checksum]:
            by_name = {_content(checksum).rpartition("/")[2]: checksum for checksum in listed[folder]}
            return {by_name[name] for name in self._place.names(folder) if name in by_name}

        for some in in_parallel(look, list(listed), self._jobs):
            found |= some
        return found

    def write_content(self, checksum: Checksum, path: Path) -> None:
        """See `Remote.write_content`. The file is hashed while it is read, and is not written if it is another.

        Raises:
            ChecksumMismatch: The file is not what the checksum says.
        """
        key = _content(checksum)

        def parts(length: int) -> Iterator[bytes]:
            for part in _parts(path, checksum, length):
                if self._stopped.is_set():
                    raise SourceUnavailable(f"Sending to {self.url} was given up.")
                yield part

        try:
            size = path.stat().st_size
            if size <= PART:
                self._place.put(key, b"".join(parts(PART)))
            else:
                self._place.put_parts(key, size, lambda: parts(part_size(size)))
        except FileNotFoundError as error:
            if isinstance(error, SourceMissing):
                raise
            raise SourceMissing(f"The content {checksum} is not at {path} any more.") from None

    def stop(self) -> None:
        """See `Remote.stop`. The remote is of no more use for sending."""
        self._stopped.set()

    def read_content(self, checksum: Checksum, start: int = 0) -> Iterator[bytes]:
        """See `Remote.read_content`. The request is made at once."""
        pieces = self._place.get(_content(checksum), start)
        if pieces is None:
            raise SourceMissing(f"The remote {self.url} does not have the content {checksum}.")
        return pieces


def _pack(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a pack.")
    return f"packs/{name}{_SUFFIX}"


def _content(checksum: Checksum) -> str:
    if not _ALGORITHM.fullmatch(checksum.algorithm) or not _VALUE.fullmatch(checksum.value):
        raise UsageError(f"{str(checksum)!r} is not a checksum.")
    return f"content/{checksum.algorithm}/{checksum.value[:2]}/{checksum.value[2:]}"


def _parts(path: Path, checksum: Checksum, size: int) -> Iterator[bytes]:
    """The file in parts of `size` bytes; the last one is held back until all of them prove to be the content."""
    if not computable(checksum.algorithm):
        raise SourceUnreadable(f"The content {checksum} can't be verified: nothing here computes {checksum.algorithm}.")
    digest = new_hash(checksum.algorithm)
    with path.open("rb") as file:
        held = file.read(size)
        while held:
            digest.update(held)
            following = file.read(size)
            if not following:
                break
            yield held
            held = following
    if digest.digest().hex() != checksum.value:
        raise ChecksumMismatch(f"{path} is not the content {checksum}: 'refstore fsck --repair' removes it.")
    yield held


def _joined(pieces: Iterator[bytes], most: int) -> bytes | None:
    """All bytes; None where there are more than `most`."""
    parts, size = [], 0
    try:
        for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if size > most:
                return None
    finally:
        _close(pieces)
    return b"".join(parts)


def _close(pieces: Iterator[bytes]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
