"""What is said to an A0 reader, against a reader made of a table of answers, and against the simulated one."""

from __future__ import annotations

import random

import pytest

from reader.line.protocols.a0 import Conversation, Decoder
from reader.line.protocols.settings import Wanted
from reader.model import ChipRead
from reader.simulator.a0 import A0Reader, chip_from_number, make_reader
from tests.unit.test_a0 import END, a_frame, frame

S = 10**9
MS = 10**6
VERSION, POLL, OLD_POLL, ANTENNA, REGION, LOSS, HEAT, POWER, SET_POWER = (
    0x72, 0x8B, 0x89, 0x74, 0x79, 0x7E, 0x7B, 0x77, 0x66,
)  # fmt: skip
FLASH = {0x62, 0x67, 0x69, 0x70, 0x71, 0x73, 0x76, 0x78, 0x7A}


class Table:
    """Answers by command; ``b""`` is silence. A round takes 40 ms; ``lost``: so many of its ends do not come."""

    def __init__(self, wanted: Wanted | None = None, ports: int = 1, **changed: bytes) -> None:
        self.address = 1
        self.ports = ports
        self.at = 0
        self.missing: set[int] = set()
        self.answers: dict[int, str] = {VERSION: "0109", REGION: "01073b", LOSS: "12", HEAT: "0120", POWER: "1e"}
        self.silent: set[int] = set()
        self.lost = 0
        self.kinds = {POLL, OLD_POLL}
        self.is_deaf = False
        self.asked: list[tuple[int, str]] = []
        self.talk = Conversation(wanted)
        self.decoder = Decoder()
        self.now_ns = 5 * S
        self.ends_ns: int | None = None
        self.kind = POLL

    def begin(self) -> Table:
        self.take(self.talk.opened(self.now_ns))
        return self

    def take(self, sent: bytes) -> None:
        while sent:
            one, sent = sent[: sent[1] + 2], sent[sent[1] + 2 :]
            assert sum(one) % 256 == 0
            self.asked.append((one[3], one[4:-1].hex()))
            if not self.is_deaf and one[2] in (self.address, 0xFF):
                self.hear(one[3], one[4:-1])

    def hear(self, number: int, data: bytes) -> None:
        if number in (POLL, OLD_POLL):
            if number not in self.kinds:
                self.say(frame(number, "41") if number not in self.silent else b"")
            elif self.at in self.missing:
                self.say(frame(number, "22"))
            else:
                self.kind, self.ends_ns = number, self.now_ns + 40 * MS
        elif number in self.silent:
            return
        elif number == ANTENNA:
            there = data[0] < self.ports
            self.at = data[0] if there else self.at
            self.say(frame(number, "10" if there else "47", self.address))
        elif number == SET_POWER:
            self.answers[POWER] = data.hex()
            self.say(frame(number, "10", self.address))
        else:
            self.say(frame(number, self.answers.get(number, "11"), self.address))

    def say(self, said: bytes) -> None:
        if said:
            self.take(self.talk.heard(self.decoder.feed(said), self.now_ns))

    def run(self, seconds: float) -> None:
        end_ns = self.now_ns + round(seconds * S)
        while self.now_ns < end_ns:
            self.now_ns += 5 * MS
            if self.ends_ns is not None and self.now_ns >= self.ends_ns:
                self.ends_ns = None
                if self.lost and self.lost > 0:
                    self.lost -= 1
                elif not self.is_deaf:
                    self.say(frame(self.kind, f"{self.at:02x} 0000 00000000"))
            due_ns = self.talk.due_ns
            if due_ns is not None and self.now_ns >= due_ns:
                self.take(self.talk.tick(self.now_ns))

    def stands(self) -> tuple[bool, str]:
        return self.talk.standing.hears, self.talk.standing.word

    @property
    def says(self) -> str:
        return self.talk.standing.says

    def commands(self) -> list[int]:
        return [number for number, _ in self.asked]

    def rounds(self) -> int:
        return sum(number in (POLL, OLD_POLL) for number in self.commands())


