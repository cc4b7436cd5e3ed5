"""What the runs of a kernel said, read from the reports that pytest wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree as ET

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.kernels.machine import Run

Outcome = Literal["passed", "failed", "skipped", "not run"]


@attrs.frozen
class Result:
    """One test."""

    name: str
    outcome: Outcome
    reason: str = ""
    counted: tuple[str, ...] = ()


def results_of(runs: Iterable[Run], out: Path) -> list[Result]:
    """Return the results of all tests; a run that began and has no report is a failure of its own."""
    return [result for run in runs for result in _results_of(run, out)]


def _results_of(run: Run, out: Path) -> list[Result]:
    if not any(out.glob(f"{run.name}.*")):
        files = [word for word in run.arguments if word.startswith("tests/")]
        return [Result(name, "not run") for name in files]
    report, status = out / f"{run.name}.xml", out / f"{run.name}.status"
    if not report.exists():
        return [Result(f"the run {run.name!r}", "failed", _why_none(run, out))]
    found = [_result(case) for case in ET.parse(report).iter("testcase")]  # noqa: S314 - pytest wrote it
    code = status.read_text().strip()
    if code not in ("0", "1") or (code == "1" and not any(one.outcome == "failed" for one in found)):
        found.append(Result(f"the run {run.name!r}", "failed", f"pytest ended with {code}; see {run.name}.log"))
    return found


def _why_none(run: Run, out: Path) -> str:
    if (out / f"{run.name}.status").exists():
        return f"it took longer than {run.seconds} s, or pytest did not start"
    return "the machine went down in it"


def _result(case: ET.Element) -> Result:
    name = f"{_file_of(case.get('classname', ''))}::{case.get('name')}"
    for kind in ("failure", "error"):
        said = case.find(kind)
        if said is not None:
            return Result(name, "failed", _first_line(said.get("message") or said.text or kind))
    skipped = case.find("skipped")
    if skipped is not None:
        return Result(name, "skipped", _first_line(skipped.get("message")))
    counted = tuple(f"{one.get('name')}: {one.get('value')}" for one in case.iter("property"))
    return Result(name, "passed", counted=counted)


def _file_of(classname: str) -> str:
    return re.sub(r"\.", "/", classname) + ".py"


def _first_line(text: str | None) -> str:
    lines = [line for line in (text or "").splitlines() if line.strip()]
    return lines[0].strip() if lines else ""


def count(results: Sequence[Result], outcome: Outcome) -> int:
    """Return how many tests ended so."""
    return sum(one.outcome == outcome for one in results)
