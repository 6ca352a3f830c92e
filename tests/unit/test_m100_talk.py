"""What is said to an M100, against a module made of a table of answers and the simulated one, and how it is judged."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from reader.line.protocols.m100 import Conversation, Decoder
from reader.line.protocols.settings import Wanted
from reader.model import ChipRead
from reader.simulator.m100 import ROUND_NS, M100Reader, chip_from_number
from tests.unit.test_m100 import EMPTY, a_frame, answer

S = 10**9
MS = 10**6
UNKNOWN = answer(0xFF, "17")
STEP_NS = 20 * MS
SET_UP = ["28", "0300", "0301", "0302", "08", "0d", "2722ffff"]


class Module:
    """Answers by command and data in hex; while it polls, an empty round each 40 ms. ``b""`` is silence."""

    def __init__(self, wanted: Wanted | None = None, **answers: bytes) -> None:
        self.answers = {
            "28": answer(0x28),
            "0300": answer(0x03, "004d313030"),
            "0301": answer(0x03, "015631"),
            "0302": answer(0x03, "024d52"),
            "08": answer(0x08, "02"),
            "0d": answer(0x0D, "1020"),
            **{key.lstrip("_"): said for key, said in answers.items()},
        }
        self.talk = Conversation(wanted)
        self.decoder = Decoder()
        self.speaks_aa = False
        self.knows_many = self.knows_once = True
        self.is_deaf = False
        self.is_polling = self.is_in_round = False
        self.round = EMPTY
        self.asked: list[str] = []
        self.polled_ns: list[int] = []
        self.now_ns = 5 * S

    def open(self) -> Module:
        self.is_polling = False
        self.asked.clear()
        self.take(self.talk.opened(self.now_ns))
        return self

    def take(self, sent: bytes) -> None:
        while sent:
            size = 7 + int.from_bytes(sent[3:5])
            one, sent = sent[:size], sent[size:]
            assert sum(one[1:-2]) % 256 == one[-2]
            assert (one[0], one[-1]) in ((0xBB, 0x7E), (0xAA, 0xDD))
            self.asked.append(one[2:3].hex() + one[5:-2].hex())
            if not self.is_deaf and (one[0] == 0xAA) == self.speaks_aa:
                self.say(self.answer(self.asked[-1]))

    def answer(self, asked: str) -> bytes:
        if asked.startswith("27"):
            self.polled_ns.append(self.now_ns)
            self.is_polling = self.knows_many
            return b"" if self.knows_many else self.answers.get("27", b"")
        if asked == "22":
            self.polled_ns.append(self.now_ns)
            self.is_in_round = self.knows_once
            return b""
        if asked == "28":
            self.is_polling = False
        return self.answers.get(asked, UNKNOWN)

    def say(self, said: bytes) -> None:
        if self.speaks_aa and said:
            said = b"\xaa" + said[1:-1] + b"\xdd"
        if said:
            self.take(self.talk.heard(self.decoder.feed(said), self.now_ns))

    def run(self, seconds: float) -> Module:
        for step in range(round(seconds * S / STEP_NS)):
            self.now_ns += STEP_NS
            if self.is_in_round or (self.is_polling and step % 2):
                self.is_in_round = False
                self.say(self.round)
            self.take(self.talk.tick(self.now_ns))
        return self

    def stands(self) -> tuple[bool, str]:
        return self.talk.standing.hears, self.talk.standing.word


def test_it_is_set_up_in_order_and_polled() -> None:
    module = Module()
    assert module.stands() == (False, "unknown")
    module.open().run(1)
    assert module.asked == SET_UP
    assert module.stands() == (True, "ok")
    assert module.talk.standing.says == "polling, region US 902-928 MHz, as set in the reader"
    standing = module.talk.standing
    module.run(15)
    assert module.talk.standing is standing
    assert module.asked == SET_UP


def test_nothing_is_written_without_a_profile() -> None:
    module = Module().open()
    for _ in range(4):
        module.run(7)
        module.is_deaf = not module.is_deaf
        module.is_polling = False
    assert {said[:2] for said in module.asked} <= {"28", "03", "08", "0d", "27", "22"}


def test_the_only_antenna_and_how_long_a_round_takes() -> None:
    module = Module().open().run(5)
    ((antenna, state, revisit_ms, is_expected),) = module.talk.antennas
    assert (antenna, state, revisit_ms, is_expected) == (None, "unknown", 40.0, True)


def test_rounds_with_chips_are_not_measured() -> None:
    module = Module()
    module.round = a_frame(1)
    assert module.open().run(5).talk.antennas[0].revisit_ms is None
    assert module.stands() == (True, "ok")


# ---- begun anew --------------------------------------------------------------------------------------------


def test_a_poll_is_begun_anew_in_an_empty_round_before_its_number_is_used_up() -> None:
    module = Module().open().run(50)
    gaps_ns = [after - before for before, after in pairwise(module.polled_ns)]
    assert len(gaps_ns) == 2
    assert all(20 * S <= gap_ns <= 21 * S for gap_ns in gaps_ns)
    assert module.asked == [*SET_UP, "28", "2722ffff", "28", "2722ffff"]
    assert module.stands() == (True, "ok")


def test_among_chips_it_is_begun_anew_later_but_in_time() -> None:
    module = Module()
    module.round = a_frame(1)
    module.open().run(65)
    gaps_ns = [after - before for before, after in pairwise(module.polled_ns)]
    assert len(gaps_ns) == 2
    assert all(29 * S < gap_ns <= 31 * S for gap_ns in gaps_ns)


def test_a_lost_answer_to_the_stop_costs_a_fifth_of_a_second() -> None:
    module = Module().open().run(10)
    module.answers["28"] = b""
    module.run(12)
    assert module.asked[-2:] == ["28", "2722ffff"]
    assert module.is_polling
    assert module.stands() == (True, "ok")


def test_a_poll_that_ended_without_a_word_is_begun_anew() -> None:
    module = Module().open().run(5)
    module.is_polling = False
    module.asked.clear()
    module.run(1.3)
    assert module.asked == SET_UP
    assert module.stands() == (True, "ok")


def test_a_long_round_is_no_silence() -> None:
    module = Module(_0d=answer(0x0D, "1058")).open().run(2)  # Q 11: four seconds
    module.is_polling = False
    module.asked.clear()
    module.run(3)
    assert module.asked == []
    assert module.stands() == (True, "ok")
    module.run(4)
    assert module.asked[:2] == ["28", "0300"]


# ---- who does not go along ---------------------------------------------------------------------------------


def test_who_answers_nothing_is_asked_for_ever() -> None:
    module = Module()
    module.is_deaf = True
    module.open().run(5)
    assert module.stands() == (False, "fail")
    assert module.talk.standing.says.startswith("does not answer at this baud: check")
    module.asked.clear()
    module.run(60)
    assert module.asked.count("2722ffff") >= 10
    assert module.asked.count("22") >= 10
    assert len(module.asked) < 60 * 10
    module.is_deaf = False
    module.run(6)
    assert module.stands() == (True, "ok")


def test_what_it_refuses_is_named_and_not_in_the_way() -> None:
    module = Module(_0301=UNKNOWN, _0d=b"").open().run(2)
    assert module.stands() == (True, "warn")
    assert "refused its firmware: unknown command (17)" in module.talk.standing.says
    assert "does not answer when asked for its query" in module.talk.standing.says


@pytest.mark.parametrize("refused", [b"", UNKNOWN])
def test_one_that_knows_nothing_but_a_poll_is_polled(refused: bytes) -> None:
    module = Module(_27=refused)
    module.answers.update(dict.fromkeys(SET_UP, b""))
    module.knows_many = False
    module.open().run(4)
    module.asked.clear()
    module.polled_ns.clear()
    module.run(2)
    assert set(module.asked) == {"22"}
    assert module.stands() == (True, "warn")
    assert "answers no question" in module.talk.standing.says


@pytest.mark.parametrize("speaks_aa", [False, True])
def test_one_that_knows_nothing_but_polls_of_many_rounds_is_polled(speaks_aa: bool) -> None:
    module = Module()
    module.answers.update(dict.fromkeys(SET_UP, b""))
    module.knows_once = False
    module.speaks_aa = speaks_aa
    module.open().run(8)
    assert module.stands() == (True, "warn")
    assert module.run(30).stands() == (True, "warn")


def test_single_rounds_follow_each_other_at_once_and_a_lost_one_is_made_up_for() -> None:
    module = Module(_27=UNKNOWN)
    module.knows_many = False
    module.round = a_frame(9)
    module.open().run(2)
    assert module.stands() == (True, "ok")
    module.polled_ns.clear()
    module.run(1)
    assert 15 <= len(module.polled_ns) <= 34
    module.round = b""
    module.polled_ns.clear()
    module.run(0.7)
    assert 2 <= len(module.polled_ns) <= 4
    module.round = a_frame(9)
    module.run(1)
    assert module.stands() == (True, "ok")


def test_a_board_of_the_other_form_is_found_and_spoken_to_in_it() -> None:
    module = Module()
    module.speaks_aa = True
    module.open().run(2)
    assert module.stands() == (True, "ok")
    # Each twice in vain in the first form, then once in the other; all else in the other at once.
    assert module.asked == ["28", "28", *SET_UP]
    module.run(25)
    assert module.asked[-2:] == ["28", "2722ffff"]
    assert module.talk.closing().hex() == "aa0028000028dd"


def test_a_board_that_takes_another_ones_place_is_found_too() -> None:
    module = Module().open().run(2)
    module.speaks_aa, module.is_polling = True, False
    assert module.run(12).stands() == (True, "ok")


def test_a_cable_that_carries_one_way_still_hears() -> None:
    module = Module()
    module.is_deaf = True
    module.open()
    module.is_polling = True
    module.round = a_frame(3)
    module.run(0.1)
    assert module.stands() == (True, "warn")
    module.run(5)
    assert module.stands() == (True, "warn")
    module.is_polling = False
    assert module.run(3).stands() == (False, "fail")


def test_silence_is_not_taken_for_health() -> None:
    module = Module().open().run(5)
    module.is_polling, module.is_deaf = False, True
    module.run(1.2)
    assert module.stands() == (False, "fail")
    assert module.talk.standing.says.startswith("silent: no round for 1.0 s; check its power")
    module.is_deaf = False
    assert module.run(5).stands() == (True, "ok")


def test_faults_are_told_while_they_last() -> None:
    module = Module().open().run(1)
    module.say(answer(0xFF, "20"))
    assert module.stands() == (True, "warn")
    assert "no free channel found (20)" in module.talk.standing.says
    assert module.run(9).stands() == (True, "warn")
    assert module.run(2).stands() == (True, "ok")


def test_a_read_kept_from_the_world_by_its_crc_is_a_round_all_the_same() -> None:
    module = Module()
    good = bytearray(a_frame(3))
    good[-4] ^= 1
    good[-2] = sum(good[1:-2]) % 256
    module.round = bytes(good)
    assert module.open().run(3).stands() == (True, "ok")


def test_closing_stops_the_poll() -> None:
    assert Module().open().run(1).talk.closing().hex() == "bb00280000287e"


def test_opened_again_it_begins_from_the_top() -> None:
    module = Module().open().run(3)
    assert module.open().run(1).asked == SET_UP
    assert module.stands() == (True, "ok")


# ---- the region --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["00", "05", "ff"])
def test_without_a_region_it_does_not_transmit_and_asks_every_ten_seconds(code: str) -> None:
    module = Module(_08=answer(0x08, code)).open().run(1)
    assert module.stands() == (False, "fail")
    assert module.talk.standing.says.startswith("not transmitting: no region")
    module.run(25)
    assert module.asked.count("08") == 3
    assert module.polled_ns == []
    module.answers["08"] = answer(0x08, "03")
    assert module.run(10).stands() == (True, "ok")
    assert "Europe" in module.talk.standing.says


@pytest.mark.parametrize("answered", [b"", UNKNOWN])
def test_a_reader_that_does_not_tell_its_region_is_polled_all_the_same(answered: bytes) -> None:
    module = Module(_08=answered).open().run(2)
    assert module.stands() == (True, "warn")
    assert "region not told by the reader" in module.talk.standing.says


def test_a_region_that_is_refused_is_not_transmitted_in() -> None:
    module = Module(Wanted("finish", {"region": "eu"}), _0703=answer(0xFF, "0e")).open().run(3)
    assert module.stands() == (False, "fail")
    assert "not transmitting: region US 902-928 MHz is set in the reader, eu wanted" in module.talk.standing.says
    assert "value not possible (0E)" in module.talk.standing.says
    assert "`timing-mat profile apply`" in module.talk.standing.says
    assert module.polled_ns == []
    module.answers["08"] = answer(0x08, "03")
    assert module.run(11).stands() == (True, "ok")


def test_a_region_that_is_unknown_to_the_family_is_not_transmitted_in() -> None:
    module = Module(Wanted("finish", {"region": "jp"})).open().run(3)
    assert module.stands() == (False, "fail")
    assert module.polled_ns == []


# ---- against the simulated module --------------------------------------------------------------------------

PROFILE = Wanted(
    "finish",
    {"region": "eu", "antennas": (1,), "power_dbm": {1: 25.5}, "query": (1, "B", 6), "hopping": True},
)


class Line:
    """The simulated module, the conversation with it and what the host hears; the time is made here."""

    def __init__(self, reader: M100Reader, wanted: Wanted | None = None) -> None:
        self.reader = reader
        self.talk = Conversation(wanted)
        self.decoder = Decoder()
        self.baud = reader.baud
        self.now_ns = 1000 * S
        self.reads: list[str] = []
        self.commands: list[str] = []
        self.send(self.talk.opened(self.now_ns))

    def send(self, sent: bytes) -> None:
        """As the link does it: what is said together with a change of speed goes out before it."""
        if sent:
            self.commands.append(sent[2:3].hex())
        is_heard = self.baud == self.reader.baud
        said = self.reader.answer(sent if is_heard else bytes(byte ^ 0x55 for byte in sent), self.now_ns)
        if self.talk.baud is not None:
            self.baud = self.talk.baud
        self.hear(said)

    def hear(self, said: bytes) -> None:
        if self.baud != self.reader.baud:
            said = bytes(byte ^ 0x55 for byte in said)
        for at in range(0, len(said), 7):
            events = self.decoder.feed(said[at : at + 7])
            self.reads += [event.chip for event in events if isinstance(event, ChipRead)]
            if sent := self.talk.heard(events, self.now_ns):
                self.send(sent)

    def step(self) -> None:
        self.now_ns += 10 * MS
        self.hear(self.reader.tick(self.now_ns))
        self.send(self.talk.tick(self.now_ns))

    def run(self, seconds: float) -> Line:
        for _ in range(round(seconds * 100)):
            self.step()
        return self

    def report(self, chip: str) -> bool:
        reported = self.reader.report(chip, self.now_ns, -55, 1)
        if reported is not None:
            self.hear(reported[0])
        return reported is not None


@pytest.mark.parametrize("form", ["bb", "aa"])
def test_two_hundred_crossings_are_heard_and_counted(form: str) -> None:
    dice = random.Random(7)
    line = Line(M100Reader(form=form), PROFILE).run(2)
    said = []
    for number in range(200):
        chip = chip_from_number(number)
        for _ in range(3):
            line.run(dice.choice((0.02, 0.05, 0.3)))
            if line.report(chip):
                said.append(chip)
    assert line.reads == said
    assert len(set(said)) == 200
    assert line.talk.standing.word == "ok"
    assert line.commands.count("27") >= 3


def test_a_profile_is_applied_verified_and_applied_again_after_a_restart() -> None:
    line = Line(M100Reader(), PROFILE).run(1)
    for _ in range(2):
        reader = line.reader
        assert (reader.region, reader.power_cdbm, reader.kept[0x0D].hex(), reader.is_hopping) == (3, 2550, "11b0", True)
        assert line.talk.standing.word == "ok"
        assert line.talk.standing.says == "polling, region Europe 865-868 MHz"
        reader.suffer("reboot")
        assert reader.region == 1
        line.commands.clear()
        line.run(3)
        assert {"07", "b6", "0e", "ad"} <= set(line.commands)
    assert line.reader.flash_writes == 0


def test_what_is_as_wanted_is_not_written_again() -> None:
    reader = M100Reader()
    Line(reader, PROFILE).run(1)
    reader.answer(bytes.fromhex("bb00280000287e"), 0)
    line = Line(reader, PROFILE).run(1)
    assert set(line.commands) & {"07", "b6", "0e"} == set()
    assert line.talk.standing.word == "ok"


def test_what_is_not_taken_is_told() -> None:
    line = Line(M100Reader(), Wanted("loud", {"power_dbm": {1: 33.0}, "antennas": (1, 2)})).run(1)
    assert line.talk.standing.word == "warn"
    assert "power: 20.00 dBm, wanted 33.00 dBm: refused: value not possible (0E)" in line.talk.standing.says
    assert "other antennas than 1" in line.talk.standing.says
    assert line.talk.standing.hears


def test_the_speed_of_a_profile_is_set_found_again_and_set_again() -> None:
    reader = M100Reader()
    wanted = Wanted("fast", {"baud": 57600})
    line = Line(reader, wanted).run(5)
    assert (reader.baud, line.baud, line.talk.standing.word) == (57600, 57600, "ok")
    reader.suffer("reboot")
    line.run(12)
    assert (reader.baud, line.baud, line.talk.standing.word) == (57600, 57600, "ok")
    reader.answer(bytes.fromhex("bb00280000287e"), 0)
    again = Line(reader, wanted)
    again.baud = 115200  # the host has restarted and opens the port as ever
    again.run(8)
    assert (reader.baud, again.baud, again.talk.standing.word) == (57600, 57600, "ok")


def test_a_module_without_a_region_is_not_polled_and_one_without_antenna_hears_nothing() -> None:
    line = Line(M100Reader(region=0)).run(3)
    assert not line.reader.is_hearing
    assert line.talk.standing.says.startswith("not transmitting: no region")
    line = Line(M100Reader()).run(1)
    line.reader.suffer("antenna-off")
    assert not line.report("E280")
    assert line.run(3).talk.standing.hears
    line.reader.suffer("antenna-off")
    assert line.report("E280")


def test_the_simulated_module_counts_its_rounds() -> None:
    reader = M100Reader()
    assert reader.answer(bytes.fromhex("bb00270003220003") + b"\x4f\x7e", 0) == b""
    assert reader.is_hearing
    assert reader.report("E280", 1, -50, 2) is None
    assert reader.report("E280", 1, -50, 1) is not None
    assert reader.tick(ROUND_NS) == b""
    assert reader.answer(bytes.fromhex("bb0003000100047e"), 0) == b""
    assert reader.tick(3 * ROUND_NS) == EMPTY * 2
    assert reader.report("E280", 1, -50, 1) is None
    assert reader.answer(bytes.fromhex("bb00ee0000ee7e"), 0) == UNKNOWN
    assert reader.answer(bytes.fromhex("bb00ee0000ef7e"), 0) == b""
