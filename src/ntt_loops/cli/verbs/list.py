"""``ntt-loops list``."""

from __future__ import annotations

import shutil
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

import ntt_loops
from ntt_loops.cli import watching
from ntt_loops.cli.exits import Exit
from ntt_loops.cli.output import Cell, echo, echo_json, echo_table, is_terminal, table
from ntt_loops.cli.parameters import json_option, timeout_option, watch_option
from ntt_loops.cli.text import age, size
from ntt_loops.cli.verb import Verb
from ntt_loops.cli.who import state, who

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntt_loops import DeviceState

#: What the other columns take at most.
_WIDTH_BEFORE = 49
_HEADER = ("DEVICE", "STATE", "SIZE", "AGE", "HELD BY")


@click.command("list", cls=Verb)
@watch_option
@timeout_option(10.0)
@json_option
def command(watch: float | None, timeout: float, *, as_json: bool) -> Exit:
    """List the host's loop devices: by medium, and those of others.

    STATE is scoped (goes with its 'with' block or run), mounted (goes with its last mount), kept (stays until it is
    released) or foreign (somebody else made it); deleted, if its image is; stuck, if its storage does not answer.
    """
    if watch is not None:
        _check_watchable(as_json=as_json)
        watching.watch(lambda: _lines(_devices(timeout)), watch)
    devices = _devices(timeout)
    if as_json:
        echo_json(_plain(devices))
    elif is_terminal():
        _show(devices)
    elif devices:
        header = ("MEDIUM", *_HEADER, "IMAGE")
        echo_table(header, [[one.medium or "-", *_cells(one), _held(one), str(one.image)] for one in devices])
    return Exit.DONE


def _check_watchable(*, as_json: bool) -> None:
    if as_json or not is_terminal():
        message = "--watch is for a terminal: for a program, call 'ntt-loops list --json' now and then"
        raise click.UsageError(message)


def _devices(timeout: float) -> list[DeviceState]:
    return sorted(ntt_loops.list_devices(timeout=timeout), key=_place)


def _place(device: DeviceState) -> tuple[bool, str, str, int]:
    number = int(device.device.rpartition("loop")[2])
    return device.medium is None, device.medium or "", str(device.image), number


def _plain(devices: Iterable[DeviceState]) -> dict[str, Any]:
    media: dict[str, list[dict[str, Any]]] = {}
    others = []
    for one in devices:
        known = {"state": state(one), **one.to_dict()}
        if one.medium is None:
            others.append(known)
        else:
            media.setdefault(one.medium, []).append(known)
    return {"media": [{"medium": name, "devices": found} for name, found in media.items()], "others": others}


def _show(devices: list[DeviceState]) -> None:
    for line in _lines(devices):
        echo(*line)


def _lines(devices: list[DeviceState]) -> list[list[Cell]]:
    """Return a heading for each medium and its images, and below it their devices."""
    if not devices:
        return [[Cell("Nothing is attached on this host.")]]
    rows: list[list[Cell | str]] = []
    for medium, of_medium in groupby(devices, key=lambda one: one.medium):
        rows.append([Cell(medium, "bold cyan") if medium is not None else Cell("Of no medium", "bold")])
        for image, of_image in groupby(of_medium, key=lambda one: one.image):
            rows.append([Cell(f"  {image}", "dim")])
            for one in of_image:
                rows += _rows(one)
    return table(("  DEVICE", *_HEADER[1:]), rows)


def _rows(device: DeviceState) -> list[list[Cell | str]]:
    """Return its row; holders that have no room in it follow on lines of their own."""
    _, *cells = _cells(device)
    row: list[Cell | str] = [f"  {device.device}", *cells]
    held = _held(device)
    if len(held) <= shutil.get_terminal_size().columns - _WIDTH_BEFORE:
        return [[*row, held]]
    below: list[list[Cell | str]] = [[f"      {who(one)}"] for one in device.holders]
    return [[*row, ""], *below]


def _cells(device: DeviceState) -> list[Cell | str]:
    old = "-" if device.age_seconds is None else age(device.age_seconds)
    return [device.device, _state(device), size(device.size_bytes), old]


def _held(device: DeviceState) -> str:
    return ", ".join(map(who, device.holders)) or "nobody"


def _state(device: DeviceState) -> Cell:
    words: list[str] = [state(device)]
    words += ["deleted"] if device.is_deleted else []
    words += ["stuck"] if device.is_stuck else []
    return Cell(",".join(words), "red" if device.is_stuck else "yellow" if device.is_deleted else "")
