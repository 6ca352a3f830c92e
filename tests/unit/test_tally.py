"""What a reader's thread hands on and shows of it: changes of hearing, antennas, reference chips."""

from __future__ import annotations

from reader.config import ReaderSettings
from reader.health import reader_from_link
from reader.line.activity import MOST_OF_A_CHIP, Activity
from reader.line.protocols import AntennaStanding, Clockless, Examined, Standing
from reader.line.reader_clock import ReaderClock
from reader.line.tally import Known, Tally
from reader.model import NS_PER_S, ChipRead, Event, Hearing, Reason, Rejected
from tests.fakes.clock import FakeClock

FIXED = "E280000000000000000000FF"
HEARS = Standing(hears=True, word="ok", says="streaming")


class Talk(Clockless):
    """A conversation of which only the standing of the antennas is looked at."""

    def __init__(self) -> None:
        self.standing = HEARS
        self.baud: int | None = None
        self.due_ns: int | None = None
        self.antennas = [AntennaStanding(1, "up", 40.0), AntennaStanding(2, "up", 40.0)]
        self.health = Examined()

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        return b""

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        return b""

    def tick(self, now_ns: int) -> bytes:
        return b""

    def closing(self) -> bytes:
        return b""


class Reader:
    def __init__(self, *, is_only_reader: bool = True) -> None:
        self.clock = FakeClock()
        self.handed: list[Hearing] = []
        settings = ReaderSettings(protocol="thingmagic", port="/dev/null", name="north")
        known = Known({}, frozenset({FIXED}), is_only_reader)
        self.tally = Tally("north", self.clock, ReaderClock(settings), None, known, self.handed.append)
        self.tally.talk = self.talk = Talk()
        self.tally.stand(HEARS, self.clock.now())

    def hear(self, chip: str, antenna: int | None, times: int = 1) -> None:
        reads = [ChipRead(chip, antenna, -60, None, None, 20)] * times
        self.tally.note([*reads], reads, self.clock.now())

    def go(self, seconds: int = 1) -> Reader:
        for _ in range(seconds):
            self.clock.go(1)
            self.tally.state("thingmagic", None, None)
        return self

    def says(self) -> tuple[str, str]:
        state = self.tally.state("thingmagic", None, None)
        return state.word, state.says


def test_what_has_changed_is_handed_on_with_the_antenna_and_since_when() -> None:
    reader = Reader().go(20)
    reader.talk.antennas[1] = AntennaStanding(2, "missing", None)
    reader.go(6)
    reader.hear(FIXED, 1)
    reader.go()
    begun, antenna, whole = reader.handed
    assert (begun.antenna, begun.hearing, begun.since) == (None, "up", begun.at)
    assert (antenna.antenna, antenna.hearing, whole.antenna, whole.hearing) == (2, "down", None, "partial")
    assert whole.hears
    assert antenna.at.mono_ns - antenna.since.mono_ns == antenna.at.utc_ns - antenna.since.utc_ns == 5 * NS_PER_S
    word, says = reader.says()
    assert (word, says) == ("warn", f"streaming; {antenna.reason}")


def test_a_read_with_a_reader_that_takes_all_its_antennas_for_lost_is_handed_on_behind_the_word_that_it_hears() -> None:
    reader = Reader().go(20)
    reader.talk.antennas = [AntennaStanding(1, "missing", None), AntennaStanding(2, "missing", None)]
    reader.go(6)
    assert not reader.handed[-1].hears
    state = reader.tally.state("thingmagic", None, None)
    assert (state.word, state.hears) == ("fail", False)
    reader.hear("A1", 2)
    assert (reader.handed[-1].antenna, reader.handed[-1].hearing) == (None, "partial")


def test_an_antenna_that_hears_too_little_is_deaf_in_the_status_and_all_are_down_with_the_reader() -> None:
    reader = Reader()
    for number in range(60):
        reader.hear(f"{number:04X}", 1, 5)
        reader.go()
    antennas = reader_from_link(reader.tally.state("thingmagic", None, None), None).antennas
    assert [(one.antenna, one.state) for one in antennas] == [(1, "up"), (2, "deaf")]
    reader.tally.stand(Standing(hears=False, word="fail", says="gone"), reader.clock.now())
    antennas = reader_from_link(reader.tally.state("thingmagic", None, None), None).antennas
    assert [(one.antenna, one.state) for one in antennas] == [(1, "down"), (2, "down")]


def test_a_chip_that_lies_on_one_antenna_does_not_make_the_other_deaf() -> None:
    reader = Reader()
    for number in range(120):
        reader.hear("AAAA", 1, 300)
        reader.hear(f"{number:04X}", 1 + number % 2, 5)
        reader.go()
    assert [one.antenna for one in reader.handed] == [None]


def test_the_fixed_chips_count_as_reads_but_are_no_runners() -> None:
    activity = Activity({FIXED})
    activity.note([ChipRead(FIXED, 1, -30, None, None, 20), ChipRead("A1", 1, -60, None, None, 20)] * 50, NS_PER_S)
    [heard] = activity.last_minute(2 * NS_PER_S)
    assert (heard.reads, heard.chips, heard.best_dbm, heard.fair_reads) == (100, 1, -60, MOST_OF_A_CHIP)
    assert heard.last_ns == heard.reference_ns == NS_PER_S
    [later] = activity.last_minute(200 * NS_PER_S)
    assert (later.reads, later.chips, later.best_dbm, later.fair_reads) == (0, 0, None, 0)


# ---- reference chips -----------------------------------------------------------------------------------------


def test_a_fixed_chip_unheard_for_ten_seconds_is_warned_of_when_its_antenna_hears_nothing_else() -> None:
    reader = Reader().go()
    reader.hear(FIXED, 2)
    reader.go(9)
    assert reader.says()[0] == "ok"
    reader.go()
    word, says = reader.says()
    assert word == "warn"
    assert f"reference chip {FIXED} is not heard, nor anything else with antenna 2" in says
    reader.hear("A1", 1)
    assert reader.go().says()[0] == "warn"
    reader.hear("A1", 2)
    assert reader.go(9).says()[0] == "ok"  # a crowd drowns it
    assert reader.go().says()[0] == "warn"
    reader.hear(FIXED, 1)  # it was moved
    assert reader.go().says()[0] == "ok"


def test_one_never_heard_is_warned_of_where_no_other_reader_can_have_it() -> None:
    assert Reader().go(9).says()[0] == "ok"
    word, says = Reader().go(11).says()
    assert word == "warn"
    assert "with any antenna" in says
    assert Reader(is_only_reader=False).go(60).says()[0] == "ok"


def test_a_reader_that_is_down_is_not_warned_of_its_fixed_chips_and_has_ten_seconds_when_it_is_back() -> None:
    reader = Reader().go(20)
    reader.tally.stand(Standing(hears=False, word="fail", says="gone"), reader.clock.now())
    assert reader.go(20).says() == ("fail", "gone")
    reader.tally.stand(HEARS, reader.clock.now())
    assert reader.go(9).says()[0] == "ok"
    assert reader.go(2).says()[0] == "warn"


def test_what_was_rejected_is_counted_by_reason() -> None:
    reader = Reader()
    reader.tally.note([Rejected(Reason.GARBAGE, b"?")] * 3, [], reader.clock.now())
    assert reader.tally.state("thingmagic", None, None).rejected == {"garbage": 3}
