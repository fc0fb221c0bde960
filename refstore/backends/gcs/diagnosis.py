"""What `refstore doctor gs://…` tries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refstore.backends.base import Check, Location
from refstore.backends.gcs.client import GCSClient, RefusedError
from refstore.errors import RefstoreError, SourceMissing, SourceUnavailable

if TYPE_CHECKING:
    from refstore.backends.gcs.backend import GCSBackend

_NEEDED = {
    "storage.objects.list": "to add a directory",
    "storage.objects.get": "to add and to check out",
    "storage.buckets.get": "to see whether the bucket keeps old generations (optional)",
}


def checks(backend: GCSBackend, client: GCSClient, location: Location) -> list[Check]:
    """Try credentials, the bucket's settings, listing and reading, read-only and in a handful of requests."""
    try:
        found = [Check("credentials", True, f"Requests carry these credentials: {client.credentials}.")]
    except RefstoreError as error:
        return [Check("credentials", False, str(error))]
    try:
        found += _bucket(backend, location)
    except SourceUnavailable as error:
        return [*found, Check("endpoint", False, str(error))]
    listing, sample = _list(backend, client, location)
    found.append(listing)
    found.append(_read(backend, location, sample))
    found += _permissions(client, location)
    return found


def _bucket(backend: GCSBackend, location: Location) -> list[Check]:
    try:
        bucket = backend.bucket(location)
    except SourceMissing as error:
        return [Check("bucket", False, str(error))]
    except SourceUnavailable:
        raise
    except RefstoreError as error:
        return [Check("versioning", None, f"It could not be told whether the bucket keeps old generations: {error}")]
    versioned = bool(bucket.get("versioning", {}).get("enabled"))
    days = int(bucket.get("softDeletePolicy", {}).get("retentionDurationSeconds", 0)) // 86400
    return [
        Check(
            "versioning",
            versioned or None,
            "Object versioning is on: old generations are kept and can be checked out."
            if versioned
            else "Object versioning is off: a reference notices when its object was overwritten, but the old bytes "
            f"are gone. Turn it on with `gcloud storage buckets update gs://{location.bucket} --versioning`.",
        ),
        Check(
            "soft delete",
            None if not days else True,
            f"What is deleted or overwritten can be restored by hand for {days} days."
            if days
            else "Soft delete is off.",
        ),
    ]


def _list(backend: GCSBackend, client: GCSClient, location: Location) -> tuple[Check, dict[str, Any] | None]:
    where = backend.uri(location)
    try:
        page = client.get(
            ("b", location.bucket, "o"),
            {"prefix": location.key, "maxResults": "1", "fields": "items(name,generation,size)"},
            where,
        )
    except RefusedError as refused:
        return Check(
            "list", False, f"{where} can't be listed ({refused.message}): grant roles/storage.objectViewer."
        ), None
    except RefstoreError as error:
        return Check("list", False, str(error)), None
    rows = page.get("items", [])
    said = f"{where} can be listed." if rows else f"{where} can be listed, and nothing there begins with that name."
    return Check("list", True, said), rows[0] if rows else None


def _read(backend: GCSBackend, location: Location, sample: dict[str, Any] | None) -> Check:
    key = sample["name"] if sample else location.key
    if not key:
        return Check("read", None, "There is no object to try to read.")
    try:
        found = backend.stat(
            Location("gs", location.endpoint, location.bucket, key, location.version if not sample else None)
        )
        with backend.open(found, length=1) as reading:
            for _ in reading.chunks:
                pass
    except SourceMissing as error:
        return Check("read", False if location.key and not location.directory else None, str(error))
    except RefstoreError as error:
        return Check("read", False, str(error))
    return Check("read", True, f"{backend.uri(found)} can be read.")


def _permissions(client: GCSClient, location: Location) -> list[Check]:
    # Anybody may ask which permissions they have: https://cloud.google.com/storage/docs/json_api/v1/buckets/testIamPermissions
    try:
        answer = client.get(
            ("b", location.bucket, "iam", "testPermissions"), {"permissions": list(_NEEDED)}, f"gs://{location.bucket}"
        )
    except (RefusedError, RefstoreError):
        return []
    granted = answer.get("permissions", [])
    missing = [f"{name} ({why})" for name, why in _NEEDED.items() if name not in granted]
    least = not any(name in granted for name in ("storage.objects.list", "storage.objects.get"))
    return [
        Check(
            "permissions",
            not least and not missing,
            f"Not granted: {', '.join(missing)}." if missing else "All that refstore can make use of is granted.",
        )
    ]
