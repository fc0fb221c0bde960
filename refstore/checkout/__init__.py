"""From a version to files: the cache, links, plan and transfer of a checkout; status, verify, and reading without one.

May import backends, manifest, names, progress and errors. Knows nothing of the catalog, and prints nothing. Writes to
the destination, the cache and the ledger alone; never to a source, and never through a symbolic link in a destination.

The straight line is `plan` (entries, ledger and disk compared) -> `fetch` (cache, or `pinned`: read and prove) ->
`transfer` (intents, renames, settled rows). `checkout.checkout`, `status.status`, `verify.verify` and
`reader.open_entry` are the ways in.
"""
