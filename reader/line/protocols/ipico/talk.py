"""What is said to an IPICO: nothing that it needs, it reports reads by itself; but it is asked what its clock shows.

By the answers its clock can be disciplined before any chip comes, and one that has lost its power is noticed: it sends
no keep-alive. Asking changes nothing in the reader; a line that has reads on it is left alone.

An answer does not say to which question it is, and can be late. What is told as ``asked_ns`` must never be later than
the asking, or a late answer would pass for a prompt one. So while it is not known how many answers are still to come,
it is taken to be to the oldest question; and after it, or after an answer to another's question, a silence has to show
that no more come before the next question is asked.
"""

from __future__ import annotations

from reader.line.protocols import AntennaStanding, ClockSaid, Examined, Standing
from reader.line.protocols.ipico.ask import GET_CLOCK
from reader.line.protocols.settings import Wanted
from reader.model import NS_PER_S, ChipRead, Event, Rejected, Reply

QUIET_NS = 3 * NS_PER_S // 10  # after a read the line may still be at work
AT_FIRST = 30  # answers; as many as a discipline wants to be ready
FIRST_PACE_NS = NS_PER_S // 5
PACE_NS = 10 * NS_PER_S
RARE_PACE_NS = 60 * NS_PER_S  # for one who does not know the question
IN_DOUBT_PACE_NS = 3 * NS_PER_S // 10
ANSWER_NS = NS_PER_S  # on a quiet line
QUEUE_NS = 10 * NS_PER_S  # on a saturated one; later than that no answer comes
ENOUGH_UNANSWERED = 3
SILENT_NS = 30 * NS_PER_S  # of one that had answered: it hears no more
MOST_UNANSWERED = 60  # on a socket or a pseudo-terminal that nobody reads, questions would pile up all day

NOT_OPEN = Standing(hears=False, word="unknown", says="the port is not open yet")
LISTENING = Standing(hears=True, word="ok", says="listening; has not answered yet")
ANSWERING = Standing(hears=True, word="ok", says="listening; answers when asked")
REPORTING = Standing(hears=True, word="ok", says="listening; reports chips, but does not answer when asked")
UNKNOWN = Standing(
    hears=True,
    word="warn",
    says="listening; does not answer when asked: look at its power and its cable; if it is too old to answer, "
    "only a chip shows that it hears",
)
CEASED = Standing(
    hears=False,
    word="fail",
    says="has ceased to answer, and nothing was heard for 30 s and more: look at the reader's power and its cable",
)


