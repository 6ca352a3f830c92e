"""The broker killed, gone, full, refusing and talking nonsense; nobody at the other end, or two at this one."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.fakes.broker import FakeBroker, Published
from tests.faults.delivery import (
    Collect,
    Received,
    all_delivered,
    faults_of_ours,
    pass_time,
    race_ended,
    received_by,
    received_from,
    runners,
    wait_for_word,
    word,
)
from tests.faults.road import Road, exported, mat_of
from tests.tally import Tally
from tests.waiting import free_port, wait_until

KILLS = 50
MANY = 3000
FAILS_OVER_WITHIN_S = 5.0  # where the broker's death can be seen
BUSY_S = 3.0  # for a machine that other tests use too
SILENCE_WITHIN_S = 25.0  # where it can't: the keep-alive, twice, and the way to the next
JUNK = 30

pytestmark = pytest.mark.long


@contextmanager
def mat(folder: Path, port: int, event: str, *, hosts: tuple[str, ...] = ()) -> Iterator[tuple[Daemon, Line]]:
    """A mat that hears."""
    text = mat_of(event, folder / "line", port)
    if hosts:
        text = text.replace(f"port = {port}", f"hosts = {list(hosts)}".replace("'", '"'))
    with Line(folder / "line") as line, Daemon(folder, text) as daemon:
        daemon.wait_for_recording()
        yield daemon, line


# ---- mosquitto ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps_messages", [False, True], ids=["forgetful", "persistent"])
def test_the_broker_is_killed_fifty_times_in_a_race(tmp_path: Path, keeps_messages: bool, tally: Tally) -> None:
    """What it had acknowledged and not passed on when it was killed, the collector gets from the mat by a rewind."""
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with (
        Mosquitto(keeps_messages=keeps_messages, extra="autosave_on_changes true" if keeps_messages else "") as broker,
        Subscriber(broker.port, "timing/kills/#", client_id="screen" if keeps_messages else "") as subscriber,
        mat(tmp_path, broker.port, "kills") as (daemon, line),
        Collect(tmp_path, broker.port, "kills") as collect,
    ):

        def deliver(count: int) -> None:
            wanted = daemon.status()["delivered_seq"] + count
            wait_until(lambda: daemon.status()["delivered_seq"] >= wanted, 30, f"{count} entries delivered")

        with Road(line, runners(200, per_s=50)) as road:
            for kill in range(KILLS):
                deliver(1)
                pass_time(dice.uniform(0.0, 0.3))
                with collect.frozen() if kill % 5 == 0 else nullcontext():
                    if kill % 5 == 0:
                        deliver(40)  # to the broker, which passes 20 on and waits, and dies with the rest
                    broker.kill()
                broker.start()
        status = all_delivered(daemon, road)
        epoch, last_seq = status["epoch"], status["last_seq"]
        collected = collect.wait_for(epoch, last_seq)
        crossed = collect.crossings()
        arrived = received_by(subscriber)
        asked = [one for one in subscriber.on("/cmd") if b'"rewind"' in one.payload]
        assert daemon.stop() == 0
    assert asked, "the broker lost something, and the collector asked for it"
    assert faults_of_ours(daemon) == []
    assert "Traceback" not in collect.output.read_text()
    assert sorted(crossed) == sorted(road.said)
    assert arrived.seqs(epoch) == sorted(arrived.seqs(epoch)), "in order, with whatever was lost left out"
    forgotten = set(range(1, last_seq + 1)) - set(arrived.seqs(epoch))
    print(f"{len(asked)} rewinds; {len(forgotten)} of {last_seq} entries did not reach one who never asks again")
    tally(
        f"broker killed, {'with' if keeps_messages else 'without'} its own persistence; at the collector",
        times=KILLS,
        passings=len(road.said),
        lost=collected.lost(road),
        doubled=collected.doubled() + arrived.doubled(),
    )


def test_a_broker_away_for_the_whole_race_gets_all_of_it_afterwards(tmp_path: Path, tally: Tally) -> None:
    broker = Mosquitto()
    with mat(tmp_path, broker.port, "away") as (daemon, line):
        with Road(line, runners(MANY / 300, per_s=300)) as road:
            road.wait(60)
        assert "Connection refused" in word(daemon)[1]
        wait_until(lambda: daemon.status()["counts"]["splits"] >= len(road.said), 30, "a split for everyone")
        assert daemon.status()["backlog"] >= len(road.said)
        assert daemon.status()["teardown"]["verdict"] == "HOLD"
        with broker, Subscriber(broker.port, "timing/away/#") as subscriber:
            subscriber.wait_for("/split", len(road.said), 60)
            splits = subscriber.on("/split")
            print(f"{len(splits)} splits drained in {splits[-1].at_s - splits[0].at_s:.2f} s")
            end = race_ended(daemon, road, lambda: received_by(subscriber))
    tally(
        "broker away for the whole race",
        times=1,
        passings=len(road.said),
        lost=end.lost(road),
        doubled=end.doubled(),
    )


def test_nobody_listening_is_told_and_nothing_is_taken_for_delivered(
    tmp_path: Path, mosquitto: Mosquitto, tally: Tally
) -> None:
    with mat(tmp_path, mosquitto.port, "unheard") as (daemon, line):
        with Road(line, runners(60)) as road:
            wait_for_word(daemon, "warn", "nobody is listening for the splits of unheard/finish/mat")
            wait_until(lambda: daemon.status()["backlog"] > 60, 30, "a backlog")
            first = min(one["seq"] for one in exported(daemon.journal) if one["type"] == "split")
            assert daemon.status()["delivered_seq"] < first
            with Subscriber(mosquitto.port, "timing/unheard/#") as subscriber:
                wait_for_word(daemon, "ok")
                subscriber.wait_for("/split", len(road.said))
            wait_for_word(daemon, "warn", "nobody is listening")
            pass_time(1)
        with Subscriber(mosquitto.port, "timing/unheard/#") as later:
            all_delivered(daemon, road)
            seen = received_from(
                [*(one.payload for one in subscriber.received), *(one.payload for one in later.received)]
            )
    tally("nobody is listening (0x10)", times=2, passings=len(road.said), lost=seen.lost(road), doubled=seen.doubled())


def test_two_boxes_with_one_mat_id_both_record_and_both_say_so(
    tmp_path: Path, mosquitto: Mosquitto, tally: Tally
) -> None:
    with ExitStack() as stack:
        subscriber = stack.enter_context(Subscriber(mosquitto.port, "timing/twins/#"))
        daemons, lines = [], []
        for box in ("b17", "b18"):
            folder = tmp_path / box
            folder.mkdir()
            (folder / "serial").write_text(box)
            program = ("env", f"TIMING_MAT_SERIAL_FILE={folder}/serial", COMMAND, "run")
            lines.append(stack.enter_context(Line(folder / "line")))
            text = mat_of("twins", folder / "line", mosquitto.port)
            daemons.append(stack.enter_context(Daemon(folder, text, program=program)))
            daemons[-1].wait_for_recording()
        with Road(lines[0], runners(60)) as one, Road(lines[1], runners(60)) as other:
            wait_for_word(daemons[0], "fail", "box b18 speaks for this mat too: give one of them another id")
            wait_for_word(daemons[1], "fail", "box b17 speaks for this mat too: give one of them another id")
            subscriber.wait_for("/split", 200)
            assert all(daemon.status()["recording"] for daemon in daemons)
        passings = lost = doubled = 0
        for daemon, road in zip(daemons, (one, other), strict=True):
            epoch = daemon.status()["epoch"]
            end = race_ended(
                daemon,
                road,
                lambda epoch=epoch: _of_epoch(received_by(subscriber), epoch),  # type: ignore[misc] # bound now
            )
            passings, lost, doubled = passings + len(road.said), lost + end.lost(road), doubled + end.doubled()
        daemons[1].stop()
        wait_for_word(daemons[0], "ok")
    tally("two boxes with one mat id", times=1, passings=passings, lost=lost, doubled=doubled)


def _of_epoch(received: Received, epoch: str) -> Received:
    return Received([one for one in received.messages if one["epoch"] == epoch])


# ---- a broker that refuses, and one that talks nonsense ----------------------------------------------------


class Mischief(NamedTuple):
    """What a broker does, and what the status must say of it; ``says`` "": the mat goes on as if nothing had been."""

    name: str
    says: str
    connack: bytes | None = bytes.fromhex("20 03 00 00 00")
    puback: int = 0
    instead: Callable[[Published], bytes | None] = lambda _published: None
    before: bytes = b""
    word: str = "fail"


def refused_connect(code: int, says: str) -> Mischief:
    return Mischief(f"CONNACK 0x{code:02X}", says, connack=bytes([0x20, 3, 0, code, 0]))


def refused_message(code: int, says: str, word: str = "fail") -> Mischief:
    return Mischief(f"PUBACK 0x{code:02X}", says, puback=code, word=word)


def disconnected(code: int, says: str) -> Mischief:
    return Mischief(f"DISCONNECT 0x{code:02X}", says, instead=lambda _published: bytes([0xE0, 2, code, 0]))


def nonsense(name: str, hexadecimal: str, says: str = "it sent what is not MQTT") -> Mischief:
    return Mischief(name, says, instead=lambda _published: bytes.fromhex(hexadecimal))


def beside(name: str, hexadecimal: str) -> Mischief:
    """Something uncalled-for, and then the right answer."""
    return Mischief(name, "", before=bytes.fromhex(hexadecimal))


WEB = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\nBad Request\r\n"
AT_CONNECT = [
    refused_connect(0x97, "refuses: Quota exceeded"),
    refused_connect(0x87, "refuses: Not authorized; check username and password_file"),
    refused_connect(0x86, "refuses: Bad user name or password; check username and password_file"),
    refused_connect(0x8A, "refuses: Banned"),
    refused_connect(0x88, "Server unavailable"),
    refused_connect(0x89, "Server busy"),
    refused_connect(0x9F, "refuses: Connection rate exceeded"),
    Mischief("CONNECT: hangs up", "took the connection and closed it without an answer", connack=b""),
    Mischief("CONNECT: silence", "took the connection and did not answer", connack=None),
    Mischief("CONNECT: nonsense", "took the connection and answered what is not MQTT", connack=b"\x20\x01\x00"),
    Mischief("CONNECT: a web server", "took the connection and answered what is not MQTT", connack=WEB),
]
OF_MESSAGES = [
    refused_message(0x97, "the broker refuses"),
    refused_message(0x87, "Not authorized"),
    refused_message(0x80, "Unspecified error"),
    refused_message(0x83, "Implementation specific error"),
    refused_message(0x90, "Topic name invalid"),
    refused_message(0x99, "Payload format invalid"),
    refused_message(0x10, "nobody is listening", word="warn"),
]
DISCONNECTS = [
    disconnected(0x00, "ended the connection: Normal disconnection"),
    disconnected(0x8E, "ended the connection: Session taken over"),
    disconnected(0x93, "ended the connection: Receive maximum exceeded"),
    disconnected(0x97, "ended the connection: Quota exceeded"),
    disconnected(0x98, "ended the connection: Administrative action"),
    disconnected(0x9C, "ended the connection: Use another server"),
    disconnected(0x8B, "the connection was lost"),
    disconnected(0x8D, "silent for too long"),
]
NONSENSE = [
    beside("PUBACK of an unknown message", "40 02 ff fe"),
    beside("CONNACK twice", "20 03 00 00 00"),
    beside("SUBACK unasked", "90 04 ff fe 00 01"),
    beside("PINGRESP unasked", "d0 00"),
    beside("PUBACK twice", "40 02 00 01"),
    beside("PUBLISH on a topic nobody asked for", "30 06 00 03 61 2f 62 00"),
    nonsense("a length of five bytes", "40 ff ff ff ff ff"),
    nonsense("PUBACK without a message", "40 00"),
    nonsense("PUBACK of one byte", "40 01 00"),
    nonsense("PUBACK with an unknown reason", "40 04 00 01 42 00"),
    nonsense("a packet of type 0", "00 00"),
    nonsense("AUTH", "f0 00"),
    nonsense("PINGRESP with a body", "d0 02 00 00"),
    nonsense("PUBLISH with QoS 3", "36 05 00 01 61 00 01"),
    nonsense("PUBLISH of no UTF-8", "30 05 00 02 ff fe 00"),
    nonsense("PUBLISH shorter than its topic", "30 03 00 ff 61"),
    nonsense("CONNACK that takes it back", "20 03 00 87 00", "refuses: Not authorized"),
    nonsense("DISCONNECT with a broken reason", "e0 02 01 00"),
    nonsense("a PUBLISH of 256 MB that does not come", "30 ff ff ff 7f", "the line to it was silent for too long"),
]


@pytest.mark.parametrize(
    ("fault", "mischiefs"),
    [
        ("broker refuses the connection", AT_CONNECT),
        ("broker refuses messages", OF_MESSAGES),
        ("broker ends the connection", DISCONNECTS),
        ("broker sends nonsense", NONSENSE),
    ],
    ids=["connect", "messages", "disconnect", "nonsense"],
)
def test_whatever_a_broker_says_is_told_in_words_and_outlived(
    tmp_path: Path, fault: str, mischiefs: list[Mischief], tally: Tally
) -> None:
    behaved = Mischief("", "")
    with FakeBroker() as broker, mat(tmp_path, broker.port, "fakes") as (daemon, line):
        with Road(line, runners(300, per_s=10)) as road:
            for mischief in mischiefs:
                wait_for_word(daemon, "ok")
                before = broker.accepted
                _behave(broker, mischief)
                if mischief.connack != behaved.connack:
                    broker.drop()
                if mischief.says:
                    wait_for_word(daemon, mischief.word, mischief.says, 25)
                else:
                    _wait_for_more(broker, daemon, road)
                    assert broker.accepted == before, f"{mischief.name}: it costs no connection"
                _behave(broker, behaved)
                _wait_for_more(broker, daemon, road)
        end = race_ended(daemon, road, lambda: received_from(one.payload for one in list(broker.taken)), in_order=False)
    tally(fault, times=len(mischiefs), passings=len(road.said), lost=end.lost(road), doubled=end.doubled())


def test_random_bytes_from_a_broker_are_outlived(tmp_path: Path, tally: Tally) -> None:
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with FakeBroker() as broker, mat(tmp_path, broker.port, "junk") as (daemon, line):
        with Road(line, runners(300, per_s=10)) as road:
            for _ in range(JUNK):
                # Lengths of one byte: a longer packet would swallow the answers that follow, until it is stuck.
                junk = iter([bytes([dice.randrange(256), dice.randrange(64)]) + dice.randbytes(dice.randrange(100))])
                broker.instead = lambda _published, junk=junk: next(junk, None)  # type: ignore[misc] # bound now
                _wait_for_more(broker, daemon, road)
        end = race_ended(daemon, road, lambda: received_from(one.payload for one in list(broker.taken)), in_order=False)
    tally("broker sends random bytes", times=JUNK, passings=len(road.said), lost=end.lost(road), doubled=end.doubled())


def _behave(broker: FakeBroker, mischief: Mischief) -> None:
    broker.connack[5] = mischief.connack
    broker.puback = lambda _published: mischief.puback
    broker.instead = mischief.instead
    broker.before = mischief.before


def _wait_for_more(broker: FakeBroker, daemon: Daemon, road: Road) -> None:
    """Until the broker has taken the split of a runner who crossed after this."""
    before = set(road.said)

    def is_taken() -> bool:
        splits = [message(one.payload) for one in broker.taken[-50:] if one.topic.endswith("/split")]
        return any(split["chip"] not in before for split in splits)

    wait_until(is_taken, 30, f"a new runner at the broker ({word(daemon)})")


# ---- more brokers than one ---------------------------------------------------------------------------------


@contextmanager
def dead_at_once() -> Iterator[str]:
    """Nobody there."""
    yield f"127.0.0.1:{free_port()}"


@contextmanager
def refusing() -> Iterator[str]:
    with FakeBroker(connack={5: bytes.fromhex("20 03 00 97 00")}) as broker:
        yield f"127.0.0.1:{broker.port}"


@contextmanager
def mute() -> Iterator[str]:
    """It takes the connection, and says nothing."""
    with FakeBroker(connack={}) as broker:
        yield f"127.0.0.1:{broker.port}"


@contextmanager
def unreachable() -> Iterator[str]:
    """Not even the connection is answered: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield f"127.0.0.1:{address[1]}"


