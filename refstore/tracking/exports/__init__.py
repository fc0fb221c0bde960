"""The forms that a version's files can be written in for other programs, a file for each."""
