"""The settings of a ThingMagic module, and a conversation with a profile, against the simulated module, sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import pytest

from reader.line.protocols import AntennaStanding, Known
from reader.line.protocols.asking import Asking, Script, Stuck
from reader.line.protocols.settings import Applied, Wanted, apply, differences, dump
from reader.line.protocols.thingmagic import ON_START, SETTINGS, Conversation, Decoder, identify, is_proof
from reader.model import ChipRead, Event, Reason, Rejected, Reply
from reader.simulator.thingmagic import ThingMagicReader, chip_from_number, make_reader
from tests.unit.test_thingmagic import KEEP_ALIVE, TAG, crc_of_frame, frame

T = TypeVar("T")
S, MS = 10**9, 10**6
STEP_NS = 20 * MS

ALL = {
    "region": "eu3",
    "power_dbm": {1: 27.0, 2: 25.5},
    "session": 1,
    "target": "AB",
    "encoding": "M2",
    "blf_khz": 320,
    "q": "4",
    "every_read": False,
    "antennas": (1, 2),
}
BY_KEY = {setting.key: setting for setting in SETTINGS}


class Desk:
    """Scripts against a module: ``says`` answers what was sent; a module at another speed hears nothing."""

    def __init__(self, says: Callable[[bytes], bytes], baud_of_module: Callable[[], int] = lambda: 115200) -> None:
        self.says, self.baud_of_module = says, baud_of_module
        self.sent: list[str] = []
        self.line_baud = 115200
        self.now_ns = 0

    def run(self, script: Script[T], baud: int | None = None) -> T:
        asking = Asking(script, baud)
        decoder = Decoder()
        said = self.carried(asking.begin(self.now_ns))
        while not asking.is_done:
            self.line_baud = asking.baud or self.line_baud
            if said:
                events, said = decoder.feed(said), b""
                for event in events:
                    if isinstance(event, Reply):
                        said += self.carried(asking.heard(event, self.now_ns))
            else:
                self.now_ns += STEP_NS
                said = self.carried(asking.tick(self.now_ns))
        self.line_baud = asking.baud or self.line_baud
        return asking.result

    def carried(self, sent: bytes) -> bytes:
        if not sent or self.line_baud != self.baud_of_module():
            return b""
        self.sent.append(sent[2:-2].hex())
        return self.says(sent)


def desk_of(reader: ThingMagicReader) -> Desk:
    """At the same speed as the reader."""
    desk = Desk(lambda sent: reader.answer(sent, 0), lambda: reader.baud)
    desk.line_baud = reader.baud
    return desk


def table_desk(answers: Mapping[str, str], hardware: str = "18") -> Desk:
    """A module that knows the commands of the table alone, by their hex; the answer's, or its status after ``!``."""

    def says(sent: bytes) -> bytes:
        asked = sent[2:-2].hex()
        answer = {"03": f"00000000{hardware}000000{'00' * 12}", **answers}.get(asked, "!0101")
        return frame(sent[2], "", int(answer[1:], 16)) if answer.startswith("!") else frame(sent[2], answer)

    return Desk(says)


# ---- the settings, one by one ------------------------------------------------------------------------


def test_every_setting_is_volatile_and_in_the_order_in_which_it_is_written() -> None:
    assert [setting.key for setting in SETTINGS] == [
        "region", "power_dbm", "session", "target", "encoding", "blf_khz", "q", "every_read", "antennas", "baud",
    ]  # fmt: skip
    assert not any(setting.is_in_flash for setting in SETTINGS)
    assert ON_START.isdisjoint(BY_KEY)


def test_a_profile_is_written_once_and_read_back() -> None:
    reader = make_reader(antennas=2)
    desk = desk_of(reader)
    wanted = Wanted("gate", ALL)
    assert len(desk.run(differences(SETTINGS, wanted))) == 7  # the antennas and the filter are as wanted
    applied = desk.run(apply(SETTINGS, wanted))
    assert applied.wrong == []
    assert {change.setting.key for change in applied.changed} == ALL.keys() - {"antennas", "every_read"}
    assert desk.run(dump(SETTINGS)) == ALL
    desk.sent.clear()
    assert desk.run(apply(SETTINGS, wanted)) == Applied([], [])
    assert {said[:2] for said in desk.sent} == {"67", "61", "62", "6b", "6a"}
    assert reader.flash_writes == 0


