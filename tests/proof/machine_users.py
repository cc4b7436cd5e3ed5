"""What happens to devices: our own processes attach and end, strangers do what they like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
from hypothesis.stateful import initialize, rule

from tests.proof.machine import PATIENT, PICK, SECTOR_BYTES, WHO, Base, ask, pick, when
from tests.proof.model import Device, File, Use

if TYPE_CHECKING:
    from ntt_loops import LoopDevice


class Strangers(Base):
    """They attach, detach, read, mount and stack."""

    @rule(place=PICK)
    @when(lambda self: self.living())
    def losetup(self, place: int) -> None:
        """A stranger attaches one of our images."""
        file = pick(place, self.living())
        number = self.stage.world.attach_foreign(file.path)
        self.host.devices.append(Device(number, self.diskseq(number), file, "losetup", file.size_bytes))

    @rule(place=PICK)
    @when(lambda self: self.host.devices)
    def losetup_detach(self, place: int) -> None:
        """A stranger detaches any device, as ``losetup -d`` does."""
        device = pick(place, self.host.devices)
        self.stage.losetup_detach(device.number)
        self.host.losetup_detach(device)

    @rule(place=PICK)
    @when(lambda self: self.loops())
    def hold_open(self, place: int) -> None:
        """A stranger opens a device."""
        device = pick(place, self.loops())
        device.uses.append(Use("reader", self.stage.world.open_elsewhere(device.number)))

    @rule(place=PICK, ours=st.booleans())
    @when(lambda self: any(one.end_bytes == one.file.size_bytes for one in self.loops()))
    def mount(self, place: int, *, ours: bool) -> None:
        """Somebody mounts a device, here or in a mount namespace of its own."""
        device = pick(place, [one for one in self.loops() if one.end_bytes == one.file.size_bytes])
        mounted = self.stage.world.mount(device.number, ours=ours)
        device.uses.append(Use("mount" if ours else "mount elsewhere", mounted))

    @rule(place=PICK)
    @when(lambda self: self.loops())
    def stack(self, place: int) -> None:
        """A stranger attaches a device to another one."""
        device = pick(place, self.loops())
        number = self.stage.world.stack_loop(device.number)
        upper = Device(number, self.diskseq(number), device.file, "on top", device.end_bytes)
        self.host.devices.append(upper)
        device.uses.append(Use("loop on top", upper))

    @rule(place=PICK)
    @when(lambda self: self.current_uses())
    def let_go(self, place: int) -> None:
        """One user of a device ends."""
        device, use = pick(place, self.current_uses())
        token: Any = use.token
        if use.kind == "reader":
            token.close()
        elif isinstance(token, Device):
            self.stage.losetup_detach(token.number)
            self.host.losetup_detach(token)
            return
        else:
            self.stage.unmount(token, ours=use.kind == "mount")
        self.host.end_use(device, use)


class Ours(Strangers):
    """Processes with ``with`` blocks and kept devices."""

    @initialize(whos=st.lists(WHO, min_size=2, max_size=6), place=PICK)
    def begin(self, whos: list[int], place: int) -> None:
        """With some devices there."""
        for count, who in enumerate(whos):
            self.attach_kept(who, place + count, half=False)
            self.losetup(place + 2 * count)

    @rule(who=WHO, place=PICK)
    @when(lambda self: self.living())
    def enter(self, who: int, place: int) -> None:
        """Enter a ``with`` block."""
        file = pick(place, self.living())
        handle = self.actor(who).ask("enter", len(self.handles), file.path)
        self._attached(who, file, handle, "scoped", file.size_bytes)

    @rule(who=WHO, place=PICK, half=st.booleans())
    @when(lambda self: self.living())
    def attach_kept(self, who: int, place: int, *, half: bool) -> None:
        """Attach an image, or its first half."""
        file = pick(place, self.living())
        limit = file.size_bytes // 2 // SECTOR_BYTES * SECTOR_BYTES if half else 0
        handle = self.actor(who).ask("call", "attach_kept", file.path, size_limit_bytes=limit, timeout=PATIENT)
        self._attached(who, file, handle, "kept", limit or file.size_bytes)

    def _attached(self, who: int, file: File, handle: LoopDevice, kind: Any, size_bytes: int) -> None:  # noqa: ANN401 - a Literal
        assert (handle.size_bytes, handle.medium, handle.image) == (size_bytes, file.path.stem, file.path)
        assert handle.number not in {one.number for one in self.host.devices}
        assert handle.diskseq is not None
        place = self.run_dir(who), handle.medium
        device = Device(handle.number, handle.diskseq, file, kind, size_bytes, place, handle=handle)
        if kind == "scoped":
            device.owner, device.is_armed = who, True
        self.handles.append(handle)
        self.host.attach(device)

    @rule(place=PICK)
    @when(lambda self: self.blocks())
    def leave(self, place: int) -> None:
        """Leave a ``with`` block; somebody else may still use the device."""
        device = pick(place, self.blocks())
        assert device.owner is not None
        assert device.handle is not None
        actor, busy = self.actors[device.owner], bool(device.uses)
        key = self.handles.index(device.handle)
        _, stay = ask(actor, "leave", key, self.stage.impatience if busy else PATIENT)
        assert stay == ({device.node} if busy else set())
        self.host.leave(device)

    @rule(place=PICK)
    @when(lambda self: self.actors)
    def kill(self, place: int) -> None:
        """SIGKILL."""
        who = pick(place, sorted(self.actors))
        self.actors.pop(who).kill()
        self.host.end_process(who)
