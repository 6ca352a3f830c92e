"""A journal that goes on when its disk does not.

::

    the disk takes it        the journal's own file
    the disk is full         the same, once the ballast beside it is thrown out (``ballast``); when that is gone too:
    the disk refuses         a journal in memory (a file under /run or /dev/shm), an epoch of its own,
                             its entries told ``durable: false``
    the disk takes it again  what was in memory is written down under its epoch, and the log goes on:
                             after a full disk in the old file, after a failed sync in a fresh one, for
                             the kernel forgets what it could not write and calls the next sync good

A stall is waited for; only an error comes here.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from reader.errors import DiskFull, DiskRefused, JournalDamaged, JournalError
from reader.journal.aside import everything_in, set_aside, take_in_all
from reader.journal.ballast import Ballast
from reader.journal.view import JournalView
from reader.journal.writer import Journal
from reader.model import NS_PER_S, Identity, Input

RETRY_NS = 5 * NS_PER_S
MEMORY_BYTES = 256 << 20
NOT_DURABLE = b',"durable":false}'


class SteadyJournal:
    """The journal of one mat, for the recorder; as :class:`reader.journal.Journal`, but it does not give up.

    ``disk``: None if the file could not be opened at all, for which ``trouble`` says why. ``memory``: where a
    journal in memory may be, the first that works is used.
    """

    def __init__(
        self,
        path: Path,
        identity: Identity,
        disk: Journal | None,
        memory: Sequence[Path],
        trouble: str = "",
        ballast: Ballast | None = None,
    ) -> None:
        self._path = path
        self._identity = identity
        self._disk = disk
        self._memory_paths = memory
        self._memory: Journal | None = None
        self._ballast = ballast
        self._retry_ns = 0
        self.trouble = trouble
        if disk is None:
            self._memory = self._begin_in_memory()
        self._now: Journal = self._memory or self._require(disk)

    # ---- as a journal ----------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The file of the log as it is now."""
        return self._now.path

    @property
    def epoch(self) -> str:
        """The epoch being written."""
        return self._now.epoch

    @property
    def last_seq(self) -> int:
        """Of the last entry appended."""
        return self._now.last_seq

    @property
    def is_durable(self) -> bool:
        """Whether what is committed is on a disk."""
        return self._memory is None

    @property
    def is_on_ballast(self) -> bool:
        """Whether the disk ran full, and the log is written where the ballast was."""
        return self._ballast is not None and self._ballast.is_thrown_out

    @property
    def has_unwritten(self) -> bool:
        """Whether a commit has something to do besides the cursor."""
        return self._now.has_unwritten

    @property
    def has_cursor_to_write(self) -> bool:
        """Whether an epoch's delivery has moved since the last commit."""
        return self._now.has_cursor_to_write

    def append(self, type_: str, utc_ns: int, mono_ns: int, body: bytes) -> None:
        """Append an entry; it stands only after :meth:`commit`."""
        self._now.append(type_, utc_ns, mono_ns, body if self.is_durable else body[:-1] + NOT_DURABLE)

    def keep(self, given: Input) -> None:
        """Keep what the gate was given."""
        self._now.keep(given)

    def delivered(self, epoch: str, seq: int) -> None:
        """Note how far an epoch has been delivered."""
        self._now.delivered(epoch, seq)

    def save_gate(self, settings: bytes, state: bytes) -> None:
        """Keep the gate's state as it is after all that was kept so far."""
        self._now.save_gate(settings, state)

    def count_of(self, type_: str) -> int:
        """How many entries of that type the current epoch has, revisions not counted."""
        return self._now.count_of(type_)

    def view(self) -> JournalView:
        """A read-only connection to the file of the log as it is now."""
        return self._now.view()

    def commit(self, boot: str, synced: bool, utc_ns: int, mono_ns: int) -> str:
        """Write what was appended and kept. A sentence, if the log goes on in another place from here.

        DiskRefused only if memory refuses too; nothing is lost then, it is tried again.
        """
        if self._memory is None:
            try:
                says = self._commit_to_disk(boot, synced, utc_ns)
            except (DiskRefused, JournalDamaged) as error:
                self._leave_disk(error)
                self._retry_ns = mono_ns + RETRY_NS
                self._now.commit(boot, synced, utc_ns)
                return f"the journal goes on in memory only, for the disk failed: {error}"
            if self._ballast is not None and mono_ns >= self._retry_ns:
                self._retry_ns = mono_ns + RETRY_NS
                self._ballast.load()
            return says
        self._now.commit(boot, synced, utc_ns)
        if mono_ns < self._retry_ns:
            return ""
        self._retry_ns = mono_ns + RETRY_NS
        with contextlib.suppress(OSError):
            if self._memory.path.stat().st_size > MEMORY_BYTES:
                self._memory.forget_oldest_inputs()
        return self._return_to_disk()

    def close(self) -> None:
        """Close the writer; close it while a view is open, and the views last.

        In memory the disk is tried once more before: memory does not outlive the box's power.
        """
        if self._memory is not None:
            self._return_to_disk()
        self._now.close()
        if self._disk is not None and self._disk is not self._now:
            self._disk.close()

    def _commit_to_disk(self, boot: str, synced: bool, utc_ns: int) -> str:
        """A sentence, if it was the ballast's room that took it. DiskRefused, JournalDamaged."""
        try:
            self._now.commit(boot, synced, utc_ns)
        except DiskFull:
            if self._ballast is None or not self._ballast.throw_out():
                raise
            self._now.commit(boot, synced, utc_ns)
            return "the disk is full: the ballast was thrown out, and the log is written in its room; free some"
        return ""

    # ---- from disk to memory and back ------------------------------------------------------------------

    def _leave_disk(self, error: JournalError) -> None:
        """The disk refused: what it did not take goes on in memory, under a new epoch."""
        old = self._require(self._disk)
        self._memory = memory = self._begin_in_memory()
        self.trouble = str(error)
        entries, inputs = old.take_back()
        for _, _, type_, utc_ns, mono_ns, body in entries:
            memory.append(type_, utc_ns, mono_ns, body[:-1] + NOT_DURABLE)
        for given in inputs:
            memory.keep(given)
        self._now = memory
        if not isinstance(error, DiskFull):
            old.close()
            self._disk = None

    def _return_to_disk(self) -> str:
        """Try the disk again; a sentence if it takes the log back."""
        memory = self._require(self._memory)
        if self._ballast is not None:
            self._ballast.make_room()
        try:
            disk = self._disk
            if disk is None:
                if self._path.exists():
                    set_aside(self._path, "failed")
                disk = self._disk = Journal.create(self._path, self._identity)  # the next try goes on with it
                take_in_all(disk)
            epochs, inputs = everything_in(memory.path)
            disk.take_in(f"memory-{memory.epoch}", epochs, inputs)
        except (JournalError, OSError) as error:
            self.trouble = str(error)
            return ""
        self._now = disk
        self._memory = None
        self.trouble = ""
        memory.close()
        _remove(memory.path)
        return "the disk takes the journal again; what was in memory meanwhile is written down"

    def _begin_in_memory(self) -> Journal:
        refusal: Exception | None = None
        for path in self._memory_paths:
            try:
                return self._go_on_in_memory(path) or Journal.create(path, self._identity)
            except (JournalError, OSError) as error:
                refusal = error
        raise DiskRefused(f"neither the disk nor memory takes the journal ({refusal})") from refusal

    def _go_on_in_memory(self, path: Path) -> Journal | None:
        """What an earlier run left there goes on, for no disk has it; None if there is nothing to go on with."""
        if not path.exists():
            return None
        try:
            journal = Journal.open(path)
        except JournalDamaged:
            _remove(path)  # it died while it made it
            return None
        if journal.identity == self._identity:
            return journal
        journal.close()
        raise DiskRefused(f"{path}: another mat's journal is there")

    def _require(self, journal: Journal | None) -> Journal:
        if journal is None:
            raise DiskRefused(self.trouble)
        return journal


def take_in_left_over(journal: Journal, memory: Sequence[Path]) -> str:
    """Write down what a run that died without a disk left in memory; a sentence if there was something."""
    says = ""
    for path in memory:
        if not path.exists():
            continue
        try:
            epochs, inputs = everything_in(path)
        except JournalDamaged:
            _remove(path)  # a run that died while it made it
            continue
        count = journal.take_in(f"memory-{','.join(old.epoch for old in epochs)}", epochs, inputs)
        _remove(path)
        says = f"{count} entries of a spell without a disk are written down"
    return says


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm", ".lock"):
        try:
            os.unlink(path.with_name(path.name + ending))  # noqa: PTH108 - by errno below
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
