"""Rows as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HUNDRED: Final = 100
_THOUSAND: Final = 1000


def amount(value: float, unit: str) -> str:
    """Return a number with its unit, to three digits."""
    if unit == "us" and abs(value) >= _THOUSAND:
        value, unit = value / _THOUSAND, "ms"
    if unit == "ms" and abs(value) >= _THOUSAND:
        value, unit = value / _THOUSAND, "s"
    digits = f"{value:,.0f}" if abs(value) >= _HUNDRED or value == int(value) else f"{value:.3g}"
    return f"{digits} {unit.replace('us', 'µs')}".rstrip()


def listed(rows: Sequence[Mapping[str, Any]], reference: str) -> str:
    """Return one line a row; with a reference, as multiples of its median in the same case."""
    times = " | times the bare ioctls" if reference else ""
    lines = [f"| case | what | median | quartiles{times} |", "|---" * (5 if reference else 4) + "|"]
    lines += [f"| {' | '.join(_cells(row, rows, reference))} |" for row in rows]
    return "\n".join(lines)


def _cells(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], reference: str) -> Iterator[str]:
    yield row["case"]
    yield _what(row)
    if row["missing"]:
        yield row["missing"]
        yield from ["", ""] if reference else [""]
        return
    yield amount(row["median"], row["unit"])
    yield _spread(row)
    if reference:
        yield _multiple(row, rows, reference)


def _what(row: Mapping[str, Any]) -> str:
    return str(row["contender"]) if row["quantity"].startswith("time") else f"{row['contender']}: {row['quantity']}"


def _spread(row: Mapping[str, Any]) -> str:
    if row["low"] == row["high"]:
        return ""
    return f"{amount(row['low'], row['unit'])} to {amount(row['high'], row['unit'])}"


def _multiple(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], reference: str) -> str:
    found = [one["median"] for one in rows if one["contender"] == reference and one["case"] == row["case"]]
    return f"{row['median'] / found[0]:.3g}" if found else ""


def matrix(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each contender and quantity, one column for each case: medians, and quartiles below."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    whats = list(dict.fromkeys(map(_what, rows)))
    cells = {(row["case"], _what(row)): _cell(row) for row in rows}
    lines = [f"| | {' | '.join(cases)} |", "|---" * (len(cases) + 1) + "|"]
    lines += [f"| {what} | {' | '.join(cells.get((case, what), '') for case in cases)} |" for what in whats]
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    if row["missing"]:
        return str(row["missing"])
    spread = _spread(row)
    return amount(row["median"], row["unit"]) + (f"<br>({spread})" if spread else "")


#: Of all processors, by others: more than the services of a machine that does nothing.
_BUSY_PERCENT = 10


def taken(facts: Mapping[str, Any]) -> str:
    """Return on what and when rows were measured."""
    busy = ""
    if facts["busy_percent"] > _BUSY_PERCENT:
        busy = " The machine was busy with other work, so that waiting for a processor is in all figures."
    quick = "; a quick run: only a few rounds" if facts["quick"] else ""
    return (
        f"Measured on {facts['date'][:10]}: Linux {facts['kernel']}, {facts['processor']}, {facts['cores']} cores, "
        f"{facts['memory_gib']} GiB, Python {facts['python']}, images on {facts['disk']}, "
        f"{facts['busy_percent']} % busy before it{quick}.{busy}"
    )