@pytest.mark.parametrize(
    ("key", "values", "written"),
    [
        ("session", [0, 1, 2, 3], ["9b050000", "9b050001", "9b050002", "9b050003"]),
        ("target", ["A", "B", "AB", "BA"], ["9b05010100", "9b05010101", "9b05010000", "9b05010001"]),
        ("encoding", ["FM0", "M2", "M4", "M8"], ["9b050200", "9b050201", "9b050202", "9b050203"]),
        ("blf_khz", [250, 320, 640], ["9b051000", "9b051002", "9b051004"]),
        ("q", ["dynamic", "0", "4", "15"], ["9b051200", "9b05120100", "9b05120104", "9b0512010f"]),
        ("every_read", [True, False], ["9a010c00", "9a010c01"]),
        ("region", ["na", "prc2", "na2", "is", "eu4"], ["9701", "970a", "970d", "970f", "971e"]),
        ("antennas", [(1,), (1, 4)], ["91020101", "910201010404"]),
        ("baud", [115200], ["060001c200"]),
    ],
)
def test_the_bytes_of_each_value(key: str, values: list[object], written: list[str]) -> None:
    for value, said in zip(values, written, strict=True):
        desk = table_desk({said: "", "0c": "12"})
        desk.run(BY_KEY[key].put(value))
        assert desk.sent[0] == said


def test_what_a_module_has_that_no_profile_can_want_is_named() -> None:
    for answer, says in (("00", "none"), ("ff", "open"), ("1f", "universal"), ("55", "number 85")):
        assert table_desk({"67": answer}).run(BY_KEY["region"].ask()) == says
    assert table_desk({"6b0500": "050009"}).run(BY_KEY["session"].ask()) is None


def test_who_refuses_to_tell_is_believed_to_not_tell_and_who_is_silent_is_stuck() -> None:
    desk = table_desk({})
    assert desk.run(dump(SETTINGS)) == {}
    silent = Desk(lambda _: b"")
    for key in ALL.keys() - {"antennas"}:
        with pytest.raises(Stuck, match="does not answer") as stuck:
            silent.run(BY_KEY[key].ask())
        assert stuck.value.is_unanswered
    assert silent.run(BY_KEY["antennas"].ask()) is None


def test_a_refusal_is_told_in_words_and_with_the_limits_of_power() -> None:
    desk = desk_of(make_reader())
    applied = desk.run(apply(SETTINGS, Wanted("loud", {"region": "ru", "power_dbm": {1: 31.5}, "antennas": (1, 3)})))
    assert applied.wrong == [
        "region: na, wanted ru: region not possible (010B)",
        "read power: 20.0 dBm, wanted 31.5 dBm: power too high (0103); it can have 0 to 30 dBm",
        "search list: antenna 1, wanted antenna 1, 3: bad value (0105)",
    ]
    for key, value in (("session", 7), ("target", "C"), ("region", "mars")):
        with pytest.raises(Stuck, match=f"has no {key} {value}"):
            desk.run(BY_KEY[key].put(value))


# ---- power -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hardware", "told", "powers"),
    [
        ("18", "04 01 0a8c 0000 0000 02 0000 0000 0000", {1: 27.0, 2: 20.0}),
        ("20", "04 01 0a8c 0000 0000 02 0000 0000 0000", {1: 27.0, 2: 0.0}),
        ("30", "04 01 8000 8000 0000", {1: 20.0}),
        ("20", "04 01 fc18 8000 0000", {1: -10.0}),
    ],
)
def test_a_port_without_a_power_of_its_own_has_that_of_all(hardware: str, told: str, powers: dict[int, float]) -> None:
    desk = table_desk({"6104": told, "6200": "0007d0"}, hardware)
    assert desk.run(BY_KEY["power_dbm"].ask()) == powers


