"""Cycles for strace(1) to watch: ``IMAGE CYCLES``. What lies between two marks is one cycle."""

from __future__ import annotations

import os
import sys
from typing import Final

from tests.benchmarks.cycle import scoped

#: Looked up at once before and after a cycle; neither is there.
BEGIN: Final = "/a-cycle-begins"
END: Final = "/a-cycle-ends"
#: The least that a call can be: what strace says of it is what strace adds to each.
LEAST: Final = "getppid"


def main(image: str, cycles: int) -> None:
    """Warm up, then let each cycle be seen."""
    scoped(image)
    for _ in range(cycles):
        os.getppid()
        os.access(BEGIN, os.F_OK)
        scoped(image)
        os.access(END, os.F_OK)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
