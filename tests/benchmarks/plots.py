"""The plots, as SVG: a cycle by each, what others cost, and many processes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator

from tests.benchmarks import cycle, processes, scale
from tests.benchmarks.tables import amount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Rows = Sequence[Mapping[str, Any]]

BARE_COLOUR: Final = "#8c8c8c"
OURS: Final = "#1f6fb2"
OTHERS: Final = "#c8772b"
_STYLE: Final = {
    "svg.hashsalt": "ntt_loops",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}


def draw(results: Mapping[str, Any], folder: Path) -> None:
    """Draw what was measured."""
    drawings = {"cycle": _cycle, "scale": _scale, "processes": _processes}
    with mpl.rc_context(_STYLE):
        for part, drawing in drawings.items():
            if part in results["parts"]:
                figure = drawing([row for row in results["parts"][part]["rows"] if not row["missing"]])
                figure.savefig(folder / f"{part}.svg", metadata={"Date": None}, bbox_inches="tight")
                plt.close(figure)


def _plain(name: str) -> str:
    return name.replace("`", "")


def _colour(name: str) -> str:
    if name.startswith("bare"):
        return BARE_COLOUR
    return OTHERS if name in (cycle.LOSETUP, cycle.LIBBLOCKDEV) else OURS


def _cycle(rows: Rows) -> Any:
    figure, axes = plt.subplots(figsize=(8, 0.4 * len(rows) + 0.9))
    for place, row in enumerate(rows):
        colour = _colour(row["contender"])
        axes.hlines(place, row["low"], row["high"], color=colour, linewidth=4, alpha=0.35)
        axes.plot(row["median"], place, "o", color=colour)
        axes.annotate(
            amount(row["median"], "us"), (row["high"], place), (8, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(rows)), [_plain(row["contender"]) for row in rows])
    axes.invert_yaxis()
    _log_time(axes.xaxis, axes.set_xscale)
    axes.set_xlim(right=max(row["high"] for row in rows) * 2.5)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("to attach an image and detach it again: median and quartiles")
    return figure


def _scale(rows: Rows) -> Any:
    figure, axes = plt.subplots(figsize=(8, 4.2))
    styles = {
        scale.LOSETUP: (OTHERS, "o-"),
        scale.RELEASE: (OURS, "s--"),
        scale.LIST_ONE: (OURS, "^:"),
        scale.CYCLE: (OURS, "o-"),
        scale.BARE: (BARE_COLOUR, "o-"),
    }
    axes.set_xscale("symlog", linthresh=100)
    for name, (colour, style) in styles.items():
        _line(axes, [row for row in rows if row["contender"] == name], name, colour, style)
    _log_time(axes.yaxis, axes.set_yscale)
    axes.set_xlabel("other devices bound")
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _processes(rows: Rows) -> Any:
    figure, (speed, worst) = plt.subplots(1, 2, figsize=(9, 3.8))
    styles = {processes.BARE: BARE_COLOUR, processes.LIBRARY: OURS, processes.LOSETUP: OTHERS}
    for axes, quantity in ((speed, processes.SPEED), (worst, processes.WORST)):
        axes.set_xscale("log", base=2)
        for name, colour in styles.items():
            own = [row for row in rows if row["contender"] == name and row["quantity"] == quantity]
            _line(axes, own, name, colour, "o-")
        axes.set_xlabel("processes at once")
        axes.set_title(quantity, fontsize=10)
    speed.set_yscale("log")
    speed.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _log_time(worst.yaxis, worst.set_yscale)
    figure.tight_layout()
    worst.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _line(axes: Any, rows: Rows, name: str, colour: str, style: str) -> None:
    across = [int(row["case"].split()[0].replace(",", "")) for row in rows]
    axes.plot(across, [row["median"] for row in rows], style, color=colour, label=_plain(name), markersize=4)
    axes.fill_between(
        across, [row["low"] for row in rows], [row["high"] for row in rows], color=colour, alpha=0.15, linewidth=0
    )
    axes.set_xticks(across, [f"{one:,}" for one in across])


def _log_time(axis: Any, set_scale: Any) -> None:
    """Make an axis of microseconds logarithmic, and write its decades with their units."""
    set_scale("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: amount(value, "us"))
    axis.set_minor_formatter(lambda *_: "")
