"""What is said to an IPICO: when it is asked for its clock, what is taken for an answer, and how its clock is set."""

from __future__ import annotations

import calendar
import random
import time
from collections.abc import Callable
from typing import Protocol

import pytest

from reader.line.protocols import ClockSaid
from reader.line.protocols.asking import Asking, Stuck
from reader.line.protocols.ipico import ClockSet, Conversation, Decoder, set_clock
from reader.model import NS_PER_S, Reply
from reader.simulator.ipico import Form, IpicoReader

MS = 1_000_000
S = NS_PER_S
BEGINS_NS = 1_000 * S

QUESTION = b"ab00000222\r\n"
CLOCK = b"ab000902260306051855443727cf\r\n"
CLOCK_NS = calendar.timegm((2026, 3, 6, 18, 55, 44)) * S + 550 * MS
NEVER_SET = b"ab000902000000051855443727be\r\n"
UNCHECKED = b"ac000902260306051855443727ff\r\n"
READ = b"aa00058000123b3200012603071348503277\r\n"
UNHANDLED = b"CMD UNHANDLED\r\n"
BANNER = b"\r\nARM9 Controller for DF Dual DSP (38.4kB) v1.4 Jun  5 2013 14:16:40 (RWXLF)\r\n"

UNANSWERED = "listening; has not answered yet"
SILENT = "does not answer when asked"
ANSWERS = "listening; answers when asked"
REPORTS = "listening; reports chips, but does not answer when asked"
CEASED = "has ceased to answer, and nothing was heard for 30 s and more: look at the reader's power and its cable"


class Line:
    """A conversation and what is at the other end, in virtual time, ten milliseconds at a time.

    ``answer``: what comes ``delay_ms`` after each question; nothing, if that is empty. ``reads_every_ms``: chips pass.
    """

    def __init__(self, answer: bytes = CLOCK) -> None:
        self.talk = Conversation()
        self.decoder = Decoder()
        self.now_ns = BEGINS_NS
        self.answer = answer
        self.delay_ms = 20
        self.reads_every_ms = 0
        self.asked_ms: list[int] = []
        self.said: list[ClockSaid] = []
        self._coming: list[tuple[int, bytes]] = []

    @property
    def now_ms(self) -> int:
        return (self.now_ns - BEGINS_NS) // MS

    def open(self) -> Line:
        self._sent(self.talk.opened(self.now_ns))
        return self

    def come(self, data: bytes, at_ns: int | None = None) -> None:
        events = self.decoder.feed(data)
        self._sent(self.talk.heard(events, self.now_ns if at_ns is None else at_ns))
        said = self.talk.clock_said
        if said is not None and (not self.said or said is not self.said[-1]):
            self.said.append(said)

    def go(self, seconds: float) -> list[int]:
        """Let it pass; when it was asked in it, in milliseconds."""
        before = len(self.asked_ms)
        end_ns = self.now_ns + round(seconds * S)
        while self.now_ns < end_ns:
            self.now_ns += 10 * MS
            if self.reads_every_ms and self.now_ms % self.reads_every_ms == 0:
                self.come(READ)
            while self._coming and self._coming[0][0] <= self.now_ns:
                self.come(self._coming.pop(0)[1])
            self._sent(self.talk.tick(self.now_ns))
        return self.asked_ms[before:]

    def ask_clock(self) -> bytes:
        sent = self.talk.ask_clock(self.now_ns)
        self._sent(sent)
        return sent

    def _sent(self, data: bytes) -> None:
        if data:
            assert data == QUESTION
            self.asked_ms.append(self.now_ms)
            if self.answer:
                self._coming.append((self.now_ns + self.delay_ms * MS, self.answer))

    def says(self) -> str:
        standing = self.talk.standing
        assert standing.hears == (standing.says != CEASED)
        assert standing.word == ("fail" if standing.says == CEASED else "warn" if SILENT in self.silence() else "ok")
        return standing.says

    def silence(self) -> str:
        """What is said of one that does not answer; "" of one that shows itself."""
        says = self.talk.standing.says
        return says if says.startswith(f"listening; {SILENT}") else ""


