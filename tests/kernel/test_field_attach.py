"""Field cases of the attach: killed half-way, failed right after, raced for, refused, or quietly done otherwise."""

from __future__ import annotations

import errno
import logging
import os
import signal
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import pytest

from ntt_loops import ImageError, LedgerError, Loops, LoopUnavailableError
from ntt_loops._ledger import Book
from tests.support import oracle, rawloop
from tests.support.bare_dev import in_bare_dev
from tests.support.forked import forks
from tests.support.kernels import FencedKernel, PinnedKernel
from tests.support.media import by_losetup, is_bound, new_image
from tests.support.rig import mounted, private_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _kill_before_the_record(run_dir: Path, image: Path, say: Callable[[object], None], *, kept: bool) -> NoReturn:
    """Attach, and be killed when the record is to be written."""

    def die(*_: object) -> NoReturn:
        say(oracle.bound_to_path(image))
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Book, "add", die)
        loops = Loops(run_dir)
        if kept:
            loops.attach_kept(image)
        loops.attached(image).__enter__()
    raise AssertionError


def test_case_09_killed_between_attach_and_bookkeeping_it_leaks_nothing(tmp_path: Path) -> None:
    """SIGKILL before the record is written: a scoped device is gone, a kept one is found by its tag."""
    image, run_dir = new_image(tmp_path), tmp_path / "run"
    for kept in (False, True):
        with forks() as start:
            child = start(partial(_kill_before_the_record, run_dir, image, kept=kept))
            (device,) = child.hear()
            assert child.wait() == -signal.SIGKILL
        if kept:
            report = Loops(run_dir).release_all(image.stem)
            assert [(one.device, one.found_by) for one in report.released] == [(device, "tag")]
        oracle.wait_until(lambda: not oracle.bound_devices(image), "it is gone")


