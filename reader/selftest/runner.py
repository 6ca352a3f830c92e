"""Makes the checks of a self-test, one plan after the other, and hands on each finding as it is made.

Nothing that goes wrong in a check ends the others. Each runs in a thread of its own: one that hangs is given up and
left to itself, and one that nobody waits for any more ends, and puts back what it changed, at its next finding.
"""

from __future__ import annotations

import contextlib
import difflib
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from reader.errors import TimingMatError, UsageError
from reader.messages import Check, SelfTest
from reader.selftest.bench import Bench, Left
from reader.selftest.plan import Plan
from reader.selftest.report import report_from

EVERY_S = 1.0  # so often something is told, a check that takes its time too
LEAVE_LIMIT_S = 2.0  # for a check that is left to put back what it changed
LIMIT_S = 60.0  # from one word of a check to its next, besides what a test chip is waited for

IN_RACE = "not done in a race, only in mode test or released: timing-mat mode test"
RACE_BEGAN = f"a race has begun, and the rest is {IN_RACE}"


class Doing(NamedTuple):
    """What is done now, or what somebody should do; told again while it lasts."""

    says: str


class Found(NamedTuple):
    """A finding, and which of how many plans it is of."""

    check: Check
    nth: int
    of: int


_Told: TypeAlias = Doing | Check | None  # None: the plan has come to its end


def plans_named(names: Sequence[str], plans: Sequence[Plan]) -> list[Plan]:
    """Those, in the order of the table; all for no name. UsageError for one that there is not."""
    known = [plan.name for plan in plans]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? There are" if near else "expected one of"
            raise UsageError(f"checks: found {name!r}; {hint}: {', '.join(known)}")
    return [plan for plan in plans if not names or plan.name in names]


def examine(plans: Sequence[Plan], bench: Bench, limit_s: float = LIMIT_S) -> Generator[Doing | Found, None, None]:
    """What they find. The bench's own ``tell`` is not called: what would be told comes out here.

    ``limit_s``: how long a plan may say nothing, neither find nor tell, beyond the bench's ``chip_wait_s``.
    """
    for nth, plan in enumerate(plans, 1):
        bench = replace(bench, mode=bench.mode_now())
        if why_not := _why_not(plan, bench):
            yield Found(Check(name=plan.name, result="skip", says=why_not), nth, len(plans))
            continue
        yield Doing(plan.says)
        for told in _carry_out(plan, bench, limit_s + bench.chip_wait_s):
            yield told if isinstance(told, Doing) else Found(told, nth, len(plans))


def run(plans: Sequence[Plan], bench: Bench) -> Generator[Doing | Found | SelfTest, None, None]:
    """A whole self-test: what is done and found, and last the report."""
    began_ns = bench.clock.mono_ns()
    checks: list[Check] = []
    with contextlib.closing(examine(plans, bench)) as telling:
        for told in telling:
            if isinstance(told, Found):
                checks.append(told.check)
            yield told
    yield report_from(bench, checks, began_ns, bench.clock.now())


def _is_out_of_place(plan: Plan, bench: Bench) -> bool:
    return plan.interrupts and bench.mode_now() == "race"


def _why_not(plan: Plan, bench: Bench) -> str:
    """Why it is not made here and now, or ""."""
    if plan.needs in bench.missing:
        return bench.missing[plan.needs]
    if _is_out_of_place(plan, bench):
        return IN_RACE
    return f"{plan.touches}: allow it with --yes" if plan.touches and not bench.is_allowed else ""


def _carry_out(plan: Plan, bench: Bench, limit_s: float) -> Iterator[Doing | Check]:
    told: queue.SimpleQueue[_Told] = queue.SimpleQueue()
    leaving = threading.Event()
    its_bench = replace(bench, tell=lambda says: told.put(Doing(says)), leaving=leaving)
    thread = threading.Thread(target=_find, args=(plan, its_bench, told), name=f"check {plan.name}")
    thread.daemon = True
    thread.start()
    doing, waited_s = Doing(plan.says), 0.0
    try:
        while True:
            try:
                one = told.get(timeout=EVERY_S)
            except queue.Empty:
                waited_s += EVERY_S
                if waited_s >= limit_s:
                    says = f"nothing was found within {limit_s:g} s: the check was given up, the others go on"
                    yield Check(name=plan.name, result="fail", limit=f"{limit_s:g} s", says=says)
                    return
                if _is_out_of_place(plan, bench):
                    yield Check(name=plan.name, result="skip", says=RACE_BEGAN)
                    return
                yield doing
                continue
            if one is None:
                return
            if isinstance(one, Doing):
                doing = one
            waited_s = 0.0
            yield one
    finally:
        leaving.set()
        thread.join(LEAVE_LIMIT_S)


def _find(plan: Plan, bench: Bench, told: queue.SimpleQueue[_Told]) -> None:
    """The body of its thread; whatever the plan lets out becomes a finding."""
    try:
        findings = plan.run(bench)
        try:
            for check in findings:
                told.put(check)
                bench.pause(0)
                if _is_out_of_place(plan, bench):
                    told.put(Check(name=plan.name, result="skip", says=RACE_BEGAN))
                    break
        finally:
            if isinstance(findings, Generator):
                findings.close()  # it puts back what it changed
    except Left:
        if _is_out_of_place(plan, bench):
            told.put(Check(name=plan.name, result="skip", says=RACE_BEGAN))
    except TimingMatError as error:
        told.put(Check(name=plan.name, result="fail", says=str(error)))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        told.put(Check(name=plan.name, result="fail", says=f"{where}{error.strerror or error}"))
    except Exception as error:
        says = f"a fault of this program in the check {plan.name} ({error!r}): please report it"
        told.put(Check(name=plan.name, result="fail", says=says))
    finally:
        told.put(None)
