"""Measures in the text format of Prometheus."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest, write_to_textfile

if TYPE_CHECKING:
    from collections.abc import Mapping

_SINGLE = {
    "stuck_devices": "Devices whose storage does not answer.",
    "deleted_bytes": "Bytes of deleted images that devices keep on the disk, by the size of the images.",
    "oldest_kept_seconds": "Age of the oldest kept attachment that is on record, 0 where there is none.",
    "free_numbers": "Loop devices that can be attached beside those that are.",
}
_OF_THE_SWEEP = {
    "time": ("timestamp_seconds", "When the last sweep ended, in seconds since 1970."),
    "duration_seconds": ("duration_seconds", "How long the last sweep took."),
    "released": ("released_devices", "Devices that the last sweep detached."),
    "kept": ("kept_devices", "Devices that the last sweep looked at and left."),
    "freed_bytes": ("freed_bytes", "What file systems got back by the last sweep."),
}


def registry_of(found: Mapping[str, Any]) -> CollectorRegistry:
    """Return the measures as gauges."""
    registry = CollectorRegistry()
    devices = Gauge("ntt_loops_devices", "Loop devices of the host, each in one state.", ["state"], registry=registry)
    for state, number in found["devices"].items():
        devices.labels(state).set(number)
    for name, text in _SINGLE.items():
        Gauge(f"ntt_loops_{name}", text, registry=registry).set(found[name])
    sweep = found["last_sweep"]
    if sweep is not None:
        for field, (name, text) in _OF_THE_SWEEP.items():
            Gauge(f"ntt_loops_last_sweep_{name}", text, registry=registry).set(sweep[field])
        text = "Whether the last sweep was done without a problem."
        Gauge("ntt_loops_last_sweep_success", text, registry=registry).set(sweep["outcome"] == "done")
    return registry


def text_of(registry: CollectorRegistry) -> str:
    """Return what Prometheus reads."""
    return generate_latest(registry).decode()


def write(registry: CollectorRegistry, path: str) -> None:
    """Write it to a file, whole or not at all, for everybody to read; ValueError for what is there and no such file."""
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        message = f"{path} is no regular file, and would be replaced by one: without --output it is printed"
        raise ValueError(message)
    before = os.umask(0o022)  # a service has 0077, and node_exporter runs as somebody else
    try:
        write_to_textfile(path, registry)
    finally:
        os.umask(before)
