r"""IPICO Lite, Elite, Super Elite, and Trident TimeMachine: lines of ASCII.

::

    aa RR TTTTTTTTTTTT II QQ yymmdd hhmmss cc          LL [FS|LS] CR LF   a read, 36 characters
    aa RR TTTTTTTTTTTT II QQ yymmdd hhmmss cc xx pp tt LL [FS|LS] CR LF   with TTO bytes, 42
    AA RR T[6]         I  Q  BCD[6]        cc          L          0D 0A   in binary, 20 bytes
    ab RR NN CC data[NN] LL                                       CR LF   control; NN = ff: a question without data

    RR reader, T chip, I and Q how often either channel heard it, cc hundredths of a second in HEX (00-63),
    xx pp tt index, page, tamper (80 first seen, 40 last seen), LL the low byte of the sum of all characters
    between the two letters in front and itself; in binary, of all bytes between.

    aa L R TTTTTTTTTTTT nnnn yymmdd hhmmss cc 00 KK SS         CR LF   a Trident's read, 40 characters

    L reader (a letter), R receiver, nnnn how often the chip was read, KK FS first, LS last, BS best seen or RR any
    read, SS signal. R is the antenna, from 1; 0 is none. It has no LL: a whole line with every field in bounds is one.
    Other answers of a Trident: ``DATE:Mon Aug 31 2015 13:17:00`` and ``CMD UNHANDLED``.

``ac`` is ``ab`` with an LL that is not checked; ``ad`` page data and ``ae`` short TTO are known by name alone.
Plain text is a banner.

A line ends at CR or at LF; what follows of CR LF is counted with the next line, so that a read is never held
back for a character that says nothing. Whatever has the letters, the length and the sum of a frame is found
inside garbage too; one that ends with its line goes before any other that the same bytes could be.

Sources: IPICO Reader Serial Protocol 1.00 (2007); control replies, banners and mixed streams as captured from
a Lite by the rusty-timer project; manuals of the Trident TimeMachine, whose word alone it is that FS and LS stand on
the line (a Lite tells them by bits of tt).

It reports reads by itself from the moment it has power, and nothing has to be said to it. It is asked what its clock
shows all the same (:mod:`.talk`): a clock that is known before any chip comes can time the first one, and silence
after answers means something where silence alone does not.

This is the hot path of the box: all whole lines of a chunk are cut and told apart by one regular expression, and
what repeats from read to read (the second, the chip's code) is remembered. A line at a time costs several times that.
"""

from __future__ import annotations

from msgspec import structs

from reader.line.protocols import ClockSet
from reader.line.protocols.ipico.ask import examine, identify, is_proof, set_clock
from reader.line.protocols.ipico.frame import (
    BINARY_SIZE,
    BYTE,
    READ,
    fields_from,
    frame_from,
    pattern,
    read_from_binary,
    read_from_match,
)
from reader.line.protocols.ipico.talk import Conversation
from reader.line.protocols.ipico.trident import fields_from_trident, trident_from_line
from reader.line.protocols.settings import Setting
from reader.model import ChipRead, Event, Reason, Rejected, Reply

__all__ = [
    "MAX_LINE",
    "ON_START",
    "SETTINGS",
    "ClockSet",
    "Conversation",
    "Decoder",
    "examine",
    "fields",
    "identify",
    "is_proof",
    "set_clock",
]

# The longest frame is a control reply with 254 bytes of data. Of a line that never ends so much is kept, for a
# frame may have begun in it.
MAX_FRAME = 10 + 2 * 254
MAX_LINE = 2 * MAX_FRAME

_LINE = pattern(rb"[\r\n]*(?:" + READ + rb"[\r\n]|[^\r\n]+[\r\n])")
_READ_FORMS = (pattern(READ.replace(rb"(?:H{6})?", rb"H{6}")), pattern(READ.replace(rb"(?:H{6})?", b"")))
_BEGINNING = pattern(rb"(?=[aA][aAbB])")
_PRINTABLE = pattern(rb"[ -~]+")
_WORDS = pattern(rb"[A-Za-z]{3} +[A-Za-z]{3}")


class Decoder:
    """Lines and binary records to events, total over any bytes."""

    def __init__(self) -> None:
        self._pending = b""

    @property
    def pending(self) -> int:
        """Bytes of the line that has not ended: under ``MAX_LINE``, and under 20 that may be a binary record."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes complete, in order."""
        buffer = self._pending + data
        events: list[Event] = []
        start = search_from = 0
        # AA is no ASCII: only there can a binary record begin, and text is never cut by one that is not whole.
        while (mark := buffer.find(b"\xaa", search_from)) >= 0 and len(buffer) - mark >= BINARY_SIZE:
            read = read_from_binary(buffer[mark : mark + BINARY_SIZE])
            search_from = mark + 1
            if isinstance(read, ChipRead):
                text = buffer[start:mark]
                blanks = _clear(text[_decode_lines(text, events) :], events)
                events.append(structs.replace(read, size=blanks + BINARY_SIZE))
                start = search_from = mark + BINARY_SIZE
        end = len(buffer) if mark < 0 else mark
        text = buffer[start:end]
        self._pending = text[_decode_lines(text, events) :] + buffer[end:]
        return events

    def idle(self) -> list[Event]:
        """The line is silent: a frame that waits only for the end of its line, or behind an AA, is let out."""
        events: list[Event] = []
        self._pending = self._pending[_salvage(self._pending, events, Reason.INCOMPLETE) :]
        return events


