"""The connection to one S3 endpoint: s3fs's client on fsspec's event loop, asked for single operations."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from refstore.backends.aio import run
from refstore.backends.s3.endpoint import address, label
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
        self._lock = threading.Lock()
        self._filesystem: Any = None

    def run(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """`call`, from any thread but that of the event loop."""
        return run(self.call(operation, **parameters))

    def discard(self, answer: dict[str, Any]) -> None:
        """Close the body of a GetObject that nobody will read."""

        async def close() -> None:
            answer["Body"].close()

        run(close())

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something on the event loop; cancel the future to give it up."""
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

    @property
    def filesystem(self) -> Any:
        """The s3fs file system that owns the connections; none of its caches are on."""
        with self._lock:
            if self._filesystem is None:
                self._filesystem = self._make()
            return self._filesystem

    def _make(self) -> Any:
        import s3fs
        from aiobotocore.session import AioSession

        endpoint, url = self.endpoint, address(self.endpoint)
        session = AioSession(profile=endpoint.profile)
        # Dates cost half of the time that a listing takes, and are only cut to the second here.
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
        session.register("before-call.s3.GetObject", _ask_for_checksums)
        session.register("before-parse.s3.ListObjectVersions", _recognize_plain_listing)
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


def _recognize_plain_listing(response_dict: Any, customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Some services take no notice of `?versions`: their answer has another form, in which nothing is found."""
    if b"<ListBucketResult" in bytes(response_dict["body"][:1000]):
        customized_response_dict["PlainListing"] = True


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
