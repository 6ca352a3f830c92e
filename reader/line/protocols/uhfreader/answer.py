"""What UHFReader frames say: chips in all their dialects, and the answers to commands.

::

    inventory (01, 0F, 1A, 1B)   288, E710   ANT NUM  LEN EPC[LEN] RSSI  ...    ANT a mask: 1, 2, 4, 8 ...
                                 18, 86      NUM      LEN EPC[LEN]       ...
                                 188         NUM      LEN EPC[LEN] RSSI  ...    as its owner guessed
    push (EE)                    288, E710   ANT LEN EPC[LEN] RSSI             status 28: PACKETS[4] ANTENNAS TOTAL[4]
                                 86          EPC

LEN bit 80: the last twelve of its bytes are the chip's TID; bit 40: seven more bytes follow RSSI (phase at the
beginning and the end, two bytes each, and kHz). Which dialect it is, nothing says but the lengths: they have to add up
to the byte. A code is whole 16-bit words, so that the pushes are told apart: in the 288's form DATA is odd.

RSSI is a bare number. The makers' tables lie on one line, 62 (98) for -31 dBm to 1F (31) for -98 dBm: less 129.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reader.line.protocols.uhfreader.frame import (
    DONE,
    EXPIRED,
    FULL,
    HEARING,
    HEARTBEAT,
    INFO,
    MODE,
    MODE_18,
    MORE,
    NAMES,
    NO_CHIP,
    OK,
    POWERS,
    PUSH,
    QUIET,
    RETURN_LOSS,
    SERIAL,
    STATISTICS,
    STATUSES,
    TEMPERATURE,
    band_from_bytes,
    is_refusal,
    is_whole,
    words_from_band,
    words_from_status,
)

RSSI_ZERO_DBM = -129
TID_BYTES = 12
WORK_MODES = {0: "answer", 1: "realtime", 2: "trigger", 3: "trigger"}
LONG_MODE = 40  # bytes of the answer to 36 from where on the mode stands first, not fifth

ROUND_ENDS = frozenset({OK, DONE, EXPIRED, FULL, NO_CHIP})


class Senseless(Exception):
    """A frame whose content does not add up."""


class Chip(NamedTuple):
    """One chip in a frame; ``rssi`` the bare number; ``size`` its bytes there."""

    epc: bytes
    rssi: int | None
    size: int
    tid: bytes = b""


class Said(NamedTuple):
    """What a frame says: its word, its fields, the chips heard just now and by which antennas (a mask; None unsaid)."""

    name: str
    fields: dict[str, object]
    chips: tuple[Chip, ...] = ()
    mask: int | None = None


def said_by(frame: bytes) -> Said:
    """What one whole frame of a reader says; :class:`Senseless` if it can't be."""
    if frame == HEARTBEAT:
        return Said("keep_alive", {})
    cmd, status, data = frame[2], frame[3], frame[4:-2]
    said: dict[str, object] = {"cmd": cmd, "addr": frame[1], "status": status}
    if status in STATUSES:
        said["says"] = words_from_status(status)
    if is_refusal(status) and not (status == NO_CHIP and cmd in HEARING):
        said.setdefault("says", words_from_status(status))
        if data:
            said["data"] = data.hex()
        return Said("error", said)
    if cmd in HEARING:
        return _inventory(status, data, said)
    if cmd == PUSH:
        return _push(status, data, said)
    known = _ANSWERS.get(cmd) if status == OK else None
    try:
        if known and data:
            said |= known(data)
        elif data:
            said["data"] = data.hex()
    except IndexError:
        raise Senseless from None
    return Said(NAMES.get(cmd, f"command_{cmd:02x}"), said)


def fields_from(frame: bytes) -> dict[str, object]:
    """All that one whole frame of a reader says, antennas as the maker counts; ValueError if it is none."""
    if frame == HEARTBEAT:
        return {"type": "heartbeat"}
    if len(frame) < 6 or len(frame) != frame[0] + 1 or not is_whole(frame):
        raise ValueError(f"not one whole UHFReader frame: {frame.hex()}")
    try:
        said = said_by(frame)
    except Senseless:
        raise ValueError(f"a UHFReader frame whose content does not add up: {frame.hex()}") from None
    tags = [
        {
            "epc": chip.epc.hex(),
            **({} if chip.rssi is None else {"rssi": chip.rssi}),
            **({"tid": chip.tid.hex()} if chip.tid else {}),
        }
        for chip in said.chips
    ]
    result: dict[str, object] = {"type": said.name, **said.fields}
    if said.mask is not None:
        result["ant_mask"] = said.mask
    if frame[2] in HEARING or said.chips:
        result["tags"] = tags
    if frame[2] == PUSH and tags:
        result |= tags[0]
    return result


def antenna_from_mask(mask: int | None) -> int | None:
    """The antenna, from 1; None where none or several are named."""
    return mask.bit_length() if mask and not mask & (mask - 1) else None


def dbm_from_rssi(rssi: int | None) -> int | None:
    """dBm; None where it was not measured."""
    return rssi + RSSI_ZERO_DBM if rssi else None


