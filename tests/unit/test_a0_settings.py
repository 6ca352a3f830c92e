"""What of an A0 reader can be read and written: scripts against the simulated reader, on a line that has a speed."""

from __future__ import annotations

from typing import TypeVar

import pytest

from reader.line.protocols.a0 import ON_START, SETTINGS, Decoder, identify
from reader.line.protocols.asking import Asking, Script, Stuck
from reader.line.protocols.settings import Applied, Wanted, apply, differences, dump
from reader.model import Reply
from reader.simulator.a0 import A0Reader, make_reader
from tests.unit.test_a0 import frame

T = TypeVar("T")
MS = 10**6
BY_KEY = {setting.key: setting for setting in SETTINGS}


class Line:
    """The script's end of a line; at another speed than the reader's nothing is understood. ``refuses``: commands."""

    def __init__(self, reader: A0Reader, baud: int = 115200) -> None:
        self.reader, self.baud, self.now_ns = reader, baud, 0
        self.decoder = Decoder()
        self.sent: list[int] = []
        self.refuses: dict[int, int] = {}
        self.silent: set[int] = set()
        self.does_not_follow = False  # takes the new speed for said, and keeps the old one

    def run(self, script: Script[T], baud: int | None = None) -> T:
        asking = Asking(script, baud)
        self.take(asking, asking.begin(self.now_ns))
        while not asking.is_done:
            self.now_ns += 5 * MS
            self.hear(asking, self.reader.tick(self.now_ns))
            self.take(asking, asking.tick(self.now_ns))
        return asking.result

    def take(self, asking: Asking[T], sent: bytes) -> None:
        if asking.baud is not None:
            self.baud = asking.baud
        if not sent:
            return
        self.sent.append(sent[3])
        if self.baud != self.reader.baud or sent[3] in self.silent:
            return
        if sent[3] in self.refuses:
            self.hear(asking, frame(sent[3], f"{self.refuses[sent[3]]:02x}"))
            return
        before = self.reader.baud
        said = self.reader.answer(sent, self.now_ns)
        if self.does_not_follow:
            self.reader.baud = before
        self.hear(asking, said)

    def hear(self, asking: Asking[T], said: bytes) -> None:
        for event in self.decoder.feed(said):
            assert isinstance(event, Reply)
            self.take(asking, asking.heard(event, self.now_ns))


def applied(line: Line, values: dict[str, object], with_flash: bool = True) -> Applied:
    return line.run(apply(SETTINGS, Wanted("test", values, with_flash)))


def test_the_region_is_first_and_the_speed_last() -> None:
    assert [*BY_KEY][:1] + [*BY_KEY][-1:] == ["band", "baud"]
    assert [key for key, setting in BY_KEY.items() if not setting.is_in_flash] == ["power_dbm"]
    assert {"antennas", "session", "target"} == ON_START


@pytest.mark.parametrize(
    ("key", "value", "writes"),
    [
        ("band", ("etsi", 0, 6), 1),
        ("band", ("chn", 43, 53), 1),
        ("band", ["fcc", 10, 50], 1),
        ("power_dbm", {1: 20.0}, 0),
        ("power_dbm", {1: 20.0, 2: 20.0, 3: 20.0, 4: 20.0}, 0),
        ("power_dbm", {1: 20.0, 3: 25.0}, 0),
        ("link", "D3", 1),
        ("return_loss_threshold_db", 0, 1),
        ("baud", 38400, 1),
        ("baud", 9600, 1),
    ],
)
def test_each_is_written_once_and_read_back(key: str, value: object, writes: int) -> None:
    line = Line(make_reader(antennas=4))
    first = applied(line, {key: value})
    assert (len(first.changed), first.wrong) == (1, [])
    assert line.reader.flash_writes == writes
    again = applied(line, {key: value})
    assert (again.changed, again.wrong) == ([], [])
    assert line.reader.flash_writes == writes
    assert line.run(differences(SETTINGS, Wanted("test", {key: value}))) == []


def test_what_differs_is_said_in_words() -> None:
    line = Line(make_reader(antennas=4))
    wanted: dict[str, object] = {
        "band": ("etsi", 0, 6), "power_dbm": {1: 20.0, 2: 25.0}, "link": "D3", "return_loss_threshold_db": 0,
        "baud": 9600,
    }  # fmt: skip
    assert [one.says for one in line.run(differences(SETTINGS, Wanted("test", wanted)))] == [
        "region and channels: FCC 902.0-928.0 MHz (channels 7-59), wanted ETSI 865.0-868.0 MHz (channels 0-6)",
        "power: 30 dBm, wanted 20 dBm at port 1, 25 dBm at port 2",
        "radio link: D1, wanted D3",
        "antenna detection: return loss under 3 dB, wanted off",
        "speed: 115200 baud, wanted 9600 baud",
    ]
    applied(line, wanted, with_flash=False)
    assert line.reader.flash_writes == 0


def test_what_is_told_is_what_is_wanted() -> None:
    line = Line(make_reader(baud=38400), 38400)
    values = line.run(dump(SETTINGS))
    assert values == {
        "band": ("fcc", 7, 59), "power_dbm": {1: 30.0}, "link": "D1", "return_loss_threshold_db": 3, "baud": 38400,
    }  # fmt: skip
    assert applied(line, values) == Applied([], [])
    assert line.reader.flash_writes == 0


@pytest.mark.parametrize("baud", [9600, 19200, 38400, 115200])
def test_its_speed_is_found_and_if_known_at_once(baud: int) -> None:
    line = Line(make_reader(baud=baud), baud)
    assert line.run(BY_KEY["baud"].ask()) == baud
    line.sent.clear()
    assert line.run(BY_KEY["baud"].ask(), baud) == baud
    assert line.sent == [0x72]


