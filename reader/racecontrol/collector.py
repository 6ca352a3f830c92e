"""The collector: takes all mats of an event, and ends up with everything, whatever happened between.

::

    broker ──▶ Intake: a double? a gap? ──▶ pending ──▶ Store, every 0.2 s ──▶ news
                 ▲                │                        │
                 └── reply ◀── rewind                      └──▶ ack: what stands on disk

One thread, which the caller lends by :meth:`Collector.turn`. Nothing here is the last copy of anything: the mats keep
what has not been acknowledged, so a disk that fails or a `kill -9` costs only asking again.
"""

from __future__ import annotations

from collections import deque

import msgspec

from reader.clock import Clock, rfc3339_from_utc_ns
from reader.config import MqttSettings
from reader.errors import JournalError
from reader.model import NS_PER_S
from reader.racecontrol.contact import Contact
from reader.racecontrol.epochs import Epoch, Mat
from reader.racecontrol.intake import WHATS, Intake
from reader.racecontrol.mats import MatState
from reader.racecontrol.starters import Starters
from reader.racecontrol.store import Batch, LostRow, News, Store
from reader.uplink import wire
from reader.uplink.broker import Outgoing

COMMIT_NS = NS_PER_S // 5
COMMIT_ENTRIES = 5_000
DISK_AGAIN_NS = NS_PER_S
LOOK_NS = NS_PER_S // 20  # how often it is looked whether there is something to ask or to acknowledge
ASK_LOADED_NS = NS_PER_S // 2  # what was missing at the end is not on its way; by then the mats' links are known
EPOCHS_ACKED = 16
ACK_NS = NS_PER_S


