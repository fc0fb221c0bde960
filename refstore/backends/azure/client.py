"""A connection to one storage account, by Microsoft's SDK, with bounded waits and keys exactly as they are.

adlfs itself is not used: its listings drop version ids and the last `/` of names and hold everything in memory, and the
client that it makes waits up to a minute and more before it says that a host does not exist.
"""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from refstore.backends.aio import PIECE, close_with, run
from refstore.backends.azure.accounts import Account
from refstore.backends.loading import LOADING

CONNECT_SECONDS = 10
READ_SECONDS = 60


class NoTokenError(Exception):
    """No credentials of Azure's default chain gave a token. Never leaves the backend."""


class AzureClient:
    """One storage account, asked with one set of credentials. Safe to use from several threads.

    Nothing is imported and no connection is made before the first use.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self._lock = threading.Lock()
        self._service: Any = None

    @property
    def credentials(self) -> str:
        """Which kind of credentials requests carry, in words without a secret."""
        if self.account.key:
            return f"the account key in {self.account.origin}"
        if self.account.sas:
            return f"the shared access signature in {self.account.origin}"
        if self.unsigned:
            return "anonymous"
        if _service_principal():
            return "the service principal in AZURE_STORAGE_CLIENT_ID"
        return "Azure's default chain (variables, workload or managed identity, az login)"

    @property
    def unsigned(self) -> bool:
        """Whether requests carry no credentials; tokens never go over plain HTTP."""
        return not self.account.has_secret and (self.account.anonymous or self.account.url.startswith("http://"))

    def container(self, name: str) -> Any:
        """The SDK's client for a container."""
        return self._connected().get_container_client(name)

    def properties(self, container: str, key: str, version: str | None) -> Any:
        """What the service knows of a blob. One request.

        Raises:
            azure.core.exceptions.AzureError: It failed.
        """
        return run(self._blob(container, key).get_blob_properties(version_id=version))

    def download(
        self, container: str, key: str, *, span: str | None, version: str | None, etag: str | None
    ) -> tuple[Any, Any]:
        """Ask for content in one request: the HTTP response, and its body as an asynchronous iterator, as it is stored.

        The SDK's own `download_blob` cuts a blob into many requests and unpacks what is stored with gzip; this is the
        operation beneath it.

        Args:
            container: The container.
            key: The blob's name.
            span: A `Range` header.
            version: The version to read.
            etag: What the blob's ETag must be, without quotes.

        Raises:
            azure.core.exceptions.AzureError: It failed.
        """
        operations = self._blob(container, key)._client.blob
        from azure.storage.blob._generated.models import ModifiedAccessConditions

        conditions = ModifiedAccessConditions(if_match=f'"{etag}"') if etag is not None else None
        request = operations.download(
            version_id=version,
            range=span,
            modified_access_conditions=conditions,
            decompress=False,
            cls=lambda context, body, headers: (context.http_response, body),
        )
        answer: tuple[Any, Any] = run(request)
        return answer

    def _blob(self, container: str, key: str) -> Any:
        return self._connected().get_blob_client(container, key)

    def _connected(self) -> Any:
        with self._lock:
            if self._service is None:
                # Else the SDK's own remarks on broken connections are printed.
                logging.getLogger("azure").addHandler(logging.NullHandler())
                # What takes long to import is imported here: on the loop it would hold up other requests.
                with LOADING:
                    credential, transport = _credential(self), _exact_transport()
                self._service = run(_open(transport, self.account, credential))
                close_with(self, _closer(self._service, credential))
            return self._service


async def _open(make_transport: Callable[[], Any], account: Account, credential: Any) -> Any:
    from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry

    retries = ExponentialRetry(
        initial_backoff=0, increment_base=2, random_jitter_range=1, retry_total=4, retry_connect=1
    )
    return BlobServiceClient(
        account.url, credential=credential, transport=make_transport(), retry_policy=retries, user_agent="refstore"
    )


def _credential(client: AzureClient) -> Any:
    from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

    account = client.account
    if account.key:
        return AzureNamedKeyCredential(account.name.partition(".")[0], account.key)
    if account.sas:
        return AzureSasCredential(account.sas)
    if client.unsigned:
        return None
    if principal := _service_principal():
        from azure.identity.aio import ClientSecretCredential

        return _Tokens(ClientSecretCredential(**principal))
    from azure.identity.aio import DefaultAzureCredential

    return _Tokens(DefaultAzureCredential(process_timeout=CONNECT_SECONDS))


class _Tokens:
    """A credential of azure-identity; but where it has no token, the SDK does not ask it again and again."""

    def __init__(self, credential: Any) -> None:
        self._credential = credential

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.exceptions import ClientAuthenticationError

        try:
            return await self._credential.get_token(*scopes, **options)
        except ClientAuthenticationError as error:
            raise NoTokenError from error

    async def close(self) -> None:
        await self._credential.close()


def _service_principal() -> dict[str, str] | None:
    """What adlfs reads for a service principal, beside the AZURE_CLIENT_* variables of Azure's own chain."""
    names = {"tenant_id": "TENANT_ID", "client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}
    found = {option: os.environ.get(f"AZURE_STORAGE_{name}", "") for option, name in names.items()}
    return found if all(found.values()) else None


def _exact_transport() -> Callable[[], Any]:
    """Makes a transport that sends URLs as they are signed, and waits only so long.

    aiohttp rewrites URLs that it gets as text: `%3D` becomes `=`, and `.` and `..` go away, although a blob's name may
    hold any of them. For its own transport the SDK signs what aiohttp makes of a URL; so this is a transport of another
    class around it, which gets what it sends signed. To be called on the loop.
    """
    import aiohttp
    import azure.storage.blob.aio  # noqa: F401 - see _connected
    import yarl
    from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport

    class ExactSession:
        def __init__(self) -> None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=True,
            )

        def request(self, method: str, url: str, **options: Any) -> Any:
            options["timeout"] = aiohttp.ClientTimeout(
                total=None, connect=2 * CONNECT_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
            )
            if isinstance(options.get("data"), bytes):
                options["data"] = io.BytesIO(options["data"])  # which aiohttp sends piece by piece
            return self._session.request(method, yarl.URL(url, encoded=True), read_bufsize=PIECE, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

        async def __aenter__(self) -> ExactSession:
            return self

    transport: Any = AsyncHttpTransport

    class ExactTransport(transport):  # type: ignore[misc]
        def __init__(self) -> None:
            self._http = AioHttpTransport(session=ExactSession(), connection_data_block_size=PIECE)

        async def send(self, request: Any, **options: Any) -> Any:
            return await self._http.send(request, **options)

        async def open(self) -> None:
            await self._http.open()

        async def close(self) -> None:
            await self._http.close()

        async def __aenter__(self) -> ExactTransport:
            await self.open()
            return self

        async def __aexit__(self, *_: object) -> None:
            await self.close()

    return ExactTransport


def _closer(service: Any, credential: Any) -> Any:
    async def close() -> None:
        await service.close()
        if hasattr(credential, "close"):
            await credential.close()

    return close
