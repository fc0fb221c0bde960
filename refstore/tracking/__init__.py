"""What makes versions: adding references, putting content, and the runs behind them.

May import catalog, backends, checkout's cache and everything below. Never prints.
"""
