"""A bad network between the mat and the broker: slow, stalled, cut in the middle of a packet, a cable pulled."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line
from tests.faults.delivery import PER_S, pass_time, race_ended, received_by, runners, wait_for_word, word
from tests.faults.proxy import Proxy
from tests.faults.road import Road, mat_of
from tests.tally import Tally
from tests.waiting import free_port, wait_until

TOLD_WITHIN_S = 25.0  # that nothing comes through: the keep-alive, twice, and the time to say it
CUTS = 50

pytestmark = pytest.mark.long


class Race(NamedTuple):
    """A mat with runners on it, and its subscriber, who has a good line to the broker."""

    daemon: Daemon
    road: Road
    subscriber: Subscriber

    def splits(self) -> int:
        """How many race control has."""
        return len(self.subscriber.on("/split"))

    def wait_for_more(self, count: int = 1, limit_s: float = 30.0) -> None:
        """Until so many more splits have come."""
        wanted = self.splits() + count
        wait_until(lambda: self.splits() >= wanted, limit_s, f"{count} splits more")


def count(race: Race, tally: Tally, fault: str, times: int = 1) -> None:
    """The end of the race, and its row in the table."""
    end = race_ended(race.daemon, race.road, lambda: received_by(race.subscriber), 90)
    tally(fault, times=times, passings=len(race.road.said), lost=end.lost(race.road), doubled=end.doubled())


def connections(mosquitto: Mosquitto, version: str = "") -> int:
    """How often the mat has connected so far, by the broker's log; ``version``: only those of MQTT ``p5``, ``p2``."""
    lines = (line for line in mosquitto.log.splitlines() if "New client connected" in line)
    return sum("-net-finish-mat" in line and f"({version}" in line for line in lines)


@pytest.fixture
def proxy(mosquitto: Mosquitto) -> Iterator[Proxy]:
    with Proxy(mosquitto.port) as between:
        yield between


@pytest.fixture
def mat(tmp_path: Path, mosquitto: Mosquitto, proxy: Proxy) -> Iterator[tuple[Daemon, Line, Subscriber]]:
    """A mat that reaches the broker by the proxy."""
    with (
        Subscriber(mosquitto.port, "timing/net/#") as subscriber,
        Line(tmp_path / "line") as line,
        Daemon(tmp_path, mat_of("net", line.link, proxy.port)) as daemon,
    ):
        daemon.wait_for_recording()
        yield daemon, line, subscriber


def test_half_a_second_each_way_slows_nothing_but_the_news(
    mat: tuple[Daemon, Line, Subscriber], mosquitto: Mosquitto, proxy: Proxy, tally: Tally
) -> None:
    daemon, line, subscriber = mat
    with Road(line, runners(30)) as road:
        race = Race(daemon, road, subscriber)
        race.wait_for_more()
        proxy.delay_s = 0.5
        race.wait_for_more(100)
        mosquitto.restart()  # a connection must be possible with such a delay, too
        race.wait_for_more(100)
        assert word(daemon)[0] == "ok"
        assert connections(mosquitto, "p5") == 2, "it is not taken for an old broker"
    count(race, tally, "network: 500 ms each way")


def test_a_line_that_stalls_is_told_of_and_caught_up_with(
    mat: tuple[Daemon, Line, Subscriber], mosquitto: Mosquitto, proxy: Proxy, tally: Tally
) -> None:
    daemon, line, subscriber = mat
    with Road(line, runners(120)) as road:
        race = Race(daemon, road, subscriber)
        race.wait_for_more(20)
        before = connections(mosquitto)
        proxy.is_stalled = True
        pass_time(6)
        proxy.is_stalled = False
        race.wait_for_more(int(6 * PER_S))
        assert connections(mosquitto) == before, "a short stall costs no connection"
        proxy.is_stalled = True
        told_s = wait_for_word(daemon, "fail", limit_s=TOLD_WITHIN_S)
        said = word(daemon)[1]
        tries = proxy.accepted
        wait_until(lambda: proxy.accepted > tries, 20, "another try")
        wait_for_word(daemon, "fail", "did not answer", 20)
        proxy.is_stalled = False
        race.wait_for_more(int(told_s * PER_S))
    print(f"a stalled line was told after {told_s:.1f} s: {said}")
    count(race, tally, "network: nothing passes, for 6 s and until told", times=2)


