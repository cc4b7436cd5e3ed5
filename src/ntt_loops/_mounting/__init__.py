"""Mounting one device or partition, read-only and without a replay, for evidence."""

from __future__ import annotations

from ntt_loops._mounting.leaving import Leaving
from ntt_loops._mounting.mount import mount
from ntt_loops._mounting.mounted import mounted
from ntt_loops._mounting.options import checked_fstype
from ntt_loops._mounting.source import Source

__all__ = ["Leaving", "Source", "checked_fstype", "mount", "mounted"]
