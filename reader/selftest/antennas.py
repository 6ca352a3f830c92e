"""Checks of the antennas: connected, well matched, in quiet surroundings, soon at their turn; and one with a chip.

Return loss is how far what comes back from an antenna lies below what was sent. At 10 dB a tenth of the power comes
back, at 6 dB a quarter, at 3 dB half: an open end behind a cable that itself loses 1.5 dB. What comes back also drowns
the chips: makers of reader chips reckon with an antenna of 15 dB (Impinj Indy R1000, 5.4), and say that the reader
hears less the less it is (Indy RS500); JADAK's M6e guide shows 30 dB for a good antenna and 4 dB for a bad one.

Noise: the Nano design guide ("RF Characteristics") gives -57 to -60 dBm as the weakest chip that is read well with M8.
Noise of that strength leaves nothing of it.

A runner is over a mat for half a second, and should be listened for at least five times in it: hence the revisit time.
"""

from __future__ import annotations

from collections.abc import Iterator

from reader.config import ReaderSettings
from reader.errors import ReaderError
from reader.line.protocols import Examined
from reader.line.state import LinkState
from reader.messages import Check, Result
from reader.model import NS_PER_S
from reader.selftest.bench import Bench
from reader.selftest.readers import profile_of
from reader.selftest.standing import (
    TRANSMITS,
    examined,
    pause,
    plan_of_readers,
    settled,
    skipped,
    why_not_told,
)

GOOD_RETURN_LOSS_DB = 10
LEAST_RETURN_LOSS_DB = 3
WARN_NOISE_DBM = -60
WARN_REVISIT_MS = 100
FAIL_REVISIT_MS = 300
HEARS_NS = 5 * NS_PER_S  # one that has heard a chip so lately is there, whatever the reader says
TURNS_BY_ITSELF = ("thingmagic",)  # whose turn it is, is seen by the reads alone: of few, some turns are not seen
ENOUGH_READS = 100  # in the last minute
REVISIT_WAIT_NS = 3 * NS_PER_S  # some turns of sixteen antennas

NOT_EXPECTED = "is not connected, and nobody said that it should be"
LOOK_AT = "look at the antenna's plug, its cable and itself"


# ---- connected -------------------------------------------------------------------------------------------


