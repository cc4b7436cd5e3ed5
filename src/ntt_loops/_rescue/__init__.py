"""Copying a deleted image back from the device that still has it."""

from __future__ import annotations

from ntt_loops._rescue.rescue import Request, rescue
from ntt_loops._rescue.values import LostBytes, RescueReport

__all__ = ["LostBytes", "Request", "RescueReport", "rescue"]
