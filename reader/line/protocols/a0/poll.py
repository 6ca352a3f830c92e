"""The rounds of an A0 reader: one antenna after the other, as fast as it ends them, and what they tell of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

from reader.line.protocols import AntennaStanding
from reader.line.protocols.a0.ask import CHECK, ask, code_of
from reader.line.protocols.a0.frame import (
    ANTENNA_MISSING,
    GET_ANTENNA,
    GET_RETURN_LOSS,
    NO_CHIP,
    NO_RETURN_LOSS,
    OK,
    PUBLIC,
    REALTIME_INVENTORY,
    SESSION_INVENTORY,
    SET_ANTENNA,
    command,
    words_from_code,
)
from reader.line.protocols.a0.ports import Heard, Port, words_of_missing
from reader.line.protocols.asking import Question, Script, Stuck, pause
from reader.line.protocols.rounds import Rounds
from reader.model import NS_PER_S, Reply

NS_PER_MS = 1_000_000
FIRST_PATIENCE_NS = 400 * NS_PER_MS  # for the end of a round of a reader of which none has been measured
PATIENCE_NS = 150 * NS_PER_MS, 1000 * NS_PER_MS  # for one that has: three of its rounds, within these
READ_PATIENCE_NS = 100 * NS_PER_MS  # a round goes on while chips come
SILENT_NS = NS_PER_S
MOST_UNPROVEN, MOST_MISSED, MOST_REFUSED = 4, 3, 20
REFUSED_NS = 100 * NS_PER_MS
AGAIN_NS, ALL_AGAIN_NS = 5 * NS_PER_S, 2 * NS_PER_S  # an antenna left out is tried again; if all are, sooner
FAULT_NS = 10 * NS_PER_S
PORTS, MOST_PORTS = 4, 8
LEAST_LOSS_DB = 3  # of an antenna that is there; with nothing at the port all comes back
REPEAT = 1


class Poll:
    """``kinds``: commands and addresses to be tried for a round; ``channel``: at which return loss may be measured."""

    def __init__(self, heard: Heard, address: int | None, session: int, target: str, channel: int | None) -> None:
        self.ports = [Port(None)]
        self.warnings: list[str] = []
        self.faults: dict[str, int] = {}  # in words, and when last told
        self.has_lost_end = False
        self._heard = heard
        self._address = PUBLIC if address is None else address
        data = bytes((session, target == "B", REPEAT))
        addresses = (PUBLIC, 1) if address is None else (address,)
        kinds = ((SESSION_INVENTORY, data), (REALTIME_INVENTORY, bytes((REPEAT,))))
        self._kinds = deque((kind, sent, one) for one in addresses for kind, sent in kinds)
        self._is_proven = False
        self._channel = channel
        self._at: int | None = None
        self._rounds = Rounds()
        self._took_ns: deque[int] = deque(maxlen=16)
        self._misses = self._refusals = 0
        self._began_ns = heard.now_ns
        self._watched = 0

    @property
    def antennas(self) -> list[AntennaStanding]:
        """Each antenna; nothing of one whose number is not known."""
        known = [(port, port.number or port.seen) for port in self.ports]
        return [
            AntennaStanding(number, port.state, self._rounds.revisit_ms(number), port.is_known)
            for port, number in known
            if number is not None
        ]

    @property
    def polled(self) -> list[Port]:
        """Those that are not left out."""
        return [port for port in self.ports if not port.out]

    @property
    def has_session(self) -> bool:
        """Whether the rounds are asked for with a session."""
        return self._kinds[0][0] == SESSION_INVENTORY

    def says(self) -> list[str]:
        """What is not as it should be, a sentence each."""
        now_ns = self._heard.now_ns
        self.faults = {words: at for words, at in self.faults.items() if now_ns - at <= FAULT_NS}
        has_any = bool(self.polled)
        said = [port.says for port in self.ports if port.says and (port.is_known or not port.out or not has_any)]
        if self._is_proven and not self.has_session:
            said.append("does not know rounds with a session: its own stands")
        return [*self.warnings, *said, *self.faults]

    # ---- which antennas --------------------------------------------------------------------------------

    def find(self, wanted: Sequence[int]) -> Script[None]:
        """Which antennas there are; ``wanted``, those of a profile, are taken as they are."""
        found: list[Port] = []
        for number in wanted or range(1, MOST_PORTS + 1):
            if not wanted and number == PORTS + 1 and len(found) < PORTS:
                break
            answer = yield from ask(f"antenna {number}", SET_ANTENNA, bytes((number - 1,)), self._address)
            port, code = Port(number, is_known=bool(wanted)), code_of(answer)
            if answer is None:
                if not found:
                    self.warnings.append("does not answer when told its antenna: the one that is set stands")
                if not found or (not wanted and number > PORTS):
                    break
            elif code in (None, OK):
                self._at = number
                if not wanted and number > PORTS and not (yield from self._is_at(number)):
                    break
                if not wanted:
                    yield from self._measure(port)
                    if port.is_loose:
                        port.leave_out("missing", port.says, self._heard.now_ns)
            elif code == ANTENNA_MISSING:
                port.leave_out("missing", words_of_missing(port), self._heard.now_ns)
            elif wanted:
                port.leave_out("bad", f"antenna {number}: {words_from_code(code)}", self._heard.now_ns)
            else:
                continue
            found.append(port)
        if found and all(port.out and port.is_loose for port in found):
            # Where all are said to be gone the measure may be wrong, and a mat that listens loses nothing.
            for port in found:
                port.out = ""
        self.ports = found or [Port(None)]

    def _is_at(self, number: int) -> Script[bool]:
        """Some readers take any number and stay where they are."""
        answer = yield from ask("its antenna", GET_ANTENNA, address=self._address)
        return answer is not None and answer.fields.get("antenna") == number - 1

    def _measure(self, port: Port) -> Script[None]:
        """Whether there is anything at the port where the reader is now; twice, before it is said to be gone."""
        for _ in range(2):
            port.loss_db = loss_db = yield from self._return_loss_db()
            port.is_loose = loss_db is not None and loss_db < LEAST_LOSS_DB
            port.says = ""
            if not port.is_loose:
                return
        port.says = f"antenna {port.number}: return loss too small: not connected, or its cable is bad"

    def _return_loss_db(self) -> Script[int | None]:
        """0 where it can't be measured for the antenna's sake; None where this reader does not measure it."""
        if self._channel is None:
            return None
        channel = bytes((self._channel,))
        answer = yield from ask("return loss", GET_RETURN_LOSS, channel, self._address, tries=1)
        if code_of(answer) in (NO_RETURN_LOSS, ANTENNA_MISSING):
            return 0
        loss_db = None if answer is None else answer.fields.get("return_loss_db")
        if not isinstance(loss_db, int):
            self._channel = None
            return None
        return loss_db

    # ---- rounds ----------------------------------------------------------------------------------------

    def cycle(self) -> Script[None]:
        """One turn of each antenna. Stuck when the reader answers no more."""
        again_ns = AGAIN_NS if self.polled else ALL_AGAIN_NS
        turns = [port for port in self.ports if not port.out or self._heard.now_ns - port.tried_ns >= again_ns]
        if not turns:
            yield from pause(REFUSED_NS)
        for port in turns:
            yield from self._turn(port)

    def watch(self) -> Script[None]:
        """The return loss of one antenna, each in its turn."""
        polled = [port for port in self.polled if port.number is not None]
        if polled and self._channel is not None:
            self._watched += 1
            port = polled[self._watched % len(polled)]
            if (yield from self._choose(port)):
                yield from self._measure(port)

    def _turn(self, port: Port) -> Script[None]:
        port.tried_ns = self._heard.now_ns
        if not (yield from self._choose(port)):
            return
        if port.out and port.is_loose and not (yield from self._is_back(port)):
            return
        began_ns = self._heard.now_ns
        answer = yield from self._round()
        if answer is None:
            self._miss()
            return
        self._misses = 0
        code = code_of(answer)
        if code in (None, NO_CHIP):
            self._end(port, answer, began_ns)
        elif code == ANTENNA_MISSING:
            self._is_proven = True
            port.leave_out("missing", words_of_missing(port), self._heard.now_ns)
        else:
            yield from self._refused(code)

    def _is_back(self, port: Port) -> Script[bool]:
        """Whether an antenna that was left out for its return loss is there again."""
        yield from self._measure(port)
        if not port.is_loose:
            port.out = ""
        return not port.out

    def _choose(self, port: Port) -> Script[bool]:
        if port.number is None or port.number == self._at:
            return True
        sent = bytes((port.number - 1,))
        answer = yield from ask(f"antenna {port.number}", SET_ANTENNA, sent, self._address, tries=1)
        if answer is None:
            self._miss()
            return False
        code = code_of(answer)
        if code in (None, OK):
            self._at = port.number
            return True
        out: Literal["missing", "bad"] = "missing" if code == ANTENNA_MISSING else "bad"
        says = words_of_missing(port) if out == "missing" else f"antenna {port.number}: {words_from_code(code)}"
        port.leave_out(out, says, self._heard.now_ns)
        return False

    def _round(self) -> Script[Reply | None]:
        """Ask for one round; its end, an error, or None if it does not end."""
        number, data, address = self._kinds[0]

        def is_end(reply: Reply) -> bool:
            return reply.fields.get("cmd") == number

        asked_ns = self._heard.now_ns
        sent = command(number, data, address)
        answer = yield Question("a round", sent, is_end, tries=1, wait_ns=self._patience_ns)
        while answer is None and self._is_reading(asked_ns):
            answer = yield Question("the end of the round", b"", is_end, tries=1, wait_ns=READ_PATIENCE_NS)
        return answer

    @property
    def _patience_ns(self) -> int:
        if not self._took_ns:
            return FIRST_PATIENCE_NS
        least_ns, most_ns = PATIENCE_NS
        return min(max(3 * max(self._took_ns), least_ns), most_ns)

    def _is_reading(self, asked_ns: int) -> bool:
        read_ns = self._heard.read_ns
        return read_ns is not None and read_ns >= asked_ns and self._heard.now_ns - read_ns < READ_PATIENCE_NS

    def _end(self, port: Port, answer: Reply, began_ns: int) -> None:
        now_ns = self._heard.round_ns = self._heard.now_ns
        self._is_proven, self._refusals = True, 0
        self._took_ns.append(now_ns - began_ns)
        antenna = answer.fields.get("antenna")
        if isinstance(antenna, int):
            port.seen = antenna + 1
            if port.number is not None and port.number != port.seen:
                # Not where it was put: it has started anew, or this is the end of a round long given up.
                self._at, self.has_lost_end = None, True
                return
        port.is_up = port.is_known = True
        if port.out:
            port.out = ""
        if not port.is_loose:
            port.says = ""
        if (number := port.number or port.seen) is not None:
            self._rounds.begin(number, began_ns)

    def _miss(self) -> None:
        self._misses += 1
        self._at, self.has_lost_end = None, True
        if not self._is_proven:
            self._kinds.rotate(-1)
        since_ns = max(self._heard.alive_ns or 0, self._began_ns)
        if self._misses < (MOST_MISSED if self._is_proven else MOST_UNPROVEN):
            return
        if self._heard.now_ns - since_ns >= SILENT_NS:
            raise Stuck(f"silent: its rounds do not end; {CHECK}", is_unanswered=True)

    def _refused(self, code: int) -> Script[None]:
        self._refusals += 1
        says = f"refuses a round: {words_from_code(code)}"
        if self._refusals >= (MOST_REFUSED if self._is_proven else MOST_UNPROVEN):
            raise Stuck(f"{says}; switch it off and on")
        if self._is_proven:
            self.faults[says] = self._heard.now_ns
        else:
            self._kinds.rotate(-1)
        yield from pause(REFUSED_NS)
