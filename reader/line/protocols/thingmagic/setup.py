"""How a ThingMagic module is set up and made to stream: one script that reads from top to bottom.

Nothing that writes flash is ever sent, and a region only if the profile names it: a wrong one breaks the law of the
land. What is set here is volatile: Gen2, the connected antennas, every read reported, session S0 and target A (a chip
answers in every round); and what the profile wants instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from reader.line.protocols.asking import Question, Script, Stuck, line_baud, pause
from reader.line.protocols.settings import Applied, Setting, Value, Wanted, apply, differences
from reader.line.protocols.thingmagic.ask import CHECK, PROGRAM, STOP, ask, question, status_of
from reader.line.protocols.thingmagic.frame import (
    BAUDS,
    BOOT,
    SET_CONFIG,
    SET_GEN2,
    SET_PROTOCOL,
    STREAM,
    words_from_status,
)
from reader.line.protocols.thingmagic.settings import (
    BY_KEY,
    DETECT,
    REGION,
    SETTINGS,
    list_antennas,
    region_from_number,
)
from reader.line.protocols.thingmagic.speed import find_speed
from reader.line.protocols.thingmagic.statistics import ANTENNA, CONNECTED, TEMPERATURE
from reader.model import NS_PER_S

BOOT_NS = 2 * NS_PER_S
REGION_AGAIN_NS = 10 * NS_PER_S
STARTED = 1  # the option of STREAM's answer

NO_REGION = (
    "not transmitting: no region is set in the reader; name this country's in the reader's profile, "
    "or set it with the maker's software"
)

GEN2 = question("protocol Gen2", SET_PROTOCOL, bytes.fromhex("0005"))
# What is set where the profile does not say otherwise, by its key.
UNASKED = {
    "every_read": question("reporting every read", SET_CONFIG, bytes.fromhex("010C00")),  # read filter off
    "session": question("session S0", SET_GEN2, bytes.fromhex("050000")),
    "target": question("target A", SET_GEN2, bytes.fromhex("05010100")),
}
# These are not left to :func:`.settings.apply`: the antennas may have to be found first, the speed comes last.
_APART = ("region", "antennas", "baud")


class Found(NamedTuple):
    """What the setting-up has found. ``ports``: searched; ``detected``: those of them with an antenna on them."""

    ports: tuple[int, ...] = ()
    detected: frozenset[int] = frozenset()
    region: str = ""


class Notes:
    """What the script says while it is under way, for the standing; ``heard``: good frames so far, told to it."""

    def __init__(self) -> None:
        self.found = Found()
        self.region: str | None = None  # by the name that a profile has for it
        self.warnings: list[str] = []
        self.trouble = ""
        self.heard = 0


def set_up(wanted: Wanted | None, notes: Notes, pause_ns: int) -> Script[None]:
    """Until it streams; Stuck where it can't be brought to."""
    values: Mapping[str, Value] = {} if wanted is None else wanted.values
    if pause_ns:
        yield from pause(pause_ns)
    yield from _wake(values.get("baud"), notes)
    region = yield from _region(wanted, notes)
    yield from _need(GEN2)
    if wanted is not None:
        yield from _apply([setting for setting in SETTINGS if setting.key not in _APART], wanted, notes)
    yield from _antennas(cast("tuple[int, ...]", values.get("antennas", ())), region, notes)
    for key, asked in UNASKED.items():
        if key not in values:
            yield from _want(asked, notes)
    if wanted is not None:
        if "baud" in values and (yield from line_baud()) != values["baud"]:
            yield from _apply([BY_KEY["baud"]], wanted, notes)
        # Restarted meanwhile, without a word, it might transmit in another region.
        lost = yield from differences([BY_KEY["region"]], wanted)
        if lost and lost[0].found is not None:
            raise Stuck(f"has lost what it was set to ({lost[0].says}); check its power supply")
    yield from _start(values, notes)


def start(statistics: int = 0) -> Question:
    """The start of the stream; ``statistics``: what the module is to report on itself.

    Multi-protocol search, Gen2: all antennas of the list, streaming, many chips (search flags 001B, with statistics
    011B and their mask behind), cycles of 1000 ms, metadata 0016: signal strength, antenna and time, for a line of
    115200 baud carries 311 such reads a second.
    """
    search = bytes.fromhex("2210" + ("011B" if statistics else "001B") + "03E80016")
    search += statistics.to_bytes(2) if statistics else b""
    data = bytes.fromhex("0000012200 0005") + bytes((len(search) - 1,)) + search
    return question("the start", STREAM, data, bears={"option": STARTED})


