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


#: What a pipeline needs.
NAMES = "from ntt_loops import DeviceBusyError, Loops, attached, holders, mounted_medium, release_all, sweep"
#: All that these names bring in besides the library itself: attrs, and these of the standard library.
IMPORTS = "attrs, contextvars, fcntl, hashlib, json, logging, math, pathlib, random, shlex, struct, urllib.parse"


def test_the_public_names_bring_in_a_few_modules() -> None:
    """What they load are those modules, what these need themselves, and rooms of ours."""
    others = loaded_after(NAMES) - loaded_after(f"import __future__, {IMPORTS}")
    assert {name for name in others if not name.startswith("ntt_loops")} == set()


@pytest.mark.parametrize("room", ["_medium", "_mounting", "_mounted_medium", "_rescue", "_checkup", "dask", "cli"])
def test_a_stage_that_only_attaches_loads_no_other_room(room: str) -> None:
    """Nor does one that may have to release, or catches an error: that is for the first call."""
    code = "from ntt_loops import DeviceBusyError, LoopDevice, Loops, attached, mounted, release_all, sweep"
    assert f"ntt_loops.{room}" not in loaded_after(code)


def test_a_room_that_cannot_be_loaded_is_an_error_of_ours_and_is_loaded_later() -> None:
    """No descriptor is left at the first release: KernelError, and a second try works."""
    code = (
        "import os, resource\n"
        "from ntt_loops import KernelError, release_all\n"
        "from ntt_loops.testing import in_memory\n"
        "with in_memory():\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "    taken = [os.dup(0) for _ in range(64 - len(os.listdir('/proc/self/fd')) + 1)]\n"
        "    try:\n"
        "        release_all('disk')\n"
        "    except KernelError as error:\n"
        "        print(error)\n"
        "    for one in taken:\n"
        "        os.close(one)\n"
        "    assert release_all('disk').released == ()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ntt_loops/_medium" in done.stdout


@pytest.mark.parametrize(
    "module", ["tenacity", "subprocess", "asyncio", "concurrent", "distributed", "ntt_loops._kernel.linux"]
)
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


#: What the verbs need and --version does not: whoever completes a word or reads the help waits for each of them.
NOT_FOR_HELP = [
    "rich",
    "prometheus_client",
    "attrs",
    "tenacity",
    "subprocess",
    "json",
    "logging",
    "pathlib",
    "importlib.metadata",
    "ntt_loops.errors",
    "ntt_loops._default",
    "ntt_loops.cli.verb",
    "ntt_loops.cli.verbs",
]


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_help_starts_fast(option: str) -> None:
    """``ntt-loops --version`` and ``--help`` import click and next to nothing else."""
    loaded = loaded_after(f"from ntt_loops.cli import main; main([{option!r}])")
    assert loaded.isdisjoint(NOT_FOR_HELP)
    assert {name for name in loaded if name.startswith("ntt_loops")} == {
        "ntt_loops",
        "ntt_loops.cli",
        "ntt_loops.cli.app",
        "ntt_loops.cli.exits",
    }


def test_a_verb_that_prints_no_table_does_without_rich() -> None:
    """Where stdout is no terminal rich is not imported."""
    code = (
        "from ntt_loops.cli import main; from ntt_loops.testing import in_memory\n"
        "with in_memory(): main(['list']); main(['list', '--json'])"
    )
    assert "rich" not in loaded_after(code)
