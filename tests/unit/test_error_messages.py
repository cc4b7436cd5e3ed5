"""What a person reads when a call fails: what it is about, which medium and device, and what to do next."""

from __future__ import annotations

import errno
import pickle
from typing import TYPE_CHECKING

import pytest

from ntt_loops import (
    AttachError,
    DeviceBusyError,
    ImageError,
    ImageNotFoundError,
    ImagePermissionError,
    ImageWriteError,
    LedgerError,
    LoopPermissionError,
    Loops,
    LoopUnavailableError,
    MediumError,
    NttLoopsError,
)
from ntt_loops._backoff import Deadline
from ntt_loops._kernel import NoNodeError, Surroundings
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

MEDIUM = "536a"


@pytest.fixture
def kernel() -> MemoryKernel:
    """A kernel without root."""
    return MemoryKernel()


@pytest.fixture
def loops(tmp_path: Path, kernel: MemoryKernel) -> Loops:
    """The library on that kernel."""
    return Loops(tmp_path / "run", kernel)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of the medium."""
    path = tmp_path / f"{MEDIUM}.img"
    path.write_bytes(bytes(4096))
    return path


def attach(loops: Loops, image: Path, *, timeout: float = 0.0) -> NttLoopsError:
    """Return the error of an attach, as another process would get it."""
    with pytest.raises(NttLoopsError) as caught:
        loops.attach_kept(image, timeout=timeout)
    error: NttLoopsError = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert str(error) == str(caught.value)
    return error


def says(error: NttLoopsError, *parts: object) -> None:
    """Expect all of this in the message, on one line."""
    missing = [str(part) for part in parts if str(part) not in str(error)]
    assert missing == []
    assert "\n" not in str(error)


def test_a_missing_image_is_named(loops: Loops, image: Path) -> None:
    """No image: the path, as it was given."""
    image.unlink()
    error = attach(loops, image)
    assert isinstance(error, ImageNotFoundError)
    assert (error.image, error.filename) == (image, str(image))
    says(error, "no image", image)


def test_a_forbidden_image_is_named(loops: Loops, image: Path, mocker: MockerFixture) -> None:
    """No permission: the path, and what for."""
    refusal = PermissionError(errno.EACCES, "Permission denied", str(image))
    mocker.patch("ntt_loops._attachment.image.open_descriptor", side_effect=refusal)
    error = attach(loops, image)
    assert isinstance(error, ImagePermissionError)
    says(error, image, "for reading", "Permission denied")


def test_an_image_that_cannot_work_is_named_with_the_reason(loops: Loops, image: Path) -> None:
    """An empty image: the path, the reason, and that nothing was attached."""
    image.write_bytes(b"")
    error = attach(loops, image)
    assert isinstance(error, ImageError)
    says(error, image, "is empty", "nothing was attached")


def test_an_exhausted_pool_says_who_uses_it_and_what_frees_it(tmp_path: Path, image: Path) -> None:
    """No device: how many are bound, below which folders, how many to deleted images, and the sweep that helps."""
    kernel = MemoryKernel(devices=3, max_devices=3)
    for number in range(3):
        other = tmp_path / f"{number}" / "other.img"
        other.parent.mkdir()
        other.write_bytes(bytes(4096))
        kernel.attach_foreign(other)
    other.unlink()
    error = attach(Loops(tmp_path / "run", kernel), image)
    assert isinstance(error, LoopUnavailableError)
    assert (error.medium, error.image) == (MEDIUM, image)
    says(
        error,
        image,
        f"medium {MEDIUM}",
        "3 loop devices are bound",
        f"1 below {tmp_path / '0'}",
        "1 of them to deleted",
    )
    says(error, "sweep(system=True, dry_run=True)")


def test_a_pool_that_others_were_faster_in_says_so(loops: Loops, image: Path, mocker: MockerFixture) -> None:
    """Refused to the end: the last errno by name, and the sweep."""
    mocker.patch.object(MemoryKernel, "configure", side_effect=OSError(errno.EBUSY, "Device or resource busy"))
    error = attach(loops, image)
    assert isinstance(error, LoopUnavailableError)
    assert error.errno == errno.EBUSY
    says(error, image, MEDIUM, "EBUSY", "until the deadline", "sweep")


def around(mocker: MockerFixture, **what: bool) -> None:
    """Let this process have that around it."""
    mocker.patch.object(MemoryKernel, "surroundings", return_value=Surroundings(**what))


def test_a_missing_module_says_how_to_load_it(loops: Loops, image: Path, mocker: MockerFixture) -> None:
    """No loop-control and no module: the file, and modprobe."""
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "/dev/loop-control")
    mocker.patch.object(MemoryKernel, "get_free", side_effect=missing)
    around(mocker, has_module=False)
    error = attach(loops, image)
    assert isinstance(error, LoopUnavailableError)
    says(error, image, MEDIUM, "/dev/loop-control", "modprobe loop", "container")


def test_a_missing_loop_control_is_told_from_a_missing_module(loops: Loops, image: Path, mocker: MockerFixture) -> None:
    """The module is there: then it is the container that lacks the file, and modprobe is no help."""
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "/dev/loop-control")
    mocker.patch.object(MemoryKernel, "get_free", side_effect=missing)
    error = attach(loops, image)
    says(error, image, MEDIUM, "/dev/loop-control", "the module is loaded", "container")
    assert "modprobe" not in str(error)


def test_a_refused_permission_says_what_it_takes(loops: Loops, image: Path, mocker: MockerFixture) -> None:
    """No permission: the file, and root or the capability; it is a PermissionError too."""
    refusal = PermissionError(errno.EACCES, "Permission denied", "/dev/loop-control")
    mocker.patch.object(MemoryKernel, "get_free", side_effect=refusal)
    error = attach(loops, image)
    assert isinstance(error, LoopPermissionError)
    says(error, image, MEDIUM, "Permission denied", "/dev/loop-control", "root", "CAP_SYS_ADMIN", "device rules")
    assert "this process has no" not in str(error)


def test_a_missing_capability_is_named(loops: Loops, image: Path, mocker: MockerFixture) -> None:
    """Refused by the ioctl, and this process has no CAP_SYS_ADMIN: that is said."""
    mocker.patch.object(MemoryKernel, "configure", side_effect=PermissionError(errno.EPERM, "Operation not permitted"))
    around(mocker, has_sys_admin=False)
    error = attach(loops, image)
    assert isinstance(error, LoopPermissionError)
    says(error, image, MEDIUM, "this process has no CAP_SYS_ADMIN")


@pytest.mark.parametrize(("number", "kind"), [(errno.EPERM, LoopPermissionError), (errno.ENOSYS, LoopUnavailableError)])
def test_a_seccomp_filter_is_named(
    loops: Loops, image: Path, mocker: MockerFixture, number: int, kind: type[AttachError]
) -> None:
    """A filter may refuse with either errno; it is tried once."""
    refuse = mocker.patch.object(MemoryKernel, "get_free", side_effect=OSError(number, "refused"))
    around(mocker, has_seccomp_filter=True)
    error = attach(loops, image)
    assert isinstance(error, kind)
    says(error, image, MEDIUM, "seccomp filter")
    assert refuse.call_count == 1


def test_a_node_that_cannot_be_had_is_told_at_once(loops: Loops, image: Path, mocker: MockerFixture) -> None:
    """Neither in /dev nor privately: why, and not at the deadline only."""
    error = NoNodeError(errno.ENOENT, "there is no /dev/loop0, and a private node could not be made: no")
    opened = mocker.patch.object(MemoryKernel, "open", side_effect=error)
    found = attach(loops, image)
    assert isinstance(found, LoopUnavailableError)
    says(found, image, MEDIUM, "there is no /dev/loop0", "could not be made", "CAP_MKNOD")
    assert opened.call_count == 1


def test_an_old_kernel_is_told_by_its_age(loops: Loops, image: Path, mocker: MockerFixture) -> None:
    """LOOP_CONFIGURE unknown: which Linux has it."""
    mocker.patch.object(MemoryKernel, "configure", side_effect=OSError(errno.ENOTTY, "Inappropriate ioctl for device"))
    error = attach(loops, image)
    assert type(error) is AttachError
    says(error, image, MEDIUM, "older than Linux 5.8")


def test_a_busy_exit_names_the_device_the_holder_and_what_happens(
    loops: Loops, kernel: MemoryKernel, image: Path
) -> None:
    """Still in use: device, medium, image, who, where, and that the kernel sees to it."""
    with pytest.raises(DeviceBusyError) as caught, loops.attached(image, timeout=0) as device:
        reader = kernel.open_elsewhere(device.number, pid=4_190_001, command="blkid")
    reader.close()
    assert (caught.value.medium, caught.value.device, caught.value.image) == (MEDIUM, str(device), image)
    says(caught.value, device, MEDIUM, image, "blkid (pid 4190001)", "detached by the kernel after its last user")


def test_a_busy_release_names_every_device_and_the_command_that_frees_it(
    loops: Loops, kernel: MemoryKernel, image: Path
) -> None:
    """Mounted and open: both devices, mount point and umount, and to keep the image."""
    first, second = loops.attach_kept(image), loops.attach_kept(image)
    kernel.mount(first.number, "/mnt/ntt/536a")
    kernel.open_elsewhere(second.number, pid=4_190_001, command="dd")
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all(MEDIUM, timeout=0)
    assert {holder.device for holder in caught.value.holders} == {str(first), str(second)}
    says(caught.value, MEDIUM, first, second, "umount /mnt/ntt/536a", "dd (pid 4190001)", "keep the image")
    assert caught.value.report.medium == MEDIUM


def test_an_unmount_that_failed_is_noted_on_the_busy_error(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """unmount=True on a busy mount: umount's own words are a note."""
    device = loops.attach_kept(image)
    kernel.mount(device.number, "/mnt/ntt/536a", busy=True)
    with pytest.raises(DeviceBusyError) as caught:
        loops.release_all(MEDIUM, unmount=True, timeout=0)
    assert any("target is busy" in note for note in caught.value.__notes__)