def settled(answer: bytes = CLOCK) -> Line:
    """A line on which all has been asked that is asked at first, just before it is asked again."""
    line = Line(answer).open()
    line.go(15.7)
    assert line.asked_ms[29:] == [5_800]
    return line


# ---- hearing, and the pace -----------------------------------------------------------------------------------


def test_it_hears_from_the_moment_the_port_is_open() -> None:
    talk = Conversation()
    assert (talk.standing.hears, talk.standing.word, talk.due_ns) == (False, "unknown", None)
    assert talk.tick(BEGINS_NS) + talk.ask_clock(BEGINS_NS) == b""
    assert talk.opened(BEGINS_NS) == QUESTION
    assert (talk.standing.hears, talk.standing.word, talk.standing.says) == (True, "ok", UNANSWERED)
    assert (talk.baud, talk.antennas, talk.clock_said, talk.closing()) == (None, [], None, b"")


def test_it_is_asked_five_times_a_second_until_it_has_answered_thirty_times_and_then_every_ten_seconds() -> None:
    line = Line().open()
    line.go(40)
    assert line.asked_ms == [*range(0, 6_000, 200), 15_800, 25_800, 35_800]
    assert len(line.said) == 33


def test_an_answer_tells_the_clock_when_it_was_asked_and_when_it_came_each_time_anew() -> None:
    line = Line().open()
    line.go(0.1)
    assert line.said == [ClockSaid(CLOCK_NS, BEGINS_NS, BEGINS_NS + 20 * MS)]
    line.go(0.2)
    assert line.said[1] == ClockSaid(CLOCK_NS, BEGINS_NS + 200 * MS, BEGINS_NS + 220 * MS)
    line.now_ns = BEGINS_NS  # the same clock, asked and answered at the same moments: still another object
    first = line.talk.clock_said
    line.open()
    line.come(CLOCK)
    assert line.talk.clock_said is not first


def test_opened_again_it_knows_nothing_of_before() -> None:
    line = settled()
    line.open()
    assert line.talk.clock_said is None
    assert line.says() == UNANSWERED
    assert line.go(1) == [15_900, 16_100, 16_300, 16_500, 16_700]


def test_a_line_with_reads_is_left_alone() -> None:
    line = settled()
    line.reads_every_ms = 50
    assert line.go(20) == []
    line.reads_every_ms = 0
    assert line.go(1) == [35_700 + 300]


def test_garbage_and_other_answers_are_work_too() -> None:
    for data in (b"xyz\r\n", b"ab0002090305f3\r\n"):
        line = settled()
        line.come(data)
        assert line.go(1) == [16_000]


def test_an_echo_is_neither_an_answer_nor_work() -> None:
    line = Line(b"").open()
    line.come(QUESTION)
    assert line.says() == UNANSWERED
    line.now_ns += 20 * MS
    line.come(CLOCK)
    assert line.said == [ClockSaid(CLOCK_NS, BEGINS_NS, BEGINS_NS + 20 * MS)]
    assert line.go(0.3) == [200]


def test_in_doubt_it_is_asked_on_a_busy_line_too_but_one_question_at_a_time() -> None:
    line = settled()
    line.reads_every_ms = 50
    line.go(1)
    line.delay_ms = 100
    asked = []
    for _ in range(100):
        line.go(0.01)
        if line.ask_clock():
            asked.append(line.now_ms)
    assert asked == [16_710, 17_010, 17_310, 17_610]
    line.delay_ms = 5_000  # at the end of a queue
    line.go(1)
    assert line.ask_clock() == QUESTION
    asked_ns = line.now_ns
    for _ in range(49):
        line.go(0.1)
        assert line.ask_clock() == b""
    line.go(0.2)
    assert line.said[-1] == ClockSaid(CLOCK_NS, asked_ns, asked_ns + 5 * S)
    assert line.ask_clock() == QUESTION


def test_a_question_behind_reads_is_given_up_after_ten_seconds() -> None:
    line = settled()
    line.reads_every_ms = 50
    line.answer = b""
    assert line.ask_clock()
    line.go(9.9)
    assert line.ask_clock() == b""
    line.go(0.2)
    assert line.ask_clock() == QUESTION


