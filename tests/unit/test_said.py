"""What race control has said, as last said: what is not right is told, for as long as it stands."""

from __future__ import annotations

import json
from typing import Any

from reader.uplink.broker import Arrived
from reader.uplink.said import Said

MAT = "timing/race/finish/mat"


def arrived(what: str, said: dict[str, Any] | None) -> Arrived:
    return Arrived(f"{MAT}/{what}", b"" if said is None else json.dumps(said).encode(), False, None, None)


def ack(**acks: int) -> dict[str, Any]:
    return {"box": "b17", "acks": acks, "time": "2026-03-07T13:48:50Z"}


def test_an_ack_that_is_cleared_takes_the_word_on_it_along() -> None:
    said = Said("b17", "timing")
    said.note(arrived("ack/rc1", ack(e1=700)))
    said.note_beyond("rc1", "rc1 acknowledges e1 through 700, which ends at 7: ignored")
    assert "ignored" in said.trouble
    said.note(arrived("ack/rc1", None))
    assert said.acks == {}
    assert said.trouble == ""


def test_what_is_not_right_is_told_until_it_is_put_right() -> None:
    said = Said("b17", "timing")
    said.note(arrived("ack/rc1", {"box": "b17"}))
    assert "not right" in said.trouble
    said.note(arrived("ack/rc1", ack(e1=7)))
    assert (said.trouble, said.acks) == ("", {"rc1": {"e1": 7}})


def test_what_was_acknowledged_to_another_box_is_not_ours() -> None:
    said = Said("b18", "timing")
    said.note(arrived("ack/rc1", ack(e1=7)))
    assert (said.trouble, said.acks) == ("", {})