def test_a_lost_write_says_not_to_use_the_image(loops: Loops, kernel: MemoryKernel, image: Path) -> None:
    """EIO: device, image, medium, and what not to do, at the exit and in a release."""
    with pytest.raises(ImageWriteError) as caught, loops.attached(image, writable=True) as device:
        kernel.fail_flush(device.number)
    says(caught.value, device, image, MEDIUM, "do not use the image")
    kept = loops.attach_kept(image, writable=True)
    kernel.fail_flush(kept.number)
    with pytest.raises(ImageWriteError) as released:
        loops.release_all(MEDIUM)
    says(released.value, kept, image, MEDIUM, "do not pack or unlink the image")


def test_a_locked_ledger_names_its_file(loops: Loops, image: Path) -> None:
    """Locked by another process: medium, file, and to try again, for an attach and for a release."""
    ledger = loops._world().ledger
    with ledger.locked(MEDIUM, Deadline(0.0)):
        error = attach(loops, image)
        with pytest.raises(LedgerError) as released:
            loops.release_all(MEDIUM, timeout=0)
    assert isinstance(error, LedgerError)
    says(error, MEDIUM, ledger.run_dir, "locked by another process", "try again")
    says(released.value, MEDIUM, ledger.run_dir, "another process")


def test_an_untrusted_folder_says_how_it_must_be(loops: Loops, image: Path, tmp_path: Path) -> None:
    """A folder that others can write to: which, why, and what it must be."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    error = attach(loops, image)
    assert isinstance(error, LedgerError)
    says(error, tmp_path / "run", "can be written by others", "0700")


def test_a_name_that_may_be_a_file_says_how_to_write_it(
    loops: Loops, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare name of a file here that is no known medium: how to name the file."""
    monkeypatch.chdir(image.parent)
    with pytest.raises(MediumError) as caught:
        loops.release_all(image.name)
    says(caught.value, image.name, f"./{image.name}")
