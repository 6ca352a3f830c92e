"""The uplink against real brokers that are killed, and a fake one that refuses, stalls and lies."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.errors import BrokerUnreachable
from reader.messages import Heard
from reader.model import ClockQuality, Identity
from reader.replies import Answer, Command, Reply
from reader.uplink import backlog, broker, publisher
from reader.uplink.publisher import Uplink
from tests.broker import Mosquitto, Received, Subscriber
from tests.fakes.broker import FakeBroker, Published
from tests.fakes.log import FINISH, FakeEpoch, FakeLog
from tests.waiting import free_port, wait_until

LINK = "timing/chicago-2023/finish/finish-main/link"
CMD = "timing/chicago-2023/finish/finish-main/cmd"


@contextlib.contextmanager
def running(
    log: FakeLog,
    port: int,
    settings: MqttSettings | None = None,
    *,
    starts: bool = True,
    answer: Answer = lambda _command: {},
) -> Iterator[Uplink]:
    uplink = Uplink(
        settings=settings or MqttSettings(port=port),
        identity=FINISH,
        open_view=log.view,
        delivered=log.note_delivered,
        answer=answer,
        clock=SystemClock(),
    )
    if starts:
        uplink.start()
    try:
        yield uplink
    finally:
        uplink.stop()


def heard(chip: str) -> Heard:
    return Heard(
        event=FINISH.event,
        point=FINISH.point,
        mat=FINISH.mat,
        box=FINISH.box,
        mode="race",
        passing="e1-1",
        chip=chip,
        time="2026-03-07T13:48:50.500000Z",
        line="main",
        reader="main",
        antenna=1,
        clock=ClockQuality(synced=True, source="ntp", error_ms=2.0),
    )


def seqs(messages: list[Received]) -> list[int]:
    return [json.loads(message.payload)["seq"] for message in messages]


def firsts(numbers: list[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


def test_entries_arrive_in_order_and_the_cursor_follows(mosquitto: Mosquitto) -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(500)
    log = FakeLog(epoch)
    with Subscriber(mosquitto.port, "timing/#") as control, running(log, mosquitto.port) as uplink:
        control.wait_for("/split", 500)
        epoch.append(kind="notice")
        uplink.wake()
        assert seqs(control.wait_for("/notice")) == [501]
        wait_until(lambda: log.delivered[-1:] == [("e1", 501)], what="the cursor")
        wait_until(lambda: uplink.state.backlog == {"e1": 0}, what="the state")
        assert (uplink.state.connected, uplink.state.word) == (True, "ok")
    assert seqs(control.on("/split")) == list(range(1, 501))
    assert log.delivered == sorted(set(log.delivered))
    message = json.loads(control.on("/split")[6].payload)
    assert message == {
        "v": 1, "type": "split", "epoch": "e1", "seq": 7, "event": "chicago-2023", "point": "finish",
        "mat": "finish-main", "box": "b17", "mode": "race", "n": 7,
    }  # fmt: skip


def test_order_and_cursor_survive_twenty_kills_of_the_broker(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "BACKOFF_LAST_S", 0.1)
    monkeypatch.setattr(backlog, "HOLD_NS", 50_000_000)
    epoch = FakeEpoch("e1", FINISH)
    log = FakeLog(epoch)
    arrived: list[int] = []
    killed_midway: set[int] = set()
    with running(log, mosquitto.port) as uplink:
        for kill in range(20):
            with Subscriber(mosquitto.port, "timing/#") as control:
                epoch.append(50)
                uplink.wake()
                if kill % 2:
                    wait_until(lambda: seqs(control.on("/split"))[-1:] == [len(epoch.entries)], what="all so far")
                else:
                    control.wait_for("/split", 5)
                    killed_midway.update(range(50 * kill + 1, 50 * kill + 51))
                mosquitto.kill()
            arrived += seqs(control.on("/split"))
            mosquitto.start()
        wait_until(lambda: uplink.state.connected, what="the last connection")
    # What a broker has acknowledged and was killed before it passed on is lost by the broker, not by the
    # uplink; the next test counts where nothing of the kind can hide a loss.
    assert firsts(arrived) == sorted(set(arrived))
    assert set(range(1, 1001)) - set(arrived) <= killed_midway
    cursor = [seq for _, seq in log.delivered]
    assert cursor == sorted(cursor)


def test_nothing_is_lost_over_twenty_broken_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "BACKOFF_LAST_S", 0.05)
    monkeypatch.setattr(publisher, "BACKOFF_FIRST_S", 0.05)
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(2000)
    log = FakeLog(epoch)
    with FakeBroker() as fake:

        def puback(published: Published) -> int:
            if len(fake.published) % 97 == 0 and fake.accepted <= 20:
                fake.drop()  # before its acknowledgement, with a window of others on their way
            return 0

        fake.puback = puback
        with running(log, fake.port):
            wait_until(lambda: log.delivered[-1:] == [("e1", 2000)], what="the cursor")
        assert fake.accepted > 20
        sent = [json.loads(published.payload)["seq"] for published in fake.topics("/split")]
    assert firsts(sent) == list(range(1, 2001))
    assert len(sent) < 2000 + 21 * 101, "at most a window again for each break"


def test_an_unheard_split_waits_for_somebody_to_listen(mosquitto: Mosquitto) -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(kind="notice")
    epoch.append(30)
    log = FakeLog(epoch)
    with running(log, mosquitto.port) as uplink:
        wait_until(lambda: uplink.state.nobody_listening, what="the word that nobody listens")
        assert uplink.state.word == "warn"
        assert "nobody is listening" in uplink.state.says
        assert log.delivered == [("e1", 1)], "the notice isn't judged so"
        with Subscriber(mosquitto.port, "timing/#") as control:
            assert seqs(control.wait_for("/split", 30)) == list(range(2, 32))
            wait_until(lambda: log.delivered[-1] == ("e1", 31), what="the cursor")
            wait_until(lambda: uplink.state.word == "ok", what="the word that all is well")


@pytest.mark.parametrize("settings", [MqttSettings(delivered_when="broker"), MqttSettings(version="3.1.1")])
def test_where_it_is_the_brokers_word_nobody_need_listen(mosquitto: Mosquitto, settings: MqttSettings) -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(30)
    log = FakeLog(epoch)
    with running(log, mosquitto.port, msgspec.structs.replace(settings, port=mosquitto.port)):
        wait_until(lambda: log.delivered[-1:] == [("e1", 30)], what="the cursor")


def test_a_negative_acknowledgement_is_none() -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(10)
    log = FakeLog(epoch)
    refusals = iter([0x87, 0x97])

    def puback(published: Published) -> int:
        return next(refusals, 0) if b'"seq":4,' in published.payload else 0

    with FakeBroker(puback=puback) as fake, running(log, fake.port) as uplink:
        wait_until(lambda: "refuses split 4: Not authorized" in uplink.state.says, what="the refusal, told")
        assert log.delivered[-1] == ("e1", 3)
        wait_until(lambda: "refuses split 4: Quota exceeded" in uplink.state.says, what="the second refusal, told")
        wait_until(lambda: log.delivered[-1] == ("e1", 10), what="the cursor")
        sent = [json.loads(published.payload)["seq"] for published in fake.topics("/split")]
        assert sent.count(4) == 3
        assert firsts(sent) == list(range(1, 11))


@pytest.mark.parametrize("topic", [b"a/b", b"timing/chicago-2023/finish/other-mat/cmd", b"timing/x", b""])
def test_what_was_not_asked_for_is_passed_over(topic: bytes) -> None:
    epoch = FakeEpoch("e1", FINISH)
    log = FakeLog(epoch)
    with FakeBroker() as fake, running(log, fake.port) as uplink:
        wait_until(lambda: uplink.state.connected, what="the connection")
        body = len(topic).to_bytes(2) + topic + b"\0" + b'{"id":"1","do":"ping"}'
        fake.send(bytes([0x30, len(body)]) + body)
        epoch.append(5)
        uplink.wake()
        wait_until(lambda: log.delivered[-1:] == [("e1", 5)], what="the cursor")
        assert uplink.state.word == "ok"
        assert (fake.accepted, fake.topics("/reply")) == (1, [])


def test_the_brokers_receive_maximum_is_kept() -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append()
    log = FakeLog(epoch)
    receive_maximum_5 = bytes.fromhex("20 06 00 00 03 21 00 05")
    with FakeBroker(connack={5: receive_maximum_5}) as fake, running(log, fake.port) as uplink:
        wait_until(lambda: log.delivered == [("e1", 1)], what="the first, which goes alone")
        fake.keeps_back = 1000
        epoch.append(200)
        uplink.wake()
        wait_until(lambda: len(fake.topics("/split")) >= 6, what="a full window")
        # Told after all that the window lets through, and without an acknowledgement of its own.
        uplink.say_heard(heard("AA"))
        wait_until(lambda: fake.topics("/heard"), what="heard")
        assert fake.most_outstanding == 5
        fake.keeps_back = 1
        uplink.say_heard(heard("BB"))
        wait_until(lambda: log.delivered[-1] == ("e1", 201), what="the cursor")


@pytest.mark.parametrize("answer_to_5", [bytes.fromhex("20 02 00 01"), bytes.fromhex("20 03 00 84 00"), b""])
def test_a_broker_that_does_not_speak_mqtt_5_gets_3_1_1(answer_to_5: bytes) -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(3)
    log = FakeLog(epoch)
    connack: dict[int, bytes | None] = {5: answer_to_5, 4: bytes.fromhex("20 02 00 00")}
    with FakeBroker(connack=connack) as fake, running(log, fake.port):
        wait_until(lambda: log.delivered[-1:] == [("e1", 3)], what="the cursor")
        assert fake.levels == [5, 4]


def test_a_broker_going_down_is_not_taken_for_an_old_one() -> None:
    log = FakeLog(FakeEpoch("e1", FINISH))
    with FakeBroker() as fake, running(log, fake.port) as uplink:
        wait_until(lambda: uplink.state.connected, what="the connection")
        fake.connack[5] = b""
        fake.drop()
        wait_until(lambda: len(fake.levels) >= 3, what="further tries")
        assert set(fake.levels) == {5}


AMQTT = """
import asyncio, sys
from amqtt.broker import Broker
async def main():
    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1]}},
                     "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}})
    await broker.start()
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_amqtt_which_speaks_3_1_1_only() -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(50)
    log = FakeLog(epoch)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", AMQTT, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with running(log, port):
            wait_until(lambda: log.delivered[-1:] == [("e1", 50)], what="the cursor")
    finally:
        process.terminate()
        process.wait(10)


