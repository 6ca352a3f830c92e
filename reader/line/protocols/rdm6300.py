r"""RDM6300 / RDM630, ID-2/12/20, EM-18: readers of 125 kHz chips, which only talk.

::

    02 V V I I I I I I I I X X 03          RDM6300, RDM630, Seeed: 14 bytes
    02 V V I I I I I I I I X X 0D 0A 03    ID-2, ID-12, ID-20: 16 bytes
    02 V V I I I I I I I I x 03            clones: 13 bytes
       V V I I I I I I I I X X             EM-18: 12 bytes, nothing before and nothing behind

    VV version and I id of the chip, ten hex digits; XX the XOR of those five bytes as two hex digits; x the same as
    one byte, which may be any, 02 and 03 too. 9600 baud, 8N1.

Frames of an EM-18 are known by what is around them: twelve hex digits between bytes that are none, or between
silences, or several such in a row, each with its sum.

The chip's code is all ten digits. The XOR does not protect: codes of chips that were never there, sent by these
readers, had the right one. So a chip is believed when it is sent **twice, one frame after the other**: the first is
a :class:`Reply` named ``once``, the second and each equal one behind it a :class:`ChipRead`; another chip's frame in
between starts anew, bytes that are no frame do not. All zeros are never a chip. A reader repeats its frame every
65 ms while the chip is there: three or four for one who walks by.

Sources: frames as captured (jp112sdl/HB-UNI-Sen-RFID-RC issue 3, BruceDevices/firmware issue 2014, esphome/issues
3610, tests of JMRI); codes of no chip: esprfid/esp-rfid issue 411, Tasmota issue 9522.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import xor

from reader.line.protocols import Examined, Known
from reader.line.protocols.asking import Script
from reader.line.protocols.listening import Listening
from reader.line.protocols.settings import Setting
from reader.model import ChipRead, Event, Reason, Rejected, Reply

STX = 0x02
EM18_SIZE = 12
LONGEST = 16
MAX_REJECTED = 64  # at a time: the stream alone decides where the pieces end, however it was chunked

_H = rb"[0-9A-Fa-f]"
# Groups: the digits of the chip, of the sum, or the sum as a byte.
_FRAMED = re.compile(rb"\x02(H{10})(?:(H{2})(?:\r\n)?|(.))\x03".replace(b"H", _H), re.DOTALL)
_FRAMED_BEGUN = re.compile(rb"\x02(?:H{0,10}|H{10}.|H{12}(?:\r\n?)?)".replace(b"H", _H), re.DOTALL)
_BARE = re.compile(rb"(H{10})(H{2})".replace(b"H", _H))
_RUN = re.compile(_H + b"+")
_BEGINNING = re.compile(rb"[\x02]|" + _H)

# Nothing of these readers can be read or written.
SETTINGS: tuple[Setting, ...] = ()
ON_START: frozenset[str] = frozenset()


class Decoder:
    """Frames to chips, total over any bytes."""

    def __init__(self) -> None:
        self._pending = b""
        self._looked = 0  # how much of it is known to be garbage
        self._is_in_run = False  # and is followed by what is left of too many digits
        self._last_chip: bytes | None = None

    @property
    def pending(self) -> int:
        """Fewer than ``MAX_REJECTED`` bytes that are no frame, and fewer than two of an EM-18 that may become one."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes complete, in order."""
        return self._scan(self._pending + data, is_silent=False)

    def idle(self) -> list[Event]:
        """The line is silent: digits end here, and what is no frame is let out. A frame begun by 02 is waited for."""
        events = self._scan(self._pending, is_silent=True)
        self._is_in_run = False
        return events

    def _scan(self, buffer: bytes, *, is_silent: bool) -> list[Event]:
        events: list[Event] = []
        start, at = 0, self._looked
        if self._is_in_run:
            at = _end_of_run(buffer, at)
            self._is_in_run = at == len(buffer)
        while found := _BEGINNING.search(buffer, at):
            at = found.start()
            end = self._end_of_frame(buffer, at, is_silent=is_silent)
            if end is None:
                break
            if end > at:
                _reject(buffer[start:at], events)
                events.append(self._decode(buffer[at:end]))
                start = at = end
            elif buffer[at] == STX:
                at += 1
            else:
                at = _end_of_run(buffer, at)
                self._is_in_run = at == len(buffer)
        else:
            at = len(buffer)
        while at - start >= MAX_REJECTED:
            _reject(buffer[start : start + MAX_REJECTED], events)
            start += MAX_REJECTED
        if is_silent:
            _reject(buffer[start:at], events)
            start = at
        self._pending, self._looked = buffer[start:], at - start
        return events

    def _end_of_frame(self, buffer: bytes, at: int, *, is_silent: bool) -> int | None:
        """Where the frame that begins here ends; ``at`` itself if none does; None if that can't be told yet."""
        if buffer[at] == STX:
            if whole := _FRAMED.match(buffer, at):
                return whole.end()
            is_begun = _FRAMED_BEGUN.fullmatch(buffer, at) is not None
            # Twelve digits and then silence: its end got lost, or it never had one.
            is_bare = is_silent and _end_of_run(buffer, at + 1) == len(buffer) == at + 1 + EM18_SIZE
            return None if is_begun and not is_bare else at
        size = _end_of_run(buffer, at) - at
        is_over = is_silent or at + size < len(buffer)
        first = at + EM18_SIZE
        if size == EM18_SIZE and is_over:
            return first
        if size >= 2 * EM18_SIZE:
            is_row = _is_bare(buffer[at:first]) and _is_bare(buffer[first : first + EM18_SIZE])
            return first if is_row else at
        return at if is_over or (size > EM18_SIZE and not _is_bare(buffer[at:first])) else None

    def _decode(self, frame: bytes) -> Event:
        chip = _chip_from_frame(frame)
        if chip is None:
            return Rejected(Reason.INTEGRITY, frame)
        is_again, self._last_chip = chip == self._last_chip, chip
        if not chip.strip(b"0"):
            return Rejected(Reason.SANITY, frame)
        code, size = chip.decode(), len(frame)
        return ChipRead(code, None, None, None, None, size) if is_again else Reply("once", {"chip": code}, size)


