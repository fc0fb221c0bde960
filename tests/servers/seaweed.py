"""SeaweedFS: the S3 server that most tests use. It checks signatures, keeps versions and starts in under a second.

It does not keep every key as it is (`//`, `.` and `..` segments, a backslash), and its LIST is not in byte order.
Versions of a key are kept in a folder `<key>.versions`: don't name a key so.
"""

from __future__ import annotations

import json
import urllib.error

from . import install
from .nginx import direct, start_logging_proxy
from .running import Run
from .s3 import S3Server

USERS = {
    "identities": [
        {
            "name": "admin",
            "credentials": [{"accessKey": "admin", "secretKey": "adminsecret"}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": "reader", "secretKey": "readersecret"}],
            "actions": ["Read", "List"],
        },
    ]
}


def shared(run: Run) -> S3Server:
    return run.shared("seaweed", S3Server, lambda: start(run, "seaweed"))


def start(run: Run, name: str) -> S3Server:
    """A server of its own; a `filer.toml` in its folder says where it keeps its metadata."""
    folder = run.server_folder(name)
    (folder / "data").mkdir(exist_ok=True)
    users = folder / "users.json"
    users.write_text(json.dumps(USERS))
    port = run.port()
    ports = {f"{part}.port{kind}": run.port() for part in ("master", "volume", "filer") for kind in ("", ".grpc")}
    ports |= {"s3.port": port, "s3.port.grpc": run.port(), "s3.port.iceberg": 0, "s3.port.lance": 0}
    options = {
        "dir": folder / "data",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.telemetry": "false",  # it is on unless told otherwise
        "admin.ui": "false",
        "admin.port": run.port(),
        "admin.port.grpc": run.port(),
        "webdav": "false",
        "volume.max": 100_000,  # every bucket takes several, and by itself it allows as few as the disk has room for
        "filer.maxMB": 64,  # in more than one chunk, a single PUT gets a multipart ETag in ListObjectVersions
        "s3.config": users,
        **ports,
    }
    words = [f"-{name}={value}" for name, value in options.items()]
    run.spawn(folder, [install.weed(), "-logtostderr=true", "mini", *words], port=port)
    run.wait(folder, lambda: _serves(port))
    log = start_logging_proxy(run, name, port)
    return S3Server(url=f"http://127.0.0.1:{port}", logged_url=log.url, log_file=log.file)


def _serves(port: int) -> bool:
    """Whether a signature-less request is refused: the port opens a moment before the users are loaded."""
    try:
        direct.open(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 403
    except OSError:
        return False
    return False
