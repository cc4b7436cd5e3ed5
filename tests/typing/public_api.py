"""How users write it, for the type checker: every public name, with the types that it promises. Never run."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_type

from ntt_loops import (
    AdoptedDevice,
    AttachError,
    AttachmentState,
    Check,
    DeviceBusyError,
    DeviceState,
    ForgottenRecord,
    GoneDevice,
    Holder,
    ImageError,
    ImageNotFoundError,
    ImagePermissionError,
    ImageWriteError,
    KeptDevice,
    KernelError,
    LastSweep,
    LedgerError,
    LeftDevice,
    LoopAttachment,
    LoopDevice,
    LoopPermissionError,
    Loops,
    LoopUnavailableError,
    LostBytes,
    MachineReport,
    MediumError,
    MediumState,
    MountedMedium,
    MountedPartition,
    MountError,
    MountTimeoutError,
    NttLoopsError,
    Partition,
    ReleasedDevice,
    ReleaseReport,
    RescuableImage,
    RescueError,
    RescueReport,
    SweepReport,
    attach_kept,
    attached,
    check_machine,
    free_numbers,
    holders,
    last_sweep,
    list_devices,
    list_media,
    mount_medium,
    mounted,
    mounted_medium,
    release,
    release_all,
    release_all_async,
    rescue,
    sweep,
    sweep_async,
    unmount_medium,
)
from ntt_loops.dask import LoopsPlugin, LoopsWorker, WorkerStart
from ntt_loops.testing import MemoryKernel, in_memory

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

IMAGE = Path("/data/fast/img/536a933b4481f605fcd44615740a9025.img")


def a_stage(image: str | os.PathLike[str]) -> int:
    """Attach, hand the device to a tool, and look at its partitions; the block does not swallow errors."""
    with attached(image) as device:
        assert_type(device, LoopDevice)
        subprocess.run(["blkid", device], check=True)
        Path(device).stat()
        parts: tuple[Partition, ...] = device.partitions
        return sum(part.size_bytes for part in parts if part.status == "ok" and part.type != "0x82")


def every_way_to_attach() -> LoopDevice:
    """All keywords of both forms."""
    attachment: LoopAttachment = attached(
        str(IMAGE),
        medium="536a",
        writable=True,
        offset_bytes=512,
        size_limit_bytes=1024,
        sector_size_bytes=2048,
        timeout=2.5,
    )
    with ExitStack() as stack:
        scoped: LoopDevice = stack.enter_context(attachment)
        same: LoopDevice = attachment.device
        assert scoped == same
    image: Path = attachment.image
    medium: str = attachment.medium
    assert_type(attachment.close(), None)
    return attach_kept(
        image, medium=medium, writable=False, offset_bytes=0, size_limit_bytes=0, sector_size_bytes=None, timeout=10
    )


def a_device(device: LoopDevice) -> dict[str, Any]:
    """Everything that a device says."""
    facts: tuple[Path, int, int | None, Path, str, int, int, bool] = (
        device.path,
        device.number,
        device.diskseq,
        device.image,
        device.medium,
        device.size_bytes,
        device.tail_bytes,
        device.read_only,
    )
    log.info("%s %s", device, facts)
    part: Partition = device.partition(1)
    numbers: tuple[Path, int, int, int] = (part.path, part.number, part.start_bytes, part.size_bytes)
    log.info("%s %s", os.fspath(part), numbers)
    return {**device.to_dict(), "part": part.to_dict()}


def the_archiver(device: LoopDevice) -> int:
    """Release by device, by id and by path, and read the report."""
    assert_type(release(device, timeout=1), ReleaseReport)
    assert_type(release("/dev/loop7", unmount=True), ReleaseReport)
    report: ReleaseReport = release_all("536a933b4481f605fcd44615740a9025", unmount=True, timeout=30.0)
    assert_type(release_all(IMAGE), ReleaseReport)
    released: tuple[ReleasedDevice, ...] = report.released
    gone: tuple[GoneDevice, ...] = report.already_gone
    left: tuple[LeftDevice, ...] = report.left
    problems: tuple[str, ...] = report.problems
    names: list[str] = [one.device for one in released] + [one.device for one in left]
    images: set[Path] = {one.image for one in released} | {one.image for one in gone}
    log.info("%s %s %s %s %s", report.medium, names, images, problems, report.to_dict())
    return report.freed_bytes + sum(one.freed_bytes for one in released)


def the_safety_net() -> SweepReport:
    """Sweep with one folder, several, or none, and read the report."""
    assert_type(sweep(), SweepReport)
    sweep(under="/data/fast")
    sweep(under=IMAGE.parent, kept_older_than=None)
    report = sweep(
        under=["/data/fast", Path("/data/slow")], system=True, kept_older_than=86_400, dry_run=True, timeout=5
    )
    kept: tuple[KeptDevice, ...] = report.kept
    adopted: tuple[AdoptedDevice, ...] = report.adopted
    forgotten: tuple[ForgottenRecord, ...] = report.forgotten
    for one in kept:
        medium: str | None = one.medium
        who: tuple[Holder, ...] = one.holders
        log.info("%s %s %s %s %s", one.device, one.image, medium, one.reason, who)
    media: list[str] = [one.medium for one in adopted] + [one.medium for one in forgotten]
    images: list[Path] = [one.image for one in adopted] + [one.image for one in forgotten]
    log.info("%s %s %s", media, images, [one.reason for one in forgotten])
    log.info("%s %s %s %s", report.dry_run, report.released, report.problems, report.to_dict())
    saved: tuple[RescuableImage, ...] = report.rescuable
    log.info("%s", [(one.device, one.image, one.size_bytes, one.to_dict()) for one in saved])
    return report


def a_rescue(device: LoopDevice) -> str:
    """Copy a deleted image back, and read what was lost."""
    assert_type(rescue(device, IMAGE), RescueReport)
    report: RescueReport = rescue("/dev/loop7", str(IMAGE), part=True, progress=lambda done, total: done / total)
    lost: tuple[LostBytes, ...] = report.lost
    ends: list[tuple[int, int | None, str]] = [(one.start_bytes, one.end_bytes, one.why) for one in lost]
    facts: tuple[str, Path, Path, int, int] = (
        report.device,
        report.image,
        report.file,
        report.size_bytes,
        report.hole_bytes,
    )
    log.info("%s %s %s %s", ends, facts, report.holders, report.to_dict())
    return report.sha256


def a_checkup() -> list[str]:
    """Look at the machine."""
    report: MachineReport = check_machine(timeout=5)
    checks: tuple[Check, ...] = report.checks
    good: bool = report.keeps_promises
    bad: list[Literal["ok", "warning", "failed"]] = [one.status for one in checks]
    log.info("%s %s %s", good, bad, report.to_dict())
    return [f"{one.name}: {one.found}; {one.advice} {one.to_dict()}" for one in checks]


def what_is_watched() -> float:
    """Put a sweep on record, and read it."""
    sweep(record=True)
    last: LastSweep | None = last_sweep()
    assert_type(free_numbers(), int)
    if last is None:
        return 0.0
    outcome: Literal["done", "problems", "failed"] = last.outcome
    numbers: tuple[int, int, int] = (last.released, last.kept, last.freed_bytes)
    log.info("%s %s %s %s", outcome, numbers, last.time, last.to_dict())
    return last.duration_seconds


def the_listings() -> list[str]:
    """List all media, one medium, and who holds a device."""
    media: list[MediumState] = list_media()
    assert_type(list_media("536a", timeout=1.0), list[MediumState])
    states: list[AttachmentState] = [one for medium in media for one in medium.attachments]
    for state in states:
        made_by: Literal["scoped", "kept", "foreign"] = state.made_by
        unknown: tuple[bool | None, bool | None, int | None, bool | None, float | None] = (
            state.is_deleted,
            state.read_only,
            state.owner_pid,
            state.owner_is_alive,
            state.age_seconds,
        )
        inode: tuple[int, int] | None = state.image_id
        log.info("%s", inode)
        log.info("%s %s %s %s %s", state.device, state.image, made_by, unknown, state.is_stuck)
    devices: list[DeviceState] = list_devices() + list_devices("/dev/loop7", timeout=1.0)
    for one in devices:
        more: tuple[str | None, bool | None, tuple[Holder, ...]] = (one.medium, one.is_armed, one.holders)
        log.info("%s %s", one.to_dict(), more)
    found: list[Holder] = holders("/dev/loop7p1") + holders(Path("/dev/loop7"))
    pids: list[int | None] = [one.pid for one in found]
    log.info("%s", pids)
    return [f"{one.kind} {one.command} {one.where}: {one.hint}" for one in found]


def a_mount(device: LoopDevice, folder: Path) -> list[str]:
    """Mount a device, a partition, or what a path names, at a place of one's own or not."""
    with mounted(device) as point, mounted(device.partition(1), folder, fstype="ext4", timeout=5.0):
        assert_type(point, Path)
    with mounted("/dev/loop7p1", at="/mnt/x") as other:
        return [one.name for one in other.iterdir()]