def test_it_is_asked_and_polled_and_stays_as_it_is() -> None:
    reader = Table()
    assert reader.talk.standing.word == "unknown"
    reader.begin().run(1)
    assert reader.stands() == (True, "ok")
    assert reader.says == "polling antenna 1, region FCC 902.0-928.0 MHz (channels 7-59), as set in the reader"
    assert reader.asked[:3] == [(VERSION, ""), (REGION, ""), (ANTENNA, "00")]
    assert (POLL, "010001") in reader.asked
    standing = reader.talk.standing
    reader.run(20)
    assert reader.talk.standing is standing
    # 40 ms a round, and a question now and then.
    assert reader.rounds() > 480
    (antenna,) = reader.talk.antennas
    assert antenna == (1, "up", 40.0, True)
    assert reader.talk.closing() == b""
    assert not FLASH & set(reader.commands())


def test_the_next_round_is_asked_for_the_moment_one_ends() -> None:
    talk = Conversation()
    decoder = Decoder()
    table = Table()
    table.begin().run(1)
    talk, decoder = table.talk, table.decoder
    assert talk.heard(decoder.feed(frame(POLL, "00 0000 00000000")), table.now_ns) == bytes.fromhex("a006018b010001cc")


def test_each_antenna_has_its_turn() -> None:
    reader = Table(ports=4).begin()
    reader.run(3)
    assert reader.stands() == (True, "ok")
    assert [(one.antenna, one.state) for one in reader.talk.antennas] == [(n, "up") for n in (1, 2, 3, 4)]
    assert all(one.revisit_ms is not None and 150 <= one.revisit_ms <= 180 for one in reader.talk.antennas)
    reader.asked.clear()
    reader.run(0.33)
    polled = [data for number, data in reader.asked if number == ANTENNA]
    assert set(polled) == {"00", "01", "02", "03"}
    assert [number for number in reader.commands() if number in (POLL, ANTENNA)][:2] in (
        [ANTENNA, POLL],
        [POLL, ANTENNA],
    )


def test_a_reader_of_eight_ports_has_eight_antennas() -> None:
    reader = Table(ports=8)
    reader.answers[0x75] = "04"
    # Of this one it can be told that it is at the port it was put to.
    reader.begin()
    reader.run(0.5)
    assert [one.antenna for one in reader.talk.antennas] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", [POLL, OLD_POLL])
@pytest.mark.parametrize("is_silent", [True, False])
def test_a_reader_that_only_knows_rounds_records(kind: int, is_silent: bool) -> None:
    reader = Table()
    reader.kinds = {kind}
    reader.silent = {VERSION, REGION, ANTENNA, LOSS, HEAT} | ({POLL, OLD_POLL} if is_silent else set())
    reader.begin().run(4)
    assert reader.stands() == (True, "warn")
    assert "does not answer when asked who it is" in reader.says
    assert [(one.antenna, one.state) for one in reader.talk.antennas] == [(1, "up")]
    before = reader.rounds()
    reader.run(10)
    assert reader.stands() == (True, "warn")
    assert reader.rounds() - before > 200
    reader.silent = set()
    reader.run(70)
    assert reader.stands() == (True, "ok") if kind == POLL else (True, "warn")
    assert "who it is" not in reader.says


def test_what_it_does_not_tell_is_named_and_not_in_the_way() -> None:
    reader = Table(ports=2)
    reader.silent = {REGION}
    reader.answers[LOSS] = "11"
    reader.kinds = {OLD_POLL}
    reader.begin().run(3)
    assert reader.stands() == (True, "warn")
    assert "does not answer when asked for its region" in reader.says
    assert "does not know rounds with a session" in reader.says
    assert LOSS not in reader.commands()  # it transmits, and the band is not known


def test_a_reader_that_refuses_to_be_told_its_antenna_is_polled_as_it_is() -> None:
    reader = Table(ports=0).begin()
    reader.run(1)
    assert reader.stands()[0]
    assert reader.says.startswith("polling the antenna that is set in it")


@pytest.mark.parametrize("region", ["000000", "05073b", "01073c", "012011", "040000000000", "49", "00"])
def test_without_a_region_it_does_not_transmit(region: str) -> None:
    reader = Table()
    reader.answers[REGION] = region
    reader.begin().run(25)
    assert reader.stands() == (False, "fail")
    assert reader.says.startswith("not transmitting: no region")
    assert not {POLL, OLD_POLL, LOSS} & set(reader.commands())
    assert 2 <= reader.commands().count(REGION) <= 4
    reader.answers[REGION] = "020006"
    reader.run(11)
    assert reader.stands() == (True, "ok")
    assert "ETSI 865.0-868.0 MHz" in reader.says


