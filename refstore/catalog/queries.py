"""Questions to the index. Each answers from SQLite alone; none touches a file of the catalog."""

from __future__ import annotations

from refstore.catalog.entry_queries import EntryQueries
from refstore.catalog.event_queries import EventQueries
from refstore.catalog.version_queries import VersionQueries


class Queries(VersionQueries, EntryQueries, EventQueries):
    """Questions to one connection."""