def test_a_question_behind_reads_is_given_up_a_second_after_the_last() -> None:
    line = settled()
    line.reads_every_ms = 50
    line.answer = b""
    assert line.ask_clock()
    line.go(3)
    line.reads_every_ms = 0
    line.go(0.9)
    assert line.ask_clock() == b""
    line.go(0.1)
    assert line.ask_clock() == QUESTION


# ---- what is taken for an answer -----------------------------------------------------------------------------


def test_an_answer_to_nobody_s_question_is_not_taken_and_the_line_has_to_be_clear_of_them_first() -> None:
    line = settled()
    last = line.talk.clock_said
    line.come(CLOCK)
    assert line.talk.clock_said is last
    line.now_ns += 500 * MS
    line.come(CLOCK)
    assert line.ask_clock() == b""
    assert line.go(2) == [17_200]


def test_answers_from_before_the_port_was_open_are_another_s() -> None:
    line = Line(b"").open()
    line.come(CLOCK, at_ns=BEGINS_NS - 10 * MS)
    line.now_ns += 20 * MS
    line.come(CLOCK)  # it asked twice
    line.now_ns += 20 * MS
    line.come(CLOCK)
    assert line.said == []
    line.answer = CLOCK
    assert line.go(1.1) == [1_040]
    assert line.said == [ClockSaid(CLOCK_NS, BEGINS_NS + 1_040 * MS, BEGINS_NS + 1_060 * MS)]


def test_a_late_answer_is_taken_while_no_other_question_has_been_asked() -> None:
    line = settled()
    line.delay_ms = 4_000
    line.go(5)
    assert line.asked_ms[30:] == [15_800]
    assert line.said[-1] == ClockSaid(CLOCK_NS, BEGINS_NS + 15_800 * MS, BEGINS_NS + 19_800 * MS)


def test_an_answer_that_may_be_to_the_older_question_is_taken_for_that_and_the_other_is_waited_for() -> None:
    line = Line()
    line.delay_ms = 1_500
    line.open()
    line.go(1.6)
    assert line.asked_ms == [0, 1_000]
    assert line.said == [ClockSaid(CLOCK_NS, BEGINS_NS, BEGINS_NS + 1_500 * MS)]
    line.delay_ms = 20
    assert line.go(3) == [4_500]  # twice 1.5 s later; the second answer came at 2.5 s
    assert [said.asked_ns for said in line.said[1:]] == [BEGINS_NS + 4_500 * MS]


def test_what_is_told_as_asked_is_never_later_than_the_asking_however_late_or_lost_the_answers_are() -> None:
    told = late = 0
    for seed in range(60):
        dice = random.Random(seed)
        reader, line = IpicoReader(), Line(b"").open()
        reader._offset_ns = CLOCK_NS
        coming: list[tuple[int, bytes]] = [(line.now_ns, reader.answer(QUESTION, line.now_ns))]
        stalled_until_ns = 0
        for _ in range(6_000):
            line.now_ns += 10 * MS
            if line.now_ns > stalled_until_ns + S and dice.random() < 0.002:
                stalled_until_ns = line.now_ns + dice.randrange(9 * S)
            while coming and line.now_ns >= max(coming[0][0], stalled_until_ns):
                line.come(coming.pop(0)[1])
            sent = line.talk.tick(line.now_ns)
            if dice.random() < 0.05:
                sent = sent or line.talk.ask_clock(line.now_ns)
            if sent and dice.random() < 0.8:
                coming.append((line.now_ns + dice.randrange(90) * MS, reader.answer(sent, line.now_ns)))
        # The reader's clock shows the time of the line itself, to 10 ms: it tells when it was really asked.
        for said in line.said:
            assert said.asked_ns - 10 * MS < said.reader_ns - CLOCK_NS <= said.came_ns, seed
            late += said.came_ns - said.asked_ns > S
        told += len(line.said)
    assert told > 60 * 20
    assert late > 60


