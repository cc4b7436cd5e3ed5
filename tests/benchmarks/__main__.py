"""``python -m tests.benchmarks``: measure, write a table, a JSON file and the plots, and renew the documents."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks import documents
from tests.benchmarks.machine import facts
from tests.benchmarks.measuring import to_plain
from tests.benchmarks.parts import PARTS
from tests.benchmarks.place import Extent, places
from tests.support.needs import missing_for_kernel

RESULTS = "results.json"


def main(arguments: list[str]) -> int:
    """Measure the parts that are chosen; a quick run leaves the documents as they are."""
    chosen = _parsed(arguments)
    missing = missing_for_kernel() or _missing_to_draw()
    if missing is not None:
        print(f"Nothing can be measured here: {missing}.", file=sys.stderr)
        return 1
    if chosen.redraw:
        documents.renew(_write({}, documents.KEPT))
    else:
        _measure(chosen)
    return 0


def _measure(chosen: argparse.Namespace) -> None:
    """Measure part by part, and write each at once: the next one may fail."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # what was made is taken away again
    os.environ["LC_ALL"] = "C"  # what programs say is read
    for name in chosen.only or PARTS:
        part = {name: _measured(name, Extent(chosen.quick))}
        results = _write(part, chosen.output)
        (chosen.output / "tables.md").write_text(documents.whole(results), encoding="utf-8")
        if not chosen.quick:
            documents.renew(_write(part, documents.KEPT))
    print(f"\nIt is all in {chosen.output}.")


def _missing_to_draw() -> str | None:
    if importlib.util.find_spec("matplotlib") is None:
        return "matplotlib is not installed (make bench installs it)"
    return None


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few rounds only, to see that all of it works")
    parser.add_argument("--redraw", action="store_true", help="measure nothing: page and plots from what was kept")
    parser.add_argument("--output", type=Path, default=Path("bench"), help="the folder for table, JSON and plots")
    parser.add_argument("only", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; by default all")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.only) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}: choose of {', '.join(PARTS)}")
    return chosen


def _measured(name: str, extent: Extent) -> dict[str, Any]:
    print(f"{name} ...", flush=True)
    with places(extent) as place:
        taken = facts(place)
        part = {"taken": taken, "rows": to_plain(PARTS[name].measure(place))}
    print(documents.section(name, {"parts": {name: part}}), flush=True)
    return part


def _write(measured: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Put the parts in place of what the folder has of them, and draw all anew; return the whole."""
    from tests.benchmarks import plots  # noqa: PLC0415 - what is drawn with is not needed to measure

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RESULTS
    old = json.loads(path.read_text(encoding="utf-8"))["parts"] if path.exists() else {}
    merged = {**old, **measured}
    results = {"parts": {name: merged[name] for name in PARTS if name in merged}}
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    plots.draw(results, folder)
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