def test_the_will_tells_of_a_box_that_is_lost_and_goodbye_of_one_that_stopped(mosquitto: Mosquitto) -> None:
    log = FakeLog(FakeEpoch("e1", FINISH))
    with Subscriber(mosquitto.port, LINK) as control:
        with running(log, mosquitto.port) as uplink:
            control.wait_for("/link", 1)
            _cut(uplink)
            words = [json.loads(message.payload)["link"] for message in control.wait_for("/link", 2)]
            assert words == ["online", "lost"]
        with running(log, mosquitto.port):
            control.wait_for("/link", 3)
        wait_until(lambda: b'"stopped"' in control.on("/link")[-1].payload, what="the word that it stopped")
    with Subscriber(mosquitto.port, LINK) as late:
        (retained,) = late.wait_for("/link")
        assert retained.is_retained
        assert json.loads(retained.payload)["link"] == "stopped"


def test_a_late_lost_of_an_earlier_connection_is_put_right(mosquitto: Mosquitto) -> None:
    log = FakeLog(FakeEpoch("e1", FINISH))
    with Subscriber(mosquitto.port, LINK) as control, running(log, mosquitto.port) as uplink:
        name = json.loads(control.wait_for("/link")[0].payload)["connection"]
        control.say(LINK, b'{"link":"lost","box":"b17","connection":"before"}')
        last = json.loads(control.wait_for("/link", 3)[-1].payload)
        assert last == {"link": "online", "box": "b17", "connection": name}
        assert uplink.state.other_box is None