def test_a_clock_that_was_never_set_shows_that_somebody_is_there_and_no_time() -> None:
    line = settled(NEVER_SET)
    assert line.said == []
    assert line.says() == ANSWERS


@pytest.mark.parametrize("answer", [UNCHECKED, b"ab0000f258\r\n"])
def test_what_can_be_garbled_or_is_a_refusal_is_no_answer(answer: bytes) -> None:
    line = Line(answer).open()
    line.go(10)
    assert line.said == []
    assert line.says() == line.silence() != ""


# ---- who does not answer -------------------------------------------------------------------------------------


def test_one_that_never_answers_is_asked_three_times_and_then_every_ten_seconds() -> None:
    line = Line(b"").open()
    line.go(50)
    assert line.asked_ms == [0, 1_000, 2_000, 12_000, 22_000, 32_000, 42_000]
    assert line.says() == line.silence() != ""  # whether it hears can't be known: it is warned of, and that is all
    line.come(READ)
    assert line.says() == REPORTS
    line.answer = CLOCK
    assert line.go(3) == [52_000, 52_200, 52_400, 52_600, 52_800, 53_000]
    assert line.says() == ANSWERS


def test_one_that_has_not_answered_yet_is_not_warned_of_at_once() -> None:
    line = Line(b"").open()
    line.go(2.9)
    assert line.says() == UNANSWERED
    line.go(0.2)
    assert line.says() == line.silence() != ""


def test_one_that_is_heard_to_start_is_asked_as_if_from_the_top() -> None:
    line = Line(b"").open()
    line.go(20)
    line.come(BANNER)
    assert line.go(6) == [20_300, 21_300, 22_300]
    line.answer = CLOCK
    line.come(BANNER)
    assert line.go(0.4) == [26_300]
    line.come(BANNER)  # asked for by another
    first, second, *_ = line.go(30)  # once it is clear that no late answer can be taken for one to these
    assert second - first == 200


def test_one_that_ceases_before_it_has_answered_often_enough_is_not_pressed() -> None:
    line = Line().open()
    line.go(1)
    line.answer = b""
    assert line.go(30) == [1_200, 2_200, 3_200, 13_200, 23_200]


def test_a_trident_is_asked_once_a_minute_and_not_in_doubt() -> None:
    line = Line(UNHANDLED).open()
    line.go(1)
    assert line.says() == ANSWERS
    assert line.ask_clock() == b""
    line.go(120)
    assert line.asked_ms == [0, 60_000, 120_000]
    assert line.said == []
    line.answer = CLOCK
    assert line.go(59.5) == [180_000, 180_200, 180_400]


def test_a_trident_s_no_to_another_s_command_is_not_to_ours() -> None:
    line = settled()
    line.come(UNHANDLED)
    assert line.go(12) == [16_000, 26_000]


def test_one_that_has_ceased_to_answer_is_told_of_and_its_next_word_puts_that_right() -> None:
    for word in (READ, CLOCK):
        line = settled()
        assert line.says() == ANSWERS
        line.answer = b""
        before = line.talk.standing
        line.go(21)
        assert line.asked_ms[30:] == [15_800, 25_800, 35_800]
        assert line.talk.standing is before  # who watches it need only look whether it is another
        line.go(0.2)
        assert line.says() == CEASED
        assert line.now_ms - 5_820 < 45_000
        assert line.go(20) == [45_800, 55_800]
        line.come(word)
        assert line.says() == ANSWERS


def test_three_questions_in_vain_are_not_enough_while_something_was_heard_within_thirty_seconds() -> None:
    line = Line().open()
    line.go(1)
    line.answer = b""
    line.go(29)
    assert line.says() == ANSWERS
    line.go(5)
    assert line.says() == CEASED
    line.come(b"xyz\r\n")  # noise on a line whose reader is off
    assert line.says() == CEASED
    line.come(BANNER)
    assert line.says() == ANSWERS


def test_reads_show_as_well_as_answers_that_it_is_there() -> None:
    line = settled()
    line.answer = b""
    for _ in range(10):
        line.go(10)
        line.come(READ)
        assert line.says() == ANSWERS
    assert len(line.asked_ms) == 40


