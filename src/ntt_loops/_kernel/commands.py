"""System programs that do what is not this library's subject.

No text of theirs decides whether something worked: where it matters, whoever calls asks the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

from ntt_loops._kernel import guarded, processes
from ntt_loops._kernel.descriptors import above_stdio, open_descriptor
from ntt_loops._kernel.outliving import kept_lock
from ntt_loops._kernel.protocol import StuckError
from ntt_loops._kernel.starting import Starting
from ntt_loops._kernel.values import SECTOR_BYTES, Probe, TableEntry

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence

#: A killed program ends at once, unless it sleeps in the kernel.
_KILLED_SECONDS = 0.5
#: Has the lock that a program is to keep as its standard input, and waits for it. The program itself does not get it: a
#: daemon that it leaves behind, as mount helpers do, would keep it for as long as it lives.
_SHELL = (b"/bin/sh", b"-c", b'"$@" </dev/null; exit $?', b"sh")
#: A shell's exit status where it found no such program.
_NOT_FOUND = 127


class Ended(NamedTuple):
    """How a program ended."""

    status: int
    output: bytes
    #: What it said on stderr, or its exit status where it said nothing.
    text: str


def umount(mount_point: bytes, *, within: float) -> None:
    """Run umount(8) on a mount point, never lazily.

    ``-c`` keeps it from walking the path, which may lie on storage that does not answer.
    """
    ended = _run([b"umount", b"-c", b"--", mount_point], within, package="mount or util-linux")
    if ended.status != 0:
        raise OSError(errno.EBUSY, ended.text)


#: How mount(8) begins its second line, which says that dmesg may tell more.
_MOUNT_CONTINUES = "\n       "


def mount(node: bytes, mount_point: bytes, *, fstype: str, options: str, within: float) -> None:
    """Run mount(8). A mount helper that it started is killed with it.

    It is handed a descriptor of the node: though this process be killed, and its own with it, the number cannot become
    another image's before mount(2) is made (F15).
    """
    command = [b"mount", b"-t", fstype.encode(), b"-o", options.encode(), b"--", node, mount_point]
    with contextlib.ExitStack() as stack:
        passed: tuple[int, ...] = ()
        with contextlib.suppress(OSError):  # then mount(8) says what is wrong with it
            device = stack.enter_context(open_descriptor(node, os.O_RDONLY))
            passed = (stack.enter_context(above_stdio(device)).fileno(),)
        ended = _run(command, within, package="mount or util-linux", passed=passed)
    if ended.status != 0:
        raise OSError(errno.EIO, ended.text.replace(_MOUNT_CONTINUES, " "))


#: blkid's exit status where it found nothing, and where it found several things that exclude each other.
_NOTHING, _AMBIVALENT = 2, 8


def blkid(node: bytes, *, offset_bytes: int, within: float) -> Probe:
    """Run blkid(8) on the device itself, never on what it remembers of it."""
    command = [b"blkid", b"-p", b"-o", b"export", b"-O", b"%d" % offset_bytes, b"--", node]
    ended = _run(command, within, package="util-linux")
    if ended.status in (_NOTHING, _AMBIVALENT):
        return Probe()
    if ended.status != 0:
        raise OSError(errno.EIO, ended.text)
    found = dict(line.split("=", 1) for line in os.fsdecode(ended.output).splitlines() if "=" in line)
    names = ("TYPE", "USAGE", "PTTYPE", "VERSION")
    return Probe(*(found.get(name, "") for name in names))


def stop_stacked(name: str, own_name: str, *, within: float) -> None:
    """Run dmsetup(8) or mdadm(8)."""
    if name.startswith("dm-"):
        ended = _run([b"dmsetup", b"remove", b"--", os.fsencode(own_name)], within, package="dmsetup")
    else:
        ended = _run([b"mdadm", b"--stop", b"/dev/" + os.fsencode(name)], within, package="mdadm")
    if ended.status != 0:
        raise OSError(errno.EBUSY, ended.text)


#: A byte that partx(8) does not print as it is.
_ESCAPED = re.compile(rb"\\x([0-9a-fA-F]{2})")
#: A partition's number, at the end of what sfdisk(8) takes for its node.
_NUMBER = re.compile(r"\d+$")
#: As much of an extended partition as the kernel shows: the logical ones lie in the rest.
_EXTENDED_BYTES = 2 * SECTOR_BYTES


def partition_table(device: io.FileIO, *, within: float) -> list[TableEntry]:
    """Run partx(8) on an open device; it fails alike where there is no table and where one cannot be read.

    It counts in 512 bytes, whatever the device's sector is (F55). What it gives up for a partition past the end (F59)
    is left to sfdisk(8), where that is installed.
    """
    ended = _partx(device, b"--raw", b"--noheadings", b"--output", b"NR,START,SECTORS,TYPE,SCHEME", within=within)
    if ended.status == 0:
        return [_table_entry(line) for line in ended.output.splitlines()]
    return _cut_table(device, within)


def _table_entry(line: bytes) -> TableEntry:
    number, start, sectors, *words = line.split(b" ")
    name, scheme = (os.fsdecode(_ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), word)) for word in words)
    return TableEntry(int(number), int(start) * SECTOR_BYTES, int(sectors) * SECTOR_BYTES, name, scheme)


def _cut_table(device: io.FileIO, within: float) -> list[TableEntry]:
    """Run sfdisk(8), where blkid(8) sees an MBR: by itself sfdisk takes many a boot sector for one."""
    scheme = _run_on(device, [b"blkid", b"-p", b"-o", b"value", b"-s", b"PTTYPE"], within, package="util-linux")
    if scheme.output.strip() != b"dos":
        return []
    try:
        ended = _run_on(device, [b"sfdisk", b"--json"], within, package="fdisk")
    except FileNotFoundError:
        return []
    # It says before the table what it thinks of the links of a damaged extended partition.
    begin = max(ended.output.find(b"{\n"), 0)
    return [] if ended.status != 0 else _sfdisk_entries(json.loads(ended.output[begin:])["partitiontable"])


def _sfdisk_entries(table: dict[str, Any]) -> list[TableEntry]:
    sector_bytes = table.get("sectorsize", SECTOR_BYTES)
    return [
        TableEntry(
            number=int(_NUMBER.findall(one["node"])[0]),
            start_bytes=one["start"] * sector_bytes,
            size_bytes=one["size"] * sector_bytes,
            type=f"0x{one['type'].lower()}",
            scheme="dos",
        )
        for one in table.get("partitions", ())
    ]


def add_partitions(device: io.FileIO, first: int, last: int, *, within: float) -> None:
    """Run ``partx --add``, which goes on after a partition that the kernel refuses; then addpart(8) for a cut table."""
    if _partx(device, b"--add", b"--nr", b"%d:%d" % (first, last), within=within).status == 0:
        return
    if not processes.surroundings().has_sys_admin:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    for entry in _cut_table(device, within):
        if first <= entry.number <= last:
            size_bytes = _EXTENDED_BYTES if entry.is_extended else entry.size_bytes
            place = (entry.number, entry.start_bytes // SECTOR_BYTES, size_bytes // SECTOR_BYTES)
            _run_on(device, [b"addpart"], within, package="util-linux", after=[b"%d" % one for one in place])


def version(path: str, *, within: float) -> str:
    """Return the first line that a program has to say of its version; empty where it does not."""
    with contextlib.suppress(OSError):
        ended = _run([os.fsencode(path), b"--version"], within, package="")
        said = (os.fsdecode(ended.output) or ended.text).strip().splitlines()
        return " ".join(said[0].partition("(")[0].split()) if said else ""
    return ""


def _partx(device: io.FileIO, *options: bytes, within: float) -> Ended:
    return _run_on(device, [b"partx", *options], within, package="util-linux")


def _run_on(
    device: io.FileIO, command: Sequence[bytes], within: float, *, package: str, after: Sequence[bytes] = ()
) -> Ended:
    """Run a program on the very device that is open here, whatever its node is by now; ``after`` comes after that."""
    with above_stdio(device) as passed:
        node = b"/proc/self/fd/%d" % passed.fileno()
        return _run([*command, node, *after], within, package=package, passed=(passed.fileno(),))


def _run(command: Sequence[bytes], within: float, *, package: str, passed: Sequence[int] = ()) -> Ended:
    """Run a program in English; OSError ENOENT where it is not installed, StuckError where it does not end in time."""
    name = os.fsdecode(command[0])
    lock = kept_lock.get()
    program = Starting(lambda: _start(command, passed, lock), _kill)
    try:
        child = program.start()
        output, said = child.communicate(timeout=min(max(within, guarded.SHORTEST_SECONDS), guarded.LONGEST_SECONDS))
    except FileNotFoundError as error:
        raise _not_installed(name, package) from error
    except subprocess.TimeoutExpired:
        program.end()
        message = f"{name} did not end within {within:.1f} s"
        raise StuckError(message) from None
    except BaseException:
        program.end()
        raise
    if lock is not None and child.returncode == _NOT_FOUND:
        raise _not_installed(name, package)
    return Ended(child.returncode, output, os.fsdecode(said).strip() or f"{name}: exit status {child.returncode}")


def _not_installed(name: str, package: str) -> OSError:
    return OSError(errno.ENOENT, f"{name}(8) is not installed (package {package})")


def _start(command: Sequence[bytes], passed: Sequence[int], lock: io.FileIO | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command if lock is None else [*_SHELL, *command],
        stdin=subprocess.DEVNULL if lock is None else lock,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        pass_fds=passed,
        process_group=0,  # a Ctrl-C at the terminal is for this process
    )


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a program and what it started, and wait a moment for its end: even SIGKILL may not end it now.

    Without that wait a mount that it was just making would come after the question whether it did.
    """
    if child.returncode is None:  # else its number may be somebody else's by now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    try:
        child.communicate(timeout=_KILLED_SECONDS)  # until nobody has its pipes: it may be the child of a shell
    except subprocess.TimeoutExpired:
        pass
    finally:
        guarded.leave_behind(child)
