"""The end of versions whose lifetime (`ttl`) is over. No source is ever touched."""

from __future__ import annotations

from datetime import datetime, timedelta

from refstore.catalog.catalog import Catalog
from refstore.catalog.infos import VersionInfo
from refstore.records.encoding import now
from refstore.records.types import Tombstone


def expire(catalog: Catalog, *, dry_run: bool, at: str | None = None) -> list[VersionInfo]:
    """Remove the versions whose lifetime has ended, in one transaction.

    A lifetime counts from the version's own time. What has an alias or a link is in use by whoever set that, and the
    latest version is what the artifact's bare name means (`latest` never moves back): they stay.

    Args:
        catalog: Whose versions.
        dry_run: Only tell.
        at: The time that counts as now: UTC, ISO 8601.

    Returns:
        What was removed, or would be, oldest first.
    """
    if dry_run:
        return _ended(catalog.queries.mortal_versions(), at or now())
    with catalog.writing() as writing:
        gone = _ended(writing.queries.mortal_versions(), at or writing.time)
        if gone:
            for version in gone:
                writing.add(Tombstone(**writing.stamp, version=version.id))
            names = ", ".join(f"{version.artifact}:v{version.number}" for version in gone)
            writing.summarise(f"{names} removed: their lifetime ended")
            writing.commit()
    return gone


def ends(version: VersionInfo) -> str:
    """When the lifetime of a version ends: UTC, ISO 8601; "" for never."""
    if not version.lifetime:
        return ""
    # A lifetime beyond the year 9999 has no date, and no end that anybody waits for.
    try:
        end = datetime.fromisoformat(version.created.replace("Z", "+00:00")) + timedelta(seconds=version.lifetime)
    except OverflowError:
        return ""
    return end.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _ended(versions: list[VersionInfo], now: str) -> list[VersionInfo]:
    moment = datetime.fromisoformat(now.replace("Z", "+00:00"))
    out = []
    for version in versions:
        end = ends(version)
        if end and datetime.fromisoformat(end.replace("Z", "+00:00")) <= moment and not version.aliases:
            out.append(version)
    return sorted(out, key=lambda version: (version.created, version.id))
