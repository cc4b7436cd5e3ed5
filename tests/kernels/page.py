"""docs/kernels.md: a row for each kernel, and a section that names what did not pass, and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.kernels.machine import PROJECT
from tests.kernels.results import count
from tests.kernels.selection import LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from tests.kernels.packages import Kernel
    from tests.kernels.results import Outcome, Result

PAGE: Final = PROJECT / "docs/kernels.md"


def record(kernel: Kernel, results: Sequence[Result], day: date, page: Path = PAGE) -> None:
    """Put a kernel's results in the place of its earlier ones."""
    text = page.read_text()
    text = re.sub(rf"^\| {kernel.suite} \|.*$", lambda _: _row(kernel, results, day), text, flags=re.MULTILINE)
    text = _with_section(text, kernel.suite, _notes(kernel, results))
    page.write_text(_with_section(text, "left out", [f"- `{name}`: {why}" for name, why in LEFT_OUT.items()]))


def _row(kernel: Kernel, results: Sequence[Result], day: date) -> str:
    outcomes: tuple[Outcome, ...] = ("passed", "failed", "skipped")
    counts = [str(count(results, outcome)) for outcome in outcomes]
    again = f"`make test-kernels KERNELS={kernel.suite}`"
    return f"| {' | '.join([kernel.suite, kernel.version, day.isoformat(), *counts, again])} |"


def _with_section(text: str, name: str, lines: Sequence[str]) -> str:
    """Replace what stands between a section's two marks."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    head, found, rest = text.partition(begin)
    _, also_found, tail = rest.partition(end)
    if not (found and also_found):
        raise ValueError(f"the page has no place for {name!r}")
    return f"{head}{begin}\n" + "".join(f"{line}\n" for line in lines) + f"\n{end}{tail}"


def _notes(kernel: Kernel, results: Sequence[Result]) -> list[str]:
    failed = [f"- failed: `{one.name}`: {one.reason}" for one in results if one.outcome == "failed"]
    skipped = sorted({f"- skipped: `{one.name}`: {one.reason}" for one in results if one.outcome == "skipped"})
    counted = [f"- counted: `{one.name}`: {what}" for one in results for what in one.counted]
    not_run = [f"- not run: `{one.name}`" for one in results if one.outcome == "not run"]
    all_well = [] if failed or skipped or not_run else [f"- All of them passed on {kernel.version}; none was skipped."]
    return [*all_well, *failed, *not_run, *skipped, *counted]