class Conversation:
    """Hears from the moment the port is open, and asks for the clock, one question at a time."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self.standing = NOT_OPEN
        self.baud: int | None = None
        self.clock_said: ClockSaid | None = None
        self.antennas: list[AntennaStanding] = []
        self.health = Examined()
        self._is_open = False
        self._begin(0)

    def _begin(self, now_ns: int) -> None:
        """Nothing is known of who is there."""
        self.clock_said = None
        self._awaited: list[int] = []  # when, oldest first: the questions to which an answer may yet come
        self._is_out: bool = False  # whether the last of them is waited for
        self._asked_ns: int = now_ns  # the last one, answered or not
        self._next_ns: int = now_ns  # to keep the pace
        self._clear_ns: int = now_ns  # from then on no answer can be mistaken
        self._busy_ns: int = now_ns - QUIET_NS  # something came that is no answer
        self._answers: int = 0
        self._unanswered: int = 0  # questions in a row
        self._unheard: int = 0  # and without a read between
        self._heard_ns: int = now_ns  # an answer, a read or any other word of the reader
        self._has_answered: bool = False
        self._has_reported: bool = False
        self._is_understood: bool = True

    @property
    def due_ns(self) -> int | None:
        """When the next question is due, or the last one overdue."""
        if not self._is_open:
            return None
        if self._is_out:
            return self._overdue_ns
        return max(self._next_ns, self._clear_ns, self._busy_ns + QUIET_NS)

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        """It hears, as far as can be known; what its clock shows is asked at once."""
        self._is_open = True
        self._begin(now_ns)
        self._judge(now_ns)
        return self._ask(now_ns)

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """Take answers; there is nothing to say to a read."""
        for event in events:
            if isinstance(event, Reply) and self._is_to_our_question(event, now_ns):
                continue
            self._busy_ns = max(self._busy_ns, now_ns)
            if isinstance(event, ChipRead):
                self._has_reported = True
            if not isinstance(event, Rejected):
                self._note_heard(now_ns)
        self._judge(now_ns)
        return b""

    def tick(self, now_ns: int) -> bytes:
        """Give up waiting, ask anew, if it is time to."""
        if self._is_out and now_ns >= self._overdue_ns:
            self._is_out = False
            self._unanswered += 1
            self._unheard += 1
            self._next_ns = self._asked_ns + self._pace_ns
            self._judge(now_ns)
        due_ns = self.due_ns
        return b"" if due_ns is None or now_ns < due_ns else self._ask(now_ns)

    def ask_clock(self, now_ns: int) -> bytes:
        """Ask at once, on a busy line too; unless an answer is on its way, or there is no sense in it."""
        is_early = now_ns < max(self._asked_ns + IN_DOUBT_PACE_NS, self._clear_ns)
        if not self._is_open or self._is_out or self._is_in_vain or is_early:
            return b""
        return self._ask(now_ns)

    def closing(self) -> bytes:
        """Nothing to end."""
        return b""

    # ---- questions and answers ---------------------------------------------------------------------------

    @property
    def _overdue_ns(self) -> int:
        """When to give up waiting: behind reads an answer may be held up."""
        return min(self._asked_ns + QUEUE_NS, max(self._asked_ns, self._busy_ns) + ANSWER_NS)

    @property
    def _is_in_vain(self) -> bool:
        """Whether there is no sense in asking often."""
        return not self._is_understood or self._unanswered >= MOST_UNANSWERED

    @property
    def _pace_ns(self) -> int:
        if self._is_in_vain:
            return RARE_PACE_NS
        is_first = self._answers < AT_FIRST and self._unanswered < ENOUGH_UNANSWERED
        return FIRST_PACE_NS if is_first else PACE_NS

    def _ask(self, now_ns: int) -> bytes:
        self._awaited = [asked_ns for asked_ns in self._awaited if now_ns - asked_ns < QUEUE_NS] + [now_ns]
        self._asked_ns = now_ns
        self._is_out = True
        return GET_CLOCK

    def _is_to_our_question(self, reply: Reply, now_ns: int) -> bool:
        """Take an answer, or the echo of a question; False for what is neither."""
        if reply.name == "banner" and not self._has_answered:
            # It says so when it has been switched on: one that was only late in coming up is asked as if from the top.
            self._unanswered = 0
            self._next_ns = min(self._next_ns, self._asked_ns + ANSWER_NS)
        if reply.name == "unhandled" and self._awaited:
            self._is_understood = False
            self._answered(now_ns)
            return True
        if reply.name != "clock":
            return False
        if not reply.fields.get("data"):
            return bool(self._awaited)
        if "reader_ns" not in reply.fields or reply.fields.get("is_unchecked"):
            return False
        if not self._awaited or now_ns < self._awaited[0]:
            # Another asks too, or asked before the port was ours: until that is over no answer is known to be ours.
            self._forget(now_ns)
            self._clear_ns = max(self._clear_ns, now_ns + ANSWER_NS)
            return False
        asked_ns, reader_ns = self._awaited[0], reply.fields["reader_ns"]
        if isinstance(reader_ns, int):
            self.clock_said = ClockSaid(reader_ns, asked_ns, now_ns)
        if len(self._awaited) > 1:
            # The next answer may be as late as this one is, and twice that is time enough.
            self._clear_ns = now_ns + 2 * (now_ns - asked_ns)
        self._answers += 1
        self._is_understood = True
        self._answered(now_ns)
        return True

    def _answered(self, now_ns: int) -> None:
        self._has_answered = True
        self._unanswered = 0
        self._note_heard(now_ns)
        self._forget(now_ns)

    def _note_heard(self, now_ns: int) -> None:
        self._unheard = 0
        self._heard_ns = now_ns

    def _forget(self, now_ns: int) -> None:
        """No answer is waited for now."""
        self._awaited = []
        self._is_out = False
        self._next_ns = self._asked_ns + self._pace_ns

    def _judge(self, now_ns: int) -> None:
        # One of these objects: who watches it need only look whether it is another.
        if self._has_answered:
            is_silent = self._unheard >= ENOUGH_UNANSWERED and now_ns - self._heard_ns >= SILENT_NS
            self.standing = CEASED if is_silent else ANSWERING
        elif self._has_reported:
            self.standing = REPORTING
        else:
            self.standing = UNKNOWN if self._unanswered >= ENOUGH_UNANSWERED else LISTENING