def test_a_reader_that_does_not_follow_is_found_at_its_old_speed() -> None:
    line = Line(make_reader())
    line.does_not_follow = True
    with pytest.raises(Stuck, match="does not answer at 9600 baud; back at 115200") as stuck:
        line.run(BY_KEY["baud"].put(9600))
    assert not stuck.value.is_unanswered
    assert line.baud == 115200


def test_a_lost_answer_to_a_new_speed_is_no_harm() -> None:
    line = Line(make_reader())
    line.silent = {0x71}
    with pytest.raises(Stuck):
        line.run(BY_KEY["baud"].put(9600))
    line.silent = set()
    line.run(BY_KEY["baud"].put(9600))
    assert line.reader.baud == line.baud == 9600


@pytest.mark.parametrize(
    ("key", "value", "command", "code", "says"),
    [
        ("band", ("etsi", 0, 6), 0x78, 0x49, "region not possible (49)"),
        ("link", "D3", 0x69, 0x41, "parameter not possible (41)"),
        ("power_dbm", {1: 20.0}, 0x66, 0x48, "power not possible (48)"),
        ("power_dbm", {1: 20.0, 2: 21.0}, 0x66, 0x41, "one power for all its ports"),
        ("baud", 9600, 0x71, 0x4A, "baud not possible (4A)"),
    ],
)
def test_a_refusal_is_told_in_words(key: str, value: object, command: int, code: int, says: str) -> None:
    line = Line(make_reader(antennas=2))
    line.refuses = {command: code}
    (wrong,) = applied(line, {key: value}).wrong
    assert says in wrong
    line.refuses, line.silent = {}, {command}
    if command != 0x71:
        with pytest.raises(Stuck, match="does not answer when told") as stuck:
            line.run(BY_KEY[key].put(value))
        assert stuck.value.is_unanswered


@pytest.mark.parametrize("value", [{1: 20.5}, {1: 34.0}, {1: -1.0}])
def test_a_power_it_can_not_have_is_not_sent(value: object) -> None:
    line = Line(make_reader())
    with pytest.raises(Stuck, match="whole dBm"):
        line.run(BY_KEY["power_dbm"].put(value))
    with pytest.raises(Stuck, match="no band"):
        line.run(BY_KEY["band"].put(("user", 1, 2)))
    with pytest.raises(Stuck, match="9600 baud"):
        line.run(BY_KEY["baud"].put(57600))
    assert line.sent == []


def test_who_is_there() -> None:
    line = Line(make_reader(antennas=8, region=2))
    known = line.run(identify())
    assert known.firmware == "8.2"
    assert known.antennas == (1, 2, 3, 4, 5, 6, 7, 8)
    assert known.region == "ETSI 865.0-868.0 MHz (channels 0-6)"
    assert known.says == ("30 °C", "power 30 dBm")
    assert line.reader.answer(frame(0x75, ""), 0) == frame(0x75, "00")
    assert line.reader.flash_writes == 0


def test_who_is_there_and_tells_little() -> None:
    line = Line(make_reader())
    line.refuses = dict.fromkeys((0x79, 0x7B, 0x77, 0x75), 0x11)
    line.refuses[0x77] = 0x54
    line.silent = {0x68}
    known = line.run(identify())
    assert (known.firmware, known.region, known.antennas, known.says) == ("8.2", None, (), ())
    line = Line(make_reader(region=0))
    assert "no region" in line.run(identify()).says[-1]
    line.silent = {0x72}
    with pytest.raises(Stuck, match="does not answer") as stuck:
        line.run(identify())
    assert stuck.value.is_unanswered


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (frame(0x8A, "00 01 01 01 02 01 03 01 00 01"), [0x8A]),
        (frame(0x8A, "00 01 02 03 01"), [0x8A]),
        (frame(0x80, "01"), [0x80]),
        (frame(0x89, "ff"), [0x89]),
        (frame(0x8B, "01 00 00 01"), [0x8B]),
    ],
)
def test_other_rounds_of_the_simulated_reader_end(asked: bytes, said: list[int]) -> None:
    reader, decoder = make_reader(antennas=4), Decoder()
    assert reader.answer(asked, 0) == b""
    assert reader.is_hearing
    assert reader.answer(frame(0x72, ""), 10 * MS) == b""  # it waits for the end of the round
    reported = reader.report("E2" * 6, 20 * MS, -50, 1)
    assert reported is not None
    events = decoder.feed(reported[0] + reader.tick(1000 * MS))
    ends = [event for event in events if isinstance(event, Reply)]
    assert [end.fields["cmd"] for end in ends] == [*said, 0x72]
    assert ends[0].fields["total"] == 1
    if said == [0x80]:
        (buffered,) = decoder.feed(reader.answer(frame(0x91, ""), 10**9))
        assert isinstance(buffered, Reply)
        assert (buffered.fields["epc"], buffered.fields["tag_crc_ok"], buffered.fields["rssi_dbm"]) == (
            "e2" * 6,
            True,
            -50,
        )
        assert reader.answer(frame(0x90, ""), 10**9) == frame(0x90, "38")


def test_a_reader_without_the_antenna_says_so_in_each_kind_of_round() -> None:
    reader = make_reader(antennas=1)
    assert reader.answer(frame(0x74, "01"), 0) == frame(0x74, "10")
    assert reader.answer(frame(0x89, "01"), 0) == frame(0x89, "22")
    reader.answer(frame(0x8A, "00 01 02 03 01"), 0)
    assert frame(0x8A, "01 22") in reader.tick(10**9)
    assert reader.answer(frame(0x7E, "14"), 10**9) == frame(0x7E, "01")
    assert reader.answer(frame(0x74, "04"), 10**9) == frame(0x74, "47")
