"""What of each epoch is delivered, on its way, or still to send; time comes in as an argument.

::

    1 … delivered_seq | sent, in order, some answered | read, ready to send | still in the journal … last_seq

The cursor moves over what was answered without a gap, and never back; where collectors are named, over what all of
them have stored. When the broker says no, or that
nobody is listening, sending goes back to the cursor: after a second the first undelivered entry is tried
alone, and only when that one has reached someone does the window open again. So an outage costs one
message a second, and what is told again is told in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from reader.errors import JournalError
from reader.journal import Entry, EpochRow
from reader.model import NS_PER_S
from reader.uplink.broker import Answer

PAGE = 200  # entries read from the journal at once
HOLD_NS = NS_PER_S
JOURNAL_RETRY_NS = NS_PER_S

ReadEntries = Callable[[str, int, int], list[Entry]]


class View(Protocol):
    """What is needed of a :class:`reader.journal.JournalView`."""

    def epochs(self) -> list[EpochRow]:
        """All epochs, oldest first."""

    def entries(self, epoch: str, after_seq: int, limit: int) -> list[Entry]:
        """At most ``limit`` entries of that epoch with a higher ``seq``, in order."""

    def close(self) -> None:
        """Let go of it."""


class Sent(NamedTuple):
    """The token an entry is sent with; ``attempt`` tells its answer from one of an earlier try."""

    backlog: Backlog
    attempt: int
    seq: int
    type: str


class Backlog:
    """One epoch's entries on their way out.

    ``acks``: what each collector has last acknowledged.
    ``trouble``: why nothing of it is sent until ``held_until_ns``, in words, or "". ``is_unheard``: because
    nobody is listening.
    """

    def __init__(self, row: EpochRow, *, needs_listener: bool, collectors: tuple[str, ...] = ()) -> None:
        self.epoch = row.epoch
        self.identity = row.identity
        self.delivered_seq = row.delivered_seq
        self.last_seq = row.last_seq
        self.held_until_ns = 0
        self.trouble = ""
        self.is_unheard = False
        self._needs_listener = needs_listener
        self.acks: dict[str, int] = {}
        self._collectors = collectors
        self._taken_seq = row.delivered_seq  # by the broker
        self._read_seq = row.delivered_seq
        self._ready: deque[Entry] = deque()
        self._sent: deque[int] = deque()
        self._answered: set[int] = set()
        self._attempt = 0
        self._is_trying = True

    @property
    def undelivered(self) -> int:
        """How many entries wait to be delivered, those on their way included."""
        return self.last_seq - self.delivered_seq

    @property
    def unstored(self) -> dict[str, int]:
        """How many entries each collector has not stored yet, where collectors decide."""
        return {collector: self.last_seq - self.acks.get(collector, 0) for collector in self._collectors}

    @property
    def has_unsent(self) -> bool:
        """Whether there is something that has not been sent, or has to be sent again."""
        return bool(self._ready) or self._read_seq < self.last_seq

    def grow(self, last_seq: int) -> None:
        """The journal has entries through this ``seq`` now."""
        self.last_seq = max(self.last_seq, last_seq)

    def go_back(self) -> None:
        """To the cursor: what was on its way is lost, and what nobody has stored is told again."""
        self._taken_seq = self.delivered_seq
        self._send_again()

    def note_ack(self, collector: str, seq: int) -> bool:
        """That collector has stored everything through ``seq``; whether the cursor has moved."""
        self.acks[collector] = seq
        return self._advance()

    def _advance(self) -> bool:
        before = self.delivered_seq
        stored = [self.acks.get(collector, 0) for collector in self._collectors]
        reached = min(stored, default=self._taken_seq)
        self.delivered_seq = max(before, reached)
        return self.delivered_seq > before

    def _send_again(self) -> None:
        self._attempt += 1
        self._is_trying = True
        self._read_seq = self._taken_seq
        self._ready.clear()
        self._sent.clear()
        self._answered.clear()

    def take(self, now_ns: int, read: ReadEntries) -> tuple[Entry, Sent] | None:
        """The next entry to send now, if there is one and it may go."""
        if now_ns < self.held_until_ns or (self._is_trying and self._sent):
            return None
        while self._ready and self._ready[0].seq <= self.delivered_seq:
            self._ready.popleft()
        if not self._ready:
            self._read_seq = max(self._read_seq, self.delivered_seq)
            if self._read_seq >= self.last_seq:
                return None
            self._ready.extend(read(self.epoch, self._read_seq, PAGE))
            if not self._ready:
                return None
            self._read_seq = self._ready[-1].seq
        entry = self._ready.popleft()
        self._sent.append(entry.seq)
        return entry, Sent(self, self._attempt, entry.seq, entry.type)

    def note(self, sent: Sent, answer: Answer, now_ns: int) -> bool:
        """The broker's answer to one of its entries; whether the cursor has moved."""
        if sent.attempt != self._attempt:
            return False
        if not answer.is_taken:
            self._hold(now_ns, f"the broker refuses {sent.type} {sent.seq}: {answer.says}")
            return False
        if sent.type == "split" and not answer.has_listener and self._needs_listener:
            self._hold(now_ns, f"nobody is listening for the splits of {self._place}")
            self.is_unheard = True
            return False
        if answer.has_listener:
            self._is_trying = False
        if answer.has_listener or sent.type == "split":
            self.trouble = ""
            self.is_unheard = False
        self._answered.add(sent.seq)
        while self._sent and self._sent[0] in self._answered:
            self._taken_seq = self._sent.popleft()
            self._answered.discard(self._taken_seq)
        return self._advance()

    @property
    def _place(self) -> str:
        return f"{self.identity.event}/{self.identity.point}/{self.identity.mat}"

    def _hold(self, now_ns: int, trouble: str) -> None:
        self.trouble = trouble
        self.is_unheard = False
        self.held_until_ns = now_ns + HOLD_NS
        self._send_again()