def test_another_box_under_the_same_name_is_told_and_not_fought(mosquitto: Mosquitto) -> None:
    log = FakeLog(FakeEpoch("e1", FINISH))
    with Subscriber(mosquitto.port, LINK) as control:
        control.say(LINK, b'{"link":"online","box":"b99","connection":"theirs"}', retain=True)
        control.wait_for("/link")
        with running(log, mosquitto.port) as uplink:
            wait_until(lambda: uplink.state.other_box == "b99", what="the other box")
            assert uplink.state.word == "fail"
            assert "b99" in uplink.state.says
            control.say(LINK, b'{"link":"online","box":"b99","connection":"theirs"}', retain=True)
            control.say("timing/chicago-2023/finish/finish-main/end", b"")
            assert len([m for m in control.wait_for("/link", 3) if b"b17" in m.payload]) == 1, "no war"
            control.say(LINK, b'{"link":"lost","box":"b99","connection":"theirs"}', retain=True)
            wait_until(lambda: uplink.state.other_box is None, what="the other box gone")
            assert b'"online","box":"b17"' in control.wait_for("/link", 5)[-1].payload


def test_status_is_retained_and_told_on_every_connect(mosquitto: Mosquitto) -> None:
    log = FakeLog(FakeEpoch("e1", FINISH))
    with running(log, mosquitto.port, starts=False) as uplink:
        uplink.say_status(b'{"first":1}')
        uplink.say_status(b'{"second":2}')
        uplink.start()
        with Subscriber(mosquitto.port, "timing/#") as control:
            (status,) = control.wait_for("/status")
            assert status.payload == b'{"second":2}'
        mosquitto.restart()
        with Subscriber(mosquitto.port, "timing/#") as control:
            control.wait_for("/status")
            control.wait_for("/link")


