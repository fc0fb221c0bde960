"""What S3 and its client library say, in the words of `refstore.errors`."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

from refstore.errors import (
    CredentialsMissing,
    InvalidURI,
    RefstoreError,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
)

_BAD_CREDENTIALS = {
    "InvalidAccessKeyId": "it does not know the access key id: check AWS_ACCESS_KEY_ID or the profile",
    "SignatureDoesNotMatch": "the secret key does not fit the access key: check AWS_SECRET_ACCESS_KEY or the profile",
    "ExpiredToken": "the session has expired: log in again (`aws sso login`) or renew AWS_SESSION_TOKEN",
    "ExpiredTokenException": "the session has expired: log in again (`aws sso login`) or renew AWS_SESSION_TOKEN",
    "TokenRefreshRequired": "the session has expired: log in again (`aws sso login`) or renew AWS_SESSION_TOKEN",
    "InvalidToken": "it does not accept the session token: check AWS_SESSION_TOKEN or log in again",
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
    "AccountProblem": "there is a problem with the account",
    "AllAccessDisabled": "all access to it is disabled",
    "NotSignedUp": "the account is not signed up for S3",
    "InvalidPayer": "access to it is disabled for this payer",
}
_WRONG_REGION = {
    "PermanentRedirect",
    "301",
    "307",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_OVERLOADED = {
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "RequestTimeout",
    "RequestLimitExceeded",
    "Throttling",
}
UNSUPPORTED = {"NotImplemented", "501", "MethodNotAllowed", "405", "XNotImplemented", "UnsupportedOperation"}
"""Codes of services that lack an operation."""


def code(error: BaseException) -> str:
    """The code of S3's answer (`NoSuchKey`; the number of the status where a HEAD has no body), "" for other errors."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def status(error: BaseException) -> int:
    """The HTTP status of S3's answer, 0 for other errors."""
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def hidden_by_marker(error: BaseException) -> bool:
    """Whether the answer says that a delete marker is what is there."""
    headers = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("x-amz-delete-marker", "")).lower() == "true"


def is_shut_out(error: BaseException) -> bool:
    """Whether the service knows nothing of who asks: no other request of theirs will do better."""
    return code(error) in _BAD_CREDENTIALS


def is_overloaded(error: BaseException) -> bool:
    """Whether the service was asked too much."""
    return status(error) in (429, 503) or code(error) in ("SlowDown", "Throttling", "RequestLimitExceeded")


def deleted(uri: str) -> SourceMissing:
    """The error for an object that a delete marker hides."""
    return SourceMissing(
        f"{uri} was deleted: a delete marker is what is there now, and only older versions can be read."
    )


@contextlib.contextmanager
def translating(uri: str, bucket: str, place: str, permission: str) -> Iterator[None]:
    """Turn whatever is raised inside into an error of refstore.

    Args:
        uri: What was being asked for.
        bucket: Its bucket.
        place: The endpoint, as messages call it.
        permission: What the account needs for it, `s3:ListBucket` say.
    """
    try:
        yield
    except (RefstoreError, GeneratorExit):
        raise
    except Exception as error:
        raise translate(error, uri, bucket, place, permission) from error


def translate(error: Exception, uri: str, bucket: str, place: str, permission: str) -> RefstoreError:
    """The error of refstore for what the client library raised; the arguments are those of `translating`."""
    from botocore.exceptions import ClientError

    if isinstance(error, RefstoreError):
        return error
    if isinstance(error, ClientError):
        return _answered(error, uri, bucket, place, permission)
    return _unanswered(error, uri, place)


