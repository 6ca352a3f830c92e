"""The runner of the self-test and its report, on plans of the test's own."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reader.box.commands import RunSelfTest
from reader.cli import selftest
from reader.errors import PortRefused, TimingMatError, UsageError
from reader.messages import Check, Result, SelfTest, Verdict
from reader.model import Mode
from reader.selftest import inside, runner
from reader.selftest.bench import Bench
from reader.selftest.inside import SelfTests
from reader.selftest.plan import Plan
from reader.selftest.report import report_from, sentence_of, verdict_of
from reader.selftest.runner import Doing, Found, examine, plans_named
from reader.selftest.table import PLANS
from tests.fakes.bench import Standing, bench_of
from tests.fakes.clock import FakeClock
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "EVERY_S", 0.01)
    monkeypatch.setattr(runner, "LEAVE_LIMIT_S", 0.5)


def found(result: Result, name: str = "disk", says: str = "it is so", do: str = "") -> Check:
    return Check(name=name, result=result, says=says, do=do)


def plan(name: str, run: Callable[[Bench], Iterator[Check]], **more: Any) -> Plan:
    return Plan(name, f"looks at {name}", run, **more)


def passing(name: str, **more: Any) -> Plan:
    return plan(name, lambda _: iter([found("pass", name)]), **more)


def raising(error: Exception) -> Callable[[Bench], Iterator[Check]]:
    def run(_: Bench) -> Iterator[Check]:
        yield found("pass", "before")
        raise error

    return run


def checks_of(plans: list[Plan], on: Bench, limit_s: float = 5) -> list[Check]:
    return [told.check for told in examine(plans, on, limit_s) if isinstance(told, Found)]


# ---- the order, and what goes wrong ----------------------------------------------------------------------


def test_findings_come_in_the_order_of_the_plans_with_what_is_done_meanwhile() -> None:
    told = list(
        examine([passing("a"), plan("b", lambda _: iter([found("warn", "b:1"), found("pass", "b:2")]))], bench_of())
    )
    assert told == [
        Doing("looks at a"),
        Found(found("pass", "a"), 1, 2),
        Doing("looks at b"),
        Found(found("warn", "b:1"), 2, 2),
        Found(found("pass", "b:2"), 2, 2),
    ]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PortRefused("/dev/ttyUSB0: another program holds it"), "/dev/ttyUSB0: another program holds it"),
        (PermissionError(13, "Permission denied", "/sys/x"), "/sys/x: Permission denied"),
        (
            ZeroDivisionError("by zero"),
            "a fault of this program in the check bad (ZeroDivisionError('by zero')): please",
        ),
    ],
)
def test_what_a_check_lets_out_is_a_failure_in_words_and_the_rest_goes_on(error: Exception, says: str) -> None:
    before, bad, after = checks_of([plan("bad", raising(error)), passing("after")], bench_of())
    assert (before.result, after.result) == ("pass", "pass")
    assert (bad.name, bad.result) == ("bad", "fail")
    assert bad.says.startswith(says)


def test_a_check_that_hangs_is_given_up_and_the_rest_goes_on() -> None:
    is_over = threading.Event()

    def hang(_: Bench) -> Iterator[Check]:
        yield found("pass", "hangs:1")
        is_over.wait(30)

    try:
        told = list(examine([plan("hangs", hang), passing("after")], bench_of(), 0.05))
    finally:
        is_over.set()
    first, given_up, after = (one.check for one in told if isinstance(one, Found))
    assert (first.result, given_up.result, after.result) == ("pass", "fail", "pass")
    assert "given up" in given_up.says
    assert told.count(Doing("looks at hangs")) >= 3  # told again while it lasts


def test_what_a_check_says_is_being_done_comes_out() -> None:
    def guide(on: Bench) -> Iterator[Check]:
        on.tell("pass the test chip over antenna 2")
        yield found("pass")

    assert Doing("pass the test chip over antenna 2") in list(examine([plan("chip", guide)], bench_of()))


def test_a_check_that_nobody_waits_for_any_more_puts_back_what_it_changed() -> None:
    is_put_back, goes_on = threading.Event(), threading.Event()

    def change(_: Bench) -> Iterator[Check]:
        try:
            yield found("pass")
            goes_on.wait(30)
            yield found("pass")
            raise AssertionError("it went on")
        finally:
            is_put_back.set()

    told = examine([plan("change", change)], bench_of())
    while not isinstance(next(told), Found):
        pass
    told.close()
    goes_on.set()
    assert is_put_back.wait(10)


# ---- what is left out ------------------------------------------------------------------------------------


def test_what_transmits_is_skipped_until_it_is_allowed() -> None:
    touching = passing("antennas", touches="it transmits")
    (skipped,) = checks_of([touching], bench_of())
    assert (skipped.result, skipped.says) == ("skip", "it transmits: allow it with --yes")
    assert checks_of([touching], bench_of(is_allowed=True)) == [found("pass", "antennas")]


@pytest.mark.parametrize(("mode", "result"), [("race", "skip"), ("test", "pass"), ("released", "pass"), (None, "pass")])
def test_what_interrupts_timing_is_not_done_in_a_race(mode: Mode | None, result: Result) -> None:
    interrupting = passing("region", interrupts=True)
    (check,) = checks_of([interrupting], bench_of(mode=mode, is_allowed=True))
    assert check.result == result
    assert result == "pass" or "timing-mat mode test" in check.says


def test_a_race_that_begins_meanwhile_ends_what_interrupts_it() -> None:
    standing = Standing("test")

    def interrupt(_: Bench) -> Iterator[Check]:
        yield found("pass", "antennas:1")
        standing.mode = "race"
        yield found("pass", "antennas:2")
        raise AssertionError("it went on in a race")

    on = bench_of(mode="test", is_allowed=True, status=standing)
    *_, last = checks_of([plan("antennas", interrupt, interrupts=True)], on)
    assert (last.name, last.result) == ("antennas", "skip")


def test_a_race_that_begins_ends_what_waits_meanwhile_and_it_puts_back_what_it_changed() -> None:
    standing = Standing("test")
    is_put_back = threading.Event()

    def wait(on: Bench) -> Iterator[Check]:
        try:
            standing.mode = "race"
            on.pause(30)
            yield found("pass")
        finally:
            is_put_back.set()

    on = bench_of(mode="test", status=standing)
    skipped, after = checks_of([plan("chip", wait, interrupts=True), passing("after")], on)
    assert (skipped.result, after.result) == ("skip", "pass")
    assert is_put_back.is_set()


def test_checks_are_chosen_by_name_in_the_order_of_the_table() -> None:
    plans = [passing("disk-free"), passing("disk-sync"), passing("clock-source")]
    assert plans_named([], plans) == plans
    assert plans_named(["clock-source", "disk-free"], plans) == [plans[0], plans[2]]
    with pytest.raises(
        UsageError, match=r"found 'disk-fre'; did you mean 'disk-free'. There are: disk-free, disk-sync"
    ):
        plans_named(["disk-fre"], plans)
    with pytest.raises(UsageError, match="found 'zzz'; expected one of: disk-free"):
        plans_named(["zzz"], plans)


# ---- the report ------------------------------------------------------------------------------------------


def test_the_worst_decides_and_what_was_skipped_changes_nothing() -> None:
    assert verdict_of([found("pass"), found("skip")]) == "pass"
    assert verdict_of([found("warn"), found("skip"), found("pass")]) == "warn"
    assert verdict_of([found("warn"), found("fail"), found("pass")]) == "fail"
    assert verdict_of([]) == verdict_of([found("skip")]) == "warn"  # silence is not health


def test_one_sentence_says_what_to_do_the_worst_first() -> None:
    loose = found("fail", says="antenna 2 of reader main is not connected", do="check its cable")
    clock = found("warn", says="the clock has no source", do="connect a network")
    good = [found("pass")] * 3
    assert sentence_of([clock, loose, loose, *good]) == (
        "Do not go to the start like this: antenna 2 of reader main is not connected: check its cable (and 1 more)"
    )
    assert sentence_of([*good, clock]) == "Ready, but the clock has no source: connect a network"
    assert sentence_of([*good, found("skip")]) == "Ready: 3 checks passed, 1 skipped"
    assert sentence_of([*good]) == "Ready: 3 checks passed"
    assert sentence_of([found("skip")]) == "Nothing is known: no check could be made, 1 skipped"
    assert sentence_of([]) == "Nothing is known: no check could be made"


def test_the_examples_name_checks_that_there_are() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    named = set(re.findall(r"--check ([a-z-]+)", f"{selftest.selftest.__doc__} {readme}")) - {"name"}
    assert named
    assert named <= {plan.name for plan in PLANS}


def test_the_report_says_whose_it_is_and_how_long_it_took() -> None:
    on = bench_of()
    began_ns = on.clock.mono_ns()
    clock = on.clock
    assert isinstance(clock, FakeClock)
    clock.go(12.34)
    report = report_from(on, [found("warn")], began_ns, clock.now())
    assert (report.box, report.verdict, report.took_s) == ("box-1", "warn", 12.3)


# ---- in a daemon -----------------------------------------------------------------------------------------


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    monkeypatch.setattr(inside, "PLANS", (passing("a"), passing("b", touches="it transmits")))
    return []


def selftests(said: list[bytes], answer: Callable[[Verdict], None] = lambda _: None) -> SelfTests:
    on = bench_of()
    return SelfTests(on.config, on.clock, on.identity, on.links, Standing("race"), lambda: None, said.append, answer)


def test_the_button_has_one_made_and_published_that_transmits_nothing(said: list[bytes]) -> None:
    answered: list[Verdict] = []
    tests = selftests(said, answered.append)
    tests.begin()
    (report,) = (msgspec.json.decode(one, type=SelfTest) for one in wait_until(lambda: said, what="the report"))
    assert [(one.name, one.result) for one in report.checks] == [("a", "pass"), ("b", "skip")]
    assert wait_until(lambda: answered, what="the panel's answer") == ["pass"]
    tests.say_again()  # to another uplink
    assert said == said[:1] * 2


def test_what_is_not_to_be_published_is_not_told_again(said: list[bytes]) -> None:
    tests = selftests(said)
    *_, report = tests.run(RunSelfTest(yes=True))
    assert isinstance(report, SelfTest)
    assert report.says == "Ready: 2 checks passed"
    tests.say_again()
    assert said == []


def test_a_daemon_that_does_not_answer_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise TimingMatError("no permission for it")

    monkeypatch.setattr(selftest, "ask", refuse)
    with pytest.raises(TimingMatError, match="no permission"):
        selftest._mode_of_daemon(None, tmp_path / "control.sock")


def test_a_thread_of_a_check_does_not_outlive_it() -> None:
    checks_of([passing("a"), passing("b")], bench_of())
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("check ")], what="their end")
