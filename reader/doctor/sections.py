"""The sections, in the order in which a helper reads: how it is, what is set, what runs, what it runs on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec

from reader.box.commands import RunSelfTest
from reader.box.control import ask, ask_for_pages
from reader.clock import rfc3339_from_utc_ns
from reader.config import BoxSettings
from reader.config.files import read_text
from reader.doctor import machine, written
from reader.doctor.letter import Section
from reader.doctor.programs import output_of, outputs_of
from reader.doctor.written import Written
from reader.errors import NoDaemon, TimingMatError
from reader.journal import JournalView
from reader.line.profile import find, of_reader
from reader.messages import SelfTest
from reader.selftest.alone import run_alone

UNITS = "timing-mat*"
JOURNAL_LINES = 300
NOTICES = 30
SELFTEST_LIMIT_S = 180.0
PROGRESS_LIMIT_S = 30.0  # a self-test in the daemon tells every second how far it has come


def sections(found: Written, socket: Path | None) -> list[Section]:
    """All of them. ``socket``: the control socket, instead of that of the configuration."""
    config = found.config
    place = socket or (BoxSettings() if config is None else config.box).control
    journal = None if config is None else config.journal.path
    return [
        Section("The machine", lambda: machine.describe(journal)),
        Section("The daemon's status", lambda: _status(place)),
        Section("The self-test, only looking", lambda: _selftest(found, place), SELFTEST_LIMIT_S),
        Section("The configuration", lambda: written.shown(found)),
        Section("The readers' profiles", lambda: _profiles(found)),
        Section("The last notices of the log", lambda: _notices(journal)),
        Section("The units", _units),
        Section("The system's log of the units", _log),
        Section("The serial lines", machine.serial_lines),
        Section("The clock", machine.clock),
        Section("The packages", machine.packages),
    ]


def _selftest(found: Written, place: Path) -> str:
    try:
        replies = ask_for_pages(place, {"do": "selftest", "live": True, "by": "doctor"}, PROGRESS_LIMIT_S)
        *_, reply = replies
    except NoDaemon:
        if found.config is None:
            return f"(no daemon answers at {place}, and without a configuration none is made)"
        *_, report = run_alone(found.config, RunSelfTest(), lambda: False)
        return f"No daemon answers at {place}: made by itself.\n\n{_report(msgspec.convert(report, SelfTest))}"
    if not reply.get("ok"):
        return f"(the daemon says: {reply.get('error')})"
    return _report(msgspec.convert(reply, SelfTest))


def _report(report: SelfTest) -> str:
    lines = [f"{report.verdict.upper()}: {report.says}", ""]
    for check in report.checks:
        measured = " ".join(text for text in (check.value, f"(limit {check.limit})" if check.limit else "") if text)
        lines.append(f"{check.result:5} {check.name}: {measured}{'; ' if measured else ''}{check.says}")
        lines += [f"      {check.do}"] if check.do else []
    return "\n".join(lines)


def _status(place: Path) -> str:
    reply = ask(place, {"do": "status", "by": "doctor"})
    status = reply.get("status")
    if not isinstance(status, dict):
        return f"(the daemon says: {reply.get('error')})"
    if isinstance(on_mat := status.get("on_mat"), dict):
        on_mat["longest"] = f"{len(on_mat.get('longest', ()))} chips, not shown"
    return json.dumps(status, indent=1, ensure_ascii=False)


def _profiles(found: Written) -> str:
    if found.config is None:
        return "(the configuration names none)"
    return "\n\n".join(_profile_of(found, number) for number in range(len(found.config.readers)))


def _profile_of(found: Written, number: int) -> str:
    assert found.config is not None  # noqa: S101 - the caller has looked
    reader = found.config.readers[number]
    if reader.profile is None:
        return f"reader {reader.name}: none, it is taken as it is"
    beside = Path(found.config.source).absolute().parent
    try:
        loaded = of_reader(reader, found.config.source)
        says = "good" if loaded is not None else ""
    except TimingMatError as error:
        says = str(error)
    try:
        place = find(reader.profile, beside)
        text = "\n".join(_without_comments(read_text(place.path).splitlines()))
    except TimingMatError as error:
        return f"reader {reader.name}, profile {reader.profile}: {error}"
    return f"reader {reader.name}, profile {reader.profile}, {place.path}: {says}\n{text}"


def _without_comments(lines: Iterable[str]) -> Iterable[str]:
    return (line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _notices(journal: Path | None) -> str:
    if journal is None:
        return "(the configuration names no journal)"
    view = JournalView(journal)
    try:
        lines = []
        for row in view.epochs():
            mat = f"{row.identity.event}/{row.identity.point}/{row.identity.mat} of box {row.identity.box}"
            lines.append(f"epoch {row.epoch}, {mat}: {row.last_seq} entries, delivered through {row.delivered_seq}")
            for told in reversed(view.last_told(row.epoch, "notice", NOTICES)):
                notice = msgspec.json.decode(told.body)
                by = f" (by {notice['by']})" if "by" in notice else ""
                lines.append(f"  {told.seq} {rfc3339_from_utc_ns(told.utc_ns)} {notice['kind']}: {notice['says']}{by}")
        return "\n".join(lines)
    finally:
        view.close()


def _units() -> str:
    return outputs_of(
        f"systemctl list-unit-files --no-legend --no-pager {UNITS}",
        f"systemctl status --no-pager --full --lines=0 {UNITS}",
        f"systemctl cat --no-pager {UNITS}",
        "systemctl list-units --failed --no-legend --no-pager",
    )


def _log() -> str:
    return output_of(
        *("journalctl", "--quiet", "--no-pager", "--output=short-iso", f"--lines={JOURNAL_LINES}", f"--unit={UNITS}"),
        limit_s=30.0,
    )
