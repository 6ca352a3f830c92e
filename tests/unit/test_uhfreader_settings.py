"""What of a UHFReader is read and written, against the simulated ones; and who they say they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import pytest

from reader.line.protocols.asking import Asking, Script, Stuck
from reader.line.protocols.settings import Wanted, apply, differences, dump
from reader.line.protocols.uhfreader import SETTINGS, Decoder, identify
from reader.model import Reply
from reader.simulator.uhfreader import UhfReader, make_reader

T = TypeVar("T")
MS = 10**6


def run(reader: UhfReader, script: Script[T], *, baud: int = 57600, until: int = 10**9) -> T:
    """The script to its end, or until so many commands have been sent; at a speed not its own the reader is deaf."""
    asking, decoder, now_ns = Asking(script), Decoder(), 0
    sent = asking.begin(now_ns)
    commands = 0
    while not asking.is_done:
        if sent:
            commands += 1
            if commands > until:
                raise TimeoutError
        at_its_speed = (asking.baud or baud) == reader.baud
        said = reader.answer(sent, now_ns) if at_its_speed else b""
        sent = b""
        for event in decoder.feed(said):
            if isinstance(event, Reply):
                sent += asking.heard(event, now_ns)
        if not said and not sent:
            now_ns += 5 * MS
            sent = asking.tick(now_ns)
    return asking.result


def values(**changed: object) -> Mapping[str, object]:
    return {
        "band": ("eu", 0, 14),
        "power_dbm": {1: 27, 2: 27},
        "scan_time_ms": 300,
        "antenna_check": False,
        "work_mode": "realtime",
        "baud": 115200,
        **changed,
    }


def test_all_is_written_verified_and_not_written_again() -> None:
    reader = make_reader(antennas=2)
    applied = run(reader, apply(SETTINGS, Wanted("p", values(), with_flash=True)))
    assert applied.wrong == []
    assert [one.setting.key for one in applied.changed] == [
        "band", "power_dbm", "scan_time_ms", "antenna_check", "work_mode", "baud",
    ]  # fmt: skip
    assert (reader.flash_writes, reader.baud) == (6, 115200)
    reader.suffer("reboot")
    again = run(reader, apply(SETTINGS, Wanted("p", values(), with_flash=True)), baud=115200)
    assert again == ([], [])
    assert reader.flash_writes == 6
    assert run(reader, differences(SETTINGS, Wanted("p", values())), baud=115200) == []


def test_what_is_dumped_differs_in_nothing() -> None:
    for reader in (make_reader(antennas=4), UhfReader(model="86"), UhfReader(model="18")):
        found = run(reader, dump(SETTINGS))
        assert run(reader, apply(SETTINGS, Wanted("p", found, with_flash=True))) == ([], [])
        assert reader.flash_writes == 0
    assert found == {"band": ("us", 0, 49), "power_dbm": {1: 30}, "scan_time_ms": 2000, "work_mode": "answer",
                     "baud": 57600}  # fmt: skip


def test_without_leave_nothing_is_written() -> None:
    reader = make_reader()
    applied = run(reader, apply(SETTINGS, Wanted("p", values())))
    assert (applied.changed, reader.flash_writes) == ([], 0)
    assert applied.wrong[0] == "region: US 902.75-927.25 MHz, wanted EU 865.1-867.9 MHz (in flash, not written)"
    assert len(applied.wrong) == 6


@pytest.mark.parametrize("commands", range(1, 24, 2))
def test_cut_off_anywhere_and_done_again_ends_as_wanted(commands: int) -> None:
    reader = make_reader(antennas=2)
    with pytest.raises(TimeoutError):
        run(reader, apply(SETTINGS, Wanted("p", values(), with_flash=True)), until=commands)
    assert run(reader, apply(SETTINGS, Wanted("p", values(), with_flash=True)), baud=reader.baud).wrong == []
    assert reader.flash_writes == 6


def test_powers_that_differ_are_written_together_and_the_others_kept() -> None:
    reader = make_reader(antennas=4)
    applied = run(reader, apply(SETTINGS, Wanted("p", {"power_dbm": {1: 25, 3: 20}}, with_flash=True)))
    assert [one.says for one in applied.changed] == ["power: 30 dBm, wanted antenna 1 25 dBm, antenna 3 20 dBm"]
    assert run(reader, dump(SETTINGS))["power_dbm"] == {1: 25, 2: 30, 3: 20, 4: 30}
    assert reader.flash_writes == 1


def test_the_old_readers_keep_their_other_parameters_when_their_mode_is_set() -> None:
    reader = UhfReader(model="86")
    before = reader.answer(bytes.fromhex("040036e70e"), 0)
    applied = run(reader, apply(SETTINGS, Wanted("p", {"work_mode": "answer"}, with_flash=True)))
    assert (len(applied.changed), applied.wrong) == (1, [])
    after = reader.answer(bytes.fromhex("040036e70e"), 0)
    assert (before[8], after[8]) == (1, 0)
    assert before[9:-2] == after[9:-2]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"band": ("eu", 0, 40)}, "band eu has the channels 0 to 14, not 0 to 40"),
        ({"band": ("mars", 0, 4)}, "there is no band 'mars'"),
        ({"band": ("user", 0, 4)}, "the reader refuses the band: value not possible (FF)"),
        ({"power_dbm": {1: 40}}, "40 dBm for antenna 1 can't be set: whole dBm from 0 to 33"),
        ({"power_dbm": {1: 26.5}}, "26.5 dBm for antenna 1 can't be set"),
        ({"power_dbm": {1: 20, 9: 21}}, "one power for all its antennas"),
        ({"scan_time_ms": 250}, "250 ms can't be set"),
        ({"scan_time_ms": 100}, "written, but not taken"),
        ({"work_mode": "trigger"}, "work mode trigger can't be set"),
        ({"baud": 4800}, "4800 baud can't be set"),
    ],
)
def test_what_can_not_be_set_is_said_and_writes_nothing(wanted: dict[str, object], says: str) -> None:
    reader = make_reader()
    applied = run(reader, apply(SETTINGS, Wanted("p", wanted, with_flash=True)))
    (wrong,) = applied.wrong
    assert says in wrong
    assert reader.flash_writes == ("not taken" in says)


class OneSpeed(UhfReader):
    """Takes a change of speed, but is not to be heard at the new one."""

    def answer(self, data: bytes, now_ns: int) -> bytes:
        said = super().answer(data, now_ns)
        self.baud = 57600
        return said


class NoChange(UhfReader):
    """Does not know how to change its speed."""

    def answer(self, data: bytes, now_ns: int) -> bytes:
        return super().answer(data.replace(b"\x28", b"\xee"), now_ns) if data[2:3] != b"\x28" else REFUSED


REFUSED = bytes.fromhex("050028fe749e")


def test_a_speed_that_does_not_work_is_left_again() -> None:
    for reader, says in ((OneSpeed(), "no answer at 9600 baud: back to 57600 baud"), (NoChange(), "refuses the speed")):
        asking: Script[object] = apply(SETTINGS, Wanted("p", {"baud": 9600}, with_flash=True))
        applied = run(reader, asking)
        assert says in applied.wrong[0]  # type: ignore[attr-defined]
        assert reader.baud == 57600
        assert run(reader, dump(SETTINGS))["baud"] == 57600


def test_its_speed_is_the_one_it_answers_at() -> None:
    reader = make_reader(19200)
    assert run(reader, dump(SETTINGS[-1:]), baud=57600) == {"baud": 19200}


def test_who_is_there() -> None:
    known = run(make_reader(antennas=2), identify())
    assert known[:4] == ("UHFReader288M", "0.22", (1, 2, 3, 4), "US 902.75-927.25 MHz")
    assert known.says == (
        "power 30 dBm", "scan time 2 s", "work mode answer", "antenna check on", "serial number 00288001",
        "30 °C inside",
    )  # fmt: skip
    old = UhfReader(model="18", region=4)
    assert run(old, identify())[:4] == ("UHFReader18", "0.22", (1,), "EU 865.1-867.9 MHz")
    none = make_reader(region=0)
    assert run(none, identify()).region is None
    assert old.flash_writes == none.flash_writes == 0


def test_nobody_there() -> None:
    with pytest.raises(Stuck, match="no answer to who is there: check power"):
        run(make_reader(9600), identify())
