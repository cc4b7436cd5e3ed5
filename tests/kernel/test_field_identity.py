"""Field cases of mistaken identity: numbers handed out again, names that nearly match, paths that changed."""

from __future__ import annotations

import errno
import random
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, Loops
from ntt_loops._kernel.linux import LinuxKernel
from tests.support import oracle, rawloop
from tests.support.features import require_rundown
from tests.support.forked import elsewhere
from tests.support.holding import reader
from tests.support.kernels import FencedKernel, PinnedKernel
from tests.support.media import by_losetup, is_bound, new_hash, new_id, new_image
from tests.support.rig import filled, private_number

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from ntt_loops._kernel import Handle, LoopConfig


def test_case_03_a_number_that_is_used_again_is_another_device(tmp_path: Path) -> None:
    """Worker B has the number of worker A's device again: A's exit is no error, and takes nothing from B."""
    first, second = new_image(tmp_path), new_image(tmp_path)
    with private_number() as number:
        worker = Loops(tmp_path / "run", PinnedKernel({number: rawloop.node(number)}))
        stale = worker.attach_kept(first)
        worker.release(stale)
        with worker.attached(second) as device:
            assert (device.number, device.nonce != stale.nonce) == (stale.number, True)
            worker.release(stale)
            worker.release_all(first)
            assert oracle.bound_devices(second) == [str(device)]
            assert device.path.read_bytes() == second.read_bytes()


def _is_removed(number: int) -> bool:
    """Remove a device; whether it is gone: somebody may look at it."""
    try:
        rawloop.remove(number)
    except OSError as error:
        return error.errno == errno.ENODEV
    return True


@contextmanager
def _added(number: int) -> Iterator[int]:
    """A device of our own with that number."""
    rawloop.add(number)
    try:
        yield number
    finally:
        oracle.wait_until(lambda: _is_removed(number), f"loop{number} is removed")


def test_case_04_names_are_compared_whole(loops: Loops, tmp_path: Path) -> None:
    """By path, x.img is neither x.img.bak nor " x.img", and a blank at its end counts; so it is for deleted ones."""
    name = f"{new_hash()}.img"
    image, *others = [filled(tmp_path / one.format(name)) for one in ("{}", "{}.bak", " {}", "{} ", "{}\n")]
    with ExitStack() as stack:
        attached = [stack.enter_context(rawloop.attach(other)) for other in others]
        for loop, other in zip(attached, others, strict=True):
            loop.close()
            other.unlink()
        device = by_losetup(image)
        image.unlink()
        assert [one.device for one in loops.release_all(image).released] == [device]
        assert all(loop.is_attached() for loop in attached)


def test_case_04_the_users_of_loop10_are_not_those_of_loop1(loops: Loops, tmp_path: Path) -> None:
    """A reader of the device with the tenfold number holds that one only."""
    number = random.randrange(1_000, 100_000)
    with (
        _added(number),
        _added(number * 10),
        rawloop.attach(new_image(tmp_path), number=number) as one,
        rawloop.attach(new_image(tmp_path), number=number * 10) as ten,
        reader(ten.node) as process,
    ):
        one.close()
        assert loops.holders(one.node) == []
        assert process.pid in [holder.pid for holder in loops.holders(ten.node)]


def test_case_05_already_gone_is_success_in_any_locale(loops: Loops, tmp_path: Path) -> None:
    """A device that somebody else detached is gone: releasing it again, in a German locale, is no error."""
    image = new_image(tmp_path)
    device = loops.attach_kept(image)
    oracle.losetup_detach(str(device))
    oracle.wait_until(lambda: not is_bound(device), "losetup detaches it")

    def release() -> list[str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LC_ALL", "de_DE.UTF-8")
            loops.release(device)
            return [one.device for one in loops.release_all(image.stem).already_gone]

    assert elsewhere(release) == []
    assert loops.release_all(image.stem).already_gone == ()


def test_case_05_somebodys_detach_under_way_is_not_gone(loops: Loops, tmp_path: Path) -> None:
    """While sysfs shows the device, ENXIO is no success: the release waits, and says that a detach is under way."""
    require_rundown()
    image = new_image(tmp_path)
    with rawloop.attach(image) as loop:
        rawloop.clear_as_only_opener(loop.held)
        with pytest.raises(DeviceBusyError, match="detach is under way"):
            loops.release_all(image, timeout=0.1)


def test_case_16_the_path_is_not_taken_from_the_name_field(loops: Loops, tmp_path: Path) -> None:
    """A path far longer than 64 bytes is told whole, alive and deleted; the name field has our tag."""
    folder = tmp_path / ("f" * 200)
    folder.mkdir()
    image = new_image(folder)
    device = loops.attach_kept(image)
    with rawloop.opened(device) as descriptor:
        assert rawloop.get_status(descriptor).file_name.endswith(image.stem.encode())
    image.unlink()
    assert device.image == image
    assert [one.image for one in loops.release_all(image).released] == [image]


class SwappingKernel(LinuxKernel):
    """Between the look at an image and its use, a symlink to it is made to lead elsewhere."""

    def __init__(self, link: Path, target: Path) -> None:
        super().__init__()
        self._link, self._target = link, target

    def configure(self, handle: Handle, image: io.FileIO, config: LoopConfig) -> None:
        """LOOP_CONFIGURE, after somebody changed the symlink."""
        self._link.unlink()
        self._link.symlink_to(self._target)
        super().configure(handle, image, config)


def test_case_17_a_symlink_that_is_swapped_does_not_matter(tmp_path: Path) -> None:
    """What was opened and looked at is what is attached, though the symlink leads elsewhere by then."""
    image, secret, link = new_image(tmp_path), new_image(tmp_path), tmp_path / f"{new_id()}.img"
    link.symlink_to(image)
    loops = Loops(tmp_path / "run", SwappingKernel(link, secret))
    with loops.attached(link) as device:
        assert link.resolve() == secret
        assert oracle.bound_devices(image) == [str(device)]
        assert oracle.bound_devices(secret) == []


def test_case_28_a_second_hidden_loop_is_found_by_inode(loops: Loops, tmp_path: Path) -> None:
    """A device that another tool made on the same image, by another name, is listed as not ours, and released."""
    image = new_image(tmp_path)
    (tmp_path / "other-name").hardlink_to(image)
    ours, hidden = loops.attach_kept(image), by_losetup(tmp_path / "other-name")
    (state,) = Loops(tmp_path / "run", FencedKernel(tmp_path)).list_media()
    assert {(one.device, one.made_by) for one in state.attachments} == {(str(ours), "kept"), (hidden, "foreign")}
    assert {(one.device, one.found_by) for one in loops.release_all(image.stem).released} == {
        (str(ours), "ledger"),
        (hidden, "inode"),
    }
