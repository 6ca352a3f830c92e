"""UHFReader18 / 86 / 188 / 288, Chafon CF-RU and CF-MU, SID UR, Faread E710 and FRD950: binary, polled or pushing.

::

    LEN ADR CMD STATUS DATA[LEN-5] CRC CRC

The parts: :mod:`.frame` has the envelope and the words, :mod:`.answer` the content,
:mod:`.settings` what can be set; a reader is got to know in :mod:`.plan` (by the questions of
:mod:`.ask`), asked for rounds in :mod:`.poll`, and :mod:`.talk` holds it together.

One frame may carry several chips. Each of them is an event of its own, and behind them comes the reply that they were
part of, ``round_part`` or ``round_end``, whose field ``chips`` counts them. The first of these events has the bytes of
the whole frame, the others have none. A chip that a reader pushes has its frame for itself, and no reply behind it.

The names of replies: ``round_part``, ``round_end``, ``statistics``, ``keep_alive``, ``error`` (any refusal: ``cmd``
says of what, ``says`` why), and for the answers to commands their names in :mod:`.frame`.
"""

from __future__ import annotations

from collections.abc import Sequence

from reader.line.protocols.framing import MAX_REJECTED, Framing
from reader.line.protocols.uhfreader.answer import (
    Chip,
    Said,
    Senseless,
    antenna_from_mask,
    dbm_from_rssi,
    fields_from,
    said_by,
)
from reader.line.protocols.uhfreader.examine import examine
from reader.line.protocols.uhfreader.frame import BEGINNING, HEARTBEAT, PUSH, command, is_whole, measure
from reader.line.protocols.uhfreader.settings import SETTINGS, identify
from reader.line.protocols.uhfreader.talk import Conversation
from reader.model import ChipRead, Event, Reason, Rejected, Reply

__all__ = ["ON_START", "SETTINGS", "Conversation", "Decoder", "command", "examine", "fields", "identify", "is_proof"]

ON_START: frozenset[str] = frozenset({"antennas", "session", "q", "target"})

fields = fields_from


class Decoder:
    """Frames of a reader to events, total over any bytes.

    Nearly every byte may begin a frame, so garbage comes out of the framing byte by byte. It is gathered here, up to
    ``MAX_REJECTED`` bytes or to where it ends: again the stream alone decides where the pieces end.
    """

    def __init__(self) -> None:
        self._framing = Framing(BEGINNING, measure, _whole)
        self._spoilt = b""
        self._reason = Reason.GARBAGE

    @property
    def pending(self) -> int:
        """Bytes fed that no event has accounted for yet."""
        return self._framing.pending + len(self._spoilt)

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes complete, in order."""
        events: list[Event] = []
        for event in self._framing.feed(data):
            if isinstance(event, Rejected) and event.reason is not Reason.SANITY:
                events += self._gathered(event)
                continue
            events += self._given_up()
            events += _opened(event)
        return events

    def idle(self) -> list[Event]:
        """The line is silent: a whole frame behind a false beginning is let out, and garbage told."""
        return self._given_up() + [one for event in self._framing.idle() for one in _opened(event)]

    def _gathered(self, rejected: Rejected) -> list[Event]:
        events: list[Event] = []
        if not self._spoilt or (rejected.reason is Reason.INTEGRITY and self._reason is not Reason.INTEGRITY):
            events += self._given_up()
            self._reason = rejected.reason
        self._spoilt += rejected.data
        while len(self._spoilt) >= MAX_REJECTED:
            events.append(Rejected(self._reason, self._spoilt[:MAX_REJECTED]))
            self._spoilt, self._reason = self._spoilt[MAX_REJECTED:], Reason.GARBAGE
        return events

    def _given_up(self) -> list[Event]:
        spoilt, self._spoilt = self._spoilt, b""
        return [Rejected(self._reason, spoilt)] if spoilt else []


def is_proof(events: Sequence[Event]) -> bool:
    """The answer to its question, or two chips: each has passed a CRC of 16 bits and its lengths have added up."""
    chips = 0
    for event in events:
        chips += isinstance(event, ChipRead)
        if isinstance(event, Reply) and event.name == "info" and "type" in event.fields:
            return True
    return chips >= 2


def _whole(frame: bytes) -> Event | None:
    """One frame as one event, the chips in it not yet told apart; None if its checksum is wrong."""
    if frame != HEARTBEAT and not is_whole(frame):
        return None
    try:
        said = said_by(frame)
    except Senseless:
        return Rejected(Reason.SANITY, frame)
    if not said.chips:
        return Reply(said.name, _fields_of(said), len(frame))
    if frame[2] == PUSH:
        return _read(said.chips[0], said.mask, len(frame))
    return Reply(said.name, {**_fields_of(said), _FRAME: said}, len(frame))


_FRAME = "frame"  # where a reply on its way out holds the chips


def _fields_of(said: Said) -> dict[str, object]:
    return said.fields if said.mask is None else {**said.fields, "antenna": antenna_from_mask(said.mask)}


def _opened(event: Event) -> list[Event]:
    """The event, or the chips that are still inside it and what is left of it."""
    said = event.fields.get(_FRAME) if isinstance(event, Reply) else None
    if not isinstance(event, Reply) or not isinstance(said, Said):
        return [event]
    sizes = [event.size, *(0 for _ in said.chips)]
    reads: list[Event] = [_read(chip, said.mask, size) for chip, size in zip(said.chips, sizes, strict=False)]
    return [*reads, Reply(event.name, _fields_of(said), sizes[-1])]


def _read(chip: Chip, mask: int | None, size: int) -> ChipRead:
    return ChipRead(chip.epc.hex().upper(), antenna_from_mask(mask), dbm_from_rssi(chip.rssi), None, None, size)
