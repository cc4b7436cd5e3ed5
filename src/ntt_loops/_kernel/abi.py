"""Numbers and layouts of <linux/loop.h>, <linux/fs.h> and <linux/blkpg.h>."""

from __future__ import annotations

import os
import struct

LOOP_CLR_FD = 0x4C01
LOOP_SET_STATUS64 = 0x4C04
LOOP_GET_STATUS64 = 0x4C05
LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_ADD = 0x4C80
LOOP_CTL_GET_FREE = 0x4C82
BLKPG = 0x1269

LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4
LO_FLAGS_PARTSCAN = 8

BLKPG_DEL_PARTITION = 2

#: lo_device, lo_inode, lo_rdevice, lo_offset, lo_sizelimit, lo_number, lo_encrypt_type, lo_encrypt_key_size, lo_flags,
#: lo_file_name, lo_crypt_name, lo_encrypt_key, lo_init.
LOOP_INFO64 = struct.Struct("=5Q4I64s64s32s2Q")
#: fd, block_size, a loop_info64, eight reserved words.
LOOP_CONFIG_HEAD = struct.Struct("=iI")
LOOP_CONFIG_TAIL = bytes(8 * 8)
#: op, flags, datalen, the address of a blkpg_partition.
BLKPG_IOCTL_ARG = struct.Struct("@iiiP")
#: start, length, pno, devname, volname.
BLKPG_PARTITION = struct.Struct("@qqi64s64s4x")
U64 = struct.Struct("=Q")


def _ior_u64(number: int) -> int:
    """Return _IOR(0x12, number, u64): a few old architectures encode the direction in other bits."""
    is_old = os.uname().machine.startswith(("alpha", "mips", "parisc", "ppc", "sparc"))
    return (0x40000000 if is_old else 0x80000000) | U64.size << 16 | 0x1200 | number


BLKGETSIZE64 = _ior_u64(114)
BLKGETDISKSEQ = _ior_u64(128)