def test_power_is_set_for_all_at_once_where_no_port_has_its_own() -> None:
    for per_port in ("!0105", "040180008000000002800080000000"):
        desk = table_desk({"6104": per_port, "6200": "0007d0", "920b54": ""}, "30")
        desk.run(BY_KEY["power_dbm"].put({1: 29.0, 2: 29.0}))
        assert desk.sent[-1] == "920b54"


def test_a_port_s_power_is_set_beside_what_the_others_have() -> None:
    written = "91040109c4012c000a020000000000000309c400000000"
    desk = table_desk({"6104": "0401 0bb8 012c 000a 02 0000 0000 0000", "6200": "0007d0", written: ""})
    desk.run(BY_KEY["power_dbm"].put({1: 25.0, 3: 25.0}))
    assert desk.sent[-1] == written


def test_one_power_for_all_can_not_be_two() -> None:
    desk = table_desk({"6104": "!0105", "6200": "0007d0", "6105": "0501010200"})
    assert desk.run(BY_KEY["power_dbm"].ask()) == {1: 20.0, 2: 20.0}
    with pytest.raises(Stuck, match="one power for all ports"):
        desk.run(BY_KEY["power_dbm"].put({1: 30.0, 2: 20.0}))


def test_power_agrees_where_a_module_rounds() -> None:
    agrees, shown = BY_KEY["power_dbm"].agrees, BY_KEY["power_dbm"].shown
    assert agrees({1: 27.05}, {1: 27.0, 2: 10.0})
    assert not agrees({1: 27.0}, {1: 26.9})
    assert not agrees({1: 27.0, 2: 27.0}, {1: 27.0})
    assert (shown({1: 27.0, 2: 27.0}), shown({2: 20.0, 1: 27.5})) == ("27.0 dBm", "1: 27.5, 2: 20.0 dBm")


# ---- the speed of the line ---------------------------------------------------------------------------


def test_both_ends_change_their_speed() -> None:
    reader = make_reader()
    desk = desk_of(reader)
    applied = desk.run(apply(SETTINGS, Wanted("fast", {"baud": 921600})), 115200)
    assert applied.wrong == []
    assert [change.says for change in applied.changed] == ["speed of the line: 115200 baud, wanted 921600 baud"]
    assert reader.baud == desk.line_baud == 921600
    assert desk.run(differences(SETTINGS, Wanted("fast", {"baud": 921600})), 921600) == []


@pytest.mark.parametrize("baud", [None, 115200])
def test_a_speed_at_which_nobody_answers_is_left_again(baud: int | None) -> None:
    reader = make_reader()
    desk = Desk(lambda sent: reader.answer(sent, 0))  # says yes, and stays
    with pytest.raises(Stuck, match="does not answer at 921600 baud; it stays as it was") as stuck:
        desk.run(BY_KEY["baud"].put(921600), baud)
    assert not stuck.value.is_unanswered
    assert desk.line_baud == 115200


def test_a_refused_speed_changes_nothing() -> None:
    desk = table_desk({"0c": "12", "06000e1000": "!010A"})
    with pytest.raises(Stuck, match="baud not possible"):
        desk.run(BY_KEY["baud"].put(921600))
    assert desk.line_baud == 115200


# ---- who is there ------------------------------------------------------------------------------------


def test_a_streaming_module_is_stopped_and_says_who_it_is() -> None:
    reader = make_reader(antennas=2)
    Bench(reader).run(1)
    assert reader.is_hearing
    known = desk_of(reader).run(identify())
    assert known == Known("ThingMagic M6e Micro", "01.0B.01.25", (1, 2), "na", ("antenna connected: 1, 2",))
    assert not reader.is_hearing


@pytest.mark.parametrize(
    ("answers", "known"),
    [
        ({"0c": "12", "03": "!0101"}, Known(None, None)),
        ({"0c": "11"}, Known("ThingMagic M6e", "00.00.00.00", says=("its program does not run, only its bootloader",))),
        (
            {"0c": "12", "67": "00", "6105": "050100"},
            Known("ThingMagic M6e", "00.00.00.00", (1,), says=("no region is set", "no antenna detected")),
        ),
    ],
)
def test_who_tells_little_is_known_by_that(answers: dict[str, str], known: Known) -> None:
    assert table_desk(answers).run(identify()) == known


