"""Examining a reader while the mat listens to it: what it tells, and that it reports as before afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import msgspec
import pytest

from reader.clock import SystemClock
from reader.config import ReaderSettings
from reader.errors import ReaderError
from reader.line.link import Link
from reader.line.protocols import FAMILIES, Examined, load
from reader.line.protocols.asking import Script, alone, pause
from reader.line.protocols.settings import Wanted
from reader.line.state import Asked
from reader.model import NS_PER_S, Hearing, Reads
from reader.simulator.line import PseudoTerminal
from reader.simulator.play import play
from reader.simulator.race import Crossing
from tests.waiting import wait_until

FAMILY_NAMES = [family.name for family in FAMILIES]
TRANSMITTING = ["thingmagic", "a0", "m100", "uhfreader"]
LIMIT_S = 10.0
BACK_S = 4.0  # so soon it has to report again; a busy machine is slow
CHIPS = 40  # over and over, one every tenth of a second


class Mat:
    """A simulated reader that hears chips all the time, on a pseudo-terminal, and the link that listens to it."""

    def __init__(self, family: str, reader: Any, line: PseudoTerminal, asked: Asked | None) -> None:
        self.family, self.reader, self.line = family, reader, line
        self.handed: list[Reads | Hearing] = []
        settings = msgspec.convert({"protocol": family, "port": line.address, "baud": reader.baud}, ReaderSettings)
        self.link = Link(settings, SystemClock(), self.handed.append, lambda: True, asked=asked)

    @property
    def reads(self) -> int:
        return sum(isinstance(one, Reads) for one in self.handed)

    @property
    def hearings(self) -> list[bool]:
        return [one.hears for one in self.handed if isinstance(one, Hearing) and one.antenna is None]

    def wait_for_reads(self, limit_s: float = LIMIT_S) -> float:
        """Until it reports, counted from now; how long that took, in seconds."""
        before, began_s = self.reads, time.monotonic()
        wait_until(lambda: self.reads > before + 1 and self.link.state.hears, limit_s, f"{self.family}: reads")
        return time.monotonic() - began_s

    def run(self, script: Script[Any], limit_s: float = LIMIT_S) -> Any:
        return self.link.errands.run(script, limit_s)


def crossings(chip_from_number: Callable[[int], str]) -> Iterator[Crossing]:
    begins_ns = time.time_ns()
    for number in range(10_000):
        yield Crossing(chip_from_number(1 + number % CHIPS), begins_ns + number * NS_PER_S // 10, 3.0)


@contextmanager
def mat(
    family: str, *, antennas: int = 1, wanted: Wanted | None = None, chunk: int = 0, is_strict: bool = False
) -> Iterator[Mat]:
    simulator = import_module(f"reader.simulator.{family}")
    reader = simulator.make_reader(antennas=antennas)
    stop = threading.Event()
    asked = None if wanted is None else Asked(family, wanted)
    with PseudoTerminal() as line, ThreadPoolExecutor(1) as threads:
        if chunk:
            whole = line.send
            line.send = lambda data: whole(data[:chunk])  # type: ignore[method-assign] # a line that takes few at a time
        race = crossings(simulator.chip_from_number)
        playing = threads.submit(play, race, reader, line, is_strict=is_strict, stop=stop)
        one = Mat(family, reader, line, asked)
        one.link.start()
        try:
            yield one
        finally:
            one.link.stop()
            stop.set()
            playing.result(LIMIT_S)


@pytest.mark.parametrize("family", TRANSMITTING)
def test_a_reader_is_examined_and_reports_again(family: str) -> None:
    with mat(family, antennas=2) as one:
        one.wait_for_reads()
        examined = one.run(load(family).examine(True))
        back_s = one.wait_for_reads(BACK_S)
        print(f"{family}: back after {back_s:.2f} s")
        assert isinstance(examined, Examined)
        if family != "m100":
            assert examined.temperature_c == 30
            assert set(examined.return_loss_db.items()) >= {(1, 18.0), (2, 18.0)}
        # It is seen that it did not hear meanwhile, and that it does again.
        wait_until(lambda: one.hearings[-2:] == [False, True], what=f"{one.hearings}")
        state = one.link.state
        assert state.hears
        assert state.word in ("ok", "warn"), state.says
        assert "examined" not in state.says
        assert {standing.state for standing in state.standings if standing.is_expected} <= {"up", "unknown"}
        # And once more: nothing of the first time is left.
        assert one.run(load(family).examine(True))._replace(says=()) == examined._replace(says=())
        one.wait_for_reads(BACK_S)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_without_interrupting_reads_go_on_all_the_while(family: str) -> None:
    with mat(family) as one:
        one.wait_for_reads()
        hearings = list(one.hearings)
        examined = one.run(load(family).examine(False), 2.0)
        assert examined.says
        one.wait_for_reads(1.0)
        assert one.hearings == hearings


@pytest.mark.parametrize(("family", "values"), [("thingmagic", {"region": "na"}), ("m100", {"region": "cn900"})])
def test_the_speed_that_a_profile_has_set_stays(family: str, values: dict[str, object]) -> None:
    with mat(family, wanted=Wanted("gate", values | {"baud": 57600}), is_strict=True) as one:
        one.wait_for_reads()
        assert one.link.state.baud == one.reader.baud == 57600
        one.run(load(family).examine(True))
        one.wait_for_reads(BACK_S)
        assert one.link.state.baud == one.reader.baud == 57600
        assert one.link.state.word == "ok"


def test_what_the_stream_has_told_is_in_the_state_of_the_link() -> None:
    wanted = Wanted("gate", {"region": "na", "temperature_reports": True, "antenna_reports": True})
    with mat("thingmagic", antennas=2, wanted=wanted) as one:
        wait_until(lambda: one.link.state.health.temperature_c == 30, what="its temperature")
        wait_until(lambda: one.link.state.health.connected == {1: True, 2: True}, what="its antennas")
        assert one.link.state.health.region == "na"
        one.reader.suffer("hot")
        one.reader.suffer("antenna-off", 2)
        wait_until(lambda: one.link.state.health.temperature_c == 90, what="its heat")
        wait_until(lambda: one.link.state.health.connected == {1: True, 2: False}, what="the loss of an antenna")


@pytest.mark.long
def test_what_an_a0_is_asked_between_its_rounds_is_in_the_state_of_the_link() -> None:
    with mat("a0", antennas=2) as one:
        wait_until(lambda: one.link.state.health.temperature_c == 30, 20, "its temperature")
        health = one.link.state.health
        assert health.region == "FCC 902.0-928.0 MHz (channels 7-59)"
        assert health.connected == {1: True, 2: True, 3: False, 4: False}
        assert health.return_loss_db == {1: 18.0, 2: 18.0, 3: 1.0, 4: 1.0}


@pytest.mark.parametrize("family", ["m100", "uhfreader"])
def test_the_region_that_was_found_is_in_the_state_of_the_link(family: str) -> None:
    with mat(family) as one:
        one.wait_for_reads()
        wait_until(lambda: one.link.state.health.region is not None, what="its region")


def test_a_line_that_takes_a_byte_at_a_time_changes_nothing() -> None:
    with mat("a0", antennas=2, chunk=1) as one:
        one.wait_for_reads(20)
        assert one.run(load("a0").examine(True)).return_loss_db == {1: 18.0, 2: 18.0, 3: 1.0, 4: 1.0}
        one.wait_for_reads(BACK_S)


@pytest.mark.parametrize("family", TRANSMITTING)
def test_a_reader_unplugged_in_the_middle_is_a_mistake_in_words(family: str) -> None:
    with mat(family) as one, ThreadPoolExecutor(1) as threads:
        one.wait_for_reads()
        waiting = threads.submit(one.run, alone(pause(60 * NS_PER_S)), 30.0)
        wait_until(lambda: "examined" in one.link.state.says, what="the examination")
        one.line.unplug()
        with pytest.raises(ReaderError) as error:
            waiting.result(LIMIT_S)
        assert one.line.address in str(error.value)
        assert "\n" not in str(error.value)


def test_one_for_which_nobody_waits_any_more_gives_the_line_back() -> None:
    with mat("thingmagic") as one:
        one.wait_for_reads()
        with pytest.raises(ReaderError, match=r"did not answer all that it was asked within 0\.5 s"):
            one.run(alone(pause(60 * NS_PER_S)), 0.5)
        one.wait_for_reads(BACK_S)


def test_a_reader_that_does_not_answer_is_left_and_reports_again() -> None:
    with mat("a0") as one:
        one.wait_for_reads()
        answer = one.reader.answer
        one.reader.answer = lambda data, now_ns: b""
        with pytest.raises(ReaderError, match="does not answer"):
            one.run(load("a0").examine(True))
        one.reader.answer = answer
        one.wait_for_reads(BACK_S)


@pytest.mark.parametrize("family", TRANSMITTING)
def test_who_is_there_can_be_asked_with_the_line_for_itself(family: str) -> None:
    with mat(family, antennas=2) as one:
        one.wait_for_reads()
        known = one.run(alone(load(family).identify()))
        assert known.firmware
        one.wait_for_reads(BACK_S)