class Collector:
    """``mats``: by (point, mat). ``disk_trouble``: why nothing can be written, in words, or "".

    ``name``: under which it acknowledges; None: it doesn't. ``starters``: whose bib a chip is of, should mats not say.
    """

    def __init__(
        self,
        settings: MqttSettings,
        clock: Clock,
        store: Store,
        event: str,
        name: str | None = None,
        starters: Starters | None = None,
    ) -> None:
        bibs = {chip: bib for bib, runner in (starters or {}).items() for chip in runner.chips}
        self._intake = Intake(event, settings.prefix, clock, bibs)
        self.mats: dict[Mat, MatState] = self._intake.mats
        self.epochs: dict[str, Epoch] = self._intake.epochs
        self.disk_trouble = ""
        self._name = name
        self._clock = clock
        self._store = store
        self._prefix = f"{settings.prefix}/{event}"
        filters = [f"{self._prefix}/+/+/{what}" for what in WHATS]
        self._contact = Contact(settings, clock, f"collect-{name or 'feed'}", filters)
        self._connects = 0
        self._done: list[int] = []
        self._commit_at_ns = 0
        self._look_at_ns = 0
        if bibs:
            store.name_runners(bibs.get)
        self._load()

    @property
    def trouble(self) -> str:
        """Why the broker can't be heard, in words, or ""."""
        return self._contact.trouble

    @property
    def connects(self) -> int:
        """How many connections there have been: whoever has something retained says it again on each."""
        return self._contact.connects

    @property
    def doubled(self) -> int:
        """How many entries came again."""
        return self._intake.doubled

    @property
    def says(self) -> deque[str]:
        """The latest of what else must be told, in words; to be taken from."""
        self._intake.says.extend(self._contact.refused)
        self._contact.refused.clear()
        return self._intake.says

    def turn(self, timeout_s: float) -> list[News]:
        """Take in what has come, waiting for it no longer than that; what is news, now that it is on disk."""
        for arrived in self._contact.poll(timeout_s):
            self._intake.arrived(arrived.topic, arrived.payload, is_retained=arrived.is_retained)
        now_ns = self._clock.mono_ns()
        if self._contact.connects != self._connects:
            self._connects = self._contact.connects
            self._intake.questions.forget()
            for mat in self.mats.values():
                mat.ack_said = None  # the broker may have lost it
        is_much = len(self._intake.pending) >= COMMIT_ENTRIES and not self.disk_trouble
        news = self.commit() if is_much or now_ns >= self._commit_at_ns else []
        if now_ns >= self._look_at_ns:
            self._look_at_ns = now_ns + LOOK_NS
            if not self.disk_trouble:
                self._ask(now_ns)
                self._acknowledge(now_ns)
        return news

    def take(self, where: str, payload: bytes) -> None:
        """An entry from elsewhere, as it would have come from the broker; what makes no sense stands in ``says``."""
        self._intake.take(where, payload)

    def say(self, message: Outgoing) -> bool:
        """Something for a mat; False if that can't be just now."""
        return self._contact.say(message)

    def note_done(self, wish_n: int) -> None:
        """A wish has been published: write it down with the next commit."""
        self._done.append(wish_n)

    def commit(self) -> list[News]:
        """Write what has come; what of it is news. Where the disk refuses, ``disk_trouble`` says why."""
        now_ns = self._clock.mono_ns()
        self._commit_at_ns = now_ns + COMMIT_NS
        intake = self._intake
        if not (intake.pending or intake.changed_mats or intake.changed_lost or self._done):
            return []
        touched = {entry.epoch for entry, _ in intake.pending}
        acks = [(self._name, name, self.epochs[name].seen.through) for name in touched if self._name]
        utc_less_mono_ns = self._clock.now().utc_ns - now_ns
        lost = {name: self.epochs[name].lost for name in intake.changed_lost}
        batch = Batch(
            entries=intake.pending,
            mats=[self.mats[key].row(utc_less_mono_ns) for key in intake.changed_mats],
            acks=[row for row in acks if row[2]],
            lost={name: [LostRow(name, *run, why) for run, why in runs.items()] for name, runs in lost.items()},
            done=self._done,
        )
        try:
            news = self._store.commit(batch)
        except JournalError as error:
            self.disk_trouble = str(error)
            self._commit_at_ns = now_ns + DISK_AGAIN_NS
            return []
        self.disk_trouble = ""
        intake.written()
        self._done = []
        for name in touched:
            epoch = self.epochs[name]
            epoch.stored_through = epoch.seen.through
            for mat in self.mats.values():
                mat.has_to_ack |= mat.box == epoch.identity.box
        for one in news:
            if one.is_first:
                intake.mat(one.split.event, one.split.point, one.split.mat).passings += 1
        return news

    def finish(self) -> list[News]:
        """Write what has come, acknowledge it, and say goodbye; the last news."""
        news = self.commit()
        if not self.disk_trouble:
            for mat in self.mats.values():
                mat.ack_due_ns = 0
            self._acknowledge(self._clock.mono_ns())
        self._contact.close()
        return news

    # ---- inside --------------------------------------------------------------------------------------------

    def _load(self) -> None:
        for name, (whose, runs) in self._store.epochs().items():
            epoch = self.epochs[name] = Epoch(name, whose)
            for run in runs:
                epoch.seen.add_run(run)
            epoch.stored_through, epoch.last_seq = epoch.seen.through, epoch.seen.last
            epoch.ask_at_ns = self._clock.mono_ns() + ASK_LOADED_NS
        for lost in self._store.lost():
            if (known := self.epochs.get(lost.epoch)) is not None:
                known.lost[lost.from_seq, lost.through_seq] = lost.why
                known.last_seq = max(known.last_seq, lost.through_seq)
        for row, passings in self._store.mats():
            self.mats[row.point, row.mat] = MatState.from_row(row, passings)

    def _ask(self, now_ns: int) -> None:
        if not self._contact.is_connected:
            return
        lacking = [epoch for epoch in self.epochs.values() if epoch.missing]
        at_home = [(epoch, home) for epoch in lacking if (home := self._intake.home(epoch))]
        for question in self._intake.questions.due(at_home, now_ns):
            command = {
                "id": question.id,
                "do": "rewind",
                "by": f"collect {self._name}" if self._name else "collect",
                "epoch": question.epoch.name,
                "from_seq": question.run[0],
                "through_seq": question.run[1],
            }
            topic = f"{self._prefix}/{'/'.join(question.home)}/cmd"
            if not self.say(Outgoing(topic, msgspec.json.encode(command))):
                self._intake.questions.unasked(question)

    def _acknowledge(self, now_ns: int) -> None:
        if self._name is None:
            return
        for mat in self.mats.values():
            if not mat.box or now_ns < mat.ack_due_ns or not (mat.has_to_ack or mat.ack_said is None):
                continue
            acks = self._acks_of(mat.box)
            if acks and (mat.box, acks) != mat.ack_said:
                ack = wire.Ack(mat.box, acks, rfc3339_from_utc_ns(self._clock.now().utc_ns))
                topic = f"{self._prefix}/{'/'.join(mat.key)}/ack/{self._name}"
                if not self.say(Outgoing(topic, msgspec.json.encode(ack), retain=True)):
                    return
                mat.ack_due_ns = now_ns + ACK_NS
            mat.ack_said = (mat.box, acks)
            mat.has_to_ack = False

    def _acks_of(self, box: str) -> dict[str, int]:
        """Through which seq all stands on disk, for the latest epochs of that box."""
        its = [epoch for epoch in self.epochs.values() if epoch.identity.box == box and epoch.stored_through]
        return {epoch.name: epoch.stored_through for epoch in its[-EPOCHS_ACKED:]}