@pytest.mark.parametrize(
    "error", [LedgerError("no space"), OSError(errno.EIO, "no"), KeyboardInterrupt(), MemoryError()]
)
def test_case_10_an_error_right_after_the_attach_undoes_it(
    loops: Loops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Whatever fails between CONFIGURE and the end of the attach, the device is gone, in either form."""
    image = new_image(tmp_path)

    def fail(*_: object) -> NoReturn:
        assert oracle.bound_to_path(image) != []
        raise error

    monkeypatch.setattr(Book, "add", fail)
    for attach in (loops.attach_kept, lambda path: loops.attached(path).__enter__()):
        with pytest.raises(type(error)):
            attach(image)
        oracle.wait_until(lambda: not oracle.bound_devices(image), "it is undone")


def _pool(*numbers: int) -> dict[int, Path]:
    return {number: rawloop.node(number) for number in sorted(numbers)}


def test_case_15_a_number_that_somebody_claims_is_passed_over(tmp_path: Path) -> None:
    """A number that stays refused is left for the next one; an attach that is refused ends at its deadline."""
    image = new_image(tmp_path)
    with private_number() as one, private_number() as other, private_number() as third:
        pool = _pool(one, other, third)
        first, second, _ = pool
        loops = Loops(tmp_path / "run", PinnedKernel(pool))
        with (
            rawloop.opened(pool[first], os.O_RDONLY | os.O_EXCL),
            loops.attached(image, timeout=0) as device,  # by its deadline it has passed over it
        ):
            assert (device.number, first != second) == (second, True)
        with ExitStack() as claims:
            for node in pool.values():
                claims.enter_context(rawloop.opened(node, os.O_RDONLY | os.O_EXCL))
            with pytest.raises(LoopUnavailableError, match="until the deadline"):
                loops.attach_kept(image, timeout=0)
    assert not oracle.bound_devices(image)


def test_case_20_writable_is_an_error_where_it_cannot_be(loops: Loops, tmp_path: Path) -> None:
    """Writable asked on a read-only file system is EROFS, not a read-only device; nothing is attached."""
    with mounted("none", tmp_path / "mnt", "-t", "tmpfs") as folder:
        image = new_image(folder)
        oracle.run("mount", "-o", "remount,ro", folder)
        with pytest.raises(ImageError) as caught:
            loops.attach_kept(image, writable=True)
        assert caught.value.errno == errno.EROFS
        assert not oracle.bound_devices(image)


def test_case_23_without_loop_control_it_says_so(tmp_path: Path) -> None:
    """Without /dev/loop-control an attach is LoopUnavailableError that names it, at once: the module is there."""
    image = new_image(tmp_path)
    code = "import sys; from ntt_loops import Loops; Loops(sys.argv[1]).attach_kept(sys.argv[2], timeout=600)"
    done = in_bare_dev(code, tmp_path / "run", image, nodes=["/dev/null"])
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("ntt_loops.errors.LoopUnavailableError")
    assert "/dev/loop-control" in error
    assert "the module is loaded" in error
    assert not oracle.bound_devices(image)


class ExhaustedKernel(PinnedKernel):
    """Has these numbers only, and shows no device but those of one folder."""

    def __init__(self, folder: Path, nodes: dict[int, Path]) -> None:
        super().__init__(nodes)
        self._fenced = FencedKernel(folder)

    def bound_numbers(self) -> list[int]:
        """Return the numbers of the bound devices of this folder."""
        return self._fenced.bound_numbers()


def test_case_23_an_exhausted_pool_says_who_uses_it(tmp_path: Path) -> None:
    """Where no number is left, the error says how many devices are bound, below which folders, and what to do."""
    image = new_image(tmp_path)
    with private_number() as number, rawloop.opened(rawloop.node(number), os.O_RDONLY | os.O_EXCL):
        loops = Loops(tmp_path / "run", ExhaustedKernel(tmp_path, _pool(number)))
        with rawloop.attach(new_image(tmp_path)), pytest.raises(LoopUnavailableError) as caught:
            loops.attach_kept(image, timeout=30)
    assert caught.value.errno == errno.ENOSPC
    assert "1 loop devices are bound" in str(caught.value)
    assert f"1 below {tmp_path})" in str(caught.value)
    assert "ntt_loops.sweep(" in str(caught.value)


def test_case_24_a_sector_size_can_be_given_and_a_wrong_one_is_refused(loops: Loops, tmp_path: Path) -> None:
    """A memory card of 2048-byte sectors is read whole; a sector size that leaves a rest is refused."""
    image = new_image(tmp_path, size_bytes=3 * 2048)
    for sector in (512, 2048):
        with loops.attached(image, sector_size_bytes=sector) as device:
            assert rawloop.sysfs(device.number, "queue/logical_block_size") == str(sector).encode()
            assert device.path.read_bytes() == image.read_bytes()
    with pytest.raises(ImageError, match="no multiple"):
        loops.attach_kept(image, sector_size_bytes=4096)
    assert not oracle.bound_devices(image)


def test_case_25_two_writable_parts_that_overlap_are_warned_of(
    loops: Loops, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A writable attachment that overlaps another one of the image, ours or not, is a warning that names both."""
    image = new_image(tmp_path)
    with caplog.at_level(logging.WARNING, "ntt_loops"):
        lower = loops.attach_kept(image, writable=True, size_limit_bytes=32768)
        upper = loops.attach_kept(image, writable=True, offset_bytes=32768)
        assert caplog.records == []
        across = loops.attach_kept(image, writable=True, offset_bytes=16384, size_limit_bytes=32768)
        assert [str(across) in record.message for record in caplog.records] == [True, True]
        assert {str(one) for one in (lower, upper) for record in caplog.records if str(one) in record.message} == {
            str(lower),
            str(upper),
        }
    loops.release_all(image)


@pytest.mark.parametrize("by", ["losetup", "another id"])
def test_case_25_parts_that_do_not_overlap_are_not_warned_of(
    loops: Loops, tmp_path: Path, caplog: pytest.LogCaptureFixture, by: str
) -> None:
    """The first half by others, or under another id, and the second half by us: that is no overlap, and no warning."""
    image = new_image(tmp_path)
    if by == "losetup":
        by_losetup(image, "--sizelimit", "32768")
    else:
        loops.attach_kept(image, medium="another-id", size_limit_bytes=32768)
    with caplog.at_level(logging.WARNING, "ntt_loops"):
        device = loops.attach_kept(image, writable=True, offset_bytes=32768)
    assert caplog.records == []
    assert is_bound(device)
    loops.release_all(image)
    assert not oracle.bound_devices(image)
