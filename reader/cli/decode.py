"""`timing-mat decode`: what bytes of a reader mean, a JSON line for each frame."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from reader.cli.naming import family_of
from reader.errors import UsageError
from reader.line.capture import is_capture, pieces_from_lines
from reader.line.protocols import load
from reader.model import NS_PER_S, ChipRead, Event, Reason, Reply

READ_BYTES = 65_536
SILENT_S = 0.05  # as the daemon lets out what waits for more
NS_PER_HUNDREDTH = 10_000_000
RESERVED = frozenset({"kind", "name", "t", "hex", "fields"})


def decode(
    protocol: Annotated[str, typer.Option(help="The family whose bytes they are.", show_default=False)],
    file: Annotated[
        str, typer.Argument(help="The bytes as they are, or a capture; - or nothing: what is piped in.")
    ] = "-",
    all_fields: Annotated[
        bool, typer.Option("--all", help="With each frame's bytes, and all that it says by the maker's names.")
    ] = False,
) -> None:
    """Say what bytes of a reader mean: one JSON line for each frame, for each answer, and for bytes that mean nothing.

    Example: timing-mat decode --protocol ipico line.jsonl
    """
    decoding = Decoding(family_of(protocol).name, has_all=all_fields)
    with ExitStack() as closing:
        source = _opened(file, closing)
        for lines in _lines(source, "the pipe" if file == "-" else file, decoding):
            sys.stdout.buffer.write(lines)
            sys.stdout.buffer.flush()


class Decoding:
    """The frames of one stream, as JSON lines."""

    def __init__(self, protocol: str, *, has_all: bool) -> None:
        module = load(protocol)
        self._decoder, self._fields = module.Decoder(), module.fields
        self._has_all = has_all
        self._bytes = bytearray()  # fed, and in no event yet

    def feed(self, data: bytes, t_s: float | None = None) -> bytes:
        """What these bytes complete; ``t_s``: when they came, in a capture."""
        self._bytes += data
        return self._lines(self._decoder.feed(data), t_s)

    def idle(self, t_s: float | None = None) -> bytes:
        """The line was silent."""
        return self._lines(self._decoder.idle(), t_s)

    def end(self, t_s: float | None = None) -> bytes:
        """There is no more: what has waited for more too; the rest of a line's end was part of the line."""
        lines = self.idle(t_s)
        if self._bytes.strip(b"\r\n"):
            lines += _line({"kind": "rejected", "reason": Reason.INCOMPLETE, "hex": self._bytes.hex()}, t_s)
        return lines

    def _lines(self, events: list[Event], t_s: float | None) -> bytes:
        return b"".join(_line(self._said(event), t_s) for event in events)

    def _said(self, event: Event) -> dict[str, object]:
        frame = bytes(self._bytes[: event.size])
        del self._bytes[: event.size]
        said = said_from_event(event)
        if self._has_all and isinstance(event, ChipRead | Reply):
            said["hex"] = frame.hex()
            try:
                said["fields"] = plain(self._fields(frame))
            except ValueError:
                said["fields"] = None
        return said


def said_from_event(event: Event) -> dict[str, object]:
    """One event as the object that stands for it."""
    if isinstance(event, ChipRead):
        said: dict[str, object] = {
            "kind": "read",
            "chip": event.chip,
            "antenna": event.antenna,
            "rssi_dbm": event.rssi_dbm,
            "reader_time": None if event.reader_ns is None else local_time(event.reader_ns),
        }
        return said if event.reader_ms is None else said | {"reader_ms": event.reader_ms}
    if isinstance(event, Reply):
        fields = plain(event.fields)
        assert isinstance(fields, dict)  # noqa: S101 - a mapping stays one
        return {
            "kind": "reply",
            "name": event.name,
            **{f"{key}_" if key in RESERVED else key: value for key, value in fields.items()},
        }
    return {"kind": "rejected", "reason": event.reason, "hex": event.data.hex()}


def local_time(reader_ns: int) -> str:
    """``2026-03-07T13:48:50.50``: as it stands in the record, whatever its zone."""
    second, rest = divmod(reader_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest // NS_PER_HUNDREDTH:02d}"


def plain(value: object) -> object:
    """What JSON can say: bytes as hex digits."""
    match value:
        case bytes() | bytearray() | memoryview():
            return value.hex()
        case Mapping():
            return {str(key): plain(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(one) for one in value]
        case None | bool() | int() | float() | str():
            return value
    return str(value)


def _line(said: dict[str, object], t_s: float | None) -> bytes:
    return msgspec.json.encode(said if t_s is None else said | {"t": t_s}) + b"\n"


def _opened(file: str, closing: ExitStack) -> BinaryIO:
    if file == "-":
        if sys.stdin is None:
            raise UsageError("nothing is piped in: give the FILE.")
        return sys.stdin.buffer
    try:
        return closing.enter_context(Path(file).open("rb"))
    except OSError as error:
        raise UsageError(f"{file}: can't be read: {error.strerror}") from error


def _lines(source: BinaryIO, name: str, decoding: Decoding) -> Iterator[bytes]:
    """The JSON lines, as the input comes in."""
    beginning = _read(source, name)
    if not is_capture(beginning):
        while beginning:
            yield decoding.feed(beginning)
            beginning = _read(source, name)
        yield decoding.end()
        return
    last_s: float | None = None
    for piece in pieces_from_lines(_split(beginning, source, name), name):
        if last_s is not None and piece.t_s - last_s >= SILENT_S:
            yield decoding.idle(last_s)
        last_s = piece.t_s
        yield decoding.feed(piece.data, last_s)
    yield decoding.end(last_s)


def _split(beginning: bytes, source: BinaryIO, name: str) -> Iterator[bytes]:
    data = beginning
    while beginning:
        *lines, data = data.split(b"\n")
        yield from (line + b"\n" for line in lines)
        beginning = _read(source, name)
        data += beginning
    if data:
        yield data


def _read(source: BinaryIO, name: str) -> bytes:
    """What is there, as soon as something is."""
    try:
        return source.read1(READ_BYTES) if hasattr(source, "read1") else source.read(READ_BYTES)
    except OSError as error:
        raise UsageError(f"{name}: can't be read: {error.strerror}") from error
