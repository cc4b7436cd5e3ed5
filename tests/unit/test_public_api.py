"""The package's table of contents."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import ntt_loops
from ntt_loops import pytest_plugin, testing

TYPED = (Path(__file__).parents[1] / "typing").glob("*.py")
PACKAGE = ast.parse(Path(ntt_loops.__file__).read_text(encoding="utf-8"))
NODES = [node for path in TYPED for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]


def used_names() -> set[str]:
    """Return the names that the typing tests use beyond importing them."""
    return {node.id for node in NODES if isinstance(node, ast.Name)}


def imported_names(module: str) -> set[str]:
    """Return what they import from a module."""
    found = [node for node in NODES if isinstance(node, ast.ImportFrom) and node.module == module]
    return {alias.name for node in found for alias in node.names}


@pytest.mark.parametrize("package", [ntt_loops, testing, pytest_plugin], ids=lambda package: package.__name__)
def test_the_table_of_contents_is_sorted_and_true(package: object) -> None:
    """``__all__`` is sorted, has no name twice, and every name in it is there."""
    names: list[str] = vars(package)["__all__"]
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(package, name)] == []


@pytest.mark.parametrize("package", [ntt_loops, testing, pytest_plugin], ids=lambda package: package.__name__)
def test_every_public_name_has_its_type_checked(package: object) -> None:
    """The files that only the type checker reads import exactly the public names, and use each."""
    names = set(vars(package)["__all__"])
    assert imported_names(vars(package)["__name__"]) == names
    assert names - used_names() == set()


def test_nothing_else_is_public() -> None:
    """What the package holds besides ``__all__`` is private, a module, or of the language."""
    modules = {"errors", "testing", "cli", "pytest_plugin", "dask"}
    named = {name for name in dir(ntt_loops) if not name.startswith(("_", "@"))}  # "@": pytest's, of a plugin's package
    public = named - {"annotations", "TYPE_CHECKING"}
    assert public - modules == set(ntt_loops.__all__)


def test_what_comes_at_first_use_is_what_the_type_checker_sees() -> None:
    """Each name is, at run time, the one that the imports for type checkers name."""
    found = [node for node in ast.walk(PACKAGE) if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: str(node.module) for node in found for alias in node.names}
    seen = {
        name: getattr(importlib.import_module(home), name)
        for name, home in homes.items()
        if home.startswith("ntt_loops.")
    }
    assert seen == {name: getattr(ntt_loops, name) for name in ntt_loops.__all__}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As of any module; the submodules that used to be there still are."""
    assert not hasattr(ntt_loops, "losetup")
    assert ntt_loops.errors.NttLoopsError is ntt_loops.NttLoopsError
    assert set(ntt_loops.__all__) <= set(dir(ntt_loops))


def test_a_star_import_brings_all_names() -> None:
    """``from ntt_loops import *`` in a session of one's own."""
    space: dict[str, object] = {}
    exec("from ntt_loops import *", space)  # noqa: S102 - it is our own
    assert set(ntt_loops.__all__) <= set(space)


@pytest.mark.parametrize("name", ntt_loops.__all__)
def test_every_public_name_says_what_it_does(name: str) -> None:
    """Each has a docstring of its own, which help() shows."""
    value = getattr(ntt_loops, name)
    assert value.__doc__
    assert value.__doc__ != type(value).__doc__
