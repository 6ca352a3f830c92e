"""`timing-mat expect`: race control tells a mat who is still to come, and arms the sweep."""

from __future__ import annotations

import contextlib
import secrets
import threading
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from reader.cli.broker_options import as_level, with_broker
from reader.clock import Clock, SystemClock, rfc3339_from_utc_ns
from reader.config import MqttSettings
from reader.errors import BrokerRefused, UsageError
from reader.model import NS_PER_S
from reader.racecontrol.store import is_done, wish
from reader.racecontrol.wished import NOTHING, Wish, applied, wish_from_typed
from reader.uplink import wire
from reader.uplink.broker import Broker, Connection, Outgoing

LISTEN_NS = NS_PER_S  # a broker sends what is retained at once
TAKEN_WITHIN_NS = 3 * NS_PER_S  # collect publishes at most once a second
POLL_S = 0.1
OPTION_OF = {
    "count": "--count",
    "sweep_armed": "--arm-sweep",
    "last_runner_at": "--last-runner-at",
    "waive": "--waive",
    "unwaive": "--unwaive",
    "by": "--by",
}


@with_broker
def expect(
    broker: MqttSettings,
    point: Annotated[
        str | None,
        typer.Argument(
            help="The timing point, as finish; with --db and without a point: all.",
            callback=as_level,
            show_default=False,
        ),
    ] = None,
    db: Annotated[
        Path | None, typer.Option(help="collect's database: collect publishes it.", show_default=False)
    ] = None,
    event: Annotated[
        str | None, typer.Option(help="The event, without --db.", callback=as_level, show_default=False)
    ] = None,
    mat: Annotated[
        str | None, typer.Option(help="Only this mat of the point.", callback=as_level, show_default=False)
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many are still to come.", show_default=False)] = None,
    computed: Annotated[
        bool, typer.Option("--computed", help="As collect computes it: takes back --count and --last-runner-at.")
    ] = False,
    arm_sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHIP", help="The chip of the last vehicle; may be given again. It replaces those armed before."
        ),
    ] = None,
    disarm: Annotated[bool, typer.Option("--disarm", help="No sweep is armed any more.")] = False,
    last_runner_at: Annotated[
        str | None,
        typer.Option(
            help="When the last one will be there, with its zone, as 2026-03-07T16:10:00Z.", show_default=False
        ),
    ] = None,
    waive: Annotated[
        list[str] | None,
        typer.Option(metavar="BIB", help="A bib or chip that nobody need wait for; may be given again. Needs --db."),
    ] = None,
    unwaive: Annotated[
        list[str] | None, typer.Option(metavar="BIB", help="Waited for again; may be given again. Needs --db.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who says so.")] = "expect",
) -> None:
    """Tell a mat who is still to come, and which chip is the sweep's: the last vehicle, after which it may go.

    What is not said stays as it was. With --db, the database of a running `timing-mat collect`, it is written
    there, and collect publishes it with all that it computes. Without it, it is published from here, to the mats of
    the point that have ever said a word: only where no collect computes, for its next word would replace it.

    Example: timing-mat expect finish --db chicago-2023.db --arm-sweep E28011700000000000000001
    """
    said = _wish_from_options(
        count=count,
        computed=computed,
        arm_sweep=arm_sweep,
        disarm=disarm,
        last_runner_at=last_runner_at,
        waive=waive,
        unwaive=unwaive,
        by=by,
    )
    if db is not None:
        _write(db, point or "", mat, said)
    elif event is None or point is None:
        raise UsageError("expected --db, collect's database; or a point and --event, to publish from here")
    elif said.waive or said.unwaive or computed:
        raise UsageError("--waive, --unwaive and --computed: only collect can tell; expected --db, its database")
    else:
        _publish(broker, event, point, mat, said)


