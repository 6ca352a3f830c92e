"""Journals set aside: damaged ones, another race's, another box's; and what is saved from them.

A file set aside stays for ever, under a name that says why. What of it is undelivered (of a damaged one:
whatever can be read) is copied once into the journal that took its place, under its own epoch and identity.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from reader.journal.schema import connect_aside, sync_folder, translate
from reader.journal.writer import Journal, OldEpoch
from reader.model import Identity

STRIDE = 64  # entries tried at once where a file is damaged


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
    # The log first: should the power go between the two, the database is opened without it, never another with it.
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    sync_folder(path.parent)
    return aside


def files_aside(path: Path) -> list[Path]:
    """Those set aside for the journal of that path, the oldest first."""
    return sorted(path.parent.glob(f"{path.stem}.aside-*{path.suffix}"))


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
        epochs = [
            OldEpoch(epoch, Identity(event, point, mat, box), delivered_seq, _entries(connection, n, 0)[0])
            for n, epoch, event, point, mat, box, delivered_seq in connection.execute("SELECT * FROM epoch").fetchall()
        ]
        inputs = connection.execute("SELECT boot, synced, utc_ns, inputs FROM reads ORDER BY n").fetchall()
        connection.close()
    except sqlite3.Error as error:
        raise translate(error, path) from error
    return epochs, inputs


def _undelivered(path: Path) -> tuple[list[OldEpoch], str]:
    """Epochs with the entries still to deliver, as far as the file can be read; and what could not, in words."""
    try:
        connection = connect_aside(path)
        rows = connection.execute("SELECT n, epoch, event, point, mat, box, delivered_seq FROM epoch").fetchall()
    except sqlite3.Error as error:
        return [], f"nothing of it can be read ({error})"
    epochs = []
    is_whole = True
    for n, epoch, event, point, mat, box, delivered_seq in rows:
        entries, is_whole_epoch = _entries(connection, n, delivered_seq)
        is_whole &= is_whole_epoch
        epochs.append(OldEpoch(epoch, Identity(event, point, mat, box), delivered_seq, entries))
    connection.close()
    return epochs, "" if is_whole else "some of it can't be read"


def _entries(connection: sqlite3.Connection, n: int, after_seq: int) -> tuple[list[tuple[object, ...]], bool]:
    """The readable entries of one epoch, in order, and whether that is all of them."""
    statement = "SELECT seq, type, utc_ns, mono_ns, body FROM entry WHERE epoch = ? AND seq BETWEEN ? AND ?"
    try:
        return connection.execute(statement, (n, after_seq + 1, 1 << 62)).fetchall(), True
    except sqlite3.Error:
        pass
    found: list[tuple[object, ...]] = []
    empty = 0
    for first in range(after_seq + 1, 1 << 24, STRIDE):
        before = len(found)
        for low, high in _halves(first, first + STRIDE - 1):
            try:
                found.extend(connection.execute(statement, (n, low, high)).fetchall())
            except sqlite3.Error:
                continue
        # Past the end there is nothing for ever; a damaged page holds far fewer than this many strides.
        empty = 0 if len(found) > before else empty + 1
        if empty == STRIDE:
            break
    whole = {int(str(row[0])): row for row in found if _is_json(row[4])}
    return [whole[seq] for seq in sorted(whole)], False


def _is_json(body: object) -> bool:
    """Whether a body is whole: of a damaged page SQLite may give bytes that never were there."""
    if not isinstance(body, bytes):
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _halves(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The range, and all its single places: where the whole can't be read, its parts may be."""
    yield low, high
    for place in range(low, high + 1):
        yield place, place
