"""What one whole line of a Trident TimeMachine says; its layout stands in :mod:`.ipico`.

Nothing protects these lines but their form: they are believed only where a whole line is one, with all its fields in
bounds, never out of the middle of one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from reader.line.protocols.ipico.frame import BYTE, NS_PER_HUNDREDTH, chip_from_hex, ns_from_date, pattern
from reader.model import NS_PER_S, ChipRead, Reason, Reply

# Groups: reader, receiver, chip, counter, date, hundredths, kind of record, signal.
_READ = pattern(rb"aa([A-Za-z])([0-9])(H{12})(H{4})([0-9]{12})(H{2})00(FS|LS|BS|RR)(H{2})")
_DATE = re.compile(rb"DATE: ?([A-Z][a-z]{2} [A-Z][a-z]{2} +[0-9]{1,2} [0-9]{4} [0-9:]{8})(?:[.:]([0-9]{1,3}))?")
_UNHANDLED = b"CMD UNHANDLED"


def trident_from_line(body: bytes, size: int) -> ChipRead | Reply | Reason | None:
    """What one whole line, without its end, says; a reason if a field is out of bounds; None if it is no Trident's."""
    if match := _READ.fullmatch(body):
        return _read_from_match(match, size)
    if body == _UNHANDLED:
        return Reply("unhandled", {"says": "unknown command"}, size)
    if match := _DATE.fullmatch(body):
        return Reply("date", {"text": match[0].decode(), "reader_ns": _ns_from_words(match[1], match[2])}, size)
    return None


def fields_from_trident(body: bytes) -> dict[str, object] | None:
    """All that a whole line with a good read says; None if it is none."""
    match = _READ.fullmatch(body)
    if match is None or isinstance(read := _read_from_match(match, len(body)), Reason):
        return None
    reader, receiver, chip, counter, _, hundredths, kind, signal = match.groups()
    return {
        "type": "read",
        "form": "trident",
        "reader": reader.decode(),
        "receiver": int(receiver),
        "tag": chip.decode().lower(),
        "count": int(counter, 16),
        "reader_ns": read.reader_ns,
        "hundredths": BYTE[hundredths],
        "suffix": kind.decode(),
        "signal": BYTE[signal],
    }


def _read_from_match(match: re.Match[bytes], size: int) -> ChipRead | Reason:
    _, receiver, chip, _, date, hundredths, _, _ = match.groups()
    try:
        second_ns = ns_from_date(date)
    except ValueError:
        return Reason.SANITY
    if second_ns is None or BYTE[hundredths] > 99:
        return Reason.SANITY
    reader_ns = second_ns + BYTE[hundredths] * NS_PER_HUNDREDTH
    return ChipRead(chip_from_hex(chip), int(receiver) or None, None, reader_ns, None, size)


def _ns_from_words(words: bytes, fraction: bytes | None) -> int | None:
    """``Mon Aug 31 2015 13:17:00`` as ns since 1970 had its zone been UTC; None if there is no such moment."""
    try:
        moment = datetime.strptime(words.decode(), "%a %b %d %Y %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    second_ns = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * NS_PER_S
    return second_ns + (int(fraction.ljust(9, b"0")) if fraction else 0)