def a_medium() -> MountedPartition | None:
    """Mount a whole medium, and unmount it."""
    medium: MountedMedium = mount_medium(IMAGE, medium="536a", root="/mnt/ntt", timeout=60)
    with mounted_medium(IMAGE, root=Path("/mnt/ntt")) as same:
        assert_type(same, MountedMedium)
    layout: Literal["single", "multi"] = medium.layout
    facts: tuple[str, Path, Path, int, bool, bool] = (
        medium.medium,
        medium.image,
        medium.mount_point,
        medium.offset_bytes,
        medium.hybrid,
        medium.is_new,
    )
    devices: tuple[LoopDevice, ...] = medium.devices
    log.info("%s %s %s %s", layout, facts, devices, medium.to_dict())
    for one in medium.partitions:
        number: int | None = one.number
        point: Path | None = one.mount_point
        words: tuple[str, str, str, str] = (one.device, one.fstype, one.error, one.type)
        sizes: tuple[int, int] = (one.start_bytes, one.size_bytes)
        log.info("%s %s %s %s %s", number, point, words, sizes, one.to_dict())
        if one.status == "failed":
            return one
    assert_type(unmount_medium("536a", root="/mnt/ntt", timeout=5), ReleaseReport)
    return None


def every_error(work: Callable[[], None]) -> dict[str, Any]:
    """Each error is caught by its own name, and keeps its facts."""
    facts: tuple[object, ...] = ()
    try:
        work()
    except (ImageNotFoundError, ImagePermissionError, ImageError, MediumError) as error:
        image: Path | None = error.image
        medium: str | None = error.medium
        facts = image, medium
    except DeviceBusyError as error:
        device: str | None = error.device
        facts = device, [str(one) for one in error.holders], error.report
    except ImageWriteError as error:
        facts = error.image, error.holders, error.report
    except (LoopPermissionError, LoopUnavailableError, AttachError) as error:
        number: int | None = error.errno
        facts = (number,)
    except LedgerError as error:
        file: Path | None = error.path
        facts = file, error.report
    except RescueError as error:
        target: Path | None = error.file
        facts = target, error.errno
    except (MountTimeoutError, MountError) as error:
        partition: str | None = error.partition
        text: str = error.text
        facts = partition, text, error.partitions
    except NttLoopsError as error:
        return error.to_dict()
    return {"facts": facts}