def _look_at_antennas(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    told = examined(bench, reader)
    state = settled(bench, reader)  # it may have begun anew, and knows its antennas once it hears
    found = list(antenna_findings(name, reader.name, state, told, expected_of(bench, reader, state)))
    yield from found or [skipped(name, why_not_told(reader, "its antennas apart", "antenna", told))]


def expected_of(bench: Bench, reader: ReaderSettings, state: LinkState) -> frozenset[int]:
    """The antennas that should be there: by its profile, by the reader's own word, or because they have heard chips."""
    try:
        loaded = profile_of(bench, reader)
    except ReaderError:
        loaded = None  # what is wrong with it says the check of the reader's identity
    by_profile = [] if loaded is None else [antenna.port for antenna in loaded.profile.antennas]
    by_reader = [one.antenna for one in state.standings if one.is_expected]
    return frozenset(
        number for number in (*by_profile, *by_reader, *(one.antenna for one in state.antennas)) if number is not None
    )


def antenna_findings(
    name: str, reader: str, state: LinkState, told: Examined, expected: frozenset[int]
) -> Iterator[Check]:
    """Of each antenna that the reader listens on or detects, or that should be there."""
    standings = {one.antenna: one for one in state.standings}
    hearing = {one.antenna for one in state.antennas if state.progress_ns - one.last_ns <= HEARS_NS}
    numbers = sorted({number for number in (*standings, *told.connected, *expected) if number is not None})
    # One that has no number is the only one, whatever a profile calls it.
    for number in [None] if None in standings else numbers:
        standing, is_detected = standings.get(number), told.connected.get(number or 0)
        word = "" if standing is None else standing.state
        is_missing = is_detected is False or (word == "missing" and is_detected is None)
        result: Result = "pass"
        says, do = "is connected", ""
        if is_missing and number in hearing:
            result, says, do = "warn", "hears chips, though the reader does not detect it", LOOK_AT
        elif is_missing and number in expected:
            result, says, do = "fail", "is not connected, says the reader", LOOK_AT
        elif is_missing:
            result, says = "skip", NOT_EXPECTED
        elif word == "bad":
            result, says, do = "fail", "is bad, or its cable is, says the reader", LOOK_AT
        elif number in state.deaf:
            result, says, do = "warn", "hears far less than the others", LOOK_AT
        elif is_detected and standing is None:
            result, says = "warn", "is connected, but the reader does not listen on it"
            do = "name it in the reader's profile"
        elif not is_detected and word != "up":
            result, says = "skip", "may be connected or not: the reader can't tell"
        yield Check(
            name=of_antenna(name, number),
            result=result,
            value="" if is_detected is None else "connected" if is_detected else "not connected",
            says=f"{place_of(reader, number)} {says}",
            do=do,
        )


# ---- matched, and in quiet surroundings ------------------------------------------------------------------------


def _look_at_return_loss(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    told = examined(bench, reader)
    if not told.return_loss_db:
        yield skipped(name, why_not_told(reader, "the return loss of its antennas", "return loss|antenna", told))
        return
    expected = expected_of(bench, reader, settled(bench, reader))
    for antenna, loss_db in sorted(told.return_loss_db.items()):
        full_name, place = of_antenna(name, antenna), place_of(reader.name, antenna)
        if loss_db < LEAST_RETURN_LOSS_DB and antenna not in expected and not told.connected.get(antenna):
            yield skipped(full_name, f"{place} {NOT_EXPECTED}")
        else:
            yield return_loss_finding(full_name, place, loss_db)


def return_loss_finding(name: str, place: str, loss_db: float) -> Check:
    """Of one antenna; 0 where it could not be measured for all that came back."""
    result: Result = "pass"
    says, do = f"{place} takes what is sent", ""
    if loss_db < LEAST_RETURN_LOSS_DB:
        result, says, do = (
            "fail",
            f"{place} sends back more than half of the power: its cable is open or broken",
            LOOK_AT,
        )
    elif loss_db < GOOD_RETURN_LOSS_DB:
        share_pct = round(100 * 10 ** (-loss_db / 10))
        result, says, do = "warn", f"{place} sends back {share_pct} % of the power", LOOK_AT
    return Check(name=name, result=result, value=f"{loss_db:g} dB", limit=f"{GOOD_RETURN_LOSS_DB} dB", says=says, do=do)


def _look_at_noise(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    told = examined(bench, reader)
    if not told.noise_dbm:
        yield skipped(name, why_not_told(reader, "its noise", "noise", told))
    for antenna, noise_dbm in sorted(told.noise_dbm.items()):
        yield noise_finding(of_antenna(name, antenna), place_of(reader.name, antenna), noise_dbm)


def noise_finding(name: str, place: str, noise_dbm: int) -> Check:
    """What an antenna hears when no chip answers."""
    is_loud = noise_dbm > WARN_NOISE_DBM
    return Check(
        name=name,
        result="warn" if is_loud else "pass",
        value=f"{noise_dbm} dBm",
        limit=f"{WARN_NOISE_DBM} dBm",
        says=f"{place} hears {noise_dbm} dBm of noise" + (": it drowns the weak chips" if is_loud else ""),
        do="move other readers and transmitters away, or set them to other channels" if is_loud else "",
    )


# ---- soon at their turn ------------------------------------------------------------------------------------------


def _look_at_revisits(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    until_ns = bench.clock.mono_ns() + REVISIT_WAIT_NS
    while True:
        state = bench.links.state(reader.name)
        standings = [one for one in state.standings if one.state != "missing"]
        is_known = all(one.revisit_ms is not None for one in standings)
        if is_known or bench.clock.mono_ns() >= until_ns:
            break
        pause(bench)
    if not state.hears:
        yield skipped(name, f"reader {reader.name} does not hear: {state.says}")
        return
    if not standings:
        yield skipped(name, f"reader {reader.name} does not say how often its antennas are at their turn")
    reads = {one.antenna: one.reads for one in state.antennas}
    for one in standings:
        full_name, place = of_antenna(name, one.antenna), place_of(reader.name, one.antenna)
        is_sure = state.family not in TURNS_BY_ITSELF or reads.get(one.antenna, 0) >= ENOUGH_READS
        yield revisit_finding(full_name, place, one.revisit_ms, is_sure=is_sure)


def revisit_finding(name: str, place: str, revisit_ms: float | None, *, is_sure: bool = True) -> Check:
    """How long an antenna waits for its next turn; at most so long, where it is not sure."""
    if revisit_ms is None:
        return skipped(name, f"{place} was not at its turn, or it is not told when")
    is_late = revisit_ms > WARN_REVISIT_MS
    if is_late and not is_sure:
        return skipped(name, f"{place} has had too few reads to show how soon it is at its turn, which they alone tell")
    result: Result = "fail" if revisit_ms > FAIL_REVISIT_MS else "warn" if is_late else "pass"
    return Check(
        name=name,
        result=result,
        value=f"{revisit_ms:.3g} ms",
        limit=f"{WARN_REVISIT_MS} ms",
        says=f"{place} is at its turn every {revisit_ms:.3g} ms"
        + (": a runner may be heard but once or twice" if is_late else ""),
        do="use fewer antennas on one reader, or a faster line" if is_late else "",
    )


def of_antenna(name: str, antenna: int | None) -> str:
    """What the finding of one antenna is called."""
    return name if antenna is None else f"{name}:{antenna}"


def place_of(reader: str, antenna: int | None) -> str:
    """An antenna in words."""
    return f"the antenna of reader {reader}" if antenna is None else f"antenna {antenna} of reader {reader}"


REVISIT_PLAN = plan_of_readers("revisit", "how soon the antennas are at their turn again", _look_at_revisits)
ANTENNA_PLANS = (
    plan_of_readers("antenna", "whether the antennas are connected", _look_at_antennas, thoroughly=TRANSMITS),
    plan_of_readers(
        "return-loss", "whether they take what is sent", _look_at_return_loss, touches=TRANSMITS, interrupts=True
    ),
    plan_of_readers("noise", "what they hear when no chip answers", _look_at_noise, touches=TRANSMITS, interrupts=True),
)
