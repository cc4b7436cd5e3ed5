"""The package as it is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import ntt_loops

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this checkout."""
    if not SOURCES.is_dir():
        pytest.skip("the package is installed: its sources are not here to be built")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", os.fspath(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return folder


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The project table of pyproject.toml."""
    pyproject = ROOT / "pyproject.toml"
    table: dict[str, Any] = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return table


def test_installed_version_is_the_declared_one(project: dict[str, Any]) -> None:
    """What is installed is what this checkout declares."""
    assert importlib.metadata.version("ntt-loops") == project["version"] == ntt_loops.__version__


def test_licence_is_an_spdx_expression() -> None:
    """The licence can be read by machines."""
    assert importlib.metadata.metadata("ntt-loops")["License-Expression"] == "GPL-2.0-or-later"


def test_package_is_marked_as_typed() -> None:
    """Type checkers of our users read our annotations."""
    assert importlib.resources.files("ntt_loops").joinpath("py.typed").is_file()


def test_the_wheel_is_the_package_its_program_and_its_manual_page(built: Path) -> None:
    """What users install holds all of the package, and nothing that is only for those who work on it."""
    [wheel] = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.partition("/")[0].endswith(".dist-info")}
    package = [path for path in (SOURCES / "ntt_loops").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    pages = {name for name in names if name.endswith("/share/man/man8/ntt-loops.8")}
    assert names - pages == {os.fspath(path.relative_to(SOURCES)) for path in package}
    assert len(pages) == 1


def test_the_sdist_builds_tests_and_documents_itself(built: Path) -> None:
    """Who has only the sdist can run the tests and the demo from it."""
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"Makefile", "pyproject.toml", "tests/conftest.py", "examples/pipeline.py", "docs/architecture.md"}
    assert wanted | {"LICENSE", "README.md", "src/ntt_loops/py.typed", "PKG-INFO"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".img")) or ".venv" in name]
