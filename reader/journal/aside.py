"""Journals set aside: damaged ones, another race's, another box's; and what is saved from them.

A file set aside stays for ever, under a name that says why. What of it is undelivered (of a damaged one:
whatever can be read) is copied once into the journal that took its place, under its own epoch and identity.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from reader.journal.schema import connect_aside, sync_folder, translate
from reader.journal.trust import crc_of
from reader.journal.writer import Journal, OldEpoch
from reader.model import Identity

WITH_CHECKSUMS = 2  # from this schema on
STRIDE = 64  # entries asked for at once


class TakenIn(NamedTuple):
    """What became of one file set aside: how many entries were copied, how many are another box's."""

    file: str
    entries: int
    foreign: int
    trouble: str


def set_aside(path: Path, word: str) -> Path:
    """Rename the journal and its log, so that a fresh one can be begun; the new path."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.aside-{number:03d}-{word}{path.suffix}")).exists():
        number += 1
    # The log first: should the power go between the two, finish_setting_aside sees it by the log that has no database.
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    sync_folder(path.parent)
    return aside


def files_aside(path: Path) -> list[Path]:
    """Those set aside for the journal of that path, the oldest first."""
    return sorted(path.parent.glob(f"{path.stem}.aside-*{path.suffix}"))


def finish_setting_aside(path: Path) -> None:
    """What :func:`set_aside` was doing when the power went: the database follows its log, never opened without."""
    if not path.exists() or path.with_name(path.name + "-wal").exists():
        return
    for log in path.parent.glob(f"{path.stem}.aside-*{path.suffix}-wal"):
        aside = log.with_name(log.name.removesuffix("-wal"))
        if not aside.exists():
            path.rename(aside)
            sync_folder(path.parent)
            return


def take_in_all(journal: Journal) -> list[TakenIn]:
    """Copy what the files set aside beside this journal have not delivered; each file once."""
    taken = []
    for path in files_aside(journal.path):
        if journal.has_taken(path.name):
            continue
        epochs, trouble = _undelivered(path)
        own = [old for old in epochs if old.identity.box == journal.identity.box]
        foreign = sum(len(old.rows) for old in epochs if old.identity.box != journal.identity.box)
        taken.append(TakenIn(path.name, journal.take_in(path.name, own), foreign, trouble))
    return taken


def everything_in(path: Path) -> tuple[list[OldEpoch], list[tuple[object, ...]]]:
    """All epochs with all their entries, delivered or not, and the rows of ``reads`` without their number."""
    try:
        connection = connect_aside(path)
        epochs = [_with_entries(connection, n, old, 0)[0] for n, old, _ in _epochs(connection)]
        inputs = connection.execute("SELECT boot, synced, utc_ns, inputs FROM reads ORDER BY n").fetchall()
        connection.close()
    except sqlite3.Error as error:
        raise translate(error, path) from error
    return epochs, inputs


def _undelivered(path: Path) -> tuple[list[OldEpoch], str]:
    """Epochs with the entries still to deliver, as far as the file can be read; and what could not, in words.

    Where its log is damaged, what is left of the log may hide newer pages of the database: both views count.
    """
    found: dict[str, OldEpoch] = {}
    is_whole = False
    trouble = ""
    has_log = path.with_name(path.name + "-wal").exists()
    for with_log in (False, True) if has_log else (True,):
        try:
            connection = connect_aside(path, with_log=with_log)
            is_whole = True
            for n, old, is_whole_row in _epochs(connection):
                epoch, is_whole_epoch = _with_entries(connection, n, old, old.delivered_seq)
                is_whole &= is_whole_row and is_whole_epoch
                found[epoch.epoch] = _joined(found.get(epoch.epoch, epoch), epoch)
            connection.close()
        except sqlite3.Error as error:
            trouble = f"nothing of it can be read ({error})"
    if not found and trouble:
        return [], trouble
    return list(found.values()), "" if is_whole else "some of it can't be read"


def _joined(one: OldEpoch, other: OldEpoch) -> OldEpoch:
    """All that either has, but what either knows as delivered."""
    delivered_seq = max(one.delivered_seq, other.delivered_seq)
    rows = {int(str(row[0])): row for row in (*one.rows, *other.rows)}
    return other._replace(delivered_seq=delivered_seq, rows=[rows[seq] for seq in sorted(rows) if seq > delivered_seq])


def _epochs(connection: sqlite3.Connection) -> list[tuple[int, OldEpoch, bool]]:
    """Number, epoch without its entries, and whether that row is as it was written; sqlite3.Error."""
    crc = "crc" if _has_checksums(connection) else "NULL"
    statement = f"SELECT n, epoch, event, point, mat, box, delivered_seq, {crc} FROM epoch ORDER BY n"  # noqa: S608 - constants
    rows = connection.execute(statement).fetchall()
    epochs = []
    for n, *columns, crc_was in rows:
        epoch, event, point, mat, box, delivered_seq = columns
        is_whole = crc_was is None or crc_was == crc_of(*columns)
        if not is_whole:
            # Whose it is stands in a second place. What was delivered may be sent again; the rest must be sent.
            delivered_seq = 0
            event, point, mat, box = connection.execute("SELECT event, point, mat, box FROM binding").fetchone()
        if is_whole or n == rows[-1][0]:
            epochs.append((n, OldEpoch(epoch, Identity(event, point, mat, box), delivered_seq, []), is_whole))
    return epochs


def _has_checksums(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] >= WITH_CHECKSUMS)


def _with_entries(connection: sqlite3.Connection, n: int, old: OldEpoch, after_seq: int) -> tuple[OldEpoch, bool]:
    """With the readable entries after that one, in order; and whether that is all of them."""
    crc = "crc" if _has_checksums(connection) else "NULL"
    select = f"SELECT seq, type, utc_ns, mono_ns, body, {crc} FROM entry WHERE epoch = {n}"  # noqa: S608 - ours
    whole: dict[int, tuple[Any, ...]] = {}
    last = empty = 0
    for first in range(after_seq + 1, 1 << 24, STRIDE):
        found = _stride(connection, select, first)
        whole |= {row[0]: row[:5] for row in found if _is_as_written(old.epoch, row)}
        last = max([last, *(row[0] for row in found if isinstance(row[0], int))])
        # Past the end there is nothing for ever; a damaged page holds far fewer than this many strides.
        empty = 0 if found else empty + 1
        if empty == STRIDE:
            break
    return old._replace(rows=[whole[seq] for seq in sorted(whole)]), len(whole) == max(0, last - after_seq)


def _stride(connection: sqlite3.Connection, select: str, first: int) -> list[tuple[Any, ...]]:
    """Entries from that one on, as far as they can be read.

    A damaged key ends a range early, without a word: what is missing of it is asked for by its whole key, where
    SQLite needs nothing of what lies beside.
    """
    found: list[tuple[Any, ...]] = []
    with contextlib.suppress(sqlite3.Error):
        found += connection.execute(f"{select} AND seq BETWEEN ? AND ?", (first, first + STRIDE - 1)).fetchall()
    for seq in {*range(first, first + STRIDE)}.difference(row[0] for row in found):
        with contextlib.suppress(sqlite3.Error):
            found += connection.execute(f"{select} AND seq = ?", (seq,)).fetchall()
    return found


def _is_as_written(epoch: str, row: tuple[Any, ...]) -> bool:
    """By its checksum; of schema 1, which had none, whether it is JSON at least."""
    *columns, crc = row
    return isinstance(columns[0], int) and (_is_json(columns[4]) if crc is None else crc == crc_of(epoch, *columns))


def _is_json(body: object) -> bool:
    """Whether a body is whole: of a damaged page SQLite may give bytes that never were there."""
    if not isinstance(body, bytes):
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
