"""However a ``with`` block is left, its device is gone when it has been left."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ntt_loops import DeviceBusyError, LoopAttachment, LoopDevice, Loops
from tests.support import oracle
from tests.support.holding import reader
from tests.support.media import is_bound, leave_soon, new_image

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image."""
    return new_image(tmp_path)


def _is_attached(image: Path) -> bool:
    return bool(oracle.bound_devices(image))


def _records(loops: Loops) -> list[str]:
    return [name for name in oracle.run("ls", loops._world().ledger.run_dir).split() if name]


def test_at_the_end_of_the_block(loops: Loops, image: Path) -> None:
    """In the block losetup shows one device of the image; after it there is none, and nothing is on record."""
    with loops.attached(image) as device:
        assert oracle.bound_devices(image) == [str(device)]
    assert not _is_attached(image)
    assert _records(loops) == []


def test_by_return(loops: Loops, image: Path) -> None:
    """A return in the block detaches."""

    def path_of_device() -> LoopDevice:
        with loops.attached(image) as device:
            return device

    assert not is_bound(path_of_device())


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_by_an_exception(loops: Loops, image: Path, kind: type[BaseException]) -> None:
    """An exception of any kind detaches, and goes on as it was."""
    error = kind("of the body")
    with pytest.raises(kind) as caught, loops.attached(image):
        raise error
    assert caught.value is error
    assert not _is_attached(image)
    assert _records(loops) == []


def test_by_a_generator_that_is_closed(loops: Loops, image: Path) -> None:
    """A generator that is closed in the block, or collected, detaches."""

    def devices() -> Generator[LoopDevice, None, None]:
        with loops.attached(image) as device:
            yield device

    closed, collected = devices(), devices()
    next(closed), next(collected)
    closed.close()
    assert len(oracle.bound_devices(image)) == 1
    del collected
    assert not _is_attached(image)


def test_by_an_exit_stack(loops: Loops, tmp_path: Path) -> None:
    """An ExitStack detaches all its images, also when one of its exits raises."""
    images = [new_image(tmp_path) for _ in range(5)]

    def work() -> None:
        with ExitStack() as stack:
            for image in images[:3]:
                stack.enter_context(loops.attached(image))
            stack.callback(lambda: 1 / 0)
            for image in images[3:]:
                stack.enter_context(loops.attached(image))
            assert all(map(_is_attached, images))

    with pytest.raises(ZeroDivisionError):
        work()
    assert not any(map(_is_attached, images))


def test_nested_on_the_same_image(loops: Loops, image: Path) -> None:
    """Blocks within each other on one image have a device each, and each exit detaches its own only."""
    with loops.attached(image) as outer:
        with loops.attached(image) as inner:
            assert sorted(oracle.bound_devices(image)) == sorted([str(outer), str(inner)])
        assert oracle.bound_devices(image) == [str(outer)]
    assert not _is_attached(image)


def test_entered_again_it_attaches_anew(loops: Loops, image: Path) -> None:
    """An attachment can be entered again after its exit; it is another attachment then."""
    attachment = loops.attached(image)
    with attachment as first:
        pass
    with attachment as second:
        assert second.nonce != first.nonce
        assert oracle.bound_devices(image) == [str(second)]
    assert not _is_attached(image)


def test_entered_twice_is_a_runtime_error(loops: Loops, image: Path) -> None:
    """To enter an attachment in its own block is a RuntimeError, and takes nothing away from the block."""
    attachment = loops.attached(image)
    with attachment as device:
        with pytest.raises(RuntimeError, match="second one"):
            attachment.__enter__()
        assert oracle.bound_devices(image) == [str(device)]
    assert not _is_attached(image)


def test_close_can_be_called_at_any_time(loops: Loops, image: Path) -> None:
    """close() before the block, in it, and again after it does no harm; in the block it detaches."""
    attachment = loops.attached(image)
    attachment.close()
    with attachment:
        attachment.close()
        assert not _is_attached(image)
        with pytest.raises(RuntimeError, match="not attached"):
            _ = attachment.device
    attachment.close()


def _leave_in_use(attachment: LoopAttachment, stack: ExitStack, error: BaseException | None = None) -> None:
    """Enter, have another process open the device until the stack is closed, and leave, by an error if one is given."""
    with attachment as device:
        leave_soon(attachment)
        stack.enter_context(reader(device))
        if error is not None:
            raise error


def test_a_busy_exit_raises_and_leaves_the_device_to_its_user(loops: Loops, image: Path) -> None:
    """Leaving while another process reads is DeviceBusyError with that process; the device goes when that ends."""
    with ExitStack() as stack:
        with pytest.raises(DeviceBusyError, match="by sh") as caught:
            _leave_in_use(loops.attached(image), stack)
        assert [(one.kind, one.command) for one in caught.value.holders] == [("process", "sh")]
        assert (caught.value.errno, caught.value.image) == (errno.EBUSY, image)
        assert oracle.bound_devices(image) == [caught.value.device]
    oracle.wait_until(lambda: not _is_attached(image), "the kernel detaches it")


def test_an_error_of_the_body_is_not_hidden_by_one_at_the_exit(
    loops: Loops, image: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The body's error goes on, with the busy exit as a note on it, and the latter is logged."""
    error = ValueError("of the body")
    with ExitStack() as stack:
        with pytest.raises(ValueError, match="of the body") as caught:
            _leave_in_use(loops.attached(image), stack, error)
        assert caught.value is error
        (note,) = error.__notes__
        assert "still in use" in note
        assert [record.levelname for record in caplog.records if "still in use" in record.message] == ["WARNING"]
    oracle.wait_until(lambda: not _is_attached(image), "the kernel detaches it")


def test_after_a_busy_exit_it_can_be_entered_again(loops: Loops, image: Path) -> None:
    """A busy exit has let go: the same object can be entered again, and leaving that one is no error."""
    attachment = loops.attached(image)
    with ExitStack() as stack:
        with pytest.raises(DeviceBusyError):
            _leave_in_use(attachment, stack)
        with attachment:
            assert len(oracle.bound_devices(image)) == 2
        assert len(oracle.bound_devices(image)) == 1
    oracle.wait_until(lambda: not _is_attached(image), "the kernel detaches it")
