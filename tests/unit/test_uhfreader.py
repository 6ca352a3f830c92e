"""UHFReader frames: what each says, what is rejected and why. The encoder here is the manual's, bit by bit."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reader.line.protocols import uhfreader
from reader.line.protocols.uhfreader import Decoder, command, fields, is_proof
from reader.line.protocols.uhfreader.frame import BANDS, band_from_bytes, bytes_from_band, words_from_band
from reader.model import ChipRead, Event, Reason, Rejected, Reply

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples" / "samples.jsonl"
MAX_PENDING = 320
EPC = "E28011700000020F2B3C4D5E"


def crc_of(content: bytes) -> bytes:
    """Bit by bit, the lowest first: polynomial 8408, begun with FFFF."""
    crc = 0xFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def frame(cmd: int, data: str = "", status: int = 0, adr: int = 0) -> bytes:
    content = bytes([adr, cmd, status]) + bytes.fromhex(data)
    content = bytes([len(content) + 2]) + content
    return content + crc_of(content)


def a_frame(chip: int) -> bytes:
    """A chip on antenna 1 of a 288, as it says it inside a round."""
    return frame(0x01, f"01 01 0c {chip:024x} 41", status=0x03)


HEARTBEAT = bytes.fromhex("560000000000")
END = frame(0x01, "0100", status=0x01)
INFO = frame(0x21, "0016 0c 03 4e00 1e 0a 01 00 00 00")
PIECES: tuple[bytes, ...] = (
    HEARTBEAT,
    HEARTBEAT[:4],
    END,
    INFO,
    frame(0xEE, EPC),
    b"\x15\x00",
    b"\x15\x00\x01\x03\x01",
    b"\xff\x00\x01\x03",
    b"\x56\x00\x01",
    b"\x04\xff\x21\x19\x95",
    b"\x00" * 70,
    b"\x15" * 90,
)


def decoded(*chunks: bytes) -> list[Event]:
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    assert sum(event.size for event in events) + decoder.pending == sum(map(len, chunks))
    return events


def reads_in(events: list[Event]) -> list[tuple[str, int | None, int | None]]:
    return [(event.chip, event.antenna, event.rssi_dbm) for event in events if isinstance(event, ChipRead)]


def only_reply(whole: bytes) -> Reply:
    (event,) = decoded(whole)
    assert isinstance(event, Reply)
    assert event.size == len(whole)
    return event


# ---- chips, in all dialects --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reads"),
    [
        (f"01 01 0c {EPC} 6b", [(EPC, 1, -22)]),
        (f"04 01 0c {EPC} 1f", [(EPC, 3, -98)]),
        (f"80 01 0c {EPC} 62", [(EPC, 8, -31)]),
        (f"05 01 0c {EPC} 62", [(EPC, None, -31)]),
        (f"02 02 0c {EPC} 40 04 00323038 6d", [(EPC, 2, -65), ("00323038", 2, -20)]),
        (f"01 0c {EPC}", [(EPC, None, None)]),
        (f"02 0c {EPC} 02 0001", [(EPC, None, None), ("0001", None, None)]),
        (f"01 0c {EPC} 50", [(EPC, None, -49)]),
        (f"01 01 98 {EPC} e2003412 01020304 05060708 50", [(EPC, 1, -49)]),
        (f"01 01 4c {EPC} 50 0102 0304 0dfe48", [(EPC, 1, -49)]),
        (f"01 01 0c {'00' * 12} 00", [("00" * 12, 1, None)]),
        (f"01 01 3e {'A5' * 62} 50", [("A5" * 62, 1, -49)]),
    ],
)
@pytest.mark.parametrize("status", [1, 2, 3, 4])
@pytest.mark.parametrize("cmd", [0x01, 0x0F])
def test_chips_and_what_is_round_them(
    cmd: int, status: int, data: str, reads: list[tuple[str, int | None, int | None]]
) -> None:
    whole = frame(cmd, data, status)
    events = decoded(whole)
    assert reads_in(events) == reads
    last = events[-1]
    assert isinstance(last, Reply)
    assert last.name == ("round_part" if status == 3 else "round_end")
    assert last.fields["chips"] == len(reads) == len(events) - 1
    assert [event.size for event in events] == [len(whole), *(0 for _ in reads)]
    assert [tag["epc"].upper() for tag in fields(whole)["tags"]] == [chip for chip, _, _ in reads]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("whole", "read"),
    [
        (bytes.fromhex("1100EE00E284361100001000094944AA9ACC"), ("E284361100001000094944AA", None, None)),
        (bytes.fromhex("1100EE002000708C2B380B2D00000000E056"), ("2000708C2B380B2D00000000", None, None)),
        (frame(0xEE, f"02 0c {EPC} 55"), (EPC, 2, -44)),
        (frame(0xEE, f"08 4c {EPC} 55 0001 0002 0dfe48"), (EPC, 4, -44)),
        (frame(0xEE, "0102 0304"), ("01020304", None, None)),
        (frame(0xEE, "04020304 05060708 090a0b0c"), ("0402030405060708090A0B0C", None, None)),
    ],
)
def test_a_chip_that_is_pushed_has_its_frame_for_itself(whole: bytes, read: tuple[str, int | None, int | None]) -> None:
    (event,) = decoded(whole)
    assert reads_in([event]) == [read]
    assert event.size == len(whole)
    assert fields(whole)["epc"] == read[0].lower()


@pytest.mark.parametrize(
    "whole",
    [
        frame(0x01, f"01 01 0b {EPC} 6b", 3),
        frame(0x01, f"01 02 0c {EPC} 6b", 3),
        frame(0x01, f"01 01 0d {EPC}00 6b", 3),
        frame(0x01, "01 01 00 6b", 3),
        frame(0x01, "05", 1),
        frame(0x01, "", 0x28),
        frame(0x01, "0102", 0x26),
        frame(0xEE, ""),
        frame(0xEE, "0102 03"),
        frame(0xEE, "01" * 64),
        frame(0xEE, "0102", 0x28),
        frame(0x21, "0102"),
        frame(0x36, "0102"),
    ],
)
def test_content_that_does_not_add_up_is_senseless(whole: bytes) -> None:
    assert decoded(whole) == [Rejected(Reason.SANITY, whole)]
    with pytest.raises(ValueError, match="does not add up"):
        fields(whole)


@pytest.mark.parametrize("cmd", [0x02, 0x18, 0x19, 0x72, 0x96])
def test_what_is_not_heard_just_now_is_no_read(cmd: int) -> None:
    assert reads_in(decoded(frame(cmd, f"01 01 0c {EPC} 6b", 0))) == []


# ---- replies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whole", "name", "said"),
    [
        (HEARTBEAT, "keep_alive", {}),
        (END, "round_end", {"antenna": 1, "chips": 0, "status": 1}),
        (bytes.fromhex("06000101001448"), "round_end", {"chips": 0}),
        (bytes.fromhex("07000101000907cf"), "round_end", {"chips": 0, "extra": "09"}),
        (frame(0x01, status=0x01), "round_end", {"chips": 0}),
        (frame(0x0F, status=0xFB), "round_end", {"chips": 0, "says": "no chip (FB)"}),
        (frame(0x01, "01 001c 00000123", 0x26), "statistics", {"antenna": 1, "rate": 28, "total": 291}),
        (frame(0xEE, "00000007 03 00000123", 0x28), "keep_alive", {"packets": 7, "total": 291, "antennas": "03"}),
        (frame(0xEE, "00000007 0000000000000003 00000123", 0x28), "keep_alive", {"packets": 7, "total": 291}),
        (frame(0x01, status=0xF8), "error", {"cmd": 1, "says": "the antenna is not connected (F8)"}),
        (frame(0x01, "0100", status=0xF8), "error", {"cmd": 1, "data": "0100"}),
        (frame(0x00, status=0xFE), "error", {"cmd": 0, "says": "unknown command, or damaged on the line (FE)"}),
        (frame(0x25, status=0xF3), "error", {"says": "error (F3)"}),
        (frame(0x22), "set_band", {"status": 0}),
        (INFO, "info", {"fw": [0, 22], "type": 12, "scantime": 10, "antennas": 1, "band": "EU 865.1-867.9 MHz"}),
        (frame(0x21, "0502 86 02 3180 1a 32"), "info", {"type": 0x86, "band": "US 902.75-927.25 MHz"}),
        (frame(0x36, "001e0a0f 01 0204020600 0000"), "work_mode", {"read_mode": 1, "mode": "realtime"}),
        (frame(0x36, "00" + "01" * 41), "work_mode", {"read_mode": 0, "mode": "answer"}),
        (frame(0x77, "02" + "00" * 41), "work_mode", {"mode": "trigger"}),
        (frame(0x92, "01 1f"), "temperature", {"temp_c": 31}),
        (frame(0x92, "00 05"), "temperature", {"temp_c": -5}),
        (frame(0x91, "14"), "return_loss", {"return_loss_db": 20}),
        (frame(0x94, "1e1e141e"), "powers", {"powers": [30, 30, 20, 30]}),
        (frame(0x4C, "00112233"), "serial", {"serial": "00112233"}),
        (frame(0x78, "04"), "heartbeat_interval", {"interval_s": 120}),
    ],
)
def test_replies(whole: bytes, name: str, said: dict[str, object]) -> None:
    reply = only_reply(whole)
    assert reply.name == name
    assert reply.fields.items() >= said.items()


def test_a_frame_as_long_as_a_heartbeat_begins_is_none() -> None:
    whole = frame(0xEE, "12" * 5 + "00" * 76)
    assert whole[0] == 0x56
    assert decoded(whole) == [Rejected(Reason.SANITY, whole)]
    longest = frame(0x01, "01 05" + f"0c {EPC} 50" * 5 + f"08 {EPC[:16]} 50", 3)
    assert longest[0] == 0x57
    assert decoded(HEARTBEAT[:3], HEARTBEAT[3:] + longest[:2], longest[2:])[0].size == 6


def test_an_echo_of_a_question_is_no_answer() -> None:
    said = command(0x01, bytes.fromhex("0400"))
    assert decoded(said, END)[0] == Rejected(Reason.GARBAGE, said)


def test_garbage_comes_in_few_pieces_and_says_why() -> None:
    broken = bytearray(a_frame(1))
    broken[-1] ^= 1
    assert decoded(b"\x99\xff\xff", bytes(broken), END)[:2] == [
        Rejected(Reason.GARBAGE, b"\x99\xff\xff"),
        Rejected(Reason.INTEGRITY, bytes(broken)),
    ]
    assert [event.size for event in decoded(b"\x99" * 150 + END)] == [64, 64, 22, len(END)]


def test_a_false_beginning_holds_a_frame_back_only_until_silence() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\xf0\x00\x01\x03" + END + END + END[:3]) == []
    (whole,) = decoded(END)
    assert decoder.idle() == [Rejected(Reason.INCOMPLETE, b"\xf0\x00\x01\x03"), whole, whole]
    assert decoder.idle() == []
    assert decoder.feed(END[3:]) == [whole]


def test_what_proves_the_family() -> None:
    assert is_proof(decoded(INFO))
    assert is_proof(decoded(a_frame(1), a_frame(2)))
    assert not is_proof(decoded(a_frame(1), END, HEARTBEAT))
    assert not is_proof(decoded(frame(0x21, status=0xFE), frame(0x00, status=0xFE)))
    assert not is_proof([])


# ---- bands --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BANDS)
def test_bands_there_and_back(name: str) -> None:
    last = BANDS[name].last
    for first, end in ((0, last), (1, last), (last, last)):
        assert band_from_bytes(*bytes_from_band(name, first, end)) == (name, first, end)
    for channels in ((0, last + 1), (1, 0), (-1, 0)):
        with pytest.raises(ValueError, match=f"band {name} has the channels 0 to {last}"):
            bytes_from_band(name, *channels)


@pytest.mark.parametrize(("highest", "lowest"), [(0, 0), (0xFF, 0xFF), (0x05, 0x46), (0x40 | 15, 0), (0x53, 0x40)])
def test_what_is_no_band(highest: int, lowest: int) -> None:
    assert band_from_bytes(highest, lowest) is None


def test_bands_in_the_makers_bytes() -> None:
    assert bytes_from_band("us", 0, 49) == bytes.fromhex("3180")
    assert bytes_from_band("eu", 0, 14) == bytes.fromhex("4e00")
    assert bytes_from_band("china2", 0, 19) == bytes.fromhex("1340")
    assert words_from_band("us3", 0, 52) == "US3 902-928 MHz"
    with pytest.raises(ValueError, match="there is no band 'mars'"):
        bytes_from_band("mars", 0, 1)


# ---- the samples --------------------------------------------------------------------------------------


@pytest.mark.skipif(not SAMPLES.is_file(), reason="the shared samples are not beside the checkout")
def test_samples_say_what_is_expected_of_them() -> None:
    samples = [json.loads(text) for text in SAMPLES.read_text().splitlines()]
    samples = [sample for sample in samples if sample["protocol"] == "uhfreader"]
    received = 0
    for sample in samples:
        whole, expected = bytes.fromhex(sample["hex"]), sample["expected"]
        if sample["dir"] == "tx":
            assert command(whole[2], whole[3:-2], whole[1]) == whole
            continue
        received += 1
        events = decoded(whole)
        if sample["checksum_ok"] is False:
            assert all(isinstance(event, Rejected) for event in events), sample
            continue
        assert not any(isinstance(event, Rejected) for event in events), sample
        said = fields(whole)
        assert {key: said.get(key) for key in expected} == expected, sample
        assert [chip.lower() for chip, _, _ in reads_in(events)] == [tag["epc"] for tag in expected.get("tags", [])]
    assert received >= 13


# ---- what holds for any bytes -------------------------------------------------------------------------

CHIPS = st.integers(0, 2**48 - 1)


def flipped(whole: bytes, at: int, bit: int) -> bytes:
    at %= len(whole)
    return whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]


GOOD = CHIPS.map(a_frame)
LINES = st.lists(
    st.one_of(
        GOOD,
        st.builds(flipped, GOOD, st.integers(0, 10**6), st.integers(0, 7)),
        st.builds(lambda whole, at: whole[: at % len(whole)], GOOD, st.integers(0, 10**6)),
        st.sampled_from(PIECES),
        st.binary(max_size=60),
    ),
    max_size=12,
).map(b"".join)


def fed(chunks: list[bytes]) -> list[Event]:
    decoder = Decoder()
    events: list[Event] = []
    count = 0
    for chunk in chunks:
        events += decoder.feed(chunk)
        count += len(chunk)
        assert decoder.pending <= MAX_PENDING
    assert sum(event.size for event in events) + decoder.pending == count
    line, at = b"".join(chunks), 0
    for event in events:
        if isinstance(event, Rejected):
            assert line[at : at + event.size] == event.data
        at += event.size
    return events


@settings(max_examples=100, deadline=None)
@given(line=LINES, cuts=st.lists(st.integers(0, 10**6), max_size=8))
def test_chunks_do_not_matter(line: bytes, cuts: list[int]) -> None:
    whole = fed([line])
    ends = sorted(cut % (len(line) + 1) for cut in cuts)
    assert fed([line[a:b] for a, b in pairwise([0, *ends, len(line)])]) == whole
    assert fed([line[at : at + 1] for at in range(len(line))]) == whole


@settings(max_examples=100, deadline=None)
@given(garbage=LINES, chip=CHIPS)
def test_a_good_frame_survives_whatever_came_before(garbage: bytes, chip: int) -> None:
    decoder = Decoder()
    events = decoder.feed(garbage + a_frame(chip))
    events += decoder.idle()
    assert [read[0] for read in reads_in(events)][-1:] == [f"{chip:024X}"]
    assert sum(event.size for event in events) + decoder.pending == len(garbage) + len(a_frame(chip))


@settings(max_examples=100, deadline=None)
@given(several=st.lists(CHIPS, min_size=3, max_size=6), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_one_frame(several: list[int], at: int, bit: int) -> None:
    frames = [a_frame(chip) for chip in several]
    hurt = at % len(frames)
    decoder = Decoder()
    events = decoder.feed(b"".join(flipped(one, at, bit) if n == hurt else one for n, one in enumerate(frames)))
    events += decoder.idle()
    expected = [f"{chip:024X}" for chip in several]
    assert [chip for chip, _, _ in reads_in(events)] in ([*expected[:hurt], *expected[hurt + 1 :]], expected)


def test_fifty_thousand_bytes_of_anything() -> None:
    dice = random.Random(20231008)
    line = bytearray()
    while len(line) < 50_000:
        good = a_frame(dice.randrange(2**48))
        kinds = (good, flipped(good, dice.randrange(999), dice.randrange(8)), dice.choice(PIECES))
        line += dice.choice((*kinds, good[: dice.randrange(len(good))], dice.randbytes(dice.randrange(80))))
    cuts = sorted(dice.randrange(len(line)) for _ in range(1000))
    events = fed([bytes(line[a:b]) for a, b in pairwise([0, *cuts, len(line)])])
    assert len(reads_in(events)) > 150
    assert events == fed([bytes(line)])


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=27), cmd=st.sampled_from([0x01, 0x0F, 0x21, 0x36, 0x77, 0x91, 0x92, 0x94, 0xEE]))
def test_a_whole_frame_of_anything_is_understood_or_senseless(data: bytes, cmd: int) -> None:
    for status in (0x00, 0x01, 0x03, 0x26, 0x28):
        whole = frame(cmd, data.hex(), status)
        if whole.startswith(HEARTBEAT):
            continue
        events = decoded(whole)
        assert sum(event.size for event in events) == len(whole)
        if isinstance(events[0], Rejected):
            assert events == [Rejected(Reason.SANITY, whole)]
        else:
            assert uhfreader.fields(whole)["cmd"] == cmd
