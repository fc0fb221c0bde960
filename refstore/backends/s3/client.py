"""The connection to one S3 endpoint: s3fs's client on fsspec's event loop, asked for single operations."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, TypeVar

from refstore.backends.aio import run
from refstore.backends.loading import LOADING
from refstore.backends.s3 import errors as s3_errors
from refstore.backends.s3 import pages as s3_pages
from refstore.backends.s3.direct import Direct
from refstore.backends.s3.direct_listing import DirectListing
from refstore.backends.s3.endpoint import address, label
from refstore.backends.s3.plain import Plain
from refstore.backends.s3.signing import Credentials
from refstore.backends.s3.throttle import Throttle
from refstore.backends.s3.ways import Ways
from refstore.config import Endpoint

T = TypeVar("T")

_CONNECT_TIMEOUT = 10
_READ_TIMEOUT = 60
_ATTEMPTS = 8
_CONNECTION_ATTEMPTS = 3
_SILENT_ATTEMPTS = 2
_TORN_ANSWERS = 3
_CONNECTIONS = 1000  # each open reading holds one, and who waits for a free one waits without end


class S3Client:
    """Requests to one endpoint with one set of options. Safe to share between threads.

    Args:
        endpoint: Where and how.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.label = label(endpoint)
        self.throttle = Throttle()
        self._plain = Plain(endpoint)
        ways = Ways(self._plain, self._credentials, endpoint.requester_pays)
        self.direct = Direct(ways, self.throttle)
        self._lists = DirectListing(ways)
        self._lock = threading.Lock()
        self._filesystem: Any = None
        self._session: Any = None

    def run(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """`call`, from any thread but that of the event loop."""
        return run(self.call(operation, **parameters))

    def get_object(self, **parameters: Any) -> dict[str, Any]:
        """`run` of that operation; the first that succeeds shows `direct` the way to its bucket."""
        return run(self._get_object(**parameters))

    async def _get_object(self, **parameters: Any) -> dict[str, Any]:
        bucket = parameters["Bucket"]
        sent: list[Any] = []
        sending = _SENT.set(sent)
        try:
            answer = await self.call("get_object", **parameters)
        except Exception as error:
            if s3_errors.is_overloaded(error):
                self.throttle.slow_down()
            raise
        finally:
            _SENT.reset(sending)
        if answer.get("ResponseMetadata", {}).get("RetryAttempts"):
            self.throttle.slow_down()
        if sent and not self.direct.knows(bucket):
            self.direct.learn(bucket, parameters["Key"], sent[-1], self._session.get_config_variable("ca_bundle"))
        return answer

    def _credentials(self) -> Credentials | None:
        """What the provider's chain has now."""
        if self._session is None:
            return self._plain.credentials()

        async def ask() -> Any:
            found = await self._session.get_credentials()
            return found and await found.get_frozen_credentials()

        found = run(ask())
        return Credentials(found.access_key, found.secret_key, found.token) if found else None

    def discard(self, answer: dict[str, Any]) -> None:
        """Close the body of a GetObject that nobody will read."""

        async def close() -> None:
            answer["Body"].close()

        run(close())

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something on fsspec's event loop; cancel the future to give it up."""
        from fsspec.asyn import get_loop

        return asyncio.run_coroutine_threadsafe(coroutine, get_loop())

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One operation, named as in botocore (`get_object`). Parameters that are None are left out.

        Raises:
            botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError: As the client library does.
        """
        import aiohttp
        from botocore.parsers import ResponseParserError

        wanted = {name: value for name, value in parameters.items() if value is not None}
        if self.endpoint.requester_pays and operation in _PAID:
            wanted["RequestPayer"] = "requester"
        client = await self.filesystem.set_session()
        for attempt in range(_TORN_ANSWERS):
            try:
                answer: dict[str, Any] = await getattr(client, operation)(**wanted)
            except (ResponseParserError, aiohttp.ClientPayloadError):
                # botocore does not take a torn or garbled XML answer for a broken connection
                if attempt + 1 == _TORN_ANSWERS:
                    raise
            else:
                return answer
        raise AssertionError("unreachable")

    async def list_page(self, operation: str, bucket: str, **parameters: Any) -> s3_pages.Listed:
        """One page of a listing, by the short way, or else signed, sent, retried and refused as in `call`.

        To be awaited on the loop of `refstore.backends.s3.loop`.

        Args:
            operation: `list_object_versions` or `list_objects_v2`.
            bucket: Its name.
            parameters: Of the operation, as botocore calls them.

        Raises:
            UnsupportedError: The service lists no versions.
            botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError: As `call`.
        """
        found = await self._lists.page(operation, bucket, parameters)
        if found is None:
            found = await asyncio.wrap_future(self.start(self._list_by_library(operation, bucket, parameters)))
        return s3_pages.read(found, self.endpoint.name, bucket, parameters.get("Prefix") or "")

    async def _list_by_library(self, operation: str, bucket: str, parameters: dict[str, Any]) -> s3_pages.Answer:
        """Only a success is read by other means than the library's."""
        from botocore.parsers import ResponseParserError

        reading = _READING.set(True)
        try:
            answer = await self.call(operation, Bucket=bucket, **parameters)
        finally:
            _READING.reset(reading)
        if "Listing" not in answer:
            raise ResponseParserError(f"{operation} was answered with something else than a listing")
        found: s3_pages.Answer = answer["Listing"]
        return found

    @property
    def filesystem(self) -> Any:
        """The s3fs file system that owns the connections; none of its caches are on."""
        with self._lock:
            if self._filesystem is None:
                self._filesystem = self._make()
            return self._filesystem

    def _make(self) -> Any:
        with LOADING:
            import s3fs
            from aiobotocore.session import AioSession

        endpoint, url = self.endpoint, address(self.endpoint)
        session = self._session = AioSession(profile=endpoint.profile)
        # Dates cost half of the time that a listing takes, and are only cut to the second here.
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
        session.register("before-call.s3.GetObject", _ask_for_checksums)
        session.register("before-send.s3.GetObject", _note_sent)
        for listing in ("ListObjectVersions", "ListObjectsV2"):
            # by the wildcard it comes before botocore's own, which parses the body to see whether it is an error
            session.register(f"before-parse.*.{listing}", _read_listing)
        session.register("needs-retry.s3", _give_up_on_closed_doors)
        path_style = endpoint.path_style if endpoint.path_style is not None else (True if url else None)
        region = endpoint.region or os.environ.get("AWS_REGION") or session.get_config_variable("region")
        config: dict[str, Any] = {
            "connect_timeout": _CONNECT_TIMEOUT,
            "read_timeout": _READ_TIMEOUT,
            "max_pool_connections": _CONNECTIONS,
            "s3": {"addressing_style": {True: "path", False: "virtual", None: "auto"}[path_style]},
            "response_checksum_validation": "when_required",
            "request_checksum_calculation": "when_required",
            # which endpoint it is was decided by `endpoint`, and recorded
            "ignore_configured_endpoint_urls": True,
        }
        if not {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & os.environ.keys():
            config["retries"] = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
        return s3fs.S3FileSystem(
            anon=endpoint.anonymous,
            endpoint_url=url,
            client_kwargs={"region_name": region or ("us-east-1" if url else None)},
            config_kwargs=config,
            session=session,
            use_listings_cache=False,
            skip_instance_cache=True,
        )


_SENT: ContextVar[list[Any] | None] = ContextVar("refstore_notes_sent", default=None)
_READING: ContextVar[bool] = ContextVar("refstore_reads_listing", default=False)
_PAID = {"list_object_versions", "list_objects_v2", "head_object", "get_object"}


def _timestamp(value: Any) -> Any:
    if isinstance(value, str) and value[4:5] == "-" and value.endswith("Z"):
        return value
    from botocore.utils import parse_timestamp

    return parse_timestamp(value)


def _ask_for_checksums(params: dict[str, Any], **_: Any) -> None:
    """Have GetObject tell the checksums that it stores, without botocore hashing the body a second time.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html#AmazonS3-GetObject-request-header-ChecksumMode
    """
    params["headers"]["x-amz-checksum-mode"] = "ENABLED"


def _note_sent(request: Any, **_: Any) -> None:
    sent = _SENT.get()
    if sent is not None:
        sent.append(request)


def _read_listing(response_dict: Any, customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Take the body of a listing away from botocore's parser, and put it into the answer as it is read here."""
    if response_dict["status_code"] != 200 or not _READING.get():
        return
    listing = s3_pages.answer(bytes(response_dict["body"]))
    if listing is not None:
        customized_response_dict["Listing"] = listing
        response_dict["body"] = b"<Read/>"


def _give_up_on_closed_doors(attempts: int, caught_exception: Any = None, **_: Any) -> None:
    """An address where nobody listens or answers is not asked as often as a server that is busy.

    Raises:
        botocore.exceptions.ConnectionError: What was caught, once that was often enough.
    """
    from aiohttp import ClientConnectorError
    from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

    if attempts >= _SILENT_ATTEMPTS and isinstance(caught_exception, ReadTimeoutError):
        raise caught_exception
    if attempts < _CONNECTION_ATTEMPTS:
        return
    reason = getattr(caught_exception, "kwargs", {}).get("error")
    if isinstance(caught_exception, ConnectTimeoutError) or (
        isinstance(caught_exception, EndpointConnectionError) and isinstance(reason, ClientConnectorError)
    ):
        raise caught_exception