# ---- chips ------------------------------------------------------------------------------------------


def _inventory(status: int, data: bytes, said: dict[str, object]) -> Said:
    if status == STATISTICS:
        if len(data) != 7:
            raise Senseless
        said |= {"rate": int.from_bytes(data[1:3]), "total": int.from_bytes(data[3:7])}
        return Said("statistics", said, mask=data[0])
    if status != MORE and status not in ROUND_ENDS:
        raise Senseless
    name = "round_part" if status == MORE else "round_end"
    mask, chips, extra = _chips(data)
    said["chips"] = len(chips)
    if extra:
        said["extra"] = extra.hex()
    return Said(name, said, chips, mask)


def _chips(data: bytes) -> tuple[int | None, tuple[Chip, ...], bytes]:
    """The mask of antennas, the chips, and bytes that nobody explains."""
    if len(data) > 1 and (chips := _list_of(data, 1, has_rssi=True)) is not None:
        return data[0], chips, b""
    for has_rssi in (False, True):
        if (chips := _list_of(data, 0, has_rssi=has_rssi)) is not None:
            return None, chips, b""
    if not data or (data[0] == 0 and len(data) == 2):  # so a UHFReader86 that pushes acknowledges
        return None, (), data[1:]
    raise Senseless


def _list_of(data: bytes, at: int, *, has_rssi: bool) -> tuple[Chip, ...] | None:
    """The chips counted at ``at``, if they end where the data end."""
    if at >= len(data):
        return None
    count, at = data[at], at + 1
    chips = []
    for _ in range(count):
        chip = _chip(data, at, has_rssi=has_rssi)
        if chip is None:
            return None
        chips.append(chip)
        at += chip.size
    return tuple(chips) if at == len(data) else None


def _chip(data: bytes, at: int, *, has_rssi: bool) -> Chip | None:
    """The chip whose length stands at ``at``; None if there can be none."""
    if at >= len(data):
        return None
    size, has_tid = data[at] & 0x7F, bool(data[at] & 0x80)
    phase = 0
    if has_rssi and size & 0x40:
        size, phase = size & 0x3F, 7
    end = at + 1 + size
    length = size - TID_BYTES if has_tid else size
    if length < 2 or length % 2 or end + has_rssi + phase > len(data):
        return None
    epc = data[at + 1 : at + 1 + length]
    return Chip(epc, data[end] if has_rssi else None, 1 + size + has_rssi + phase, data[at + 1 + length : end])


def _push(status: int, data: bytes, said: dict[str, object]) -> Said:
    if status == QUIET:
        if len(data) < 9:
            raise Senseless
        said |= {"packets": int.from_bytes(data[:4]), "antennas": data[4:-4].hex(), "total": int.from_bytes(data[-4:])}
        return Said("keep_alive", said)
    if status != OK:
        raise Senseless
    chip = _chip(data, 1, has_rssi=True)
    if chip and chip.size + 1 == len(data):
        # Even with a phase: then only if the antenna is one and the code of a length that chips have.
        is_sure = len(data) % 2 or (antenna_from_mask(data[0]) and len(chip.epc) >= 4)
        if is_sure:
            return Said("push", said, (chip,), data[0])
    if not 2 <= len(data) <= 62 or len(data) % 2:
        raise Senseless
    return Said("push", said, (Chip(data, None, len(data)),))


# ---- answers ----------------------------------------------------------------------------------------


def _info(data: bytes) -> dict[str, object]:
    said: dict[str, object] = {
        "fw": list(data[:2]),
        "type": data[2],
        "protocols": data[3],
        "dmaxfre": data[4],
        "dminfre": data[5],
        "power": data[6],
        "scantime": data[7],
    }
    if band := band_from_bytes(data[4], data[5]):
        said["band"] = words_from_band(*band)
    return said | dict(zip(("antennas", "beep", "output", "antenna_check"), data[8:], strict=False))


def _mode_18(data: bytes) -> dict[str, object]:
    mode = data[0] if len(data) >= LONG_MODE else data[4]
    return {"read_mode": mode, "mode": WORK_MODES.get(mode, f"{mode:02x}"), "parameters": data.hex()}


def _mode(data: bytes) -> dict[str, object]:
    return {"read_mode": data[0], "mode": WORK_MODES.get(data[0], f"{data[0]:02x}"), "parameters": data.hex()}


_ANSWERS: dict[int, Callable[[bytes], dict[str, object]]] = {
    INFO: _info,
    MODE_18: _mode_18,
    MODE: _mode,
    SERIAL: lambda data: {"serial": data.hex()},
    POWERS: lambda data: {"powers": [power & 0x7F for power in data]},
    RETURN_LOSS: lambda data: {"return_loss_db": data[0]},
    TEMPERATURE: lambda data: {"temp_c": data[1] if data[0] else -data[1]},
    0x74: lambda data: {"count": int.from_bytes(data[:2])},
    0x78: lambda data: {"interval_s": 30 * (data[0] & 0x7F)},
}
