"""What holds for every family: chunks don't matter, nothing raises, nothing is lost, a good frame is found.

The frames are made here, naively, from the manuals.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reader.line import protocols
from reader.line.protocols import Decoder, load
from reader.model import ChipRead, Event, Rejected
from tests.unit import test_a0, test_m100, test_rdm6300, test_uhfreader
from tests.unit.test_thingmagic import KEEP_ALIVE, frame, report

MAX_PENDING = {"ipico": 1100, "thingmagic": 255, "a0": 257, "m100": 262, "uhfreader": 320, "rdm6300": 88}


def ipico_text(chip: int) -> bytes:
    body = f"00{chip:012x}00012603071348{chip % 60:02d}{chip % 100:02x}"
    return f"aa{body}{sum(map(ord, body)) % 256:02x}\r\n".encode()


def ipico_binary(chip: int) -> bytes:
    body = bytes.fromhex(f"00{chip:012x}00012603071348{chip % 60:02d}{chip % 100:02x}")
    return b"\xaa" + body + bytes([sum(body) % 256]) + b"\r\n"


def thingmagic(chip: int) -> bytes:
    return report("0016", f"c411{chip & 0xFFFFFFFF:08x}", f"{chip:024x}")


class Family(NamedTuple):
    """One way in which a family says a chip, and what else is met on its lines."""

    name: str
    frame: Callable[[int], bytes]
    digits: int
    pieces: tuple[bytes, ...]

    def decoder(self) -> Decoder:
        return load(self.name).Decoder()


IPICO_PIECES = (
    b"aa",
    b"ab",
    b"ab00fe4b",
    b"\xaa",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"ab00000121\r\n",
    b"LS",
    b"0" * 40,
    b"x" * 700,
    b"ab00ff",
)
THINGMAGIC_PIECES = (
    b"\xff",
    b"\xff\xf8",
    b"\xff\xf9",
    b"\xff\x28\x22\x00\x00",
    KEEP_ALIVE,
    frame(0x67, "0d"),
    b"\x22" * 90,
)
FAMILIES = [
    Family("ipico", ipico_text, 12, IPICO_PIECES),
    Family("ipico", ipico_binary, 12, IPICO_PIECES),
    Family("thingmagic", thingmagic, 24, THINGMAGIC_PIECES),
    Family("a0", test_a0.a_frame, 24, test_a0.PIECES),
    Family("m100", test_m100.a_frame, 24, test_m100.PIECES),
    Family("m100", test_m100.an_aa_frame, 24, test_m100.PIECES),
    Family("uhfreader", test_uhfreader.a_frame, 24, test_uhfreader.PIECES),
]
NAMES = ["ipico text", "ipico binary", "thingmagic", "a0", "m100", "m100 aa", "uhfreader"]
each_family = pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
# Where two equal frames make a read, the laws below stand in the family's own tests.
TWICE = Family("rdm6300", lambda chip: 2 * test_rdm6300.a_frame(chip % 2**40), 10, test_rdm6300.PIECES)
CHIPS = st.integers(0, 2**48 - 1)


def lines(family: Family) -> st.SearchStrategy[bytes]:
    """Good frames, damaged frames, pieces of frames and noise, in any order."""
    good = CHIPS.map(family.frame)
    damaged = st.builds(flipped, good, st.integers(0, 10**6), st.integers(0, 7))
    cut = st.builds(lambda whole, at: whole[: at % len(whole)], good, st.integers(0, 10**6))
    return st.lists(
        st.one_of(good, damaged, cut, st.sampled_from(family.pieces), st.binary(max_size=60)), max_size=12
    ).map(b"".join)


def flipped(whole: bytes, at: int, bit: int) -> bytes:
    at %= len(whole)
    return whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]


def fed(family: Family, chunks: list[bytes]) -> list[Event]:
    """The events of the chunks; after each, every byte is accounted for, in order, and the rest is bounded."""
    decoder = family.decoder()
    events: list[Event] = []
    count = 0
    for chunk in chunks:
        events += decoder.feed(chunk)
        count += len(chunk)
        assert decoder.pending <= MAX_PENDING[family.name]
    assert sum(event.size for event in events) + decoder.pending == count
    at = 0
    for event in events:
        if isinstance(event, Rejected):
            assert b"".join(chunks)[at : at + event.size] == event.data
        at += event.size
    return events


def chips(events: list[Event]) -> list[str]:
    return [event.chip for event in events if isinstance(event, ChipRead)]


@each_family
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_chunks_do_not_matter(family: Family, data: st.DataObject) -> None:
    line = data.draw(lines(family))
    cuts = data.draw(st.lists(st.integers(0, len(line)), max_size=8).map(sorted))
    whole = fed(family, [line])
    assert fed(family, [line[a:b] for a, b in pairwise([0, *cuts, len(line)])]) == whole
    assert fed(family, [line[at : at + 1] for at in range(len(line))]) == whole


@each_family
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_good_frame_survives_whatever_came_before(family: Family, data: st.DataObject) -> None:
    garbage, chip = data.draw(lines(family)), data.draw(CHIPS)
    # A sum of one byte is right by chance in one of 256 false beginnings, and takes the next frame's first bytes along.
    good = family.frame(chip) * (2 if family.name == "a0" else 1)
    decoder = family.decoder()
    events = decoder.feed(garbage + good)
    events += decoder.idle()
    assert chips(events)[-1:] == [f"{chip:0{family.digits}X}"]
    assert sum(event.size for event in events) + decoder.pending == len(garbage) + len(good)


@each_family
@settings(max_examples=100, deadline=None)
@given(several=st.lists(CHIPS, min_size=3, max_size=6), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_one_frame(family: Family, several: list[int], at: int, bit: int) -> None:
    frames = [family.frame(chip) for chip in several]
    hurt = at % len(frames)
    decoder = family.decoder()
    events = decoder.feed(b"".join(flipped(one, at, bit) if n == hurt else one for n, one in enumerate(frames)))
    events += decoder.idle()
    expected = [f"{chip:0{family.digits}X}" for chip in several]
    assert chips(events) in ([*expected[:hurt], *expected[hurt + 1 :]], expected)


@pytest.mark.parametrize("size", [50_000, pytest.param(1_000_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("family", [*FAMILIES, TWICE], ids=[*NAMES, "rdm6300"])
def test_so_many_bytes_of_anything(family: Family, size: int) -> None:
    dice = random.Random(20231008)
    line = bytearray()
    while len(line) < size:
        good = family.frame(dice.randrange(2**48))
        kinds = (good, flipped(good, dice.randrange(999), dice.randrange(8)), dice.choice(family.pieces))
        line += dice.choice((*kinds, good[: dice.randrange(len(good))], dice.randbytes(dice.randrange(80))))
    cuts = sorted(dice.randrange(len(line)) for _ in range(size // 50))
    events = fed(family, [bytes(line[a:b]) for a, b in pairwise([0, *cuts, len(line)])])
    assert len(chips(events)) > size // 400
    assert events == fed(family, [bytes(line)])


def test_every_family_of_the_table_is_here() -> None:
    assert {family.name for family in [*FAMILIES, TWICE]} == {family.name for family in protocols.FAMILIES}
