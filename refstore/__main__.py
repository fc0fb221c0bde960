"""`python -m refstore` is `refstore`."""

from __future__ import annotations

import sys

from refstore.cli import main

if __name__ == "__main__":
    sys.exit(main())
