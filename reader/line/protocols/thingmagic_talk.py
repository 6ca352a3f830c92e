"""What is said to a ThingMagic module so that it streams its reads, and what its answers tell of it.

The setting-up is one generator that reads from top to bottom: it yields a question and is sent the answer, or None
if there was none. Around it stands what is the same for every question: send, match, ask again, give up, start over.

Nothing that writes flash is ever sent, and no region: a wrong one breaks the law of the land. What is set here is
volatile: Gen2, the connected antennas, every read reported, session S0 and target A (a chip answers in every round).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, TypeAlias, cast

from reader.line.protocols import AntennaStanding, Standing
from reader.line.protocols.settings import Wanted
from reader.line.protocols.thingmagic_frame import (
    BOOT,
    GET_ANTENNAS,
    GET_PROGRAM,
    GET_REGION,
    RF_NOT_ON,
    SET_ANTENNAS,
    SET_CONFIG,
    SET_GEN2,
    SET_PROTOCOL,
    STREAM,
    command,
    words_from_status,
)
from reader.line.protocols.thingmagic_report import STREAMED
from reader.model import NS_PER_S, ChipRead, Event, Reason, Reply

ANSWER_NS = 1 * NS_PER_S
BOOT_NS = 2 * NS_PER_S
TRIES = 3
START_OVER_NS = 2 * NS_PER_S  # not more often
REGION_AGAIN_NS = 10 * NS_PER_S
SILENT_NS = 5 * NS_PER_S // 2  # a keep-alive comes every second
FAULT_NS = 10 * NS_PER_S

GEN2 = bytes.fromhex("0005")
DETECT = bytes.fromhex("05")
EVERY_READ = bytes.fromhex("010C00")  # read filter off
SESSION_S0 = bytes.fromhex("050000")
TARGET_A = bytes.fromhex("05010100")
# Multi-protocol search, Gen2: search flags 001B (all antennas of the list, streaming, many chips), cycles of
# 1000 ms, metadata 0016: signal strength, antenna and time, for a line of 115200 baud carries 311 such reads a second.
START = bytes.fromhex("00000122000005072210001B03E80016")
STOP = bytes.fromhex("000002")
STARTED, STOPPED = 1, 2
SEARCH_LIST = bytes.fromhex("02")

NO_REGION = "not transmitting: no region is set in the reader; set this country's with the maker's software"

CHECK = "check its power and the cable, and that `baud` is what it is set to"


class _Question(NamedTuple):
    """``name`` in words. Without an opcode nothing is sent: a pause."""

    name: str
    opcode: int | None
    data: bytes = b""
    option: int | None = None  # that the answer must bear, where one opcode has several
    tries: int = TRIES
    wait_ns: int = ANSWER_NS


class _Stuck(Exception):
    """The reader can't be brought to stream, and why."""

    def __init__(self, says: str, is_unanswered: bool = False) -> None:
        super().__init__(says)
        self.is_unanswered = is_unanswered


_Asking: TypeAlias = Generator[_Question, Reply | None, Reply]


