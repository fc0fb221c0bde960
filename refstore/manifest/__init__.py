"""What a version consists of: objects, entries, and the tree of chunks that they are kept in.

Imports names and errors only. Never touches the network, the disk or SQLite.
"""