def test_frequencies_of_its_owner_are_a_region() -> None:
    reader = Table()
    reader.answers[REGION] = "04320a0df638"
    reader.begin().run(1)
    assert reader.stands() == (True, "ok")
    assert "user-defined 915.000-919.500 MHz" in reader.says
    assert LOSS not in reader.commands()


def test_silence_is_said_and_asked_into_for_ever() -> None:
    reader = Table()
    reader.is_deaf = True
    reader.begin().run(4)
    assert reader.stands() == (False, "fail")
    assert reader.says.startswith(("does not answer at this baud: check its power", "silent: its rounds do not end"))
    assert {POLL, OLD_POLL} <= set(reader.commands())
    reader.run(60)
    assert reader.commands().count(VERSION) > 20
    reader.is_deaf = False
    reader.run(7)
    assert reader.stands() == (True, "ok")


def test_a_reader_that_falls_silent_does_not_hear() -> None:
    reader = Table().begin()
    reader.run(5)
    reader.is_deaf = True
    reader.run(3)
    assert reader.stands() == (False, "fail")
    reader.is_deaf = False
    reader.run(6)
    assert reader.stands() == (True, "ok")


def test_a_lost_end_costs_little() -> None:
    reader = Table().begin()
    reader.run(2)
    reader.lost = 1
    before = reader.rounds()
    reader.run(1)
    assert reader.stands() == (True, "ok")
    assert reader.rounds() - before >= 20


def test_reads_prolong_a_round() -> None:
    reader = Table().begin()
    reader.run(1)
    reader.ends_ns = None
    before = reader.rounds()
    for chip in range(100):
        reader.say(a_frame(chip))
        reader.run(0.03)
        reader.ends_ns = None
    assert reader.stands() == (True, "ok")
    assert reader.rounds() - before <= 1


def test_an_antenna_that_is_missing_is_left_out_and_comes_back() -> None:
    reader = Table(ports=2).begin()
    reader.run(2)
    reader.missing = {1}
    reader.run(2)
    assert reader.stands() == (True, "warn")
    assert "antenna 2 is missing" in reader.says
    assert [one.state for one in reader.talk.antennas] == ["up", "missing"]
    reader.asked.clear()
    reader.run(10)
    assert 1 <= reader.asked.count((ANTENNA, "01")) <= 4  # it is tried again, and measured now and then
    reader.missing = set()
    reader.run(6)
    assert reader.stands() == (True, "ok")
    assert [one.state for one in reader.talk.antennas] == ["up", "up"]


def test_with_no_antenna_at_all_it_does_not_hear() -> None:
    reader = Table().begin()
    reader.run(1)
    reader.missing = {0}
    reader.run(3)
    assert reader.stands() == (False, "fail")
    assert "antenna 1 is missing" in reader.says
    reader.missing = set()
    reader.run(3)
    assert reader.stands() == (True, "ok")


def test_ports_with_nothing_at_them_are_not_polled() -> None:
    sim = Sim(make_reader(antennas=2))
    sim.run(3)
    assert sim.talk.standing.says.startswith("polling antenna 1, 2, region")
    assert sim.talk.standing.word == "ok"
    assert [(one.antenna, one.state) for one in sim.talk.antennas] == [
        (1, "up"), (2, "up"), (3, "missing"), (4, "missing"),
    ]  # fmt: skip


def test_if_all_seem_to_be_gone_they_are_polled_all_the_same() -> None:
    reader = Table(ports=2)
    reader.answers[LOSS] = "ee"
    reader.begin().run(4)
    assert reader.stands() == (True, "warn")
    assert [one.state for one in reader.talk.antennas] == ["bad", "bad"]
    assert "antenna 1: return loss too small" in reader.says


def test_faults_are_told_while_they_last() -> None:
    reader = Table().begin()
    reader.run(1)
    reader.ends_ns = None
    reader.say(frame(POLL, "53"))
    reader.run(1)
    assert reader.stands() == (True, "warn")
    assert "its RF chip does not answer (53)" in reader.says
    reader.run(11)
    assert reader.stands() == (True, "ok")
    reader.answers[HEAT] = "0150"
    reader.run(10)
    assert "hot" in reader.says


def test_a_reader_that_refuses_every_round_does_not_hear() -> None:
    reader = Table()
    reader.kinds = set()
    reader.begin().run(3)
    assert reader.stands() == (False, "fail")
    assert "refuses a round: parameter not possible (41)" in reader.says


# ---- a profile --------------------------------------------------------------------------------------------


