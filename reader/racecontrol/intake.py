"""What comes from the mats, made sense of: doubles removed, gaps seen, what is new kept until it is written.

No I/O: messages come in, and what they say stands in ``mats``, ``epochs`` and ``pending`` for who writes and asks.
"""

from __future__ import annotations

from collections import deque

import msgspec

from reader.clock import Clock
from reader.model import Identity
from reader.racecontrol import taken
from reader.racecontrol.epochs import Epoch, Mat, Question, Questions
from reader.racecontrol.mats import MatState
from reader.racecontrol.taken import Entry
from reader.uplink import wire
from reader.wording import counted

WHATS = (*wire.SEQUENCED, "status", "link", "reply")
PENDING_BYTES = 64 * 1024 * 1024  # while the disk refuses; what comes beyond is asked for again later


class Intake:
    """Of one event. ``bibs``: by chip, for splits that bear none.

    ``pending``: what has come and is not written. ``changed_mats``, ``changed_lost``: what of the mats, and of which
    epochs' losses, is not written. ``doubled``: entries that came again. ``says``: what makes no sense, in words.
    """

    def __init__(self, event: str, prefix: str, clock: Clock, bibs: dict[str, str]) -> None:
        self.mats: dict[Mat, MatState] = {}
        self.epochs: dict[str, Epoch] = {}
        self.questions = Questions()
        self.pending: list[tuple[Entry, str]] = []
        self.changed_mats: set[Mat] = set()
        self.changed_lost: set[str] = set()
        self.doubled = 0
        self.says: deque[str] = deque(maxlen=100)
        self._event = event
        self._prefix = prefix
        self._clock = clock
        self._bibs = bibs
        self._foreign: set[str] = set()
        self._pending_bytes = 0
        self._addresses: dict[str, wire.Address] = {}

    def arrived(self, topic: str, payload: bytes, *, is_retained: bool) -> None:
        """A message; never raises."""
        try:
            address = self._addresses.get(topic) or self._address_of(topic)
            if address.what in wire.SEQUENCED:
                entry, body = taken.entry_from(topic, payload)
                _check_speaker(topic, address, entry)
                self._heard_of(address, entry.box, is_retained=is_retained)
                self._take_entry(entry, body)
            elif address.what == "reply":
                self.mat(*address[:3]).last_word_ns = self._clock.mono_ns()
                self._take_page(topic, taken.read(taken.pages, topic, payload))
            elif address.what == "status":
                status = taken.read(taken.statuses, topic, payload)
                self._heard_of(address, status.box, is_retained=is_retained).take(
                    status, str(payload, "utf-8", "replace")
                )
                if status.epoch and status.last_seq:
                    whose = Identity(address.event, address.point, address.mat, status.box)
                    self._epoch(status.epoch, whose).exists_through(status.last_seq, self._clock.mono_ns())
            elif address.what == "link":
                link = taken.read(taken.links, topic, payload)
                self._heard_of(address, link.box, is_retained=is_retained).link = link.link
        except wire.MessageMalformed as error:
            self.says.append(str(error))

    def take(self, where: str, payload: bytes) -> None:
        """An entry from elsewhere than the broker; never raises."""
        try:
            self._take_entry(*taken.entry_from(where, payload))
        except wire.MessageMalformed as error:
            self.says.append(str(error))

    def written(self) -> None:
        """What was pending and changed is on disk."""
        self.pending = []
        self._pending_bytes = 0
        self.changed_mats.clear()
        self.changed_lost.clear()

    def mat(self, event: str, point: str, mat: str) -> MatState:
        """The mat of that name, and from now on there is one."""
        known = self.mats.get((point, mat))
        if known is None:
            known = self.mats[point, mat] = MatState(event, point, mat)
        return known

    def home(self, epoch: Epoch) -> Mat | None:
        """Where the box of that epoch listens to commands; None where it is known to be away."""
        own = self.mats.get(epoch.mat)
        if own is None or (own.box in ("", epoch.identity.box) and own.is_there):
            return epoch.mat
        # It may be another mat by now, and have the old journal still.
        its = [mat.key for mat in self.mats.values() if mat.box == epoch.identity.box and mat.link == "online"]
        return its[0] if its else None

    # ---- inside --------------------------------------------------------------------------------------------

    def _address_of(self, topic: str) -> wire.Address:
        address = self._addresses[topic] = wire.address_from_topic(topic, self._prefix)
        return address

    def _heard_of(self, address: wire.Address, box: str, *, is_retained: bool) -> MatState:
        """The mat there, which has just spoken, or at some time."""
        mat = self.mat(*address[:3])
        mat.box = box
        if not is_retained:
            mat.last_word_ns = self._clock.mono_ns()
        self.changed_mats.add(mat.key)
        return mat

    def _epoch(self, name: str, whose: Identity) -> Epoch:
        known = self.epochs.get(name)
        if known is None:
            known = self.epochs[name] = Epoch(name, whose)
        return known

    @property
    def _is_full(self) -> bool:
        return self._pending_bytes > PENDING_BYTES

    def _take_entry(self, entry: Entry, body: str, *, is_asked_for: bool = False) -> bool:
        """False if it is a double, or can't be taken now."""
        if entry.event != self._event:
            if entry.event not in self._foreign:
                self._foreign.add(entry.event)
                self.says.append(f"entries of the event {entry.event} came, and are left out: this is {self._event}")
            return False
        if self._is_full:
            return False  # the mats have it
        epoch = self._epoch(entry.epoch, Identity(entry.event, entry.point, entry.mat, entry.box))
        if epoch.lost:
            self.changed_lost.add(epoch.name)
        if not epoch.add(entry.seq, self._clock.mono_ns(), is_asked_for=is_asked_for):
            self.doubled += 1
            return False
        if entry.type == "split":
            if not entry.passing:
                self.says.append(f"entry {entry.epoch}/{entry.seq} makes no sense as a split; it is kept as it came")
            elif entry.bib is None and (bib := self._bibs.get(entry.chip)):
                entry = msgspec.structs.replace(entry, bib=bib)
        self.pending.append((entry, body))
        self._pending_bytes += len(body)
        return True

    def _take_page(self, topic: str, page: taken.Page) -> None:
        question = self.questions.find(page.id)
        if question is None:
            return  # the answer to another's question
        if self._is_full:
            self.questions.unasked(question)  # it is asked again when the disk takes it
            return
        now_ns = self._clock.mono_ns()
        for raw in page.entries:
            try:
                entry, body = taken.entry_from(topic, raw)
            except wire.MessageMalformed as error:
                self.says.append(str(error))
                continue
            if entry.epoch == question.epoch.name:
                question.has_brought |= self._take_entry(entry, body, is_asked_for=True)
        if page.ok:
            self.questions.answered(question, page.page, page.pages, now_ns)
        else:
            self.questions.refused(question, page.error, now_ns)
        self._note_lost(question)

    def _note_lost(self, question: Question) -> None:
        lost = question.epoch.lost
        if lost:
            self.changed_lost.add(question.epoch.name)
            if not question.epoch.missing_unlost:
                count, why = question.epoch.missing, next(iter(lost.values()))
                where = "/".join(question.home)
                entries = f"{counted(count, 'entry')} of epoch {question.epoch.name} {'is' if count == 1 else 'are'}"
                self.says.append(f"{where}: {entries} lost there: {why}")


def _check_speaker(topic: str, address: wire.Address, entry: Entry) -> None:
    """MessageMalformed if it is not of the mat on whose topic it came."""
    if (entry.event, entry.point, entry.mat) != address[:3]:
        raise wire.MessageMalformed(
            f"{topic}: a message of {entry.event}/{entry.point}/{entry.mat} came there; it is left out"
        )
