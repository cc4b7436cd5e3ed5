"""The documents that show figures: between two marks stands what the results say, and is written anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks import goals, tables
from tests.benchmarks.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
#: What is committed of a run: the results and the plots.
KEPT: Final = ROOT / "docs" / "performance"
DOCUMENTS: Final = (ROOT / "docs" / "performance.md", ROOT / "README.md")
_SECTION: Final = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- bench: end -->)", re.DOTALL)


def section(name: str, results: Mapping[str, Any]) -> str:
    """Return what stands between the marks of that name; "goals" and the parts are names."""
    if name == "goals":
        return "\n\n".join([goals.verdicts(results), *_first_taken(results)])
    if name not in results["parts"]:
        return "Not measured."
    found, part = results["parts"][name], PARTS[name]
    table = tables.matrix(found["rows"]) if part.is_matrix else tables.listed(found["rows"], part.reference)
    return f"{table}\n\n{tables.taken(found['taken'])}"


def _first_taken(results: Mapping[str, Any]) -> list[str]:
    """Return on what the first part was measured; the others are as a rule of the same run."""
    return [tables.taken(part["taken"]) for part in results["parts"].values()][:1]


def whole(results: Mapping[str, Any]) -> str:
    """Return all tables in one text."""
    names = ["goals", *(name for name in PARTS if name in results["parts"])]
    return "\n\n".join(f"## {name}\n\n{section(name, results)}" for name in names) + "\n"


def renewed(text: str, results: Mapping[str, Any]) -> str:
    """Return a document with the results between its marks."""
    return _SECTION.sub(lambda found: f"{found[1]}\n{section(found[2], results)}\n\n{found[3]}", text)


def renew(results: Mapping[str, Any]) -> None:
    """Write the documents anew."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        document.write_text(renewed(text, results), encoding="utf-8")
