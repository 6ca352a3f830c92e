"""A file that is only ever appended to, on a disk that may be pulled out at any moment.

What was written last may be torn. On opening, the end is cut back to whole lines, and to whole numbers: where a number
may stand on several lines (the reads of one row), the last one may not be whole, and is written again.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import msgspec

TAIL_BYTES = 64 * 1024


class _Numbered(msgspec.Struct):
    """What tells how far a file goes: an entry's ``seq``, or the row of a read."""

    seq: int | None = None
    n: int | None = None


_numbered = msgspec.json.Decoder(_Numbered)


class AppendedFile:
    """``last``: the number up to which everything is whole in it; 0 for nothing. OSError as the disk has it.

    ``is_several``: whether a number may stand on several lines.
    """

    def __init__(self, path: Path, *, is_several: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._is_new = True  # its name in the folder is not on the disk yet, perhaps
        self._folder = path.parent
        self.has_unsynced = False
        try:
            length, self.last = _whole(self._fd, is_several=is_several)
            os.ftruncate(self._fd, length)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> AppendedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, data: bytes, last: int) -> None:
        """Whole lines, through the number ``last``."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self.last = last
        self.has_unsynced = True

    def sync(self) -> None:
        """Make it as durable as the disk makes it."""
        if not self.has_unsynced:
            return
        os.fdatasync(self._fd)
        if self._is_new:
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._is_new = False
        self.has_unsynced = False

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)


def last_in(path: Path) -> int:
    """The number up to which everything is whole in a file of one line a number; 0 for none. Nothing is touched."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        return _whole(fd, is_several=False)[1]
    finally:
        os.close(fd)


def _whole(fd: int, *, is_several: bool) -> tuple[int, int]:
    """How many bytes to keep, and the last number in them."""
    size = os.fstat(fd).st_size
    tail_bytes = TAIL_BYTES
    while True:
        start = max(0, size - tail_bytes)
        lines = os.pread(fd, size - start, start).splitlines(keepends=True)
        if start:
            start += len(lines.pop(0))  # its beginning is not in sight
        kept = [(line, number) for line in lines if (number := _number_of(line)) is not None]
        if kept and is_several:
            last = kept[-1][1]
            before = [(line, number) for line, number in kept if number != last]
            kept = before if before or not start else []
        if kept or not start:
            return _end_of(kept[-1][0], lines, start) if kept else 0, kept[-1][1] if kept else 0
        tail_bytes *= 4


def _number_of(line: bytes) -> int | None:
    if not line.endswith(b"\n"):
        return None
    try:
        numbered = _numbered.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # torn, and gone on after a power cut
    return numbered.seq if numbered.seq is not None else numbered.n


def _end_of(last: bytes, lines: list[bytes], start: int) -> int:
    end = start
    for line in lines:
        end += len(line)
        if line is last:
            return end
    return end
