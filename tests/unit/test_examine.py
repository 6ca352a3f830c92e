"""How a reader and its antennas are, asked of every family: of tables of answers, and of simulated readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import pytest

from reader.line.protocols import FAMILIES, Examined, load
from reader.line.protocols.asking import ALONE, Asking, Stuck
from reader.model import Reply
from reader.simulator.m100 import M100Reader
from tests.unit import test_a0, test_m100, test_thingmagic, test_uhfreader
from tests.unit.test_thingmagic_settings import command

MS = 1_000_000
FAMILY_NAMES = [family.name for family in FAMILIES]
TRANSMITTING = ["thingmagic", "a0", "m100", "uhfreader"]
WHOLE = 1 << 20


class Asked(NamedTuple):
    """What came of a script, all that was sent, and how long it took in virtual time."""

    examined: Examined
    sent: list[bytes]
    took_ms: int


def asked(family: str, answer: Callable[[bytes, int], bytes], *, chunk: int = WHOLE, interrupts: bool = True) -> Asked:
    """The script against something that answers bytes at a time; what it says comes in pieces of ``chunk``."""
    module = load(family)
    decoder, asking = module.Decoder(), Asking(module.examine(interrupts))
    now_ms, sent, told = 1000, [], b""

    def say(out: bytes) -> None:
        nonlocal told
        if out:
            sent.append(out)
        told += answer(out, now_ms * MS)

    say(asking.begin(now_ms * MS))
    while not asking.is_done:
        now_ms += 10
        said, told = told, b""
        for at in range(0, len(said), chunk):
            for event in decoder.feed(said[at : at + chunk]):
                if isinstance(event, Reply) and not asking.is_done:
                    say(asking.heard(event, now_ms * MS))
        if not asking.is_done:
            say(asking.tick(now_ms * MS))
        assert now_ms < 60_000, f"does not come to an end; asks {asking.question}"
    return Asked(asking.result, sent, now_ms - 1000)


def table(answers: Mapping[str, bytes]) -> Callable[[bytes, int], bytes]:
    """Answers by the beginning of what is asked, in hex; the longest that fits. Silence to the rest."""

    def answer(sent: bytes, _: int) -> bytes:
        fitting = [asked for asked in answers if sent and sent.hex().startswith(asked.replace(" ", "").lower())]
        return answers[max(fitting, key=len)] if fitting else b""

    return answer


def simulated(family: str, *, antennas: int = 1, faults: tuple[tuple[str, int], ...] = (), **options: int) -> Any:
    reader = import_module(f"reader.simulator.{family}").make_reader(antennas=antennas, **options)
    for fault, antenna in faults:
        reader.suffer(fault, antenna)
    return reader


def answering(reader: Any) -> Callable[[bytes, int], bytes]:
    def answer(sent: bytes, now_ns: int) -> bytes:
        said: bytes = reader.tick(now_ns) + (reader.answer(sent, now_ns) if sent else b"")
        return said

    return answer


def silent(_: bytes, __: int) -> bytes:
    return b""


# ---- bytes, spaced by their fields -------------------------------------------------------------------------------

# Of an M6e Nano as others logged it, where the comment says so.
THINGMAGIC = {
    "FF 03 2F 000002": test_thingmagic.frame(0x2F, "02"),
    "FF 00 0C": test_thingmagic.frame(0x0C, "12"),
    "FF 00 03": bytes.fromhex("FF 14 03 0000 14120800 30000002 20220804 010B0125 00000010 7962"),  # logged
    "FF 00 72": bytes.fromhex("FF 01 72 0000 1E 4819"),  # logged: 30 degrees C
    "FF 00 67": test_thingmagic.frame(0x67, "0D"),
    "FF 01 61 05": test_thingmagic.frame(0x61, "05 01 01 02 00"),
    "FF 01 61 06": test_thingmagic.frame(0x61, "06 01 10 02 02"),
    "FF 02 6C 02 40": test_thingmagic.frame(0x6C, "02 40 40 06 01 01 C4 02 02 D8"),
}
A0 = {
    "A0 03 FF 72": test_a0.frame(0x72, "08 02"),
    "A0 03 FF 7B": bytes.fromhex("A0 05 01 7B 01 20 BE"),  # logged: 32 degrees C
    "A0 03 FF 79": test_a0.frame(0x79, "01 07 39"),  # as a reader had it
    "A0 03 FF 63": test_a0.frame(0x63, "03"),
    "A0 03 FF 75": test_a0.frame(0x75, "00"),
    "A0 04 FF 74 00": test_a0.frame(0x74, "10"),
    "A0 04 FF 74 01": test_a0.frame(0x74, "47"),
    "A0 04 FF 7E 07": test_a0.frame(0x7E, "0E"),
    "A0 04 FF 7E 20": test_a0.frame(0x7E, "0B"),
    "A0 04 FF 7E 39": test_a0.frame(0x7E, "11"),
}
M100 = {
    "BB 00 28": bytes.fromhex("BB 01 28 0001 00 2A 7E"),
    "BB 00 08": test_m100.answer(0x08, "02"),
    "BB 00 F3": test_m100.answer(0xF3, "00 02 B7 BA B3"),
    "BB 00 F2": test_m100.answer(0xF2, "00 02 F2 F3 F1"),
}
UHFREADER = {
    "04 FF 93": test_uhfreader.frame(0x93),
    "04 FF 21": bytes.fromhex("11 00 21 00 0016 0C 03 4E 00 1E 0A 01 000000 E651"),  # as an owner's test has it: EU
    "04 FF 92": test_uhfreader.frame(0x92, "01 2C"),
    "04 FF 94": test_uhfreader.frame(0x94, "1E 1E"),
    "09 FF 91": test_uhfreader.frame(0x91, "10"),
    "09 FF 91 000D334C 01": test_uhfreader.frame(0x91, "", 0xF8),
}
TABLES = {"thingmagic": THINGMAGIC, "a0": A0, "m100": M100, "uhfreader": UHFREADER}
TOLD = {
    "thingmagic": Examined(30, {1: -60, 2: -40}, {1: True, 2: False}, {1: 16.0, 2: 2.0}, "na2"),
    "a0": Examined(32, {}, {1: True}, {1: 11.0}, "FCC 902.0-927.0 MHz (channels 7-57)"),
    "m100": Examined(None, {1: -70}, {}, {}, "US 902-928 MHz"),
    "uhfreader": Examined(44, {}, {2: False}, {1: 16.0}, "EU 865.1-867.9 MHz"),
}


@pytest.mark.parametrize("chunk", [WHOLE, 7, 1])
@pytest.mark.parametrize("family", TRANSMITTING)
def test_what_it_tells_is_taken_from_its_bytes_however_they_come(family: str, chunk: int) -> None:
    whole = asked(family, table(TABLES[family]), chunk=chunk)
    assert whole.examined._replace(says=()) == TOLD[family]
    assert whole.took_ms < 3_000


@pytest.mark.parametrize("family", TRANSMITTING)
def test_who_answers_nothing_at_all_is_said_to_be_silent(family: str) -> None:
    with pytest.raises(Stuck) as stuck:
        asked(family, silent)
    assert "does not answer" in str(stuck.value)
    assert "check its power" in str(stuck.value)
    assert stuck.value.is_unanswered


@pytest.mark.parametrize(
    ("family", "unanswered", "item", "says"),
    [
        ("thingmagic", "FF 00 72", "temperature_c", "its temperature: no answer"),
        ("thingmagic", "FF 00 67", "region", "its region: no answer"),
        ("thingmagic", "FF 01 61 05", "connected", "antenna detection: no answer"),
        ("thingmagic", "FF 01 61 06", "return_loss_db", "its return loss: no answer"),
        ("thingmagic", "FF 02 6C 02 40", "noise_dbm", "its noise: no answer"),
        ("thingmagic", "FF 03 2F 000002", "", ""),
        ("a0", "A0 03 FF 7B", "temperature_c", "its temperature: no answer"),
        ("a0", "A0 03 FF 63", "connected", "antenna detection: no answer"),
        ("m100", "BB 00 F3", "noise_dbm", "its noise: no answer"),
        ("m100", "BB 00 08", "region", "its region: no answer"),
        ("uhfreader", "04 FF 92", "temperature_c", "its temperature: no answer"),
        ("uhfreader", "04 FF 93", "", ""),
    ],
)
def test_one_question_that_is_not_answered_costs_that_item_alone(
    family: str, unanswered: str, item: str, says: str
) -> None:
    whole = asked(family, table({asks: said for asks, said in TABLES[family].items() if asks != unanswered}))
    expected = TOLD[family]._replace(**({item: getattr(Examined(), item)} if item else {}))
    assert whole.examined._replace(says=()) == expected
    assert not says or says in whole.examined.says
    assert whole.took_ms < 8_000


def test_a_module_refuses_what_it_does_not_know_and_tells_the_rest() -> None:
    refusing = THINGMAGIC | {
        "FF 00 72": test_thingmagic.frame(0x72, "", 0x0109),
        "FF 01 61 06": test_thingmagic.frame(0x61, "", 0x0105),
        "FF 02 6C 02 40": test_thingmagic.frame(0x6C, "", 0x0101),
    }
    examined = asked("thingmagic", table(refusing)).examined
    assert examined == Examined(
        connected={1: True, 2: False},
        region="na2",
        says=(
            "its temperature: refused, feature not implemented (0109)",
            "its return loss: refused, bad value (0105)",
            "its noise: refused, unknown command (0101)",
        ),
    )


def test_an_m6e_nano_that_detects_no_antenna_does_not_know_and_an_m6e_does() -> None:
    none = THINGMAGIC | {"FF 01 61 05": bytes.fromhex("FF 03 61 0000 05 01 00 61DF")}  # logged, of a Nano
    examined = asked("thingmagic", table(none)).examined
    assert examined.connected == {}
    assert any("can't detect them" in one for one in examined.says)
    m6e = none | {"FF 00 03": test_thingmagic.frame(0x03, "07102300 18000003 20141007 01070209 00000010")}
    assert asked("thingmagic", table(m6e)).examined.connected == {1: False}


def test_a_module_without_its_program_is_asked_no_more() -> None:
    whole = asked("thingmagic", table(THINGMAGIC | {"FF 00 0C": test_thingmagic.frame(0x0C, "11")}))
    assert "only its bootloader" in whole.examined.says[0]
    assert len(whole.sent) == 2


@pytest.mark.parametrize("region", ["00", "00 00 00", "01 3B 07", "49"])
def test_without_a_region_nothing_is_transmitted_to_measure_an_antenna(region: str) -> None:
    whole = asked("a0", table(A0 | {"A0 03 FF 79": test_a0.frame(0x79, region)}))
    assert whole.examined.return_loss_db == {}
    assert whole.examined.region is None
    assert any("return loss is not measured" in one for one in whole.examined.says)
    assert not [sent for sent in whole.sent if sent[3] in (0x7E, 0x89, 0x8B)]


def test_a_uhfreader_without_a_region_does_not_transmit_to_measure_an_antenna() -> None:
    whole = asked("uhfreader", answering(simulated("uhfreader", region=0)))
    assert whole.examined.return_loss_db == {}
    assert "no region is set: return loss is not measured" in whole.examined.says
    assert not [sent for sent in whole.sent if sent[2] == 0x91]


def test_the_antenna_that_was_set_is_set_again() -> None:
    reader = simulated("a0", antennas=4)
    reader.answer(test_a0.frame(0x74, "02"), 0)
    whole = asked("a0", answering(reader))
    assert whole.examined.return_loss_db == dict.fromkeys(range(1, 5), 18.0)
    assert reader.answer(test_a0.frame(0x75, ""), 0)[4] == 2
    assert reader.flash_writes == 0


def test_return_loss_that_can_not_be_measured_for_the_antenna_s_sake_is_none() -> None:
    whole = asked("a0", table(A0 | {"A0 04 FF 7E 20": test_a0.frame(0x7E, "EE")}))
    assert whole.examined.return_loss_db == {1: 0.0}
    assert whole.examined.connected == {1: False}


@pytest.mark.parametrize(
    ("detector", "connected"),
    [("00", {}), ("01", {1: True}), ("0B", {1: True}), ("0C", {1: False})],  # 11 dB at the worst channel
)
def test_an_a0_is_held_to_its_own_antenna_detection(detector: str, connected: dict[int, bool]) -> None:
    examined = asked("a0", table(A0 | {"A0 03 FF 63": test_a0.frame(0x63, detector)})).examined
    assert examined.connected == connected
    assert any("antenna detection is off" in one for one in examined.says) == (detector == "00")


def test_a_board_that_frames_its_words_otherwise_is_examined_in_its_own_form() -> None:
    reader = M100Reader(form="aa")
    whole = asked("m100", answering(reader))
    assert whole.examined.noise_dbm == {1: -70}
    assert whole.took_ms < 2_500
    assert asked("m100", table({"AA 00 28": test_m100.answer(0x28, ends="aadd")})).took_ms < 8_000


def test_a_reader_that_does_not_know_return_loss_says_so_once() -> None:
    refused = {question: test_a0.frame(0x7E, "41") for question in A0 if question.startswith("A0 04 FF 7E")}
    examined = asked("a0", table(A0 | refused)).examined
    assert (examined.return_loss_db, examined.connected) == ({}, {})
    assert "return loss of antenna 1: refused, parameter not possible (41)" in examined.says


def test_an_old_uhfreader_refuses_nearly_all_and_tells_its_region() -> None:
    refusing = {
        "04 FF 21": test_uhfreader.frame(0x21, "0112 09 03 4E 00 1E 0A"),
        **{question: test_uhfreader.frame(0x00, "", 0xFE) for question in ("04 FF 93", "04 FF 92", "04 FF 94")},
        "09 FF 91": test_uhfreader.frame(0x00, "", 0xFE),
    }
    examined = asked("uhfreader", table(refusing)).examined
    assert examined.region == "EU 865.1-867.9 MHz"
    assert examined.temperature_c is None
    assert examined.return_loss_db == {}
    assert sum("unknown command" in one for one in examined.says) == 2


# ---- all families ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_without_interrupting_nothing_is_said_to_a_reader_and_the_reason_is_told(family: str) -> None:
    whole = asked(family, silent, interrupts=False)
    assert whole.sent == []
    assert whole.examined._replace(says=()) == Examined()
    assert whole.examined.says


@pytest.mark.parametrize("family", TRANSMITTING)
def test_what_disturbs_asks_for_the_line_for_itself_before_all(family: str) -> None:
    asking = Asking(load(family).examine(True))
    assert asking.begin(0) == b""
    assert asking.question is ALONE


@pytest.mark.parametrize("family", ["ipico", "rdm6300"])
def test_who_can_not_be_asked_is_not(family: str) -> None:
    whole = asked(family, silent)
    assert (whole.sent, whole.took_ms) == ([], 0)
    assert "can't be asked" in whole.examined.says[0]


@pytest.mark.parametrize("family", TRANSMITTING)
@pytest.mark.parametrize("chunk", [WHOLE, 1])
def test_simulated_readers_are_well_until_something_goes_wrong(family: str, chunk: int) -> None:
    reader = simulated(family, antennas=4)
    well = asked(family, answering(reader), chunk=chunk).examined
    has_antennas = family != "m100"
    assert well.temperature_c == (30 if has_antennas else None)
    assert set(well.return_loss_db.values()) == ({18.0} if has_antennas else set())
    assert all(well.connected.values())
    assert set(well.noise_dbm.values()) == ({-70} if family in ("thingmagic", "m100") else set())
    assert well.region
    for fault in sorted(reader.suffers & {"hot", "noisy", "antenna-off"}):
        reader.suffer(fault, 1 if family == "m100" else 2)
    ill = asked(family, answering(reader), chunk=chunk).examined
    if has_antennas:
        assert ill.temperature_c == 90
        assert ill.return_loss_db == {1: 18.0, 2: 1.0, 3: 18.0, 4: 18.0}
    if family in ("thingmagic", "a0"):
        assert ill.connected == {1: True, 2: False, 3: True, 4: True}
    if family in ("thingmagic", "m100"):
        assert set(ill.noise_dbm.values()) == {-40}
    # Without a region nothing is transmitted to measure an antenna.
    reader.suffer("no-region")
    nowhere = asked(family, answering(reader), chunk=chunk)
    assert nowhere.examined.region is None
    assert nowhere.examined.return_loss_db == {}
    assert any("no region is set" in one for one in nowhere.examined.says)


@pytest.mark.parametrize("family", ["thingmagic", "a0", "uhfreader"])
def test_a_bad_cable_shows_in_the_return_loss_of_its_antenna_and_warmth_in_the_temperature(family: str) -> None:
    reader = simulated(family, antennas=4, faults=(("bad-cable", 3), ("poor-cable", 2), ("warm", 1)))
    examined = asked(family, answering(reader)).examined
    assert examined.return_loss_db == {1: 18.0, 2: 6.0, 3: 2.0, 4: 18.0}
    assert examined.temperature_c == 75


def test_a_module_is_busy_while_it_streams_and_is_stopped_for_it() -> None:
    reader = simulated("thingmagic", antennas=2)
    reader.answer(command("93 0005") + command("2F 0000 01 22 0000 05 07 22 10 001B 03E8 0016"), 0)
    assert reader.is_hearing
    for question in ("72", "61 06", "6C 02 40"):
        assert reader.answer(command(question), 0)[3:5] == bytes.fromhex("0109"), question
    assert asked("thingmagic", answering(reader)).examined.temperature_c == 30
    assert not reader.is_hearing


@pytest.mark.parametrize("family", ["a0", "uhfreader"])
def test_a_round_that_is_on_ends_before_it_is_asked(family: str) -> None:
    reader = simulated(family, antennas=2)
    inventory = bytes.fromhex("09 FF 01 04 00 00 80 01")  # Q 4, session 0, target A, antenna 1, 100 ms
    inventory += test_uhfreader.crc_of(inventory)
    reader.answer({"a0": test_a0.frame(0x89, "01"), "uhfreader": inventory}[family], 1000 * MS)
    assert reader.is_hearing
    assert asked(family, answering(reader)).examined.return_loss_db[1] == 18.0


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_another_firmware_is_told_to_who_asks_who_is_there(family: str) -> None:
    reader = simulated(family)
    if "other-firmware" not in reader.suffers:
        assert family == "rdm6300"
        return
    firmware = []
    for _ in range(2):
        module, answer = load(family), answering(reader)
        decoder, asking, now_ms = module.Decoder(), Asking(module.identify()), 0
        told = answer(asking.begin(0), 0)
        while not asking.is_done:
            now_ms += 10
            events = decoder.feed(told)
            sent = b"".join(
                asking.heard(event, now_ms * MS) for event in events if isinstance(event, Reply) and not asking.is_done
            )
            told = answer(sent + (b"" if asking.is_done else asking.tick(now_ms * MS)), now_ms * MS)
        firmware.append(asking.result.firmware)
        reader.suffer("other-firmware")
    assert None not in firmware
    assert firmware[0] != firmware[1]
