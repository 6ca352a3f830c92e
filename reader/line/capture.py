"""Captures: what a line said and when, one JSON object a line, one line for each chunk as it arrived.

::

    {"t": 12.345678, "hex": "6161303030..."}      t: seconds since the capture began

Other keys are let be. Each line stands alone, so that a capture whose writer was killed is good up to there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reader.errors import UsageError

BOM = b"\xef\xbb\xbf"
# A brace alone may be the first byte of a frame.
_OBJECT = re.compile(rb'\s*\{\s*["}]')
LONGEST_S = 1e9
SHOWN = 60  # characters of a bad line


class Piece(NamedTuple):
    """One chunk of a capture: when it came, in seconds, and its bytes."""

    t_s: float
    data: bytes


def line_from_piece(piece: Piece) -> str:
    """One line of the file, with its end."""
    return f'{{"t": {piece.t_s:.6f}, "hex": "{piece.data.hex()}"}}\n'


def pieces_from_lines(lines: Iterable[bytes], source: str) -> Iterator[Piece]:
    """The chunks, as they are read; UsageError naming ``source``, the line, what was found and what was expected.

    A last line without its end that is none was torn by a power cut or a kill: the capture ends before it.
    """
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(BOM) if number == 1 else line
        is_torn = number > 1 and text.startswith(b"{") and not text.rstrip(b" ").endswith((b"}", b"\n"))
        if text.strip() and not is_torn:
            yield _piece_from_line(text, f"{source}, line {number}")


def is_capture(beginning: bytes) -> bool:
    """Whether a file that begins so is a capture, and not the bytes themselves.

    A line of it says so: a JSON object with ``hex``. One that has no end yet may be half of one.
    """
    beginning = beginning.removeprefix(BOM)
    if _OBJECT.match(beginning):
        return True
    for line in beginning.splitlines():
        if line.startswith(b"{") and isinstance(found := _json_from(line), dict) and "hex" in found:
            return True
    return False


def _piece_from_line(line: bytes, where: str) -> Piece:
    found = _json_from(line)
    if not isinstance(found, dict):
        shown = line.strip()[:SHOWN].decode(errors="replace")
        raise UsageError(f'{where}: found {shown!r}, expected a JSON object, as {{"t": 0.5, "hex": "6161"}}')
    t_s, text = found.get("t"), found.get("hex")
    if isinstance(t_s, bool) or not isinstance(t_s, int | float) or not (abs(t_s) < LONGEST_S and math.isfinite(t_s)):
        raise UsageError(f'{where}, "t": found {_shown(t_s)}, expected seconds, as 0.5')
    if not isinstance(text, str):
        raise UsageError(f'{where}, "hex": found {_shown(text)}, expected the bytes in hex digits, as "6161"')
    try:
        return Piece(t_s, bytes.fromhex(text))
    except ValueError:
        raise UsageError(f'{where}, "hex": found {_shown(text)}, expected an even number of hex digits') from None


def _json_from(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _shown(found: object) -> str:
    return "nothing" if found is None else repr(found)[:SHOWN]
