"""What the errors of the Azure SDK mean: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes."""

from __future__ import annotations

from refstore.backends.azure.accounts import HELP
from refstore.backends.azure.client import AzureClient, NoTokenError
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

_NO_BLOB = {"BlobNotFound", "ResourceNotFound", "PathNotFound"}
_ARCHIVED = {"BlobArchived", "BlobBeingRehydrated"}
_BAD_NAME = {"InvalidUri", "InvalidResourceName", "OutOfRangeInput", "InvalidInput"}


def status(error: BaseException | None) -> int | None:
    """The HTTP status of the answer; None where there was none."""
    code = getattr(error, "status_code", None)
    return code if isinstance(code, int) else None


def code(error: Exception) -> str:
    """The service's own word for what is wrong, such as `BlobNotFound`; "" where it gave none."""
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or {}
    named = headers.get("x-ms-error-code") or getattr(error, "error_code", None) or ""
    return str(getattr(named, "value", named))


def translate(
    error: Exception, client: AzureClient, container: str, where: str, *, version: str | None
) -> RefstoreError:
    """One error of refstore for any of the SDK's.

    Args:
        error: What was raised.
        client: Who raised it.
        container: What was asked for.
        where: The URI, for messages.
        version: The version that was asked for.
    """
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    if isinstance(error, RefstoreError):
        return error
    answered = status(error)
    if answered is None:
        if isinstance(error, (NoTokenError, ClientAuthenticationError)):
            return CredentialsMissing(f"No Azure credentials were found that work, to read {where}: {HELP}.")
        if not isinstance(error, (AzureError, OSError, TimeoutError)) and not _is_timeout(error):
            raise error
        return _unreachable(error, client, where)
    named = code(error)
    said = f"{answered} {named}".strip()
    if answered in (401, 403):
        return _denied(client, where, said)
    if answered == 409 and named in _ARCHIVED:
        return SourceUnreadable(
            f"{where} is in the Archive tier and can't be read before it is rehydrated: set its tier to Hot, Cool or "
            "Cold (`az storage blob set-tier`), which takes up to 15 hours."
        )
    if answered == 409 and named == "PublicAccessNotPermitted":
        return _denied(client, where, said)
    if named == "ContainerNotFound":
        account = client.account.name
        return SourceMissing(f"The container {container!r} of the account {account} does not exist ({where}).")
    if answered == 404 or (version is not None and answered == 400):
        if version is not None:
            return SourceMissing(f"{where} does not exist: there is no such version of that blob.")
        hint = ", or it may not be read without logging in" if client.unsigned else ""
        return SourceMissing(f"{where} does not exist: there is neither a blob nor anything below that name{hint}.")
    if answered == 412:
        return SourceChanged(f"{where} was overwritten since it was recorded.")
    if answered == 416:
        return SourceChanged(f"{where} is shorter now than it was when it was recorded.")
    if answered == 400 and named in _BAD_NAME:
        return InvalidURI(f"{where} can't be asked for ({named}): check the names of container and blob.")
    return SourceUnavailable(f"The storage account {client.account.name} answers {said} to a request for {where}.")


def _denied(client: AzureClient, where: str, said: str) -> RefstoreError:
    if client.unsigned and not client.account.anonymous:
        return CredentialsMissing(f"No Azure credentials were found, and {where} is not public ({said}): {HELP}.")
    if client.unsigned:
        return SourceDenied(f"{where} is not public ({said}), and its account is set to be asked anonymously.")
    if said.endswith("AuthenticationFailed"):
        return SourceDenied(
            f"Azure refuses access to {where} ({said}) with {client.credentials}: the key or signature is wrong or has "
            "expired, or this machine's clock is."
        )
    return SourceDenied(
        f"Azure refuses access to {where} ({said}) with {client.credentials}: it needs the role Storage Blob Data "
        "Reader, or read and list permission, and an open network rule."
    )


def _unreachable(error: Exception, client: AzureClient, where: str) -> RefstoreError:
    import socket

    import aiohttp

    host = client.account.url.partition("://")[2].partition("/")[0]
    causes: list[BaseException] = [error]
    while (inner := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 10:
        causes.append(inner)
    if any(isinstance(cause, (socket.gaierror, aiohttp.ClientConnectorError)) and _is_dns(cause) for cause in causes):
        why = f"there is no such host (does the storage account {client.account.name!r} exist?)"
    elif any(isinstance(cause, aiohttp.ClientSSLError) for cause in causes):
        why = "its TLS certificate is not accepted"
    elif any(_is_timeout(cause) for cause in causes):
        why = "it does not answer in time"
    elif any(isinstance(cause, aiohttp.ClientConnectorError) for cause in causes):
        why = "the connection is refused"
    else:
        why = f"the connection broke ({type(error).__name__})"
    return SourceUnavailable(f"{host} can't be reached for {where}: {why}.")


def _is_dns(error: BaseException) -> bool:
    import socket

    return isinstance(error, socket.gaierror) or isinstance(getattr(error, "os_error", None), socket.gaierror)


def _is_timeout(error: BaseException) -> bool:
    import asyncio

    return isinstance(error, (TimeoutError, asyncio.TimeoutError))
