"""What commands mean, and how they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from reader.box.commands import AskStatus, Clocks, Gun, Mark, Ping, input_from, parse
from reader.clock import utc_ns_from_rfc3339
from reader.errors import UsageError
from reader.model import NS_PER_S, Fired, Instant, Marked

NOW = Instant(utc_ns_from_rfc3339("2026-03-07T14:00:00Z"), 1_000 * NS_PER_S)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ({"id": "1", "do": "ping"}, Ping(id="1")),
        ({"id": "1", "do": "status", "by": "page"}, AskStatus(id="1", by="page")),
        ({"do": "mark"}, Mark()),
        ({"do": "mark", "text": "Führungswagen"}, Mark(text="Führungswagen")),
        ({"do": "gun", "name": "wave 2"}, Gun(name="wave 2")),
        ({"do": "clock"}, Clocks()),
        ({"do": "clock", "set": True, "reader": "left"}, Clocks(set=True, reader="left")),
    ],
)
def test_what_a_command_means(command: dict[str, Any], expected: object) -> None:
    assert parse(command) == expected


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ({"do": "explode"}, "do: found 'explode', expected one of: ping, status, mark, gun, clock"),
        ({"do": "gun"}, "name: missing; gun needs it: a line of text, 1 to 63 characters"),
        ({"do": "gun", "name": ""}, "name: found '', expected a line of text, 1 to 63 characters"),
        ({"do": "gun", "name": "a\nb"}, r"name: found 'a\nb', expected a line of text, 1 to 63 characters"),
        ({"do": "mark", "text": 7}, "text: found 7, expected a line of text, at most 200 characters"),
        ({"do": "mark", "text": "x" * 201}, "expected a line of text, at most 200 characters"),
        ({"do": "mark", "txt": "x"}, "txt: not a key of mark, which has: text, id, by"),
        ({"do": "gun", "name": "a", "at": 5}, "at: found 5, expected text"),
        ({"do": "clock", "set": "yes"}, "set: found 'yes', expected true or false"),
    ],
)
def test_what_is_refused_and_in_which_words(command: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse(command)
    assert says in str(refusal.value)


def test_a_mark_and_a_gun_are_of_now() -> None:
    assert input_from(Mark(text="rain"), NOW, is_synced=True) == Marked(NOW, "rain", "command")
    assert input_from(Gun(name="elites"), NOW, is_synced=False) == Fired(NOW, "elites", "command")


def test_a_remote_gun_brings_its_time_in_any_zone() -> None:
    at = Instant(NOW.utc_ns - 90 * NS_PER_S, NOW.mono_ns - 90 * NS_PER_S)
    command = Gun(name="elites", at="2026-03-07T08:58:30-05:00")
    assert input_from(command, NOW, is_synced=True) == Fired(at, "elites", "command", is_given=True)


@pytest.mark.parametrize("at", ["", "noon", "2026-03-07T13:58:30", "2026-13-07T13:58:30Z", "2026-03-07T14:01:01Z"])
def test_a_remote_guns_time_that_can_not_be_is_refused(at: str) -> None:
    with pytest.raises(UsageError, match=r"^at: found .*, expected "):
        input_from(Gun(name="elites", at=at), NOW, is_synced=True)


def test_a_box_without_a_clock_takes_a_remote_guns_word() -> None:
    fired = input_from(Gun(name="elites", at="2027-01-01T00:00:00Z"), NOW, is_synced=False)
    assert fired.at.utc_ns == utc_ns_from_rfc3339("2027-01-01T00:00:00Z")