def test_heard_is_told_at_once_or_never(mosquitto: Mosquitto) -> None:
    log = FakeLog(FakeEpoch("e1", FINISH))
    with running(log, mosquitto.port, starts=False) as uplink:
        uplink.say_heard(heard("AA"))
        uplink.start()
        with Subscriber(mosquitto.port, "timing/#") as control:
            wait_until(lambda: uplink.state.connected, what="the connection")
            said_s = []
            for count in range(1, 21):
                said_s.append(time.monotonic())
                uplink.say_heard(heard("BB"))
                control.wait_for("/heard", count)
            assert all(json.loads(message.payload)["chip"] == "BB" for message in control.on("/heard"))
            delays_s = [message.at_s - said for message, said in zip(control.on("/heard"), said_s, strict=True)]
            assert sorted(delays_s)[10] < 0.05, "half of them"


def test_a_handful_heard_in_one_instant_are_all_told(mosquitto: Mosquitto) -> None:
    log = FakeLog(FakeEpoch("e1", FINISH))
    with Subscriber(mosquitto.port, "timing/#") as control, running(log, mosquitto.port) as uplink:
        wait_until(lambda: uplink.state.connected, what="the connection")
        for number in range(40):
            uplink.say_heard(heard(f"{number:02d}"))
        chips = [json.loads(message.payload)["chip"] for message in control.wait_for("/heard", 40)]
        assert chips == [f"{number:02d}" for number in range(40)]


