"""The simulated readers against bytes that real readers and hosts sent, and against their published layouts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reader.model import NS_PER_S
from reader.simulator import ipico, thingmagic
from reader.simulator.ipico import IpicoReader
from reader.simulator.thingmagic import ThingMagicReader

AT = int(datetime(2026, 3, 7, 13, 48, 50, tzinfo=UTC).timestamp()) * NS_PER_S
MS = 1_000_000

GET_PROGRAM = bytes.fromhex("FF 00 0C 1D03")
SET_GEN2 = bytes.fromhex("FF 02 93 0005 517D")
EVERY_READ = bytes.fromhex("FF 03 9A 01 0C 00 A35D")
START_ALL_METADATA = bytes.fromhex("FF 10 2F 0000 01 22 0000 05 07 22 10 001B 03E8 01FF DD2B")
START_NO_METADATA = bytes.fromhex("FF 10 2F 0000 01 22 0000 05 07 22 10 001B 03E8 0000 DCD4")
STARTED = bytes.fromhex("FF 04 2F 0000 01 22 0000 6DC3")
STOP = bytes.fromhex("FF 03 2F 0000 02 5E86")
KEEP_ALIVE = bytes.fromhex("FF 00 22 0400 84E0")


def streaming(antennas: int = 1, start: bytes = START_ALL_METADATA) -> ThingMagicReader:
    reader = ThingMagicReader(antennas=antennas)
    assert reader.answer(SET_GEN2 + start, AT).endswith(STARTED)
    return reader


def test_an_ipico_record_is_what_a_lite_sent() -> None:
    frame, stamp = IpicoReader().report("058000123B32", AT + 509 * MS, -75, 1)
    assert frame == b"aa00058000123b3200012603071348503277\r\n"
    assert stamp == AT + 500 * MS


def test_ipico_hundredths_are_hex() -> None:
    frame, _ = IpicoReader().report("058000128608", AT + 1950 * MS, -60, 1)
    assert frame[32:34] == b"5f"


def test_ipico_answers_get_time_and_refuses_the_rest() -> None:
    reader = IpicoReader()
    asked = int(datetime(2026, 3, 6, 18, 55, 44, 550_000, tzinfo=UTC).timestamp() * 1000) * MS
    assert reader.answer(b"ab00000", asked) == b""
    assert reader.answer(b"222\r\n", asked) == b"ab000902260306051855443727cf\r\n"
    assert reader.answer(b"ab0001e206be\r\n", asked) == b"ab0000f258\r\n"
    assert reader.answer(b"ab00000223\r\n", asked)[6:8] == b"f1"
    assert reader.answer(b"noise\r\n", asked) == b""


def test_ipico_keeps_the_clock_that_it_is_given() -> None:
    reader = IpicoReader()
    acknowledged, was_set, _ = reader.answer(b"ab00070126030605194921f8\r\n", AT).split(b"\r\n")
    assert acknowledged == b"ab00000121"
    assert was_set[:8] == b"ab00094c"
    given = int(datetime(2026, 3, 6, 19, 49, 21, tzinfo=UTC).timestamp()) * NS_PER_S
    _, stamp = reader.report("058000123B32", AT + 1500 * MS, -60, 1)
    assert stamp == given + 1500 * MS
    assert reader.answer(b"ab00000222\r\n", AT).startswith(b"ab00090226030605194921")
    assert reader.answer(b"ac00070126130605194921ff\r\n", AT)[6:8] == b"f0"
    reader.suffer("reboot")
    assert reader.report("058000123B32", AT, -60, 1)[1] == given


def test_ipico_with_an_unset_clock_says_a_date_of_long_ago() -> None:
    reader = IpicoReader()
    assert reader.suffer("unset-clock") == b""
    reader.tick(AT)
    frame, stamp = reader.report("058000123B32", AT + 2500 * MS, -60, 1)
    assert frame[20:34] == b"00010100010232"
    assert stamp == int(datetime(2000, 1, 1, 0, 1, 2, 500_000, tzinfo=UTC).timestamp() * 10) * 100 * MS


def test_ipico_in_binary_is_twenty_bytes() -> None:
    frame, _ = IpicoReader(form="binary").report("058000123B32", AT + 500 * MS, -75, 1)
    body = bytes.fromhex("00 058000123b32 00 01 260307134850 32")
    assert frame == b"\xaa" + body + bytes((sum(body) % 256,)) + b"\r\n"


def test_a_trident_says_forty_characters_and_knows_two_commands() -> None:
    reader = IpicoReader(form="trident")
    assert reader.report("058000123B32", AT + 500 * MS, -75, 2)[0] == b"aaA2058000123b3200012603071348503200RR35\r\n"
    assert reader.report("058000123B32", AT + 500 * MS, -75, 12)[0][:26] == b"aaA0058000123b320002260307"
    assert reader.answer(b"$GETDATE\r\n", AT) == b"DATE:Sat Mar 07 2026 13:48:50\r\n"
    assert reader.answer(b"$SETDATE:150831131700\r\n", AT) == b"DATE:Mon Aug 31 2015 13:17:00\r\n"
    assert reader.answer(b"$SETDATE:151331131700\r\nab00000222\r\n", AT) == b"CMD UNHANDLED\r\n" * 2


def test_a_thingmagic_report_is_laid_out_as_a_module_sent_it() -> None:
    real = bytes.fromhex(
        "FF 28 22 0000 10 001B 01FF 01  01 C4 11 0E1640 00000127 0000 05 0000 0F"
        "0080 3000 000000000000000000001545 E94A 561D"
    )
    frame, stamp = streaming().report("000000000000000000001545", AT + 295 * MS, -60, 1) or (b"", 0)
    assert frame.hex() == real.hex()
    assert stamp == AT + 295 * MS


def test_thingmagic_honours_the_metadata_mask() -> None:
    frame, _ = streaming(start=START_NO_METADATA).report("E28011700000000000000001", AT, -60, 1) or (b"", 0)
    assert len(frame) == 31
    assert frame[:11] == bytes.fromhex("FF 18 22 0000 10 001B 0000 01")


def test_thingmagic_start_sequence_is_answered() -> None:
    reader = ThingMagicReader(antennas=2)
    said = {
        GET_PROGRAM: "FF 01 0C 0000 12 6343",
        bytes.fromhex("FF 01 97 06 4BBB"): "FF 00 97 0000 779E",
        SET_GEN2: "FF 00 93 0000 371A",
        bytes.fromhex("FF 03 91 02 01 01 42C5"): "FF 00 91 0000 1758",
        bytes.fromhex("FF 02 92 0BB8 4AE1"): "FF 00 92 0000 273B",
        EVERY_READ: "FF 00 9A 0000 A633",
        bytes.fromhex("FF 03 9B 05 00 00 DCE8"): "FF 00 9B 0000 B612",
        bytes.fromhex("FF 02 6A 01 0C 2E42"): "FF 03 6A 0000 01 0C 01 3245",
        START_ALL_METADATA: STARTED.hex(),
    }
    # Before it is told otherwise, the module's read filter is on: the published answer to 6A says 01.
    read_filter = bytes.fromhex("FF 02 6A 01 0C 2E42")
    assert reader.answer(read_filter, AT).hex() == bytes.fromhex(said.pop(read_filter)).hex()
    for command, answer in said.items():
        assert reader.answer(command, AT).hex() == bytes.fromhex(answer).hex(), command.hex()
    assert reader.answer(read_filter, AT)[5:8] == bytes.fromhex("01 0C 00")


def test_thingmagic_finds_commands_behind_a_wake_up_and_in_pieces() -> None:
    reader = ThingMagicReader()
    said = b"".join(reader.answer(bytes((byte,)), AT) for byte in b"\xff" * 20 + b"\x00\x01" + GET_PROGRAM)
    assert said[2:6] == bytes.fromhex("0C 0000 12")


def command(body: str) -> bytes:
    """LEN, OP and data with their checksum: what is left of FFFF and the body after dividing by x16+x12+x5+1."""
    data = bytes.fromhex(body)
    left = int.from_bytes(b"\xff\xff" + data)
    while left.bit_length() > 16:
        left ^= 0x11021 << left.bit_length() - 17
    return b"\xff" + data + left.to_bytes(2)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("00 AA", "0101"),  # no such opcode
        ("04 06 00003039", "010A"),  # 12345 baud
        ("04 06 00009600", "0000"),
        ("01 97 55", "010B"),  # no such region
        ("02 93 0007", "0105"),  # a protocol that it does not speak
        ("03 91 02 02 02", "0105"),  # an antenna that it does not have
        ("02 92 0DAC", "0103"),  # 35 dBm
        ("01 72 00", "0109"),  # the temperature, while streaming
    ],
)
def test_thingmagic_answers_with_a_status(body: str, status: str) -> None:
    assert streaming().answer(command(body), AT)[3:5].hex().upper() == status


def test_thingmagic_does_not_answer_a_damaged_command() -> None:
    assert ThingMagicReader().answer(bytes.fromhex("FF 00 0C 1D04"), AT) == b""


def test_thingmagic_wants_a_protocol_before_it_streams() -> None:
    assert ThingMagicReader().answer(START_ALL_METADATA, AT)[3:5] == bytes.fromhex("0401")


def test_thingmagic_refuses_to_stream_without_a_region() -> None:
    reader = ThingMagicReader(region=0)
    assert reader.answer(SET_GEN2 + START_ALL_METADATA, AT)[-4:-2] == bytes.fromhex("010B")
    assert not reader.is_hearing


def test_thingmagic_is_silent_until_started_and_after_stop() -> None:
    reader = ThingMagicReader()
    assert reader.report("E28011700000000000000001", AT, -60, 1) is None
    reader.answer(SET_GEN2 + START_ALL_METADATA, AT)
    assert reader.report("E28011700000000000000001", AT, -60, 1)
    assert reader.answer(STOP, AT)[2:6] == bytes.fromhex("2F 0000 02")
    assert reader.report("E28011700000000000000001", AT, -60, 1) is None
    assert reader.tick(AT + 10 * NS_PER_S) == b""


def test_thingmagic_keeps_alive_only_cycles_without_a_tag() -> None:
    reader = streaming()
    assert reader.tick(AT + 999 * MS) == b""
    assert reader.tick(AT + 2000 * MS) == KEEP_ALIVE * 2
    reader.report("E28011700000000000000001", AT + 2500 * MS, -60, 1)
    assert reader.tick(AT + 3000 * MS) == b""
    assert reader.tick(AT + 4000 * MS) == KEEP_ALIVE


def test_thingmagic_hears_by_the_antennas_in_its_search_list() -> None:
    reader = streaming(antennas=2)
    frame, _ = reader.report("E28011700000000000000001", AT, -60, 2) or (b"", 0)
    assert frame[13] == 0x22
    reader.answer(bytes.fromhex("FF 03 91 02 01 01 42C5"), AT)
    assert reader.report("E28011700000000000000001", AT, -60, 2) is None


def test_a_rebooted_thingmagic_says_so_and_has_forgotten() -> None:
    reader = streaming()
    assert reader.suffer("reboot")[:5] == bytes.fromhex("FF 14 04 0000")
    assert not reader.is_hearing
    assert reader.answer(bytes.fromhex("FF 00 63 1D6C"), AT) == bytes.fromhex("FF 02 63 0000 0000 2143")


def test_chips_from_numbers_differ_and_have_their_family_s_length() -> None:
    assert ipico.chip_from_number(74546) == "058000012332"
    assert thingmagic.chip_from_number(5) == "E28011700000000000000005"
    with pytest.raises(ValueError, match="68719476735"):
        ipico.chip_from_number(16**9)
    for module, bad in ((ipico, "058"), (thingmagic, "E280F"), (thingmagic, "")):
        with pytest.raises(ValueError, match="hex"):
            module.chip_from_text(bad)
