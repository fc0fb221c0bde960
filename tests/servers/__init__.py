"""Real storage servers for the tests: how they are installed, started once a run, shared and stopped.

Start at `running.py`. Nothing in here imports `refstore`: what a server holds is prepared and read by other code than
the code that is under test.
"""
