"""Carrying out a plan: many files at once, named in batches, so that a kill leaves nothing unaccounted for.

Worker threads fetch files under temporary names. The calling thread alone touches the ledger and gives files their
names, a batch at a time: the content and the intents of the batch go to the disk, its files are renamed, and then the
batch is settled.
"""

from __future__ import annotations

import contextlib
import queue
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from refstore.backends.registry import Backends
from refstore.checkout.conflicts import through_link
from refstore.checkout.destination import Destination
from refstore.checkout.disk import storage_error, sync_files, writing
from refstore.checkout.fetch import Arrived, Fetched, Fetcher
from refstore.checkout.ledger import Ledger
from refstore.checkout.open_folders import Blocked
from refstore.checkout.parts import Stopped
from refstore.checkout.paths import encode
from refstore.checkout.plan import Plan
from refstore.checkout.result import GIVE_UP, GONE, SHUT_OUT, Failure, failure_of
from refstore.checkout.staged import Work
from refstore.checkout.written import Settled, has_key, is_settled, stat_key
from refstore.errors import CheckoutError, DestinationConflict, RefstoreError, StorageFull, UnsafePath
from refstore.progress import Progress

BATCH = 256
"""Files that get their names together."""
REMEMBERED = 4096
"""Objects whose MD5 is written down together: it is of use for later checkouts alone."""
BATCH_SECONDS = 1.0
"""The longest that a finished file waits for its name."""
GATHER_SECONDS = 0.004
"""So long the calling thread lets results gather: to wake up for each would take its processor from those who fetch."""
QUEUED = 64
"""Files that wait for a thread, so that none is idle in that time."""
PATIENCE = 5.0
"""How long an interrupted checkout waits for its threads, in seconds."""


@dataclass(slots=True)
class Outcome:
    """What a transfer came to. The fields are those of `CheckoutResult`.

    `gave_up` is set when files are left that were not even tried.
    """

    written: int = 0
    transferred: int = 0
    from_cache: int = 0
    unverified: int = 0
    removed: int = 0
    failures: list[Failure] = field(default_factory=list)
    gave_up: bool = False


