"""What a web server's index of a directory says: which files and directories lie directly below it.

JSON as nginx (`autoindex_format json`) and Caddy (`browse`, asked with `Accept: application/json`) write it, or HTML of
nginx, Caddy, Apache's mod_autoindex and Python's http.server. Of HTML only the links are read. Sizes and times are
not taken from either: nothing in a listing proves what a file's bytes are.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from refstore.backends.http.url import segment_of

_TITLE = re.compile(r"\s*(index of|directory listing for)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Index:
    """One directory as its server lists it.

    Attributes:
        kind: `json` or `html`.
        files: As parts of keys, sorted.
        directories: As parts of keys, without their last `/`, sorted.
        others: Names that are neither (a device, say), decoded.
        fingerprint: The same for two listings that say the same; two directories with one seldom are two.
    """

    kind: str
    files: tuple[str, ...]
    directories: tuple[str, ...]
    others: tuple[str, ...]
    fingerprint: str


def read_index(url: str, content_type: str, body: bytes) -> Index | None:
    """The listing in a response; None where the response is something else.

    Args:
        url: Where the response came from, after all redirects: what its links are relative to.
        content_type: The header's value.
        body: The whole body.
    """
    text = body.decode("utf-8", "surrogateescape")
    if "json" in content_type:
        return _from_json(text)
    return _from_html(url, text) if "html" in content_type else None


def _from_json(text: str) -> Index | None:
    try:
        rows = json.loads(text)
    except ValueError:
        return None
    # Caddy has null for an empty directory.
    rows = [] if rows is None else rows
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("name"), str) for row in rows
    ):
        return None
    files, directories, others = set(), set(), set()
    for row in rows:
        name = row["name"].rstrip("/")
        if not name or name in (".", "..") or "/" in name:
            continue
        kind = row.get("type")
        if kind == "directory" or row.get("is_dir") is True:
            directories.add(segment_of(name))
        elif kind in ("file", None):
            files.add(segment_of(name))
        else:
            others.add(name)
    details = json.dumps(rows, sort_keys=True)
    return _index("json", files, directories, others, details)


def _from_html(url: str, text: str) -> Index | None:
    links = _Links()
    links.feed(text)
    links.close()
    here = urlsplit(url)
    parent = urljoin(url, "..")
    names, leads_up = set(), False
    for href in links.hrefs:
        try:
            target = urlsplit(urljoin(url, href))
        except ValueError:
            continue
        leads_up = leads_up or target._replace(query="", fragment="").geturl() == parent
        below = target.path.removeprefix(here.path)
        elsewhere = (target.scheme, target.netloc) != (here.scheme, here.netloc) or below == target.path
        raw = unquote_to_bytes(below.removesuffix("/"))
        if elsewhere or target.query or "?" in href or "/" in below.removesuffix("/") or raw in (b"", b".", b".."):
            continue
        names.add((segment_of(raw), below.endswith("/")))
    if not names and not leads_up and not _TITLE.match(links.title):
        return None
    files = {name for name, is_directory in names if not is_directory}
    directories = {name for name, is_directory in names if is_directory}
    # The text around the links holds sizes and times, but for the headings, which name the path.
    return _index("html", files, directories, set(), " ".join(links.rows))


def _index(kind: str, files: set[str], directories: set[str], others: set[str], details: str) -> Index:
    whole = json.dumps([sorted(files), sorted(directories), details])
    fingerprint = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()
    return Index(kind, tuple(sorted(files)), tuple(sorted(directories)), tuple(sorted(others)), fingerprint)


class _Links(HTMLParser):
    """Collects the links of a page, its title, and the text of a listing's rows."""

    _NAMES_THE_PATH = ("title", "h1", "h2", "header", "script", "style", "address")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hrefs: list[str] = []
        self.rows: list[str] = []
        self.title = ""
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._NAMES_THE_PATH:
            self._within.append(tag)
        elif tag == "a":
            self.hrefs += [value.strip() for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        if tag in self._within:
            while self._within.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "title" in self._within:
            self.title += data
        elif not self._within and data.strip():
            self.rows.append(data.strip())
