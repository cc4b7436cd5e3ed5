"""A KeyboardInterrupt wherever Python lets one in loses neither a descriptor nor a device."""

from __future__ import annotations

import gc
import shutil
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops._kernel.linux import LinuxKernel
from tests.support import oracle, rawloop
from tests.support.forked import elsewhere, together
from tests.support.interrupts import interrupt
from tests.support.media import new_image
from tests.support.rig import fails_with

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from ntt_loops._kernel import Handle, LoopConfig

CHILDREN = 2


class LosingKernel(LinuxKernel):
    """The first number of each attach is somebody else's by the time of its CONFIGURE."""

    def __init__(self) -> None:
        super().__init__()
        self.has_lost = False

    def configure(self, handle: Handle, image: io.FileIO, config: LoopConfig) -> None:
        """Refuse the first time, as the kernel does."""
        self.has_lost = not self.has_lost
        if self.has_lost:
            raise OSError(16, "Device or resource busy")
        super().configure(handle, image, config)


class AloneKernel(LinuxKernel):
    """Lists no device: a writable attach looks at each, and a host may have thousands, with a few points each."""

    def bound_numbers(self) -> list[int]:
        """Return none."""
        return []


def _scoped(run_dir: Path, image: Path, *, writable: bool = False, loses: bool = False) -> None:
    with Loops(run_dir, LosingKernel() if loses else AloneKernel()).attached(image, writable=writable):
        pass


def _kept(run_dir: Path, image: Path) -> None:
    Loops(run_dir).attach_kept(image)


def _descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def _wait_gone(image: Path) -> None:
    # Not at once: a tool of others may look at the device for a moment.
    rawloop.wait_until(lambda: not oracle.bound_to_path(image), f"no device of {image}")


def _every_point(work: Callable[[], None], check: Callable[[], None], child: int) -> list[str]:
    """Interrupt a function at every point that is this child's; say where a descriptor was lost."""
    warnings.simplefilter("ignore", ResourceWarning)  # collected open, a descriptor closes itself: that is the point
    work()
    check()
    gc.collect()
    gc.freeze()
    before, lost, at = _descriptors(), [], 1 + child
    while interrupt(work, at):
        if _descriptors() != before or open_numbers():
            lost.append(f"point {at}: {open_numbers()}, {_descriptors()} instead of {before}")
        check()
        at += CHILDREN
    check()
    return [str(at), *lost]


def _in_children(folder: Path, work: Callable[[Path, Path], None], check: Callable[[Path, Path], None]) -> None:
    calls = []
    for child in range(CHILDREN):
        run_dir, image = folder / f"run{child}", new_image(folder)
        arguments = (partial(work, run_dir, image), partial(check, run_dir, image), child)
        calls.append(partial(_every_point, *arguments))
    for points, *lost in together(*calls):
        assert int(points) > 100
        assert lost == []


def _check_scoped(run_dir: Path, image: Path) -> None:
    _wait_gone(image)
    shutil.rmtree(run_dir, ignore_errors=True)  # records that were not taken off would pile up


def _check_kept(run_dir: Path, image: Path) -> None:
    Loops(run_dir).release_all(image.stem)
    _wait_gone(image)
    shutil.rmtree(run_dir, ignore_errors=True)


@pytest.mark.parametrize("writable", [False, True])
def test_an_interrupt_anywhere_in_a_with_block_loses_nothing(tmp_path: Path, *, writable: bool) -> None:
    """Once the exception is dropped no descriptor is open and no device bound, wherever the interrupt came."""
    _in_children(tmp_path, partial(_scoped, writable=writable), _check_scoped)


def test_an_interrupt_anywhere_in_an_attach_that_loses_a_race_loses_nothing(tmp_path: Path) -> None:
    """The same where the first number is refused and the attach waits and tries again."""
    _in_children(tmp_path, partial(_scoped, loses=True), _check_scoped)


def test_an_interrupt_anywhere_in_attach_kept_leaves_no_unknown_device(tmp_path: Path) -> None:
    """Whatever attach_kept had bound when it was interrupted, a release by the medium's id finds and releases."""
    _in_children(tmp_path, _kept, _check_kept)


def _interrupt_each_exit(run_dir: Path, image: Path) -> int:
    """Interrupt close() at every point and go on as after a Ctrl-C; return how many points there were."""
    warnings.simplefilter("ignore", ResourceWarning)
    loops = Loops(run_dir)
    attachment = loops.attached(image)
    gc.collect()
    gc.freeze()
    at, was_interrupted = 0, True
    while was_interrupted:
        at += 1
        attachment.__enter__()
        was_interrupted = interrupt(attachment.close, at)
        attachment.close()
        loops.release_all(image.stem)
        _wait_gone(image)
        assert list(run_dir.iterdir()) == [], f"point {at}"
    return at


def test_after_an_interrupted_exit_all_works_as_ever(tmp_path: Path) -> None:
    """After an interrupt anywhere in close() the device goes, the same object can be entered again, and released by id.

    close() may be called again; nothing stays on record after the release.
    """
    assert elsewhere(partial(_interrupt_each_exit, tmp_path / "run", new_image(tmp_path))) > 50


def test_the_losing_kernel_loses(tmp_path: Path) -> None:
    """The kernel of these tests does refuse a number."""
    with fails_with(16):
        LosingKernel().configure(*[None] * 3)  # type: ignore[arg-type]
    _scoped(tmp_path / "run", new_image(tmp_path), loses=True)
