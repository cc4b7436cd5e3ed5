"""What importing the package costs others: only what each of them needs."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded_after(code: str) -> set[str]:
    """Return what a new interpreter has imported after it ran this."""
    code = f"{code}\nimport sys; sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return set(done.stderr.decode().split())


def test_the_package_alone_is_a_table_of_contents() -> None:
    """``import ntt_loops`` brings in nothing; its names come at their first use."""
    plain = loaded_after("import __future__, typing")
    assert loaded_after("import ntt_loops") - plain == {"ntt_loops"}


@pytest.mark.parametrize("module", ["tenacity", "subprocess", "asyncio", "ntt_loops._kernel.linux"])
def test_import_leaves_out_what_is_only_needed_later(module: str) -> None:
    """Importing ntt_loops, and ntt_loops.testing, brings in no waiting, no child processes, and no Linux."""
    assert module not in loaded_after("import ntt_loops.testing; from ntt_loops import *")


def test_the_kernel_in_memory_needs_no_linux(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A whole cycle on the kernel in memory runs where the real kernel's module cannot be imported."""
    image = tmp_path_factory.mktemp("images") / "a.img"
    image.write_bytes(bytes(4096))
    code = (
        "import sys; sys.modules['ntt_loops._kernel.linux'] = None\n"
        "from ntt_loops import attached, release_all\n"
        "from ntt_loops.testing import in_memory\n"
        "with in_memory() as kernel:\n"
        f"    with attached({str(image)!r}): assert kernel.bound_numbers() == [0]\n"
        "    assert kernel.bound_numbers() == []\n"
        "    assert release_all('a').released == ()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
