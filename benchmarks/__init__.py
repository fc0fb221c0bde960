"""Measurements: what refstore costs against what the same work costs with other tools, in one run on one machine.

`python -m benchmarks [--quick] [NAME…]` prints them and writes `results.md`; NAME is a module here, a section there. A
section is a function `run(bench)` that yields `Result`s. `race.py` runs several commands in turns, in environments of
their own (`environments.py`, `pins/`), and compares ours with each; where refstore's own figures are enough,
`Bench.interleaved` does the first half of that. A target goes with the line that it is for: `at_most`. The data are
made from a seed (`data.py`); the servers are those of the tests. Nothing of the user's is touched.

`scale` has no peers: it writes `scale.csv`, of which `plots.py` draws the pictures of docs/costs.md.
"""
