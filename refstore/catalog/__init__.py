"""The catalog: the set of all records, its index in SQLite, and the state that the records add up to.

May import records, manifest, names and errors. Knows nothing of the network and nothing of any source.
"""

from refstore.catalog.catalog import Catalog

__all__ = ["Catalog"]