def every_error_as_its_builtin() -> None:
    """What each error is besides."""
    values: list[type[ValueError]] = [MediumError, ImageError, ImageNotFoundError, ImagePermissionError]
    missing: type[FileNotFoundError] = ImageNotFoundError
    forbidden: list[type[PermissionError]] = [ImagePermissionError, LoopPermissionError]
    others: list[type[OSError]] = [
        ImageWriteError,
        AttachError,
        LoopUnavailableError,
        DeviceBusyError,
        LedgerError,
        KernelError,
        RescueError,
    ]
    late: type[TimeoutError] = MountTimeoutError
    root: list[type[NttLoopsError]] = [MountError, NttLoopsError]
    log.info("%s %s %s %s %s %s", values, missing, forbidden, others, late, root)


async def awaited(loops: Loops, folder: Path) -> LoopDevice:
    """The same, awaited."""
    attachment: LoopAttachment = attached(IMAGE, writable=True)
    async with attachment as device, loops.attached(folder / "b.img") as other:
        assert_type(device, LoopDevice)
        assert_type(other, LoopDevice)
    async with AsyncExitStack() as stack:
        assert_type(await stack.enter_async_context(attached(IMAGE)), LoopDevice)
    assert_type(await release_all_async("536a", unmount=True, timeout=5), ReleaseReport)
    assert_type(await release_all_async(Path("./a.img")), ReleaseReport)
    assert_type(await sweep_async(under=[folder, "/x"], system=True, kept_older_than=60.0, dry_run=True), SweepReport)
    assert_type(await loops.release_all_async(folder / "b.img"), ReleaseReport)
    assert_type(await loops.sweep_async(timeout=5), SweepReport)
    task: asyncio.Task[ReleaseReport] = asyncio.create_task(release_all_async("536a"))
    log.info("%s", await task)
    return device


def an_own_ledger(folder: Path) -> None:
    """The same as methods, over another folder or a kernel in memory."""
    loops = Loops(folder)
    with loops.attached(IMAGE) as device:
        assert_type(loops.holders(device), list[Holder])
    assert_type(loops.sweep(dry_run=True), SweepReport)
    kernel = MemoryKernel(rundown=False, diskseq=True, devices=4, max_devices=16)
    assert_type(Loops(os.fspath(folder), kernel).list_media(), list[MediumState])
    with in_memory() as made:
        assert_type(made, MemoryKernel)
    with in_memory(kernel):
        assert_type(attach_kept(IMAGE), LoopDevice)


def a_dask_worker(folder: Path) -> tuple[str, ...]:
    """The plugin, by a client or with a worker; and what its start came to."""
    plugin = LoopsPlugin(folder, timeout=2.5)
    LoopsWorker("tcp://scheduler.example:8786", name="host-a", plugins=(plugin, LoopsPlugin("/run/pipeline/{worker}")))
    start: WorkerStart | None = plugin.start
    if start is None:
        return ()
    facts: tuple[Path, int] = (start.run_dir, start.pid)
    log.info("%s %s", facts, start.to_dict())
    return start.released + start.left
