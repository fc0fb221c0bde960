"""`refstore doctor s3://…`: what works at a place, and which permission is missing where something doesn't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refstore.backends.aio import run
from refstore.backends.base import Check, Diagnosis, Location
from refstore.backends.s3 import errors as s3_errors
from refstore.backends.s3.client import S3Client
from refstore.backends.s3.endpoint import address
from refstore.errors import RefstoreError
from refstore.manifest.entry import Pin

_SAMPLE = 20


def diagnose(client_of: Callable[[], S3Client], location: Location, uri: str) -> Diagnosis:
    """Try everything that refstore does with a place, read-only.

    Args:
        client_of: Makes the client; its errors are findings too.
        location: What to look at.
        uri: Of the location, for messages.
    """
    try:
        client = client_of()
        url = address(client.endpoint) or "https://s3.amazonaws.com"
    except RefstoreError as error:
        return Diagnosis(location, "", Pin.NONE, [Check("endpoint", False, str(error))])
    return _Examination(client, location, uri, url).result()


class _Examination:
    def __init__(self, client: S3Client, location: Location, uri: str, url: str) -> None:
        self._client = client
        self._location = location
        self._uri = uri
        self._url = url
        self._checks: list[Check] = []

    def result(self) -> Diagnosis:
        """Everything, in the order in which a person would ask."""
        endpoint = self._client.endpoint
        name = "" if endpoint.name == self._url else f"the endpoint {endpoint.name} at " if endpoint.name else "AWS at "
        self._add("endpoint", True, f"Requests go to {name}{self._url}.")
        found = self._credentials() and self._versioning_and_lists()
        return Diagnosis(self._location, self._url, self._reads(*found) if found else Pin.NONE, self._checks)

    def _add(self, name: str, ok: bool | None, detail: str) -> None:
        self._checks.append(Check(name, ok, detail))

    def _try(
        self, permission: str, operation: str, **parameters: Any
    ) -> tuple[dict[str, Any] | None, Exception | None, str]:
        """An answer, or the error and what it means."""
        try:
            return self._client.run(operation, Bucket=self._location.bucket, **parameters), None, ""
        except Exception as error:  # noqa: BLE001 - every error is a finding
            meaning = s3_errors.translate(error, self._uri, self._location.bucket, self._client.label, permission)
            return None, error, str(meaning)

    def _credentials(self) -> bool:
        if self._client.endpoint.anonymous:
            self._add("credentials", True, "Requests are not signed (anonymous = true).")
            return True
        try:
            credentials, region = run(self._load())
        except Exception as error:  # noqa: BLE001 - every error is a finding
            meaning = s3_errors.translate(error, self._uri, self._location.bucket, self._client.label, "")
            self._add("credentials", False, str(meaning))
            return False
        if credentials is None:
            self._add(
                "credentials",
                False,
                "None were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, use AWS_PROFILE, log in with `aws "
                "sso login`, or set anonymous = true in an [endpoints.NAME] for a public bucket.",
            )
            return False
        method, key = credentials
        self._add("credentials", True, f"Found by {method}, access key id …{key[-4:]}.")
        self._add(
            "region",
            True,
            f"Requests are signed for {region}." if region else "No region is set; AWS tells it where needed.",
        )
        return True

    async def _load(self) -> tuple[tuple[str, str] | None, str | None]:
        client = await self._client.filesystem.set_session()
        credentials = await self._client.filesystem.session.get_credentials()
        if credentials is None:
            return None, None
        frozen = await credentials.get_frozen_credentials()
        return (str(credentials.method), str(frozen.access_key)), client.meta.region_name

    def _versioning_and_lists(self) -> tuple[list[dict[str, Any]], bool] | None:
        """Some objects there, and whether they have versions; None if there is nothing to go on with."""
        answer, error, meaning = self._try("s3:GetBucketVersioning", "get_bucket_versioning")
        if answer is not None:
            state = answer.get("Status")
            self._add(
                "versioning",
                state == "Enabled" or None,
                {
                    "Enabled": "Enabled: overwritten objects can be had back.",
                    "Suspended": "Suspended: new objects are pinned by ETag only; turn it on to keep old bytes.",
                }.get(
                    str(state),
                    "Off: objects are pinned by ETag only, and overwritten bytes are lost; turn versioning on to keep "
                    "them.",
                ),
            )
        else:
            assert error is not None
            lost = (
                "bucket" if s3_errors.code(error) == "NoSuchBucket"
                else "connection" if s3_errors.status(error) == 0
                else "access" if s3_errors.is_shut_out(error)
                else ""
            )  # fmt: skip
            self._add(lost or "versioning", False if lost else None, meaning)
            if lost:
                return None
        self._lifecycle()
        plain = self._list("list", "s3:ListBucket", "list_objects_v2")
        versions = self._list("list versions", "s3:ListBucketVersions", "list_object_versions")
        location = self._location
        sample = [row for row in versions or plain or [] if row.get("IsLatest", True) and not row["Key"].endswith("/")]
        if location.version or (not sample and not location.directory):
            sample = [{"Key": location.key}]
        return sample, any(row.get("VersionId", "null") != "null" for row in versions or ())

    def _list(self, name: str, permission: str, operation: str) -> list[dict[str, Any]] | None:
        """Some rows of what the location names, as a directory or else as an object."""
        key = self._location.key
        prefixes = [key] if not key or key.endswith("/") else [f"{key}/", key]
        rows: list[dict[str, Any]] = []
        for prefix in prefixes:
            answer, error, meaning = self._try(permission, operation, Prefix=prefix or None, MaxKeys=_SAMPLE)
            if answer is None:
                self._add(name, False, _lacking(meaning, error, permission))
                return None
            found = answer.get("Contents") or answer.get("Versions") or []
            rows = [row for row in found if row["Key"] == key or row["Key"].startswith(prefixes[0])]
            if rows:
                break
        self._add(
            name, True, f"Works ({permission})." if rows else f"Works ({permission}); there is nothing at {key!r}."
        )
        return rows

    def _lifecycle(self) -> None:
        answer, _, _ = self._try("s3:GetLifecycleConfiguration", "get_bucket_lifecycle_configuration")
        for rule in (answer or {}).get("Rules", ()):
            about = rule.get("Filter") or {}
            prefix = about.get("Prefix") or about.get("And", {}).get("Prefix") or rule.get("Prefix") or ""
            expiry = rule.get("NoncurrentVersionExpiration") or {}
            key = self._location.key
            if rule.get("Status") == "Enabled" and expiry and (key.startswith(prefix) or prefix.startswith(key)):
                days = expiry.get("NoncurrentDays", "some")
                self._add(
                    "lifecycle",
                    None,
                    f"A rule of the bucket deletes old versions after {days} days, also those that references pin: "
                    f"exclude {prefix or 'this place'!r} from it, or check out before.",
                )

    def _reads(self, sample: list[dict[str, Any]], versioned: bool) -> Pin:
        if not sample:
            what = (
                "nothing is there to be read" if self._location.directory else f"{self._uri} was not found by listing"
            )
            self._add("read", None if self._location.directory else False, f"Not tried: {what}.")
            return Pin.NONE
        row = sample[0]
        key = row["Key"]
        wanted = self._location.version or (row.get("VersionId") if versioned else None)
        answer, error, meaning = self._try("s3:GetObject", "head_object", Key=key)
        if answer is not None and answer.get("ContentLength"):
            answer, error, meaning = self._get(key, None)
        self._add(
            "read",
            answer is not None,
            "Works (s3:GetObject)." if answer is not None else _lacking(meaning, error, "s3:GetObject"),
        )
        pin = Pin.ETAG if answer is not None else Pin.NONE
        if wanted and wanted != "null":
            answer, error, meaning = self._try("s3:GetObjectVersion", "head_object", Key=key, VersionId=wanted)
            if answer is not None and answer.get("ContentLength"):
                answer, error, meaning = self._get(key, wanted)
            works = answer is not None and answer.get("VersionId") == wanted
            self._add(
                "read versions",
                works,
                "Works (s3:GetObjectVersion)."
                if works
                else _lacking(meaning or "Version ids are ignored.", error, "s3:GetObjectVersion"),
            )
            pin = Pin.VERSION if works else pin
        return pin

    def _get(self, key: str, version: str | None) -> tuple[dict[str, Any] | None, Exception | None, str]:
        permission = "s3:GetObjectVersion" if version else "s3:GetObject"
        found = self._try(permission, "get_object", Key=key, VersionId=version, Range="bytes=0-0")
        if found[0] is not None:
            self._client.discard(found[0])
        return found


def _lacking(meaning: str, error: Exception | None, permission: str) -> str:
    """The meaning of an error, with the permission that it takes where that is what is wrong."""
    denied = error is not None and s3_errors.status(error) == 403
    return f"{meaning} Missing: {permission}." if denied else meaning
