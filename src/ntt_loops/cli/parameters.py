"""What arguments and options look like, and how a shell completes them."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

import ntt_loops

if TYPE_CHECKING:
    from collections.abc import Callable

Decorated = TypeVar("Decorated", bound="Callable[..., Any]")

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|m|min|h|d)?", re.ASCII)
_FACTORS = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str | float) -> float:
    """Return a time in seconds: a number, or one with a unit, ``90s``, ``5m``, ``12h``, ``7d``."""
    if isinstance(text, float):  # a default
        return text
    match = _DURATION.fullmatch(text)
    if match is None:
        message = f"{text!r} is no time: write 90, 90s, 5m, 12h or 7d"
        raise click.BadParameter(message)
    return float(match[1]) * _FACTORS[match[2]]


def json_option(command: Decorated) -> Decorated:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/cli.md has its schema.")(command)


def timeout_option(default: float) -> Callable[[Decorated], Decorated]:
    """Add ``--timeout``."""
    text = f"How long to wait for others: seconds, or 5m, 1h. By default {default:g} s."
    return click.option("--timeout", type=seconds, default=default, metavar="TIME", help=text)


def output_option(command: Decorated) -> Decorated:
    """Add ``--output``."""
    text = "Write FILE, in one step and for everybody to read; node_exporter wants it to end in .prom."
    return click.option(
        "--output", metavar="FILE", callback=_named, help=text, shell_complete=_completing("file")
    )(command)  # fmt: skip


def watch_option(command: Decorated) -> Decorated:
    """Add ``--watch``."""
    text = "On a terminal, show it anew after TIME, until Ctrl-C. By default 2 s."
    return click.option("--watch", type=seconds, is_flag=False, flag_value="2", metavar="[TIME]", help=text)(command)


def image_argument(command: Decorated) -> Decorated:
    """Add IMAGE."""
    return click.argument("image", callback=_named, shell_complete=_completing("file"))(command)


def attach_options(command: Decorated) -> Decorated:
    """Add the options that say how an image is attached."""
    begin = "Where in the image the device begins."
    command = click.option("--writable", is_flag=True, help="Let writes through; by default it refuses them.")(command)
    command = click.option("--offset", type=click.IntRange(min=0), default=0, metavar="BYTES", help=begin)(command)
    return medium_option(command)


def medium_option(command: Decorated) -> Decorated:
    """Add ``--medium``."""
    text = "The medium's id; by default the image's name without its suffix."
    return click.option("--medium", metavar="ID", callback=_named, help=text)(command)


def root_option(command: Decorated) -> Decorated:
    """Add ``--root``."""
    text = "Where the folders of mounted media are."
    return click.option(
        "--root", default="/mnt/ntt", show_default=True, metavar="DIR", callback=_named, help=text,
        shell_complete=_completing("dir"),
    )(command)  # fmt: skip


def under_option(command: Decorated) -> Decorated:
    """Add ``--under``, as often as one likes."""
    text = "Also devices whose deleted image lay below DIR."
    return click.option(
        "--under", multiple=True, metavar="DIR", callback=_named, help=text, shell_complete=_completing("dir")
    )(command)


def targets_argument(command: Decorated) -> Decorated:
    """Add MEDIUM, IMAGE or DEVICE, several of them."""
    completes = _completing("file", "medium", "device")
    argument = click.argument(
        "targets", nargs=-1, required=True, metavar="MEDIUM|IMAGE|DEVICE...", callback=_named, shell_complete=completes
    )
    return argument(command)


def medium_argument(command: Decorated) -> Decorated:
    """Add MEDIUM."""
    completes = _completing("file", "medium")
    return click.argument("medium", metavar="MEDIUM", callback=_named, shell_complete=completes)(command)


def device_argument(command: Decorated) -> Decorated:
    """Add DEVICE."""
    return click.argument("device", callback=_named, shell_complete=_completing("device"))(command)


def file_argument(command: Decorated) -> Decorated:
    """Add FILE."""
    return click.argument("file", callback=_named, shell_complete=_completing("file"))(command)


def _named(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:  # noqa: ANN401 - a str, a tuple of them, or None
    """Return it; a variable that was empty in a script must not pass for the current folder."""
    if "" in ([value] if isinstance(value, str) else value or ()):
        message = "it may not be empty"
        raise click.BadParameter(message)
    return value


def _completing(*kinds: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return a function that completes files, folders, media with something attached, or devices."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        # Files come first: bash drops what was completed before them.
        found = [CompletionItem(incomplete, type=kind) for kind in ("file", "dir") if kind in kinds]
        names = _attached(kinds) if {"medium", "device"} & {*kinds} else []
        return found + [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return complete


def _attached(kinds: tuple[str, ...]) -> list[str]:
    with contextlib.suppress(OSError, ValueError):  # who may not look completes nothing
        devices = ntt_loops.list_devices(timeout=1)
        media = sorted({one.medium for one in devices if one.medium is not None})
        return [*(media if "medium" in kinds else ()), *(one.device for one in devices if "device" in kinds)]
    return []