def _wake(baud: Value | None, notes: Notes) -> Script[None]:
    """It is stopped, and its program runs."""
    if baud is not None:
        # Switched off and on, it is at the first of its speeds again, and after us at the one that is wanted.
        speeds = ((yield from line_baud()), cast(int, baud), *BAUDS)
        if not (yield from find_speed(speeds, lambda: notes.heard)):
            raise Stuck(f"does not answer at any speed: {CHECK}", is_unanswered=True)
    yield STOP
    if not (yield from _is_booting()):
        return
    yield question("boot", BOOT, tries=1, wait_ns=BOOT_NS)
    if (yield from _is_booting()):
        raise Stuck("does not start its program: switch it off and on; if that does not help, load its firmware")


def _is_booting() -> Script[bool]:
    return bool((yield from _need(PROGRAM)).get("is_bootloader"))


def _region(wanted: Wanted | None, notes: Notes) -> Script[str]:
    """Until there is one that may be transmitted in."""
    if wanted is not None and "region" in wanted.values:
        if (yield from _told_region(notes)) is None:
            # It can be told, and does not tell: what it has acknowledged stands.
            yield from BY_KEY["region"].put(wanted.values["region"])
            notes.region = str(wanted.values["region"])
            return f"{notes.region}, as the profile {wanted.profile} has it"
        while (applied := (yield from apply([BY_KEY["region"]], wanted))).wrong:
            notes.trouble = f"not transmitting: {applied.wrong[0]}; put the profile {wanted.profile} right"
            yield from pause(REGION_AGAIN_NS)
        notes.region = str(wanted.values["region"])
        return f"{notes.region}, as the profile {wanted.profile} has it"
    while (number := (yield from _told_region(notes))) == 0:
        notes.trouble = NO_REGION
        yield from pause(REGION_AGAIN_NS)
    # One that has none refuses to start, whether it tells or not.
    notes.region = None if number is None else region_from_number(number)
    return "not told by the reader" if number is None else f"{notes.region}, as set in the reader"


def _told_region(notes: Notes) -> Script[int | None]:
    """The number of the region that is set, 0 for none; None where the module does not know the question."""
    answer = yield REGION
    if answer is not None and not status_of(answer):
        return cast(int, answer.fields.get("region", 0))
    says = "does not tell its region"
    if says not in notes.warnings:
        notes.warnings.append(says)
    return None


def _apply(settings: list[Setting], wanted: Wanted, notes: Notes) -> Script[None]:
    applied: Applied = yield from apply(settings, wanted)
    if applied.wrong and applied.changed:
        # Some bound each other: a link frequency may be possible only once the encoding is another.
        applied = yield from apply(settings, wanted)
    notes.warnings += applied.wrong


def _antennas(ports: tuple[int, ...], region: str, notes: Notes) -> Script[None]:
    """The ports of the profile, or those with an antenna on them, are searched."""
    reply = yield DETECT
    answer = None if reply is None or status_of(reply) else reply.fields.get("ports")
    if reply is not None and status_of(reply):
        notes.warnings.append(f"refused {DETECT.name}: {words_from_status(status_of(reply))}")
    detected = {port for port, is_there in answer.items() if is_there} if isinstance(answer, dict) else set()
    if ports:
        notes.found = Found(ports, frozenset(detected), region)
        for port in ports if detected else ():
            if port not in detected:
                notes.warnings.append(f"antenna {port} is in the profile, but not connected")
    elif detected:
        notes.found = Found(tuple(detected), frozenset(detected), region)
    else:
        notes.found = Found((1,), region=region)
        notes.warnings.append("no antenna detected: using port 1")
    yield from _want(list_antennas("antenna list", notes.found.ports), notes)
    if ports and not (yield from _is_listed(ports)):
        notes.warnings.append(f"antenna list: wanted {ports}, but it searches others")


def _is_listed(ports: tuple[int, ...]) -> Script[bool]:
    setting = BY_KEY["antennas"]
    found = yield from setting.ask()
    return found is None or setting.agrees(ports, found)


def _start(values: Mapping[str, Value], notes: Notes) -> Script[None]:
    reports = TEMPERATURE if values.get("temperature_reports") else 0
    reports |= ANTENNA | CONNECTED if values.get("antenna_reports") else 0
    if reports:
        answer = yield from ask(start(reports))
        if not (status := status_of(answer)):
            return
        notes.warnings.append(f"refused to report on itself: {words_from_status(status)}")
    yield from _need(start())


def _need(asked: Question) -> Script[Mapping[str, object]]:
    """Ask what must not be refused: the fields of the answer."""
    answer = yield from ask(asked)
    if status := status_of(answer):
        raise Stuck(f"refuses {asked.name}: {words_from_status(status)}; switch it off and on")
    return answer.fields


def _want(asked: Question, notes: Notes) -> Script[Mapping[str, object]]:
    """Ask; where it refuses, that is kept for the standing."""
    answer = yield from ask(asked)
    if status := status_of(answer):
        notes.warnings.append(f"refused {asked.name}: {words_from_status(status)}")
        return {}
    return answer.fields