Conversation = Listening  # They have no ears.


def identify() -> Script[Known]:
    """What is known without asking: it could not answer."""
    yield from ()
    return Known("RDM6300, ID-12/20 or EM-18", None, says=("it only talks: it can't be asked who it is",))


def examine(is_interrupting: bool) -> Script[Examined]:
    """Nothing: it can't be asked."""
    yield from ()
    return Examined(says=("this reader only talks: it can't be asked how it is; pass a chip over it",))


def is_proof(events: Sequence[Event]) -> bool:
    """A chip sent twice with nothing between, on a line where frames outweigh what is none.

    Digits alone stand on the lines of other families too: they are proof only where there is nothing else.
    """
    rejected = sum(event.size for event in events if isinstance(event, Rejected))
    is_framed = rejected < sum(event.size for event in events) - rejected
    return any(
        isinstance(event, ChipRead)
        and not isinstance(before, Rejected)
        and (is_framed if event.size > EM18_SIZE else not rejected)
        for before, event in pairwise(events)
    )


def fields(frame: bytes) -> dict[str, object]:
    """All that one whole frame says; ValueError if it is none."""
    framed = _FRAMED.fullmatch(frame)
    chip = _chip_from_frame(frame)
    if chip is None:
        raise ValueError(f"not one whole frame of an RDM6300, ID-12 or EM-18: {frame!r}")
    if framed is None:
        form = "em18"
    elif framed[3] is not None:
        form = "clone"
    else:
        form = "rdm6300" if len(frame) == 14 else "id12"
    said: dict[str, object] = {
        "form": form,
        "version": chip[:2].decode(),
        "id": chip[2:].decode(),
        "card_decimal": int(chip[2:], 16),
    }
    if form == "clone":
        said["raw_checksum"] = frame[11]
    return said


def _chip_from_frame(frame: bytes) -> bytes | None:
    """The ten digits, in upper case; None if this is no frame or its XOR is wrong."""
    match = _FRAMED.fullmatch(frame) or _BARE.fullmatch(frame)
    if match is None:
        return None
    digits, total = match[1], match[2]
    given = int(total, 16) if total else frame[11]
    return digits.upper() if reduce(xor, bytes.fromhex(digits.decode())) == given else None


def _is_bare(digits: bytes) -> bool:
    return _chip_from_frame(digits) is not None


def _end_of_run(buffer: bytes, at: int) -> int:
    """Where the hex digits that begin here end; ``at`` itself if there is none."""
    run = _RUN.match(buffer, at)
    return run.end() if run else at


def _reject(garbage: bytes, events: list[Event]) -> None:
    """What is no frame, in pieces."""
    for at in range(0, len(garbage), MAX_REJECTED):
        piece = garbage[at : at + MAX_REJECTED]
        events.append(Rejected(Reason.LENGTH if piece[0] == STX else Reason.GARBAGE, piece))
