"""The command line, for which the host has our devices only: a picture shows nobody else's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ntt_loops import Loops
from ntt_loops._default import DEFAULT
from ntt_loops.cli import main
from tests.support.kernels import FencedKernel

if __name__ == "__main__":
    ours = Loops(os.environ["NTT_LOOPS_RUN_DIR"], FencedKernel(Path(os.environ["PICTURES_OF"])))
    with DEFAULT.replaced_by(ours):
        sys.exit(main(sys.argv[1:]))
