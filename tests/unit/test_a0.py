"""A0 frames: what each says, what is rejected and why. The encoder here is the manual's: bytes that sum to nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.line.protocols.a0 import Decoder, command, fields, is_proof
from reader.model import ChipRead, Event, Reason, Rejected, Reply

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples" / "samples.jsonl"
EPC = "E200301666130121155074EF"


def frame(number: int, data: str, address: int = 1) -> bytes:
    """A0, the bytes that follow, the address, the command, the data; and what makes the sum zero."""
    content = bytes.fromhex(data)
    whole = [0xA0, len(content) + 3, address, number, *content]
    return bytes([*whole, (256 - sum(whole) % 256) % 256])


def chip_frame(
    epc: str = EPC, number: int = 0x89, freqant: int = 4, rssi: int = 69, tail: str = "", pc: str = ""
) -> bytes:
    pc = pc or f"{len(epc) // 4 * 0x800:04x}"
    return frame(number, f"{freqant:02x}{pc}{epc}{rssi:02x}{tail}")


def a_frame(chip: int) -> bytes:
    """One read of a chip of 96 bits."""
    return chip_frame(f"{chip:024x}", 0x8B, chip % 240, 31 + chip % 60)


END = frame(0x8B, "00 0019 00000001")
VERSION = frame(0x72, "0109")
PIECES: tuple[bytes, ...] = (
    b"\xa0",
    b"\xa0\xa0",
    b"\xa0\x13",
    b"\xa0\x13\x01\x8b",
    b"\xa0\x13\x01\x8b\x04\x30",
    b"\xa0\x45\x01\x8b\x04\xf8",
    b"\xa0\xff\x01\x90",
    b"\xa0\x03\xff\x72\xec",
    END,
    VERSION,
    frame(0x8B, "22"),
    frame(0x74, "10"),
    b"\xa0" * 40,
    b"\x8b\x04\x30" * 30,
)


def decoded(*chunks: bytes) -> list[Event]:
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    assert sum(event.size for event in events) + decoder.pending == sum(map(len, chunks))
    return events


def only(*chunks: bytes) -> Event:
    (event,) = decoded(*chunks)
    return event


def test_a_captured_read() -> None:
    whole = bytes.fromhex("a0130189043000e200301666130121155074ef45bf")
    assert only(whole) == ChipRead(EPC, 1, -61, None, None, 21)
    assert chip_frame() == whole


def test_the_eighth_antenna_of_a_captured_read_and_of_its_end() -> None:
    whole = bytes.fromhex("a013018b173000e28069150000501d63e2a04fd326")
    assert only(whole) == ChipRead("E28069150000501D63E2A04F", 8, -47, None, None, 21)
    assert fields(whole)["antenna"] == 7
    end = only(bytes.fromhex("a00a018b07005a0000000168"))
    assert isinstance(end, Reply)
    assert end.fields["antenna"] == 7


@pytest.mark.parametrize("number", [0x89, 0x8A, 0x8B])
@pytest.mark.parametrize("epc", ["1234", "00000001", "00" * 12, "AA" * 62, EPC])
@pytest.mark.parametrize("tail", ["", "0123"])
def test_codes_of_any_length_with_and_without_phase(number: int, epc: str, tail: str) -> None:
    whole = chip_frame(epc, number, tail=tail)
    assert only(whole) == ChipRead(epc, 1, -61, None, None, len(whole))
    assert fields(whole).get("phase") == (0x0123 if tail else None)
    assert fields(whole)["epc"] == epc.lower()


@pytest.mark.parametrize(
    ("freqant", "rssi", "antenna", "dbm", "mhz"),
    [
        (0x00, 98, 1, -31, 865.0),
        (0x1B, 31, 4, -99, 868.0),
        (0x1D, 90, 2, -39, 902.0),
        (0xEE, 89, 3, -41, 928.0),
        (0x04, 0x80 | 98, 5, -31, 865.5),
        (0xD6, 0x80 | 18, 7, -112, 925.0),
    ],
)
def test_antenna_signal_and_frequency(freqant: int, rssi: int, antenna: int, dbm: int, mhz: float) -> None:
    whole = chip_frame(freqant=freqant, rssi=rssi)
    assert only(whole) == ChipRead(EPC, antenna, dbm, None, None, 21)
    assert fields(whole)["freq_mhz"] == mhz


@pytest.mark.parametrize(
    ("whole", "name", "said"),
    [
        (frame(0x89, "00 0011 00000005"), "round_end", {"antenna": 0, "read_rate": 17, "total": 5}),
        (frame(0x8B, "03 00000007"), "round_end", {"antenna": 3, "total": 7}),
        (frame(0x8A, "000102 00000304"), "round_end", {"total": 258, "duration_ms": 772}),
        (frame(0x8A, "00000102 00000304"), "round_end", {"total": 258, "duration_ms": 772}),
        (frame(0x8A, "02 22"), "error", {"antenna": 2, "code": 0x22, "says": "antenna missing (22)"}),
        (frame(0x89, "22"), "error", {"code": 0x22, "says": "antenna missing (22)"}),
        (frame(0x8B, "99"), "error", {"code": 0x99, "says": "error (99)"}),
        (frame(0x72, "0802", 5), "version", {"version": "8.2", "addr": 5}),
        (frame(0x74, "10"), "set_work_antenna", {"code": 0x10, "says": "done (10)"}),
        (frame(0x74, "47"), "error", {"code": 0x47, "says": "no such antenna (47)"}),
        (frame(0x75, "03"), "work_antenna", {"antenna": 3}),
        (frame(0x77, "1e"), "power", {"power_dbm": [30]}),
        (frame(0x77, "1e1d1c1b"), "power", {"power_dbm": [30, 29, 28, 27]}),
        (frame(0x77, "54"), "error", {"code": 0x54}),
        (frame(0x79, "010739"), "region", {"band": "fcc", "first_channel": 7, "last_mhz": 927.0}),
        (frame(0x79, "000000"), "region", {"band": "00", "region": 0}),
        (frame(0x79, "04 32 0a 0df638"), "region", {"step_khz": 500, "channels": 10, "first_khz": 915000}),
        (frame(0x7B, "01 20"), "temperature", {"temp_c": 32}),
        (frame(0x7B, "00 05"), "temperature", {"temp_c": -5}),
        (frame(0x7E, "0f"), "return_loss", {"return_loss_db": 15}),
        (frame(0x7E, "ee"), "error", {"code": 0xEE}),
        (frame(0x63, "03"), "antenna_detector", {"return_loss_threshold_db": 3}),
        (frame(0x6A, "d1"), "link", {"link": "D1"}),
        (frame(0x68, "00" * 11 + "2a"), "identifier", {"identifier": "00" * 11 + "2a"}),
        (frame(0x92, "0102"), "buffer_count", {"tags": 258}),
        (frame(0x80, "01 0002 0030 00000009"), "buffered_inventory", {"antenna": 1, "tags": 2, "total": 9}),
        (frame(0x86, "00 04 11223344"), "match", {"epc": "11223344"}),
        (frame(0x86, "01"), "match", {"is_matching": False}),
    ],
)
def test_replies(whole: bytes, name: str, said: dict[str, object]) -> None:
    reply = only(whole)
    assert isinstance(reply, Reply)
    assert (reply.name, reply.size) == (name, len(whole))
    assert reply.fields.items() >= ({"cmd": whole[3], "addr": whole[2]} | said).items()
    assert fields(whole).items() >= said.items()


def test_a_chip_in_an_answer_is_no_read() -> None:
    record = "0001 10 3000" + EPC + "1234"
    for number, rest in ((0x90, "d3 17 02"), (0x91, "45 04 01"), (0x82, "10 04 01")):
        reply = only(frame(number, record + rest))
        assert isinstance(reply, Reply)
        assert (reply.fields["epc"], reply.fields["tag_crc_ok"]) == (EPC.lower(), False)
    read = only(frame(0x81, "0001 14 3000" + EPC + "1234" + "cafe0001" + "04 04 01"))
    assert isinstance(read, Reply)
    assert (read.fields["data"], read.fields["antenna"]) == ("cafe0001", 0)
    # The chip's own check, as its maker has it: of a chip of a capture of another family.
    good = only(frame(0x90, "0001 10 3400 E20010710000529B0940B402 163D 45 04 01"))
    assert isinstance(good, Reply)
    assert good.fields["tag_crc_ok"] is True


@pytest.mark.parametrize(
    "whole",
    [
        frame(0x8A, "02 10"),
        frame(0x89, "ff 0000 00000001"),
        frame(0x7B, "02 20"),
        frame(0x79, "01 32 0a 0df638"),
        frame(0x86, "00 05 11223344"),
        frame(0x90, "0001 0f 3000" + EPC + "1234" + "45 04 01"),
        frame(0x90, "0001 10 f800" + EPC + "1234" + "45 04 01"),
        frame(0x90, "00"[:2] * 5),
    ],
)
def test_content_that_does_not_add_up_is_senseless(whole: bytes) -> None:
    assert only(whole) == Rejected(Reason.SANITY, whole)
    with pytest.raises(ValueError, match="does not add up"):
        fields(whole)


@pytest.mark.parametrize(
    "whole",
    [
        chip_frame(pc="2000"),
        chip_frame(pc="3800"),
        chip_frame(tail="01"),
        chip_frame(tail="010203"),
        chip_frame("", pc="0000"),
        frame(0x89, "00 00 00 01"),
        frame(0x74, "1010"),
        frame(0x79, "0107"),
        b"\xa0\x03\xff\x72\xec",
        b"\xa0\x00",
    ],
)
def test_a_length_that_can_not_be(whole: bytes) -> None:
    events = decoded(whole, VERSION)
    assert isinstance(events[0], Rejected)
    assert events[0].reason is Reason.LENGTH
    assert [event for event in events if not isinstance(event, Rejected)] == decoded(VERSION)
    with pytest.raises(ValueError, match="not one whole A0 frame"):
        fields(whole)


def test_words_of_xpc_are_no_part_of_the_code() -> None:
    read = only(frame(0x89, "28 3a00 0102 e28011912000123456789abc 46"))
    assert isinstance(read, ChipRead)
    assert read.chip == "E28011912000123456789ABC"
    assert isinstance(only(frame(0x89, "28 0a00 0102 46")), Rejected)  # and nothing behind them


def test_an_unknown_command_begins_no_frame() -> None:
    assert decoded(frame(0x11, "10"), VERSION)[0] == Rejected(Reason.GARBAGE, frame(0x11, "10"))
    assert decoded(b"abc", VERSION)[0] == Rejected(Reason.GARBAGE, b"abc")


def test_a_false_beginning_holds_a_frame_back_only_until_silence() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\xa0\xff\x01\x90" + END) == []
    assert decoder.idle() == [Rejected(Reason.INCOMPLETE, b"\xa0\xff\x01\x90"), only(END)]


def test_each_flipped_bit_costs_the_frame() -> None:
    for good in (chip_frame(), chip_frame(tail="0123"), END, frame(0x8A, "02 22")):
        for at in range(len(good) * 8):
            hurt = bytearray(good)
            hurt[at // 8] ^= 1 << at % 8
            decoder = Decoder()
            events = decoder.feed(bytes(hurt) + END) + decoder.idle()
            assert [event for event in events if not isinstance(event, Rejected)] == [only(END)]


def lines() -> st.SearchStrategy[bytes]:
    good = st.integers(0, 2**48 - 1).map(a_frame)
    cut = st.builds(lambda whole, at: whole[: at % len(whole)], good, st.integers(0, 10**6))
    pieces = st.one_of(good, cut, st.sampled_from(PIECES), st.binary(max_size=60))
    return st.lists(pieces, max_size=10).map(b"".join)


@given(lines(), st.integers(1, 40))
def test_chunks_do_not_matter(line: bytes, size: int) -> None:
    assert decoded(*(line[at : at + size] for at in range(0, len(line), size))) == decoded(line)


def test_any_bytes_never_raise_and_little_is_kept() -> None:
    dice = random.Random(2)
    decoder = Decoder()
    for _ in range(3000):
        head = bytes((0xA0, dice.randrange(3, 40), 1, dice.choice((0x81, 0x86, 0x89, 0x8A, 0x8B, 0x90, 0x79))))
        whole = head + dice.randbytes(head[1] - 3)
        decoder.feed(whole + bytes((-sum(whole) & 0xFF,)))
        decoder.feed(dice.randbytes(dice.randrange(30)))
        assert decoder.pending <= 257


def test_proof_is_an_answer_or_two_frames_of_a_round() -> None:
    assert is_proof(decoded(VERSION))
    assert is_proof(decoded(a_frame(1), a_frame(2)))
    assert is_proof(decoded(a_frame(1), END))
    assert not is_proof(decoded(a_frame(1)))
    assert not is_proof(decoded(frame(0x74, "10"), frame(0x8B, "22")))
    assert not is_proof(decoded(b"\xa0\x03\xff\x72\xec" * 5))  # our own question, come back


def test_commands_as_captured() -> None:
    assert command(0x72).hex() == "a003ff72ec"
    assert command(0x8B, bytes((1, 0, 1))).hex() == "a006ff8b010001ce"
    assert command(0x74, b"\x03", 1).hex() == "a004017403e4"


@pytest.mark.skipif(not SAMPLES.is_file(), reason="the shared samples are not beside the checkout")
def test_samples_say_what_is_expected_of_them() -> None:
    samples = [json.loads(text) for text in SAMPLES.read_text().splitlines()]
    samples = [sample for sample in samples if sample["protocol"] == "a0"]
    for sample in samples:
        whole, expected = bytes.fromhex(sample["hex"]), sample["expected"]
        if sample["dir"] == "tx":
            assert command(whole[3], whole[4:-1], whole[2]) == whole
            continue
        if not sample["checksum_ok"]:
            assert all(isinstance(event, Rejected) for event in decoded(whole)), sample
            continue
        said = fields(whole)
        assert not isinstance(only(whole), Rejected), sample
        assert {key: said.get(key) for key in expected} == expected, sample
    assert [sample["dir"] for sample in samples].count("rx") >= 13
