"""A record: one attachment, as the ledger keeps it."""

from __future__ import annotations

import os
from typing import Any, Final, Literal, cast

import attrs

from ntt_loops._kernel.values import Process

Lifetime = Literal["kept", "scoped"]
LIFETIMES: Final = ("kept", "scoped")
_U64 = 2**64

Key = tuple[int, int | None, str]


def _since_1970(time: float) -> float:
    return max(0.0, time)


@attrs.frozen
class Record:
    """One attachment: which device, which image, how long it is to live, and who made it when."""

    number: int
    diskseq: int | None
    nonce: str
    #: The path at the attach.
    image: bytes
    dev: int
    inode: int
    offset_bytes: int
    size_limit_bytes: int
    lifetime: Lifetime
    #: Who made it, and holds it if it is scoped; None once it let go, or where the record was rebuilt from a tag.
    owner: Process | None
    #: Wall clock, to be read by people; a clock before 1970 counts as 1970, as no line with less is read.
    time: float = attrs.field(converter=_since_1970)
    #: Seconds since boot, for ages: the wall clock may be set back.
    uptime: float
    #: The size of the image at the attach, None where it is not known: a device shows whole sectors of it only.
    image_bytes: int | None = None

    @property
    def key(self) -> Key:
        """What tells this attachment from every other of this boot."""
        return (self.number, self.diskseq, self.nonce)

    def to_line(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        owner = self.owner
        return {
            "number": self.number,
            "diskseq": self.diskseq,
            "nonce": self.nonce,
            "image": os.fsdecode(self.image),
            "dev": self.dev,
            "inode": self.inode,
            "offset_bytes": self.offset_bytes,
            "size_limit_bytes": self.size_limit_bytes,
            "lifetime": self.lifetime,
            "owner": owner
            and {"pid": owner.pid, "start_ticks": owner.start_ticks, "pid_namespace": owner.pid_namespace},
            "time": self.time,
            "uptime": self.uptime,
            "image_bytes": self.image_bytes,
        }


def key_of(line: dict[str, Any]) -> Key:
    """Read the key out of a line; ValueError where it holds none."""
    diskseq = None if line.get("diskseq") is None else _whole(line, "diskseq")
    return _whole(line, "number"), diskseq, _text(line, "nonce")


def record_of(line: dict[str, Any]) -> Record:
    """Read a line back; ValueError where it is not one that ``to_line`` made."""
    number, diskseq, nonce = key_of(line)
    lifetime = line.get("lifetime")
    if lifetime not in LIFETIMES:
        message = f"lifetime {lifetime!r}"
        raise ValueError(message)
    return Record(
        number=number,
        diskseq=diskseq,
        nonce=nonce,
        image=os.fsencode(_text(line, "image")),
        dev=_whole(line, "dev"),
        inode=_whole(line, "inode"),
        offset_bytes=_whole(line, "offset_bytes"),
        size_limit_bytes=_whole(line, "size_limit_bytes"),
        lifetime=cast("Lifetime", lifetime),
        owner=_owner(line.get("owner")),
        time=_seconds(line, "time"),
        uptime=_seconds(line, "uptime"),
        image_bytes=None if line.get("image_bytes") is None else _whole(line, "image_bytes"),
    )


def _owner(value: object) -> Process | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        message = f"owner {value!r}"
        raise ValueError(message)  # noqa: TRY004 - what a file holds is data, not a caller's argument
    return Process(*(_whole(value, name) for name in ("pid", "start_ticks", "pid_namespace")))


def _whole(line: dict[str, Any], name: str) -> int:
    value = line.get(name)
    if type(value) is not int or not 0 <= value < _U64:
        message = f"{name} {value!r}"
        raise ValueError(message)
    return value


def _seconds(line: dict[str, Any], name: str) -> float:
    value = line.get(name)
    if type(value) not in (int, float) or not 0 <= cast("float", value) < _U64:
        message = f"{name} {value!r}"
        raise ValueError(message)
    return float(cast("float", value))


def _text(line: dict[str, Any], name: str) -> str:
    value = line.get(name)
    if not isinstance(value, str) or "\0" in value:
        message = f"{name} {value!r}"
        raise ValueError(message)
    return value
