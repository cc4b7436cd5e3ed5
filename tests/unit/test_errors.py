"""The errors as classes: what catches them, what they keep, and how they travel."""

from __future__ import annotations

import copy
import errno
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import ntt_loops
from ntt_loops import (
    AttachError,
    DeviceBusyError,
    Holder,
    ImageError,
    ImageNotFoundError,
    ImagePermissionError,
    ImageWriteError,
    KernelError,
    LedgerError,
    LoopPermissionError,
    LoopUnavailableError,
    MediumError,
    MountError,
    MountTimeoutError,
    NttLoopsError,
    ReleasedDevice,
    ReleaseReport,
    RescueError,
    errors,
)
from ntt_loops._kernel_errors import kernel_errors

HOLDER = Holder("/dev/loop7p1", "mount", None, "", "/mnt/ntt/536a", "umount /mnt/ntt/536a")
REPORT = ReleaseReport("536a", released=(ReleasedDevice("/dev/loop8", Path("/data/536a.img"), "tag", 512),))

#: Each class, the classes that must catch it besides the root, and its errno where the raiser names none.
PROMISES: list[tuple[type[NttLoopsError], tuple[type[BaseException], ...], int | None]] = [
    (NttLoopsError, (Exception,), None),
    (MediumError, (ValueError,), None),
    (ImageError, (OSError, ValueError), errno.EINVAL),
    (ImageNotFoundError, (ImageError, FileNotFoundError), errno.ENOENT),
    (ImagePermissionError, (ImageError, PermissionError), errno.EACCES),
    (ImageWriteError, (OSError,), errno.EIO),
    (AttachError, (OSError,), errno.EIO),
    (LoopUnavailableError, (AttachError,), errno.ENODEV),
    (LoopPermissionError, (LoopUnavailableError, PermissionError), errno.EPERM),
    (DeviceBusyError, (OSError,), errno.EBUSY),
    (LedgerError, (OSError,), errno.EIO),
    (KernelError, (OSError,), errno.EIO),
    (RescueError, (OSError,), errno.EIO),
    (MountError, (OSError,), errno.EIO),
    (MountTimeoutError, (MountError, TimeoutError), errno.ETIMEDOUT),
]
CLASSES = [cls for cls, _, _ in PROMISES]

#: One of each with all its facts.
FULL: list[NttLoopsError] = [
    NttLoopsError("it failed", medium="536a", device="/dev/loop7", image="/data/536a.img"),
    MediumError("no id", medium="a/b"),
    *(cls("it failed", medium="536a", image="/data/536a.img", errno=errno.ENOSPC) for cls in CLASSES[2:9]),
    ImageWriteError("lost", medium="536a", device="/dev/loop7", holders=(HOLDER,), report=REPORT),
    DeviceBusyError("in use", medium="536a", device=Path("/dev/loop7"), holders=(HOLDER,), report=REPORT),
    LedgerError("locked", medium="536a", path="/run/ntt-loops/536a.jsonl", errno=errno.EAGAIN, report=REPORT),
    KernelError("no descriptor left", errno=errno.EMFILE),
    RescueError("there already", device="/dev/loop7", file="/data/a.img", errno=errno.EEXIST),
    MountError("no", partition="/dev/loop7p1", text="mount: wrong fs type\n", device="/dev/loop7", errno=32),
    MountTimeoutError("no end", partition="/dev/loop7p1", text=""),
]


def facts_of(error: BaseException) -> dict[str, Any]:
    """Return everything that can be asked of an error."""
    public = {name: value for name, value in vars(error).items() if not name.startswith("_")}
    builtin = {name: getattr(error, name, None) for name in ("args", "errno", "strerror", "filename", "__notes__")}
    return {"type": type(error), "str": str(error), **public, **builtin}


def test_every_class_is_in_the_table_and_exported() -> None:
    """No error class is without a promise here, and each can be imported from the package."""
    defined = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, NttLoopsError)}
    assert defined == set(CLASSES)
    assert [cls.__name__ for cls in CLASSES if getattr(ntt_loops, cls.__name__, None) is not cls] == []
    assert sorted(cls.__name__ for cls in CLASSES) == errors.__all__


@pytest.mark.parametrize(("cls", "catchers", "number"), PROMISES, ids=[cls.__name__ for cls in CLASSES])
def test_an_error_is_caught_as_the_builtin_that_it_is(
    cls: type[NttLoopsError], catchers: tuple[type[BaseException], ...], number: int | None
) -> None:
    """Each error is caught as the root and as the builtins it promises, with the errno that goes with them."""
    every: list[type[BaseException]] = [NttLoopsError, *catchers]
    for catcher in every:
        with pytest.raises(catcher) as caught:
            raise cls("it failed")
        assert caught.value.__class__ is cls
    assert getattr(caught.value, "errno", None) == number
    assert str(caught.value) == "it failed"


