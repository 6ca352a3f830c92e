"""The thread that follows the journal onto a stick: by a connection that only reads, in pages, in nobody's way.

The journal is the queue, as for the uplink; how far a stick has come stands in its own files. So a stick that is
pulled, full or slow costs nothing but itself, and is caught up when it is back; another stick gets everything.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from reader.copying.files import AppendedFile, last_in
from reader.copying.lines import encode, entry_line, reads_in
from reader.copying.sticks import NoPlace, place_for
from reader.errors import JournalError
from reader.journal import JournalView
from reader.messages import Part
from reader.model import Identity

EVERY_S = 1.0  # looked at, and synced if there was anything: a dead card loses what came since
PAGE = 500
ROWS = 50
BREATH_S = 0.01  # between pages, so that stamps are not late while a new stick is filled
FOLDER = "timing-mat"

log = logging.getLogger(__name__)


class Copier:
    """``setting``: `[journal] copy`. ``journal``: where the log is now; ``path``: where it is meant to be.

    ``part``: how it stands, for the status.
    """

    def __init__(
        self, setting: str, path: Path, journal: Callable[[], Path], line_of_reader: Mapping[str, str]
    ) -> None:
        self.part = Part("unknown", "nothing was copied yet")
        self._setting = setting
        self._path = path
        self._journal = journal
        self._line_of_reader = line_of_reader
        self._stopping = threading.Event()
        self._waking = threading.Event()
        self._thread = threading.Thread(target=self._run, name="copy", daemon=True)
        self._place: Path | None = None
        self._files: dict[Path, AppendedFile] = {}

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self, limit_s: float = 3.0) -> None:
        """Copy what is there still, and end; returns after ``limit_s`` at the latest."""
        self._stopping.set()
        self._waking.set()
        if self._thread.ident is not None:
            self._thread.join(limit_s)

    def sync_now(self) -> None:
        """Copy and sync what is committed now, without waiting for the next round; from any thread, returns at once."""
        self._waking.set()

    # ---- the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._waking.wait(EVERY_S)
            self._waking.clear()
            is_last = self._stopping.is_set()
            try:
                self._copy(place_for(self._setting, self._path))
            except NoPlace as error:
                self._drop()
                self.part = Part("warn", str(error))
            except JournalError as error:
                self._drop()
                self.part = Part("warn", f"the second copy waits: {error}")
            except OSError as error:
                self._drop()
                remedy = "use an empty stick" if error.errno == errno.ENOSPC else "look at the stick, or use another"
                self.part = Part("warn", f"{self._place}: no second copy: {error.strerror or error}; {remedy}")
            except Exception as error:
                log.exception("the second copy stumbled and goes on")
                self._drop()
                self.part = Part("warn", f"no second copy: a fault of this program ({error!r}); please report it")
        self._drop()

    def _copy(self, place: Path) -> None:
        if place != self._place:
            self._drop()
            self._place = place
        with ExitStack() as stack:
            view = JournalView(self._journal())
            stack.callback(view.close)
            for row in view.epochs():
                folder = place / FOLDER / _folder_of(row.identity)
                self._copy_entries(view, row.identity, row.epoch, row.last_seq, folder / f"{row.epoch}.jsonl")
                if row.is_current:
                    self._copy_reads(view, folder / f"{row.epoch}.reads.jsonl")
        for file in self._files.values():
            file.sync()
        self.part = Part("ok", f"a second copy is on {place}")

    def _copy_entries(self, view: JournalView, whose: Identity, epoch: str, last_seq: int, path: Path) -> None:
        file = self._open(path, is_several=False)
        while file.last < last_seq and (page := view.entries(epoch, file.last, PAGE)):
            file.append(b"".join(entry_line(whose, entry) for entry in page), page[-1].seq)
            self._breathe()

    def _copy_reads(self, view: JournalView, path: Path) -> None:
        file = self._open(path, is_several=True)
        for rows in view.pages_of_inputs(file.last, ROWS):
            data = b"".join(encode(read) + b"\n" for row in rows for read in reads_in(row, self._line_of_reader))
            file.append(data, rows[-1].n)
            self._breathe()

    def _open(self, path: Path, *, is_several: bool) -> AppendedFile:
        if path not in self._files:
            self._files[path] = AppendedFile(path, is_several=is_several)
        return self._files[path]

    def _breathe(self) -> None:
        if not self._stopping.is_set():
            self._stopping.wait(BREATH_S)

    def _drop(self) -> None:
        files, self._files = self._files, {}
        for file in files.values():
            try:
                file.close()
            except OSError as error:
                log.debug("closing a file of the second copy: %s", error)


def how_far(place: Path, whose: Identity, epoch: str) -> int:
    """The last entry of that epoch that is whole on the stick; 0 for none."""
    return last_in(place / FOLDER / _folder_of(whose) / f"{epoch}.jsonl")


def _folder_of(whose: Identity) -> str:
    return f"{whose.box}-{whose.event}-{whose.point}-{whose.mat}"
