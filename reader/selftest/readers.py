"""Checks of the readers behind the lines: do they hear, who are they, are they set as their profiles want them.

Their own temperature: the makers of UHF modules let them run up to some 60 °C of the air around them, and protect them
by transmitting less, or not at all, when they are hotter inside (ThingMagic Micro guide, "Thermal Considerations").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reader.config import ReaderSettings
from reader.errors import ConfigError, ReaderError
from reader.line.profile import Loaded, Profile, of_reader
from reader.line.protocols import Known, load
from reader.line.protocols.asking import Script, alone
from reader.line.protocols.settings import Difference, Setting, Wanted, differences
from reader.line.state import LinkState
from reader.messages import Check, Result
from reader.selftest.bench import Bench
from reader.selftest.standing import (
    LOOK_AT_READER,
    SETTLE_S,
    TRANSMITS,
    answer_of,
    examined,
    plan_of_readers,
    settled,
    skipped,
    why_not_told,
)

WARN_TEMPERATURE_C = 70
FAIL_TEMPERATURE_C = 85  # what most of their parts are made for

# A wrong one of these is against the law, or makes the mat deaf; any other costs some reads.
NEEDED = frozenset({"region", "band", "power_dbm"})
UNLIMITED = ("open", "universal", "user", "number")  # regions that are no country's

_NUMBER = re.compile(r"\bv?([0-9a-f]+)\b", re.IGNORECASE)


# ---- does it hear ----------------------------------------------------------------------------------------


def _look_at_hearing(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    yield hearing_finding(name, reader.name, settled(bench, reader))


def hearing_finding(name: str, reader: str, state: LinkState) -> Check:
    """The word and the sentence that stand in the status."""
    says = f"reader {reader}: {state.says}"
    value = state.family or ""
    if state.hears and state.word == "ok":
        return Check(name=name, result="pass", value=value, says=says)
    if state.hears:
        return Check(name=name, result="warn", value=value, says=says, do="see whether timing-mat status still says so")
    if state.family is None and state.word != "fail":
        says = f"no reader has been found for {reader} within {SETTLE_S:g} s: {state.says}"
        return Check(name=name, result="fail", says=says, do=f"{LOOK_AT_READER}; timing-mat probe says what it tried")
    return Check(name=name, result="fail", value=value, says=says, do=LOOK_AT_READER)


# ---- who it is ---------------------------------------------------------------------------------------------


def _look_at_identity(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    family = bench.links.state(reader.name).family or ""
    known = answer_of(bench, reader, alone(load(family).identify()))
    yield identity_finding(name, reader.name, family, known, profile_of(bench, reader))


def profile_of(bench: Bench, reader: ReaderSettings) -> Loaded | None:
    """The reader's; None where mat.toml names none. ReaderError where it can't be used."""
    try:
        return of_reader(reader, bench.config.source)
    except ConfigError as error:
        raise ReaderError(f"its profile can't be used: {'; '.join(error.problems)}") from error


def identity_finding(name: str, reader: str, family: str, known: Known, loaded: Loaded | None) -> Check:
    """Who it says it is, against what its profile was made for."""
    value = " ".join(filter(None, (known.model or family, known.firmware)))
    says = "; ".join((f"reader {reader} is {value}", *known.says))
    if loaded is None:
        return Check(name=name, result="pass", value=value, says=says)
    profile = loaded.profile
    wanted = [profile.family, profile.model or "", f"firmware {profile.firmware}" if profile.firmware else ""]
    wrong = _wrong(family, known, profile)
    result: Result = "pass"
    do = ""
    if wrong:
        result = "warn" if wrong == "firmware" else "fail"
        says = f"reader {reader} is {value}, and its profile {loaded.name} is for another {wrong}"
        do = "have the reader's firmware brought up to date" if wrong == "firmware" else "name its profile in mat.toml"
    return Check(name=name, result=result, value=value, limit=" ".join(filter(None, wanted)), says=says, do=do)


def _wrong(family: str, known: Known, profile: Profile) -> str:
    """What of it is not as the profile wants it, the worst; "" if nothing is, or it does not tell."""
    if family != profile.family:
        return "family"
    if profile.model and known.model and profile.model.casefold() not in known.model.casefold():
        return "model"
    if profile.firmware and known.firmware and _numbers(known.firmware) < _numbers(profile.firmware):
        return "firmware"
    return ""


def _numbers(version: str) -> list[int]:
    """To compare versions: ``1.B.2`` is hexadecimal, and decimal numbers keep their order when they are read so."""
    return [int(number, 16) for number in _NUMBER.findall(version)]


# ---- how it is set -------------------------------------------------------------------------------------------


def _look_at_settings(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    loaded = profile_of(bench, reader)
    state = bench.links.state(reader.name)
    family = state.family or ""
    if loaded is None:
        yield skipped(name, f"reader {reader.name} has no profile in mat.toml: it is taken as it is")
    elif family != loaded.profile.family:
        yield skipped(name, f"reader {reader.name} is a {family}, and its profile {loaded.name} is for another family")
    else:
        module = load(family)
        values = dict(loaded.wanted().values)
        # Its speed can't be asked for without changing that of the line: it is the one at which it answers.
        baud = values.pop("baud", None)
        wanted = Wanted(loaded.name, values)
        found = answer_of(bench, reader, alone(_compared(module.identify(), module.SETTINGS, wanted)))
        is_at_speed = baud in (None, state.baud) or "://" in reader.port
        speed = "" if is_at_speed else f"speed of the line: {state.baud} baud, wanted {baud} baud"
        yield settings_finding(name, reader.name, loaded.name, found, speed)


def _compared(stopping: Script[Known], settings: Sequence[Setting], wanted: Wanted) -> Script[list[Difference]]:
    """A stream answers no questions: to ask who is there ends it."""
    yield from stopping
    return (yield from differences(settings, wanted))


def settings_finding(name: str, reader: str, profile: str, found: list[Difference], speed: str) -> Check:
    """What differs from the profile; ``speed``: the same of the line's, or ""."""
    wrong = [one for one in found if one.found is not None]
    untold = ", ".join(one.setting.name for one in found if one.found is None)
    said = "; ".join([*(one.says for one in wrong), *([speed] if speed else [])])
    count = len(wrong) + bool(speed)
    if count:
        return Check(
            name=name,
            result="fail" if any(one.setting.key in NEEDED for one in wrong) else "warn",
            value=f"{count} differ",
            limit=f"profile {profile}",
            says=f"reader {reader} is not as its profile {profile} wants it: {said}",
            do=f"stop the daemon and run: timing-mat profile apply {profile}",
        )
    says = f"reader {reader} is as its profile {profile} wants it" + (
        f"; it does not tell its {untold}" if untold else ""
    )
    return Check(name=name, result="pass", value="0 differ", limit=f"profile {profile}", says=says)