def test_an_error_is_not_caught_as_another() -> None:
    """An image that is missing is no busy device, and a bad id no OSError."""
    assert not issubclass(MediumError, OSError)
    assert not issubclass(NttLoopsError, OSError | ValueError)
    assert [cls for cls in (AttachError, LedgerError, DeviceBusyError, MountError) if issubclass(cls, ValueError)] == []
    assert not issubclass(ImageNotFoundError, PermissionError)
    assert not issubclass(LoopUnavailableError, PermissionError)
    assert not issubclass(MountError, TimeoutError)


def test_the_raisers_errno_counts() -> None:
    """An errno that the kernel gave is kept, and says the same as OSError would."""
    error = LedgerError("full", errno=errno.ENOSPC)
    assert (error.errno, error.strerror) == (errno.ENOSPC, "full")


def test_facts_are_fields_of_their_types() -> None:
    """Paths are Path, devices are str, what is not known is None, and the image is the OSError's file name."""
    error = DeviceBusyError("in use", medium="536a", device=Path("/dev/loop7"), image="/data/536a.img")
    assert (error.medium, error.device, error.image) == ("536a", "/dev/loop7", Path("/data/536a.img"))
    assert (error.filename, error.holders, error.report) == ("/data/536a.img", (), None)
    bare = LedgerError("it failed")
    assert (bare.medium, bare.device, bare.image, bare.path, bare.report) == (None, None, None, None, None)
    assert LedgerError("it failed", path="/run/x").path == Path("/run/x")
    assert (MountError("no").partition, MountError("no").text) == (None, "")


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
def test_an_error_survives_pickle(error: NttLoopsError, protocol: int) -> None:
    """Sent from a worker process, an error has its class, message, facts and errno; its notes too."""
    sent = copy.copy(error)
    sent.add_note("on leaving the block: still in use")
    sent.add_note("in stage 3")
    again = pickle.loads(pickle.dumps(sent, protocol))  # noqa: S301 - our own
    assert facts_of(again) == facts_of(sent)
    assert again.to_dict() == sent.to_dict()
    assert pickle.loads(pickle.dumps(again)).__notes__ == sent.__notes__  # noqa: S301 - our own


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy])
def test_an_error_survives_a_copy(error: NttLoopsError, copying: Any) -> None:  # noqa: ANN401 - either of the two
    """A copy is equal in everything, and another object."""
    again = copying(error)
    assert again is not error
    assert facts_of(again) == facts_of(error)


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_an_error_is_plain_data(error: NttLoopsError) -> None:
    """to_dict is what JSON takes: the class, the message and what is known, without what is not."""
    plain = error.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["error"], plain["message"]) == (type(error).__name__, str(error))
    assert None not in plain.values()


def test_plain_data_goes_all_the_way_down() -> None:
    """Holders and the report are in it as their own plain data."""
    error = DeviceBusyError("in use", device="/dev/loop7", holders=(HOLDER,), report=REPORT)
    assert error.to_dict() == {
        "error": "DeviceBusyError",
        "message": "in use",
        "device": "/dev/loop7",
        "holders": [HOLDER.to_dict()],
        "report": REPORT.to_dict(),
    }
    assert error.to_dict()["report"]["freed_bytes"] == 512


def test_a_name_of_any_bytes_is_plain_data() -> None:
    """An image whose name is no UTF-8 neither breaks JSON nor is changed by it."""
    name = os.fsdecode(b"/data/\xff\xfe.img")
    error = ImageError("it failed", image=name)
    assert json.loads(json.dumps(error.to_dict()))["image"] == name
    assert pickle.loads(pickle.dumps(error)).image == Path(name)  # noqa: S301 - our own


def test_an_error_of_a_call_that_nobody_understood_is_a_kernel_error() -> None:
    """Whatever OSError comes up from below is caught with the rest, keeps its errno, and says which file it was."""
    with pytest.raises(KernelError) as caught, kernel_errors(medium="536a"):
        raise OSError(errno.EMFILE, "Too many open files", "/proc/partitions")
    assert (caught.value.errno, caught.value.medium) == (errno.EMFILE, "536a")
    assert "Too many open files (/proc/partitions)" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_our_own_errors_and_others_pass_as_they_are() -> None:
    """A busy device stays one, and a ValueError is not the kernel's."""
    for error in (DeviceBusyError("in use"), ValueError("no number")):
        with pytest.raises(type(error)) as caught, kernel_errors():
            raise error
        assert caught.value is error
