"""What of an M100 is read and written by a technician's scripts, against the simulated module."""

from __future__ import annotations

from typing import TypeVar

import pytest

from reader.line.protocols.asking import Asking, Script, Stuck
from reader.line.protocols.m100 import ON_START, SETTINGS, Decoder, identify
from reader.line.protocols.settings import Wanted, apply, differences, dump
from reader.model import Reply
from reader.simulator.m100 import M100Reader, make_reader

T = TypeVar("T")
MS = 10**6

WANTED = {"region": "us", "power_dbm": {1: 22.25}, "query": (2, "B", 15), "baud": 19200}
AS_IT_COMES = {"region": "cn900", "power_dbm": {1: 20.0}, "query": (0, "A", 4), "baud": 115200}


class Desk:
    """A script run on a line to a simulated module; the time is made here. What is heard of another speed is lost."""

    def __init__(self, reader: M100Reader) -> None:
        self.reader = reader
        self.baud = reader.baud
        self.deaf_to: set[str] = set()  # commands, in hex
        self.now_ns = 0

    def run(self, script: Script[T]) -> T:
        asking = Asking(script)
        decoder = Decoder()
        sent = asking.begin(self.now_ns)
        while not asking.is_done:
            is_heard = self.baud == self.reader.baud and sent[2:3].hex() not in self.deaf_to
            said = self.reader.answer(sent, self.now_ns) if is_heard else b""
            # As the desk does it: what is said together with a change of speed goes out before it.
            self.baud = asking.baud or self.baud
            sent = b""
            for event in decoder.feed(said if self.baud == self.reader.baud else b""):
                if isinstance(event, Reply):
                    sent += asking.heard(event, self.now_ns)
            self.now_ns += 10 * MS
            sent = sent or asking.tick(self.now_ns)
        self.baud = asking.baud or self.baud
        return asking.result


def changed(desk: Desk, wanted: dict[str, object]) -> list[str]:
    applied = desk.run(apply(SETTINGS, Wanted("finish", wanted)))
    assert applied.wrong == []
    return [difference.setting.key for difference in applied.changed]


@pytest.mark.parametrize("form", ["bb", "aa"])
def test_all_that_it_tells_is_told(form: str) -> None:
    assert Desk(M100Reader(form=form)).run(dump(SETTINGS)) == AS_IT_COMES


@pytest.mark.parametrize("form", ["bb", "aa"])
def test_what_differs_is_written_read_back_and_not_written_again(form: str) -> None:
    desk = Desk(M100Reader(form=form))
    says = [difference.says for difference in desk.run(differences(SETTINGS, Wanted("finish", WANTED)))]
    assert says == [
        "region: cn900, wanted us",
        "power: 20.00 dBm, wanted 22.25 dBm",
        "query: session S0, target A, Q 4, wanted session S2, target B, Q 15",
        "speed in baud: 115200, wanted 19200",
    ]
    assert changed(desk, WANTED) == ["region", "power_dbm", "query", "baud"]
    assert (desk.reader.region, desk.reader.power_cdbm, desk.reader.baud) == (2, 2225, 19200)
    assert desk.reader.kept[0x0D].hex() == "12f8"
    assert changed(desk, WANTED) == []
    assert desk.run(dump(SETTINGS)) == WANTED
    assert desk.baud == 19200
    assert desk.reader.flash_writes == 0


def test_what_is_dumped_is_applied_in_vain() -> None:
    desk = Desk(make_reader(baud=9600, region=6))
    values = desk.run(dump(SETTINGS))
    assert (values["region"], values["baud"]) == ("kr", 9600)
    assert changed(desk, values) == []


