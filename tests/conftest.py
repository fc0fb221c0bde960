"""What every test gets: an environment of its own, and, for the asking, real storage servers.

The servers are described in `servers/`: a file for each. They are started once a run, by the first test that asks, and
are shared by all xdist workers. `.servers/runs/` keeps the logs of the last few runs.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest

# gcsfs reads it when it is imported; with it on, each first touch of a bucket waits a minute for Google's own servers
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

from tests.servers import azurite as azurite_server
from tests.servers import caddy as caddy_server
from tests.servers import gcs as gcs_server
from tests.servers import nginx as nginx_server
from tests.servers import rgw as rgw_server
from tests.servers import seaweed as seaweed_server
from tests.servers.azurite import Azurite
from tests.servers.caddy import Caddy
from tests.servers.faults import FaultProxy, Faults
from tests.servers.gcs import Gcs
from tests.servers.nginx import Nginx
from tests.servers.running import Owner, Run
from tests.servers.s3 import S3Server

OWNER = pytest.StashKey[Owner]()
FOREIGN = ("AWS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "GCSFS_", "AZURE_", "REFSTORE_", "STORAGE_EMULATOR_", "FSSPEC_")

# A machine that does something else at the same time is no reason to fail.
_PATIENT = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
# The same examples each time: what fails was broken by the change. `--hypothesis-profile=explore` tries new ones.
hypothesis.settings.register_profile("same", _PATIENT, derandomize=True)
hypothesis.settings.register_profile("explore", _PATIENT)
hypothesis.settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    # a run in the background may have been started deaf to these, and would hand that on to every process it starts
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    if not hasattr(config, "workerinput"):
        config.stash[OWNER] = Owner()


def pytest_unconfigure(config: pytest.Config) -> None:
    owner = config.stash.get(OWNER, None)
    if owner:
        owner.stop()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["servers_run"] = str(node.config.stash[OWNER].folder)


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """This test run: where servers are started, and what they are called."""
    worker = getattr(request.config, "workerinput", None)
    return Run(Path(worker["servers_run"]) if worker else request.config.stash[OWNER].folder)


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing of the user's or the machine's settings reaches a test. The value is the test's home folder."""
    home = tmp_path_factory.mktemp("home")
    for name in os.environ:
        if name.startswith(FOREIGN) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    return home


@pytest.fixture(scope="session")
def seaweed(run: Run) -> S3Server:
    """SeaweedFS: S3 with versions."""
    return seaweed_server.shared(run)


@pytest.fixture(scope="session")
def rgw(run: Run) -> S3Server:
    """Ceph's RADOS Gateway: S3 that keeps odd keys as they are. Slow to start."""
    return rgw_server.shared(run)


@pytest.fixture(scope="session")
def gcs(run: Run) -> Gcs:
    """fake-gcs-server: Google Cloud Storage with generations."""
    return gcs_server.shared(run)


@pytest.fixture(scope="session")
def azurite(run: Run) -> Azurite:
    """Azurite: Azure Blob Storage without versions."""
    return azurite_server.shared(run)


@pytest.fixture(scope="session")
def nginx(run: Run) -> Nginx:
    """nginx: a web server with HTML and JSON indexes, and odd locations."""
    return nginx_server.shared(run)


@pytest.fixture(scope="session")
def caddy(run: Run) -> Caddy:
    """Caddy: another web server over the same folder."""
    return caddy_server.shared(run)


@pytest.fixture
def faults() -> Iterator[Callable[..., FaultProxy]]:
    """`faults(url, cut=1, after=5000)` starts a proxy that breaks connections to `url`; it ends with the test."""
    with ExitStack() as stack:
        yield lambda target, **faults: stack.enter_context(FaultProxy(target, Faults(**faults)))


@pytest.fixture
def flaky(run: Run) -> Callable[..., str]:
    """`flaky(url)` is a URL by which a fifth of all requests gets 503 SlowDown and a twentieth is dropped."""

    def start(url: str, *, slow_down: float = 0.2, drop: float = 0.05) -> str:
        port = urlsplit(url).port
        assert port
        return nginx_server.start_flaky_proxy(
            run, f"flaky-{uuid.uuid4().hex[:8]}", port, slow_down=slow_down, drop=drop
        )

    return start