def test_to_tick_when_it_is_due_is_enough_and_after_it_it_is_due_later() -> None:
    for answer in (CLOCK, UNHANDLED, b""):
        often = Line(answer).open()
        often.go(130)
        rarely = Conversation()
        sent = rarely.opened(BEGINS_NS)
        decoder, asked_ms, now_ns = Decoder(), [0], BEGINS_NS
        while True:
            if sent and answer:
                now_ns += 20 * MS
                rarely.heard(decoder.feed(answer), now_ns)
            due_ns = rarely.due_ns
            assert due_ns is not None
            assert due_ns > now_ns
            now_ns = due_ns
            if now_ns > BEGINS_NS + 130 * S:
                break
            if sent := rarely.tick(now_ns):
                asked_ms.append((now_ns - BEGINS_NS) // MS)
        assert asked_ms == often.asked_ms


# ---- setting its clock ---------------------------------------------------------------------------------------

UTC_NS = calendar.timegm((2026, 3, 6, 19, 49, 21)) * S + 200 * MS  # a Friday


class Answering(Protocol):
    def answer(self, data: bytes, now_ns: int) -> bytes: ...


class Scripted:
    """Answers the commands whose beginning it knows, and keeps what it was told."""

    def __init__(self, answers: dict[bytes, bytes | Callable[[bytes], bytes]]) -> None:
        self._answers = answers
        self.told: list[bytes] = []

    def answer(self, data: bytes, now_ns: int) -> bytes:
        self.told.append(data)
        for beginning, answer in self._answers.items():
            if data.startswith(beginning):
                return answer if isinstance(answer, bytes) else answer(data)
        return b""


class Lite(IpicoReader):
    """As the captured one: told a second it shows half a second more."""

    def __init__(self, form: Form = "text", lag_ns: int = 500 * MS) -> None:
        super().__init__(form=form)
        self._lag_ns = lag_ns
        self.sets = 0

    def _set_clock(self, digits: str, now_ns: int) -> bool:
        self.sets += 1
        return super()._set_clock(digits, now_ns - self._lag_ns)


class AtRollover(IpicoReader):
    """As the manual says: a clock that is told a second begins with it half a second later."""

    _told: tuple[str, int] | None = None

    def answer(self, data: bytes, now_ns: int) -> bytes:
        if self._told is not None and now_ns >= self._told[1]:
            super()._set_clock(*self._told)
            self._told = None
        return super().answer(data, now_ns)

    def _set_clock(self, digits: str, now_ns: int) -> bool:
        self._told = digits, now_ns + 500 * MS
        return True


def set_on(
    reader: Answering, zone_offset_ns: int = 0, utc_ns: int = UTC_NS, late: int | None = None
) -> tuple[ClockSet, int]:
    """Set its clock; what comes of it, and the host's UTC then. Commands take 4 ms to get there and answers 8 ms.

    ``late``: which answer takes 1.5 s.
    """
    now_ns, count = utc_ns, 0
    asking = Asking(set_clock(lambda: now_ns, zone_offset_ns))
    decoder = Decoder()
    going: list[tuple[int, bytes]] = []
    coming: list[tuple[int, bytes]] = []

    def say(data: bytes) -> None:
        if data:
            going.append((now_ns + 4 * MS, data))

    say(asking.begin(now_ns))
    while not asking.is_done:
        now_ns += MS
        assert now_ns < utc_ns + 20 * S
        while going and going[0][0] <= now_ns:
            coming.append((now_ns + (1_500 if count == late else 8) * MS, reader.answer(going.pop(0)[1], now_ns)))
            count += 1
        while coming and coming[0][0] <= now_ns:
            for event in decoder.feed(coming.pop(0)[1]):
                if isinstance(event, Reply) and not asking.is_done:
                    say(asking.heard(event, now_ns))
        say(asking.tick(now_ns))
    return asking.result, now_ns


def shown_by(reader: IpicoReader, now_ns: int) -> int:
    """What its clock truly shows."""
    return reader._clock_ns(now_ns)


@pytest.mark.parametrize("lag_ms", [0, 130, 500, 995, 1_500])
@pytest.mark.parametrize(("form", "within_ms"), [("text", 20), ("trident", 250)])
def test_a_clock_that_is_off_is_right_afterwards_whatever_its_lag(form: Form, within_ms: int, lag_ms: int) -> None:
    reader = Lite(form, lag_ms * MS)
    off_ns = -3_600_370 * MS
    reader._offset_ns = off_ns
    was, end_ns = set_on(reader)
    assert was.before_ns is not None
    assert abs(was.before_ns - off_ns) < within_ms * MS
    true_ns = shown_by(reader, end_ns) - end_ns
    assert abs(true_ns) < within_ms * MS
    assert abs(was.after_ns - true_ns) < within_ms * MS
    assert reader.sets <= 2
    before, after = was.says.split(", and is now ")
    assert before.startswith("its clock was 3600.")
    assert before.endswith(" s behind")
    assert after.split()[1:] in (["s", "behind"], ["s", "ahead"])


@pytest.mark.parametrize(("form", "within_ms"), [("text", 20), ("trident", 250)])
def test_the_simulator_s_clock_is_set(form: Form, within_ms: int) -> None:
    reader = IpicoReader(form=form)
    reader._offset_ns = -3_600_370 * MS
    was, end_ns = set_on(reader)
    assert abs(shown_by(reader, end_ns) - end_ns) < within_ms * MS
    assert abs(was.after_ns) < within_ms * MS
    stamp_ns = reader.report("058000123B32", end_ns, -60, 1)[1]
    assert abs(stamp_ns + 5 * MS - end_ns) < (within_ms + 5) * MS


def test_one_with_the_lag_of_a_lite_is_set_once() -> None:
    reader = Lite()
    set_on(reader)
    assert reader.sets == 1
    other = Lite(lag_ns=0)
    set_on(other)
    assert other.sets == 2


def test_one_that_takes_it_at_the_next_rollover_is_set() -> None:
    reader = AtRollover()
    reader._offset_ns = -3_600_370 * MS
    was, end_ns = set_on(reader)
    assert abs(shown_by(reader, end_ns) - end_ns) < 20 * MS
    assert abs(was.after_ns) < 20 * MS


def test_a_late_answer_is_not_taken_for_one_to_the_next_question() -> None:
    for late in range(6):
        was, _ = set_on(Lite(), late=late)
        assert was.before_ns is not None
        assert abs(was.before_ns) < 20 * MS
        assert abs(was.after_ns) < 20 * MS


def test_a_reader_that_keeps_local_time_is_set_to_that() -> None:
    reader = Lite()
    was, end_ns = set_on(reader, zone_offset_ns=-6 * 3_600 * S)
    assert abs(shown_by(reader, end_ns) - end_ns + 6 * 3_600 * S) < 20 * MS
    assert was.before_ns is not None
    assert abs(was.before_ns - 6 * 3_600 * S) < 20 * MS
    assert abs(was.after_ns) < 20 * MS


def test_it_is_told_as_the_manual_says() -> None:
    reader = Scripted({b"ab00000222": CLOCK, b"ab000701": b"ab00000121\r\nab00094c01555202a8555201f459\r\n"})
    with pytest.raises(Stuck, match="set twice, and is still 32"):
        set_on(reader)
    sets = [told for told in reader.told if told.startswith(b"ab000701")]
    assert sets[0] == b"ab00070126030605194921f8\r\n"
    assert len(sets) == 2
    sunday = Scripted({b"ab00000222": CLOCK, b"ab000701": b"ab00000121\r\n"})
    with pytest.raises(Stuck):
        set_on(sunday, utc_ns=UTC_NS + 2 * 86_400 * S)
    assert next(told for told in sunday.told if told.startswith(b"ab000701"))[8:22] == b"26030800194921"
    trident = Scripted({b"ab": UNHANDLED, b"$GETDATE": b"DATE:Mon Aug 31 2015 13:17:00\r\n"})
    with pytest.raises(Stuck, match="set twice"):
        set_on(trident)
    assert next(told for told in trident.told if told.startswith(b"$SETDATE")) == b"$SETDATE:260306194923\r\n"


def test_a_clock_that_was_never_set_shows_none_before() -> None:
    reader = Lite()
    is_set = False

    class Fresh:
        def answer(self, data: bytes, now_ns: int) -> bytes:
            nonlocal is_set
            is_set = is_set or data.startswith(b"ab000701")
            return reader.answer(data, now_ns) if is_set else NEVER_SET

    was, end_ns = set_on(Fresh())
    assert was.before_ns is None
    assert was.says.startswith("its clock was not set, and is now 0.0")
    assert abs(shown_by(reader, end_ns) - end_ns) < 20 * MS
    with pytest.raises(Stuck, match="still shows no time"):
        set_on(Scripted({b"ab00000222": NEVER_SET, b"ab000701": b"ab00000121\r\n"}))


def test_it_does_not_go_on_without_answers() -> None:
    silent = Scripted({})
    with pytest.raises(Stuck, match="power") as none:
        set_on(silent)
    assert none.value.is_unanswered
    assert silent.told == [QUESTION] * 3
    # A half-duplex line gives back what was said: neither question nor command is its own answer.
    with pytest.raises(Stuck, match="power"):
        set_on(Scripted({b"": lambda data: data}))
    with pytest.raises(Stuck, match="when its clock is to be set") as echoed:
        set_on(Scripted({b"ab00000222": CLOCK, b"ab000701": lambda data: data}))
    assert echoed.value.is_unanswered


def test_a_refusal_is_told() -> None:
    with pytest.raises(Stuck, match="refuses to have its clock set: command not supported"):
        set_on(Scripted({b"ab00000222": CLOCK, b"ab000701": b"ab0000f45a\r\n"}))
    with pytest.raises(Stuck, match="refuses to say what its clock shows: unknown command"):
        set_on(Scripted({b"ab": b"ab0000f258\r\n"}))


def test_a_trident_s_refusal_is_told_and_its_silence_is_none() -> None:
    trident = IpicoReader(form="trident")

    class Refusing:
        def answer(self, data: bytes, now_ns: int) -> bytes:
            return UNHANDLED if data.startswith(b"$SETDATE") else trident.answer(data, now_ns)

    class Silent:
        def answer(self, data: bytes, now_ns: int) -> bytes:
            answer = trident.answer(data, now_ns)
            return b"" if data.startswith(b"$SETDATE") else answer

    with pytest.raises(Stuck, match="refuses to have its clock set: unknown command"):
        set_on(Refusing())
    trident._offset_ns = 90 * S
    assert abs(set_on(Silent())[0].after_ns) < 250 * MS


def test_a_question_that_was_lost_is_asked_again() -> None:
    reader = Lite()
    reader._offset_ns = 5 * S
    lost = [QUESTION]

    class Deaf:
        def answer(self, data: bytes, now_ns: int) -> bytes:
            return b"" if lost and data == lost.pop() else reader.answer(data, now_ns)

    was, _ = set_on(Deaf())
    assert abs(was.after_ns) < 20 * MS


def test_by_a_clock_that_is_not_set_no_other_is() -> None:
    with pytest.raises(Stuck, match="the clock of this box is not set"):
        set_on(Scripted({}), utc_ns=1_000 * S)


def test_the_fakes_here_are_frames() -> None:
    names = [getattr(event, "name", "") for event in Decoder().feed(CLOCK + NEVER_SET + UNCHECKED + UNHANDLED + BANNER)]
    assert names == ["clock", "clock", "clock", "unhandled", "banner"]
    assert time.gmtime(UTC_NS // S).tm_wday == 4


def test_where_nobody_ever_answers_a_day_of_doubt_piles_up_little() -> None:
    line = Line(b"").open()
    line.reads_every_ms = 250
    for _ in range(1_200):
        line.go(1)
        line.ask_clock()
    asked_early = len(line.asked_ms)
    assert asked_early >= 60
    before_ms = line.now_ms
    for _ in range(600):
        line.go(1)
        line.ask_clock()
    late = [at_ms for at_ms in line.asked_ms if at_ms > before_ms]
    assert len(late) <= 10, "once a minute at most"