def profile(with_flash: bool = False, **values: object) -> Wanted:
    return Wanted("a0-fcc", values, with_flash)


def test_a_profile_is_applied_and_read_back() -> None:
    wanted = profile(band=("fcc", 7, 59), antennas=(1, 3), power_dbm={1: 27.0, 3: 27.0}, session=2, target="B")
    reader = Table(wanted, ports=4).begin()
    reader.run(1)
    assert reader.stands() == (True, "ok")
    assert reader.asked.count((SET_POWER, "1b")) == 1
    assert reader.commands().index(POWER) < reader.commands().index(SET_POWER)
    assert (POLL, "020101") in reader.asked
    assert {data for number, data in reader.asked if number == ANTENNA} == {"00", "02"}
    assert not FLASH & set(reader.commands())


def test_what_it_has_forgotten_is_set_again() -> None:
    reader = Table(profile(power_dbm={1: 27.0}), ports=1).begin()
    reader.run(2)
    reader.answers[POWER] = "1e"
    reader.at, reader.lost = 0, 1
    reader.run(1)
    assert reader.answers[POWER] == "1b"
    assert "had lost its settings" in reader.says
    reader.answers[POWER] = "1e"
    reader.run(15)
    assert reader.answers[POWER] == "1b"


def test_another_region_than_the_profiles_does_not_transmit() -> None:
    reader = Table(profile(band=("etsi", 0, 6))).begin()
    reader.run(3)
    assert reader.stands() == (False, "fail")
    assert reader.says.startswith("not transmitting: region FCC")
    assert "timing-mat profile apply" in reader.says
    assert not {POLL, OLD_POLL, 0x78} & set(reader.commands())


def test_fewer_channels_than_wanted_are_within_the_law_and_more_are_not() -> None:
    reader = Table(profile(band=("fcc", 0, 59))).begin()
    reader.run(1)
    assert reader.stands() == (True, "warn")
    reader = Table(profile(band=("fcc", 10, 59))).begin()
    reader.run(1)
    assert reader.stands() == (False, "fail")


def test_one_channel_more_at_an_end_of_the_band_is_warned_of_and_polled() -> None:
    reader = Table(profile(band=("fcc", 8, 58))).begin()
    reader.run(1)
    assert reader.stands() == (True, "warn")
    assert "(channels 7-59) is set in the reader, and the profile" in reader.says
    assert "timing-mat profile apply" in reader.says
    assert POLL in reader.commands()
    for band in (("fcc", 9, 58), ("fcc", 8, 57), ("etsi", 7, 59)):
        reader = Table(profile(band=band)).begin()
        reader.run(1)
        assert reader.stands() == (False, "fail"), band
        assert POLL not in reader.commands()


def test_a_reader_that_has_been_given_another_speed_is_found() -> None:
    reader = make_reader(baud=19200)
    talk, decoder, now_ns = Conversation(profile(baud=19200)), Decoder(), 0
    sent = talk.opened(now_ns)
    while not talk.standing.hears and now_ns < 20 * S:
        said = reader.tick(now_ns)
        if sent and talk.baud == 19200:  # as the line was opened nothing is understood
            said += reader.answer(sent, now_ns)
        sent = talk.heard(decoder.feed(said), now_ns) if said else b""
        now_ns += 5 * MS
        sent = sent or talk.tick(now_ns)
    assert (talk.standing.word, talk.baud) == ("ok", 19200)


def test_a_reboot_that_it_tells_of_sets_it_up_again() -> None:
    reader = Table().begin()
    reader.run(2)
    reader.asked.clear()
    reader.say(frame(0x70, "10"))
    reader.run(1)
    assert reader.commands().count(VERSION) == 1
    assert reader.stands() == (True, "ok")


def test_opened_again_it_begins_from_the_top() -> None:
    reader = Table().begin()
    reader.run(2)
    reader.asked.clear()
    reader.begin()
    assert reader.asked[0] == (VERSION, "")
    assert reader.stands() == (False, "unknown")
    reader.run(1)
    assert reader.stands() == (True, "ok")


def test_a_reader_at_another_address_is_spoken_to_there() -> None:
    reader = Table()
    reader.address = 7
    reader.begin().run(1)
    assert reader.stands() == (True, "ok")
    assert reader.talk.heard(reader.decoder.feed(END), reader.now_ns)[2] == 7


# ---- against the simulated reader -------------------------------------------------------------------------


