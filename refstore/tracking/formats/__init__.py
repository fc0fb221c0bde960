"""The forms that a lineage can be written in, a file for each."""
