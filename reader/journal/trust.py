"""Whether a journal is as it was written: what SQLite itself does not look at.

SQLite finds a page whose structure is broken, not a digit that has changed within one; and a log that lost its
end is to it a log that was never longer. Either would tell race control something else under an
``(epoch, seq)`` that it knows. So each row bears a checksum, and the index of the log, which outlives a killed
process, says how long the log was.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import msgspec

from reader.errors import JournalDamaged
from reader.journal.schema import FROM_1, VERSION

_pack = msgspec.msgpack.Encoder().encode

# Which columns each table's checksum is of; that of an entry begins with its epoch's name.
CHECKED = {
    "an epoch": "SELECT epoch, event, point, mat, box, delivered_seq, crc FROM epoch",
    "a row of reads": "SELECT boot, synced, utc_ns, inputs, crc FROM reads",
    "the gate's state": "SELECT reads_n, settings, state, crc FROM gate",
}
ENTRIES = "SELECT seq, type, utc_ns, mono_ns, body, crc FROM entry WHERE epoch = ?"
# The format of the log and its index: sqlite.org/walformat.html. The index begins with its header, twice, and the
# number of pages of the log that are in the database too; in this machine's byte order.
INDEX = struct.Struct("=48s48sI")
INDEX_HEADER = struct.Struct(
    "=12x?xHII2I8s8x"
)  # is made; page size; pages in the log; in the database; checksum; salts
LOG_HEADER = struct.Struct(">I12x8sII")  # kind; salts; checksum
PAGE_HEADER = struct.Struct(">8x8sII")  # salts; the checksum of the log up to here
LOG_KIND = 0x377F0682  # its lowest bit: checksums are of big-endian words
WORD = 1 << 32


def crc_of(*columns: object) -> int:
    """The checksum of one row."""
    return zlib.crc32(_pack(columns))


def examine_log(path: Path) -> None:
    """JournalDamaged if the log beside a database has lost something, as far as its index knows.

    Only while this process has no connection to that journal: to close a file drops all locks it has on it. And
    before there is one: SQLite would take the part of the log before a damage for the whole, and put its pages over
    newer ones in the database.
    """
    if fault := _fault_in_log(path):
        raise JournalDamaged(f"{path}: not whole ({fault})")


def examine(connection: sqlite3.Connection, path: Path) -> None:
    """JournalDamaged unless the file is whole, as it was written, and of a schema this program knows."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise JournalDamaged(f"{path}: written by a newer timing-mat (schema {version}, this one knows {VERSION})")
    faults = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if faults != "ok":
        raise JournalDamaged(f"{path}: not whole ({faults})")
    if version < VERSION:
        for statement in ("BEGIN IMMEDIATE", *FROM_1.split(";")[:-1], f"PRAGMA user_version={VERSION}", "COMMIT"):
            connection.execute(statement)
    if fault := _fault_in_rows(connection):
        raise JournalDamaged(f"{path}: not whole ({fault})")


def _fault_in_log(path: Path) -> str:
    """What is missing of it, in words, or ""."""
    try:
        with path.with_name(path.name + "-shm").open("rb") as file:
            header, again, _ = INDEX.unpack(file.read(INDEX.size))
    except (OSError, struct.error):
        return ""
    is_made, page_bytes, pages, _, *checksum, salts = INDEX_HEADER.unpack(header)
    if header != again or not is_made or not pages:
        return ""
    good = 0
    with contextlib.suppress(OSError, struct.error), path.with_name(path.name + "-wal").open("rb") as log:
        good = _good_pages(log, page_bytes, pages, salts, checksum)
    return "" if good == pages else f"of {pages} pages of its log the first {good} can be read"


def _good_pages(log: BinaryIO, page_bytes: int, pages: int, salts: bytes, checksum: list[int]) -> int:
    """How many pages from the first one are as they were written; struct.error where the log has no header."""
    head = log.read(LOG_HEADER.size)
    kind, its_salts, *its_checksum = LOG_HEADER.unpack(head)
    order = ">" if kind == LOG_KIND | 1 else "<"
    so_far = _checksum(head[:24], order, (0, 0))
    if list(so_far) != its_checksum:
        return 0
    if its_salts != salts:
        return pages  # after a power cut the index may be an older one than the log: it knows nothing of this one
    page_bytes = page_bytes if page_bytes > 1 else 65_536
    for number in range(1, pages + 1):
        head, page = log.read(PAGE_HEADER.size), log.read(page_bytes)
        if len(page) < page_bytes:
            return number - 1
        so_far = _checksum(page, order, _checksum(head[:8], order, so_far))
        if PAGE_HEADER.unpack(head) != (salts, *so_far):
            return number - 1
    return pages if list(so_far) == checksum else pages - 1


def _checksum(data: bytes, order: str, so_far: tuple[int, int]) -> tuple[int, int]:
    """SQLite's own, of words in pairs, going on from that of what came before."""
    first, second = so_far
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, other in zip(words, words, strict=True):
        first = (first + one + second) % WORD
        second = (second + other + first) % WORD
    return first, second


def _fault_in_rows(connection: sqlite3.Connection) -> str:
    """What is not as it was written, in words, or ""."""
    for row, statement in CHECKED.items():
        for *columns, crc in connection.execute(statement):
            if crc is not None and crc != crc_of(*columns):
                return f"{row} is not as it was written"
    for n, epoch in connection.execute("SELECT n, epoch FROM epoch").fetchall():
        for *columns, crc in connection.execute(ENTRIES, (n,)):
            if crc is not None and crc != crc_of(epoch, *columns):
                return "an entry is not as it was written"
    binding = connection.execute("SELECT event, point, mat, box FROM binding").fetchone()
    current = connection.execute("SELECT event, point, mat, box, n FROM epoch ORDER BY n DESC LIMIT 1").fetchone()
    if binding is None or current is None or binding != current[:4]:
        return "whose it is can't be read"
    count, last = connection.execute("SELECT count(*), max(seq) FROM entry WHERE epoch = ?", current[4:]).fetchone()
    return f"of {last} entries {count} are there" if count != (last or 0) else ""