class Transfer:
    """One transfer.

    Args:
        plan: What to do.
        dest: Where.
        fetcher: Makes the files.
        backends: To look again at what failed.
        ledger: Where it is written down.
        owner: The artifact that the files belong to.
        force: Whether what stands in the way may be replaced.
        allow_missing: Whether files that are gone at their source are to be missing here as well.
        stop: Set to make the reads end.
        arrived: Counts bytes that arrive.
        progress: Told of them.
    """

    def __init__(
        self,
        plan: Plan,
        dest: Destination,
        fetcher: Fetcher,
        backends: Backends,
        ledger: Ledger,
        *,
        owner: str,
        force: bool,
        allow_missing: bool,
        stop: threading.Event,
        arrived: Arrived,
        progress: Progress,
    ) -> None:
        self._plan, self._dest, self._fetcher, self._backends, self._ledger = plan, dest, fetcher, backends, ledger
        self._owner, self._force, self._allow_missing = owner, force, allow_missing
        self._stop, self._arrived, self._progress = stop, arrived, progress
        self._tasks: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Fetched | Failure | BaseException | None] = queue.SimpleQueue()
        self._batch: list[Fetched] = []
        self._placed: list[Settled] = []
        self._contents: list[tuple[bytes, str, int]] = []
        self._again = False
        self.outcome = Outcome()

    def run(self, jobs: int) -> Outcome:
        """Fetch and place all files of the plan, then remove what the version lacks.

        Args:
            jobs: How many files at once.

        Raises:
            StorageFull: No space. What is finished stays.
            RefstoreError: The ledger or the destination refuse.
        """
        count = max(1, min(jobs, self._plan.totals.write))
        threads = [threading.Thread(target=self._work, name=f"refstore-{n}", daemon=True) for n in range(count)]
        for thread in threads:
            thread.start()
        try:
            self._loop(count + max(count, QUEUED))
            if self.outcome.gave_up:
                self._end(threads, PATIENCE)
                self._drain()
            self._commit()
            self._remember()
        except BaseException:
            self._stop.set()
            self._end(threads, PATIENCE)
            self._drain()
            self._again = True
            with contextlib.suppress(RefstoreError):
                self._commit()
                self._remember()
            raise
        self._end(threads, None)
        if all(failure.kind == GONE and self._allow_missing for failure in self.outcome.failures):
            self._remove_stale()
            self._remove_dropped()
        self._dest.sync()
        return self.outcome

    def _end(self, threads: list[threading.Thread], patience: float | None) -> None:
        for _ in threads:
            self._tasks.put(None)
        deadline = None if patience is None else time.monotonic() + patience
        for thread in threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (work := self._tasks.get()) is not None:
            if self._stop.is_set():
                continue
            try:
                self._results.put(self._fetcher.fetch(work))
            except Stopped:
                self._results.put(None)
            except StorageFull as error:
                self._results.put(error)
            except RefstoreError as error:
                self._results.put(failure_of(work.entry, error, self._backends))
            except BaseException as error:  # noqa: BLE001 - carried over to the calling thread
                self._results.put(error)

    def _loop(self, most: int) -> None:
        work = self._plan.work()
        waiting, more = 0, True
        refused = 0
        committed = time.monotonic()
        while True:
            while more and waiting < most:
                following = next(work, None)
                if following is None:
                    more = False
                else:
                    self._tasks.put(following)
                    waiting += 1
            if not waiting:
                return
            for result in self._gathered(waiting > 1):
                waiting -= 1
                if isinstance(result, Fetched):
                    self._batch.append(result)
                    refused = 0
                elif isinstance(result, Failure):
                    self.outcome.failures.append(result)
                    self._progress.advance(1, 0)
                    refused = refused + 1 if result.kind in SHUT_OUT else 0
                    if refused >= GIVE_UP:
                        self.outcome.gave_up = True
                        self._stop.set()
                        return
                elif result is not None:
                    raise result
            self._progress.advance(0, self._arrived.take())
            if len(self._batch) >= BATCH or (self._batch and time.monotonic() - committed > BATCH_SECONDS):
                self._commit()
                committed = time.monotonic()

    def _gathered(self, several: bool) -> Iterator[Fetched | Failure | BaseException | None]:
        """What the threads have done by now; nothing if that takes long. What is not consumed stays where it was."""
        try:
            yield self._results.get(timeout=0.2)
            if several:
                time.sleep(GATHER_SECONDS)
            while True:
                yield self._results.get_nowait()
        except queue.Empty:
            return

    def _drain(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                result = self._results.get_nowait()
                if isinstance(result, Fetched):
                    self._batch.append(result)

    def _commit(self) -> None:
        """Give the files of the batch their names. Interrupted, it goes on where it was when it is called again."""
        if self._batch:
            folders = {folder for item in self._batch for folder in self._dest.missing_folders(item.work.local)}
            with writing(self._dest.path):
                sync_files(self._dest.temporary, [item.temporary for item in self._batch if item.link != "symlink"])
            self._ledger.intend(
                self._plan.root,
                self._owner,
                [(encode(item.work.local), item.work.object, item.md5) for item in self._batch],
                [encode(folder) for folder in folders],
            )
            while self._batch:
                item = self._batch[-1]
                try:
                    placed = self._place(item)
                except RefstoreError as error:
                    if isinstance(error, StorageFull):
                        raise
                    self.outcome.failures.append(failure_of(item.work.entry, error, self._backends))
                    placed = None
                if placed is not None:
                    self._placed.append(placed)
                    self._count(item)
                self._batch.pop()
                self._progress.advance(1, 0)
        if self._placed:
            self._ledger.settle(self._plan.root, self._owner, self._placed)
            self._contents += [(file.object, file.md5, file.size) for file in self._placed if file.pinned]
            self._placed = []
        if len(self._contents) >= REMEMBERED:
            self._remember()

    def _remember(self) -> None:
        if self._contents:
            self._ledger.remember(self._contents)
            self._contents = []

    def _count(self, item: Fetched) -> None:
        outcome = self.outcome
        outcome.written += 1
        outcome.from_cache += item.transferred is None
        outcome.transferred += item.transferred or 0
        outcome.unverified += not item.verified

    def _place(self, item: Fetched) -> Settled | None:
        local, old_key = item.work.local, item.work.old_key
        placed = self._again and not self._dest.has_temporary(item.temporary)
        if not placed:
            self._clear_way(local, old_key)
        try:
            found = self._dest.stat(local) if placed else self._dest.place(item.temporary, local)
        except Blocked as blocked:
            raise self._refusal(blocked) from None
        except OSError as error:
            raise storage_error(error, self._dest.path / local) from error
        if found is None:
            return None
        target = self._dest.link_target(local) if item.link == "symlink" else ""
        key = stat_key(found, item.link, target)
        return Settled(
            encode(local), item.work.object, item.md5, item.size, item.link, key, is_settled(found), item.verified
        )

    def _clear_way(self, local: str, old_key: str | None) -> None:
        """Look at what is in a file's place, and take it away where the plan says so.

        Raises:
            DestinationConflict: Something is there now that was not when the plan was made.
            UnsafePath: A symbolic link is on the way.
        """
        for _ in range(local.count("/") + 1):
            try:
                found = self._dest.stat(local)
                break
            except Blocked as blocked:
                if not self._plan.drops(blocked.local) and (blocked.link or not self._force):
                    raise self._refusal(blocked) from None
                self._remove([blocked.local])
        else:
            raise UnsafePath(f"{self._dest.path / local} can't be made: what is in its way comes back.")
        if found is not None and stat.S_ISDIR(found.st_mode):
            self._remove(self._plan.dropped_below(local))
            self._dest.remove_empty_folders(local)
            if self._dest.stat(local) is not None:
                raise DestinationConflict(
                    f"{self._dest.path / local} is a folder that is not empty, and would be a file."
                )
        elif found is not None and old_key != "":
            target = self._dest.link_target(local) if stat.S_ISLNK(found.st_mode) else ""
            if old_key is None or not has_key(found, target, old_key):
                raise DestinationConflict(
                    f"{self._dest.path / local} was made or changed while the checkout ran: it was left as it is. "
                    "Use --force to replace it."
                )

    def _refusal(self, blocked: Blocked) -> CheckoutError:
        path = self._dest.path / blocked.local
        if blocked.link:
            return UnsafePath(through_link(path))
        return DestinationConflict(f"{path} is in the way: it appeared while the checkout ran.")

    def _remove(self, files: list[str]) -> None:
        for local in files:
            self._dest.remove(local)
        self.outcome.removed += len(files)
        self._ledger.forget(self._plan.root, [encode(local) for local in files])

    def _remove_stale(self) -> None:
        """Where a file that is gone may be missing, an older one must not stand for it."""
        for failure in self.outcome.failures:
            if failure.kind == GONE and (local := self._plan.stale(failure.path)) is not None:
                self._remove([local])

    def _remove_dropped(self) -> None:
        for page in self._plan.dropped():
            gone: list[str] = []
            for local, key in page:
                try:
                    found = self._dest.stat(local)
                except Blocked:
                    found = None
                if found is None:
                    continue
                target = self._dest.link_target(local) if stat.S_ISLNK(found.st_mode) else ""
                if not stat.S_ISDIR(found.st_mode) and (key == "" or has_key(found, target, key)):
                    gone.append(local)
            self._remove(gone)
            self._remove_folders_of([local for local, _ in page])

    def _remove_folders_of(self, files: list[str]) -> None:
        """Remove the folders that were made for files, where they are empty now."""
        folders: set[str] = set()
        for local in files:
            folder = local.rpartition("/")[0]
            while folder:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
        gone: list[bytes] = []
        for folder in sorted(folders, key=lambda folder: -folder.count("/")):
            if self._ledger.made_folder(self._plan.root, encode(folder)):
                with contextlib.suppress(Blocked):
                    if self._dest.remove_folder(folder):
                        gone.append(encode(folder))
        self._ledger.forget(self._plan.root, [], gone)
