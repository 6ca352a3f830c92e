"""The checks of the clocks: the box's own, the one that its battery keeps running, and the readers'."""

from __future__ import annotations

from collections.abc import Iterator

from reader.box.hardware import hardware
from reader.clock import rfc3339_from_utc_ns
from reader.clocks import ReaderClockLook
from reader.health import SOURCES
from reader.messages import Check, Result
from reader.model import NS_PER_S
from reader.selftest.bench import Bench
from reader.selftest.plan import Plan

OFFSET_WARN_MS = 20.0  # less than the moment of a crossing itself is known to
OFFSET_FAIL_MS = 100.0  # from here on it does not count as synchronised
RTC = "sys/class/rtc/rtc0"
RTC_WARN_S = 2  # it tells whole seconds
RTC_FAIL_S = 3600
READER_WARN_MS = 100.0
READER_FAIL_MS = 500.0
GIVE_SOURCE = "connect the box to a network or a GPS receiver, or set its clock"


def _clock_source(bench: Bench) -> Iterator[Check]:
    quality = bench.clock.quality()
    if quality.synced:
        says = f"the clock is synchronised {SOURCES[quality.source]}"
        yield Check(name="clock-source", result="pass", value=quality.source, says=says)
    else:
        says = f"the clock is not synchronised ({SOURCES[quality.source]}): splits say so until it is"
        yield Check(name="clock-source", result="warn", value=quality.source, says=says, do=GIVE_SOURCE)


def _clock_offset(bench: Bench) -> Iterator[Check]:
    error_ms = bench.clock.quality().error_ms
    if error_ms is None:
        yield Check(name="clock-offset", result="skip", says="how far the clock is off is not known without a source")
        return
    result = _judged(error_ms, OFFSET_WARN_MS, OFFSET_FAIL_MS)
    yield Check(
        name="clock-offset",
        result=result,
        value=f"{error_ms:.3g} ms",
        limit=f"{OFFSET_WARN_MS:g} ms",
        says="the clock is right" if result == "pass" else "the clock may be off by more than a crossing's own time",
        do="" if result == "pass" else "wait some minutes, then look at its source: timing-mat clock",
    )


def _rtc(bench: Bench) -> Iterator[Check]:
    """In seconds, for it tells no more; which of the two is right only a source can say."""
    place = hardware(RTC)
    if not place.exists():
        says = "there is no battery clock: after a power cut without a network the box does not know the time"
        yield Check(name="rtc", result="warn", says=says, do="fit one, or a battery to the one that a Pi 5 has")
        return
    try:
        rtc_s = int((place / "since_epoch").read_text())
    except (OSError, ValueError):
        says = "the battery clock is there and does not tell the time: its battery is empty"
        yield Check(name="rtc", result="fail", says=says, do="put another battery in, then set it: sudo hwclock -w")
        return
    ahead_s = rtc_s - bench.clock.now().utc_ns // NS_PER_S
    is_good = bench.clock.quality().synced
    result = _judged(abs(ahead_s), RTC_WARN_S, RTC_FAIL_S if is_good else float("inf"))
    which = "" if is_good else ", and which of them is right is not known"
    yield Check(
        name="rtc",
        result=result,
        value=f"{ahead_s:+d} s ({rfc3339_from_utc_ns(rtc_s * NS_PER_S)[:19]}Z)",
        limit=f"{RTC_WARN_S} s",
        says="the battery clock agrees with the box's"
        if result == "pass"
        else f"the battery clock and the box's are {abs(ahead_s)} s apart{which}",
        do="" if result == "pass" else ("set it: sudo hwclock -w" if is_good else GIVE_SOURCE),
    )


def _reader_clock(bench: Bench) -> Iterator[Check]:
    configured = {reader.name: reader.time_from for reader in bench.config.readers}
    for look in bench.links.clocks().readers:
        yield judge_reader(look, configured[look.reader])


def judge_reader(look: ReaderClockLook, time_from: str) -> Check:
    """One reader's clock: it has to be right where splits bear its time as it is, and even where they don't."""
    name = f"reader-clock:{look.reader}"
    if time_from != "reader":
        return Check(name=name, result="pass" if look.is_used else "skip", says=f"{look.reader}: {look.says}")
    if look.ahead_ms is None:
        says = f"{look.reader}: it has not told its time yet, and splits bear it as it is"
        return Check(name=name, result="warn", says=says, do="pass a chip over the mat, then look again")
    result = _judged(abs(look.ahead_ms), READER_WARN_MS, READER_FAIL_MS)
    says = "its clock is right" if result == "pass" else "its clock is off, and splits bear it as it is"
    return Check(
        name=name,
        result=result,
        value=f"{look.ahead_ms:+.0f} ms",
        limit=f"{READER_WARN_MS:g} ms",
        says=f"{look.reader}: {says}",
        do="" if result == "pass" else "set it: timing-mat clock --set",
    )


def _judged(value: float, warn: float, fail: float) -> Result:
    return "fail" if value > fail else "warn" if value > warn else "pass"


CLOCK_PLANS: tuple[Plan, ...] = (
    Plan("clock-source", "where the box's time comes from", _clock_source),
    Plan("clock-offset", "how far the box's clock may be off", _clock_offset),
    Plan("rtc", "whether the box's battery clock is there and right", _rtc),
    Plan("reader-clock", "how the readers' own clocks stand", _reader_clock, needs="lines"),
)
