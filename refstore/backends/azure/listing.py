"""Listings of blobs, a page at a time, with version ids where the account lists them."""

from __future__ import annotations

from typing import Any

from refstore.backends.aio import run
from refstore.backends.azure.client import AzureClient
from refstore.backends.azure.errors import status, translate

PAGE = 5000
"""The most that the service lists at once."""


class Listing:
    """The rows below a prefix, as the SDK describes blobs; only those that stand for a blob as it is now.

    Args:
        client: Whom to ask.
        container: The container.
        prefix: What the blobs' names begin with.
        where: The URI, for messages.
        size: How many rows a page has; 0 for `PAGE`.
        versions: Ask for version ids, and do without them where they are refused.
    """

    def __init__(
        self, client: AzureClient, container: str, prefix: str, where: str, *, size: int = 0, versions: bool = True
    ) -> None:
        self.notes: tuple[str, ...] = ()
        self._client = client
        self._container = container
        self._prefix = prefix
        self._where = where
        self._size = size or PAGE
        self._pages = self._start(versions=versions)
        self._may_fall_back = versions

    def next(self) -> list[Any]:
        """The rows of one more page; none after the last one. A page of nothing but old versions is passed over.

        Raises:
            RefstoreError: As `errors` has it.
        """
        while True:
            try:
                rows = run(_rows(self._pages))
            except Exception as error:
                if not self._may_fall_back or status(error) not in (400, 403, 409, 501):
                    raise translate(error, self._client, self._container, self._where, version=None) from error
                self._fall_back(status(error))
                continue
            self._may_fall_back = False
            if rows is None:
                return []
            if current := [row for row in rows if row.is_current_version or row.version_id is None]:
                return current

    def _fall_back(self, refused: int | None) -> None:
        self._may_fall_back = False
        self._pages = self._start(versions=False)
        note = (
            f"The versions in the container {self._container!r} of {self._client.account.name} can't be listed "
            f"({refused}), so blobs there are not pinned by version: what is overwritten can't be checked out any more."
        )
        self.notes = (note,)

    def _start(self, *, versions: bool) -> Any:
        include = ["metadata", "versions"] if versions else ["metadata"]
        listed = self._client.container(self._container).list_blobs(
            name_starts_with=self._prefix or None, include=include, results_per_page=self._size
        )
        return listed.by_page()


async def _rows(pages: Any) -> list[Any] | None:
    try:
        page = await pages.__anext__()
    except StopAsyncIteration:
        return None
    return [row async for row in page]
