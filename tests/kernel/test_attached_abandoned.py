"""Attachments whose exit was cut short, or never came: a release by the medium clears up."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING, NoReturn

import pytest

from ntt_loops import DeviceBusyError, LoopAttachment, Loops
from ntt_loops._backoff import SystemClock
from tests.support import oracle
from tests.support.images import make_image
from tests.support.media import new_hash
from tests.support.rig import mounted

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that can be mounted."""
    return make_image(tmp_path / f"{new_hash()}.img")


def _press_ctrl_c(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _leave_impatiently(attachment: LoopAttachment) -> None:
    """Leave a block whose device is still mounted; Ctrl-C comes while the exit waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemClock, "sleep", _press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            attachment.__exit__(None, None, None)


def test_an_impatient_exit_lets_the_device_go(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Ctrl-C while an exit waits for the umount has let the device go: the umount detaches it."""
    attachment = loops.attached(image)
    with mounted(attachment.__enter__().path, tmp_path / "mnt", "-o", "ro,noload"):
        _leave_impatiently(attachment)
        assert len(oracle.bound_devices(image)) == 1
    oracle.wait_until(lambda: not oracle.bound_devices(image), "the kernel detaches it")


def test_after_an_impatient_exit_the_mount_is_the_holder(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Ctrl-C while an exit waits for the umount: a later release names the mount, not a block that has ended."""
    attachment = loops.attached(image)
    with mounted(attachment.__enter__().path, tmp_path / "mnt", "-o", "ro,noload"):
        _leave_impatiently(attachment)
        with pytest.raises(DeviceBusyError) as caught:
            loops.release_all(image.stem, timeout=0.1)
        assert [one.kind for one in caught.value.holders] == ["mount"]
    oracle.wait_until(lambda: not oracle.bound_devices(image), "the kernel detaches it")


def test_after_an_impatient_exit_the_mount_can_be_unmounted(loops: Loops, image: Path, tmp_path: Path) -> None:
    """Ctrl-C while an exit waits for the umount: release_all(unmount=True) of the same process clears up."""
    attachment = loops.attached(image)
    with mounted(attachment.__enter__().path, tmp_path / "mnt", "-o", "ro,noload") as folder:
        _leave_impatiently(attachment)
        loops.release_all(image.stem, unmount=True, timeout=oracle.PATIENCE_SECONDS)
        assert not folder.is_mount()
        assert not oracle.bound_devices(image)


def test_an_attachment_that_was_dropped_can_be_released(loops: Loops, image: Path, tmp_path: Path) -> None:
    """An attachment that was collected without an exit, mounted: release_all(unmount=True) clears up."""
    attachment = loops.attached(image)
    with mounted(attachment.__enter__().path, tmp_path / "mnt", "-o", "ro,noload") as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del attachment
            gc.collect()
        loops.release_all(image.stem, unmount=True, timeout=oracle.PATIENCE_SECONDS)
        assert not folder.is_mount()
        assert not oracle.bound_devices(image)


def test_an_attachment_that_was_dropped_is_warned_of(loops: Loops, image: Path) -> None:
    """An attachment that is collected without an exit is a ResourceWarning, and its device goes."""
    with pytest.warns(ResourceWarning, match="never left"):
        loops.attached(image).__enter__()
    oracle.wait_until(lambda: not oracle.bound_devices(image), "the kernel detaches it")
