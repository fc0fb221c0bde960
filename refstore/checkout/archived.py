"""Objects in archived storage: which those are, and which of them can't be read before they are restored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refstore.backends.registry import Backends
from refstore.checkout.cache import Cache
from refstore.checkout.parallel import in_parallel
from refstore.checkout.result import uri_of
from refstore.errors import RefstoreError, SourceUnreadable
from refstore.manifest.entry import Object

if TYPE_CHECKING:
    from refstore.checkout.plan import Plan
    from refstore.checkout.staged import Work

NAMED = 20
"""After so many archived objects that can't be read, the others aren't asked for."""

_ARCHIVED = {("s3", "GLACIER"), ("s3", "DEEP_ARCHIVE"), ("az", "ARCHIVE")}


def is_archived(obj: Object) -> bool:
    """Whether an object was in storage from which it has to be restored before it can be read.

    The class stays as it is while a restored copy can be read, so this is a reason to ask, and not to refuse. S3's
    `GLACIER_IR` and Google's `ARCHIVE` can be read at once:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html,
    https://cloud.google.com/storage/docs/storage-classes,
    https://learn.microsoft.com/azure/storage/blobs/archive-rehydrate-overview
    """
    return (obj.scheme, (obj.storage_class or "").upper()) in _ARCHIVED


def check_archived(plan: Plan, cache: Cache, backends: Backends, label: str, jobs: int) -> None:
    """Ask for the first byte of what was archived when it was recorded: restored copies can be read, the rest can't."""
    from refstore.checkout.fetch import find_cached

    if not plan.totals.archived:
        return

    def ask(work: Work) -> str | None:
        if find_cached(work, cache) is not None:
            return None
        obj = work.entry.object
        try:
            with backends.for_object(obj).open(obj, start=0, length=1) as reading:
                next(iter(reading.chunks), b"")
        except SourceUnreadable:
            return f"{work.entry.path} ({obj.storage_class}): {uri_of(obj, backends)}"
        except RefstoreError:
            # the transfer will say it better
            return None
        return None

    unreadable: list[str] = []
    for found in in_parallel(ask, plan.work(archived=True), jobs):
        if found is not None:
            unreadable.append(found)
        if len(unreadable) >= NAMED:
            break
    if unreadable:
        count = f"At least {len(unreadable)}" if len(unreadable) >= NAMED else str(len(unreadable))
        raise SourceUnreadable(
            f"{count} of the {plan.totals.archived} archived objects of {label} have to be restored first. "
            "Restore them (S3: RestoreObject; Azure: set the tier to Hot or Cool), or leave them out with --path:\n"
            + "\n".join(f"  {line}" for line in sorted(unreadable))
        )
