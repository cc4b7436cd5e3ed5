"""A simple model of a host: which devices there are, who uses them, what is on record, and what each call is to do.

A device goes when it is detached while unused, or armed when its last user goes. That, and whose a device is, is all
that the model knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ntt_loops import LoopDevice

#: A ledger folder and a medium.
Place: TypeAlias = tuple["Path", str]
UseKind: TypeAlias = Literal["mount", "mount elsewhere", "reader", "loop on top"]


@dataclass(eq=False)
class File:
    """An image, which may have been moved or deleted since it was made."""

    path: Path
    inode: tuple[int, int]
    size_bytes: int
    is_living: bool = True


@dataclass(eq=False)
class Use:
    """What keeps a device busy."""

    kind: UseKind
    #: What the stage gave, to end it by.
    token: object


@dataclass(eq=False)
class Device:
    """One attachment."""

    number: int
    diskseq: int
    file: File
    kind: Literal["kept", "scoped", "losetup", "on top"]
    end_bytes: int
    #: Of ours: the ledger folder and the medium.
    place: Place | None = None
    #: The process in whose ``with`` block it is.
    owner: int | None = None
    is_armed: bool = False
    uses: list[Use] = field(default_factory=list)
    handle: LoopDevice | None = None

    @property
    def is_used(self) -> bool:
        """Whether anybody has it open."""
        return self.owner is not None or bool(self.uses)

    @property
    def is_mounted(self) -> bool:
        """Whether a claim is refused."""
        return any(use.kind in ("mount", "mount elsewhere") for use in self.uses)

    @property
    def node(self) -> str:
        """Its path."""
        return f"/dev/loop{self.number}"


class Line(NamedTuple):
    """A record of the ledger: what it says of the image, and whether it knows the owner."""

    path: Path
    inode: tuple[int, int]
    knows_owner: bool


class Done(NamedTuple):
    """What a call is to do."""

    released: set[Device]
    stays: set[Device]
    freed_bytes: int


class Host:
    """The model."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.files: list[File] = []
        self.devices: list[Device] = []
        self.lines: dict[Place, dict[Device, Line]] = {}
        self.corrupt: set[Place] = set()

    # -- images and devices

    def at(self, path: Path) -> File | None:
        """Return the image that is at a path now."""
        return next((file for file in self.files if file.is_living and file.path == path), None)

    def end_use(self, device: Device, use: Use) -> None:
        """One user less."""
        device.uses.remove(use)
        self.settle()

    def settle(self) -> None:
        """Let go what is armed and has no user."""
        while gone := next((one for one in self.devices if one.is_armed and not one.is_used), None):
            self.remove(gone)

    def remove(self, device: Device) -> None:
        """Take a device away, and with it a use of the one below it."""
        self.devices.remove(device)
        for lower in self.devices:
            for use in [one for one in lower.uses if one.token is device]:
                self.end_use(lower, use)

    def losetup_detach(self, device: Device) -> None:
        """What LOOP_CLR_FD does: a device that is used is armed."""
        device.is_armed = True
        self.settle()

    def end_process(self, owner: int) -> None:
        """Its blocks end with it, but not what else uses their devices; its records stay."""
        for device in self.devices:
            if device.owner == owner:
                device.owner = None
        self.settle()

    # -- the ledger

    def book(self, place: Place) -> dict[Device, Line]:
        """Open one; a corrupt one is made anew from the tags, which do not tell the owner."""
        if place in self.corrupt:
            self.corrupt.remove(place)
            ours = [one for one in self.devices if one.place == place]
            self.lines[place] = {one: Line(one.file.path, one.file.inode, knows_owner=False) for one in ours}
        return self.lines.setdefault(place, {})

    def peek(self, place: Place) -> dict[Device, Line]:
        """Read it as it is."""
        return {} if place in self.corrupt else self.lines.get(place, {})

    def attach(self, device: Device) -> None:
        """One of ours comes."""
        assert device.place is not None
        self.book(device.place)[device] = Line(device.file.path, device.file.inode, knows_owner=True)
        self.devices.append(device)

    def leave(self, device: Device) -> None:
        """The ``with`` block ends; what is still used is disowned."""
        assert device.place is not None
        device.owner = None
        self.settle()
        book = self.book(device.place)
        if device in self.devices and device in book:
            book[device] = book[device]._replace(knows_owner=False)
        elif device in book:
            del book[device]

    def is_owned(self, device: Device, run_dir: Path) -> bool:
        """Whether that ledger knows the living process in whose ``with`` block a device is."""
        if device.owner is None or device.place is None or device.place[0] != run_dir:
            return False
        line = self.peek(device.place).get(device)
        return line is not None and line.knows_owner

    # -- whose a device is

    def of_id(self, place: Place, *, is_hash: bool) -> set[Device]:
        """Return the devices of a medium, as seen from one ledger."""
        lines = self.peek(place)
        loops = [one for one in self.devices if one.kind != "on top"]
        known = {one for one in loops if one in lines or (one.place is not None and one.place[1] == place[1])}
        inodes = {one.file.inode for one in known}
        inodes |= {line.inode for line in lines.values() if (file := self.at(line.path)) and file.inode == line.inode}
        paths = {one.file.path for one in known} | {line.path for line in lines.values()}
        same = {one for one in loops if one.file.inode in inodes}
        same |= {one for one in loops if one.file.path in paths and not one.file.is_living}
        named = {one for one in loops if is_hash and one.file.path.stem == place[1]}
        return known | same | named

    def of_path(self, path: Path) -> set[Device]:
        """Return the devices of a file, and of deleted ones that were there."""
        loops = [one for one in self.devices if one.kind != "on top"]
        return {one for one in loops if one.file is self.at(path) or (one.file.path == path and not one.file.is_living)}

    # -- what the calls do

    def release(self, devices: Iterable[Device], run_dir: Path, *, unmount: bool = False) -> Done:
        """Release each that nobody uses, or would use but for a mount of ours."""
        devices = set(devices)
        for device in devices:
            if not self.is_owned(device, run_dir):
                self._try(device, unmount=unmount)
        return self._done(devices, run_dir)

    def _try(self, device: Device, *, unmount: bool) -> None:
        if unmount:
            device.uses = [use for use in device.uses if use.kind != "mount"]
        if not device.is_used:
            self.remove(device)
        elif device.kind == "kept" and not device.is_mounted:
            device.is_armed = False

    def _done(self, devices: set[Device], run_dir: Path) -> Done:
        stays = devices.intersection(self.devices)
        released = devices - stays
        for (folder, _), lines in self.lines.items():
            for device in released.intersection(lines if folder == run_dir else ()):
                del lines[device]
        return Done(released, stays, self.freed_bytes(released))

    def freed_bytes(self, released: set[Device]) -> int:
        """Return what of deleted images was behind devices of which none is left."""
        held = {one.file for one in self.devices}
        gone = {one.file for one in released if not one.file.is_living} - held
        return sum(max(one.end_bytes for one in released if one.file is file) for file in gone)

    def forget_gone(self, place: Place, *, number: int | None = None) -> None:
        """Take records off whose device is gone, all or those of one number."""
        book = self.book(place)
        for device in [one for one in book if one not in self.devices and number in (None, one.number)]:
            del book[device]

    def tidy(self, run_dir: Path) -> None:
        """What a sweep does to the ledgers: forget what is gone, put on record what none has."""
        for place in [one for one in {*self.lines, *self.corrupt} if one[0] == run_dir]:
            self.forget_gone(place)
        for device in self.devices:
            if device.kind == "kept" and device.file.is_living and device.place and device.place[0] == run_dir:
                line = Line(device.file.path, device.file.inode, knows_owner=False)
                self.book(device.place).setdefault(device, line)

    def orphans(self, run_dir: Path, *, under: Path | None, system: bool, kept: bool) -> set[Device]:
        """Return what a sweep is to try."""
        found = set()
        for device in (one for one in self.devices if one.kind != "on top"):
            is_ours = device.place is not None and device.place[0] == run_dir
            is_in_scope = is_ours or system or (under is not None and device.file.path.is_relative_to(under))
            is_orphan = not device.file.is_living or (kept and is_ours and device.kind == "kept")
            if is_in_scope and is_orphan and not self.is_owned(device, run_dir):
                found.add(device)
        return found