def test_nobody_there_is_stuck() -> None:
    with pytest.raises(Stuck, match="does not answer at this baud"):
        Desk(lambda _: b"").run(identify())


def test_what_proves_the_family() -> None:
    for whole in (TAG, KEEP_ALIVE, frame(0x0C, "12"), frame(0x22, "", 0x0504), frame(0x22, "00011f0282008200011b")):
        assert is_proof(Decoder().feed(whole)), whole.hex()
    for other in (b"\xff" * 40, KEEP_ALIVE[:-1] + b"\0", frame(0x67, "0d"), b"A0 04 banner\r\n"):
        assert not is_proof(Decoder().feed(other + KEEP_ALIVE[:3])), other.hex()
    assert not is_proof([Rejected(Reason.GARBAGE, b"x")])


# ---- the conversation with a profile -----------------------------------------------------------------


class Bench:
    """A conversation on a line to the simulated module, in virtual time; at another speed nothing gets across."""

    def __init__(self, reader: ThingMagicReader, values: Mapping[str, object] | None = None) -> None:
        self.reader = reader
        self.talk = Conversation(None if values is None else Wanted("gate", values))
        self.decoder = Decoder()
        self.line_baud = self.opened_baud = 115200
        self.now_ns = 1000 * S
        self.events: list[Event] = []
        self.commands: list[str] = []
        self.on_command: Callable[[int], bool] = lambda _: True
        self.take(self.talk.opened(self.now_ns))

    def reopen(self) -> None:
        """The daemon starts again."""
        self.line_baud = self.opened_baud
        self.talk, self.decoder = Conversation(self.talk._wanted), Decoder()
        self.take(self.talk.opened(self.now_ns))

    def take(self, sent: bytes) -> None:
        """What is written goes out before the speed is changed."""
        while sent:
            one, sent = sent[: sent[1] + 5], sent[sent[1] + 5 :]
            baud = self.line_baud
            if baud == self.reader.baud:
                self.commands.append(one[2:-2].hex())
                if self.on_command(len(self.commands)):
                    answer = self.reader.answer(one, self.now_ns)
                    self.say(answer, baud)
        self.line_baud = self.talk.baud or self.line_baud

    def say(self, said: bytes, baud: int | None = None) -> None:
        if not said:
            return
        if (baud or self.reader.baud) == self.line_baud:
            events = self.decoder.feed(said)
            self.events += events
            self.take(self.talk.heard(events, self.now_ns))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * S / STEP_NS)):
            self.now_ns += STEP_NS
            self.say(self.reader.tick(self.now_ns))
            self.take(self.talk.tick(self.now_ns))

    def read(self, number: int, antenna: int = 1) -> bool:
        reported = self.reader.report(chip_from_number(number), self.now_ns, -60, antenna)
        if reported:
            self.say(reported[0])
        return reported is not None

    def stands(self) -> tuple[bool, str]:
        return self.talk.standing.hears, self.talk.standing.word

    def kept(self) -> dict[str, object]:
        """What the module has now, asked past the conversation."""
        return desk_of(self.reader).run(dump(SETTINGS))


def test_a_profile_is_applied_at_the_start_and_said_so() -> None:
    bench = Bench(make_reader(antennas=2), ALL)
    bench.run(3)
    assert bench.stands() == (True, "ok")
    assert bench.talk.standing.says == "streaming, antenna 1, 2; region eu3, as the profile gate has it"
    written = [said for said in bench.commands if said[:2] in ("91", "92", "97", "9a", "9b")]
    assert written == [
        "9708", "9104010a8c80000000" + "0209f680000000", "9b050001", "9b05010000", "9b050201", "9b051002", "9b05120104",
        "910201010202",
    ]  # fmt: skip
    assert bench.commands[-1] == "2f00000122000005072210001b03e80016"
    assert bench.kept() == ALL
    assert not bench.commands.count("9b05010100")


