"""The whole way, from the line to race control, by every broker that is said to do.

The real daemon; records by hand on its line; a subscriber with a persistent session, as race control's is. In the
middle the broker is killed, runners go on crossing, and it comes back.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import pytest

from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.uplink import wire
from reader.uplink.broker import Broker, Connection, Outgoing
from reader.uplink.publisher import Uplink
from tests.broker import MOSQUITTO, Mosquitto, Received, Subscriber
from tests.brokers import nats, rabbitmq
from tests.brokers.nats import Nats
from tests.brokers.rabbitmq import RabbitMQ
from tests.daemon import Daemon, Line, message
from tests.fakes.log import FINISH, FakeEpoch, FakeLog
from tests.ipico import record
from tests.server import Server
from tests.waiting import wait_until

pytestmark = pytest.mark.long

MAT = "timing/brokers/finish/mat"
BATCH = 100  # runners before the broker is killed, while it is away, and after
LARGEST_BYTES = 1_400_000  # `expect` with the chips of 48,000; a page of a rewind, 500 entries, is smaller


class Kind(NamedTuple):
    """A broker, and what it is expected to do differently.

    ``asked``: the ``version`` configured. ``spoken``: the one that comes of it. ``keeps_acknowledged``: what it has
    acknowledged survives its own ``kill -9``. ``finds_retained``: to a filter with wildcards too.
    """

    name: str
    make: Callable[[], Server]
    why_not: str
    asked: Literal["auto", "3.1.1"]
    spoken: Literal["5", "3.1.1"]
    keeps_acknowledged: bool
    finds_retained: bool


def lasting_mosquitto() -> Mosquitto:
    return Mosquitto(keeps_messages=True)


NO_MOSQUITTO = "" if Path(MOSQUITTO).exists() else "mosquitto is not installed (apt install mosquitto)"
KINDS = [
    Kind("mosquitto, MQTT 5", lasting_mosquitto, NO_MOSQUITTO, "auto", "5", False, True),
    Kind("mosquitto, MQTT 3.1.1", lasting_mosquitto, NO_MOSQUITTO, "3.1.1", "3.1.1", False, True),
    Kind("RabbitMQ", RabbitMQ, rabbitmq.WHY_NOT, "auto", "3.1.1", True, False),
    Kind("NATS", Nats, nats.WHY_NOT, "auto", "3.1.1", True, True),
]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    if kind.why_not:
        pytest.skip(kind.why_not)
    return kind


@pytest.fixture(scope="module")
def broker(kind: Kind) -> Iterator[Server]:
    with kind.make() as broker:
        yield broker


def settings(kind: Kind, broker: Server) -> MqttSettings:
    return MqttSettings(port=broker.port, version=kind.asked)


def let_it_save(broker: Server) -> None:
    """mosquitto writes down once a second what waits and who has subscribed; the others before they acknowledge."""
    if isinstance(broker, Mosquitto):
        saved, after_s = broker.folder / "mosquitto.db", time.time()
        wait_until(lambda: saved.exists() and saved.stat().st_mtime > after_s, what="its database to be written")


def sequenced(received: list[Received]) -> list[tuple[str, int]]:
    """``(epoch, seq)`` as they came, doubles and all."""
    told = (message(one.payload) for one in received if one.topic.rsplit("/", 1)[-1] in wire.SEQUENCED)
    return [(one["epoch"], one["seq"]) for one in told]


def once(numbers: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return list(dict.fromkeys(numbers))


def test_every_passing_arrives_once_in_order_and_gapless_though_the_broker_is_killed(
    kind: Kind, broker: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"""
        [mat]
        event = "brokers"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        [gate]
        quiet_s = 0.2
        [mqtt]
        port = {broker.port}
        version = "{kind.asked}"
    """
    chips = (f"0580{number:08x}" for number in itertools.count(1))
    made: list[str] = []
    with ExitStack() as stack:
        line = stack.enter_context(Line(tmp_path / "line"))
        control = stack.enter_context(Subscriber(broker.port, "timing/brokers/#", client_id="race-control"))
        daemon = stack.enter_context(Daemon(tmp_path, text))

        def cross(count: int) -> None:
            for chip in itertools.islice(chips, count):
                made.append(chip.upper())
                line.write(record(chip, datetime.now(UTC)) * 2)

        def arrived() -> set[str]:
            return {message(one.payload)["chip"] for one in control.on("/split")}

        daemon.wait_for_recording()
        wait_until(lambda: daemon.status()["parts"]["broker"]["word"] == "ok", what="the connection")
        cross(BATCH)
        if kind.keeps_acknowledged:
            control.wait_for("/split", 5)  # and the rest is on its way
        else:
            wait_until(lambda: len(arrived()) == BATCH, 30, "the splits before the kill")
            let_it_save(broker)
        broker.kill()
        cross(BATCH)
        wait_until(lambda: daemon.status()["parts"]["broker"]["word"] == "fail", what="the word that it is away")
        assert daemon.status()["recording"]
        broker.start()
        began = time.monotonic()
        cross(BATCH)
        wait_until(lambda: len(arrived()) == len(made), 60, "every split")
        caught_up_s = time.monotonic() - began
        daemon.wait_for_delivery()
        last_seq = daemon.status()["last_seq"]
        wait_until(lambda: len(once(sequenced(control.received))) >= last_seq, 30, "every entry")

        numbers = sequenced(control.received)
        firsts = once(numbers)
        assert [seq for _, seq in firsts] == list(range(1, len(firsts) + 1)), "in order, gapless, one epoch"
        crossed = [message(one.payload)["chip"] for one in {o.payload: o for o in control.on("/split")}.values()]
        assert sorted(crossed) == sorted(made)
        assert {message(one.payload)["chip"] for one in control.on("/heard")} <= set(made)
        assert len(control.on("/heard")) >= BATCH
        with capsys.disabled():
            print(
                f"\n{kind.name}: {len(made)} passings, {len(firsts)} entries, {len(numbers) - len(firsts)} came again;"
                f" all there {caught_up_s:.1f} s after the broker was back"
            )

        daemon.kill()
        wait_until(lambda: b'"lost"' in control.on("/link")[-1].payload, 30, "the last will")
    for what in ("link", "status"):
        with Subscriber(broker.port, f"{MAT}/{what}") as late:
            assert late.wait_for(f"/{what}")[0].is_retained
    with Subscriber(broker.port, f"{MAT}/link") as late:
        assert message(late.wait_for("/link")[0].payload)["link"] == "lost"


@contextmanager
def uplink(log: FakeLog, to: MqttSettings) -> Iterator[Uplink]:
    uplink = Uplink(
        settings=to,
        identity=FINISH,
        open_view=log.view,
        delivered=log.note_delivered,
        answer=lambda command: {},
        clock=SystemClock(),
    )
    uplink.start()
    try:
        yield uplink
    finally:
        uplink.stop()


def opened(to: MqttSettings, name: str) -> Connection:
    return Broker(to, name, SystemClock()).connect()


def test_the_version_is_agreed_on_at_once(kind: Kind, broker: Server) -> None:
    began = time.monotonic()
    connection = opened(settings(kind, broker), "box-brokers-finish-mat")
    took_s = time.monotonic() - began
    connection.close()
    assert connection.version == kind.spoken
    assert took_s < 1


def test_only_mqtt_5_tells_that_nobody_is_listening(kind: Kind, broker: Server) -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(10)
    log = FakeLog(epoch)
    with uplink(log, settings(kind, broker)) as running:
        if kind.spoken == "5":
            wait_until(lambda: running.state.nobody_listening, what="the word that nobody listens")
            assert log.delivered == []
        else:
            wait_until(lambda: log.delivered[-1:] == [("e1", 10)], what="the cursor: the broker's word is all there is")


def test_what_comes_while_race_control_is_away_waits_for_it(
    kind: Kind, broker: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 3000
    epoch = FakeEpoch("away", FINISH)
    epoch.append(count)
    log = FakeLog(epoch)
    with Subscriber(broker.port, "timing/#", client_id="away"):
        pass
    with uplink(log, settings(kind, broker)):
        began = time.monotonic()
        wait_until(lambda: log.delivered[-1:] == [("away", count)], 60, "the cursor")
        took_s = time.monotonic() - began
    let_it_save(broker)
    broker.kill()
    broker.start()
    with Subscriber(broker.port, "timing/#", client_id="away") as control:
        wait_until(lambda: len(once(sequenced(control.received))) >= count, 60, "all of them")
        firsts = once(sequenced(control.received))
    assert firsts == [("away", seq) for seq in range(1, count + 1)]
    with capsys.disabled():
        print(f"\n{kind.name}: {count} entries for one who is away: {count / took_s:.0f}/s acknowledged")


def test_the_latest_word_is_there_for_who_comes_later(kind: Kind, broker: Server) -> None:
    topic = "timing/brokers/finish/later/status"
    connection = opened(settings(kind, broker), "later")
    for word in (b'{"first":1}', b'{"second":2}'):
        connection.publish(Outgoing(topic, word, retain=True), "status")
    while connection.outstanding:
        connection.turn(0.1)
    connection.close()
    with Subscriber(broker.port, topic) as late:
        assert [(one.payload, one.is_retained) for one in late.wait_for("/status")] == [(b'{"second":2}', True)]
    with Subscriber(broker.port, "timing/brokers/+/later/+") as late:
        late.say("timing/brokers/finish/later/end", b"")
        late.wait_for("/end")
        found = [one.payload for one in late.on("/status")]
        assert found == ([b'{"second":2}'] if kind.finds_retained else [])


def test_what_race_control_acknowledged_before_is_found_by_its_name(kind: Kind, broker: Server) -> None:
    epoch = FakeEpoch("acked", FINISH)
    epoch.append(10)
    log = FakeLog(epoch)
    ack = json.dumps({"box": FINISH.box, "acks": {"acked": 10}, "time": "2026-03-07T13:48:50Z"}).encode()
    with Subscriber(broker.port, "timing/#") as control:
        control.say(wire.topic(FINISH, "ack/rc1"), ack, retain=True)
        collected = msgspec.structs.replace(settings(kind, broker), delivered_when="control", collectors=("rc1",))
        with uplink(log, collected):
            wait_until(lambda: log.delivered[-1:] == [("acked", 10)], what="the cursor, by what is retained")


def test_the_largest_message_passes(kind: Kind, broker: Server) -> None:
    with Subscriber(broker.port, "timing/#") as control:
        control.say("timing/brokers/finish/mat/expect", bytes(LARGEST_BYTES))
        assert len(control.wait_for("/expect")[0].payload) == LARGEST_BYTES
