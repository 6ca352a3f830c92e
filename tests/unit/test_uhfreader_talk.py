"""What is said to a UHFReader, against a reader made of a table of answers, and against the simulated one."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from reader.line.protocols.settings import Wanted
from reader.line.protocols.uhfreader import Conversation, Decoder
from reader.model import ChipRead
from reader.simulator.uhfreader import UhfReader, chip_from_number
from tests.unit.test_uhfreader import HEARTBEAT, frame

S = 10**9
MS = 10**6
INFO_288 = "0016 0c 03 3180 1e 14 03 00 00 01"  # US, 30 dBm, 2 s, antennas 1 and 2, checked
INFO_86 = "0502 86 02 3180 1a 32"  # 5 s
EPC = "e28011700000020f2b3c4d5e"
ROUND = 40 * MS


class Reader:
    """Answers from a table of (status, data) by command; None is silence. Rounds end ``lasts_ns`` after the asking."""

    def __init__(self, info: str | None = INFO_288, *, wanted: Wanted | None = None) -> None:
        self.answers: dict[int, tuple[int, str] | None] = {
            0x21: None if info is None else (0, info),
            0x77: (0, "00" * 42),
            0x94: (0, "1e1e1e1e"),
        }
        self.forms = {5: "01", 2: "", 0: ""}  # by bytes of data: what stands before the count; missing: wrong length
        self.is_deaf = False
        self.loses_ends = 0
        self.bad_antennas: set[int] = set()
        self.lasts_ns = ROUND
        self.chips: list[str] = []
        self.heard_chips: list[tuple[str, int | None]] = []
        self.asked: list[str] = []
        self.asked_at: list[int] = []
        self.due: list[tuple[int, bytes]] = []
        self.decoder = Decoder()
        self.talk = Conversation(wanted)
        self.now_ns = 5 * S
        self.take(self.talk.opened(self.now_ns))

    def take(self, sent: bytes) -> None:
        while sent:
            one, sent = sent[: sent[0] + 1], sent[sent[0] + 1 :]
            self.asked.append(one[2:-2].hex())
            self.asked_at.append(self.now_ns)
            if not self.is_deaf:
                self.answer(one[2], one[3:-2])

    def answer(self, cmd: int, data: bytes) -> None:
        if cmd != 0x01:
            answer = self.answers.get(cmd, (0xFE, ""))
            if answer is not None:
                status, said = answer
                self.due.append((self.now_ns + 3 * MS, frame(cmd if cmd in self.answers else 0, said, status)))
            return
        if len(data) not in self.forms:
            self.due.append((self.now_ns + 2 * MS, frame(cmd, "", 0xFD)))
            return
        antenna = data[3] - 0x7F if len(data) == 5 else 1
        if antenna in self.bad_antennas:
            self.due.append((self.now_ns + 5 * MS, frame(cmd, "", 0xF8)))
            return
        head = f"{1 << antenna - 1:02x}" if self.forms[len(data)] else ""
        rssi = "50" if head else ""
        for chip in self.chips:
            self.due.append((self.now_ns + self.lasts_ns // 2, frame(cmd, f"{head}010c{chip}{rssi}", 3)))
        if self.loses_ends:
            self.loses_ends -= 1
            return
        self.due.append((self.now_ns + self.lasts_ns, frame(cmd, f"{head}00", 1)))

    def say(self, said: bytes) -> None:
        events = self.decoder.feed(said)
        self.heard_chips += [(event.chip, event.antenna) for event in events if isinstance(event, ChipRead)]
        self.take(self.talk.heard(events, self.now_ns))

    def run(self, seconds: float) -> Reader:
        """As the link does: what comes is taken, and the tick comes when it is due, at the latest after 0.1 s."""
        end_ns = self.now_ns + round(seconds * S)
        while self.now_ns < end_ns:
            due_ns = self.talk.due_ns
            step_ns = min(self.now_ns + S // 10, end_ns, *(at for at, _ in self.due))
            if due_ns is not None:
                step_ns = min(step_ns, due_ns)
            self.now_ns = max(step_ns, self.now_ns + MS // 10)
            for item in sorted(item for item in self.due if item[0] <= self.now_ns):
                self.due.remove(item)
                self.say(item[1])
            self.take(self.talk.tick(self.now_ns))
        return self

    def stands(self) -> tuple[bool, str]:
        return self.talk.standing.hears, self.talk.standing.word

    @property
    def says(self) -> str:
        return self.talk.standing.says

    @property
    def polls(self) -> list[str]:
        return [said for said in self.asked if said.startswith("01")]


def test_it_is_got_to_know_and_asked_for_rounds_antenna_by_antenna() -> None:
    reader = Reader()
    assert reader.stands() == (False, "unknown")
    reader.run(2)
    assert reader.stands() == (True, "ok")
    assert reader.says == ("UHFReader288M polling, antenna 1, 2; region US 902.75-927.25 MHz, as set in the reader")
    assert reader.asked[:4] == ["93", "21", "21", "77"]
    assert reader.polls[:4] == ["010400008101", "010400008001", "010400008101", "010400008001"]
    standing = reader.talk.standing
    reader.run(10)
    assert reader.talk.standing is standing
    assert len(reader.polls) > 250
    assert [(one.antenna, one.state) for one in reader.talk.antennas] == [(1, "up"), (2, "up")]
    assert all(75 < (one.revisit_ms or 0) < 90 for one in reader.talk.antennas)


def test_between_two_commands_lie_fifteen_milliseconds() -> None:
    reader = Reader()
    reader.lasts_ns = 4 * MS
    reader.run(3)
    gaps = [b - a for a, b in pairwise(reader.asked_at)]
    assert min(gaps) >= 15 * MS
    assert reader.polls


def test_the_next_round_is_asked_for_the_moment_the_last_one_ends() -> None:
    reader = Reader()
    reader.run(3)
    polled_at = [at for at, said in zip(reader.asked_at, reader.asked, strict=True) if said.startswith("01")]
    assert {b - a for a, b in pairwise(polled_at)} == {ROUND}


def test_nothing_is_ever_written_without_a_profile() -> None:
    reader = Reader()
    for _ in range(4):
        reader.run(8)
        reader.is_deaf = not reader.is_deaf
    assert {said[:2] for said in reader.asked} <= {"93", "21", "77", "36", "01"}


def test_chips_are_handed_on_with_their_antenna() -> None:
    reader = Reader()
    reader.chips = [EPC, "00" * 12]
    reader.run(2)
    assert set(reader.heard_chips) == {(chip.upper(), antenna) for chip in reader.chips for antenna in (1, 2)}
    assert reader.stands() == (True, "ok")


@pytest.mark.parametrize(("forms", "polled"), [({5: "01"}, "010400008001"), ({2: ""}, "010400"), ({0: ""}, "01")])
def test_a_reader_that_knows_nothing_but_the_inventory_still_records(forms: dict[int, str], polled: str) -> None:
    reader = Reader(None)
    reader.forms = forms
    reader.chips = [EPC]
    reader.run(6)
    assert reader.stands() == (True, "warn")
    assert "does not answer who it is" in reader.says
    assert "region not told by the reader" in reader.says
    assert reader.polls[-1] == polled
    assert len(reader.heard_chips) > 20
    reader.answers[0x21] = (0, INFO_288.replace("3180", "0000"))
    reader.run(6)
    assert reader.says.startswith("not transmitting: no region is set in the reader")


def test_a_reader_of_old_is_never_sent_two_bytes_that_it_takes_for_something_else() -> None:
    reader = Reader("0200 09 02 3180 1e 03")
    reader.run(3)
    assert set(reader.polls) == {"01"}
    assert reader.stands() == (True, "ok")
    assert reader.talk.antennas == []


def test_a_long_scan_time_is_told() -> None:
    reader = Reader(INFO_86)
    reader.answers[0x36] = (0, "001e0a0f 00 0204020600 0000")
    reader.lasts_ns = 5 * S
    reader.run(12)
    assert reader.polls[0] == "010400"
    assert reader.stands() == (True, "warn")
    assert "answers up to 5 s late: its scan time is 5 s; `timing-mat profile apply` shortens it" in reader.says


@pytest.mark.parametrize("band", ["0000", "ffff", "0546"])
def test_without_a_region_it_is_not_asked_for_chips(band: str) -> None:
    reader = Reader(INFO_288.replace("3180", band))
    reader.run(25)
    assert reader.stands() == (False, "fail")
    assert reader.says.startswith("not transmitting: no region is set in the reader")
    assert reader.polls == []
    assert 4 <= reader.asked.count("21") <= 8
    reader.answers[0x21] = (0, INFO_288)
    reader.run(12)
    assert reader.stands() == (True, "ok")


def test_a_region_other_than_the_profiles_keeps_it_silent_and_is_not_written() -> None:
    wanted = Wanted("eu-finish", {"band": ("eu", 0, 14), "antennas": (1,)})
    reader = Reader(wanted=wanted)
    reader.run(5)
    assert reader.stands() == (False, "fail")
    assert reader.says == (
        "not transmitting: the region US 902.75-927.25 MHz is set in the reader, and profile eu-finish wants "
        "EU 865.1-867.9 MHz; write it with `timing-mat profile apply eu-finish`"
    )
    assert {said[:2] for said in reader.asked} <= {"93", "21", "77"}


def test_a_lost_end_costs_one_round() -> None:
    reader = Reader().run(2)
    reader.asked.clear()
    reader.loses_ends = 1
    reader.run(2)
    assert reader.stands() == (True, "ok")
    assert "93" not in reader.asked
    assert len(reader.polls) > 30


def test_silence_is_told_and_ends() -> None:
    reader = Reader().run(2)
    reader.is_deaf = True
    reader.run(8)
    assert reader.stands() == (False, "fail")
    assert reader.says.startswith(("silent: no round has ended for", "does not answer: check its power"))
    reader.is_deaf = False
    reader.run(8)
    assert reader.stands() == (True, "ok")


def test_who_never_answers_is_asked_for_ever() -> None:
    reader = Reader(None)
    reader.is_deaf = True
    reader.run(60)
    assert reader.stands() == (False, "fail")
    assert reader.says == (
        "does not answer: check its power, the cable (TX and RX crossed?) and that `baud` is what it is set to"
    )
    assert reader.asked.count("21") >= 30
    assert reader.talk.baud is None
    reader.is_deaf, reader.answers[0x21] = False, (0, INFO_288)
    reader.run(15)
    assert reader.stands() == (True, "ok")


def test_after_a_change_of_speed_all_speeds_are_tried() -> None:
    reader = Reader(None, wanted=Wanted("fast", {"baud": 115200}))
    reader.is_deaf = True
    seen = set()
    for _ in range(120):
        reader.run(1)
        seen.add(reader.talk.baud)
    assert seen == {None, 9600, 19200, 38400, 57600, 115200}


def test_a_missing_antenna_is_left_out_and_comes_back() -> None:
    reader = Reader()
    reader.bad_antennas = {2}
    reader.run(4)
    assert reader.stands() == (True, "warn")
    assert "antenna 2 is not connected" in reader.says
    assert [(one.antenna, one.state) for one in reader.talk.antennas] == [(1, "up"), (2, "missing")]
    reader.asked.clear()
    reader.run(10)
    assert 1 <= reader.polls.count("010400008101") <= 2
    reader.bad_antennas = set()
    reader.run(6)
    assert reader.stands() == (True, "ok")
    assert [one.state for one in reader.talk.antennas] == ["up", "up"]


def test_without_any_antenna_it_says_so_and_goes_on_asking() -> None:
    reader = Reader()
    reader.bad_antennas = {1, 2}
    reader.run(6)
    assert reader.stands() == (False, "fail")
    assert reader.says.startswith("no antenna is connected (asked: 1, 2)")
    reader.bad_antennas = {2}
    reader.run(2)
    assert reader.stands() == (True, "warn")


def test_a_memory_that_is_full_is_told_while_it_lasts() -> None:
    reader = Reader().run(2)
    reader.say(frame(0x01, "0100", 4))
    assert reader.stands() == (True, "warn")
    assert "its memory is full: chips are lost" in reader.says
    reader.run(11)
    assert reader.stands() == (True, "ok")


def test_a_refusal_of_what_was_taken_before_has_it_set_up_again() -> None:
    reader = Reader().run(2)
    reader.forms = {}
    reader.run(3)
    assert reader.stands() == (False, "fail")
    assert "refuses to be asked for chips: wrong length of the command (FD)" in reader.says
    reader.forms = {5: "01"}
    reader.run(3)
    assert reader.stands() == (True, "ok")


# ---- readers that report by themselves ----------------------------------------------------------------


def test_a_reader_in_realtime_mode_is_listened_to() -> None:
    reader = Reader()
    reader.answers[0x77] = (0, "01" + "00" * 41)
    reader.run(3)
    reader.say(frame(0xEE, f"02 0c {EPC} 55"))
    assert reader.heard_chips == [(EPC.upper(), 2)]
    assert reader.stands() == (True, "ok")
    assert "listening: it reports by itself" in reader.says
    reader.run(20)
    assert reader.polls == []
    assert reader.stands() == (True, "ok")
    reader.is_deaf = True
    reader.run(8)
    assert reader.stands() == (False, "fail")
    reader.is_deaf = False
    reader.run(6)
    assert reader.stands() == (True, "ok")


def test_heartbeats_are_signs_of_life() -> None:
    reader = Reader()
    reader.answers[0x77] = (0, "01" + "00" * 41)
    reader.run(2)
    reader.is_deaf = True
    for said in [HEARTBEAT, frame(0xEE, "00000001 01 00000000", 0x28)] * 4:
        reader.say(said)
        reader.run(3)
    assert reader.stands() == (True, "ok")


def test_while_it_reports_by_itself_it_is_not_asked_for_rounds() -> None:
    reader = Reader(INFO_86).run(1)
    for _ in range(20):
        reader.say(frame(0xEE, EPC))
        reader.run(0.5)
    reader.asked.clear()
    for _ in range(10):
        reader.say(frame(0xEE, EPC))
        reader.run(0.5)
    assert reader.polls == []
    assert reader.stands()[0]
    reader.run(10)
    assert reader.polls


def test_a_reader_that_only_talks_is_heard() -> None:
    reader = Reader(None)
    reader.is_deaf = True
    for _ in range(40):
        reader.say(frame(0xEE, EPC))
        reader.run(0.5)
        assert reader.stands() == (True, "warn")
    assert len(reader.heard_chips) == 40


# ---- profiles ----------------------------------------------------------------------------------------

VALUES = {
    "band": ("us", 0, 49),
    "power_dbm": {1: 27, 2: 27},
    "scan_time_ms": 300,
    "antenna_check": True,
    "work_mode": "answer",
    "antennas": (1, 2),
    "session": "auto",
    "q": 6,
    "target": "B",
}


class Simulated:
    """The conversation and the simulated reader, at their own virtual time."""

    def __init__(self, reader: UhfReader, wanted: Wanted | None = None) -> None:
        self.reader = reader
        self.decoder = Decoder()
        self.talk = Conversation(wanted)
        self.now_ns = 3 * S
        self.reads: list[ChipRead] = []
        self.answer(self.talk.opened(self.now_ns))

    def answer(self, sent: bytes) -> None:
        while sent:
            sent = self.hear(self.reader.answer(sent, self.now_ns))

    def hear(self, said: bytes) -> bytes:
        if not said:
            return b""
        events = self.decoder.feed(said)
        self.reads += [event for event in events if isinstance(event, ChipRead)]
        return self.talk.heard(events, self.now_ns)

    def stands(self) -> tuple[bool, str]:
        return self.talk.standing.hears, self.talk.standing.word

    def run(self, seconds: float) -> Simulated:
        end_ns = self.now_ns + round(seconds * S)
        while self.now_ns < end_ns:
            self.now_ns += 5 * MS
            self.answer(self.hear(self.reader.tick(self.now_ns)))
            self.answer(self.talk.tick(self.now_ns))
        return self


def test_a_profile_is_written_once_verified_and_used() -> None:
    wanted = Wanted("finish", VALUES, with_flash=True)
    both = Simulated(UhfReader(antennas=2), wanted).run(4)
    assert both.talk.standing.hears
    assert both.stands()[1] == "ok"
    assert both.reader.flash_writes == 2  # power and scan time: all else is so
    again = Simulated(both.reader, wanted).run(4)
    again.reader.suffer("reboot")
    again.run(6)
    assert again.stands() == (True, "ok")
    assert again.reader.flash_writes == 2


def test_flash_is_left_alone_unless_the_profile_may_and_what_differs_is_told() -> None:
    both = Simulated(UhfReader(antennas=2), Wanted("finish", VALUES)).run(4)
    assert both.reader.flash_writes == 0
    assert both.stands() == (True, "warn")
    assert "power: 30 dBm, wanted 27 dBm (in flash, not written)" in both.talk.standing.says
    assert "scan time: 2000 ms, wanted 300 ms (in flash, not written)" in both.talk.standing.says


def test_how_the_profile_wants_rounds_asked_for() -> None:
    reader = Reader(wanted=Wanted("finish", {"antennas": (2,), "session": "auto", "q": 6, "target": "B"}))
    reader.run(2)
    assert set(reader.polls) == {"0106ff018101"}
    other = Reader(wanted=Wanted("start", {"antennas": (1,), "session": "2"}))
    other.run(2)
    assert set(other.polls) == {"010402008001"}


# ---- two hundred runners ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reader", "antennas"),
    [
        (UhfReader(antennas=1), 1),
        (UhfReader(antennas=4), 4),
        (UhfReader(model="86"), 1),
    ],
    ids=["288", "288 with four antennas", "86, reporting by itself"],
)
def test_two_hundred_crossings_are_all_heard(reader: UhfReader, antennas: int) -> None:
    both = Simulated(reader).run(2)
    assert both.talk.standing.hears
    dice = random.Random(7)
    for number in range(200):
        chip = chip_from_number(number)
        for _ in range(30):  # half a second and more over the mat
            both.run(0.02)
            for antenna in range(1, antennas + 1):
                said = both.reader.report(chip, both.now_ns, dice.randrange(-70, -40), antenna)
                if said is not None:
                    both.answer(both.hear(said[0]))
    assert {read.chip for read in both.reads} == {chip_from_number(number) for number in range(200)}
    assert both.stands()[1] == "ok"
    assert len({read.antenna for read in both.reads}) == antennas


def test_an_antenna_that_falls_off_a_simulated_reader() -> None:
    both = Simulated(UhfReader(antennas=2)).run(2)
    both.reader.suffer("antenna-off")
    both.run(2)
    assert [(one.antenna, one.state) for one in both.talk.antennas] == [(1, "missing"), (2, "up")]
    assert both.stands()[1] == "warn"
    both.reader.suffer("antenna-off")
    both.run(7)
    assert both.stands()[1] == "ok"
    both.reader.suffer("buffer-full")
    both.run(0.3)
    assert "its memory is full" in both.talk.standing.says


def test_an_18_is_polled_as_it_can_be() -> None:
    both = Simulated(UhfReader(model="18")).run(6)
    assert both.stands() == (True, "warn")
    assert "answers up to 2 s late" in both.talk.standing.says