def test_older_epochs_follow_on_their_own_topics_and_a_foreign_boxs_stays(mosquitto: Mosquitto) -> None:
    half = Identity(event="chicago-2023", point="half", mat="half-main", box="b17")
    foreign = Identity(event="chicago-2023", point="half", mat="half-main", box="b04")
    old, theirs, now = FakeEpoch("e0", half), FakeEpoch("x0", foreign), FakeEpoch("e1", FINISH)
    old.append(40)
    old.delivered_seq = 10
    theirs.append(5)
    now.append(100)
    log = FakeLog(theirs, old, now)
    with Subscriber(mosquitto.port, "timing/#") as control, running(log, mosquitto.port) as uplink:
        assert seqs(control.wait_for("half-main/split", 30)) == list(range(11, 41))
        control.wait_for("finish-main/split", 100)
        order = [message.topic for message in control.on("/split")]
        assert order == sorted(order), "the current epoch first"
        wait_until(lambda: uplink.state.delivered == {"e0": 40, "e1": 100}, what="both cursors")
        assert uplink.state.foreign == {"x0": 5}


def test_a_journal_that_fails_is_told_and_opened_again(mosquitto: Mosquitto) -> None:
    epoch = FakeEpoch("e1", FINISH)
    log = FakeLog(epoch)
    with Subscriber(mosquitto.port, "timing/#") as control, running(log, mosquitto.port) as uplink:
        wait_until(lambda: uplink.state.connected, what="the connection")
        log.is_broken = True
        epoch.append()
        uplink.wake()
        wait_until(lambda: "the card is gone" in uplink.state.says, what="the trouble, told")
        log.is_broken = False
        control.wait_for("/split")
        wait_until(lambda: uplink.state.word == "ok", what="the word that all is well")


def test_a_mistake_of_ours_does_not_end_the_thread(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "BACKOFF_LAST_S", 0.2)
    epoch = FakeEpoch("e1", FINISH)
    log = FakeLog(epoch)
    mistakes = iter([ZeroDivisionError("of ours")])

    def note(epoch: str, seq: int) -> None:
        for mistake in mistakes:
            raise mistake
        log.note_delivered(epoch, seq)

    with Subscriber(mosquitto.port, "timing/#"), running(log, mosquitto.port) as uplink:
        uplink._delivered = note
        epoch.append(5)
        uplink.wake()
        wait_until(lambda: "ZeroDivisionError" in uplink.state.says, what="the mistake, told")
        epoch.append()
        wait_until(lambda: log.delivered[-1:] == [("e1", 6)], what="the cursor")


def test_a_connection_without_acknowledgements_is_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "STUCK_LIMIT_S", 0.3)
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(5)
    log = FakeLog(epoch)
    with FakeBroker(puback=lambda _published: None) as fake, running(log, fake.port) as uplink:
        wait_until(lambda: "no acknowledgement" in uplink.state.says, what="the trouble, told")
        fake.puback = lambda _published: 0
        wait_until(lambda: log.delivered[-1:] == [("e1", 5)], what="the cursor")
        assert fake.accepted >= 2


@pytest.mark.parametrize("connack", [{}, {5: bytes.fromhex("20 03 00 00 00")}], ids=["mute", "connected"])
def test_stop_keeps_its_limit_with_a_broker_that_stalls(connack: dict[int, bytes | None]) -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(500)
    log = FakeLog(epoch)
    with FakeBroker(connack=connack, puback=lambda _published: None) as fake, running(log, fake.port) as uplink:
        wait_until(lambda: fake.levels, what="a CONNECT")
        before = time.monotonic()
        uplink.stop(limit_s=5.0)
        assert time.monotonic() - before < 4.0
        assert not uplink._thread.is_alive()


def test_the_next_address_is_tried(mosquitto: Mosquitto) -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(3)
    log = FakeLog(epoch)
    hosts = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{mosquitto.port}")
    with running(log, 1, MqttSettings(hosts=hosts, delivered_when="broker")) as uplink:
        wait_until(lambda: log.delivered[-1:] == [("e1", 3)], what="the cursor")
        assert str(mosquitto.port) in uplink.state.says


