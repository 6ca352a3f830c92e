"""What holds for the conversation of every family that transmits: nothing goes on air where it may not."""

from __future__ import annotations

import pytest

from reader.line.protocols import load
from reader.line.protocols.settings import Wanted
from tests.unit import test_a0, test_m100, test_uhfreader

MS = 1_000_000
REGIONS: dict[str, dict[str, object]] = {
    "a0": {"band": ("etsi", 0, 6)},
    "m100": {"region": "eu"},
    "uhfreader": {"band": ("eu", 0, 14)},
}
# What makes a reader transmit: the commands that ask for a round.
ROUNDS = {
    "a0": (b"\x89", b"\x8b", b"\x8a"),
    "m100": (b"\x00\x22\x00", b"\x00\x27\x00"),
    "uhfreader": (b"\xff\x01",),
}
# One round without a chip, and the question that has to follow it.
EMPTY_ROUND = {
    "a0": (test_a0.frame(0x8B, "00 0000 00000000"), bytes.fromhex("A003FF72EC")),
    "m100": (bytes.fromhex("BB01FF000115167E"), bytes.fromhex("BB00280000287E")),
    "uhfreader": (test_uhfreader.frame(0x01, "00", 0x01), bytes.fromhex("04FF211995")),
}


@pytest.mark.parametrize("family", REGIONS)
def test_a_reader_that_says_nothing_is_not_made_to_transmit_where_the_profile_says_where_it_may(family: str) -> None:
    talk = load(family).Conversation(Wanted("p", REGIONS[family]))
    sent = [talk.opened(0), *(talk.tick(now_ms * MS) for now_ms in range(10, 20_000, 10))]
    assert any(sent)
    assert [one for one in sent for asks in ROUNDS[family] if asks in one] == []
    assert not talk.standing.hears


@pytest.mark.parametrize("family", REGIONS)
def test_one_that_is_polled_unasked_is_asked_who_it_is_as_soon_as_it_reports(family: str) -> None:
    module = load(family)
    talk, decoder = module.Conversation(), module.Decoder()
    said, question = EMPTY_ROUND[family]
    sent, now_ms = talk.opened(0), 0
    while not any(asks in sent for asks in ROUNDS[family]):
        now_ms += 10
        sent = talk.tick(now_ms * MS)
        assert now_ms < 10_000, "never polled"
    heard = talk.heard(decoder.feed(said), now_ms * MS)
    heard += b"".join(talk.tick(later_ms * MS) for later_ms in range(now_ms, now_ms + 200, 10))
    assert question in heard


def test_the_fakes_here_are_frames() -> None:
    assert test_m100.frame(1, 0xFF, "15") == EMPTY_ROUND["m100"][0]


@pytest.mark.parametrize("family", ["thingmagic", *REGIONS])
def test_one_that_begins_anew_is_at_the_speed_that_is_known_of_the_line(family: str) -> None:
    talk = load(family).Conversation()
    talk.opened(0, 57600)
    assert talk.baud == 57600
    talk.opened(MS)
    assert talk.baud is None
