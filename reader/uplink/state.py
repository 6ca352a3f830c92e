"""How it stands with the uplink: what its thread tells everyone else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from reader.messages import Word
from reader.uplink.backlog import Backlogs
from reader.uplink.presence import Presence
from reader.uplink.said import Said
from reader.uplink.wire import Expect
from reader.wording import counted


class UplinkState(NamedTuple):
    """Replaced whole.

    ``delivered``: the cursor of each epoch. ``backlog``: entries not delivered, by epoch; ``foreign``:
    those of another box, which are not sent. ``other_box``: who else speaks for this mat. ``acks``: by epoch,
    then by collector; ``expect``: who is still to come, as race control last said. ``progress`` grows while the thread
    lives.
    """

    connected: bool = False
    word: Word = "unknown"
    says: str = "not connected yet"
    delivered: Mapping[str, int] = MappingProxyType({})
    backlog: Mapping[str, int] = MappingProxyType({})
    foreign: Mapping[str, int] = MappingProxyType({})
    nobody_listening: bool = False
    other_box: str | None = None
    acks: Mapping[str, Mapping[str, int]] = MappingProxyType({})
    expect: Expect | None = None
    progress: int = 0


def facts_from(backlogs: Backlogs, presence: Presence, said: Said) -> UplinkState:
    """All of it but whether it is connected, in which words, and how far it has come."""
    return UplinkState(
        delivered=MappingProxyType({one.epoch: one.delivered_seq for one in backlogs.ours}),
        backlog=MappingProxyType({one.epoch: one.undelivered for one in backlogs.ours}),
        foreign=MappingProxyType(backlogs.foreign),
        nobody_listening=any(one.is_unheard for one in backlogs.ours),
        other_box=presence.other_box,
        acks=MappingProxyType({one.epoch: dict(one.acks) for one in backlogs.ours}),
        expect=said.expect,
    )


def connected_in_words(
    where: str, backlogs: Backlogs, presence: Presence, said: Said, refused: str
) -> tuple[Word, str]:
    """A word and a sentence while there is a connection to ``where``. ``refused``: what the broker refuses, or ""."""
    held = next((backlog for backlog in backlogs.ours if backlog.trouble), None)
    if presence.other_box is not None:
        return "fail", f"box {presence.other_box} speaks for this mat too: give one of them another id"
    if backlogs.trouble:
        return "fail", backlogs.trouble
    if held is not None:
        return ("warn" if held.is_unheard else "fail"), held.trouble
    if refused:
        return "fail", refused
    if said.trouble:
        return "warn", said.trouble
    late = {collector: count for one in backlogs.ours for collector, count in one.unstored.items() if count}
    if late:
        waiting = ", ".join(f"{collector} ({counted(count, 'entry')})" for collector, count in late.items())
        return "ok", f"connected to {where}; not yet acknowledged by {waiting}"
    return "ok", f"connected to {where}"
