"""``python -m ntt_loops`` is ``ntt-loops``."""

from __future__ import annotations

import sys

from ntt_loops.cli import main

if __name__ == "__main__":
    sys.exit(main())
