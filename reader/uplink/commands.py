"""Commands that come to this mat over the broker: let in or kept out, carried out aside, answered.

Each has a thread of its own while it is carried out, for some take seconds; the replies wait here until the uplink
takes them. A single reply goes ahead of the backlog; the pages of a rewind go one at a time, when nothing else waits,
so that a split is never behind more than one of them. Who has asked on a connection that is no more gets no answer:
a command is asked again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from reader.model import NS_PER_S, Identity
from reader.replies import Answer, Reply, encode, is_word_of_progress, refusal, replies
from reader.uplink import wire
from reader.uplink.broker import Arrived, Outgoing

AT_ONCE = 4
REWINDS = 2  # of these: on a slow line they take minutes, and a gun or a release must get through
BURST = 50  # commands at once, and then so many a second:
A_SECOND = 10
PAGES_READY = 2
PAGE_EVERY_NS = NS_PER_S // 50  # at most some 3 MB a second: a Pi has other things to do
SINGLE_KEPT = 10_000


class Commands:
    """``answer`` as in :mod:`reader.replies`; ``wake``: a reply is there."""

    def __init__(self, answer: Answer, identity: Identity, prefix: str, wake: Callable[[], None]) -> None:
        self._answer = answer
        self._topic = wire.topic(identity, "reply", prefix)
        self._prefix = prefix
        self._wake = wake
        self._connection = 0
        self._changed = threading.Condition()
        self._singles: deque[Outgoing] = deque(maxlen=SINGLE_KEPT)
        self._pages: deque[Outgoing] = deque()
        self._at_work = 0
        self._rewinds = 0
        self._allowance = float(BURST)
        self._allowed_ns = 0
        self._page_due_ns = 0
        self._is_page_out = False

    # ---- in the uplink's thread ----------------------------------------------------------------------------

    def begin(self) -> None:
        """A connection has been made, or has ended: what was asked on another is not answered."""
        with self._changed:
            self._connection += 1
            self._singles.clear()
            self._pages.clear()
            self._is_page_out = False
            self._changed.notify_all()

    def take(self, arrived: Arrived, now_ns: int) -> None:
        """A command has come: carried out aside, or refused at once."""
        to = self._where(arrived)
        if says := self._why_not(arrived, now_ns):
            self._singles.append(_outgoing(to, arrived, _refused(arrived, says)))
            return
        with self._changed:
            self._at_work += 1
        work = (arrived, to, self._connection)
        threading.Thread(target=self._carry_out, args=work, name="command", daemon=True).start()

    def next_reply(self) -> Outgoing | None:
        """One that goes now."""
        return self._singles.popleft() if self._singles else None

    def next_page(self, now_ns: int) -> Outgoing | None:
        """The next page of a rewind, if the last one has arrived; to be asked when of the log nothing may go now.

        That is not when all of it has gone: while nobody listens for splits they are held, perhaps for ever.
        """
        if self._is_page_out or now_ns < self._page_due_ns:
            return None
        with self._changed:
            if not self._pages:
                return None
            self._is_page_out = True
            self._page_due_ns = now_ns + PAGE_EVERY_NS
            self._changed.notify_all()
            return self._pages.popleft()

    def note_page_arrived(self) -> None:
        """The broker has answered to the last page."""
        self._is_page_out = False

    @property
    def due_ns(self) -> int | None:
        """When a page may go, if one waits for its time."""
        return self._page_due_ns if self._pages and not self._is_page_out else None

    def _why_not(self, arrived: Arrived, now_ns: int) -> str:
        """Why a command is refused unread, or ""."""
        if arrived.is_retained:
            return "a retained command is not carried out: whoever published it must clear it; send it without retain"
        if not self._has_allowance(now_ns):
            return f"too many commands: at most {A_SECOND} a second are taken; ask again"
        return f"{AT_ONCE} commands are being carried out already; ask again" if self._at_work >= AT_ONCE else ""

    def _has_allowance(self, now_ns: int) -> bool:
        self._allowance = min(BURST, self._allowance + (now_ns - self._allowed_ns) * A_SECOND / NS_PER_S)
        self._allowed_ns = now_ns
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _where(self, arrived: Arrived) -> str:
        """Where the reply goes: never onto a topic of this prefix on which others are told something else."""
        asked = arrived.response_topic
        if not asked or "+" in asked or "#" in asked or "\0" in asked or asked.startswith("$"):
            return self._topic
        is_ours = asked == self._prefix or asked.startswith(f"{self._prefix}/")
        is_for_replies = asked.endswith("/reply") or asked.startswith(f"{self._topic}/")
        return self._topic if is_ours and not is_for_replies else asked

    # ---- in a command's thread -----------------------------------------------------------------------------

    def _carry_out(self, arrived: Arrived, to: str, connection: int) -> None:
        is_rewind = False
        try:
            for reply in replies(arrived.payload, self._answer):
                if is_word_of_progress(reply):
                    continue  # for who sits before the box
                if "page" in reply and not is_rewind:
                    is_rewind = self._begin_rewind()
                    if not is_rewind:
                        says = f"{REWINDS} rewinds are being given out already; ask again"
                        self._hand_over(_outgoing(to, arrived, _refused(arrived, says)), connection, is_page=False)
                        break
                if not self._hand_over(_outgoing(to, arrived, reply), connection, is_page="page" in reply):
                    break
        finally:
            with self._changed:
                self._at_work -= 1
                self._rewinds -= is_rewind

    def _begin_rewind(self) -> bool:
        """Whether there is room for one more."""
        with self._changed:
            has_room = self._rewinds < REWINDS
            self._rewinds += has_room
        return has_room

    def _hand_over(self, message: Outgoing, connection: int, *, is_page: bool) -> bool:
        """Wait until there is room for it; False where nobody waits for it any more."""
        with self._changed:
            while is_page and len(self._pages) >= PAGES_READY and connection == self._connection:
                self._changed.wait()
            if connection != self._connection:
                return False
            (self._pages if is_page else self._singles).append(message)
        self._wake()
        return True


def _refused(arrived: Arrived, says: str) -> Reply:
    """With the id that was asked under, if it can be had."""

    def refuse(command: Reply) -> Reply:
        return refusal(command["id"], says)

    return next(replies(arrived.payload, refuse))


def _outgoing(topic: str, arrived: Arrived, reply: Reply) -> Outgoing:
    return Outgoing(topic, encode(reply), correlation=arrived.correlation)
