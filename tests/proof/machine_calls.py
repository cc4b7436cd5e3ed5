"""The calls that let devices go, and ledgers that were spoilt before."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis.stateful import rule

from tests.proof.machine import PATIENT, PICK, WHO, Base, ask, nodes, pick, when

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ntt_loops import SweepReport
    from tests.proof.model import Device, Done


class Calls(Base):
    """Each call, with what the model says of it."""

    @rule(place=PICK, how=st.sampled_from(["garbage", "torn", "removed"]))
    @when(lambda self: any(self.host.lines.values()))
    def spoil_ledger(self, place: int, how: str) -> None:
        """A ledger file is overwritten, gets half a line more, or is removed."""
        spoilt = pick(place, [one for one, lines in self.host.lines.items() if lines])
        path = spoilt[0] / f"{spoilt[1]}.jsonl"
        if how == "torn":
            path.write_bytes(path.read_bytes() + b'{"event":"detached","numb')
            return
        self.host.lines[spoilt] = {}
        self.host.corrupt.discard(spoilt)
        if how == "garbage":
            path.write_bytes(b"\xff garbage\n")
            self.host.corrupt.add(spoilt)
        else:
            path.unlink()

    @rule(who=WHO, place=PICK, unmount=st.booleans())
    def release_all_of_a_medium(self, who: int, place: int, *, unmount: bool) -> None:
        """By id."""
        attached = [one.place[1] for one in self.host.devices if one.place is not None]
        medium = pick(place, [*self.media, *attached, *attached])
        self.host.book((self.run_dir(who), medium))
        devices = self.host.of_id((self.run_dir(who), medium), is_hash=medium == self.hash)
        self._release_all(who, medium, devices, (), unmount=unmount)

    @rule(who=WHO, place=PICK, unmount=st.booleans())
    def release_all_of_a_file(self, who: int, place: int, *, unmount: bool) -> None:
        """By path."""
        attached = [one.file.path for one in self.loops()]
        path = pick(place, [*self.paths, *attached, *attached])
        book = self.host.book((self.run_dir(who), path.stem))
        devices = self.host.of_path(path)
        same_id = [one for one in self.loops() if one in book or (one.place and one.place[1] == path.stem)]
        self._release_all(who, path, devices, set(same_id) - devices, unmount=unmount)

    def _release_all(
        self, who: int, what: Path | str, devices: set[Device], left: Iterable[Device], *, unmount: bool
    ) -> None:
        run_dir = self.run_dir(who)
        done = self.host.release(devices, run_dir, unmount=unmount)
        timeout = self._timeout(done.stays, unmount=unmount)
        report, stay = ask(self.actor(who), "call", "release_all", what, unmount=unmount, timeout=timeout)
        assert stay == nodes(done.stays)
        assert Counter(one.device for one in report.released) == Counter(nodes(done.released))
        assert report.freed_bytes == done.freed_bytes
        self._count(done)
        assert {one.device for one in report.left} == nodes(left)
        self.host.forget_gone((run_dir, what if isinstance(what, str) else what.stem))

    def _timeout(self, stays: set[Device], *, unmount: bool = False) -> float:
        if not stays:
            return PATIENT
        return max(self.stage.impatience, 1.0 if unmount and self.stage.impatience else 0.0)

    @rule(who=WHO, place=PICK)
    @when(lambda self: self.handles)
    def release_one(self, who: int, place: int) -> None:
        """By the object that an attach returned, which may have been another's device for long."""
        handle = pick(place, self.handles)
        run_dir = self.run_dir(who)
        self.host.book((run_dir, handle.medium))
        done = self.host.release([one for one in self.host.devices if one.handle is handle], run_dir)
        _, stay = ask(self.actor(who), "call", "release", handle, timeout=self._timeout(done.stays))
        assert stay == nodes(done.stays)
        self.host.forget_gone((run_dir, handle.medium), number=handle.number)

    @rule(
        who=WHO,
        scope=st.sampled_from(["ours", "under", "system"]),
        kept=st.booleans(),
        dry_run=st.booleans(),
    )
    def sweep(self, who: int, scope: str, *, kept: bool, dry_run: bool) -> None:
        """In each of its scopes, and dry."""
        run_dir = self.run_dir(who)
        under = self.folders[0] if scope == "under" else None
        if not dry_run:
            self.host.tidy(run_dir)
        orphans = self.host.orphans(run_dir, under=under, system=scope == "system", kept=kept)
        expected = {one for one in orphans if not one.is_used}
        report: SweepReport = self.actor(who).ask(
            "call",
            "sweep",
            under=under or (),
            system=scope == "system",
            kept_older_than=0 if kept else None,
            dry_run=dry_run,
            timeout=PATIENT,
        )
        assert Counter(one.device for one in report.released) == Counter(nodes(expected))
        if dry_run:
            return
        done = self.host.release(orphans, run_dir)
        assert report.freed_bytes == done.freed_bytes
        self._count(done)
        assert {one.device for one in report.kept if one.reason == "in use"} == nodes(done.stays)

    def _count(self, done: Done) -> None:
        self.steps["devices released"] += len(done.released)
        self.steps["devices in use that stayed"] += len(done.stays)
        self.steps["releases that freed bytes"] += done.freed_bytes > 0
