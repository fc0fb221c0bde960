"""Caddy's file server, over the same document root as nginx: other index pages (HTML; JSON if asked), other ETags."""

from __future__ import annotations

from . import install
from .nginx import WebServer, document_root
from .running import Run


class Caddy(WebServer):
    """Indexes at `url`; JSON with `Accept: application/json`."""


def shared(run: Run) -> Caddy:
    return run.shared("caddy", Caddy, lambda: _start(run))


def _start(run: Run) -> Caddy:
    folder, www, port = run.server_folder("caddy"), document_root(run), run.port()
    (folder / "Caddyfile").write_text(
        "{\n admin off\n auto_https off\n persist_config off\n}\n"
        f"http://127.0.0.1:{port} {{\n bind 127.0.0.1\n root * {www}\n file_server browse\n}}\n"
    )
    run.spawn(folder, [install.caddy(), "run", "--config", folder / "Caddyfile"], port=port)
    return Caddy(f"http://127.0.0.1:{port}", str(www))
