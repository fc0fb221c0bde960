"""nginx: a web server over a folder that tests write to, and a proxy that logs the requests to any other server."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from . import install
from .running import Run

MARK = "/-/mark"  # a request that log readers make and leave out: when it is answered, all before it are in the log

direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

LOG_FORMAT = """
  log_format lines escape=json '{"method":"$request_method","target":"$request_uri","status":$status,'
    '"sent":$body_bytes_sent,"range":"$http_range","if_match":"$http_if_match","accept_encoding":"$http_accept_encoding"}';
  access_log access.log lines;
"""


class Request(NamedTuple):
    """One request as the server logged it. `target` is what came over the wire: path and query, still encoded."""

    method: str
    target: str
    status: int
    sent: int = 0
    range: str = ""
    if_match: str = ""
    accept_encoding: str = ""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True)
class AccessLog:
    """The log of an nginx, for tests that count requests. All workers of a run share it: filter by what is your own."""

    url: str
    file: str

    def mark(self) -> int:
        """The place in the log where what is requested from now on will stand."""
        with direct.open(self.url + MARK) as answer:
            answer.read()
        return Path(self.file).stat().st_size

    def since(self, mark: int, below: str = "/") -> list[Request]:
        """The requests after `mark` whose encoded path is `below` or under it, in the order in which they ended."""
        self.mark()
        with Path(self.file).open("rb") as f:
            f.seek(mark)
            requests = [Request(**json.loads(line)) for line in f]
        start = below.rstrip("/")
        return [r for r in requests if r.path != MARK and (r.path == start or r.path.startswith(start + "/"))]


@dataclass(frozen=True)
class WebFolder:
    """A folder of its own below the document root; `name` is its path there."""

    path: Path
    name: str

    def write(self, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(data)


@dataclass(frozen=True)
class WebServer:
    """A web server over the run's document root `www`."""

    url: str
    www: str

    def folder(self, files: Mapping[str, bytes] | None = None) -> WebFolder:
        """A new folder below the document root with `files` (path to content) in it."""
        name = f"w-{uuid.uuid4().hex[:12]}"
        path = Path(self.www) / name
        path.mkdir()
        folder = WebFolder(path, name)
        folder.write(files or {})
        return folder

    def href(self, folder: WebFolder, path: str = "") -> str:
        """The URL of `path` in `folder`; of the folder itself, with its slash, when there is no path."""
        return f"{self.url}/{folder.name}/{quote(path)}"


@dataclass(frozen=True)
class Nginx(WebServer):
    """The same folder served in two ways (HTML index at `url`, JSON at `json_url`), and oddly, below `/-/<odd>/`.

    `odd` is one of:
      nohead    HEAD is refused with 405
      gzip      compresses what it sends to a client that accepts it (the ETag becomes weak, the length is missing)
      bare      no ETag, no Last-Modified
      weak      a weak ETag
      chunked   no Content-Length, no ETag
      noranges  ranges are ignored: always 200 and the whole body
      forbidden 403
      broken    500
      redirect  302 to the plain location
      signed    302 to a URL with an X-Amz-Signature, which is refused (403) without it
      loop      redirects to itself
    """

    json_url: str
    log_file: str

    @property
    def log(self) -> AccessLog:
        return AccessLog(self.url, self.log_file)

    def json_href(self, folder: WebFolder, path: str = "") -> str:
        return f"{self.json_url}/{folder.name}/{quote(path)}"

    def odd(self, odd: str, folder: WebFolder, path: str = "") -> str:
        """The URL of `path` in `folder` by way of one of the odd locations."""
        return f"{self.url}/-/{odd}/{folder.name}/{quote(path)}"


def shared(run: Run) -> Nginx:
    return run.shared("nginx", Nginx, lambda: _start(run))


def document_root(run: Run) -> Path:
    root = run.folder / "www"
    root.mkdir(exist_ok=True)
    return root


def start_nginx(run: Run, folder: Path, http: str, port: int) -> None:
    """Start an nginx whose `http` block is `http`, in the foreground, with all that it writes in `folder`."""
    (folder / "data").mkdir(exist_ok=True)
    temporary = "".join(
        f"  {name}_temp_path data/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        ("user root;\n" if os.geteuid() == 0 else "")
        + "worker_processes 1;\ndaemon off;\npid nginx.pid;\nerror_log error.log;\n"
        + f"events {{ worker_connections 1024; }}\nhttp {{\n{temporary}{LOG_FORMAT}{http}\n}}\n"
    )
    run.spawn(
        folder, [install.nginx(), "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"], port=port
    )


