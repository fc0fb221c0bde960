"""`checkout`: the files of a version, in a folder, with the bytes that were recorded or not at all."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from refstore.backends.registry import Backends
from refstore.checkout.archived import check_archived
from refstore.checkout.cache import Cache
from refstore.checkout.destination import Destination
from refstore.checkout.fetch import Arrived, Fetcher, find_cached
from refstore.checkout.ledger import Ledger
from refstore.checkout.links import Link, check_link, parse_link
from refstore.checkout.pinned import PinnedReads
from refstore.checkout.plan import Plan
from refstore.checkout.result import GONE, CheckoutResult, counted
from refstore.checkout.select import Selection
from refstore.checkout.since import Manifest
from refstore.checkout.transfer import Outcome, Transfer
from refstore.checkout.written import Whole
from refstore.errors import CheckoutIncomplete, StorageFull, UnsafePath
from refstore.manifest.entry import Entry
from refstore.progress import Progress, Silent


def checkout(
    entries: Iterable[Entry],
    dest: Path,
    *,
    label: str,
    backends: Backends,
    cache: Cache,
    ledger: Ledger,
    store: Path | None = None,
    paths: Sequence[str] = (),
    jobs: int = 16,
    link: str = "auto",
    force: bool = False,
    allow_missing: bool = False,
    progress: Progress | None = None,
    manifest: Manifest | None = None,
) -> CheckoutResult:
    """Make a folder hold the files of a version.

    Files that are there as recorded are kept without a request. Files that an earlier checkout of the same artifact
    wrote here, that nobody changed since, and that this version lacks, are removed (not with `paths`), and so are
    folders that this empties. Everything that is in the way is found before anything is transferred. After an interrupt
    the same call goes on where it stopped.

    Args:
        entries: The version's entries, sorted by the bytes of their paths.
        dest: The folder; made if it isn't there.
        label: The version's name, `mnist:v0`, for messages. What stands before `:` or `@` says whose files they are.
        backends: Read the sources.
        cache: Content by checksum.
        ledger: What was checked out on this machine.
        store: The folder `.refstore`, which no checkout may write to; that of the ledger by default.
        paths: Globs (see `Selection`): only these files; all others at the destination are left alone.
        jobs: Transfers at once.
        link: A kind of link (see `Link`). Files that are there as recorded are kept, whatever kind they are.
        force: Replace and remove files that refstore did not write, or that were changed since. Never writes through
            a symbolic link, and never removes a folder with other files in it.
        allow_missing: Files that are gone at their source are reported, and don't make it fail.
        progress: Told of what arrives.
        manifest: What tells, without reading all entries, what changed since another version; only where `entries` are
            the whole version.

    Returns:
        What was done.

    Raises:
        CheckoutIncomplete: Some files could not be had; all others were.
        DestinationConflict: Files are in the way. Nothing was changed.
        UnsafePath: Paths that can't exist there. Nothing was changed.
        LinkError: That kind of link is not possible there. Nothing was changed.
        SourceUnreadable: Objects are in archived storage. Nothing was changed.
        StorageFull: There is no space. What is finished is kept.
        StoreLocked: Another checkout writes to the same folder.
        ArtifactNotFound: A glob selects nothing.
    """
    kind = parse_link(link)
    owner = label.partition("@")[0].partition(":")[0]
    progress = progress or Silent()
    _check_outside(dest, store or ledger.path.parent)
    with Destination(dest, ledger.path.parent) as place, ledger.staging(Plan.schema) as db:
        plan = Plan(db, ledger, place, cache, owner, force)
        plan.make(entries, Selection(paths), label, manifest)
        plan.take_over()
        outcome = Outcome()
        if plan.totals.write or plan.totals.drop:
            if plan.totals.write and kind.through_cache:
                check_link(kind, cache.make(), place.temporary_path)
            check_archived(plan, cache, backends, label, jobs)
            _check_space(plan, place, cache, kind, label)
            progress.total(plan.totals.write, plan.totals.write_bytes)
            stop, arrived = threading.Event(), Arrived()
            fetcher = Fetcher(place, cache, PinnedReads(backends, stop, jobs), kind, arrived.add)
            transfer = Transfer(
                plan,
                place,
                fetcher,
                backends,
                ledger,
                owner=owner,
                force=force,
                allow_missing=allow_missing,
                stop=stop,
                arrived=arrived,
                progress=progress,
            )
            outcome = transfer.run(jobs)
        if manifest is not None and not paths and not outcome.failures:
            files = plan.totals.keep + plan.totals.write
            ledger.complete(plan.root, owner, Whole(manifest.id, plan.totals.escaped), files)
        return _result(dest, plan, outcome, label, place, allow_missing)


def _check_outside(dest: Path, store: Path) -> None:
    inside, folder = os.path.realpath(dest), os.path.realpath(store)
    if inside == folder or inside.startswith(folder + os.sep):
        raise UnsafePath(
            f"{dest} is inside the store {store}, whose files a checkout must not touch: give another DEST."
        )


def _result(
    dest: Path, plan: Plan, outcome: Outcome, label: str, place: Destination, allow_missing: bool
) -> CheckoutResult:
    failures = sorted(outcome.failures, key=lambda failure: failure.path.encode("utf-8", "surrogateescape"))
    if not failures or (allow_missing and all(failure.kind == GONE for failure in failures)):
        place.clear_temporary()
        return CheckoutResult(
            dest=dest,
            written=outcome.written,
            kept=plan.totals.keep,
            removed=outcome.removed,
            bytes_transferred=outcome.transferred,
            from_cache=outcome.from_cache,
            unverified=outcome.unverified,
            failures=tuple(failures),
            escaped=plan.totals.escaped,
        )
    done = plan.totals.keep + outcome.written
    total = plan.totals.keep + plan.totals.write
    kinds = counted(Counter(failure.kind for failure in failures))
    gave_up = " It gave up after so many failures in a row." if outcome.gave_up else ""
    summary = f"{label} is not complete in {dest}: {done:,} of {total:,} files are there ({kinds}).{gave_up}"
    raise CheckoutIncomplete(f"{summary} The first: {failures[0].path}: {failures[0].message}", failures, summary)


def _check_space(plan: Plan, place: Destination, cache: Cache, link: Link, label: str) -> None:
    """Refuse what can't fit, before anything is transferred.

    Raises:
        StorageFull: It can't fit.
    """
    where, free = place.path, place.free_bytes()
    if link.through_cache:
        found = os.statvfs(cache.make())
        where, free = cache.root, found.f_bavail * found.f_frsize
    if plan.totals.write_bytes <= free:
        return
    shares = link not in (Link.COPY, Link.AUTO)
    needed = 0
    for work in plan.work():
        if not shares or find_cached(work, cache) is None:
            needed += work.entry.object.size or 0
    needed -= place.temporary_bytes()
    if needed > free:
        raise StorageFull(
            f"{label} needs {needed:,} bytes more at {where}, and {free:,} are free there. Nothing was transferred."
        )
