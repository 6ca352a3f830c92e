"""The uplink: the loop that takes entries from the journal to the broker.

The journal is the only queue: nothing is published but while connected, and what the broker has not
acknowledged is read from the journal again. One thread owns the connection, the journal's view and all
state; other threads leave a word (:meth:`Uplink.wake`, ``say_…``) and nudge it.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable

from reader.clock import Clock
from reader.config import MqttSettings
from reader.errors import BrokerError, BrokerRefused
from reader.messages import Heard, Word
from reader.model import NS_PER_S, Identity
from reader.replies import Answer
from reader.uplink import wire
from reader.uplink.backlog import Backlog, Backlogs, Sent, View
from reader.uplink.broker import Arrived, Broker, Connection, Outgoing
from reader.uplink.commands import Commands
from reader.uplink.latest import Latest
from reader.uplink.nudge import Nudge
from reader.uplink.presence import Presence
from reader.uplink.said import Said
from reader.uplink.state import UplinkState, connected_in_words, facts_from

BACKOFF_FIRST_S = 0.2
BACKOFF_LAST_S = 5.0
TELL_EVERY_NS = NS_PER_S // 10
HEARD_KEPT = 256  # for at most one turn of the loop
LAST_DRAIN_S = 1.0  # at stop, for what is ready
GOODBYE_S = 0.5  # at stop, for the word "stopped" and then for DISCONNECT, each

PAGE = "a page of a rewind"

_log = logging.getLogger(__name__)


class Uplink:
    """Takes the journal's entries to the broker, in order, at least once; for ever.

    ``open_view`` is called in the uplink's thread (None: no journal yet). ``delivered(epoch, seq)`` is
    called there too, when the cursor of an epoch has moved: it must return at once. ``answer`` carries out what
    race control commands (:mod:`reader.replies`), each command in a thread of its own.
    """

    def __init__(
        self,
        *,
        settings: MqttSettings,
        identity: Identity,
        open_view: Callable[[], View | None],
        delivered: Callable[[str, int], None],
        answer: Answer,
        clock: Clock,
    ) -> None:
        self.state = UplinkState()
        self._settings = settings
        self._identity = identity
        self._delivered = delivered
        self._clock = clock
        client_id = f"{identity.box}-{identity.event}-{identity.point}-{identity.mat}"
        self._broker = Broker(settings, client_id, clock)
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._nudge = Nudge()
        self._stopping = threading.Event()
        self._stop_by_ns = 0
        # What other threads leave.
        self._heard: deque[Heard] = deque(maxlen=HEARD_KEPT)
        self._latest = Latest(identity, settings.prefix)
        self._has_new_entries = False
        self._has_new_journal = False
        self._is_connected = False
        # The thread's own.
        self._backlogs = Backlogs(
            open_view,
            identity.box,
            needs_listener=settings.delivered_when == "subscriber",
            collectors=settings.collectors if settings.delivered_when == "control" else (),
        )
        self._commands = Commands(answer, identity, settings.prefix, self._nudge.give)
        self._said = Said(identity.box, settings.prefix)
        self._presence = Presence(identity, "", settings.prefix)
        self._refused_word = ""
        self._progress = 0
        self._tell_due_ns = 0
        self._backoff_s = BACKOFF_FIRST_S

    # ---- from any thread ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self, limit_s: float = 5.0) -> None:
        """Send what is ready for a second at most, say goodbye, and end; returns after ``limit_s`` at the latest."""
        self._stop_by_ns = self._clock.mono_ns() + int(LAST_DRAIN_S * NS_PER_S)
        self._stopping.set()
        self._nudge.give()
        if self._thread.ident is None:
            self._nudge.close()
        else:
            self._thread.join(limit_s)

    def wake(self) -> None:
        """Something was committed to the journal."""
        self._has_new_entries = True
        self._nudge.give()

    def reopen(self) -> None:
        """The journal is another file now."""
        self._has_new_journal = True
        self.wake()

    def say_heard(self, heard: Heard) -> None:
        """A chip was first heard, and it is committed: told at once, or never."""
        if self._is_connected:
            self._heard.append(heard)
            self._nudge.give()

    def say_status(self, payload: bytes) -> None:
        """The latest status: published now if connected, and on every connect."""
        self._latest.say("status", payload)
        self._nudge.give()

    def say_selftest(self, payload: bytes) -> None:
        """The latest self-test's report; likewise."""
        self._latest.say("selftest", payload)
        self._nudge.give()

    # ---- the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._progress += 1
            try:
                self._serve()
            except BrokerError as error:
                self._tell_lost(str(error))
                if isinstance(error, BrokerRefused):
                    self._backoff_s = BACKOFF_LAST_S  # asking again sooner won't change its mind
            except Exception as error:
                # A mistake of ours must not end what a whole race hangs on: say it, and begin anew.
                _log.exception("the uplink stumbled and starts again")
                self._tell_lost(f"internal error, starting again: {error!r}")
                self._backoff_s = BACKOFF_LAST_S
            # Jitter, so that forty boxes do not come back in the same instant.
            self._stopping.wait(self._backoff_s * random.uniform(0.7, 1.0))  # noqa: S311 - no secret hangs on it
            self._backoff_s = min(2 * self._backoff_s, BACKOFF_LAST_S)
        self._backlogs.close()
        self._nudge.close()

    def _serve(self) -> None:
        """One connection, from its beginning to its end; returns when told to stop."""
        self._presence = Presence(self._identity, secrets.token_hex(4), self._settings.prefix)
        connection = self._broker.connect(self._presence.word("lost"), lambda: not self._stopping.is_set())
        try:
            self._greet(connection)
            while not self._stopping.is_set():
                self._turn(connection)
            self._take_leave(connection)
        finally:
            self._commands.begin()
            self._is_connected = False
            self._note_answers(connection, self._clock.mono_ns())  # what came together with the end
            connection.drop()

    def _greet(self, connection: Connection) -> None:
        # Subscribed before speaking: the retained word of another box is heard before ours replaces it.
        named = (f"ack/{name}" for name in self._settings.collectors)  # RabbitMQ finds what is retained by name only
        topics = [wire.topic(self._identity, one, self._settings.prefix) for one in ("cmd", "ack/+", "expect", *named)]
        connection.subscribe(self._presence.topic, *topics)
        self._commands.begin()
        self._heard.clear()
        self._latest.again()
        self._has_new_journal = True
        self._backlogs.go_back()
        self._is_connected = True
        self._tell_due_ns = 0

    def _turn(self, connection: Connection) -> None:
        """Wait for something to do, and do it all; ``heard`` and ``status`` go ahead of the backlog."""
        self._progress += 1
        connection.turn(self._patience_s(), self._nudge.fd)
        self._nudge.take()  # before looking: what comes after is another nudge
        now_ns = self._clock.mono_ns()
        self._note_answers(connection, now_ns)
        while connection.inbox:
            self._take_in(connection.inbox.popleft(), now_ns)
            self._tell_due_ns = 0
        self._say_what_is_fresh(connection, now_ns)
        self._look_for_entries(now_ns)
        while connection.room > 0 and (next_one := self._backlogs.take(now_ns)) is not None:
            entry, sent = next_one
            topic = wire.topic(sent.backlog.identity, entry.type, self._settings.prefix)
            connection.publish(Outgoing(topic, wire.payload(sent.backlog.identity, entry)), sent)
        if connection.room > 0 and (page := self._commands.next_page(now_ns)):
            connection.publish(page, PAGE)
        if now_ns >= self._tell_due_ns:
            self._tell(now_ns)

    def _take_in(self, arrived: Arrived, now_ns: int) -> None:
        """What others say to this mat, or of it; a topic that was not asked for is passed over."""
        match arrived.topic.removeprefix(wire.topic(self._identity, "", self._settings.prefix)):
            case "link":
                self._presence.note(arrived)
            case "cmd":
                self._commands.take(arrived, now_ns)
            case what if what == "expect" or what.startswith("ack/"):
                self._said.note(arrived)
                self._has_new_entries = True  # what was acknowledged is looked at with them

    def _say_what_is_fresh(self, connection: Connection, now_ns: int) -> None:
        """What is worth most now, or nothing: it goes ahead of the backlog."""
        while self._heard:
            topic = wire.topic(self._identity, "heard", self._settings.prefix)
            connection.publish_now_or_never(Outgoing(topic, wire.encode(self._heard.popleft())))
        while connection.room > 0 and (reply := self._commands.next_reply()) is not None:
            connection.publish(reply, "a reply")
        presence = self._presence
        if presence.due_ns is not None and now_ns >= presence.due_ns and connection.room > 0:
            presence.said(now_ns)
            connection.publish(presence.word("online"), "link")
        while connection.room > 0 and (latest := self._latest.take()) is not None:
            connection.publish(*latest)

    def _look_for_entries(self, now_ns: int) -> None:
        # Each word is taken back before it is acted on: one that comes meanwhile is acted on again.
        if self._has_new_journal:
            self._has_new_journal = False
            self._backlogs.reopen()
        if self._has_new_entries:
            self._has_new_entries = False
            self._backlogs.look_again()
        if self._backlogs.look(now_ns):
            for collector, acks in self._said.acks.items():
                moved, says = self._backlogs.note_acks(collector, acks)
                self._note_moved(moved)
                self._said.note_beyond(collector, says)

    def _note_answers(self, connection: Connection, now_ns: int) -> None:
        moved: set[Backlog] = set()
        while connection.answers:
            answer = connection.answers.popleft()
            if isinstance(answer.token, Sent):
                if answer.token.backlog.note(answer.token, answer, now_ns):
                    moved.add(answer.token.backlog)
            else:
                if answer.token == PAGE:
                    self._commands.note_page_arrived()
                self._refused_word = "" if answer.is_taken else f"the broker refuses {answer.token}: {answer.says}"
        self._refused_word = next(iter(connection.refused), self._refused_word)
        self._note_moved(moved)

    def _note_moved(self, moved: Iterable[Backlog]) -> None:
        for backlog in moved:
            self._backoff_s = BACKOFF_FIRST_S  # it delivers: the next outage starts from small again
            self._delivered(backlog.epoch, backlog.delivered_seq)

    def _patience_s(self) -> float:
        """How long to wait for the network or a nudge: until something is due by time alone."""
        now_ns = self._clock.mono_ns()
        dues = (self._tell_due_ns, self._backlogs.due_ns(now_ns), self._commands.due_ns, self._presence.due_ns)
        return max(0.0, min(1.0, (min(due for due in dues if due is not None) - now_ns) / NS_PER_S))

    def _take_leave(self, connection: Connection) -> None:
        """What is ready goes out first; then the word that this was meant."""
        try:
            self.wake()  # a last look at the journal, without waiting for anything else
            while self._clock.mono_ns() < self._stop_by_ns:
                self._turn(connection)
                if not connection.outstanding and not self._backlogs.has_unsent:
                    break
            limit_ns = self._clock.mono_ns() + int(GOODBYE_S * NS_PER_S)
            connection.publish(self._presence.word("stopped"), "link")
            while connection.outstanding and self._clock.mono_ns() < limit_ns:
                connection.turn(0.05)
            self._note_answers(connection, self._clock.mono_ns())
        finally:
            self._tell_lost("stopped")
            connection.close(GOODBYE_S)

    def _tell(self, now_ns: int) -> None:
        """The state anew: soon again while there is a backlog, else once a second."""
        refused = self._refused_word
        self._state(True, *connected_in_words(self._broker.where, self._backlogs, self._presence, self._said, refused))
        self._tell_due_ns = now_ns + (TELL_EVERY_NS if any(self.state.backlog.values()) else NS_PER_S)

    def _tell_lost(self, says: str) -> None:
        self._state(False, "fail", f"{says}; before that: {self._refused_word}" if self._refused_word else says)

    def _state(self, connected: bool, word: Word, says: str) -> None:
        facts = facts_from(self._backlogs, self._presence, self._said)
        self.state = facts._replace(connected=connected, word=word, says=says, progress=self._progress)
