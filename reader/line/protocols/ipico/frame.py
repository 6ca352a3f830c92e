"""What one whole IPICO frame says; where frames begin and end in the stream is :mod:`.ipico`'s, with the layouts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from reader.model import NS_PER_S, ChipRead, Reason, Reply

BINARY_SIZE = 20
NS_PER_HUNDREDTH = 10_000_000


def pattern(text: bytes) -> re.Pattern[bytes]:
    """A pattern in which ``H`` stands for one hex digit."""
    return re.compile(text.replace(b"H", b"[0-9A-Fa-f]"))


# Groups: what is summed, chip, date, hundredths, sum.
READ = rb"[aA]{2}(H{2}(H{12})H{4}(H{12})(H{2})(?:H{6})?)(H{2})(?:FS|LS)?"
_READ = pattern(READ)
_CONTROL = pattern(rb"([aA][bcBC])(H{2}(H{2})(H{2})((?:H{2})*))(H{2})")
_OTHER = pattern(rb"([aA][deDE])((?:H{2})+)(H{2})")
_HEX_LINE = pattern(rb"[aA][a-eA-E]H*(?:FS|LS)?")

# Two hex digits in either case -> number.
_DIGITS = b"0123456789abcdefABCDEF"
BYTE = {bytes(pair): int(bytes(pair), 16) for pair in ((high, low) for high in _DIGITS for low in _DIGITS)}

SET_CLOCK, CLOCK, MODE, STATISTICS, GUN = 0x01, 0x02, 0x09, 0x0A, 0x2C
CONTROLS = {
    SET_CLOCK: "set_clock",
    CLOCK: "clock",
    0x03: "baud",
    0x06: "rf",
    MODE: "mode",
    STATISTICS: "statistics",
    0x11: "message_format",
    GUN: "gun",
    0x30: "select_pattern",
    0x31: "select_mask",
    0x37: "banner_end",
    0x4B: "log",
    0x4C: "clock_was_set",
}
ERRORS = {
    0xF0: "bad length",
    0xF1: "bad checksum",
    0xF2: "unknown command",
    0xF4: "command not supported",
    0xF5: "sub-command not supported",
}
OTHERS = {b"ad": "page", b"ae": "short_tto"}


def frame_from(body: bytes, size: int) -> ChipRead | Reply | Reason:
    """What ``body`` says if it is one whole frame, without its line's end; else why it is none."""
    if match := _READ.fullmatch(body):
        return read_from_match(match, size)
    if match := _CONTROL.fullmatch(body):
        return _control_from_match(match, size)
    if match := _OTHER.fullmatch(body):
        return _other_from_match(match, size)
    if _HEX_LINE.fullmatch(body):
        return Reason.LENGTH
    return Reason.INTEGRITY if body[:2] in (b"aa", b"AA") else Reason.GARBAGE


def read_from_match(match: re.Match[bytes], size: int) -> ChipRead | Reason:
    """A read out of the groups of ``READ``."""
    summed, chip, date, hundredths, lrc = match.groups()
    if sum(summed) & 0xFF != BYTE[lrc]:
        return Reason.INTEGRITY
    return _read(chip, date, BYTE[hundredths], size)


def read_from_binary(frame: bytes) -> ChipRead | Reason:
    """A read out of 20 bytes."""
    if frame[:1] != b"\xaa" or frame[18:] != b"\r\n" or sum(frame[1:17]) & 0xFF != frame[17]:
        return Reason.INTEGRITY
    return _read(frame[2:8].hex().encode(), frame[10:16].hex().encode(), frame[16], BINARY_SIZE)


def fields_from(frame: bytes) -> dict[str, object]:
    """All that one whole line (with or without its end) or binary record says; ValueError if it is none."""
    event: ChipRead | Reply | Reason
    if is_binary := len(frame) == BINARY_SIZE and frame[0] == 0xAA:
        event = read_from_binary(frame)
        body = f"aa{frame[1:18].hex()}"
    else:
        line = frame.strip(b"\r\n")
        event = frame_from(line, len(frame))
        body = line.decode(errors="replace")
    if isinstance(event, Reason):
        raise ValueError(f"not one whole IPICO frame ({event}): {frame!r}")  # noqa: TRY004 - the bytes are at fault
    if isinstance(event, Reply):
        return {"type": event.name, **event.fields, **_by_the_manual(event)}
    suffix = body[-2:] if body.endswith(("FS", "LS")) else None
    body = body.removesuffix(suffix or "").lower()
    said: dict[str, object] = {
        "type": "read" if len(body) == 36 else "tto",
        "form": "binary" if is_binary else "text",
        "reader": body[2:4],
        "tag": body[4:16],
        "i": int(body[16:18], 16),
        "q": int(body[18:20], 16),
        "time": None if event.reader_ns is None else _text_from_ns(event.reader_ns),
        "cs": int(body[32:34], 16),
        "lrc": body[-2:],
        "suffix": suffix,
    }
    if len(body) > 36:
        seen = int(body[38:40], 16)
        said |= {"index": body[34:36], "page": body[36:38], "tamper": body[38:40]}
        said |= {"first_seen": bool(seen & 0x80), "last_seen": bool(seen & 0x40)}
    return said


