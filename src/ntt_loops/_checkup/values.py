"""What a checkup says."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from ntt_loops._plain import fields_of

#: ``failed``: a promise is not kept here. ``warning``: something that is wanted by some is missing.
CheckStatus = Literal["ok", "warning", "failed"]


@attrs.frozen
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        status: ``ok``; ``warning``: all promises are kept, but less is told, or some work is left to you; ``failed``: a
            promise is not kept on this machine.
        found: What was found, in words.
        advice: What to do; empty where it is ok.
    """

    name: str
    status: CheckStatus
    found: str
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return fields_of(self)


def judged(name: str, found: str, *, warning: str = "", failed: str = "") -> Check:
    """Return a check with the worse of the two that has an advice."""
    if failed:
        return Check(name, "failed", found, failed)
    return Check(name, "warning" if warning else "ok", found, warning)


@attrs.frozen
class MachineReport:
    """A machine that was looked at.

    Attributes:
        checks: Each thing, in the order in which they build on each other.
    """

    checks: tuple[Check, ...]

    @property
    def keeps_promises(self) -> bool:
        """Whether nothing failed; warnings do not count."""
        return all(one.status != "failed" for one in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {"keeps_promises": self.keeps_promises, **fields_of(self)}
