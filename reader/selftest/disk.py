"""The checks of the disk under the journal, of the journal itself, and of its second copy.

They are made beside a daemon that writes: what is measured leaves the disk to it for as long again, and the journal is
read in pages, so that no reading holds its log file for long.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from reader.box.storage import FAIL_FULL, WARN_FULL
from reader.copying.copier import how_far
from reader.copying.sticks import NoPlace, place_for
from reader.errors import JournalError
from reader.journal import JournalView
from reader.messages import Check, Result
from reader.model import NS_PER_S
from reader.selftest.bench import Bench
from reader.selftest.plan import Plan
from reader.wording import counted

SYNCS = 200
SYNC_BYTES = 512  # what a row adds to the journal's log
SYNC_FOR_S = 20.0  # a card that is slow is known by fewer
SYNC_WARN_MS = 50.0  # some crossings are told later than they could be
SYNC_FAIL_MS = 500.0  # in a crowd the log falls behind, and a power cut takes what waits
PAGE = 200
TELL_EVERY = 50 * PAGE
BREATH_S = 0.01
COPY_MAY_LAG = 500  # entries: what a second brings in at most


# ---- room, and whether it can be written -----------------------------------------------------------------


def _disk_free(bench: Bench) -> Iterator[Check]:
    folder = _folder(bench)
    disk = os.statvfs(folder)
    full = 1 - disk.f_bavail / disk.f_blocks if disk.f_blocks else 1.0
    result: Result = "fail" if full >= FAIL_FULL else "warn" if full >= WARN_FULL else "pass"
    yield Check(
        name="disk-free",
        result=result,
        value=f"{full:.0%} full, {disk.f_bavail * disk.f_frsize // 1_000_000} MB free",
        limit=f"{WARN_FULL:.0%} full",
        says=f"the disk of {folder} has room" if result == "pass" else f"the disk of {folder} is nearly full",
        do="" if result == "pass" else "free some: journals set aside, old captures, the system's log",
    )


def _disk_read_only(bench: Bench) -> Iterator[Check]:
    folder = _folder(bench)
    is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    if is_read_only:
        says = f"the disk of {folder} is mounted read-only: nothing that is timed can be kept on it"
        do = "look at `dmesg`: a card that fails is made read-only, and has to be replaced"
        yield Check(name="disk-read-only", result="fail", says=says, do=do)
    elif not os.access(folder, os.W_OK):
        says = f"{folder} can be written, but not by who asks here"
        yield Check(name="disk-read-only", result="skip", says=f"{says}: run this as the daemon's user")
    else:
        yield Check(name="disk-read-only", result="pass", says=f"the disk of {folder} can be written")


# ---- how fast it makes durable ---------------------------------------------------------------------------


def _disk_sync(bench: Bench) -> Iterator[Check]:
    if bench.status is not None and (journal := bench.status().parts["journal"]).word == "fail":
        yield Check(name="disk-sync", result="skip", says=f"the disk is in trouble already: {journal.says}")
        return
    folder = _folder(bench)
    try:
        took_ns = sync_times(folder, bench.pause)
    except PermissionError as error:
        says = f"{folder}: {error.strerror}: run this as the daemon's user"
        yield Check(name="disk-sync", result="skip", says=says)
        return
    yield judge_syncs(took_ns, folder)


def sync_times(
    folder: Path,
    pause: Callable[[float], None],
    sync: Callable[[int], None] = os.fdatasync,
    for_s: float = SYNC_FOR_S,
) -> list[int]:
    """How long each of some syncs took, in nanoseconds, of a file that is gone then. OSError as the disk has it."""
    took_ns: list[int] = []
    end_ns = time.monotonic_ns() + int(for_s * NS_PER_S)
    with tempfile.TemporaryFile(dir=folder, prefix="selftest-") as file:
        while len(took_ns) < SYNCS and (not took_ns or time.monotonic_ns() < end_ns):
            os.write(file.fileno(), bytes(SYNC_BYTES))
            began_ns = time.monotonic_ns()
            sync(file.fileno())
            took_ns.append(time.monotonic_ns() - began_ns)
            pause(took_ns[-1] / NS_PER_S)
    return took_ns


def judge_syncs(took_ns: list[int], folder: Path) -> Check:
    """What they say of the disk of that folder."""
    in_order = sorted(took_ns)
    p50_ms, p99_ms = (in_order[int(share * (len(in_order) - 1))] * 1000 / NS_PER_S for share in (0.5, 0.99))
    result: Result = "fail" if p99_ms > SYNC_FAIL_MS else "warn" if p99_ms > SYNC_WARN_MS else "pass"
    says = {
        "pass": f"the disk of {folder} makes durable at once what it is given",
        "warn": f"the disk of {folder} stalls now and then: in a crowd, splits are told later than they could be",
        "fail": f"the disk of {folder} is too slow for a crowd: what waits for it is lost when the power goes",
    }[result]
    return Check(
        name="disk-sync",
        result=result,
        value=f"p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms over {len(took_ns)}",
        limit=f"p99 {SYNC_WARN_MS:g} ms",
        says=says,
        do="" if result == "pass" else "use another card: one made for dashboard cameras, or an SSD",
    )


# ---- the journal, and its second copy --------------------------------------------------------------------


def _journal(bench: Bench) -> Iterator[Check]:
    path = bench.config.journal.path
    if not path.exists():
        yield Check(name="journal", result="skip", says=f"{path}: there is no journal yet; the first run makes it")
        return
    try:
        entries, epochs, fault = examine_entries(path, bench)
    except JournalError as error:
        entries, epochs, fault = 0, 0, str(error)
    value = f"{counted(entries, 'entry')} in {counted(epochs, 'epoch')}"
    if fault:
        do = "copy the file away and start the daemon anew: it sets it aside and begins a fresh one"
        yield Check(name="journal", result="fail", value=value, says=f"{path} is not as it was written: {fault}", do=do)
    else:
        yield Check(name="journal", result="pass", value=value, says=f"every entry of {path} is as it was written")


def examine_entries(path: Path, bench: Bench) -> tuple[int, int, str]:
    """How many entries and epochs there are, and the first that is not as it was written, in words. JournalError."""
    view = JournalView(path)
    count = 0
    try:
        epochs = view.epochs()
        for row in epochs:
            for first in range(1, row.last_seq + 1, PAGE):
                seqs = list(range(first, min(first + PAGE, row.last_seq + 1)))
                good = {entry.seq for entry in view.entries_at(row.epoch, seqs)}
                count += len(good)
                if missing := next((seq for seq in seqs if seq not in good), None):
                    return count, len(epochs), f"entry {missing} of epoch {row.epoch}"
                if seqs[-1] % TELL_EVERY == 0:
                    bench.tell(f"the journal's entries, one after the other: {seqs[-1]} of {row.last_seq}")
                bench.pause(BREATH_S)
    finally:
        view.close()
    return count, len(epochs), ""


def _copy(bench: Bench) -> Iterator[Check]:
    setting, path = bench.config.journal.copy, bench.config.journal.path
    if setting is None:
        yield Check(name="copy", result="skip", says="no second copy is asked for: [journal] copy")
        return
    try:
        place = place_for(setting, path)
    except NoPlace as error:
        yield Check(name="copy", result="warn", says=str(error), do="plug a USB stick in")
        return
    if not path.exists():
        yield Check(name="copy", result="pass", says=f"{place} is there, and there is nothing to copy yet")
        return
    view = JournalView(path)
    try:
        row = view.epochs()[-1]
    finally:
        view.close()
    behind = row.last_seq - how_far(place, row.identity, row.epoch)
    value, limit = f"{counted(behind, 'entry')} behind", counted(COPY_MAY_LAG, "entry")
    if behind <= COPY_MAY_LAG:
        says = f"a second copy is on {place}"
        yield Check(name="copy", result="pass", value=value, limit=limit, says=says)
    else:
        says = f"the second copy on {place} is behind"
        do = "look at the part `storage` in `timing-mat status`, or use another stick"
        yield Check(name="copy", result="warn", value=value, limit=limit, says=says, do=do)


def _folder(bench: Bench) -> Path:
    """Where the journal is, or will be: the first folder above it that is there."""
    return next(folder for folder in bench.config.journal.path.absolute().parents if folder.is_dir())


DISK_PLANS: tuple[Plan, ...] = (
    Plan("disk-free", "how full the disk under the journal is", _disk_free),
    Plan("disk-read-only", "whether the disk under the journal can be written", _disk_read_only),
    Plan("disk-sync", "how fast the disk under the journal makes durable what it is given", _disk_sync),
    Plan("journal", "whether every entry of the journal is as it was written", _journal),
    Plan("copy", "whether there is a second copy, and how far it has come", _copy),
)
