"""The second copy, read back: from one of its files or a folder of them, nothing twice; torn lines are left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from reader.copying.lines import CopiedRead
from reader.errors import JournalError

READS = ".reads.jsonl"
ENDING = ".jsonl"

_entry = msgspec.json.Decoder()
_read = msgspec.json.Decoder(CopiedRead)


class Copied:
    """``torn``: how many lines could not be read so far: the last one of a stick that was pulled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0

    def entries(self) -> Iterator[dict[str, Any]]:
        """The messages, each once, file by file."""
        seen: set[tuple[str, int]] = set()
        for file in self._files(are_reads=False):
            for line in self._lines(file):
                entry = self._decoded(_entry, line)
                if not isinstance(entry, dict) or not {"type", "epoch", "seq"} <= entry.keys():
                    continue
                identity = (entry["epoch"], entry["seq"])
                if identity not in seen:
                    seen.add(identity)
                    yield entry

    def reads(self) -> Iterator[CopiedRead]:
        """The raw reads, each once, file by file."""
        seen: set[tuple[object, ...]] = set()
        for file in self._files(are_reads=True):
            for line in self._lines(file):
                read = self._decoded(_read, line)
                if read is None:
                    continue
                # Of reads that waited for their reader's clock many are given at one moment, each the first of its own.
                identity = (read.boot, read.reader, read.at_mono_ns, read.place, read.chip, read.mono_ns)
                if identity not in seen:
                    seen.add(identity)
                    yield read

    def _files(self, *, are_reads: bool) -> list[Path]:
        files = sorted(self.path.rglob(f"*{ENDING}")) if self.path.is_dir() else [self.path]
        found = [file for file in files if file.name.endswith(READS) == are_reads]
        if not found:
            what = READS if are_reads else ENDING
            raise JournalError(f"{self.path}: found no file of a second copy here, expected one that ends in {what}")
        return found

    def _lines(self, file: Path) -> Iterator[bytes]:
        try:
            with file.open("rb") as lines:
                yield from lines
        except OSError as error:
            raise JournalError(
                f"{file}: {error.strerror or error}; try another card reader, or copy it first"
            ) from error

    def _decoded(self, decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
        try:
            return decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.torn += 1
            return None


def is_copy(path: Path) -> bool:
    """Whether this is a second copy, by its name: a folder, or a file of JSON lines."""
    return path.is_dir() or path.name.endswith(ENDING)