def test_what_a_profile_does_not_name_stays_as_without_one() -> None:
    bench = Bench(make_reader(), {"power_dbm": {1: 22.0}})
    bench.run(3)
    assert bench.stands() == (True, "ok")
    assert bench.kept() | {"q": 0, "blf_khz": 0, "encoding": 0} == {
        "region": "na", "power_dbm": {1: 22.0}, "session": 0, "target": "A", "every_read": True, "antennas": (1,),
        "q": 0, "blf_khz": 0, "encoding": 0,
    }  # fmt: skip
    assert "region na, as set in the reader" in bench.talk.standing.says
    assert not any(said.startswith("97") for said in bench.commands)


def test_a_power_dip_is_noticed_and_all_is_applied_again() -> None:
    bench = Bench(make_reader(antennas=2), ALL)
    bench.run(5)
    bench.say(bench.reader.suffer("reboot"))
    assert bench.stands() == (False, "fail")
    assert "has restarted by itself" in bench.talk.standing.says
    bench.run(4)
    assert bench.stands() == (True, "ok")
    assert bench.kept() == ALL


@pytest.mark.parametrize("how", ["reboot", "silent reboot", "unanswered", "damaged"])
def test_wherever_it_is_interrupted_it_ends_as_wanted(how: str) -> None:
    whole = Bench(make_reader(antennas=2), ALL)
    whole.run(3)
    steps = len(whole.commands)
    assert steps > 25
    for step in range(1, steps + 1):
        bench = Bench(make_reader(antennas=2), None)
        bench.talk = Conversation(Wanted("gate", ALL))
        bench.commands.clear()

        def interrupt(count: int, bench: Bench = bench, step: int = step) -> bool:
            if count != step:
                return True
            if how == "reboot":
                bench.say(bench.reader.suffer("reboot"))
            elif how == "silent reboot":
                bench.reader.suffer("reboot")
            elif how == "damaged":
                bench.say(KEEP_ALIVE[:-1] + b"\xff\x05\x06")
            return False

        bench.on_command = interrupt
        bench.take(bench.talk.opened(bench.now_ns))
        bench.run(12)
        assert bench.stands() == (True, "ok"), (step, bench.talk.standing)
        assert bench.reader.is_hearing
        assert bench.kept() == ALL, step


def test_no_region_in_reader_nor_profile_is_silence() -> None:
    bench = Bench(make_reader(region=0), {"session": 1})
    bench.run(30)
    assert bench.stands() == (False, "fail")
    assert bench.talk.standing.says.startswith("not transmitting: no region")
    assert not bench.reader.is_hearing


def test_a_region_that_is_refused_is_silence() -> None:
    bench = Bench(make_reader(), {"region": "ru"})
    bench.run(30)
    assert bench.stands() == (False, "fail")
    assert bench.talk.standing.says == (
        "not transmitting: region: na, wanted ru: region not possible (010B); put the profile gate right"
    )
    assert not bench.reader.is_hearing
    assert 2 <= bench.commands.count("970f".replace("0f", "15")) <= 4


def test_a_profile_s_region_is_set_where_there_is_none() -> None:
    bench = Bench(make_reader(region=0), {"region": "na2"})
    bench.run(3)
    assert bench.stands() == (True, "ok")


def test_what_is_refused_of_a_profile_is_named_and_not_in_the_way() -> None:
    bench = Bench(make_reader(), {"power_dbm": {1: 31.5}, "antennas": (1, 4)})
    bench.run(4)
    assert bench.stands() == (True, "warn")
    for words in ("wanted 31.5 dBm: power too high", "refused antenna list: bad value", "antenna 4 is in the profile"):
        assert words in bench.talk.standing.says


def test_a_faster_line_is_found_again_from_either_speed() -> None:
    bench = Bench(make_reader(), {"baud": 921600})
    bench.run(3)
    assert bench.stands() == (True, "ok")
    assert bench.reader.baud == bench.line_baud == 921600
    bench.say(bench.reader.suffer("reboot"))  # said at the old speed: not heard
    bench.run(8)
    assert bench.stands() == (True, "ok")
    assert bench.reader.baud == bench.line_baud == 921600
    bench.reopen()
    bench.run(5)
    assert bench.stands() == (True, "ok")
    bench.opened_baud = 9600
    bench.reader.suffer("reboot")
    bench.reopen()
    bench.run(6)
    assert bench.stands() == (True, "ok")
    assert bench.reader.baud == 921600


