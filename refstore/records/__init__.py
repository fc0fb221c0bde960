"""Records: the immutable facts that the catalog is made of, their encoding, and the files that they are written in.

Imports names and errors only. Knows nothing of SQLite, of the network, or of what the facts add up to.
"""