def test_fifty_cuts_in_the_middle_of_a_packet_lose_nothing(
    mat: tuple[Daemon, Line, Subscriber], proxy: Proxy, tally: Tally
) -> None:
    daemon, line, subscriber = mat
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with Road(line, runners(240)) as road:
        race = Race(daemon, road, subscriber)
        race.wait_for_more()
        for cut in range(CUTS):
            # Now and then while it connects; most often among splits, or among their acknowledgements.
            within_bytes = (1, 400) if cut % 5 == 0 else (400, 20_000)
            if cut % 3:
                proxy.cut_after(dice.randint(*within_bytes), "up")
            else:
                proxy.cut_after(dice.randint(4, 200), "down")
            wait_until(lambda: proxy.cuts > cut, 30, f"cut {cut + 1}")  # noqa: B023 - waited for within this turn
        race.wait_for_more()
    count(race, tally, "network: cut in the middle of a packet", times=CUTS)


def test_three_bytes_a_second_are_told_as_a_line_that_is_down(
    mat: tuple[Daemon, Line, Subscriber], proxy: Proxy, tally: Tally
) -> None:
    daemon, line, subscriber = mat
    with Road(line, runners(120)) as road:
        race = Race(daemon, road, subscriber)
        race.wait_for_more(20)
        proxy.rate_bytes_s = 3
        told_s = wait_for_word(daemon, "fail", limit_s=TOLD_WITHIN_S)
        wait_for_word(daemon, "fail", "did not answer", 20)
        proxy.rate_bytes_s = None
        race.wait_for_more(int(told_s * PER_S))
        assert word(daemon)[0] == "ok"
    print(f"a trickle of 3 bytes a second was told after {told_s:.1f} s")
    count(race, tally, "network: 3 bytes a second, until told")


class Cable:
    """A pair of network devices: one here, with ``address``; the other in a network namespace of its own."""

    def __init__(self) -> None:
        number = os.getpid() % 60_000
        self.namespace = f"mat-{number}"
        self.address = f"198.18.{number // 240}.{number % 240 + 1}"  # RFC 2544: networks under test
        self._device = f"mat{number}"
        self._inside = f"198.19.{number // 240}.{number % 240 + 1}"

    def lay(self) -> None:
        """Make it, and the namespace."""
        _ip("netns", "add", self.namespace)
        _ip("link", "add", self._device, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        _ip("address", "add", self.address, "peer", self._inside, "dev", self._device)
        _ip("-n", self.namespace, "address", "add", self._inside, "peer", self.address, "dev", "eth0")
        _ip("-n", self.namespace, "link", "set", "lo", "up")
        _ip("-n", self.namespace, "link", "set", "eth0", "up")
        self.plug_in()

    def pull(self) -> None:
        """Nothing passes, and nobody is told: no reset, no end of the connection."""
        _ip("link", "set", self._device, "down")

    def plug_in(self) -> None:
        """It works again."""
        _ip("link", "set", self._device, "up")

    def take_up(self) -> None:
        """Remove it."""
        subprocess.run(["ip", "link", "delete", self._device], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def cable() -> Iterator[Cable]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces are made by root only, with ip (Debian: iproute2)")
    laid = Cable()
    try:
        try:
            laid.lay()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
        yield laid
    finally:
        laid.take_up()


def test_a_cable_that_is_pulled_is_told_of_and_loses_nothing(tmp_path: Path, cable: Cable, tally: Tally) -> None:
    """The broker is outside the namespace, the mat inside: neither hears that the other has gone."""
    port = free_port()
    inside = ("ip", "netns", "exec", cable.namespace, COMMAND, "run")
    text = mat_of("net", tmp_path / "line", port) + f'host = "{cable.address}"\n'
    with (
        Mosquitto(extra=f"listener {port} {cable.address}") as mosquitto,
        Subscriber(mosquitto.port, "timing/net/#") as subscriber,
        Line(tmp_path / "line") as line,
        Daemon(tmp_path, text, program=inside) as daemon,
    ):
        daemon.wait_for_recording()
        with Road(line, runners(150)) as road:
            race = Race(daemon, road, subscriber)
            race.wait_for_more(20)
            before = connections(mosquitto)
            cable.pull()
            pass_time(5)
            cable.plug_in()
            race.wait_for_more(int(5 * PER_S))
            assert connections(mosquitto) == before, "a short cut costs no connection"
            cable.pull()
            pulled_s = time.monotonic()
            told_s = wait_for_word(daemon, "fail", limit_s=TOLD_WITHIN_S)
            said = word(daemon)[1]
            pass_time(pulled_s + 30 - time.monotonic())
            cable.plug_in()
            plugged_s = time.monotonic()
            race.wait_for_more(int(30 * PER_S))
            back_s = time.monotonic() - plugged_s
        print(f"a pulled cable was told after {told_s:.1f} s ({said}); caught up {back_s:.1f} s after it was back")
        count(race, tally, "network: the cable pulled, for 5 s and for 30 s", times=2)
        link = subscriber.on("/link")[-1].payload
    assert b'"stopped"' in link or b'"online"' in link