def test_a_line_that_can_not_have_the_speed_goes_on_at_the_old_one() -> None:
    reader = make_reader()
    reader._answers[0x06] = lambda _: b""
    bench = Bench(reader, {"baud": 921600})
    bench.run(12)
    assert bench.stands() == (True, "warn")
    assert "does not answer at 921600 baud; it stays as it was" in bench.talk.standing.says
    assert bench.line_baud == 115200


def test_a_cable_that_carries_one_way_is_not_left_for_another_speed() -> None:
    reader = make_reader()
    Bench(reader)  # a stream left running
    reader.answer = lambda *_: b""  # type: ignore[method-assign] # what is sent does not get there
    bench = Bench(reader, {"baud": 921600})
    for _ in range(4):
        bench.run(8)
        assert bench.stands() == (True, "warn")
        assert bench.line_baud == 115200


def test_it_tells_when_it_is_hot_and_which_antenna_s_turn_it_is() -> None:
    bench = Bench(make_reader(antennas=2), {"temperature_reports": True, "antenna_reports": True})
    bench.run(5)
    assert bench.commands[-1] == "2f00000122000005092210011b03e800160b00"
    assert bench.stands() == (True, "ok")
    assert bench.talk.antennas == [AntennaStanding(1, "up", 2000.0), AntennaStanding(2, "up", 2000.0)]
    bench.reader.suffer("hot")
    bench.run(2)
    assert bench.stands() == (True, "warn")
    assert "90 degrees C hot" in bench.talk.standing.says
    assert "too hot: transmitting less (0504)" in bench.talk.standing.says
    bench.reader.suffer("hot")
    bench.reader.suffer("antenna-off")
    bench.run(12)
    assert [antenna.state for antenna in bench.talk.antennas] == ["missing", "up"]
    assert "no antenna connected" in bench.talk.standing.says
    assert "hot" not in bench.talk.standing.says
    bench.reader.suffer("antenna-off")
    bench.run(12)
    assert bench.stands() == (True, "ok")


def test_a_module_that_can_not_report_on_itself_streams_all_the_same() -> None:
    reader = make_reader()
    start = reader._answers[0x2F]
    bench = Bench(reader)

    def refuses(data: bytes) -> bytes:
        return start(data[:7] + b"\0" + data[8:]) if len(data) == 18 else start(data)

    reader._answers[0x2F] = refuses
    bench.talk = Conversation(Wanted("gate", {"temperature_reports": True}))
    bench.take(bench.talk.opened(bench.now_ns))
    bench.run(3)
    assert bench.stands() == (True, "warn")
    assert "refused to report on itself: bad value (0105)" in bench.talk.standing.says


def test_antennas_of_the_profile_that_are_not_there_are_missing_until_they_read() -> None:
    reader = make_reader(antennas=2)
    reader.suffer("antenna-off")
    bench = Bench(reader, {"antennas": (1, 2)})
    bench.run(3)
    assert [antenna.state for antenna in bench.talk.antennas] == ["missing", "up"]
    assert "antenna 1 is in the profile, but not connected" in bench.talk.standing.says
    assert "910201010202" in bench.commands
    reader.suffer("antenna-off")
    assert bench.read(1, antenna=1)
    assert [antenna.state for antenna in bench.talk.antennas] == ["up", "up"]


def test_of_one_antenna_a_fault_tells_its_state() -> None:
    bench = Bench(make_reader())
    bench.run(2)
    assert bench.talk.antennas == [AntennaStanding(1, "up", None)]
    bench.say(frame(0x22, "", 0x0505))
    states = [bench.talk.antennas[0].state]
    for seconds in (2, 14):
        bench.reader.suffer("antenna-off")
        bench.run(seconds)
        states.append(bench.talk.antennas[0].state)
    assert states == ["bad", "missing", "up"]


def test_a_module_that_detects_no_antenna_at_all_does_not_know() -> None:
    reader = make_reader()
    reader.suffer("antenna-off")
    bench = Bench(reader, {"antennas": (1,)})
    bench.run(0.5)
    assert bench.talk.antennas == [AntennaStanding(1, "unknown", None)]