class Backlogs:
    """All epochs of the journal, by a view that is opened, and opened again after trouble, in this thread.

    ``ours``: oldest first. ``foreign``: entries of another box, by epoch; they are not sent. ``trouble``:
    why the journal can't be read, in words, or "".
    """

    def __init__(
        self, open_view: Callable[[], View | None], box: str, *, needs_listener: bool, collectors: tuple[str, ...] = ()
    ) -> None:
        self.foreign: dict[str, int] = {}
        self.trouble = ""
        self._open_view = open_view
        self._box = box
        self._needs_listener = needs_listener
        self._collectors = collectors
        self._view: View | None = None
        self._is_looked = False
        self._retry_ns = 0
        self._by_epoch: dict[str, Backlog] = {}
        self._current: Backlog | None = None

    @property
    def ours(self) -> list[Backlog]:
        """Of this box, oldest first."""
        return list(self._by_epoch.values())

    @property
    def has_unsent(self) -> bool:
        """Whether the current epoch has something to send."""
        return self._current is not None and self._current.has_unsent

    def go_back(self) -> None:
        """All of them to their cursors."""
        for backlog in self._by_epoch.values():
            backlog.go_back()

    def look_again(self) -> None:
        """Something was committed."""
        self._is_looked = False

    def reopen(self) -> None:
        """The journal may be another file now."""
        self.close()
        self._retry_ns = 0

    def close(self) -> None:
        """Let go of the journal."""
        view, self._view = self._view, None
        self._is_looked = False
        if view is not None:
            view.close()

    def due_ns(self, now_ns: int) -> int:
        """When to look or to try again, if nothing comes before; at the latest in a second."""
        dues = [backlog.held_until_ns for backlog in self._by_epoch.values() if backlog.held_until_ns > now_ns]
        if self._view is None:
            dues.append(self._retry_ns)
        return min(dues, default=now_ns + NS_PER_S)

    def look(self, now_ns: int) -> bool:
        """Which epochs there are, and how far they go, if that may have changed; whether it was looked."""
        if self._is_looked or now_ns < self._retry_ns:
            return False
        try:
            if self._view is None:
                self._view = self._open_view()
            if self._view is None:
                self._retry_ns = now_ns + JOURNAL_RETRY_NS
                return False
            self._sort(self._view.epochs())
        except JournalError as error:
            self._stumble(error, now_ns)
            return False
        self._is_looked = True
        self.trouble = ""
        return True

    def note_acks(self, collector: str, acks: Mapping[str, int]) -> tuple[list[Backlog], str]:
        """A collector has stored so much of these epochs: those whose cursor has moved; what can't be, in words."""
        moved, says = [], ""
        for epoch, seq in acks.items():
            backlog = self._by_epoch.get(epoch)
            if backlog is None:
                continue
            if not 0 <= seq <= backlog.last_seq:
                says = f"{collector} acknowledges {epoch} through {seq}, which ends at {backlog.last_seq}: ignored"
            elif backlog.note_ack(collector, seq):
                moved.append(backlog)
        return moved, says

    def take(self, now_ns: int) -> tuple[Entry, Sent] | None:
        """The next entry to send now: of older epochs only while the current has nothing waiting."""
        if self._view is None:
            return None
        read = self._view.entries
        try:
            if self._current is not None and self._current.has_unsent:
                return self._current.take(now_ns, read)
            for backlog in self._by_epoch.values():
                if backlog.has_unsent and (taken := backlog.take(now_ns, read)) is not None:
                    return taken
        except JournalError as error:
            self._stumble(error, now_ns)
        return None

    def _sort(self, rows: list[EpochRow]) -> None:
        known, self._by_epoch, self.foreign, self._current = self._by_epoch, {}, {}, None
        for row in rows:
            if row.identity.box != self._box:
                if row.last_seq > row.delivered_seq:
                    self.foreign[row.epoch] = row.last_seq - row.delivered_seq
                continue
            backlog = known.get(row.epoch) or Backlog(
                row, needs_listener=self._needs_listener, collectors=self._collectors
            )
            backlog.grow(row.last_seq)
            self._by_epoch[row.epoch] = backlog
            if row.is_current:
                self._current = backlog

    def _stumble(self, error: JournalError, now_ns: int) -> None:
        self.trouble = str(error)
        self.close()
        self._retry_ns = now_ns + JOURNAL_RETRY_NS
