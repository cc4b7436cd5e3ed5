"""One image on one device: attaching it, knowing it again, letting it go, and who keeps it busy."""

from __future__ import annotations

from ntt_loops._attachment.attachment import LoopAttachment, Options, attach_kept
from ntt_loops._attachment.detach import Detacher
from ntt_loops._attachment.device import LoopDevice
from ntt_loops._attachment.holders import Holder, find_holders, find_holders_of
from ntt_loops._attachment.identity import Identity
from ntt_loops._attachment.naming import Text, check_medium, checked_path, image_path, is_hash, is_named_for, medium_of
from ntt_loops._attachment.outcome import Detached, Outcome
from ntt_loops._attachment.partitions import Partition

__all__ = [
    "Detached",
    "Detacher",
    "Holder",
    "Identity",
    "LoopAttachment",
    "LoopDevice",
    "Options",
    "Outcome",
    "Partition",
    "Text",
    "attach_kept",
    "check_medium",
    "checked_path",
    "find_holders",
    "find_holders_of",
    "image_path",
    "is_hash",
    "is_named_for",
    "medium_of",
]