def test_a_full_buffer_is_told_and_a_gap_follows() -> None:
    bench = Bench(make_reader())
    bench.run(2)
    bench.say(bench.reader.suffer("buffer-full"))
    assert "its buffer is full: reads are lost" in bench.talk.standing.says
    assert not bench.read(1)
    bench.run(1)
    assert bench.read(2)
    with pytest.raises(ValueError, match="unset-clock"):
        bench.reader.suffer("unset-clock")


def test_two_hundred_crossings_on_two_antennas() -> None:
    bench = Bench(make_reader(antennas=2), ALL)
    bench.run(2)
    bench.events.clear()
    for number in range(200):
        for antenna in (1, 2):
            assert bench.read(number, antenna)
            bench.run(0.04)
    reads = [event for event in bench.events if isinstance(event, ChipRead)]
    assert [(read.chip, read.antenna) for read in reads] == [
        (chip_from_number(number), antenna) for number in range(200) for antenna in (1, 2)
    ]
    assert bench.stands() == (True, "ok")
    assert [antenna.revisit_ms for antenna in bench.talk.antennas] == [80.0, 80.0]


def test_it_can_be_opened_again_and_leaves_the_stream_on() -> None:
    bench = Bench(make_reader(), {"session": 2})
    assert bench.talk.due_ns is None
    bench.run(3)
    assert bench.talk.closing() == b""
    for _ in range(2):
        bench.take(bench.talk.opened(bench.now_ns))
        bench.run(3)
        assert bench.stands() == (True, "ok")
    silent = Conversation()
    silent.opened(0)
    assert silent.due_ns == S


# ---- the simulated module ----------------------------------------------------------------------------


def test_the_simulated_module_reports_on_itself_as_one_was_captured() -> None:
    reader = make_reader()
    start = "2f 00000122000005092210 011f 03e8 0000 0100"
    reader.answer(command("930005") + command(start), 0)
    _, said = reader.tick(S)[:7], reader.tick(2 * S)
    assert said[7:-2].hex() == "ff0a22000000011f0282008200011e"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("61", "0101"),
        ("6101", "010101"),
        ("6102", "0201010202"),
        ("6103", "0301800080000280008000"),
        ("6105", "0501010201"),
        ("6106", "0601120212"),
        ("6201", "0107d00bb80000"),
        ("68", "00"),
        ("70", "0005"),
        ("72", "1e"),
        ("6c028400", "02840084000201" + "01"),
        ("6c028800", "02880088000105"),
        ("6b0511", "051100"),
        ("2900ff00", "00ff0000"),
    ],
)
def test_the_simulated_module_answers(asked: str, answered: str) -> None:
    assert make_reader(antennas=2).answer(command(asked), 0)[3:-2].hex() == "0000" + answered


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("9b050004", "0105"),
        ("9b05010102", "0105"),
        ("91040101", "0100"),
        ("910401ffff00000000", "0106"),
        ("22", "0400"),
    ],
)
def test_the_simulated_module_refuses(asked: str, status: str) -> None:
    assert make_reader().answer(command(asked), 0)[3:5].hex() == status


def test_what_was_set_is_gone_with_the_power() -> None:
    reader = make_reader(antennas=2)
    desk = desk_of(reader)
    before = desk.run(dump(SETTINGS))
    desk.run(apply(SETTINGS, Wanted("gate", ALL | {"baud": 230400})))
    assert reader.suffer("reboot")[2] == 0x04
    assert reader.baud == 115200
    assert desk_of(reader).run(dump(SETTINGS)) == before


def test_too_hot_it_reads_less() -> None:
    bench = Bench(make_reader())
    bench.run(1)
    assert sum(bench.read(number) for number in range(90)) == 90
    bench.reader.suffer("hot")
    assert sum(bench.read(number) for number in range(90)) == 30


def command(text: str) -> bytes:
    """LEN, OP and data in hex, with the checksum; LEN is counted here."""
    content = bytes((len(bytes.fromhex(text)) - 1,)) + bytes.fromhex(text)
    return b"\xff" + content + crc_of_frame(content).to_bytes(2)
