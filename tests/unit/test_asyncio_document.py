"""docs/asyncio.md and examples/asynchronous.py run as they stand, on the kernel in memory."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from examples import asynchronous
from ntt_loops import release_all, release_all_async
from ntt_loops.testing import in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mock import MockerFixture

    from ntt_loops.testing import MemoryKernel

DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncio.md"
(CODE,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKernel]:
    """A folder of images to be in, and a kernel on which nothing is left."""
    monkeypatch.chdir(tmp_path)
    for number in range(20):
        (tmp_path / f"disk-{number}.img").write_bytes(bytes(4096))
    with in_memory() as memory:
        yield memory
        assert memory.bound_numbers() == []


def images() -> list[str]:
    """Return the arguments of the example."""
    return sorted(os.fspath(path) for path in Path.cwd().glob("*.img"))


def test_the_example_of_the_document_runs(mocker: MockerFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """It attaches every image at once; the program is played, since there is no device in /dev."""
    process = mocker.AsyncMock()
    start = mocker.patch("asyncio.create_subprocess_exec", return_value=process)
    exec(compile(CODE, str(DOCUMENT), "exec"), {})  # noqa: S102 - it is our own
    assert capsys.readouterr().out == "all done\n"
    assert start.await_count == process.wait.await_count == 20


def test_the_example_tells_of_each_image(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which they were named."""
    assert asynchronous.main(images()) == 0
    assert capsys.readouterr().out.splitlines() == [f"{Path(one).name}: 4096 bytes, 0 partitions" for one in images()]


def test_the_example_says_what_was_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """An image that is not there ends it with 1, and the others are let go."""
    assert asynchronous.main([*images(), "missing.img"]) == 1
    told = capsys.readouterr()
    assert "missing.img" in told.err
    assert told.out == ""


def test_the_example_says_who_uses_an_image(
    kernel: MemoryKernel, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stranger's device of an image that is in use stays, and it ends with 1."""
    (image, *_) = images()
    reader = kernel.open_elsewhere(kernel.attach_foreign(image), pid=4711, command="dd")
    mocker.patch.object(asynchronous, "release_all_async", partial(release_all_async, timeout=0))
    assert asynchronous.main([image]) == 1
    assert "dd" in capsys.readouterr().err
    reader.close()
    release_all(image)


def test_the_example_ends_in_time(mocker: MockerFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit status of what may be tried again."""
    mocker.patch.object(asynchronous, "SECONDS_FOR_ALL", 0.0)
    assert asynchronous.main(images()) == 75
    assert "not done within" in capsys.readouterr().err


def test_ctrl_c_ends_the_example(mocker: MockerFixture) -> None:
    """As any program, with nothing left."""

    async def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    mocker.patch.object(asynchronous, "sweep_async", interrupted)
    with pytest.raises(KeyboardInterrupt):
        asynchronous.main(images())