class Conversation:
    """Sets the module up, starts the stream and watches over it; starts over for ever."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self.standing = Standing(hears=False, word="unknown", says="the port is not open yet")
        self.baud: int | None = None
        self.due_ns: int | None = None
        self.antennas: list[AntennaStanding] = []
        self._script = self._set_up(0)
        self._question: _Question | None = None  # None: all is said, and the stream is on
        self._asked_ns = self._began_ns = self._started_ns = 0
        self._tries = 0
        self._streamed_ns: int | None = None
        self._trouble = ""
        self._is_unanswered = False
        self._refused: list[str] = []
        self._faults: dict[str, int] = {}  # in words, and when last told
        self._ports: list[int] = []

    def opened(self, now_ns: int) -> bytes:
        """Begin from the top."""
        self._trouble, self._is_unanswered = "", False
        self._streamed_ns = None
        self._faults.clear()
        sent = self._begin(0, now_ns)
        self._judge(now_ns)
        return sent

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """Take answers, and note that the stream is alive."""
        sent = b""
        for event in events:
            if isinstance(event, ChipRead):
                self._streamed_ns = now_ns
            elif isinstance(event, Reply):
                sent += self._heard_reply(event, now_ns)
            elif event.reason is Reason.CHIP_CRC:
                self._streamed_ns = now_ns
        self._judge(now_ns)
        return sent

    def tick(self, now_ns: int) -> bytes:
        """Ask again, go on or start over, if it is time to."""
        sent = b""
        if self._question is None:
            silent_ns = now_ns - max(self._started_ns, self._streamed_ns or 0)
            if silent_ns > SILENT_NS:
                self._trouble = f"silent: no keep-alive for {silent_ns / NS_PER_S:.1f} s; {CHECK}"
                sent = self._start_over(now_ns)
        elif now_ns - self._asked_ns >= self._question.wait_ns:
            if self._tries < self._question.tries:
                sent = self._ask(self._question, self._tries + 1, now_ns)
            else:
                sent = self._go_on(None, now_ns)
        self._judge(now_ns)
        return sent

    def closing(self) -> bytes:
        """Let it stream: it goes on at once when the mat is back."""
        return b""

    def _set_up(self, pause_ns: int) -> Generator[_Question, Reply | None, None]:
        if pause_ns:
            yield _Question("pause", None, tries=1, wait_ns=pause_ns)
        # A stream left running answers nothing else. Where none runs there may be no answer to this.
        yield _Question("stop", STREAM, STOP, option=STOPPED, tries=1)
        if (yield from self._need("its program", GET_PROGRAM)).fields.get("is_bootloader"):
            yield _Question("boot", BOOT, tries=1, wait_ns=BOOT_NS)
            if (yield from self._need("its program", GET_PROGRAM)).fields.get("is_bootloader"):
                raise _Stuck(
                    "does not start its program: switch it off and on; if that does not help, load its firmware"
                )
        while not (yield from self._need("its region", GET_REGION)).fields.get("region"):
            self._trouble = NO_REGION
            yield _Question("pause", None, tries=1, wait_ns=REGION_AGAIN_NS)
        yield from self._need("protocol Gen2", SET_PROTOCOL, GEN2)
        ports = (yield from self._want("antenna detection", GET_ANTENNAS, DETECT)).fields.get("ports")
        self._ports = [port for port, is_there in ports.items() if is_there] if isinstance(ports, dict) else []
        if not self._ports:
            self._ports = [1]
            self._refused.append("no antenna detected: using port 1")
        pairs = bytes(port for port in self._ports for _ in ("transmit", "receive"))
        yield from self._want("antenna list", SET_ANTENNAS, SEARCH_LIST + pairs)
        yield from self._want("reporting every read", SET_CONFIG, EVERY_READ)
        yield from self._want("session S0", SET_GEN2, SESSION_S0)
        yield from self._want("target A", SET_GEN2, TARGET_A)
        yield from self._need("the start", STREAM, START, STARTED)

    def _need(self, name: str, opcode: int, data: bytes = b"", option: int | None = None) -> _Asking:
        """Ask what must not be refused."""
        answer = yield from self._want(name, opcode, data, option)
        if status := _status_of(answer):
            raise _Stuck(f"refuses {name}: {words_from_status(status)}; switch it off and on")
        return answer

    def _want(self, name: str, opcode: int, data: bytes = b"", option: int | None = None) -> _Asking:
        """Ask; where it refuses, that is kept for the standing."""
        answer = yield _Question(name, opcode, data, option)
        if answer is None:
            asked = "at this baud" if opcode == GET_PROGRAM else f"when asked for {name}"
            raise _Stuck(f"does not answer {asked}: {CHECK}", is_unanswered=True)
        if status := _status_of(answer):
            self._refused.append(f"refused {name}: {words_from_status(status)}")
        return answer

    def _begin(self, pause_ns: int, now_ns: int) -> bytes:
        self._began_ns = now_ns + pause_ns
        self._refused = []
        self._script = self._set_up(pause_ns)
        return self._go_on(None, now_ns)

    def _start_over(self, now_ns: int) -> bytes:
        """From the top: at once, but not more often than every ``START_OVER_NS``."""
        if now_ns < self._began_ns:
            return b""  # it is waiting to begin already
        return self._begin(max(0, self._began_ns + START_OVER_NS - now_ns), now_ns)

    def _go_on(self, answer: Reply | None, now_ns: int) -> bytes:
        try:
            question = self._script.send(answer)
        except StopIteration:
            self._question = None
            self._started_ns = now_ns
            return b""
        except _Stuck as stuck:
            self._trouble, self._is_unanswered = str(stuck), stuck.is_unanswered
            return self._start_over(now_ns)
        return self._ask(question, 1, now_ns)

    def _ask(self, question: _Question, tries: int, now_ns: int) -> bytes:
        self._question, self._tries, self._asked_ns = question, tries, now_ns
        return b"" if question.opcode is None else command(question.opcode, question.data)

    def _heard_reply(self, reply: Reply, now_ns: int) -> bytes:
        question, status = self._question, _status_of(reply)
        is_answer = _is_answer(reply, question)
        if is_answer and self._is_unanswered:
            self._trouble, self._is_unanswered = "", False
        # To the stop anything may be answered: it begins a setting-up, which is what the two cases here ask for.
        is_stopping = question is not None and question.option == STOPPED
        if status == RF_NOT_ON and not is_stopping:
            return self._restart(f"{words_from_status(status)}: it is set up again", now_ns)
        if reply.name == "boot" and not is_answer and not is_stopping:
            return self._restart("has restarted by itself and is set up again; check its power supply", now_ns)
        if is_answer:
            return self._go_on(reply, now_ns)
        if reply.name in STREAMED:
            self._streamed_ns = now_ns
            if reply.name == "fault":
                self._faults[words_from_status(status)] = now_ns
        return b""

    def _restart(self, trouble: str, now_ns: int) -> bytes:
        self._trouble, self._is_unanswered = trouble, False
        self._streamed_ns = None
        return self._start_over(now_ns)

    def _judge(self, now_ns: int) -> None:
        standing = self._standing_at(now_ns)
        # The same object while nothing changes: who watches it need only look whether it is another.
        if standing != self.standing:
            self.standing = standing

    def _standing_at(self, now_ns: int) -> Standing:
        is_heard = self._streamed_ns is not None and now_ns - self._streamed_ns <= SILENT_NS
        if self._question is None and is_heard:
            self._trouble, self._is_unanswered = "", False
            self._faults = {words: at for words, at in self._faults.items() if now_ns - at <= FAULT_NS}
            says = f"streaming, antenna {', '.join(map(str, self._ports))}"
            if warnings := [*self._faults, *self._refused]:
                return Standing(hears=True, word="warn", says=f"{says}; {'; '.join(warnings)}")
            return Standing(hears=True, word="ok", says=says)
        if self._is_unanswered and is_heard:
            says = f"reports, but {self._trouble}; it goes on as it was set before"
            return Standing(hears=True, word="warn", says=says)
        if self._trouble:
            return Standing(hears=False, word="fail", says=self._trouble)
        if is_heard:
            return Standing(hears=True, word="warn", says="was streaming already, and is being set up")
        return Standing(hears=False, word="unknown", says="setting up the reader")


def _is_answer(reply: Reply, question: _Question | None) -> bool:
    if question is None or reply.fields["opcode"] != question.opcode:
        return False
    # A refusal bears no option.
    return bool(_status_of(reply)) or question.option in (None, reply.fields.get("option"))


def _status_of(reply: Reply) -> int:
    return cast(int, reply.fields["status"])