@pytest.mark.parametrize("first", [dead_at_once, refusing, mute, unreachable], ids=lambda made: str(made.__name__))
def test_a_first_host_that_is_of_no_use_holds_nothing_up(
    tmp_path: Path, mosquitto: Mosquitto, first: Callable[[], Iterator[str]], tally: Tally
) -> None:
    with (
        first() as useless,  # type: ignore[attr-defined] # a context manager
        Subscriber(mosquitto.port, "timing/hosts/#") as subscriber,
        mat(tmp_path, 1, "hosts", hosts=(useless, f"127.0.0.1:{mosquitto.port}")) as (daemon, line),
    ):
        begun_s = time.monotonic()
        with Road(line, runners(60)) as road:
            took_s = subscriber.wait_for("/link", 1, 30)[0].at_s - begun_s
            subscriber.wait_for("/split", 20, 30)
        end = race_ended(daemon, road, lambda: received_by(subscriber))
    print(f"{first.__name__}: connected to the second {took_s:.1f} s after the mat was up")
    assert took_s <= FAILS_OVER_WITHIN_S + BUSY_S
    tally(
        f"[mqtt] hosts, the first {first.__name__.replace('_', ' ')}",
        times=1,
        passings=len(road.said),
        lost=end.lost(road),
        doubled=end.doubled(),
    )


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "silent"])
def test_the_next_host_takes_over_from_one_that_dies_or_falls_silent(
    tmp_path: Path, is_killed: bool, tally: Tally
) -> None:
    """Each broker has its own subscriber; what the first had acknowledged was passed on before it died."""
    with (
        Mosquitto() as first,
        Mosquitto() as second,
        Subscriber(first.port, "timing/hosts/#") as before,
        Subscriber(second.port, "timing/hosts/#") as after,
        mat(tmp_path, 1, "hosts", hosts=(f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}")) as (daemon, line),
    ):
        with Road(line, runners(120)) as road:
            before.wait_for("/split", 20)
            ended_s = time.monotonic()
            if is_killed:
                first.kill()
            else:
                first.freeze()
            took_s = after.wait_for("/split", 1, 60)[0].at_s - ended_s
            after.wait_for("/split", 40)
            first.kill()

        def received() -> Received:
            return received_from(one.payload for one in [*before.received, *after.received])

        end = race_ended(daemon, road, received)
    how = "killed" if is_killed else "falls silent"
    print(f"the first {how}: the next split came by the second {took_s:.1f} s later")
    assert took_s <= (FAILS_OVER_WITHIN_S if is_killed else SILENCE_WITHIN_S) + BUSY_S
    tally(
        f"[mqtt] hosts, the first {how} in a race",
        times=1,
        passings=len(road.said),
        lost=end.lost(road),
        doubled=end.doubled(),
    )
