"""How the parts of the box stand, each in a word and a sentence, from what they say of themselves: pure."""

from __future__ import annotations

from reader.box.status import ReaderFacts
from reader.clock import Clock, utc_ns_from_rfc3339
from reader.line.state import LinkState
from reader.messages import Antenna, Part
from reader.model import NS_PER_S, ClockSource
from reader.report import Report
from reader.uplink.state import UplinkState
from reader.uplink.wire import Expect
from reader.wording import counted

EXPECTED_FOR_H = 12  # what was expected longer ago was another race


def reader_from_link(state: LinkState, line_use_pct: float | None) -> ReaderFacts:
    """One reader."""
    return ReaderFacts(
        name=state.name,
        part=Part(state.word, state.says),
        hears=state.hears,
        rejected=state.rejected,
        antennas=_antennas_of(state),
        line_use_pct=line_use_pct,
    )


def _antennas_of(state: LinkState) -> list[Antenna]:
    """Those that the reader listens on, and those that were heard.

    ``state``: as the reader says; "up" where it says nothing, "deaf" where what it hears says otherwise, "down" while
    the reader as a whole does not hear.
    """
    heard = {one.antenna: one for one in state.antennas}
    stand = {one.antenna: one for one in state.standings}
    antennas = []
    for number in sorted({*heard, *stand}, key=lambda antenna: antenna or 0):
        standing = stand.get(number)
        word: str = standing.state if standing is not None else "up"
        if number in state.deaf and word not in ("missing", "bad"):
            word = "deaf"
        counted = heard.get(number)
        antennas.append(
            Antenna(
                reader=state.name,
                antenna=number,
                state=word if state.hears else "down",
                reads_60s=counted.reads if counted else 0,
                chips_60s=counted.chips if counted else 0,
                best_dbm=counted.best_dbm if counted else None,
                revisit_ms=standing.revisit_ms if standing else None,
            )
        )
    return antennas


SOURCES: dict[ClockSource, str] = {
    "ntp": "by the network (NTP)",
    "gps": "by GPS",
    "ptp": "by PTP",
    "rtc": "only set by the box's battery clock",
    "unset": "not set since the box started",
    "unknown": "of unknown origin",
}


def part_of_clock(clock: Clock) -> Part:
    """The host's clock."""
    quality = clock.quality()
    off = "" if quality.error_ms is None else f", off by about {quality.error_ms:.3g} ms"
    if quality.synced:
        return Part("ok", f"UTC is synchronised {SOURCES[quality.source]}{off}")
    says = f"UTC is not synchronised ({SOURCES[quality.source]}{off}): splits say so, and are told again when it is"
    return Part("warn", f"{says}; connect the box to a network, a GPS receiver or set its clock")


def part_of_daemon(trouble: str, *, is_stuck: bool) -> Part:
    """The program itself; ``trouble``: what of it works badly, or ""."""
    if is_stuck:
        return Part("fail", "a part of the daemon makes no progress; it will be started anew")
    return Part("warn", trouble) if trouble else Part("ok", "all parts make progress")


def part_of_journal(says: list[str], report: Report) -> Part:
    """The log; ``says``: what had to be said of journals set aside for it."""
    if report.trouble:
        where = "the log goes on in memory" if report.keeps else "nothing takes the log"
        return Part("fail", f"{where}: {report.trouble}")
    if says:
        return Part("warn", "; ".join(says))
    return Part("ok", f"{counted(report.last_seq, 'entry')} in epoch {report.epoch}")


def part_of_broker(uplink: UplinkState) -> Part:
    """The way to race control."""
    foreign = sum(uplink.foreign.values())
    if foreign:
        return Part(
            "warn", f"{uplink.says}; {counted(foreign, 'entry')} of another box in a journal set aside: not sent"
        )
    return Part(uplink.word, uplink.says)


def hours_until_last_runner(expect: Expect | None, utc_ns: int) -> float | None:
    """By race control's word; 0 if that moment has passed, None if it has said nothing, or nothing of this race.

    It is not earlier now than when race control said so, whatever this box's clock says.
    """
    if expect is None or expect.last_runner_at is None:
        return None
    try:
        at_ns, said_ns = utc_ns_from_rfc3339(expect.last_runner_at), utc_ns_from_rfc3339(expect.as_of)
    except ValueError:
        return None
    hours = (at_ns - max(utc_ns, said_ns)) / (3600 * NS_PER_S)
    return max(0.0, hours) if hours > -EXPECTED_FOR_H else None
