"""`timing-mat selftest`: the checks, through the daemon on this box, or by itself where none runs."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from reader.box.assigned import applied
from reader.box.commands import RunSelfTest
from reader.box.control import ask, ask_for_pages
from reader.cli.naming import SocketOption, socket_of, who
from reader.cli.run import ConfigOption
from reader.cli.selftest_lights import lights_of, watch_lights
from reader.cli.selftest_view import show, show_plans
from reader.config import find, load
from reader.errors import NoDaemon, TimingMatError
from reader.journal.lock import is_in_use
from reader.messages import Check, SelfTest
from reader.model import Mode
from reader.selftest.alone import OPENED, run_alone
from reader.selftest.plan import Plan
from reader.selftest.runner import Doing, Found, plans_named
from reader.selftest.standing import LINES
from reader.selftest.table import PLANS

PROGRESS_LIMIT_S = 30.0  # it tells every second how far it has come


def selftest(
    check: Annotated[
        list[str] | None,
        typer.Option(
            "--check", metavar="NAME", help="Only this check; may be given several times.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="It may transmit and beep: do not ask.")] = False,
    publish: Annotated[bool, typer.Option("--publish", help="Tell race control the report, retained.")] = False,
    chip_wait_s: Annotated[
        float, typer.Option(help="How long a test chip is waited for on each antenna.", min=1, max=120)
    ] = 20,
    shows_list: Annotated[bool, typer.Option("--list", help="Only say which checks there are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as it is, on one line.")] = False,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Look whether all is well, check by check; exit code 1 if one of them fails.

    With the daemon running it is done through it, and no read is lost. What would interrupt timing is done only in
    mode test or released. Without a daemon the readers' lines are opened, and nothing that they say is kept.

    Example: timing-mat selftest --check antenna --check test-chip
    """
    plans = plans_named(check or [], PLANS)
    console = Console()
    if shows_list:
        show_plans(plans, console)
        return
    place = socket or socket_of(config)
    mode = _mode_of_daemon(config, place)
    has_person = sys.stdin.isatty() and console.is_terminal and not as_json
    lights: list[str] = []
    if has_person and mode in ("test", "released") and any(plan.name == "panel" for plan in plans):
        lights = lights_of(config)
    is_allowed = yes or (has_person and _may(plans, mode, lights))
    seen = watch_lights(lights, place) if is_allowed else {}
    if mode is None and is_allowed and not as_json:
        print(f"No daemon runs: {OPENED}.")
    asked = RunSelfTest(checks=check or [], yes=is_allowed, seen=seen, chip_wait_s=chip_wait_s, publish=publish)
    telling = _by_daemon(asked, place) if mode else run_alone(load(find(config)), asked, lambda: _is_daemon_at(place))
    with closing(telling):
        report = _print_report(telling) if as_json else show(telling, console)
    if report.verdict == "fail":
        raise typer.Exit(1)


def _print_report(telling: Generator[Doing | Found | SelfTest, None, None]) -> SelfTest:
    """As JSON, as soon as it is known: where it can't be published, that is said after it."""
    report = None
    for told in telling:
        if isinstance(told, SelfTest):
            report = told
            print(msgspec.json.encode(report).decode(), flush=True)
    assert report is not None  # noqa: S101 - the last that is told
    return report


def _mode_of_daemon(config: Path | None, place: Path) -> Mode | None:
    """The mode of the daemon; None where none runs. TimingMatError where one runs and does not answer."""
    try:
        reply = ask(place, {"do": "status"})
    except NoDaemon:
        journal = applied(load(find(config))).journal.path
        try:
            is_used = is_in_use(journal)
        except PermissionError as error:
            says = f"{journal}: {error.strerror}: whether a daemon has the readers can't be known; run this as its user"
            raise TimingMatError(says) from error
        if is_used:
            says = (
                f"a daemon writes {journal}, but nothing answers at {place}: its readers are left to it; start it anew"
            )
            raise TimingMatError(says) from None
        return None
    if not reply.get("ok"):
        raise TimingMatError(f"the daemon says: {reply.get('error')}")
    mode: Mode = reply["status"]["mode"]
    return mode


def _is_daemon_at(place: Path) -> bool:
    try:
        return bool(ask(place, {"do": "ping"}, limit_s=1.0)["ok"])
    except TimingMatError:
        return False


def _by_daemon(asked: RunSelfTest, place: Path) -> Generator[Doing | Found | SelfTest, None, None]:
    """What the daemon tells of it. TimingMatError, in its words, if it refuses."""
    command = msgspec.to_builtins(asked) | {"do": "selftest", "live": True, "by": who()}
    del command["id"]
    for reply in ask_for_pages(place, command, PROGRESS_LIMIT_S):
        if not reply.get("ok"):
            raise TimingMatError(f"the daemon says: {reply.get('error')}")
        if "doing" in reply:
            yield Doing(reply["doing"])
        elif "check" in reply:
            yield Found(msgspec.convert(reply["check"], Check), reply["done"], reply["of"])
        else:
            yield msgspec.convert(reply, SelfTest)


def _may(plans: Sequence[Plan], mode: Mode | None, lights: Sequence[str]) -> bool:
    """Whether a person lets it touch what it would touch here and now."""
    would = [
        f"{plan.name}: {touches}"
        for plan in plans
        if (touches := plan.touches or plan.thoroughly)
        and not (mode == "race" and (plan.interrupts or plan.thoroughly))
    ]
    if mode is None and any(plan.needs == LINES for plan in plans):
        would.insert(0, f"no daemon runs: {OPENED}")
    if lights:
        would.append(f"panel: these go on, one after the other: {', '.join(lights)}")
    if not would:
        return False
    print("This self-test would touch:")
    for one in would:
        print(f"  {one}")
    return typer.confirm("May it? What it may not is skipped", default=False)
