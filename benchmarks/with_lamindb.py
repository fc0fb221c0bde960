"""LaminDB's way to record a folder: `python with_lamindb.py PATH KEY`, where an instance is connected.

Run by the Python of its own environment.
"""

import sys

import lamindb

artifact = lamindb.Artifact(sys.argv[1], key=sys.argv[2], description="data").save()
print(artifact.n_files, artifact.hash)
