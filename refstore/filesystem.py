"""`refstore://` for fsspec: every version is a folder of its pinned bytes, to be read without a checkout.

::

    refstore://                            the artifacts' versions, and folders of projects and entities
    refstore://vision                      the versions in a project; the projects of an entity
    refstore://mnist:v3/train/a.csv        a file of a version: by number,
    refstore://vision/mnist:best/a.csv     by alias (`latest` too),
    refstore://team/vision/mnist@3f2a/a.csv   or by digest

A name ends with its version, and a file's name has to have one: `vision/mnist/a.csv` could be a file of `vision` as
well as one of `vision/mnist`, and what it means would change with the next artifact that somebody makes. Listings show
versions by their numbers, so that each file is found once; aliases and digests work wherever a name does. Nothing in a
path is escaped.

Whatever is read is what was recorded, or is refused:

- what is read in full, from the first byte to the last one, is compared with its digest, where one is known;
- parts of an object that its service pins (a version, a generation, a strong ETag) are read at that version or under
  that condition;
- parts of a local file, which only its digest pins, are read after the whole was compared with it once, and while its
  inode, size and times stay what they were then;
- parts of anything else are read from a temporary copy that was compared in full;
- content in the store's cache is read from there.

What an entry of pin `none` refers to has nothing to be compared with but size and time, here as in a checkout.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from refstore.checkout.disk import writing
from refstore.checkout.parallel import in_parallel
from refstore.checkout.pinned import PinnedReads
from refstore.checkout.reader import in_ranges
from refstore.errors import ReadOnly, RefstoreError, UnsafePath
from refstore.manifest.entry import Entry
from refstore.pinned_file import PinnedBytes, PinnedFile
from refstore.store import Store
from refstore.version_tree import InOneStore, VersionTree

logger = logging.getLogger("refstore")


class RefstoreFileSystem(VersionTree, metaclass=InOneStore):
    """The versions of one store, as folders. See the module for paths and for what is promised.

    Instances serve many threads, and forked and spawned processes. Each call sees what was recorded before it.

    Args:
        store: The folder that holds `.refstore`, or one below it; by default the current folder, or the variable
            `REFSTORE_STORE`. Looked up when the instance is made.

    Raises:
        StoreNotFound: There is none.
    """

    protocol = "refstore"
    root_marker = ""
    cachable = True

    def __init__(self, store: str, **options: Any) -> None:
        super().__init__(store, **options)
        self._reads: PinnedReads | None = None
        self._reads_of: object = None

    @property
    def fsid(self) -> str:
        """The same for all instances that mean the same store."""
        return f"refstore-{sha256(os.fsencode(self._stores.root)).hexdigest()[:16]}"

    # Reading

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        cache_type: str | None = None,
        size: int | None = None,
        **options: Any,
    ) -> PinnedFile:
        if mode != "rb":
            self._refuse()
        store, entry, place = self._file(path)
        return PinnedFile(
            self,
            path,
            f"{place.version.artifact}@{place.version.manifest}/{place.inside}",
            self._bytes(store, entry),
            block_size=block_size,
            cache_type=cache_type,
            cache_options=cache_options,
            info=self._file_info(store, place, entry),
        )

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """The bytes of a file, or a part of it: one request. Offsets below zero count from the end.

        Raises:
            EntryNotFound: There is no such file.
            SourceGone, SourceChanged, ChecksumMismatch, SourceUnavailable: The recorded bytes can't be had.
        """
        store, entry, _ = self._file(path)
        source = self._bytes(store, entry)
        return source.whole() if start is None and end is None else source.ranges([(start, end)])[0]

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **options: Any) -> Any:
        """The bytes of a file, or of many by their paths; many are read at once. See `fsspec`."""
        paths = self.expand_path(path, recursive=recursive)
        if len(paths) == 1 and not isinstance(path, list) and paths[0] == self._strip_protocol(path):
            return self.cat_file(paths[0])
        if recursive:
            paths = [each for each in paths if not self.isdir(each)]
        asked = (self._asking(each, PinnedBytes.whole) for each in paths)
        out = {}
        for each, answer in zip(paths, self._at_once(asked), strict=True):
            if isinstance(answer, BaseException) and on_error == "raise":
                raise answer
            if not isinstance(answer, BaseException) or on_error == "return":
                out[each] = answer
        return out

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int | None] | None,
        ends: int | list[int | None] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Parts of files, read at once. What has to be read in full to be believed is so once for all its parts.

        Args:
            paths: One for each part.
            starts: Of each; one number for all.
            ends: Of each; one number for all.
            max_gap: Without a meaning here.
            on_error: `return` to have an error in the place of the part that it is about, `raise` to have it raised.
            **options: Without a meaning here.
        """
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("cat_ranges needs as many starts and ends as paths.")
        parts = list(zip(starts, ends, strict=True))
        together: dict[object, list[int]] = {}
        for number, path in enumerate(paths):
            try:
                alone = in_ranges(self._file(path)[1].object)
            except RefstoreError:
                alone = True
            together.setdefault(number if alone else path, []).append(number)
        groups = list(together.values())
        asked = (
            self._asking(paths[group[0]], partial(PinnedBytes.ranges, wanted=[parts[number] for number in group]))
            for group in groups
        )
        out: list[Any] = [None] * len(paths)
        for group, answer in zip(groups, self._at_once(asked), strict=True):
            if isinstance(answer, BaseException):
                if on_error == "raise":
                    raise answer
                answer = [answer] * len(group)
            for number, part in zip(group, answer, strict=True):
                out[number] = part
        return out

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Copy a file, or many at once, to local paths; see `fsspec`. Else as `get_file`."""
        copies: list[Callable[[], None]] = []
        super().get(rpath, lpath, recursive=recursive, maxdepth=maxdepth, later=copies, **options)
        callback.set_size(len(copies))
        for _ in self._at_once(copies):
            callback.relative_update(1)

    def get_file(
        self,
        rpath: str,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        later: list[Callable[[], None]] | None = None,
        **options: Any,
    ) -> None:
        """Copy one file to a local path, where it appears once all of its bytes are there and compared.

        Args:
            rpath: Its path.
            lpath: Where it goes; a file-like object is written to.
            callback: Told of the bytes that arrived.
            outfile: A file-like object to write to.
            later: Gets what copies the bytes, in the place of it being done; it may be called in any thread.
            **options: Without a meaning here.

        Raises:
            EntryNotFound: There is no such file.
            UnsafePath: A part of its path is `..`: it could be written outside of the folder that was meant.
            SourceGone, SourceChanged, ChecksumMismatch, SourceUnavailable: The recorded bytes can't be had.
        """
        outfile = lpath if outfile is None and isfilelike(lpath) else outfile
        if outfile is None and self.isdir(rpath):
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        store, entry, place = self._file(rpath)
        callback.set_size(entry.object.size)
        source = self._bytes(store, entry)
        if outfile is not None:
            outfile.write(source.whole())
            callback.relative_update(entry.object.size or 0)
            return
        if ".." in place.inside.replace("\\", "/").split("/"):
            raise UnsafePath(
                f"{self._strip_protocol(rpath)} is not copied, because of the '..' in it: open it instead."
            )
        copy = partial(_copy, source, Path(os.fspath(lpath)), callback.relative_update)
        if later is None:
            copy()
        else:
            later.append(copy)

    # Writing: never

    def _refuse(self, *arguments: Any, **options: Any) -> NoReturn:
        raise ReadOnly(
            "refstore:// is read-only, for a version never changes: record a new one with 'refstore add' or "
            "'refstore put'."
        )

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = copy = mv = touch = _refuse
    pipe = pipe_file = put = put_file = write_text = sign = _refuse

    # From entries to bytes

    def _bytes(self, store: Store, entry: Entry) -> PinnedBytes:
        if self._reads is None or self._reads_of is not store.backends:
            self._reads, self._reads_of = PinnedReads(store.backends), store.backends
        return PinnedBytes(entry, store, self._reads)

    def _asking(self, path: str, read: Callable[[PinnedBytes], Any]) -> Callable[[], Any]:
        """A read of one file that can be done in any thread; the index is asked in this one."""
        try:
            store, entry, _ = self._file(path)
            source = self._bytes(store, entry)
        except RefstoreError as error:
            return partial(_same, error)
        return partial(_answer, read, source)

    def _at_once(self, asked: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        return in_parallel(lambda ask: ask(), asked, self._stores.here.settings.jobs)


def _same(answer: Any) -> Any:
    return answer


def _answer(read: Callable[[PinnedBytes], Any], source: PinnedBytes) -> Any:
    try:
        return read(source)
    except RefstoreError as error:
        return error


def _copy(source: PinnedBytes, target: Path, advance: Callable[[int], None]) -> None:
    temporary = target.with_name(f".refstore-{uuid.uuid4().hex}")
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        try:
            source.copy(file, str(target), advance)
            with writing(target):
                os.fsync(file)
        finally:
            os.close(file)
        with writing(target):
            temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
