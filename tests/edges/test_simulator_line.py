"""A simulated reader on a real pseudo-terminal and a real socket, heard by a listener that knows only bytes."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from serial import Serial

from reader.cli.simulate import simulate
from reader.errors import PortRefused, UsageError
from reader.model import NS_PER_S
from reader.simulator import ipico, thingmagic
from reader.simulator.faults import Fault
from reader.simulator.ipico import IpicoReader
from reader.simulator.line import Line, PseudoTerminal, TcpServer
from reader.simulator.play import Played, Reader, play
from reader.simulator.race import Crossing, made_race
from reader.simulator.signal import Mat, Told
from reader.simulator.thingmagic import ThingMagicReader
from tests.waiting import free_port, wait_until

BEGINS_NS = int(datetime(2023, 10, 8, 12, tzinfo=UTC).timestamp()) * NS_PER_S
COMMAND = (sys.executable, "-c", "import typer; from reader.cli.simulate import simulate; typer.run(simulate)")
START_THINGMAGIC = bytes.fromhex("FF02930005517D FF102F00000122000005072210001B03E801FFDD2B")
STOP_THINGMAGIC = bytes.fromhex("FF032F0000025E86")
KEEP_ALIVE = bytes.fromhex("FF0022040084E0")


ROUND_NS = 40_000_000


def crc_of(body: bytes) -> bytes:
    """Of a ThingMagic's command: what is left of FFFF and the body after dividing by x16+x12+x5+1."""
    left = int.from_bytes(b"\xff\xff" + body)
    while left.bit_length() > 16:
        left ^= 0x11021 << left.bit_length() - 17
    return left.to_bytes(2)


def race_of(runners: int, duration_s: float = 30, module: object = ipico) -> Iterator[Crossing]:
    return made_race(runners, duration_s, BEGINS_NS, module.chip_from_number, 5)  # type: ignore[attr-defined] # a family's module


class Listener:
    """Opens the line as a program would, and keeps what it hears until the line hangs up."""

    def __init__(self, path: str, says: bytes = b"", pause_s: float = 0.0) -> None:
        self.heard = bytearray()
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.write(self._fd, says)
        self._pause_s = pause_s
        self._leaves = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def say(self, data: bytes) -> None:
        os.write(self._fd, data)

    def _run(self) -> None:
        while not self._leaves.is_set():
            if not select.select([self._fd], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self._fd, 65_536)
            except OSError:  # hung up while reading
                break
            if not data:  # hung up before
                break
            self.heard += data
            time.sleep(self._pause_s)  # a slow program
        os.close(self._fd)

    def hear_out(self) -> bytes:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return bytes(self.heard)

    def leave(self) -> bytes:
        self._leaves.set()
        return self.hear_out()