# An IPICO is set up with its maker's software: it has no region, and no power that could break a law.
SETTINGS: tuple[Setting, ...] = ()
ON_START: frozenset[str] = frozenset()


def fields(frame: bytes) -> dict[str, object]:
    """All that one whole line (with or without its end) or binary record says; ValueError if it is none."""
    line = frame.strip(b"\r\n")
    if (said := fields_from_trident(line)) is not None:
        return said
    if isinstance(reply := trident_from_line(line, len(frame)), Reply):
        return {"type": reply.name, **reply.fields}
    return fields_from(frame)


def _decode_lines(text: bytes, events: list[Event]) -> int:
    """Decode all lines that have ended; where the one begins that has not."""
    at = 0
    # The expression is kept from what has not ended, through which it would look from every byte in vain.
    end = _end_of_lines(text)
    while True:
        for line in _LINE.finditer(text, at, end):
            size = line.end() - at
            if size > MAX_LINE:
                break
            at += size
            if line.lastindex:
                read = read_from_match(line, size)
                if isinstance(read, ChipRead):
                    events.append(read)
                    continue
            _decode_line(line.group(), events)
        if len(text) - at < MAX_LINE:
            return at
        # Cut at a place that depends on the stream alone, however it was chunked.
        piece = text[at : at + MAX_LINE]
        done = _salvage(piece, events, Reason.GARBAGE)
        kept_from = max(done, MAX_LINE - MAX_FRAME)
        if kept_from > done:
            events.append(Rejected(Reason.GARBAGE, piece[done:kept_from]))
        at += kept_from


def _end_of_lines(text: bytes) -> int:
    """Just behind the first CR or LF after the last line that has one."""
    last = max(text.rfind(b"\r"), text.rfind(b"\n"))
    content = len(text[: last + 1].rstrip(b"\r\n"))
    return content + 1 if content else 0


def _decode_line(line: bytes, events: list[Event]) -> None:
    """One ended line that is not simply a good read: what frames there are in it, and what is none."""
    blanks = len(line) - len(line.lstrip(b"\r\n"))
    body = line[blanks:-1]
    whole = trident_from_line(body, len(line)) or frame_from(body, len(line))
    if not isinstance(whole, Reason):
        events.append(whole)
        return
    for beginning in reversed([found.start() for found in _BEGINNING.finditer(body)]):
        last = frame_from(body[beginning:], len(body) - beginning + 1)
        if not isinstance(last, Reason):
            left = _clear(line[: blanks + beginning], events)
            events.append(structs.replace(last, size=left + last.size))
            return
    done = _salvage(line, events, Reason.GARBAGE)
    if done:
        events.append(Rejected(Reason.GARBAGE, line[done:]))
    elif _PRINTABLE.fullmatch(body) and _WORDS.search(body):
        events.append(Reply("banner", {"text": body.decode()}, len(line)))
    else:
        events.append(Rejected(whole, line))


def _clear(text: bytes, events: list[Event]) -> int:
    """Settle what stands before a frame; bare line ends at its end are left to the frame: how many."""
    rest = text[_salvage(text, events, Reason.GARBAGE) :]
    if not rest.strip(b"\r\n"):
        return len(rest)
    events.append(Rejected(Reason.GARBAGE, rest))
    return 0


def _salvage(text: bytes, events: list[Event], reason: Reason) -> int:
    """Find the good frames in ``text``, wherever they begin; reject what lies between. Where the last one ends."""
    done = 0
    for beginning in _BEGINNING.finditer(text):
        start = beginning.start()
        if start < done:
            continue
        for end in _possible_ends(text, start):
            frame = frame_from(text[start:end], end - start)
            if isinstance(frame, Reason):
                continue
            gap = text[done:start]
            if gap.strip(b"\r\n"):
                events.append(Rejected(reason, gap))
                gap = b""
            events.append(structs.replace(frame, size=len(gap) + frame.size))
            done = end
            break
    return done


def _possible_ends(text: bytes, start: int) -> list[int]:
    """Where a frame that begins at ``start`` could end."""
    if text[start + 1] in b"aA":
        return [match.end() for form in _READ_FORMS if (match := form.match(text, start))]
    length = BYTE.get(text[start + 4 : start + 6], 0)
    end = start + 10 + (0 if length == 0xFF else 2 * length)
    return [end] if end <= len(text) else []
