"""What the kernel is told and what it answers, in its own words."""

from __future__ import annotations

import attrs

#: The kernel's sector: sizes in sysfs and of loop devices are whole sectors of this (F5).
SECTOR_BYTES = 512
#: ``lo_file_name`` keeps this many bytes and a NUL (F4).
NAME_BYTES = 63
#: What the kernel puts behind the path of a file whose directory entry is gone (F28).
DELETED_SUFFIX = b" (deleted)"
_EXTENDED_TYPES = ("0x5", "0xf", "0x85")


@attrs.frozen
class LoopConfig:
    """What LOOP_CONFIGURE is asked to do in its one step (F2)."""

    name: bytes = attrs.field(validator=attrs.validators.max_len(NAME_BYTES))
    read_only: bool = True
    autoclear: bool = False
    partscan: bool = True
    offset_bytes: int = 0
    size_limit_bytes: int = 0
    #: 0: the kernel's own choice, 512 for an image file.
    sector_size_bytes: int = 0


@attrs.frozen
class LoopStatus:
    """What LOOP_GET_STATUS64 says of a bound device.

    ``backing_dev`` and ``backing_inode`` equal ``stat()`` of the opened image (F29).
    """

    number: int
    backing_dev: int
    backing_inode: int
    offset_bytes: int
    size_limit_bytes: int
    name: bytes
    read_only: bool
    autoclear: bool
    partscan: bool


@attrs.frozen
class LoopFlags:
    """The flags of a bound device, as sysfs has them (F39)."""

    read_only: bool
    autoclear: bool
    partscan: bool


@attrs.frozen
class BoundDevice:
    """What sysfs says of a bound device, without opening it."""

    number: int
    #: None before 5.15 (F8).
    diskseq: int | None
    #: The path, with " (deleted)" behind it where its directory entry is gone; any bytes (F27, F28). Empty where the
    #: kernel would not say: a path over 4095 bytes, or a detach at that instant.
    backing_file: bytes


@attrs.frozen
class PartitionNode:
    """A partition as sysfs lists it."""

    number: int
    name: str
    start_bytes: int
    size_bytes: int
    #: The device number, as in ``st_rdev``.
    rdev: int


@attrs.frozen
class TableEntry:
    """A partition as the table has it, whether or not the kernel took it."""

    number: int
    start_bytes: int
    size_bytes: int
    #: As libblkid says it: "0x83", a GUID in small letters, "Apple_HFS".
    type: str
    #: Of the table: "dos", "gpt", "mac".
    scheme: str

    @property
    def is_extended(self) -> bool:
        """Whether it only holds logical partitions: the kernel shows no more of it than its own table (F55)."""
        return self.scheme == "dos" and self.type in _EXTENDED_TYPES


@attrs.frozen
class Surroundings:
    """What stands around this process, when the kernel refuses it something."""

    has_module: bool = True
    has_sys_admin: bool = True
    has_seccomp_filter: bool = False


@attrs.frozen
class Process:
    """A process, told from a later one with the same pid by its start time (clock ticks since boot)."""

    pid: int
    start_ticks: int
    pid_namespace: int


@attrs.frozen
class Mount:
    """A mount, in one mount namespace."""

    rdev: int
    mount_point: bytes
    fstype: str
    source: bytes
    #: A process that lives in that namespace, and its command name.
    pid: int
    command: str
    #: Whether the namespace is that of this process: only then umount(8) here can reach it.
    is_ours: bool
    #: Whether a later mount stands on the same mount point: umount(8) would take that one.
    is_covered: bool = False


@attrs.frozen
class Opener:
    """A process with a descriptor of a device or of one of its partitions."""

    pid: int
    command: str
    #: The path it was opened by, as that process sees it.
    path: bytes
    #: Which of the devices it is.
    rdev: int


@attrs.frozen
class Probe:
    """What blkid(8) found on a device, in its words; empty where it found nothing, or more than one thing."""

    #: ``ext4``, ``LVM2_member``...
    type: str = ""
    #: ``filesystem``, ``raid``, ``crypto`` or ``other``.
    usage: str = ""
    #: The kind of partition table: ``dos``, ``gpt``, ``mac``...
    table: str = ""
    version: str = ""


@attrs.frozen
class StackedDevice:
    """A device-mapper or md device."""

    #: ``dm-3``, ``md127``.
    name: str
    #: The name that its own tool knows it by: ``vg-home``; that of md is the kernel's.
    own_name: str
    #: The device numbers of the disk and of its partitions.
    rdevs: frozenset[int]
    #: The device numbers of what it stands on.
    slaves: frozenset[int]
    #: The kernel names of what stands on it or on one of its partitions.
    holders: tuple[str, ...] = ()
