"""What `refstore doctor az://…` tries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refstore.backends.azure.client import AzureClient
from refstore.backends.azure.listing import Listing
from refstore.backends.base import Check, Diagnosis, Location
from refstore.errors import CredentialsMissing, RefstoreError, SourceMissing, SourceUnavailable
from refstore.manifest.entry import Pin

if TYPE_CHECKING:
    from refstore.backends.azure.backend import AzureBackend


def examine(backend: AzureBackend, client: AzureClient, location: Location) -> Diagnosis:
    """Try credentials, listing, versions and reading, read-only and in a handful of requests."""
    checks = [Check("credentials", True, f"Requests to {client.account.url} carry {client.credentials}.")]
    result = Diagnosis(location, client.account.url, Pin.ETAG, checks)
    try:
        rows = _rows(backend, client, location, versions=False)
    except CredentialsMissing as error:
        checks[0] = Check("credentials", False, str(error))
        return result
    except SourceUnavailable as error:
        checks.append(Check("endpoint", False, str(error)))
        return result
    except RefstoreError as error:
        checks.append(Check("list", False, f"{error} Listing needs the role Storage Blob Data Reader."))
        rows = []
    else:
        where = backend.uri(location)
        checks.append(
            Check("list", True, f"{where} can be listed." if rows else f"{where} can be listed, and nothing is there.")
        )
    versioned = _versions(backend, client, location, rows, checks)
    sample = next((row for row in rows if row.size), rows[0] if rows else None)
    pin = _read(backend, location, sample, checks)
    return Diagnosis(location, client.account.url, Pin.VERSION if versioned else pin, checks)


def _rows(backend: AzureBackend, client: AzureClient, location: Location, *, versions: bool) -> list[Any]:
    return Listing(client, location.bucket, location.key, backend.uri(location), size=10, versions=versions).next()


def _versions(
    backend: AzureBackend, client: AzureClient, location: Location, rows: list[Any], checks: list[Check]
) -> bool:
    # Whether an account keeps versions can only be asked of its management API; a listing shows it by version ids.
    name = "versioning"
    if not rows:
        checks.append(Check(name, None, "There is no blob to tell by whether the account keeps versions."))
        return False
    try:
        listed = _rows(backend, client, location, versions=True)
    except RefstoreError as error:
        checks.append(Check(name, None, f"Versions can't be listed: {error}"))
        return False
    if any(row.version_id for row in listed):
        checks.append(Check(name, True, "Blobs have version ids: old versions are kept and can be checked out."))
        return True
    checks.append(
        Check(
            name,
            None,
            "Blobs have no version ids: a reference notices when its blob was overwritten, but the old bytes are gone. "
            "Turn on blob versioning for the storage account.",
        )
    )
    return False


def _read(backend: AzureBackend, location: Location, sample: Any, checks: list[Check]) -> Pin:
    key = sample.name if sample is not None else location.key
    if not key:
        checks.append(Check("read", None, "There is no blob to try to read."))
        return Pin.ETAG
    try:
        found = backend.stat(
            Location("az", location.endpoint, location.bucket, key, location.version if sample is None else None)
        )
        with backend.open(found, length=1) as reading:
            for _ in reading.chunks:
                pass
    except SourceMissing as error:
        checks.append(Check("read", False if location.key and not location.directory else None, str(error)))
        return Pin.ETAG
    except RefstoreError as error:
        checks.append(Check("read", False, str(error)))
        return Pin.ETAG
    checks.append(Check("read", True, f"{backend.uri(found)} can be read."))
    return found.pin
