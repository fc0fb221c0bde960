"""Ceph's RADOS Gateway: the S3 server that keeps every key as it is, and lists in byte order. It starts in 15 s."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path

import pytest

from . import install
from .nginx import start_logging_proxy
from .running import Run, ServerFailedError, server_environment
from .s3 import S3Server

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]
mon initial members = a
keyring = {folder}/keyring
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind ipv6 = false
ms bind port min = 29000
ms bind port max = 31000
run dir = {folder}/data
admin socket =
log file = {folder}/$name.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
mon data avail warn = 2
mon max pg per osd = 1000
auth allow insecure global id reclaim = false
[mon.a]
host = localhost
mon data = {folder}/data/mon
mon addr = 127.0.0.1
[osd]
osd data = {folder}/data/osd
osd objectstore = memstore
memstore device bytes = 4294967296
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw data = {folder}/data/rgw
rgw thread pool size = 32
rgw dynamic resharding = false
"""

CAPABILITIES = {
    "mon.": ["mon", "allow *"],
    "client.admin": ["mon", "allow *", "osd", "allow *", "mgr", "allow *"],
    "osd.0": ["mon", "allow *", "osd", "allow *"],
    "client.rgw.a": ["mon", "allow rw", "osd", "allow rwx"],
}


def shared(run: Run) -> S3Server:
    missing = install.ceph_missing()
    if missing:
        pytest.skip(missing)
    return run.shared("rgw", S3Server, lambda: _start(run))


def _start(run: Run) -> S3Server:
    folder, port = run.server_folder("rgw"), run.port()
    for part in ("mon", "osd", "rgw"):
        (folder / "data" / part).mkdir(parents=True)
    fsid, mon_v2 = str(uuid.uuid4()), run.port()
    (folder / "ceph.conf").write_text(
        CONFIGURATION.format(fsid=fsid, folder=folder, port=port, mon_v2=mon_v2, mon_v1=run.port())
    )
    _make_keyring(folder)
    _do(folder, "monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", _addresses(folder), "data/monmap")
    _do(folder, "ceph-mon", "--mkfs", "-i", "a", "--monmap", "data/monmap", "--keyring", "keyring")
    run.spawn(_part(folder, "mon"), ["ceph-mon", "-c", folder / "ceph.conf", "-f", "-i", "a"], port=mon_v2)

    osd = str(uuid.uuid4())
    _do(folder, "ceph", "osd", "new", osd, "0")
    _do(folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
    run.spawn(_part(folder, "osd"), ["ceph-osd", "-c", folder / "ceph.conf", "-f", "-i", "0"])
    run.wait(folder / "osd", lambda: json.loads(_do(folder, "ceph", "osd", "stat", "-f", "json"))["num_up_osds"] == 1)

    gateway = ["radosgw", "-c", folder / "ceph.conf", "-f", "-n", "client.rgw.a"]
    run.spawn(_part(folder, "gateway"), gateway, port=port, timeout=120)
    log = start_logging_proxy(run, "rgw", port)
    server = S3Server(url=f"http://127.0.0.1:{port}", logged_url=log.url, log_file=log.file, reader_needs_policy=True)
    for user, secret in ((server.key, server.secret), (server.reader_key, server.reader_secret)):
        keys = ["--access-key", user, "--secret", secret]
        _do(
            folder,
            "radosgw-admin",
            "-n",
            "client.rgw.a",
            "user",
            "create",
            "--uid",
            user,
            "--display-name",
            user,
            *keys,
        )
    return server


def _make_keyring(folder: Path) -> None:
    (folder / "keyring").touch()
    for name, capabilities in CAPABILITIES.items():
        pairs = zip(capabilities[::2], capabilities[1::2], strict=True)
        caps = [word for who, what in pairs for word in ("--cap", who, what)]
        _do(folder, "ceph-authtool", "keyring", "--gen-key", "-n", name, *caps)


def _addresses(folder: Path) -> str:
    lines = (folder / "ceph.conf").read_text().splitlines()
    return next(line.partition(" = ")[2] for line in lines if line.startswith("mon host"))


def _part(folder: Path, name: str) -> Path:
    part = folder / name
    part.mkdir()
    return part


def _do(folder: Path, *command: str) -> str:
    """Run one of Ceph's tools to its end; what it printed."""
    env = {**server_environment(folder), "CEPH_CONF": str(folder / "ceph.conf")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise ServerFailedError(f"`{' '.join(command)}` failed: {done.stderr[-2000:]}")
    return done.stdout