def test_a_broker_that_is_not_there_is_named() -> None:
    port = free_port()
    with running(FakeLog(), port) as uplink:
        wait_until(lambda: uplink.state.word == "fail", what="the trouble, told")
        assert uplink.state.says.startswith(f"broker 127.0.0.1:{port}: Connection refused; is a broker running there")


def _cut(uplink: Uplink) -> None:
    """As if the power went: its socket is gone without a DISCONNECT, and it does not come back."""

    def fail(*_: object) -> None:
        raise BrokerUnreachable("cut")

    for of, name in ((uplink._broker, "connect"), (uplink, "_turn")):
        setattr(of, name, fail)
    uplink._nudge.give()


def pages(_command: Command) -> Iterator[Reply]:
    """A rewind, of six pages."""
    for number in range(1, 7):
        yield {"page": number, "pages": 6, "entries": []}


def test_a_rewind_is_answered_though_nobody_listens_for_the_splits(mosquitto: Mosquitto) -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(5)
    with (
        Subscriber(mosquitto.port, "timing/+/+/+/reply") as control,
        running(FakeLog(epoch), mosquitto.port, answer=pages) as uplink,
    ):
        wait_until(lambda: uplink.state.nobody_listening, what="that nobody listens")
        control.say(CMD, b'{"id": "1", "do": "rewind"}')
        replies = [json.loads(one.payload) for one in control.wait_for("/reply", 6)]
        assert [reply["page"] for reply in replies] == [1, 2, 3, 4, 5, 6]


def test_rewinds_that_go_slowly_leave_room_for_other_commands() -> None:
    def answer(command: Command) -> Reply | Iterator[Reply]:
        return pages(command) if command["do"] == "rewind" else {}

    def keep_pages_waiting(published: Published) -> int | None:
        return None if b'"page"' in published.payload else 0

    log = FakeLog(FakeEpoch("e1", FINISH))
    with FakeBroker(puback=keep_pages_waiting) as fake, running(log, fake.port, answer=answer) as uplink:
        wait_until(lambda: uplink.state.connected, what="the connection")
        for number in range(5):
            fake.send(_command(f'{{"id": "{number}", "do": "rewind"}}'))
            wait_until(lambda: number < 2 or len(fake.topics("/reply")) >= number, what="its answer")  # noqa: B023 - waited for at once
        fake.send(_command('{"id": "gun", "do": "gun"}'))
        wait_until(lambda: any(b'"id":"gun","ok":true' in one.payload for one in fake.topics("/reply")), what="the gun")
        refused = [one.payload for one in fake.topics("/reply") if b'"ok":false' in one.payload]
        assert len(refused) == 3
        assert all(b"2 rewinds are being given out already; ask again" in one for one in refused)


def _command(text: str) -> bytes:
    """A PUBLISH of QoS 0 on this mat's `cmd`, MQTT 5."""
    body = len(CMD).to_bytes(2) + CMD.encode() + b"\x00" + text.encode()
    return bytes([0x30, len(body)]) + body


def test_a_rewind_ends_with_its_connection(mosquitto: Mosquitto) -> None:
    was_closed = threading.Event()

    def answer(_command: Command) -> Iterator[Reply]:
        try:
            yield from ({"page": number, "pages": 10_000, "entries": []} for number in range(1, 10_001))
        finally:
            was_closed.set()

    with running(FakeLog(FakeEpoch("e1", FINISH)), mosquitto.port, answer=answer) as uplink:
        wait_until(lambda: uplink.state.connected, what="the connection")
        with Subscriber(mosquitto.port, "timing/+/+/+/reply") as control:
            control.say(CMD, b'{"id": "1", "do": "rewind"}')
            control.wait_for("/reply")
            mosquitto.kill()
        assert was_closed.wait(10), "it waits on, and keeps the journal open, until there is a broker again"