def _wish_from_options(
    *,
    count: int | None,
    computed: bool,
    arm_sweep: list[str] | None,
    disarm: bool,
    last_runner_at: str | None,
    waive: list[str] | None,
    unwaive: list[str] | None,
    by: str,
) -> Wish:
    if computed and not (count is None and last_runner_at is None):
        raise UsageError("--computed: found beside --count or --last-runner-at, expected one or the other")
    if disarm and arm_sweep:
        raise UsageError("--disarm: found beside --arm-sweep, expected one or the other")
    typed: dict[str, object] = {"by": by}
    if count is not None or computed:
        typed["count"] = count
    if last_runner_at is not None or computed:
        typed["last_runner_at"] = last_runner_at
    if arm_sweep or disarm:
        typed["sweep_armed"] = tuple(arm_sweep or ())
    typed["waive"] = tuple(waive or ())
    typed["unwaive"] = tuple(unwaive or ())
    said = wish_from_typed(typed, OPTION_OF)
    if msgspec.structs.replace(said, by="") == NOTHING:
        options = ", ".join(option for name, option in OPTION_OF.items() if name != "by")
        raise UsageError(f"nothing to say: expected one of {options}, --computed, --disarm")
    return said


def _write(db: Path, point: str, mat: str | None, said: Wish) -> None:
    clock = SystemClock()
    n = wish(db, point=point, mat=mat, body=msgspec.to_builtins(said), said_utc_ns=clock.now().utc_ns)
    end_ns = clock.mono_ns() + TAKEN_WITHIN_NS
    while not is_done(db, n):
        if clock.mono_ns() > end_ns:
            print(f"written to {db}; no collect has published it yet: is it running, and has it heard of such a mat?")
            return
        threading.Event().wait(POLL_S)
    print(f"written to {db}, and published by collect")


def _publish(settings: MqttSettings, event: str, point: str, mat: str | None, said: Wish) -> None:
    clock = SystemClock()
    connection = Broker(settings, f"expect-{secrets.token_hex(6)}", clock).connect()
    try:
        known = _known(connection, f"{settings.prefix}/{event}/{point}", mat, settings.prefix, clock)
        if not known:
            raise UsageError(f"{event}/{point}: no mat has ever said a word there; expected --mat, its id")
        now = rfc3339_from_utc_ns(clock.now().utc_ns)
        messages = {its_mat: applied(said, before, now) for its_mat, before in known.items()}
        for its_mat, message in messages.items():
            if message is None:
                raise UsageError(f"{point}/{its_mat}: nothing is known of who is still to come; expected --count too")
        for its_mat, message in messages.items():
            topic = f"{settings.prefix}/{event}/{point}/{its_mat}/expect"
            _send(connection, Outgoing(topic, msgspec.json.encode(message), retain=True))
            print(f"published on {topic}: {msgspec.json.encode(message).decode()}")
    finally:
        connection.close()


def _known(
    connection: Connection, place: str, mat: str | None, prefix: str, clock: Clock
) -> dict[str, wire.Expect | None]:
    """The mats there, by what is retained of them, and what they are told now."""
    connection.subscribe(*(f"{place}/{mat or '+'}/{what}" for what in ("expect", "link", "status")))
    end_ns = clock.mono_ns() + LISTEN_NS
    while (left_ns := end_ns - clock.mono_ns()) > 0:
        connection.turn(left_ns / NS_PER_S)
    known: dict[str, wire.Expect | None] = {} if mat is None else {mat: None}
    for arrived in connection.inbox:
        its_mat = wire.address_from_topic(arrived.topic, prefix).mat
        known.setdefault(its_mat, None)
        with contextlib.suppress(wire.MessageMalformed):  # what stands there makes no sense: it is replaced
            message = wire.decode(arrived.topic, arrived.payload, prefix)
            if isinstance(message, wire.Expect):
                known[its_mat] = message
    return known


def _send(connection: Connection, message: Outgoing) -> None:
    """Until the broker has it. BrokerError if it does not take it."""
    connection.publish(message, message.topic)
    while not connection.answers:
        connection.turn(POLL_S)  # raises when no answer comes
    answer = connection.answers.popleft()
    if not answer.is_taken:
        raise BrokerRefused(f"broker {connection.where} refuses {message.topic}: {answer.says}")
