"""Which part of an image is attached: what the device will show of it, and which parts are refused."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

import pytest

from ntt_loops import ImageError, Loops
from ntt_loops._attachment.image import Extent, OpenImage, open_image
from ntt_loops._kernel.descriptors import open_numbers
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = Extent()
SIZE_BYTES = 8 * 512


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of eight sectors."""
    path = tmp_path / "536a.img"
    path.write_bytes(bytes(SIZE_BYTES))
    return path


def opened(image: Path, extent: Extent) -> OpenImage:
    """Open it."""
    return open_image(str(image), writable=False, extent=extent)


@pytest.mark.parametrize(
    ("size_bytes", "extent", "shown_bytes", "tail_bytes"),
    [
        (512, WHOLE, 512, 0),
        (1023, WHOLE, 512, 511),
        (SIZE_BYTES + 1, WHOLE, SIZE_BYTES, 1),
        (SIZE_BYTES, Extent(offset_bytes=512), SIZE_BYTES - 512, 0),
        (SIZE_BYTES, Extent(offset_bytes=1), SIZE_BYTES - 512, 511),
        (SIZE_BYTES, Extent(offset_bytes=SIZE_BYTES - 512), 512, 0),
        (SIZE_BYTES, Extent(size_limit_bytes=SIZE_BYTES), SIZE_BYTES, 0),
        (SIZE_BYTES, Extent(size_limit_bytes=1000), 512, 488),
        (SIZE_BYTES, Extent(512, SIZE_BYTES - 512), SIZE_BYTES - 512, 0),
        (SIZE_BYTES, Extent(sector_size_bytes=4096), 4096, 0),
        (SIZE_BYTES + 7, Extent(sector_size_bytes=2048), SIZE_BYTES, 7),
        (4 * 2048, Extent(2048, 4096, 2048), 4096, 0),
    ],
)
def test_whole_sectors_are_shown_and_the_rest_is_the_tail(
    tmp_path: Path, size_bytes: int, extent: Extent, shown_bytes: int, tail_bytes: int
) -> None:
    """The device will show whole sectors of 512 bytes of the extent; what is behind them is told."""
    (tmp_path / "image").write_bytes(bytes(size_bytes))
    one = opened(tmp_path / "image", extent)
    assert (one.size_bytes, one.tail_bytes) == (shown_bytes, tail_bytes)
    one.close()


@pytest.mark.parametrize(
    "extent",
    [
        Extent(offset_bytes=-1),
        Extent(offset_bytes=-512),
        Extent(offset_bytes=SIZE_BYTES),
        Extent(offset_bytes=2**70),
        Extent(offset_bytes=SIZE_BYTES - 511),
        Extent(offset_bytes=True),
        Extent(offset_bytes=512.0),  # type: ignore[arg-type]
        Extent(offset_bytes="512"),  # type: ignore[arg-type]
        Extent(offset_bytes=None),  # type: ignore[arg-type]
        Extent(size_limit_bytes=-1),
        Extent(size_limit_bytes=511),
        Extent(size_limit_bytes=SIZE_BYTES + 1),
        Extent(size_limit_bytes=2**70),
        Extent(512, SIZE_BYTES),
        Extent(size_limit_bytes=False),
        Extent(size_limit_bytes=math.inf),  # type: ignore[arg-type]
        Extent(sector_size_bytes=0),
        Extent(sector_size_bytes=-512),
        Extent(sector_size_bytes=256),
        Extent(sector_size_bytes=513),
        Extent(sector_size_bytes=1536),
        Extent(sector_size_bytes=2 * SIZE_BYTES),
        Extent(sector_size_bytes=2**70),
        Extent(sector_size_bytes=True),
        Extent(sector_size_bytes=512.0),  # type: ignore[arg-type]
        Extent(512, sector_size_bytes=1024),
        Extent(size_limit_bytes=1536, sector_size_bytes=1024),
    ],
    ids=lambda extent: str(extent)[len("Extent") :],
)
def test_an_extent_that_the_image_does_not_have_is_refused(image: Path, extent: Extent) -> None:
    """Out of range, no whole number, or sectors that do not divide it: ImageError EINVAL, and nothing is left open."""
    before = open_numbers()
    with pytest.raises(ImageError, match="nothing was attached") as caught:
        opened(image, extent)
    assert open_numbers() == before
    assert (caught.value.errno, caught.value.image) == (errno.EINVAL, image)


def test_an_attach_takes_the_extent_as_it_is(image: Path, tmp_path: Path) -> None:
    """The device shows what was asked for, and what the image does not have is refused before anything is bound."""
    kernel = MemoryKernel()
    loops = Loops(tmp_path / "run", kernel)
    with loops.attached(image, offset_bytes=512, size_limit_bytes=1100, sector_size_bytes=512) as device:
        assert (device.size_bytes, device.tail_bytes) == (1024, 76)
        assert kernel.size_bytes(device.number) == 1024
    with pytest.raises(ImageError):
        loops.attach_kept(image, offset_bytes=SIZE_BYTES)
    with pytest.raises(ImageError):
        loops.attached(image, size_limit_bytes=True).__enter__()
    assert kernel.bound_numbers() == []
    assert not (tmp_path / "run").exists() or list((tmp_path / "run").iterdir()) == []
