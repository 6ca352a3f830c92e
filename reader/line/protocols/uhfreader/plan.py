"""How a UHFReader is got to know before it is listened to: a script, and what comes of it.

Only what it says of its region can keep it from being asked for chips. Whatever else it refuses or leaves unanswered
becomes a warning: a reader that knows nothing but the inventory still records.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from reader.line.protocols.asking import Script, Stuck
from reader.line.protocols.settings import Wanted, apply
from reader.line.protocols.uhfreader.ask import (
    ANSWER_NS,
    OLD_TYPES,
    PLAIN_TYPES,
    Info,
    ask,
    asked_info,
    asked_mode,
)
from reader.line.protocols.uhfreader.frame import INFO, INVENTORY, STOP, command, words_from_band
from reader.line.protocols.uhfreader.settings import SETTINGS
from reader.model import Reply

# A reader that has just got power says garbage and takes its time.
FIRST_TRIES = 8
MANY = 4  # Q: rounds of sixteen slots, from where the reader finds the right number by itself
SMART_SESSION = 0xFF

FULL, SHORT, PLAIN = "full", "short", "plain"


class NotTransmitting(Exception):
    """The reader must not be asked for chips, and why: a sentence for people. ``is_unanswered``: it says nothing."""

    def __init__(self, says: str, is_unanswered: bool = False) -> None:
        super().__init__(says)
        self.is_unanswered = is_unanswered


class Inventory(NamedTuple):
    """How rounds are asked for. ``session``: 0 to 3, or FF for the reader's own choice; ``target``: 0 A, 1 B."""

    q: int = MANY
    session: int = 0
    target: int = 0

    def question(self, form: str, port: int | None, scan: int) -> bytes:
        """One round on ``port`` (from 1), for at most ``scan`` times 100 ms where the form says so."""
        if form == PLAIN:
            return command(INVENTORY)
        data = bytes((self.q, self.session))
        if form == FULL:
            data += bytes((self.target, 0x7F + (port or 1), scan))
        return command(INVENTORY, data)


class Plan(NamedTuple):
    """What is known of a reader, and how it is asked.

    ``forms``: of the question, the likeliest first. ``listens``: it reports by itself, and is not asked for rounds.
    """

    info: Info | None
    region: str
    warnings: tuple[str, ...]
    forms: tuple[str, ...]
    inventory: Inventory
    ports: tuple[int, ...]
    listens: bool


def set_up(wanted: Wanted | None) -> Script[Plan]:
    """Stop it, ask who it is, write what the profile wants; :class:`NotTransmitting` if its region is not right."""
    warnings: list[str] = []
    yield from ask("stop", STOP, tries=1, wait_ns=ANSWER_NS // 4)
    reply = yield from ask("its information", INFO, tries=FIRST_TRIES)
    info: Info | None = None
    if reply is None:
        if wanted is not None and "band" in wanted.values:
            says = "does not answer, and its region can't be compared with the profile's: check its power and the cable"
            raise NotTransmitting(says, is_unanswered=True)
        warnings.append("does not answer who it is")
    elif "type" not in reply.fields:
        warnings.append("does not say who it is")
    else:
        info = yield from asked_info()
        if info is None:
            warnings.append("does not say again who it is")
    if wanted is not None and info is not None:
        warnings += yield from _applied(wanted)
        info = (yield from asked_info()) or info
    region = _region(reply, info, wanted)
    if info is None:
        return Plan(
            None, region, tuple(warnings), (FULL, PLAIN, SHORT), _inventory(wanted), _ports(None, wanted), False
        )
    mode = yield from asked_mode(info.kind)
    says = "" if mode is None else str(mode[1]["mode"])
    if says not in ("", "answer", "realtime"):
        warnings.append(f"its work mode is {says}: it may transmit only when its input says so")
    return Plan(
        info, region, tuple(warnings), _forms(info), _inventory(wanted), _ports(info, wanted), says == "realtime"
    )


def _applied(wanted: Wanted) -> Script[list[str]]:
    try:
        return (yield from apply(SETTINGS, wanted)).wrong
    except Stuck as stuck:
        return [f"profile {wanted.profile} not applied: {stuck}"]


def _region(reply: Reply | None, info: Info | None, wanted: Wanted | None) -> str:
    """In words; NotTransmitting where it is none, or not the one wanted."""
    if info is None:
        if reply is not None and "type" in reply.fields and "band" not in reply.fields:
            raise NotTransmitting(NO_REGION)
        return "region not told by the reader"
    if info.band is None:
        raise NotTransmitting(NO_REGION)
    region = f"region {words_from_band(*info.band)}"
    band = None if wanted is None else wanted.values.get("band")
    if wanted is None or band is None:
        return f"{region}, as set in the reader"
    name, first, last = cast(tuple[str, int, int], band)
    if (name, first, last) != info.band:
        raise NotTransmitting(
            f"not transmitting: the {region} is set in the reader, and profile {wanted.profile} wants "
            f"{words_from_band(name, first, last)}; write it with `timing-mat profile apply {wanted.profile}`"
        )
    return region


NO_REGION = (
    "not transmitting: no region is set in the reader; "
    "write this country's with a profile that has one (`timing-mat profile apply`)"
)


def _forms(info: Info) -> tuple[str, ...]:
    if info.kind in PLAIN_TYPES:
        return (PLAIN,)
    return (SHORT, PLAIN) if info.kind in OLD_TYPES else (FULL, SHORT, PLAIN)


def _inventory(wanted: Wanted | None) -> Inventory:
    values = {} if wanted is None else wanted.values
    session = values.get("session", "0")
    return Inventory(
        q=cast(int, values.get("q", MANY)),
        session=SMART_SESSION if session == "auto" else int(cast(str, session)),
        target=int(values.get("target") == "B"),
    )


def _ports(info: Info | None, wanted: Wanted | None) -> tuple[int, ...]:
    """The profile's, or else those that the reader is set to."""
    ports = None if wanted is None else cast(tuple[int, ...] | None, wanted.values.get("antennas"))
    return tuple(ports or (info.ports if info else None) or (1,))
