"""Measurements: what refstore costs against what the same work costs without it, in the same run on the same machine.

`python -m benchmarks [--quick] [NAME…]` prints them and writes `results.md`. A file for each; `bench.py` is what they
share. They run against the servers of the tests, in processes of their own, and touch nothing of the user's.
"""