# ---- where it may transmit, and how warm it is ---------------------------------------------------------------


def _look_at_region(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    state = bench.links.state(reader.name)
    do = "give it a `profile` with this country's region in mat.toml"
    if "not transmitting" in state.says:
        yield Check(name=name, result="fail", says=f"reader {reader.name}: {state.says}", do=do)
    elif not {"region", "band"} & {setting.key for setting in load(state.family or "").SETTINGS}:
        yield skipped(name, f"reader {reader.name} has no region: no {state.family} has")
    else:
        told = examined(bench, reader)
        if told.region is not None:
            yield region_finding(name, reader.name, told.region)
        elif none := [one for one in told.says if "no region" in one]:
            yield Check(name=name, result="fail", says=f"reader {reader.name}: {none[0]}", do=do)
        else:
            yield skipped(name, why_not_told(reader, "its region", "region", told))


def region_finding(name: str, reader: str, region: str) -> Check:
    """The one that is set in it."""
    if region.startswith(UNLIMITED):
        says = f"in reader {reader} the region {region} is set, which is no country's"
        return Check(
            name=name, result="warn", value=region, says=says, do="name this country's in the reader's profile"
        )
    return Check(name=name, result="pass", value=region, says=f"reader {reader} transmits as in {region}")


def _look_at_temperature(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    told = examined(bench, reader)
    if told.temperature_c is None:
        yield skipped(name, why_not_told(reader, "its temperature", "temperature|thermometer", told))
    else:
        yield temperature_finding(name, reader.name, told.temperature_c)


def temperature_finding(name: str, reader: str, temperature_c: int) -> Check:
    """Inside the reader."""
    is_hot = temperature_c > WARN_TEMPERATURE_C
    result: Result = "fail" if temperature_c > FAIL_TEMPERATURE_C else "warn" if is_hot else "pass"
    return Check(
        name=name,
        result=result,
        value=f"{temperature_c} °C",
        limit=f"{WARN_TEMPERATURE_C} °C",
        says=f"reader {reader} is {temperature_c} °C warm inside" + (": it will transmit less" if is_hot else ""),
        do="give it shade and air" if is_hot else "",
    )


HEARING_PLAN = plan_of_readers("reader-hears", "whether the readers hear", _look_at_hearing, must_be_found=False)
READER_PLANS = (
    plan_of_readers("reader-identity", "which readers they are", _look_at_identity, interrupts=True),
    plan_of_readers(
        "reader-settings", "whether they are set as their profiles say", _look_at_settings, interrupts=True
    ),
    plan_of_readers("region", "where they may transmit", _look_at_region, thoroughly=TRANSMITS),
    plan_of_readers("reader-temperature", "how warm they are", _look_at_temperature, thoroughly=TRANSMITS),
)
