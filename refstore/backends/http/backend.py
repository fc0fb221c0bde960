"""Files on web servers: `http://` and `https://`, a single file or a directory that the server lists.

A file is pinned by its strong ETag, else by a checksum of its body, which is read once for that. The listings of web
servers hold neither, so each file of a directory costs a HEAD (and a GET where HEAD gives no strong ETag): HTTP has no
cheaper way that would prove anything. They are made in parallel, `settings.jobs` at a time.

A record holds the URL as it was given: never where a redirect led, which is often signed and soon void.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from refstore.backends.aio import Pieces, run
from refstore.backends.base import Backend, Diagnosis, Location, Page, Proof, Reading
from refstore.backends.http.client import Facts, HTTPClient, facts, refused, translated
from refstore.backends.http.index import Index, read_index
from refstore.backends.http.look import Looker, Sight, in_parallel
from refstore.backends.http.url import decoded, name_of, parse_url, url_of
from refstore.backends.notes import Notes
from refstore.config import Settings
from refstore.errors import SourceChanged, SourceDenied, SourceMissing, SourceUnavailable, SourceUnreadable
from refstore.manifest.entry import Entry, Object

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_PAGE = 1000
_LARGEST_INDEX = 256 << 20
_INDEX_TYPES = "application/json, text/html;q=0.9, */*;q=0.1"
_READS = 3
_DEEPEST = 100
# A link to a directory above makes an endless tree of equal listings; real trees don't repeat one so often on one path,
# but for directories that hold nothing else than one directory.
_REPEATS = 3
_REPEATS_OF_ONE = 20
_PAGES_BY_NAME = ("", ".html", ".htm", ".xhtml", ".shtml")

_LOOP = "Not entered, because its listing repeats those of the directories above it, as a link that leads up does"
_OTHER = "Left out, because it is no regular file"
_LOGIN_PAGE = "A web page though its name says otherwise, so it may be a login or an error page"


class HTTPBackend(Backend):
    """Reads what web servers give; see the module."""

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")
    forgets: ClassVar[str] = (
        "A web server keeps no old versions: once a file is overwritten or deleted there, what was recorded of it "
        "can't be checked out any more. To keep the content, download it and use 'refstore put'."
    )

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._client = HTTPClient()
        self._looker = Looker(self._client)

    def parse(self, uri: str) -> Location:
        """Take a URL apart; `url.parse_url` has the rules.

        Raises:
            InvalidURI: It is no URL, or has a fragment.
            SecretInURI: It carries a login, a signature or a token.
        """
        return parse_url(uri)

    def uri(self, at: Location | Object) -> str:
        """The URL."""
        return url_of(at.scheme, at.bucket, at.key)

    def find(self, location: Location, *, checksum: bool = True) -> Iterator[Page]:
        """A file, or all files below a directory that the server lists; see the module for what it costs.

        A URL without its last `/` is a directory where the server redirects to the URL with it.

        Args:
            location: From `parse`.
            checksum: False to make no more than a HEAD for each file; what has no strong ETag is then not pinned.

        Raises:
            SourceMissing: The server answers 404 or 410.
            SourceDenied: It answers 401 or 403.
            SourceUnreadable: It does not list the directory.
            SourceUnavailable: No answer, or server errors.
        """
        notes = Notes()
        if not location.directory:
            seen = run(self._look(self.uri(location), checksum))
            if not seen.directory:
                yield Page(
                    [self._entry(location, location.key, name_of(location.key), seen, notes)], notes=notes.sentences()
                )
                return
            location = replace(location, key=location.key + "/", directory=True)
        yield from self._find_below(location, checksum, notes)
        if sentences := notes.sentences():
            yield Page([], notes=sentences)

    def stat(self, location: Location) -> Object:
        """A file's size, ETag and time, by a HEAD; where that is refused or says too little, by a GET, its body unread.

        Raises:
            SourceMissing: It is not there, or is a directory.
        """
        uri = self.uri(location)
        seen = run(self._looker.headers(uri))
        if seen.directory:
            raise SourceMissing(f"There is no file {uri}: a directory has that name.")
        return _object(location, location.key, seen)

    def open(self, obj: Object, *, start: int = 0, length: int | None = None) -> Reading:
        """Read the body, under `If-Match` where a strong ETag is recorded; what the server tells must fit the record.

        Raises:
            SourceMissing: The server answers 404 or 410.
            SourceChanged: It answers 412, or its ETag or size (without a checksum: or time) is not the recorded one.
            SourceDenied, SourceUnavailable, SourceUnreadable: As the server answers.
        """
        if length == 0 or (start and obj.size is not None and start >= obj.size):
            return Reading(iter(()))
        proofs = (Proof(obj.checksum),) if obj.checksum is not None else ()
        return Reading(run(self._open(obj, start, length)), proofs)

    def diagnose(self, location: Location) -> Diagnosis:
        """What the server supports: HEAD, ranges, ETags, `If-Match`, and for a directory its listing."""
        from refstore.backends.http.diagnosis import diagnose

        return diagnose(self, self._client, location)

    async def _look(self, uri: str, checksum: bool) -> Sight:
        return await (self._looker.pinned(uri, self.settings.hash) if checksum else self._looker.headers(uri))

    def _find_below(self, location: Location, checksum: bool, notes: Notes) -> Iterator[Page]:
        stack: list[tuple[str, tuple[str, ...]]] = [(location.key, ())]
        while stack:
            directory, above = stack.pop()
            uri = url_of(location.scheme, location.bucket, directory)
            index = run(self.index(uri))
            repeats = _REPEATS if len(index.files) + len(index.directories) > 1 else _REPEATS_OF_ONE
            if index.directories and above.count(index.fingerprint) >= repeats:
                notes.add(_LOOP, uri)
                continue
            if len(above) >= _DEEPEST:
                raise SourceUnreadable(
                    f"Directories nest deeper than {_DEEPEST} levels at {uri}: a link on the server may lead upwards."
                )
            stack += [(f"{directory}{name}/", (*above, index.fingerprint)) for name in reversed(index.directories)]
            for name in index.others:
                notes.add(_OTHER, uri + name)
            files = iter(index.files)
            while batch := [directory + name for name in islice(files, _PAGE)]:
                yield Page(self._entries(location, batch, checksum, notes))

    def _entries(self, location: Location, keys: list[str], checksum: bool, notes: Notes) -> list[Entry]:
        uris = [url_of(location.scheme, location.bucket, key) for key in keys]
        work = [lambda uri=uri: self._look(uri, checksum) for uri in uris]
        entries = []
        for key, uri, seen in zip(keys, uris, run(in_parallel(work, self.settings.jobs)), strict=True):
            if seen.directory:
                raise SourceUnreadable(
                    f"{uri} is listed as a file, and turns out to be a directory: add it with a / at its end."
                )
            path = "/".join(decoded(part) for part in key[len(location.key) :].split("/"))
            entries.append(self._entry(location, key, path, seen, notes))
        return entries

    def _entry(self, location: Location, key: str, path: str, seen: Sight, notes: Notes) -> Entry:
        uri = url_of(location.scheme, location.bucket, key)
        if seen.facts.encoding:
            notes.add(f"Sent {seen.facts.encoding}-encoded though asked not to, and recorded as sent", uri)
        name = path.rpartition("/")[2]
        suffix = name[name.rfind(".") :].lower() if "." in name else ""
        if seen.facts.content_type == "text/html" and suffix not in _PAGES_BY_NAME:
            notes.add(_LOGIN_PAGE, uri)
        return Entry(path, _object(location, key, seen))

    async def index(self, uri: str) -> Index:
        """A directory as its server lists it.

        Raises:
            SourceUnreadable: The server does not list it.
            SourceMissing, SourceDenied, SourceUnavailable: As the server answers.
        """
        for reads_left in reversed(range(_READS)):
            response = await self._client.send("GET", uri, {"Accept": _INDEX_TYPES})
            try:
                index = await _read_index(response, uri)
                break
            except SourceUnavailable:
                if not reads_left or response.status != 200:
                    raise
            finally:
                response.close()
        if index is None:
            raise SourceUnreadable(
                f"The server does not list {uri}: it gives no links to files below it. Give the URLs of the files."
            )
        return index

    async def _open(self, obj: Object, start: int, length: int | None) -> Pieces | Iterator[bytes]:
        uri = self.uri(obj)
        headers = {}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        guarded = {**headers, "If-Match": f'"{obj.etag}"'} if obj.etag and not obj.etag.startswith("W/") else headers
        response = await self._client.send("GET", uri, guarded)
        try:
            if response.status == 412:
                # Asked once more without the condition, the server says what is there now.
                response.close()
                response = await self._client.send("GET", uri, headers)
            if response.status not in (200, 206, 416):
                raise refused(response.status, uri)
            seen = facts(response)
            if response.status == 416:
                if obj.size is not None:
                    raise SourceChanged(f"{uri} was changed: it had {obj.size} bytes, and has {seen.size} now.")
                response.close()
                return iter(())
            _compare(obj, seen, uri)
            first = _first_offset(response)
            if response.status == 206 and first != start:
                raise SourceUnreadable(f"{uri} can't be read from byte {start}: the server sends another part.")
        except BaseException:
            response.close()
            raise
        size = obj.size if seen.size is None else seen.size
        expected = None if size is None else size - start if length is None else min(size - start, length)
        body = _part(response, start - first, length)
        if seen.size is None and expected is not None:
            body = _as_long_as_recorded(body, expected, uri)

        async def release() -> None:
            response.close()

        return Pieces(
            body,
            expected=expected,
            where=uri,
            release=release,
            translate=lambda error: translated(error, uri),
        )


def _object(location: Location, key: str, seen: Sight) -> Object:
    told = seen.facts
    return Object(
        location.scheme, "", location.bucket, key, told.size, etag=told.etag, checksum=seen.checksum, mtime=told.mtime
    )


def _compare(recorded: Object, seen: Facts, uri: str) -> None:
    changed = []
    if recorded.size is not None and seen.size is not None and recorded.size != seen.size:
        changed.append(f"its size was {recorded.size} and is {seen.size} bytes")
    # A weak ETag may differ for the same bytes: with a checksum to prove them it counts for nothing.
    if recorded.etag is not None and (recorded.checksum is None or not recorded.etag.startswith("W/")):
        if seen.etag is not None and seen.etag != recorded.etag:
            changed.append(f"its ETag was {recorded.etag} and is {seen.etag}")
        elif seen.etag is None and recorded.checksum is None:
            changed.append("the server no longer tells its ETag, and nothing else was recorded to prove it")
    if recorded.etag is None and recorded.checksum is None and recorded.mtime != seen.mtime:
        changed.append(f"its time was {recorded.mtime} and is {seen.mtime}")
    if changed:
        raise SourceChanged(f"{uri} was changed: {', and '.join(changed)}.")


def _first_offset(response: ClientResponse) -> int:
    if response.status != 206:
        return 0
    first = response.headers.get("Content-Range", "").removeprefix("bytes").strip().partition("-")[0]
    return int(first) if first.isascii() and first.isdigit() else -1


async def _read_index(response: ClientResponse, uri: str) -> Index | None:
    if response.status == 403:
        raise SourceDenied(f"The server does not list {uri} (403): give the URLs of its files, or a login in ~/.netrc.")
    if response.status != 200:
        raise refused(response.status, uri)
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _LARGEST_INDEX:
                raise SourceUnreadable(f"The listing of {uri} is larger than {_LARGEST_INDEX >> 20} MiB.")
    except Exception as error:  # noqa: BLE001 - whatever the client library raises
        raise translated(error, uri) from None
    return read_index(str(response.url), facts(response).content_type, bytes(body))


async def _part(response: ClientResponse, skip: int, length: int | None) -> AsyncIterator[bytes]:
    """The body without its first `skip` bytes, and no more than `length` bytes of it."""
    left = length
    async for chunk in response.content.iter_any():
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        piece = chunk[skip:] if left is None else chunk[skip : skip + left]
        skip = 0
        yield piece
        if left is not None:
            left -= len(piece)
            if not left:
                return


async def _as_long_as_recorded(body: AsyncIterator[bytes], size: int, uri: str) -> AsyncIterator[bytes]:
    """The same body, if its length is the one that the record makes expect; for servers that announce none."""
    async for chunk in body:
        size -= len(chunk)
        if size < 0:
            raise SourceChanged(f"{uri} was changed: it is longer than recorded.")
        yield chunk
    if size:
        raise SourceChanged(f"{uri} was changed, or broke off: it ends {size} bytes before its recorded end.")
