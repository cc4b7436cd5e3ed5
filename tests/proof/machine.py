"""The machine of the model, bare: a stage, the model of it, the images, and what holds after each step."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ntt_loops import DeviceBusyError
from tests.proof.model import Device, File, Host, Use
from tests.support.media import new_hash, new_id
from tests.support.oracle import wait_until
from tests.support.stage import Shown, Stage, backing_file

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ntt_loops import LoopDevice
    from tests.support.actors import Actor

T = TypeVar("T")
Step = TypeVar("Step", bound="Callable[..., None]")
#: Two processes share a ledger folder, the third has its own.
RUN_DIR_OF: Final = (0, 0, 1)
#: The timeout of a call that nobody is in the way of.
PATIENT: Final = 60.0
SECTOR_BYTES: Final = 512
PICK = st.integers(0, 63)
WHO = st.sampled_from(range(len(RUN_DIR_OF)))


def pick(place: int, values: Sequence[T]) -> T:
    """Return one of them."""
    return values[place % len(values)]


def nodes(devices: Iterable[Device]) -> set[str]:
    """Return their paths."""
    return {one.node for one in devices}


def ask(actor: Actor, method: str, *arguments: Any, **options: Any) -> tuple[Any, set[str]]:
    """Let a process do something; return its result, or the report of its error, and the nodes of what is busy."""
    try:
        return actor.ask(method, *arguments, **options), set()
    except DeviceBusyError as error:
        return error.report, {holder.device for holder in error.holders}


def when(holds: Callable[[Any], object]) -> Callable[[Step], Step]:
    """Do nothing where that does not hold.

    As a precondition it would have a say in what is drawn next; but hypothesis wants the same draws from the same
    choices, and on a real machine which numbers come again depends on others.
    """

    def decorated(step: Step) -> Step:
        @functools.wraps(step)
        def maybe(self: Base, *chosen: Any, **drawn: Any) -> None:
            if holds(self):
                step(self, *chosen, **drawn)
            else:
                self.steps["steps"] -= 1

        return cast("Step", maybe)

    return decorated


class Base(RuleBasedStateMachine):
    """The stage, the model, and whoever is on it."""

    def __init__(self, stage: Stage, steps: Counter[str]) -> None:
        """Begin with an image of each medium, and nothing attached."""
        super().__init__()
        self.stage, self.host, self.steps = stage, Host(), steps
        self.run_dirs = [stage.folder / "run-0", stage.folder / "run-1"]
        self.hash = new_hash()
        self.media = [new_id(), new_id(), self.hash]
        self.folders = [stage.folder / "inside", stage.folder / "outside"]
        self.paths = [folder / f"{medium}.img" for folder in self.folders for medium in self.media]
        self.actors: dict[int, Actor] = {}
        self.handles: list[LoopDevice] = []
        self.uses: list[tuple[Device, Use]] = []
        for folder in self.folders:
            folder.mkdir()
        for path in self.paths[:4]:
            self._make(path)

    def _make(self, path: Path) -> None:
        self.stage.new_image(path, (520 + 8 * len(self.host.files)) * SECTOR_BYTES)
        self.stage.world.file(path)  # open, so that its inode is not used again: by chance the model would differ
        found = path.stat()
        self.host.files.append(File(path, (found.st_dev, found.st_ino), found.st_size))

    def actor(self, number: int) -> Actor:
        """Return a process, a new one where it was killed."""
        if number not in self.actors:
            self.actors[number] = self.stage.actor(self.run_dir(number))
        return self.actors[number]

    def run_dir(self, number: int) -> Path:
        """Return the ledger folder of a process."""
        return self.run_dirs[RUN_DIR_OF[number]]

    def living(self) -> list[File]:
        """Return the images that are there."""
        return [file for file in self.host.files if file.is_living]

    def loops(self) -> list[Device]:
        """Return the devices of images."""
        return [one for one in self.host.devices if one.kind != "on top"]

    def blocks(self) -> list[Device]:
        """Return the devices of living ``with`` blocks."""
        return [one for one in self.host.devices if one.owner is not None]

    def current_uses(self) -> list[tuple[Device, Use]]:
        """Return who uses what."""
        return [(device, use) for device in self.host.devices for use in device.uses]

    def diskseq(self, number: int) -> int:
        """Return what tells an attachment from others."""
        return self.stage.shown()[number].diskseq

    # -- images

    @rule(place=PICK)
    @when(lambda self: len(self.living()) < len(self.paths))
    def make_image(self, place: int) -> None:
        """A new file where none is, perhaps where one was."""
        self._make(pick(place, [path for path in self.paths if self.host.at(path) is None]))

    @rule(place=PICK)
    @when(lambda self: self.living())
    def delete(self, place: int) -> None:
        """Unlink an image, attached or not."""
        file = pick(place, self.living())
        file.path.unlink()
        file.is_living = False

    @rule(place=PICK, to=PICK)
    @when(lambda self: self.living())
    def rename(self, place: int, to: int) -> None:
        """Move an image, perhaps over another one."""
        file, path = pick(place, self.living()), pick(to, self.paths)
        if file.path == path:
            return
        over = self.host.at(path)
        file.path.rename(path)
        if over is not None:
            over.is_living = False
        file.path = path

    # -- what always holds

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        """Look at the devices, then, once all have settled, at what is known of them."""
        self.nothing_else_has_changed()
        self.everything_of_ours_is_known()

    def nothing_else_has_changed(self) -> None:
        """What is bound, to what, armed or not, and mounted: that, and no more."""
        expected = {one.number: Shown(one.diskseq, self._backing_file(one), one.is_armed) for one in self.host.devices}
        self.steps["steps"] += 1
        seen: dict[int, Shown] = {}

        def agrees() -> bool:
            seen.clear()
            seen.update(self.stage.shown())
            return seen == expected

        if not agrees():  # others who look at a device delay its going
            try:
                wait_until(agrees, "the devices of the model")
            except AssertionError:
                assert seen == expected
        mounts = {use.token.point for _, use in self.current_uses() if use.kind == "mount"}  # type: ignore[attr-defined]
        assert self.stage.mount_points() == mounts

    def _backing_file(self, device: Device) -> bytes:
        if device.kind == "on top":
            lower = next(one for one in self.host.devices if any(use.token is device for use in one.uses))
            return lower.node.encode()
        return backing_file(device.file.path, is_living=device.file.is_living)

    def everything_of_ours_is_known(self) -> None:
        """The listing of a ledger folder has all of its devices, and of each medium those that a release would."""
        run_dir = self.run_dirs[self.steps["steps"] % 2]
        states = self.stage.loops(run_dir).list_media()
        listed = {state.medium: {one.device for one in state.attachments} for state in states}
        for medium, devices in listed.items():
            of_id = self.host.of_id((run_dir, medium), is_hash=medium == self.hash)
            assert devices == nodes(of_id)
        ours = [one for one in self.host.devices if one.place is not None and one.place[0] == run_dir]
        missing = [one for one in ours if one.place is None or one.node not in listed.get(one.place[1], set())]
        assert missing == []