class Sim:
    """The simulated reader and the conversation, in virtual time."""

    def __init__(self, reader: A0Reader, wanted: Wanted | None = None, now_ns: int = 10**18) -> None:
        self.reader, self.talk, self.decoder = reader, Conversation(wanted), Decoder()
        self.now_ns = now_ns
        self.chips: list[ChipRead] = []
        self.exchange(self.talk.opened(self.now_ns))

    def exchange(self, sent: bytes) -> None:
        while sent:
            said = self.reader.answer(sent, self.now_ns)
            sent = self.hear(said)

    def hear(self, said: bytes) -> bytes:
        events = self.decoder.feed(said)
        self.chips += [event for event in events if isinstance(event, ChipRead)]
        return self.talk.heard(events, self.now_ns) if events else b""

    def run(self, seconds: float, reads: list[tuple[int, str, int]] | None = None) -> int:
        """Play ``reads``, each at its nanosecond from now; how many were said."""
        begin_ns, count = self.now_ns, 0
        due = sorted(reads or [])
        while self.now_ns < begin_ns + seconds * S:
            self.now_ns += MS
            self.exchange(self.hear(self.reader.tick(self.now_ns)))
            while due and begin_ns + due[0][0] <= self.now_ns:
                _, chip, antenna = due.pop(0)
                if (reported := self.reader.report(chip, self.now_ns, -60, antenna)) is not None:
                    count += 1
                    self.exchange(self.hear(reported[0]))
            self.exchange(self.talk.tick(self.now_ns))
        return count


@pytest.mark.parametrize("antennas", [1, 4, 8])
def test_two_hundred_crossings(antennas: int) -> None:
    dice = random.Random(antennas)
    sim = Sim(make_reader(antennas=antennas))
    sim.run(2)
    assert (sim.talk.standing.hears, sim.talk.standing.word) == (True, "ok")
    reads = []
    for number in range(200):
        at_ns, antenna = number * 50 * MS, dice.randrange(antennas) + 1
        reads += [(at_ns + dice.randrange(800 * MS), chip_from_number(number), antenna) for _ in range(40)]
    said = sim.run(11, reads)
    assert len(sim.chips) == said
    assert {read.chip for read in sim.chips} == {chip_from_number(number) for number in range(200)}
    assert {read.antenna for read in sim.chips} == set(range(1, antennas + 1))
    assert sim.talk.standing.hears


def test_the_simulated_reader_restarts_and_is_given_its_power_again() -> None:
    wanted = profile(band=("fcc", 7, 59), antennas=(1, 2), power_dbm={1: 25.0, 2: 25.0})
    sim = Sim(make_reader(antennas=2), wanted)
    sim.run(2)
    assert sim.talk.standing.word == "ok"
    assert sim.reader.suffer("reboot") == b""
    sim.run(2)
    assert "had lost its settings" in sim.talk.standing.says
    assert sim.reader.answer(frame(POWER, "", 1), sim.now_ns) in (b"", frame(POWER, "19"))
    assert sim.reader.flash_writes == 0


def test_an_antenna_pulled_out_of_the_simulated_reader() -> None:
    sim = Sim(make_reader(antennas=2))
    sim.run(2)
    sim.reader.suffer("antenna-off")
    sim.run(2)
    assert [one.state for one in sim.talk.antennas][:2] == ["missing", "up"]
    sim.reader.suffer("antenna-off")
    sim.run(6)
    assert [one.state for one in sim.talk.antennas][:2] == ["up", "up"]
    sim.reader.suffer("hot")
    sim.run(10)
    assert "hot" in sim.talk.standing.says


def test_the_simulated_reader_without_a_region() -> None:
    sim = Sim(make_reader(region=0))
    sim.run(3)
    assert sim.talk.standing.says.startswith("not transmitting: no region")
    assert not sim.reader.is_hearing


def test_a_profile_writes_flash_once() -> None:
    values = {
        "band": ("etsi", 0, 6), "power_dbm": {1: 20.0}, "antennas": (1,), "link": "D0",
        "return_loss_threshold_db": 5, "baud": 115200,
    }  # fmt: skip
    reader = make_reader()
    for hour in range(3):
        sim = Sim(reader, Wanted("a0-etsi", values, with_flash=True), hour * 3600 * S)
        sim.run(3)
        assert sim.talk.standing.word == "ok", sim.talk.standing
        assert "ETSI" in sim.talk.standing.says
    assert reader.flash_writes == 3
