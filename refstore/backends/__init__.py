"""The storage schemes, over fsspec: one narrow interface (`base`), a file for each scheme, one for any other protocol.

May import config, manifest, names and errors. Knows nothing of the catalog, and never writes to a source.
"""

from refstore.backends.base import Backend, Location, Page, Proof, Reading
from refstore.backends.registry import Backends

__all__ = ["Backend", "Backends", "Location", "Page", "Proof", "Reading"]
