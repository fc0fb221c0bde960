"""Which configured endpoint serves a bucket or prefix."""

from __future__ import annotations

from collections.abc import Collection

from refstore.config import Endpoint, Settings


def serving(settings: Settings, schemes: Collection[str], bucket: str, key: str) -> Endpoint | None:
    """The endpoint whose `match` covers the place, the longest one where several do; None where none does.

    A match ends where a path component does: `s3://data/team` covers `team` and `team/x`, and not `team2`.
    """
    place = f"{bucket}/{key}"
    best, length = None, -1
    for endpoint in settings.endpoints:
        for match in endpoint.match:
            scheme, _, covered = match.partition("://")
            covered = covered.rstrip("/")
            if (
                scheme.lower() in schemes
                and len(covered) > length
                and (place == covered or place.startswith(f"{covered}/"))
            ):
                best, length = endpoint, len(covered)
    return best


def named(settings: Settings, schemes: Collection[str], name: str) -> Endpoint | None:
    """The endpoint of that name, if it is one for the scheme."""
    return next((e for e in settings.endpoints if e.name == name and e.scheme in schemes), None)
