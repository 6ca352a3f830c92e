"""M100 frames: what each says, what is rejected and why. The encoder here is the manual's, byte by byte."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reader.line.protocols.m100 import Decoder, command, fields, is_proof
from reader.model import ChipRead, Event, Reason, Rejected, Reply

SHARED = Path(__file__).parents[2].parent / "shared"
EPC = "E28068900000500E88C6A4A7"


def crc_of_chip(content: bytes) -> int:
    """CRC-16/GENIBUS, bit by bit."""
    crc = 0xFFFF
    for byte in content:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
        crc &= 0xFFFF
    return crc ^ 0xFFFF


def frame(kind: int, code: int, data: str, ends: str = "bb7e") -> bytes:
    content = bytes.fromhex(data)
    body = bytes([kind, code, len(content) >> 8, len(content) & 255]) + content
    return bytes.fromhex(ends[:2]) + body + bytes([sum(body) % 256]) + bytes.fromhex(ends[2:])


def answer(code: int, data: str = "00", ends: str = "bb7e") -> bytes:
    return frame(1, code, data, ends)


def notice(epc: str = EPC, rssi: str = "c9", pc: str = "", chip_crc: str = "", code: int = 0x22) -> bytes:
    pc = pc or f"{len(epc) // 4 << 11:04x}"
    chip_crc = chip_crc or f"{crc_of_chip(bytes.fromhex(pc + epc)):04x}"
    return frame(2, code, rssi + pc + epc + chip_crc)


def a_frame(chip: int) -> bytes:
    """One report of a chip of 96 bits."""
    return notice(f"{chip:024x}")


def an_aa_frame(chip: int) -> bytes:
    """The same in the other form."""
    return b"\xaa" + a_frame(chip)[1:-1] + b"\xdd"


EMPTY = bytes.fromhex("bb01ff000115167e")
STOPPED = bytes.fromhex("bb01280001002a7e")
PIECES: tuple[bytes, ...] = (
    b"\xbb",
    b"\xaa",
    b"\x7e\xdd",
    b"\xbb\x02\x22\x00\x11",
    b"\xbb\x01\x39\x00\xff",
    b"\xbb\x02\x22\x00\x43" + b"\xbb" * 40,
    b"\xbb\x01\xf2\x00\x42",
    EMPTY,
    STOPPED,
    answer(0xFF, "090e3400e20010710000529b0940b402"),
    answer(0x39, "0e340030751feb705c5904e3d50d7012345678"),
    answer(0x03, "004d31303020323664426d2056312e30"),
    b"\xbb" * 90,
)
MAX_PENDING = 262


def decoded(*chunks: bytes) -> list[Event]:
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    assert sum(event.size for event in events) + decoder.pending == sum(map(len, chunks))
    return events


def only(*chunks: bytes) -> Event:
    (event,) = decoded(*chunks)
    return event


def said(whole: bytes) -> dict[str, object]:
    event = only(whole)
    assert isinstance(event, Reply)
    assert event.size == len(whole)
    return event.fields


# ---- chips -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["bb7e", "aadd"])
def test_a_report_of_each_form(ends: str) -> None:
    data = "c73000e28068900000500e88c6a4a7119b"
    assert only(frame(2, 0x22, data, ends)) == ChipRead(EPC, None, -57, None, None, 24)


def test_a_frame_does_not_begin_in_one_form_and_end_in_the_other() -> None:
    for ends in ("bbdd", "aa7e"):
        broken = frame(2, 0x22, "c73000e28068900000500e88c6a4a7119b", ends)
        assert decoded(broken + EMPTY)[0] == Rejected(Reason.INTEGRITY, broken)


def test_the_notice_of_a_poll_of_many_rounds_may_bear_its_command() -> None:
    assert only(notice(code=0x27)) == ChipRead(EPC, None, -55, None, None, 24)


@pytest.mark.parametrize(
    "epc", ["1234", "0000", "00" * 62, "FF" * 12, "7E" * 12, "DD" * 12, "BB" * 12, "0A" * 31 + "0B"]
)
def test_codes_of_any_length_keep_their_zeros(epc: str) -> None:
    assert getattr(only(notice(epc)), "chip", None) == epc


@pytest.mark.parametrize(("rssi", "dbm"), [("c9", -55), ("80", -128), ("00", 0), ("7f", 127), ("d3", -45)])
def test_the_strength_is_signed(rssi: str, dbm: int) -> None:
    assert getattr(only(notice(rssi=rssi)), "rssi_dbm", None) == dbm


@pytest.mark.parametrize(("pc", "xpc"), [("3a00", "1234"), ("4200", "8123abcd")])
def test_extended_words_are_no_part_of_the_chip(pc: str, xpc: str) -> None:
    whole = notice(xpc + EPC, pc=pc)
    assert only(whole) == ChipRead(EPC, None, -55, None, None, len(whole))
    assert fields(whole)["xpc"] == xpc


def test_a_frame_inside_a_code_is_none() -> None:
    epc = EMPTY.hex().upper() + "7E7E7E7E"
    assert getattr(only(notice(epc)), "chip", None) == epc


def test_a_chip_heard_badly_over_the_air_is_told_from_a_bad_line() -> None:
    whole = notice(chip_crc="1234")
    assert only(whole) == Rejected(Reason.CHIP_CRC, whole)
    assert fields(whole)["tag_crc_ok"] is False
    broken = whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:]
    assert decoded(broken, EMPTY)[0] == Rejected(Reason.INTEGRITY, broken)


@pytest.mark.parametrize("pc", ["2800", "3800", "0000", "f800"])
def test_a_code_of_another_length_than_its_pc_says_is_none(pc: str) -> None:
    whole = notice(pc=pc)
    assert only(whole) == Rejected(Reason.SANITY, whole)
    with pytest.raises(ValueError, match="does not add up"):
        fields(whole)


def test_a_code_of_nothing_but_extended_words_is_none() -> None:
    whole = notice("1234", pc="0a00")
    assert only(whole) == Rejected(Reason.SANITY, whole)


# ---- everything else ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whole", "name", "expected"),
    [
        (EMPTY, "keep_alive", {"code": 0x15, "says": "no chip in this round (15)"}),
        (STOPPED, "stop", {"ok": True}),
        (answer(0x03, "004d313030"), "version", {"which": 0, "of": "hardware", "text": "M100"}),
        (answer(0x03, "024d616769635266"), "version", {"of": "maker", "text": "MagicRf"}),
        (answer(0x08, "02"), "region", {"region": 2, "name": "us", "says": "US 902-928 MHz"}),
        (answer(0x08, "05"), "region", {"region": 5, "name": None}),
        (answer(0x07, "01"), "set_region", {"ok": False}),
        (answer(0x0D, "13b8"), "query", {"query": "13b8", "session": 3, "target": "B", "q": 7}),
        (answer(0xB7, "0a28"), "power", {"power_cdbm": 2600}),
        (answer(0xAA, "13"), "channel", {"channel": 19}),
        (answer(0xF1, "030601b0"), "demodulator", {"data": "030601b0"}),
        (answer(0xF3, "0013" + "ba" * 20), "noise", {"first": 0, "dbm": [-70] * 20}),
        (answer(0xFF, "17"), "error", {"code": 0x17, "says": "unknown command (17)"}),
        (answer(0xFF, "a3"), "error", {"says": "the chip refuses to read: no such memory (A3)"}),
        (answer(0xFF, "77"), "error", {"says": "error (77)"}),
        (answer(0xFF, "160e3000" + EPC), "error", {"code": 0x16, "pc": "3000", "epc": EPC.lower()}),
        (answer(0x39, "0e3000" + EPC + "12345678"), "memory", {"epc": EPC.lower(), "data": "12345678"}),
        (answer(0x49, "0e3000" + EPC + "00"), "memory_written", {"epc": EPC.lower(), "ok": True}),
        (answer(0xD3, "0e3000" + EPC + "010700"), "block_locks", {"data": "010700"}),
        (answer(0xE0, "0e3000" + EPC + "0041"), "nxp_config", {"data": "0041"}),
    ],
)
def test_what_is_no_chip(whole: bytes, name: str, expected: dict[str, object]) -> None:
    event = only(whole)
    assert isinstance(event, Reply)
    assert event.name == name
    assert {key: event.fields.get(key) for key in expected} == expected
    assert fields(whole).items() >= expected.items()


def test_a_reply_says_in_which_form_it_came() -> None:
    assert said(EMPTY)["form"] == "BB"
    assert said(b"\xaa" + EMPTY[1:-1] + b"\xdd")["form"] == "AA"


@pytest.mark.parametrize(
    "whole",
    [
        answer(0x39, "0e2800" + EPC + "12345678"),  # the PC says five words
        answer(0x39, "6e3000" + EPC + "12345678"),  # the length points behind the end
        answer(0x39, "003000" + EPC + "12345678"),
        answer(0x49, "0c2800" + EPC + "00"),
        answer(0xFF, "160c2800" + EPC),
        answer(0xFF, "16003000" + EPC),
        answer(0x03, "034d313030"),
        answer(0x03, "004d0730"),
        answer(0xF2, "0012" + "ba" * 20),
    ],
)
def test_content_that_does_not_add_up_is_rejected(whole: bytes) -> None:
    assert only(whole) == Rejected(Reason.SANITY, whole)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (frame(0, 0x22, ""), Reason.GARBAGE),  # a command: nothing that a reader says
        (frame(3, 0x22, "00"), Reason.GARBAGE),
        (answer(0x77), Reason.GARBAGE),
        (frame(2, 0x39, "00" * 17), Reason.GARBAGE),
        (answer(0x28, "0000"), Reason.LENGTH),
        (answer(0x0D, "10"), Reason.LENGTH),
        (frame(2, 0x22, "00" * 16), Reason.LENGTH),
        (frame(2, 0x22, "00" * 5), Reason.LENGTH),
        (frame(2, 0x22, "00" * 69), Reason.LENGTH),
        (answer(0xFF, "1500"), Reason.LENGTH),
        (STOPPED[:-1] + b"\x7f", Reason.INTEGRITY),
        (STOPPED[:-2] + b"\x2b\x7e", Reason.INTEGRITY),
    ],
)
def test_only_what_is_known_is_believed(broken: bytes, reason: Reason) -> None:
    *rejected, last = decoded(broken + EMPTY)
    assert b"".join(event.data for event in rejected if isinstance(event, Rejected)) == broken
    assert getattr(rejected[0], "reason", None) is reason
    assert getattr(last, "name", None) == "keep_alive"


def test_what_falls_silent_in_the_middle_lets_go_what_is_behind_it() -> None:
    decoder = Decoder()
    begun = bytes.fromhex("bb013900ff")
    assert decoder.feed(begun + a_frame(7)) == []
    assert decoder.idle() == [Rejected(Reason.INCOMPLETE, begun), ChipRead(f"{7:024X}", None, -55, None, None, 24)]
    assert decoder.pending == 0


@pytest.mark.parametrize("junk", [b"", EMPTY[:-1], EMPTY + b"\x00", b"\xcc" + EMPTY[1:], frame(3, 0x22, "00")])
def test_fields_of_what_is_no_frame(junk: bytes) -> None:
    with pytest.raises(ValueError, match="not one whole M100 frame"):
        fields(junk)


def test_commands_are_framed_as_in_the_manual() -> None:
    assert command(0x03, b"\x00").hex() == "bb0003000100047e"
    assert command(0x27, bytes.fromhex("22ffff")).hex() == "bb0027000322ffff4a7e"


def test_what_proves_the_family() -> None:
    version = decoded(answer(0x03, "004d313030"))
    assert is_proof(version)
    assert is_proof(decoded(a_frame(1) + a_frame(2)))
    assert is_proof(decoded(EMPTY + EMPTY))
    assert not is_proof([])
    assert not is_proof(decoded(a_frame(1)))
    assert not is_proof(decoded(EMPTY))
    assert not is_proof(decoded(STOPPED + answer(0x08, "02") + answer(0xFF, "17")))
    assert not is_proof(decoded(command(0x03, b"\x00") * 5))


# ---- samples -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared samples are not beside the checkout")
def test_samples_say_what_is_expected_of_them() -> None:
    samples = [json.loads(text) for text in (SHARED / "samples" / "samples.jsonl").read_text().splitlines()]
    samples = [sample for sample in samples if sample["protocol"] in ("m100", "r200-aadd")]
    for sample in samples:
        whole, expected = bytes.fromhex(sample["hex"]), sample["expected"]
        if not sample["checksum_ok"]:
            assert all(isinstance(event, Rejected) for event in decoded(whole))
            continue
        found = fields(whole)
        assert {key: found.get(key) for key in expected} == expected, sample
        if sample["dir"] == "tx":
            assert command(whole[2], whole[5:-2]) == whole
            continue
        event = only(whole)
        assert isinstance(event, ChipRead if expected.get("type") == "tag" else Reply), sample
        if isinstance(event, ChipRead):
            assert (event.chip, event.rssi_dbm) == (expected["epc"].upper(), expected["rssi_dbm"])
    assert [sample["dir"] for sample in samples].count("rx") == 9


# ---- any bytes ---------------------------------------------------------------------------------------------

LINES = st.lists(
    st.one_of(
        st.integers(0, 2**96 - 1).map(a_frame),
        st.integers(0, 2**96 - 1).map(an_aa_frame),
        st.sampled_from(PIECES),
        st.binary(max_size=40),
    ),
    max_size=10,
).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(line=LINES, cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_chunks_do_not_matter(line: bytes, cuts: list[int]) -> None:
    whole = decoded(line)
    edges = [0, *sorted(min(cut, len(line)) for cut in cuts), len(line)]
    assert decoded(*(line[a:b] for a, b in pairwise(edges))) == whole
    decoder = Decoder()
    one_by_one = []
    for at in range(len(line)):
        one_by_one += decoder.feed(line[at : at + 1])
        assert decoder.pending <= MAX_PENDING
    assert one_by_one == whole


@settings(max_examples=150, deadline=None)
@given(garbage=LINES, chip=st.integers(0, 2**96 - 1), is_aa=st.booleans())
def test_a_good_frame_survives_whatever_came_before(garbage: bytes, chip: int, is_aa: bool) -> None:
    decoder = Decoder()
    events = decoder.feed(garbage + (an_aa_frame(chip) if is_aa else a_frame(chip)))
    events += decoder.idle()
    assert [event.chip for event in events if isinstance(event, ChipRead)][-1:] == [f"{chip:024X}"]


@settings(max_examples=150, deadline=None)
@given(chip=st.integers(0, 2**96 - 1), at=st.integers(0, 23), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_one_frame(chip: int, at: int, bit: int) -> None:
    hurt = bytearray(a_frame(chip))
    hurt[at] ^= 1 << bit
    decoder = Decoder()
    events = decoder.feed(a_frame(1) + bytes(hurt) + a_frame(2) + a_frame(3))
    events += decoder.idle()
    assert [event.chip for event in events if isinstance(event, ChipRead)] == [f"{n:024X}" for n in (1, 2, 3)]
