"""Carrying the catalog between places: remotes, push, pull, and the records that git carries.

A remote holds the same set of records as `records/`. Moving the difference of two sets is all that is done here.
"""
