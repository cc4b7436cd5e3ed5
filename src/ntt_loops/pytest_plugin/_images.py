"""Making the images that ``loop_image`` is asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from ntt_loops._default import DEFAULT
from ntt_loops._kernel import TableEntry
from ntt_loops.pytest_plugin import _programs
from ntt_loops.pytest_plugin._wanted import FOLDER_OPTIONS, MIB, SECTOR_BYTES, Content, Wanted, image_of
from ntt_loops.testing import MemoryKernel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ntt_loops.pytest_plugin import LoopImages, PartitionContent

#: The images that were made for a test.
IMAGES: Final = pytest.StashKey[list[Path]]()
#: Blkid finds nothing in it, and it is not what a hole reads as.
_PATTERN: Final = b"ntt-loops test image\n".ljust(SECTOR_BYTES, b".")
_QUIET: Final = {"btrfs": ("-q", "-f"), "vfat": (), "xfs": ("-q", "-f")}


class ImageMaker:
    """What ``LoopImages`` says, for one test."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._config = request.config
        self._made = request.node.stash.setdefault(IMAGES, [])
        self._folder = folder

    def __repr__(self) -> str:
        return f"<loop_image, below {self._folder}>"

    def __call__(  # noqa: PLR0913 - as LoopImages has it
        self,
        *,
        name: str | None = None,
        size_bytes: int | None = None,
        fstype: str | None = None,
        files: Mapping[str, bytes] | None = None,
        partitions: Sequence[PartitionContent] = (),
        label: str = "dos",
    ) -> Path:
        """Check, make, and tell the kernel in memory."""
        wanted = image_of(
            name=name, size_bytes=size_bytes, fstype=fstype, files=files, partitions=partitions, label=label
        )
        path = self._folder / wanted.name
        with path.open("xb") as image:
            image.truncate(wanted.size_bytes)
        try:
            self._fill(path, wanted)
        except BaseException:
            path.unlink()
            raise
        self._made.append(path)
        _tell(path, wanted)
        return path

    def _fill(self, path: Path, wanted: Wanted) -> None:
        if wanted.partitions:
            self._write_table(path, wanted)
            for content in wanted.partitions:
                self._fill_partition(path, content)
        elif wanted.whole.fstype is not None:
            self._make_file_system(path, wanted.whole)
        else:
            _write_pattern(path, wanted.size_bytes)

    def _write_table(self, path: Path, wanted: Wanted) -> None:
        lines = [
            f"start={one.start_bytes // SECTOR_BYTES}, size={one.size_bytes // SECTOR_BYTES}, type={one.type}"
            for one in wanted.partitions
        ]
        sfdisk = _programs.found("sfdisk", self._config)
        _programs.run([sfdisk, "--quiet", "--no-reread", path], text="\n".join([f"label: {wanted.label}", *lines, ""]))

    def _fill_partition(self, path: Path, content: Content) -> None:
        if content.fstype is None:
            return
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            part = Path(folder, "partition")
            with part.open("xb") as file:
                file.truncate(content.size_bytes)
            self._make_file_system(part, content)
            _copy_into(path, content.start_bytes, part)

    def _make_file_system(self, path: Path, content: Content) -> None:
        fstype = str(content.fstype)
        command = [_programs.found(f"mkfs.{fstype}", self._config), *_QUIET.get(fstype, ("-q", "-F"))]
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            for name, data in content.files.items():
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            options = [FOLDER_OPTIONS[fstype], folder] if content.files else []
            _programs.run([*command, *options, path])


def _write_pattern(path: Path, size_bytes: int) -> None:
    """Fill the beginning; the rest of a large image stays a hole."""
    filled_bytes = min(size_bytes, MIB)
    with path.open("r+b") as image:
        image.write((_PATTERN * (filled_bytes // len(_PATTERN) + 1))[:filled_bytes])


def _copy_into(path: Path, offset_bytes: int, part: Path) -> None:
    """Copy a file to a byte of an image, but its holes."""
    with path.open("r+b") as image, part.open("rb") as source:
        while block := source.read(MIB):
            if block.count(0) != len(block):
                image.seek(offset_bytes)
                image.write(block)
            offset_bytes += len(block)


def _tell(path: Path, wanted: Wanted) -> None:
    """Say to the kernel in memory what is in an image: it reads none."""
    world = DEFAULT.stand_in()
    if world is None or not isinstance(world.kernel, MemoryKernel):
        return
    kernel = world.kernel
    if wanted.partitions:
        kernel.put_table(path, *_entries(wanted))
    for content in wanted.partitions or (wanted.whole,):
        if content.fstype is not None:
            kernel.format(path, content.fstype, offset_bytes=content.start_bytes, files=content.files)


def _entries(wanted: Wanted) -> list[TableEntry]:
    """Return the partitions as partx(8) tells them."""
    prefix = "0x" if wanted.label == "dos" else ""
    return [
        TableEntry(number, one.start_bytes, one.size_bytes, f"{prefix}{one.type.lower()}", wanted.label)
        for number, one in enumerate(wanted.partitions, 1)
    ]


if TYPE_CHECKING:
    _: type[LoopImages] = ImageMaker
