"""The word about this box: what makes it be said again, and what must not."""

from __future__ import annotations

import json

import pytest

from reader.uplink.broker import Arrived
from reader.uplink.presence import EVERY_NS, Presence
from tests.fakes.log import FINISH

SAID_NS = 7 * EVERY_NS


@pytest.fixture
def presence() -> Presence:
    presence = Presence(FINISH, "mine", "timing")
    presence.said(SAID_NS)
    return presence


def note(presence: Presence, link: str, box: str, connection: str) -> None:
    word = {"link": link, "box": box, "connection": connection}
    presence.note(Arrived(presence.topic, json.dumps(word).encode(), is_retained=False))


def test_it_is_said_at_once_and_then_no_more(presence: Presence) -> None:
    assert Presence(FINISH, "mine", "timing").due_ns == 0
    note(presence, "online", "b17", "mine")
    assert presence.due_ns is None


def test_a_stale_word_of_this_box_is_put_right_but_not_in_a_hurry(presence: Presence) -> None:
    note(presence, "lost", "b17", "earlier")
    assert presence.due_ns == SAID_NS + EVERY_NS


def test_another_box_is_noticed_and_not_answered(presence: Presence) -> None:
    note(presence, "online", "b99", "theirs")
    assert (presence.other_box, presence.due_ns) == ("b99", None)
    note(presence, "stopped", "b99", "theirs")
    assert (presence.other_box, presence.due_ns) == (None, SAID_NS + EVERY_NS)


def test_nonsense_is_put_right(presence: Presence) -> None:
    presence.note(Arrived(presence.topic, b"", is_retained=True))
    assert presence.due_ns == SAID_NS + EVERY_NS
