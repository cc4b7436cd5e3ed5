"""The package as it is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import tomllib
from pathlib import Path
from typing import Any

import pytest

import ntt_loops


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The project table of pyproject.toml."""
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
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
