"""What changed below a folder since a walk that made a known manifest, by what the stat cache holds of that walk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from operator import itemgetter
from types import TracebackType

from refstore.backends.local.hashing import Hashing
from refstore.backends.local.paths import readable
from refstore.backends.local.seen import Seen
from refstore.backends.local.tree import Digesting, rows
from refstore.backends.local.walk import Part, Run, Walk
from refstore.backends.local.walked import Lost, Then, Walked, mark
from refstore.backends.notes import Notes
from refstore.config import Settings
from refstore.manifest.entry import Entry
from refstore.manifest.rows import entry_of

Looked = tuple[int, int, list[Entry], list[str]]
"""Of some files: how many there are, their bytes; the entries that are new or changed, the paths that are gone."""


class Relook:
    """A second walk; use it as a context manager.

    Args:
        seen: The cache.
        walk: The number of the first walk.
        root: The folder.
        settings: The hash, what to do with links, how far the cache is trusted.
    """

    def __init__(self, seen: Seen, walk: int, root: str, settings: Settings) -> None:
        self._seen, self._number, self._settings = seen, walk, settings
        self._cut = len(root.rstrip("/").encode("utf-8", "surrogateescape")) + 1
        self._notes = Notes()
        self._walk = Walk(root, settings.symlinks, self._notes)
        self._stack = ExitStack()
        self._stack.enter_context(seen)
        follow = settings.symlinks == "follow"
        hashing = self._stack.enter_context(Hashing(settings.hash, follow=follow))
        self._digesting = Digesting(hashing, seen, anywhere=settings.stat_cache == "always")
        self._then: deque[int | None] = deque()
        self._dropped: deque[Then] = deque()
        self._gone: list[tuple[bytes, int]] = []

    def __enter__(self) -> Relook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was left out; complete when all changes were read."""
        return self._notes.sentences()

    def changes(self) -> Iterator[Looked]:
        """What there is and what is different, folder by folder. Only files that are not as they were are read.

        Raises:
            Lost: The cache can't tell.
            SourceError: As `Backend.find`.
        """
        with self._seen.walked_before(self._number) as walked:
            for run, _, stop in self._digesting.parts(self._meet(walked)):
                yield self._differs(run, stop, self._then.popleft(), walked)
                while self._dropped:
                    yield self._drop(*self._dropped.popleft(), walked)
            while self._dropped:
                yield self._drop(*self._dropped.popleft(), walked)

    def _meet(self, walked: Walked) -> Iterator[Part]:
        """The runs that there are now, each held against what the walk found then; see `_then` and `_dropped`."""
        # Both stand in one order: that of the folders' paths, as bytes.
        before = walked.runs()
        then = next(before, None)
        last: tuple[bytes, int] = (b"", -1)
        for part in _first_parts(self._walk.parts()):
            run = part[0]
            try:
                here = (run.folder.encode(), run.number)
            except UnicodeEncodeError:
                raise Lost from None
            if here <= last:
                raise Lost
            last = here
            while then is not None and then[:2] < here:
                self._dropped.append(then)
                then = next(before, None)
            version = None
            if then is not None and then[:2] == here:
                version = then[3]
                if then[2] and self._digesting.may_know(run) and then[2] == mark(run):
                    run.begun = run.same = True
                then = next(before, None)
            self._then.append(version)
            yield part
        while then is not None:
            self._dropped.append(then)
            then = next(before, None)

    def _differs(self, run: Run, stop: int, version: int | None, walked: Walked) -> Looked:
        size = sum(map(itemgetter(2), run.keys))
        if run.same:
            return stop, size, [], []
        was = walked.state(version) if version is not None else None
        if was is not None and was[0] == run.names and was[2] == run.sums:
            return stop, size, [], []
        if was is not None and was[0] != run.names and not run.alone:
            # A file may have come here from another run of the folder.
            raise Lost
        old: dict[str, str] = dict(zip(was[0], was[2], strict=True)) if was is not None else {}
        put: list[Entry] = []
        for at, (name, value) in enumerate(zip(run.names, run.sums, strict=True)):
            if old.pop(name, None) != value:
                put += map(entry_of, rows((run, at, at + 1), self._settings.hash))
        return stop, size, put, [readable(run.before + name) for name in old]

    def _drop(self, folder: bytes, number: int, _: bytes, version: int, walked: Walked) -> Looked:
        if number:
            raise Lost
        self._gone.append((folder, number))
        before = folder[self._cut :].decode("utf-8", "surrogateescape")
        return 0, 0, [], [readable(before + name) for name in walked.state(version)[0]]

    def settle(self, manifest: str) -> None:
        """Remember what was found, and the manifest that it makes; where nothing changed, nothing is written."""
        if self._seen.kept or self._gone:
            self._seen.carry_on(self._number, self._gone, manifest)


def _first_parts(parts: Iterator[Part]) -> Iterator[Part]:
    """Each run once, as a whole, where it comes first."""
    for run, start, stop in parts:
        if not run.begun and ((run.alone and stop == 0) or not run.alone):
            yield run, start, len(run.names)
