"""Which backend serves a URI or a recorded object; each is imported when it is first needed."""

from __future__ import annotations

import re
import threading
from importlib import import_module
from pathlib import Path

from refstore.backends.base import Backend
from refstore.config import Settings
from refstore.errors import InvalidURI, UnsupportedScheme
from refstore.manifest.entry import Object

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):(//)?")
_AZURE_HOST = re.compile(
    r"https://[a-z0-9]+\.(blob|dfs)\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)(/|$|\?)", re.I
)

_MODULES = {
    "s3": ("refstore.backends.s3", "S3Backend", "s3"),
    "gs": ("refstore.backends.gcs", "GCSBackend", "gcs"),
    "az": ("refstore.backends.azure", "AzureBackend", "azure"),
    "http": ("refstore.backends.http", "HTTPBackend", "http"),
    "file": ("refstore.backends.local", "LocalBackend", ""),
}
_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "https": "http"}
_GENERIC = ("refstore.backends.generic", "GenericBackend", "")


class Backends:
    """One backend instance for each scheme, made when it is first asked for. Safe to use from several threads.

    Args:
        settings: For all of them.
        seen: Where the stat cache of local files is; None for none.
    """

    def __init__(self, settings: Settings, seen: Path | None = None) -> None:
        self.settings = settings
        self._seen = seen
        self._made: dict[str, Backend] = {}
        self._lock = threading.Lock()

    def for_uri(self, uri: str) -> Backend:
        """The backend for a URI or a plain path.

        Raises:
            InvalidURI: It is empty.
            UnsupportedScheme: Nothing serves its scheme.
        """
        if not uri:
            raise InvalidURI("An empty URI names nothing: give a URI such as s3://bucket/prefix, or a path.")
        match = _SCHEME.match(uri)
        if not match or (not match[2] and match[1].lower() != "file"):
            return self._get("file")
        return self._get("az" if _AZURE_HOST.match(uri) else match[1].lower())

    def for_object(self, obj: Object) -> Backend:
        """The backend for a recorded object.

        Raises:
            UnsupportedScheme: Nothing serves its scheme here.
        """
        return self._get(obj.scheme)

    def _get(self, scheme: str) -> Backend:
        name = _ALIASES.get(scheme, scheme)
        known = self._made.get(name)
        if known is not None:
            return known
        with self._lock:
            if name not in self._made:
                module, cls, extra = _MODULES.get(name, _GENERIC)
                try:
                    backend = getattr(import_module(module), cls)
                except ImportError as error:
                    raise UnsupportedScheme(
                        f"{scheme}:// needs a package that is not installed ({error.name}): pip install "
                        f"'refstore[{extra}]'."
                    ) from error
                made = backend(self.settings) if name in _MODULES else backend(self.settings, name)
                if name == "file":
                    made.seen_at = self._seen
                self._made[name] = made
            return self._made[name]