def start_logging_proxy(run: Run, name: str, upstream: int) -> AccessLog:
    """An nginx that hands every request on to 127.0.0.1:`upstream` as it is, and writes it down."""
    port, folder = run.port(), run.server_folder(f"{name}-log")
    http = f"""
  upstream server {{ server 127.0.0.1:{upstream}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{port};
    merge_slashes off; ignore_invalid_headers off; client_max_body_size 0;
    proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off; proxy_read_timeout 300s;
    proxy_set_header Host $http_host; proxy_set_header Connection "";
    location = {MARK} {{ return 204; }}
    location / {{ proxy_pass http://server; }}
  }}"""
    start_nginx(run, folder, http, port)
    return AccessLog(f"http://127.0.0.1:{port}", str(folder / "access.log"))


def start_flaky_proxy(run: Run, name: str, upstream: int, *, slow_down: float, drop: float) -> str:
    """An nginx in front of 127.0.0.1:`upstream` that answers some requests with 503 SlowDown and drops others.

    `slow_down` and `drop` are shares of the requests, between 0 and 1. The draw is made for each request, not for
    each connection.
    """
    port, folder = run.port(), run.server_folder(name)
    shares = "".join(f"{share:.2%} {fault}; " for share, fault in ((slow_down, 503), (drop, 444)) if share)
    body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    http = f"""
  split_clients "$request_id" $fault {{ {shares} * none; }}
  server {{
    listen 127.0.0.1:{port};
    merge_slashes off; ignore_invalid_headers off; client_max_body_size 0;
    proxy_http_version 1.1; proxy_request_buffering off; proxy_set_header Host $http_host;
    error_page 503 = @slow;
    location / {{
      if ($fault = 503) {{ return 503; }}
      if ($fault = 444) {{ return 444; }}
      proxy_pass http://127.0.0.1:{upstream};
    }}
    location @slow {{ internal; default_type application/xml; return 503 '{body}'; }}
  }}"""
    start_nginx(run, folder, http, port)
    return f"http://127.0.0.1:{port}"


def _start(run: Run) -> Nginx:
    folder, www = run.server_folder("nginx"), document_root(run)
    html, index = run.port(), run.port()
    odd = {
        "nohead": "if ($request_method = HEAD) { return 405; }",
        "gzip": "gzip on; gzip_types *; gzip_min_length 1; gzip_vary on;",
        "bare": 'etag off; if_modified_since off; add_header Last-Modified "";',
        "weak": "etag off; add_header ETag 'W/\"weak\"';",
        "chunked": "ssi on; ssi_types *;",
        "noranges": "max_ranges 0;",
        "needs-signature": "if ($is_signed = 0) { return 403; }",
    }
    here = "$scheme://$http_host"
    redirects = {
        "redirect": f"{here}/$1",
        "signed": f"{here}/-/needs-signature/$1?X-Amz-Credential=key&X-Amz-Signature=secret",
        "loop": f"{here}/-/loop/$1",
    }
    locations = [f"    location /-/{name}/ {{ alias {www}/; {what} }}" for name, what in odd.items()]
    locations += [
        f"    location /-/{name}/ {{ rewrite ^/-/{name}/(.*)$ {to} redirect; }}" for name, to in redirects.items()
    ]
    locations += [
        f"    location /-/{name}/ {{ return {code}; }}" for name, code in (("forbidden", 403), ("broken", 500))
    ]
    listing = "\n".join(locations)
    http = f"""
  types {{ text/plain txt; text/html html; application/json json; }}
  default_type application/octet-stream;
  map $args $is_signed {{ default 0; "~X-Amz-Signature=secret" 1; }}
  server {{
    listen 127.0.0.1:{html}; root {www}; charset utf-8; autoindex on; autoindex_exact_size on;
    location = {MARK} {{ return 204; }}
{listing}
  }}
  server {{ listen 127.0.0.1:{index}; root {www}; charset utf-8; autoindex on; autoindex_format json; }}"""
    start_nginx(run, folder, http, html)
    return Nginx(
        url=f"http://127.0.0.1:{html}",
        www=str(www),
        json_url=f"http://127.0.0.1:{index}",
        log_file=str(folder / "access.log"),
    )