def _answered(error: Any, uri: str, bucket: str, place: str, permission: str) -> RefstoreError:
    name, number, said = code(error), status(error), _said(error)
    if name == "NoSuchBucket":
        return SourceMissing(
            f"There is no bucket {bucket!r} at {place}, so {uri} can't be had: check its name and the endpoint."
        )
    if hidden_by_marker(error):
        return SourceMissing(
            f"{uri} was deleted: a delete marker is what is there now, and only its older versions can be read."
        )
    if name in ("NoSuchVersion", "NoSuchKey") or number == 404:
        return SourceMissing(f"{uri} does not exist at {place}.")
    if name == "InvalidObjectState":
        kept = _response(error)["Error"].get("StorageClass", "an archive class")
        return SourceUnreadable(
            f"{uri} is in archived storage ({kept}): restore it first (`aws s3api restore-object`), then try again."
        )
    if name in _BAD_CREDENTIALS:
        return SourceDenied(f"{place} refuses access to {uri}: {_BAD_CREDENTIALS[name]}.")
    if name in _WRONG_REGION or number == 301:
        region = _response(error)["Error"].get("Region") or _headers(error).get("x-amz-bucket-region")
        hint = (
            f"it is in {region}, so set AWS_REGION={region}"
            if region
            else "set AWS_REGION or the endpoint's region to that of the bucket"
        )
        return SourceDenied(f"{place} has {uri} in another region than it was asked in: {hint}.")
    if number == 412 or number == 416:
        return SourceChanged(f"{uri} was overwritten since it was recorded.")
    if name in _OVERLOADED or number >= 500 or number == 429:
        return SourceUnavailable(f"{place} answered {name or number} for {uri} after all retries: try again later.")
    if number == 403 or name in ("AccessDenied", "Forbidden", "UnauthorizedAccess"):
        return SourceDenied(
            f"{place} denies access to {uri}{said}: the account needs {permission}, and without s3:ListBucket a "
            "missing object is denied too."
        )
    if name in ("InvalidBucketName", "KeyTooLongError", "InvalidURI"):
        return InvalidURI(f"{place} can't have anything named {uri} ({name}): check the bucket and the key.")
    return SourceUnreadable(f"{place} can't give {uri}: it answered {name or number}{said}.")


def _unanswered(error: Exception, uri: str, place: str) -> RefstoreError:
    from botocore import exceptions as b

    if isinstance(error, (b.NoCredentialsError, b.NoAuthTokenError)):
        return CredentialsMissing(
            f"No credentials were found for {uri}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, use "
            "AWS_PROFILE, log in with `aws sso login`, or, for a public bucket, set anonymous = true in an "
            "[endpoints.NAME] for it."
        )
    if isinstance(error, b.ProfileNotFound):
        return CredentialsMissing(
            f"There is no AWS profile {getattr(error, 'kwargs', {}).get('profile', '')!r} to read {uri} with: see `aws "
            "configure list-profiles`."
        )
    if isinstance(error, b.PartialCredentialsError):
        return CredentialsMissing(
            f"Only half of the credentials to read {uri} are set: AWS_ACCESS_KEY_ID goes with AWS_SECRET_ACCESS_KEY."
        )
    if isinstance(error, (b.SSOError, b.TokenRetrievalError, b.CredentialRetrievalError, b.UnknownCredentialError)):
        return CredentialsMissing(
            f"The credentials to read {uri} could not be fetched ({type(error).__name__}): log in again, then retry."
        )
    if isinstance(error, b.ParamValidationError):
        return InvalidURI(f"{uri} can't be asked for: its bucket or key is not one that S3 could have.")
    if isinstance(error, (b.ConfigParseError, b.InvalidConfigError, b.InvalidRegionError, b.NoRegionError)):
        return CredentialsMissing(
            f"The AWS settings to read {uri} with are not usable ({type(error).__name__}): check ~/.aws/config and "
            "AWS_REGION."
        )
    return SourceUnavailable(
        f"{place} can't be reached for {uri} ({_reason(error)}): check the endpoint and the network, then try again."
    )


def _reason(error: Exception) -> str:
    """What went wrong on the wire, in a few words that can't hold a header or a body."""
    from botocore import exceptions as b

    inner = getattr(error, "kwargs", {}).get("error", error)
    if isinstance(error, b.SSLError):
        return "its TLS certificate is not accepted"
    if isinstance(error, (b.ConnectTimeoutError, b.ReadTimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(inner, OSError) and inner.strerror:
        # asyncio puts the address into `strerror`
        known = inner.errno is not None and inner.errno in errno.errorcode
        return os.strerror(inner.errno or 0).lower() if known else inner.strerror
    return "the connection broke" if isinstance(error, (b.HTTPClientError, b.ConnectionError)) else type(error).__name__


def _said(error: Any) -> str:
    """The service's own words, where they can help: AWS names the missing permission and the policy."""
    text = str(_response(error).get("Error", {}).get("Message") or "")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split()).rstrip(".")
    return f" ({text[:300]})" if text and text != "Forbidden" and "://" not in text else ""


def _response(error: BaseException) -> dict[str, Any]:
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}


def _headers(error: BaseException) -> dict[str, Any]:
    headers = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers if isinstance(headers, dict) else {}
