"""The safety net: orphans are detached, records of what is gone are forgotten, what no ledger has is put on record.

It never detaches a device in use, and never waits for one.
"""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import attrs

from ntt_loops._attachment import Outcome, find_holders_of
from ntt_loops._medium.attempt import Attempt
from ntt_loops._medium.freed import Freed
from ntt_loops._medium.plan import Plan, Planner, Scope
from ntt_loops._medium.reports import KeptDevice, Reason, SweepReport
from ntt_loops._medium.rescuable import rescuable_images
from ntt_loops._medium.survey import Survey
from ntt_loops.errors import LedgerError

if TYPE_CHECKING:
    from ntt_loops._attachment import Holder
    from ntt_loops._backoff import Deadline
    from ntt_loops._kernel import Kernel
    from ntt_loops._ledger import Key, Ledger
    from ntt_loops._medium.candidates import Candidate

_REASON_OF: dict[Outcome, Reason] = {
    Outcome.BUSY: "in use",
    Outcome.DETACHING: "detach under way",
    Outcome.NO_NODE: "no node",
    Outcome.STUCK: "storage does not answer",
}


#: The pause before the try of that number: some ten milliseconds.
_PAUSE_OF_A_LOOK = 5


def sweep(kernel: Kernel, ledger: Ledger, scope: Scope, deadline: Deadline) -> SweepReport:
    """Sweep once. See ``Loops.sweep`` for what it raises."""
    if not scope.dry_run:
        kernel.remove_stale_nodes()
    survey = Survey(kernel, deadline)
    planner = Planner(kernel, ledger, scope, survey, deadline)
    planner.plan()
    return _Sweep(kernel, ledger, planner, survey, deadline, dry_run=scope.dry_run).run()


class _Sweep:
    """Carries a plan out: each device once, without waiting."""

    def __init__(  # noqa: PLR0913 - it is what the function above puts together
        self, kernel: Kernel, ledger: Ledger, planner: Planner, survey: Survey, deadline: Deadline, *, dry_run: bool
    ) -> None:
        self._kernel = kernel
        self._survey = survey
        self._ledger = ledger
        self._planner = planner
        self._deadline = deadline
        self._dry_run = dry_run
        self._freed = Freed(kernel, survey)
        self._attempt = Attempt(kernel, deadline, survey.within())
        self._kept = [plan for plan in planner.plans.values() if plan.reason is not None]
        self._struck: defaultdict[str, list[Key]] = defaultdict(list)

    def run(self) -> SweepReport:
        """Detach the orphans and report."""
        orphans = [plan for plan in self._planner.plans.values() if plan.reason is None]
        # Storage that may hang comes last: it must not use up the time of the others.
        orphans.sort(key=lambda plan: plan.candidate.seen.hangs)
        held = self._holders_of(orphans) if self._dry_run else {}
        try:
            for plan in orphans:
                self._sweep_one(plan, held)
        except BaseException as interrupt:
            for problem in self._planner.problems:  # a lost write is said once, so it must not be lost
                interrupt.add_note(problem)
            raise
        self._strike()
        return self._report()

    def _holders_of(self, orphans: list[Plan]) -> dict[int, list[Holder]]:
        """Return who holds them; who merely looked at one is gone when it is asked again, as a detach would."""
        held = find_holders_of(self._kernel, [one.candidate.number for one in orphans])
        in_use = [number for number, holders in held.items() if holders]
        if in_use:
            self._deadline.pause(_PAUSE_OF_A_LOOK)
            held |= find_holders_of(self._kernel, in_use)
        return held

    def _sweep_one(self, plan: Plan, held: dict[int, list[Holder]]) -> None:
        going = self._freed.going(plan.candidate)
        outcome = self._foresee(plan, held) if self._dry_run else self._detach(plan)
        if outcome is Outcome.RELEASED:
            self._freed.released(going)
            if plan.medium is not None and plan.candidate.record is not None and not self._dry_run:
                self._struck[plan.medium].append(plan.candidate.record.key)
        elif isinstance(outcome, str):
            self._kept.append(attrs.evolve(plan, reason=outcome))

    def _detach(self, plan: Plan) -> Outcome | Reason:
        """Detach one device; return Outcome.RELEASED or GONE, else the reason why it stays."""
        if plan.candidate.seen.hangs and self._deadline.expired:
            return "no time left"
        done = self._attempt.detach(plan.candidate, partial(self._on_write_error, plan.candidate))
        if done.error is not None:
            self._planner.problems.append(f"{self._kernel.node(plan.candidate.number)}: {done.error.strerror}")
            return "may not be opened" if isinstance(done.error, PermissionError) else "failed"
        return _REASON_OF.get(done.outcome, done.outcome)

    def _on_write_error(self, candidate: Candidate, error: OSError) -> None:
        node = self._kernel.node(candidate.number)
        image = os.fsdecode(candidate.seen.path)
        self._planner.problems.append(f"what was written to {node} may not be in {image}: {error.strerror}")

    def _foresee(self, plan: Plan, held: dict[int, list[Holder]]) -> Outcome | Reason:
        """Tell what a detach would do, without one: a claim is laid on it for a moment."""
        if held[plan.candidate.number]:
            return "in use"
        try:
            self._kernel.open(plan.candidate.number, exclusive=True).close()
        except OSError as error:
            if error.errno == errno.EBUSY:
                return "in use"
            if error.errno in (errno.ENXIO, errno.ENOENT):
                return "detach under way" if error.errno == errno.ENXIO else "no node"
            if error.errno in (errno.EACCES, errno.EPERM):
                return "may not be opened"
            raise
        return Outcome.RELEASED

    def _strike(self) -> None:
        """Take what was released off the ledgers."""
        for medium, keys in self._struck.items():
            try:
                with self._ledger.locked(medium, self._deadline) as book:
                    for key in keys:
                        book.remove(key)
            except LedgerError as error:
                self._planner.problems.append(str(error))

    def _report(self) -> SweepReport:
        in_use = [plan.candidate.number for plan in self._kept if plan.reason == "in use"]
        held = find_holders_of(self._kernel, in_use)
        bound = self._survey.look()
        planned = {plan.candidate.seen.key for plan in self._planner.plans.values()}
        return SweepReport(
            dry_run=self._dry_run,
            released=self._freed.devices(bound),
            kept=tuple(self._kept_device(plan, tuple(held.get(plan.candidate.number, ()))) for plan in self._kept),
            forgotten=tuple(self._planner.forgotten),
            adopted=tuple(self._planner.adopted),
            problems=tuple(dict.fromkeys(self._planner.problems)),
            rescuable=rescuable_images(self._kernel, self._survey, [one for one in bound if one.key in planned]),
        )

    def _kept_device(self, plan: Plan, found: tuple[Holder, ...]) -> KeptDevice:
        candidate = plan.candidate
        if plan.reason == "owner alive":
            found = self._attempt.holders(candidate, Outcome.BUSY)
        node = self._kernel.node(candidate.number)
        return KeptDevice(node, self._survey.image_of(candidate.seen), plan.medium, plan.reason or "in use", found)
