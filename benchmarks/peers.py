"""The same work without refstore, as programs of their own: `python -m benchmarks.peers NAME …`.

They import what they need and nothing more, as their start is in what is measured.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path


def pages(uri: str) -> None:
    """Read all pages of the stub's listing, and find in each only where the next one begins."""
    from http.client import HTTPConnection

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    connection = HTTPConnection(os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"))
    marker = ""
    while True:
        connection.request("GET", f"/{bucket}?versions&prefix={prefix}{marker}")
        following = re.search(rb"<NextKeyMarker>([^<]*)", connection.getresponse().read())
        if following is None:
            return
        marker = f"&key-marker={following[1].decode()}"


def walk(root: str) -> None:
    """Ask the system for the state of each file below a folder, and forget it."""
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)


def versions(uri: str) -> None:
    """List all versions below a prefix with boto3, and forget them."""
    import boto3

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    for page in boto3.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        assert page["Versions"]


def read(wanted: str, url: str, how: str) -> None:
    """Read all files of a list below a URL, in one of four ways, through what fsspec has for it."""
    import fsspec

    fs, root = fsspec.url_to_fs(url)
    paths = [f"{root}/{name}" for name in json.loads(Path(wanted).read_text())]
    if how == "cat":
        assert len(fs.cat(paths)) == len(paths)
        return
    for path in paths:
        with fs.open(path) as file:
            while file.read(1 << 20 if how == "stream" else -1):
                pass


if __name__ == "__main__":
    name, *words = sys.argv[1:]
    {"pages": pages, "read": read, "versions": versions, "walk": walk}[name](*words)