@contextmanager
def played_beside(race: Iterable[Crossing], reader: Reader, line: Line, **how: Any) -> Iterator[Future[Played]]:
    """The race, played in a thread of its own while the test goes on; stopped where the test ends early."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(play, race, reader, line, stop=stop, **how)
        finally:
            stop.set()


def records(heard: bytes) -> dict[str, list[str]]:
    """Times as they stand in the whole IPICO records, by chip, in the order of the line."""
    by_chip: dict[str, list[str]] = {}
    for line in heard.split(b"\r\n"):
        found = re.search(rb"aa(00([0-9a-f]{12})00[0-9a-f]{2}(\d{12})([0-9a-f]{2}))([0-9a-f]{2})$", line)
        if found and sum(found[1]) & 0xFF == int(found[5], 16):
            by_chip.setdefault(found[2].decode().upper(), []).append(f"{found[3].decode()}.{int(found[4], 16):02d}")
    return by_chip


def moment(utc_ns: int | None) -> str:
    assert utc_ns is not None
    return datetime.fromtimestamp(utc_ns // 10_000_000 / 100, UTC).strftime("%y%m%d%H%M%S.%f")[:-4]


def assert_truth_is_what_was_heard(truth: Iterable[Told], heard: bytes) -> None:
    by_chip = records(heard)
    said = [told for told in truth if told.reads]
    assert {told.crossing.chip for told in said} == by_chip.keys()
    for told in said:
        times = by_chip[told.crossing.chip]
        assert (moment(told.first_ns), moment(told.last_ns)) == (min(times), max(times))
        assert told.reads == len(set(times))


def test_nothing_is_lost_at_full_speed_to_a_slow_program() -> None:
    truth: list[Told] = []
    with PseudoTerminal() as line:
        listener = Listener(line.address, pause_s=0.002)
        played = play(race_of(1000), IpicoReader(), line, speed=0, tell=truth.append)
    heard = listener.hear_out()
    assert played == Played(crossings=1000, unheard=0, reads=12_000)
    assert len(heard) == 12_000 * 38
    assert_truth_is_what_was_heard(truth, heard)
    assert [told.crossing for told in truth] == list(race_of(1000))


def test_truth_stands_with_late_repeated_damaged_reads_and_garbage() -> None:
    truth: list[Told] = []
    with PseudoTerminal() as line:
        listener = Listener(line.address)
        mat = Mat(disorder_s=2.0, repeats=0.1)
        faults = [Fault("bad-checksum", 5.0), Fault("garbage", 3.0), Fault("garbage", 6.0)]
        played = play(race_of(1000), IpicoReader(), line, speed=0, mat=mat, faults=faults, tell=truth.append)
    heard = listener.hear_out()
    assert 11_800 < played.reads < 12_000
    assert len(heard) > 12_500 * 38
    assert_truth_is_what_was_heard(truth, heard)


def test_a_race_that_waits_loses_nothing_to_a_program_that_leaves_and_comes_back() -> None:
    truth: list[Told] = []
    with (
        PseudoTerminal() as line,
        played_beside(race_of(50, 5), IpicoReader(), line, speed=5, waits=True, tell=truth.append) as playing,
    ):
        first = Listener(line.address)
        wait_until(lambda: len(first.heard) > 2000)
        heard = first.leave()
        wait_until(lambda: not line.is_open)
        said = len(truth)
        time.sleep(0.3)  # the race must not have gone on meanwhile
        assert len(truth) == said
        second = Listener(line.address)
        assert playing.result(30).crossings == 50
    assert_truth_is_what_was_heard(truth, heard + second.hear_out())


def test_runners_wait_for_nobody_and_what_nobody_hears_is_told_so() -> None:
    with PseudoTerminal() as line:
        assert play(race_of(50, 5), IpicoReader(), line, speed=50) == Played(crossings=50, unheard=50, reads=0)


def test_at_speed_one_a_burst_takes_its_time_on_the_line() -> None:
    abreast = [Crossing(ipico.chip_from_number(n), BEGINS_NS, 5.0) for n in range(10)]
    with PseudoTerminal() as line:
        listener = Listener(line.address)
        began = time.monotonic()
        play(abreast, IpicoReader(baud=38_400), line, speed=1, waits=True)
        took_s = time.monotonic() - began
    assert len(listener.hear_out()) == 120 * 38
    assert took_s >= 1.0 + 120 * 38 * 10 / 38_400  # the second before the first read, and ten bits a byte


def test_an_unplugged_line_hangs_up_and_comes_back_under_the_same_link(tmp_path: Path) -> None:
    truth: list[Told] = []
    link = tmp_path / "mat"
    with (
        PseudoTerminal(link) as line,
        played_beside(
            race_of(200), IpicoReader(), line, speed=0, faults=[Fault("unplug", 10)], tell=truth.append
        ) as playing,
    ):
        heard = Listener(str(link)).hear_out()
        assert not link.is_symlink()
        assert records(heard)
        wait_until(link.exists)
        again = Listener(str(link))
        playing.result(30)
    assert_truth_is_what_was_heard(truth, heard + again.hear_out())
    assert sum(told.reads for told in truth) == 2400


@pytest.mark.long
def test_a_mute_reader_loses_the_reads_of_that_time_and_no_others() -> None:
    truth: list[Told] = []
    with (
        PseudoTerminal() as line,
        played_beside(
            race_of(200, 110), IpicoReader(), line, speed=20, faults=[Fault("silence", 5)], tell=truth.append
        ) as playing,
    ):
        listener = Listener(line.address)
        played = playing.result(30)
    assert 0 < played.unheard < 200
    assert_truth_is_what_was_heard(truth, listener.hear_out())


def test_a_thingmagic_streams_after_the_start_command_keeps_alive_and_stops() -> None:
    race = [Crossing(thingmagic.chip_from_number(n), BEGINS_NS + n * 10 * NS_PER_S, 3.0) for n in (1, 2)]
    with (
        PseudoTerminal() as line,
        played_beside(race, ThingMagicReader(), line, speed=0, linger_s=2) as playing,
    ):
        listener = Listener(line.address)
        time.sleep(0.3)  # longer than a line takes to settle: it must have stayed silent
        assert not listener.heard
        listener.say(START_THINGMAGIC)
        wait_until(lambda: bytes(listener.heard).count(bytes.fromhex("FF282200001000")) == 24)
        wait_until(lambda: bytes(listener.heard).endswith(KEEP_ALIVE))
        listener.say(STOP_THINGMAGIC)
        wait_until(lambda: bytes(listener.heard[-8:-2]) == bytes.fromhex("FF012F000002"))
        assert playing.result(30) == Played(crossings=2, unheard=0, reads=24)
    second = bytes.fromhex(thingmagic.chip_from_number(2))
    assert 8 <= listener.hear_out().partition(second)[0].count(KEEP_ALIVE) <= 10  # ten seconds apart


def test_a_rebooted_thingmagic_is_silent_until_started_again() -> None:
    race = race_of(100, 60, thingmagic)
    with (
        PseudoTerminal() as line,
        played_beside(race, ThingMagicReader(), line, speed=0, faults=[Fault("reboot", 20)]) as playing,
    ):
        listener = Listener(line.address, says=START_THINGMAGIC)
        wait_until(lambda: bytes.fromhex("FF14040000") in listener.heard)
        assert not playing.done()
        listener.say(START_THINGMAGIC)
        assert playing.result(30).reads == 1200
    assert bytes(listener.hear_out()).count(bytes.fromhex("FF282200001000")) == 1200


class PolledReader:
    """Hears by one antenna for a round of 40 ms, from the moment it is told to: one digit, the antenna."""

    baud = 115_200
    suffers = frozenset({"hot"})

    def __init__(self) -> None:
        self.rounds: list[int] = []  # when each began
        self._ends_ns: int | None = None
        self._antenna = 0

    @property
    def is_hearing(self) -> bool:
        return self._ends_ns is not None

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int] | None:
        if self._ends_ns is None or antenna != self._antenna:
            return None
        assert at_ns < self._ends_ns
        return b"%b\n" % chip.encode(), at_ns

    def tick(self, now_ns: int) -> bytes:
        if self._ends_ns is None or now_ns < self._ends_ns:
            return b""
        self._ends_ns = None
        return b"end\n"

    def answer(self, data: bytes, now_ns: int) -> bytes:
        self._antenna, self._ends_ns = int(data[-1:]), now_ns + ROUND_NS
        self.rounds.append(now_ns)
        return b""

    def suffer(self, fault: str, antenna: int = 1) -> bytes:
        return b"too %b\n" % fault.encode()


def polled(line: PseudoTerminal, playing: Future[Played], antennas: int = 1, pause_s: float = 0.0) -> list[bytes]:
    """All lines that were heard, by one who polls when a round has ended, until the race is over."""
    fd = os.open(line.address, os.O_RDWR | os.O_NOCTTY)
    heard, polls = b"", 0
    while not playing.done():
        if not polls or heard.count(b"end\n") == polls:
            time.sleep(pause_s)
            os.write(fd, b"%d" % (polls % antennas + 1))
            polls += 1
        if select.select([fd], [], [], 0.05)[0]:
            with suppress(OSError):
                heard += os.read(fd, 65_536)
    os.close(fd)
    return heard.splitlines()


@pytest.mark.parametrize("speed", [0, 5])
def test_a_polled_reader_loses_nothing_between_its_rounds_in_a_race_that_waits(speed: float) -> None:
    reader, truth = PolledReader(), list[Told]()
    race = race_of(100, 5, thingmagic)
    with (
        PseudoTerminal() as line,
        played_beside(race, reader, line, speed=speed, waits=True, tell=truth.append) as playing,
    ):
        heard = polled(line, playing, pause_s=0.002)
    assert playing.result() == Played(crossings=100, unheard=0, reads=1200)
    assert len(heard) - heard.count(b"end") == 1200
    assert all(later - earlier >= ROUND_NS for earlier, later in pairwise(reader.rounds))
    # Not longer than they are either, but for the seconds before the first crossing.
    assert heard.count(b"end") > (70 if speed == 0 else 30)


def test_runners_do_not_wait_for_the_turn_of_their_antenna() -> None:
    reader = PolledReader()
    with (
        PseudoTerminal() as line,
        played_beside(race_of(200, 5, thingmagic), reader, line, speed=0, mat=Mat(antennas=2)) as playing,
    ):
        heard = polled(line, playing, antennas=2)
    played = playing.result()
    assert 600 < played.reads < 1800
    assert played.reads == len(heard) - heard.count(b"end")


def test_the_race_goes_on_between_two_rounds_and_stands_still_when_nobody_polls() -> None:
    reader = PolledReader()
    with (
        PseudoTerminal() as line,
        played_beside(race_of(500, 60, thingmagic), reader, line, speed=20, waits=True) as playing,
    ):
        listener = Listener(line.address, says=b"1")
        wait_until(lambda: listener.heard.count(b"end") == 1)
        time.sleep(0.3)
        listener.say(b"1")
        wait_until(lambda: listener.heard.count(b"end") == 2)
        first, second = reader.rounds
        assert second - first >= 0.3 * 20 * NS_PER_S
        time.sleep(1.5)
        listener.say(b"1")
        wait_until(lambda: listener.heard.count(b"end") == 3)
        assert reader.rounds[2] - second < 1.4 * 20 * NS_PER_S
        assert not playing.done()
        listener.leave()


def test_a_fault_of_the_reader_is_told_to_it() -> None:
    reader = PolledReader()
    faults = [Fault("hot", 3)]
    with (
        PseudoTerminal() as line,
        played_beside(race_of(100, 5, thingmagic), reader, line, speed=0, faults=faults) as playing,
    ):
        assert b"too hot" in polled(line, playing)


@pytest.mark.parametrize("fault", ["half-frame", "bad-bytes"])
def test_what_is_spoilt_is_not_told(fault: str) -> None:
    truth: list[Told] = []
    with PseudoTerminal() as line:
        listener = Listener(line.address)
        played = play(race_of(1000), IpicoReader(), line, speed=0, faults=[Fault(fault, 0.0)], tell=truth.append)
    heard = listener.hear_out()
    share = {"half-frame": 0.01, "bad-bytes": 1 - 0.99**36}[fault]
    assert 0.8 * share < 1 - played.reads / 12_000 < 1.2 * share
    found = records(heard)
    for told in truth:
        assert told.reads <= len(set(found.get(told.crossing.chip, [])))
    # Two wrong bytes may make up for each other in a sum.
    assert sum(len(set(times)) for times in found.values()) - played.reads < (2 if fault == "half-frame" else 120)


def test_on_a_line_of_the_wrong_speed_nothing_is_said_or_heard() -> None:
    truth: list[Told] = []
    with (
        PseudoTerminal() as line,
        played_beside(
            race_of(300), IpicoReader(), line, speed=0, faults=[Fault("wrong-baud", 10)], linger_s=5, tell=truth.append
        ) as playing,
    ):
        listener = Listener(line.address)
        wait_until(lambda: len(listener.heard) == 3600 * 38)
        listener.say(b"ab00000222\r\n")
        wait_until(lambda: len(truth) == 300)
        time.sleep(0.2)
        heard = listener.leave()
        assert len(heard) == 3600 * 38
    played = playing.result()
    assert 0 < played.unheard < 300
    assert_truth_is_what_was_heard(truth, heard)


def test_a_strict_line_is_garbage_until_the_host_has_the_reader_s_speed() -> None:
    reader = ThingMagicReader(baud=57_600)
    with (
        PseudoTerminal() as line,
        played_beside(race_of(10, 5, thingmagic), reader, line, speed=0, is_strict=True) as playing,
        Serial(line.address, 9_600, timeout=0.3) as host,
    ):
        question, answer = bytes.fromhex("FF000C1D03"), bytes.fromhex("FF010C000012")
        for baud in (9_600, 115_200, 921_600, 31_250):
            host.baudrate = baud
            host.write(question)
            assert not host.read(8)
        host.baudrate = 57_600
        host.write(question)
        assert host.read(8).startswith(answer)
        # Told to change its speed it answers at the old one, and hears at the new one.
        to_9600 = bytes.fromhex("040600002580")
        host.write(b"\xff" + to_9600 + crc_of(to_9600))
        assert host.read(7).startswith(bytes.fromhex("FF00060000"))
        host.write(question)
        assert not host.read(8)
        host.baudrate = 9_600
        host.write(question)
        assert host.read(8).startswith(answer)
        assert not playing.done()


def test_a_socket_has_no_speed() -> None:
    with (
        TcpServer("127.0.0.1", 0) as line,
        played_beside(race_of(10), IpicoReader(), line, speed=0, is_strict=True) as playing,
        socket.create_connection(("127.0.0.1", int(line.address.rpartition(":")[2])), timeout=10) as client,
    ):
        heard = b""
        while len(heard) < 120 * 38:
            heard += client.recv(65_536)
        assert playing.result(30).reads == 120
    assert len(records(heard)) == 10


def test_tcp_serves_one_client_and_the_next_when_it_has_left() -> None:
    port = free_port()
    truth: list[Told] = []
    with (
        TcpServer("127.0.0.1", port) as line,
        played_beside(race_of(300), IpicoReader(), line, speed=0, tell=truth.append) as playing,
    ):
        assert line.address == f"socket://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port)):
            pass
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            heard = b""
            while len(heard) < 3600 * 38:
                heard += client.recv(65_536)
            assert playing.result(30).reads == 3600
    assert_truth_is_what_was_heard(truth, heard)


def test_a_port_in_use_is_refused() -> None:
    with TcpServer("127.0.0.1", 0) as taken, pytest.raises(PortRefused, match="can't listen"):
        TcpServer("127.0.0.1", int(taken.address.rpartition(":")[2])).plug()


def test_a_stale_link_is_replaced_and_ours_removed(tmp_path: Path) -> None:
    link = tmp_path / "mat"
    link.symlink_to("/dev/pts/999999")
    with PseudoTerminal(link) as line:
        assert line.address == str(link)
        assert str(link.readlink()) == str(link.resolve())
        assert link.is_char_device()
    assert not link.is_symlink()


def test_what_is_not_a_simulator_s_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link", "missing/mat"):
        with pytest.raises(UsageError, match=f"--link {tmp_path / name}"):
            PseudoTerminal(tmp_path / name).plug()
    assert (tmp_path / "link").read_text() == "kept"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_cleanly_when_told_to(tmp_path: Path, number: signal.Signals) -> None:
    link, truth = tmp_path / "mat", tmp_path / "truth.jsonl"
    arguments = ("--link", str(link), "--truth", str(truth), "--speed", "20", "--runners", "500", "--wait")
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as command:
        wait_until(link.exists, what="the link")
        listener = Listener(str(link))
        wait_until(lambda: len(listener.heard) > 5000)
        command.send_signal(number)
        said, _ = command.communicate(timeout=10)
    assert command.returncode == 0
    assert not link.is_symlink()
    told = [json.loads(line) for line in truth.read_text().splitlines()]
    assert {line["chip"] for line in told} == records(listener.hear_out()).keys()
    assert said.splitlines()[0] == f"ipico reader on {link}, 500 crossings"
    assert said.splitlines()[-1].startswith(f"{len(told)} crossings, {sum(line['reads'] for line in told)} reads")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"crossings": Path("race.csv")}, "--crossings needs --point"),
        ({"day": "yesterday"}, "--date yesterday: expected YYYY-MM-DD"),
        ({"tcp": "10000"}, "--tcp 10000: expected HOST:PORT"),
        ({"tcp": "127.0.0.1:1", "link": Path("mat")}, "--link and --tcp exclude each other"),
        ({"fault": ["flood"]}, "--fault flood: expected NAME"),
        ({"fault": ["hot@3"]}, "--fault hot@3: this reader can't have that; expected NAME"),
        ({"truth": Path("/nowhere/truth.jsonl")}, "--truth /nowhere/truth.jsonl: can't be written"),
    ],
)
def test_a_command_that_can_t_work_says_why(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        simulate(**arguments)  # type: ignore[arg-type] # the names and types of the table above