def test_hopping_is_written_though_it_does_not_tell() -> None:
    desk = Desk(M100Reader())
    applied = desk.run(apply(SETTINGS, Wanted("finish", {"hopping": True})))
    assert desk.reader.is_hopping
    assert applied.wrong == ["hopping: written, but the reader does not tell whether it is so"]


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        ({"region": "jp"}, "region: cn900, wanted jp: not a region of this reader; it knows cn900, us, eu, cn800, kr"),
        ({"power_dbm": {1: 30}}, "power: 20.00 dBm, wanted 30.00 dBm: refused: value not possible (0E)"),
        ({"power_dbm": {2: 10}}, "no power is given for antenna 1, the only one of this reader"),
        ({"power_dbm": {1: -3}}, "not a power that can be told to this reader"),
        ({"query": (4, "A", 4)}, "not a query of this reader: session 0 to 3, target A or B, Q 0 to 15"),
        ({"query": (0, "C", 4)}, "not a query of this reader"),
        ({"query": (0, "A", 16)}, "not a query of this reader"),
        ({"baud": 230400}, "not a speed of this reader; it knows 9600, 19200, 38400, 57600, 115200"),
    ],
)
def test_what_can_not_be_is_told(wanted: dict[str, object], wrong: str) -> None:
    desk = Desk(M100Reader())
    applied = desk.run(apply(SETTINGS, Wanted("finish", wanted)))
    assert applied.changed == []
    assert len(applied.wrong) == 1
    assert wrong in applied.wrong[0]
    assert desk.run(dump(SETTINGS)) == AS_IT_COMES


@pytest.mark.parametrize("setting", SETTINGS, ids=[setting.key for setting in SETTINGS])
def test_who_does_not_answer_is_stuck(setting: object) -> None:
    desk = Desk(M100Reader())
    desk.deaf_to = {"07", "b6", "0e", "ad", "11", "03"}
    values: dict[str, object] = {**WANTED, "hopping": True}
    (one,) = [known for known in SETTINGS if known is setting]
    with pytest.raises(Stuck) as stuck:
        desk.run(one.put(values[one.key]))
    assert stuck.value.is_unanswered


def test_a_speed_that_is_not_taken_leaves_the_line_at_the_old_one() -> None:
    desk = Desk(M100Reader(baud=38400))
    desk.deaf_to = {"11"}
    applied = desk.run(apply(SETTINGS, Wanted("finish", {"baud": 9600})))
    assert applied.wrong == ["speed in baud: 38400, wanted 9600: it stays at 38400 baud"]
    assert desk.baud == desk.reader.baud == 38400


def test_a_speed_that_is_refused_leaves_the_line_at_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reader.simulator.m100.BAUDS", (115200,))
    desk = Desk(M100Reader())
    applied = desk.run(apply(SETTINGS, Wanted("finish", {"baud": 9600})))
    assert applied.wrong == ["speed in baud: 115200, wanted 9600: it stays at 115200 baud: value not possible (0E)"]
    assert desk.baud == desk.reader.baud == 115200


@pytest.mark.parametrize("form", ["bb", "aa"])
def test_who_is_there(form: str) -> None:
    desk = Desk(M100Reader(form=form))
    # A poll left running answers nothing but the stop.
    desk.reader.answer(bytes.fromhex("bb0027000322ffff4a7e" if form == "bb" else "aa0027000322ffff4add"), 0)
    known = desk.run(identify())
    assert (known.model, known.firmware, known.antennas) == ("M100 26dBm V1.0", "V2.3.5", (1,))
    assert known.region == "China 920-925 MHz"
    assert known.says == ("maker MagicRf", "power 20.00 dBm", "query session S0, target A, Q 4")


def test_who_says_little_is_known_a_little() -> None:
    desk = Desk(M100Reader(region=0))
    desk.deaf_to = {"03", "b7"}
    known = desk.run(identify())
    assert (known.model, known.firmware, known.region) == (None, None, "unknown (0)")
    assert known.says == ("query session S0, target A, Q 4",)


def test_nobody_is_there() -> None:
    desk = Desk(M100Reader())
    desk.deaf_to = {"28", "03", "08"}
    with pytest.raises(Stuck, match="does not answer: check its power") as stuck:
        desk.run(identify())
    assert stuck.value.is_unanswered


def test_nothing_is_in_flash() -> None:
    assert not any(setting.is_in_flash for setting in SETTINGS)
    assert [setting.key for setting in SETTINGS] == ["region", "power_dbm", "query", "hopping", "baud"]
    assert {"antennas"} == ON_START
