"""ThingMagic frames: what each says, what is rejected and why. The encoder here is the manual's, bit by bit."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from reader.line.protocols.thingmagic import Decoder, command, fields
from reader.model import ChipRead, Event, Reason, Rejected, Reply

SHARED = Path(__file__).parents[2].parent / "shared"

TAG = bytes.fromhex("ff2822000010001b01ff0101c4110e16400000012700000500000f00803000000000000000000000001545e94a561d")
KEEP_ALIVE = bytes.fromhex("ff0022040084e0")
EPC = "E2000015860E028815408029"


def crc_of_frame(content: bytes) -> int:
    """Nibble by nibble, the polynomial fed through the bottom of the register."""
    crc = 0xFFFF
    for byte in content:
        for nibble in (byte >> 4, byte & 15):
            crc = (crc << 4 & 0xFFFF | nibble) ^ (crc >> 12) * 0x1021 & 0xFFFF
    return crc


def crc_of_chip(content: bytes) -> int:
    """CRC-16/GENIBUS, bit by bit."""
    crc = 0xFFFF
    for byte in content:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
        crc &= 0xFFFF
    return crc ^ 0xFFFF


def frame(opcode: int, data: str, status: int = 0) -> bytes:
    content = bytes.fromhex(f"{opcode:02x}{status:04x}{data}")
    content = bytes([len(content) - 3]) + content
    return b"\xff" + content + crc_of_frame(content).to_bytes(2, "big")


def report(mask: str, values: str, epc: str = EPC, pc: str = "3400", head: str = "10001b", chip_crc: str = "") -> bytes:
    chip_crc = chip_crc or f"{crc_of_chip(bytes.fromhex(pc + epc)):04x}"
    bits = len(pc + epc + chip_crc) * 4
    return frame(0x22, f"{head}{mask}01{values}{bits:04x}{pc}{epc}{chip_crc}")


def decoded(*chunks: bytes) -> list[Event]:
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    assert sum(event.size for event in events) + decoder.pending == sum(map(len, chunks))
    return events


def only(*chunks: bytes) -> Event:
    (event,) = decoded(*chunks)
    return event


def test_a_captured_report() -> None:
    assert only(TAG) == ChipRead("000000000000000000001545", 1, -60, None, 295, 47)


@pytest.mark.parametrize("head", ["10001b", "8810001b"])
@pytest.mark.parametrize(
    ("mask", "values", "antenna", "rssi_dbm", "reader_ms"),
    [
        ("0000", "", None, None, None),
        ("0016", "c4 22 00000127", 2, -60, 295),
        ("0004", "00", 16, None, None),
        ("0002", "05", None, 5, None),
        ("01ff", "01 d4 34 0d3a54 80000010 00ae 05 0050 00040123456789abcdef 02", 4, -44, 0x80000010),
        ("00d2", "bf 00000001 05 8000 0404", None, -65, 1),
        ("3fff", "01 ff f1 0d3a54 00000010 00ae 05 0000 02 04 01 00 1234 8156", 1, -1, 16),
    ],
)
def test_any_mask_in_both_forms(
    head: str, mask: str, values: str, antenna: int | None, rssi_dbm: int | None, reader_ms: int | None
) -> None:
    whole = report(mask, values, head=head)
    assert only(whole) == ChipRead(EPC, antenna, rssi_dbm, None, reader_ms, len(whole))
    assert fields(whole)["tag_crc_ok"] is True


@pytest.mark.parametrize(("pc", "xpc"), [("3600", "1234"), ("3600", "8123abcd")])
def test_extended_words_are_no_part_of_the_chip(pc: str, xpc: str) -> None:
    whole = report("0000", "", pc=pc + xpc)
    assert only(whole) == ChipRead(EPC, None, None, None, None, len(whole))
    assert fields(whole)["xpc"] == xpc


@pytest.mark.parametrize("epc", ["1234", "00" * 62, "FF" * 12])
def test_codes_of_any_length_keep_their_zeros(epc: str) -> None:
    assert getattr(only(report("0016", "c4 11 00000001", epc)), "chip", None) == epc


def test_a_chip_heard_badly_over_the_air_is_told_from_a_bad_line() -> None:
    whole = report("0000", "", chip_crc="1234")
    assert only(whole) == Rejected(Reason.CHIP_CRC, whole)
    broken = whole[:-1] + bytes([whole[-1] ^ 1])
    assert decoded(broken, KEEP_ALIVE)[0] == Rejected(Reason.INTEGRITY, broken)


@pytest.mark.parametrize(
    "whole",
    [
        frame(0x22, "10001b 0000 01 0090 3400" + EPC + "1234"),
        frame(0x22, "10001b 0000 01 0020 3400 1234"),
        frame(0x22, "10001b 8000 01 0080 3400" + EPC + "1234"),
        frame(0x22, "10001b 0080 01 7ff0 3400" + EPC + "1234"),
        frame(0x22, "10001b 0016 01 c4 11"),
        frame(0x22, "00 011b 02 82"),
        frame(0x03, "0102"),
        frame(0x61, "01"),
        frame(0x62, "010b"),
    ],
)
def test_content_that_does_not_add_up_is_senseless(whole: bytes) -> None:
    assert only(whole) == Rejected(Reason.SANITY, whole)
    with pytest.raises(ValueError, match="does not add up"):
        fields(whole)


@pytest.mark.parametrize(
    ("whole", "name", "said"),
    [
        (KEEP_ALIVE, "keep_alive", {}),
        (frame(0x22, "8810001b001001000000fd", 0x0400), "keep_alive", {"elapsed_ms": 253}),
        (frame(0x22, "00" * 14, 0x0400), "keep_alive", {}),
        (frame(0x22, "00011f0282008200011b"), "stream_status", {"temp_c": 27}),
        (frame(0x22, "88 00 011b 02 8200 8200 01 f6"), "stream_status", {"temp_c": -10}),
        (frame(0x22, "10 001b 0000 00"), "stream_end", {}),
        (frame(0x22, "", 0x0504), "fault", {"says": "too hot: transmitting less (0504)"}),
        (frame(0x04, "07102300 01000003 20141007 01070209 00000010"), "boot", {"fw_date": "20141007"}),
        (frame(0x67, "0d"), "region", {"region": 13}),
        (frame(0x0C, "11"), "program", {"is_bootloader": True}),
        (frame(0x0C, "12"), "program", {"is_bootloader": False}),
        (frame(0x2F, "01220000"), "stream", {"option": 1}),
        (frame(0x61, "05 01 01 02 00"), "antennas", {"ports": {1: 1, 2: 0}}),
        (frame(0x61, "06 01 0f"), "antennas", {"return_loss_db": {1: 15}}),
        (frame(0x62, "01 08fc 08fc 03e8"), "read_power", {"power_cdbm": 2300, "max_cdbm": 2300, "min_cdbm": 1000}),
        (frame(0x93, "", 0x0105), "set_protocol", {"says": "bad value (0105)"}),
        (frame(0xE7, "0102"), "opcode_e7", {"data": "0102"}),
        (frame(0x61, "01 02"), "antennas", {"tx": 1, "rx": 2}),
        (frame(0x61, "02 01 01 03 04"), "antennas", {"list": [[1, 1], [3, 4]]}),
        (frame(0x61, "03 02 0bb8 8000"), "antennas", {"ports": {2: {"read_cdbm": 3000, "write_cdbm": -32768}}}),
        (
            frame(0x61, "04 01 0bb8 ff9c 01f4"),
            "antennas",
            {"option": 4, "ports": {1: {"read_cdbm": 3000, "write_cdbm": -100, "settle_us": 500}}},
        ),
        (frame(0x67, "01 02 40 01"), "region", {"region": 2}),
        (frame(0x6B, "05 12 0104"), "gen2", {"parameter": 0x12, "value": "0104"}),
        (frame(0x6C, "02 8200 8200 01 24"), "statistics", {"option": 2, "temp_c": 36}),
        (frame(0x6C, "01"), "statistics", {"option": 1}),
        (frame(0x6C, "02 82"), "statistics", {"option": 2, "data": "82"}),
        (frame(0x22, "10 0013 00000101"), "read_multiple", {"tags": 0x0101}),
        (frame(0x22, "88 10 0013 00000101"), "read_multiple", {"tags": 0x0101, "multiselect": True}),
        (frame(0x22, "00 0003 07"), "read_multiple", {"tags": 7}),
        (
            frame(0x22, "00 0007 02 01 28 0002 0001 0004 beef"),
            "read_multiple",
            {"tags": 2, "emb_ok": 2, "data": "beef"},
        ),
        (frame(0x29, "00 00 00 01 0080 3400" + EPC + "3b72"), "tag_buffer", {"tags": 1}),
        (frame(0x21, EPC + "d100"), "read_single", {"data": EPC.lower() + "d100"}),
        (frame(0x28, "10 0000" + EPC), "read_memory", {"data": "100000" + EPC.lower()}),
    ],
)
def test_replies(whole: bytes, name: str, said: dict[str, object]) -> None:
    reply = only(whole)
    assert isinstance(reply, Reply)
    assert (reply.name, reply.size) == (name, len(whole))
    assert reply.fields.items() >= ({"opcode": whole[2], "status": whole[3] << 8 | whole[4]} | said).items()


# Flag, length and value of each, as the module counts: transmitter and receiver, then what they have.
ON_ITSELF: dict[str, dict[str, object]] = {
    "01 0a 01 00000010 03 00000020": {"rf_on_ms": {1: 16, 3: 32}},
    "40 06 01 01 c4 02 02 05": {"noise_dbm": {1: -60, 2: 5}},
    "8100 03 0e1640": {"freq_khz": 923200},
    "8200 01 f6": {"temp_c": -10},
    "8400 02 03 04": {"ant_tx": 3, "ant_rx": 4},
    "8800 01 05": {"protocol": 5},
    "9000 04 01 01 02 00": {"connected": {1: 1, 2: 0}},
    "818000 02 1388": {"supply_mv": 5000},
    "838000 01 aa": {"flag_c000": "aa"},
    "8400 01 03": {"flag_0200": "03"},
}


@pytest.mark.parametrize(("head", "opcode"), [("00 011f 02", 0x22), ("88 00 011b 02", 0x22), ("02", 0x6C)])
def test_what_a_module_tells_of_itself(head: str, opcode: int) -> None:
    reply = only(frame(opcode, f"{head} bfff00 {' '.join(ON_ITSELF)}"))
    assert isinstance(reply, Reply)
    assert reply.name == {0x22: "stream_status", 0x6C: "statistics"}[opcode]
    for said in ON_ITSELF.values():
        assert reply.fields.items() >= said.items()


def test_a_chip_in_a_frame_that_says_nobody_streams_is_one_only_with_its_crc() -> None:
    assert getattr(only(report("0016", "c4 11 00000001", head="100013")), "chip", None) == EPC
    reply = only(report("0016", "c4 11 00000001", head="100013", chip_crc="1234"))
    assert getattr(reply, "name", None) == "read_multiple"


def test_anything_with_a_good_checksum_is_taken_without_a_raise() -> None:
    dice = random.Random(7)
    heads = [b"", bytes.fromhex("10001b"), bytes.fromhex("8810001b"), bytes.fromhex("00011f02"), bytes.fromhex("88")]
    for _ in range(20_000):
        data = dice.choice(heads) + dice.randbytes(dice.randrange(40))
        opcode = dice.choice([0x22, 0x22, 0x29, 0x61, 0x62, 0x67, 0x6A, 0x6B, 0x6C, 0x71, dice.randrange(256)])
        whole = frame(opcode, data.hex(), dice.choice([0, 0, 0, 0x0400, 0x0504]))
        event = only(whole)
        if isinstance(event, Rejected) and event.reason is Reason.SANITY:
            with pytest.raises(ValueError, match="does not add up"):
                fields(whole)
        else:
            assert fields(whole)["type"]


def test_a_length_that_can_not_be_and_what_is_no_beginning() -> None:
    assert decoded(b"\xff\xf9", b"\x12abc", KEEP_ALIVE)[:1] == [Rejected(Reason.LENGTH, b"\xff\xf9\x12abc")]
    assert decoded(b"abc", KEEP_ALIVE)[:1] == [Rejected(Reason.GARBAGE, b"abc")]


def test_a_long_wreck_comes_in_pieces_of_which_the_first_says_why() -> None:
    wreck = bytearray(frame(0x6C, "00" * 190))
    wreck[20] ^= 1
    pieces = [event for event in decoded(bytes(wreck), KEEP_ALIVE) if isinstance(event, Rejected)]
    assert [(piece.reason, piece.size) for piece in pieces] == [
        (Reason.INTEGRITY, 64),
        (Reason.GARBAGE, 64),
        (Reason.GARBAGE, 64),
        (Reason.GARBAGE, 5),
    ]


def test_a_false_beginning_holds_a_frame_back_only_until_silence() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\xff\xf0\xff\x20" + KEEP_ALIVE + KEEP_ALIVE + TAG[:9]) == []
    false, kept = Rejected(Reason.INCOMPLETE, b"\xff\xf0\xff\x20"), only(KEEP_ALIVE)
    assert decoder.idle() == [false, kept, kept]
    assert decoder.idle() == []
    assert decoder.feed(TAG[9:]) == [only(TAG)]


def test_commands_as_captured() -> None:
    assert command(0x0C).hex() == "ff000c1d03"
    assert command(0x2F, bytes.fromhex("000002")).hex() == "ff032f0000025e86"
    assert command(0x9A, bytes.fromhex("010c00")).hex() == "ff039a010c00a35d"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared samples are not beside the checkout")
def test_samples_say_what_is_expected_of_them() -> None:
    samples = [json.loads(text) for text in (SHARED / "samples" / "samples.jsonl").read_text().splitlines()]
    samples = [sample for sample in samples if sample["protocol"] == "thingmagic"]
    for sample in samples:
        whole, expected = bytes.fromhex(sample["hex"]), sample["expected"]
        if sample["dir"] == "tx":
            assert command(whole[2], whole[3:-2]) == whole
            continue
        event, said = only(whole), fields(whole)
        assert not isinstance(event, Rejected), sample
        if "ports" in expected:
            expected["ports"] = {int(port): is_there for port, is_there in expected["ports"].items()}
        assert {key: said.get(key) for key in expected} == expected, sample
    assert [sample["dir"] for sample in samples].count("rx") == 24
