"""The plots, as SVG: a cycle by each, what others cost, and many processes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt

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
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(rows) + 0.9))
    names = [_plain(row["contender"]) for row in rows]
    medians = [row["median"] for row in rows]
    errors = [[row["median"] - row["low"] for row in rows], [row["high"] - row["median"] for row in rows]]
    colours = [_colour(row["contender"]) for row in rows]
    axes.barh(names, medians, xerr=errors, color=colours, error_kw={"elinewidth": 1, "ecolor": "#333333"})
    for place, row in enumerate(rows):
        axes.annotate(
            amount(row["median"], "us"), (row["high"], place), (5, 0), textcoords="offset points", va="center"
        )
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(right=max(medians) * 3)
    axes.set_xlabel("microseconds to attach an image and detach it again (logarithmic; median and quartiles)")
    return figure


def _scale(rows: Rows) -> Any:
    figure, axes = plt.subplots(figsize=(8, 4.2))
    styles = {
        scale.BARE: (BARE_COLOUR, "o-"),
        scale.CYCLE: (OURS, "o-"),
        scale.RELEASE: (OURS, "s--"),
        scale.LIST_ONE: (OURS, "^:"),
        scale.LOSETUP: (OTHERS, "o-"),
    }
    for name, (colour, style) in styles.items():
        _line(axes, [row for row in rows if row["contender"] == name], name, colour, style)
    axes.set_xscale("symlog", linthresh=100)
    axes.set_yscale("log")
    axes.set_xlabel("other devices bound")
    axes.set_ylabel("microseconds")
    _legend(axes)
    return figure


def _processes(rows: Rows) -> Any:
    figure, (speed, worst) = plt.subplots(1, 2, figsize=(9, 3.8))
    styles = {processes.BARE: BARE_COLOUR, processes.LIBRARY: OURS, processes.LOSETUP: OTHERS}
    for axes, quantity, label in (
        (speed, processes.SPEED, "cycles a second in all"),
        (worst, processes.WORST, "microseconds of the worst cycle"),
    ):
        for name, colour in styles.items():
            own = [row for row in rows if row["contender"] == name and row["quantity"] == quantity]
            _line(axes, own, name, colour, "o-")
        axes.set_xscale("log", base=2)
        axes.set_xticks(processes.COUNTS, [str(count) for count in processes.COUNTS])
        axes.set_yscale("log")
        axes.set_xlabel("processes at once")
        axes.set_ylabel(label)
    figure.tight_layout()
    _legend(speed)
    return figure


def _line(axes: Any, rows: Rows, name: str, colour: str, style: str) -> None:
    across = [int(row["case"].split()[0].replace(",", "")) for row in rows]
    axes.plot(across, [row["median"] for row in rows], style, color=colour, label=_plain(name), markersize=4)
    axes.fill_between(
        across, [row["low"] for row in rows], [row["high"] for row in rows], color=colour, alpha=0.15, linewidth=0
    )
    axes.set_xticks(across, [f"{one:,}" for one in across])


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, fontsize=9)