def _by_the_manual(reply: Reply) -> dict[str, object]:
    """An answer's command, its clock as it stands in the frame, and the code of an error."""
    if reply.name == "error":
        return {"error": reply.fields["code"]}
    command, data = reply.fields.get("command"), str(reply.fields.get("data", ""))
    said: dict[str, object] = {} if command is None else {"cmd": command}
    if command in (SET_CLOCK, CLOCK, GUN) and len(data) >= 14:
        said["bcd"] = data[:14]
        if len(data) >= 16:
            said["cs"] = int(data[14:16], 16)
    return said


def _text_from_ns(reader_ns: int) -> str:
    moment = datetime.fromtimestamp(reader_ns // NS_PER_S, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{reader_ns % NS_PER_S // NS_PER_HUNDREDTH:02d}"


def _read(chip: bytes, date: bytes, hundredths: int, size: int) -> ChipRead | Reason:
    try:
        second_ns = ns_from_date(date)
    except ValueError:
        return Reason.SANITY
    if hundredths > 99:
        return Reason.SANITY
    reader_ns = None if second_ns is None else second_ns + hundredths * NS_PER_HUNDREDTH
    return ChipRead(chip_from_hex(chip), None, None, reader_ns, None, size)


def _control_from_match(match: re.Match[bytes], size: int) -> Reply | Reason:
    letters, summed, length, code, data, lrc = match.groups()
    if len(data) != (0 if BYTE[length] == 0xFF else 2 * BYTE[length]):
        return Reason.LENGTH
    if letters.lower() != b"ac" and sum(summed) & 0xFF != BYTE[lrc]:
        return Reason.INTEGRITY
    command = BYTE[code]
    if command in ERRORS:
        return Reply("error", {"code": command, "says": ERRORS[command]}, size)
    values: dict[str, object] = {"command": command, "data": data.decode().lower()}
    if command in (CLOCK, GUN) and len(data) >= 16:
        values["reader_ns"] = _ns_from_clock(data)
    elif command == MODE and len(data) >= 4:
        values |= {"mode": BYTE[data[:2]] & 0x07, "timeout_s": BYTE[data[2:4]]}
    elif command == STATISTICS and len(data) >= 28:
        values |= _statistics_from(bytes.fromhex(data.decode()))
    if letters.lower() == b"ac":
        values["is_unchecked"] = True
    return Reply(CONTROLS.get(command, f"control_{command:02x}"), values, size)


def _statistics_from(data: bytes) -> dict[str, object]:
    """Those of the 14 that mean something to people; the counts are since they were asked for last."""
    return {
        "firmware": f"{data[0] >> 4}.{data[0] & 0x0F}",
        "reader": f"{data[1]:02x}",
        "crc_errors": data[3],
        "power_ups": data[4],
        "noise": data[5],
        "hardware": f"{data[12]:02x}",
        "filtered_out": data[13],
    }


def _other_from_match(match: re.Match[bytes], size: int) -> Reply | Reason:
    # No capture has one: that they bear the sum of the others is taken from the manual's one rule for all.
    letters, summed, lrc = match.groups()
    if sum(summed) & 0xFF != BYTE[lrc]:
        return Reason.INTEGRITY
    return Reply(OTHERS[letters.lower()], {"data": summed.decode().lower()}, size)


def _ns_from_clock(data: bytes) -> int | None:
    """``yymmdd``, day of the week, ``hhmmss``, hundredths in hex: as in a read; None if never set or impossible."""
    try:
        second_ns = ns_from_date(data[0:6] + data[8:14])
    except ValueError:
        return None
    return None if second_ns is None else second_ns + BYTE[data[14:16]] * NS_PER_HUNDREDTH


@lru_cache(maxsize=256)
def ns_from_date(digits: bytes) -> int | None:
    """``yymmddhhmmss`` as ns since 1970 had its zone been UTC; None for the date 000000; ValueError if impossible."""
    if not digits.isdigit():
        raise ValueError(digits)
    if digits.startswith(b"000000"):
        return None
    year, month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(0, 12, 2))
    moment = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * NS_PER_S


@lru_cache(maxsize=4_096)  # more than are on a mat at once
def chip_from_hex(code: bytes) -> str:
    """Upper-case text; the same object for the same chip, so that a race's reads don't each hold one of their own."""
    return code.upper().decode()
