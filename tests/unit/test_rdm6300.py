"""Readers of 125 kHz chips: their four frames, phantoms, and whatever else is on such a line."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reader.line.protocols.asking import Asking
from reader.line.protocols.ipico import Decoder as Ipico
from reader.line.protocols.ipico import is_proof as is_proof_of_ipico
from reader.line.protocols.rdm6300 import ON_START, SETTINGS, Conversation, Decoder, fields, identify, is_proof
from reader.model import ChipRead, Event, Reason, Rejected, Reply
from reader.simulator import rdm6300
from reader.simulator.rdm6300 import Form, Rdm6300Reader

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples" / "samples.jsonl"
MAX_PENDING = 64 + 24

CARD = b"\x021F00644BB686\x03"
OTHER = b"\x020D00319CD070\x03"
ID12 = b"\x0204171F04FEF6\r\n\x03"
CLONE = b"\x020114AE3BBC<\x03"
EM18 = b"7800656EB6C5"
ZERO = b"\x02000000000000\x03"


def total(chip: int) -> int:
    return (chip >> 32 ^ chip >> 24 ^ chip >> 16 ^ chip >> 8 ^ chip) & 0xFF


def a_frame(chip: int) -> bytes:
    return b"\x02%010X%02X\x03" % (chip, total(chip))


def an_id12_frame(chip: int) -> bytes:
    return b"\x02%010X%02X\r\n\x03" % (chip, total(chip))


def a_clone_frame(chip: int) -> bytes:
    return b"\x02%010X%c\x03" % (chip, total(chip))


FRAMES = (a_frame, an_id12_frame, a_clone_frame)
PIECES = (
    b"\x02",
    b"\x03",
    b"\x02\x02\x02",
    b"\x021F00644B",
    b"\x021F00644BB6\x02",
    b"\x021F00644BB686",
    b"\x021F00644BB686\r",
    b"1F00644BB686",
    b"00",
    b"0" * 40,
    b"\r\n",
    b"\x00" * 100,
    ZERO,
    CARD,
)
CHIPS = st.integers(1, 2**40 - 1)
each_frame = pytest.mark.parametrize("frame", FRAMES, ids=["rdm6300", "id12", "clone"])


def decoded(*chunks: bytes) -> list[Event]:
    """The events of these chunks; every byte is in one of them, in order, or pending, and that is bounded."""
    decoder = Decoder()
    events: list[Event] = []
    fed = told = 0
    for chunk in chunks:
        new = decoder.feed(chunk)
        events += new
        fed += len(chunk)
        told += sum(event.size for event in new)
        assert decoder.pending < MAX_PENDING
        assert told + decoder.pending == fed
    at, line = 0, b"".join(chunks)
    for event in events:
        if isinstance(event, Rejected):
            assert line[at : at + event.size] == event.data
        at += event.size
    return events


def chips(events: list[Event]) -> list[str]:
    return [event.chip for event in events if isinstance(event, ChipRead)]


def silent_between(*frames: bytes) -> list[Event]:
    decoder = Decoder()
    events = [event for frame in frames for event in decoder.feed(frame) + decoder.idle()]
    assert sum(event.size for event in events) + decoder.pending == sum(map(len, frames))
    return events


@pytest.mark.parametrize(
    ("frame", "chip"),
    [
        (CARD, "1F00644BB6"),
        (OTHER, "0D00319CD0"),
        (b"\x02000414CD7EA3\x03", "000414CD7E"),
        (b"\x0201C8F0080031\x03", "01C8F00800"),
        (ID12, "04171F04FE"),
        (CLONE, "0114AE3BBC"),
        (CARD.lower(), "1F00644BB6"),
    ],
)
def test_a_chip_counts_from_its_second_frame(frame: bytes, chip: str) -> None:
    assert decoded(frame * 4) == [
        Reply("once", {"chip": chip}, len(frame)),
        *[ChipRead(chip, None, None, None, None, len(frame))] * 3,
    ]


def test_another_chip_in_between_starts_anew_and_bytes_that_are_no_frame_do_not() -> None:
    assert chips(decoded(CARD + OTHER + CARD + OTHER)) == []
    assert chips(decoded(CARD + OTHER + CARD + CARD + OTHER)) == ["1F00644BB6"]
    assert chips(decoded(CARD + b"\x00\x02garbage" + CARD)) == ["1F00644BB6"]
    assert chips(decoded(CARD + CARD[:-3] + b"00\x03" + CARD)) == ["1F00644BB6"]
    assert chips(decoded(CARD + ZERO + CARD)) == []


def test_phantoms_that_come_once_each_are_no_chips() -> None:
    phantoms = (b"000000078F88", b"00F00000F000", b"B59A99E5A9FA", b"DA9386B5EA90", b"4FFB388FFFFC")
    events = decoded(b"".join(b"\x02" + phantom + b"\x03" for phantom in phantoms * 2))
    assert chips(events) == []
    assert [event.name for event in events if isinstance(event, Reply)] == ["once"] * 10


def test_all_zeros_are_never_a_chip() -> None:
    assert decoded(ZERO * 3) == [Rejected(Reason.SANITY, ZERO)] * 3
    assert silent_between(b"0" * 12, b"0" * 12) == [Rejected(Reason.SANITY, b"0" * 12)] * 2


@pytest.mark.parametrize("bad", [CARD.replace(b"86", b"87"), ID12.replace(b"F6", b"F7"), CLONE.replace(b"<", b"=")])
def test_a_wrong_sum_rejects_the_frame_whole(bad: bytes) -> None:
    assert decoded(bad + CARD)[0] == Rejected(Reason.INTEGRITY, bad)


@pytest.mark.parametrize("total_byte", [0x02, 0x03, 0x0D, 0x30, 0x41])
def test_a_clone_s_sum_may_be_any_byte(total_byte: int) -> None:
    chip = 0x0100000000 | (total_byte ^ 0x01)
    frame = a_clone_frame(chip)
    assert frame[11] == total_byte
    assert chips(decoded(frame * 2 + CARD)) == [f"{chip:010X}"]


def test_an_em_18_is_delimited_by_what_is_around_it() -> None:
    assert chips(silent_between(EM18, EM18, EM18)) == ["7800656EB6"] * 2
    assert chips(decoded(b"\r\n" + EM18 + b"\r\n" + EM18 + b"\r\n")) == ["7800656EB6"]
    assert chips(decoded(EM18 + EM18 + b"\r\n" + EM18 + EM18 + b"\r\n")) == ["7800656EB6"] * 3
    assert chips(silent_between(EM18, b"7" + EM18, EM18 + b"7")) == []
    assert chips(silent_between(EM18, EM18[:5], EM18[5:], EM18)) == ["7800656EB6"]


def test_a_run_of_too_many_digits_is_none_wherever_it_is_cut() -> None:
    run = b"13579" * 10 + b"13" + EM18 + b"\n" + EM18 + b"\n"
    for cut in range(len(run)):
        assert chips(decoded(run[:cut], run[cut:] + EM18 + b"\n")) == ["7800656EB6"]


def test_a_frame_that_lost_an_end_is_found_by_its_digits() -> None:
    assert chips(decoded(CARD[:-1] + b"\xff" + CARD)) == ["1F00644BB6"]
    assert chips(decoded(CARD[1:] + CARD)) == ["1F00644BB6"]
    assert chips(silent_between(CARD[:-1], CARD)) == ["1F00644BB6"]


def test_a_frame_cut_in_two_by_a_silence_is_waited_for() -> None:
    assert chips(silent_between(CARD, CARD[:7], CARD[7:])) == ["1F00644BB6"]


@each_frame
@pytest.mark.parametrize("garbage", PIECES)
def test_garbage_before_does_not_hide_a_frame(frame: object, garbage: bytes) -> None:
    assert callable(frame)
    assert chips(decoded(garbage + frame(0x0123456789) * 2 + CARD))[-1] == "0123456789"


def lines() -> st.SearchStrategy[bytes]:
    """Good frames, damaged frames, pieces of frames and noise, in any order."""
    good = st.builds(lambda frame, chip, times: frame(chip) * times, st.sampled_from(FRAMES), CHIPS, st.integers(1, 3))
    damaged = st.builds(flipped, good, st.integers(0, 10**6), st.integers(0, 7))
    cut = st.builds(lambda whole, at: whole[: at % len(whole)], good, st.integers(0, 10**6))
    digits = st.text("0123456789abcdefABCDEF", max_size=30).map(str.encode)
    return st.lists(
        st.one_of(good, damaged, cut, digits, st.sampled_from(PIECES), st.binary(max_size=80)), max_size=12
    ).map(b"".join)


def flipped(whole: bytes, at: int, bit: int) -> bytes:
    at %= len(whole)
    return whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_chunks_do_not_matter(data: st.DataObject) -> None:
    line = data.draw(lines())
    cuts = data.draw(st.lists(st.integers(0, len(line)), max_size=8).map(sorted))
    whole = decoded(line)
    assert decoded(*(line[a:b] for a, b in pairwise([0, *cuts, len(line)]))) == whole
    assert decoded(*(line[at : at + 1] for at in range(len(line)))) == whole


@each_frame
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_good_frame_survives_whatever_came_before(frame: object, data: st.DataObject) -> None:
    assert callable(frame)
    garbage, chip = data.draw(lines()), data.draw(CHIPS)
    decoder = Decoder()
    events = decoder.feed(garbage + frame(chip) * 2) + decoder.idle()
    assert chips(events)[-1:] == [f"{chip:010X}"]
    assert sum(event.size for event in events) + decoder.pending == len(garbage) + 2 * len(frame(chip))


@each_frame
@settings(max_examples=100, deadline=None)
@given(several=st.lists(CHIPS, min_size=3, max_size=6, unique=True), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_one_frame(frame: object, several: list[int], at: int, bit: int) -> None:
    assert callable(frame)
    thrice = [frame(chip) * 3 for chip in several]
    hurt = at % len(several)
    line = b"".join(flipped(one, at, bit) if n == hurt else one for n, one in enumerate(thrice))
    decoder = Decoder()
    found = chips(decoder.feed(line) + decoder.idle())
    assert {chip: found.count(chip) for chip in found} in (
        {f"{chip:010X}": 2 for chip in several},
        {f"{chip:010X}": 2 - (n == hurt) for n, chip in enumerate(several)},
    )


def test_two_hundred_thousand_bytes_of_anything() -> None:
    dice = random.Random(20231008)
    line = bytearray()
    while len(line) < 200_000:
        good = dice.choice(FRAMES)(dice.randrange(1, 2**40)) * 2
        kinds = (good, flipped(good, dice.randrange(999), dice.randrange(8)), dice.choice(PIECES))
        line += dice.choice((*kinds, good[: dice.randrange(len(good))], dice.randbytes(dice.randrange(80))))
    cuts = sorted(dice.randrange(len(line)) for _ in range(1000))
    decoder = Decoder()
    events = [event for a, b in pairwise([0, *cuts, len(line)]) for event in decoder.feed(bytes(line[a:b]))]
    assert len(chips(events)) > 500
    assert events == decoded(bytes(line))


# ---- who it is ------------------------------------------------------------------------------------------


def test_nothing_is_said_to_the_reader_and_nothing_can_be_set() -> None:
    talk = Conversation()
    assert not talk.standing.hears
    assert talk.opened(0) + talk.heard([], 1) + talk.tick(2) + talk.closing() == b""
    assert (talk.standing.hears, talk.standing.word, talk.antennas, talk.baud) == (True, "ok", [], None)
    assert not SETTINGS
    assert not ON_START
    asking = Asking(identify())
    assert asking.begin(0) == b""
    assert asking.is_done
    assert asking.result.model == "RDM6300, ID-12/20 or EM-18"


def test_two_equal_frames_are_proof_and_less_is_none() -> None:
    for frame in (CARD, ID12, CLONE):
        assert not is_proof(decoded(frame))
        assert is_proof(decoded(frame * 2))
        assert is_proof(decoded(frame[5:] + frame * 2))
    assert not is_proof([])
    assert not is_proof(decoded(CARD + OTHER + CARD))
    assert not is_proof(decoded(b"\xfe\x80" * 40 + CARD * 2))
    assert not is_proof(decoded(b"".join(CARD + b"\x00\x41\xfe" * 9 for _ in range(9))))


def test_twelve_digits_alone_are_proof_only_with_nothing_between() -> None:
    assert is_proof(silent_between(EM18, EM18))
    assert not is_proof(decoded(b"\r\n".join([EM18] * 4) + b"\r\n"))


def test_a_line_of_ipico_s_proves_ipico_and_not_this() -> None:
    body = "00058000123b32000126030713485032"
    read = f"aa{body}{sum(map(ord, body)) % 256:02x}\r\n".encode()
    control = b"ab000101fe%02x\r\n"  # twelve digits, as those of an EM-18: the XOR of the first ten bytes is right
    twelve = control % (0xAB ^ 0x00 ^ 0x01 ^ 0x01 ^ 0xFE)
    decoder, ipico = Decoder(), Ipico()
    line = (read + twelve) * 5
    assert not is_proof(decoder.feed(line) + decoder.idle())
    assert is_proof_of_ipico(ipico.feed(line))


# ---- samples, and the simulator -------------------------------------------------------------------------


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples are not beside the checkout")
def test_samples_say_what_is_expected_of_them() -> None:
    count = 0
    for text in SAMPLES.read_text().splitlines():
        sample = json.loads(text)
        if sample["protocol"] != "rdm6300/id12":
            continue
        frame = bytes.fromhex(sample["hex"]) if "hex" in sample else sample["ascii"].encode("latin-1")
        count += 1
        if not sample["checksum_ok"]:
            assert chips(silent_between(frame, frame)) == []
            with pytest.raises(ValueError, match="not one whole frame"):
                fields(frame)
            continue
        said, expected = fields(frame), sample["expected"]
        for key in ("version", "card_decimal", "raw_checksum"):
            assert said.get(key) == expected.get(key)
        assert str(said["id"]).upper() == expected["id"].upper()
        assert chips(silent_between(frame, frame)) == [(expected["version"] + expected["id"]).upper()]
    assert count == 12


@pytest.mark.parametrize("form", ["rdm6300", "id12", "clone"])
def test_each_read_of_the_simulator_is_one_read(form: Form) -> None:
    reader = Rdm6300Reader(form=form)
    order = [rdm6300.chip_from_number(number) for number in (7, 7, 7, 8, 7, 9, 9, 0x14AE3BBC)]
    line = b"".join(reader.report(chip, 0, -50, 1)[0] for chip in order)
    assert chips(decoded(line)) == order
    assert not [event for event in decoded(line) if isinstance(event, Rejected)]
    assert reader.answer(b"\xff\x00\x0c\x1d\x03", 0) + reader.tick(0) == b""


def test_the_simulator_says_the_frames_that_users_published() -> None:
    assert Rdm6300Reader().report("1F00644BB6", 5, -50, 1) == (CARD * 2, 5)
    assert Rdm6300Reader(form="id12").report("04171F04FE", 5, -50, 1) == (ID12 * 2, 5)
    assert Rdm6300Reader(form="clone").report("0114AE3BBC", 5, -50, 1) == (CLONE * 2, 5)


def test_chips_of_the_simulator_have_ten_digits() -> None:
    assert rdm6300.chip_from_number(48_000) == "010000BB80"
    assert rdm6300.chip_from_text("1f00644bb6") == "1F00644BB6"
    for bad in ("0" * 10, "1F00644BB", "1F00644BB6F"):
        with pytest.raises(ValueError, match="ten hex digits"):
            rdm6300.chip_from_text(bad)
    with pytest.raises(ValueError, match="4294967295"):
        rdm6300.chip_from_number(2**32)
    assert rdm6300.make_reader().baud == 9600
