"""The lines of one mat: which reader belongs to which gate, and what all gates share.

Like each gate, a function of what it was given, in order: given the same inputs again it is in the same
state, with the same passings under the same ids.
"""

from __future__ import annotations

import msgspec

from reader.config import Config
from reader.gate import Gate
from reader.model import NS_PER_S, Began, Hearing, Input, PutRight, Reads, Ticked, ToldAgain
from reader.passing import GateState, Opened, Rules, Told

# A chip whose passing was open when the power went may be on the mat still: so long its next one is doubtful.
DOUBT_NS = 60 * NS_PER_S
# A spell without a disk may have told of passings that the power took along: their ids are not used again.
MORE_THAN_IN_MEMORY = 1_000_000


class LinesSettings(msgspec.Struct, frozen=True):
    """Which reader hears for which line, the rules of each line, and the chips that are never splits."""

    line_of_reader: dict[str, str]
    rules_of_line: dict[str, Rules]
    reference: frozenset[str] = frozenset()


def settings_from_config(config: Config) -> LinesSettings:
    """The gates that a configuration asks for."""
    rules_of_line = {}
    for reader in config.readers:
        gate = config.gate
        rules_of_line[reader.line] = Rules(
            pick=gate.pick,
            use=config.mat.use,
            quiet_ns=round(gate.quiet_s * NS_PER_S),
            dead_time_ns=round(gate.dead_time_s * NS_PER_S),
            linger_ns=round(gate.linger_s * NS_PER_S),
            time_from="reader" if reader.time_from == "reader" else "host",
        )
    return LinesSettings(
        line_of_reader={reader.name: reader.line for reader in config.readers},
        rules_of_line=rules_of_line,
        reference=frozenset(config.chips.reference),
    )


class LinesState(msgspec.Struct):
    """A snapshot of all lines."""

    epoch: str
    ids: int
    host_ns: int
    hearing: list[str]
    gates: dict[str, GateState]
    boot: str = ""


class Lines:
    """The gates of all lines. What there is to tell comes out of :meth:`take`, in order."""

    def __init__(self, settings: LinesSettings, epoch: str) -> None:
        self.settings = settings
        self.epoch = epoch
        self.hearing: set[str] = set()
        self.boot = ""
        self.host_ns = 0
        self._ids = 0
        self.gates = {line: Gate(line, rules, self._new_id) for line, rules in settings.rules_of_line.items()}

    def give(self, given: Input) -> None:
        """Take one input. Times before the last one's are taken as late, never as a step back."""
        self.host_ns = max(self.host_ns, given.at.mono_ns)
        match given:
            case Reads():
                reads = given
                if self.settings.reference:
                    kept = [read for read in given.reads if read.chip not in self.settings.reference]
                    reads = msgspec.structs.replace(given, reads=kept)
                self.gates[self.settings.line_of_reader[given.reader]].hear(reads, self.host_ns)
            case Hearing() if given.antenna is None:
                (self.hearing.add if given.hears else self.hearing.discard)(given.reader)
                self._tell_gates_who_hears(self.host_ns)
            case Ticked():
                self.advance(self.host_ns)
            case Began():
                self._begin(given)
            case PutRight() if given.boot == self.boot:
                for gate in self.gates.values():
                    gate.put_right(given.offset_ns)
                    gate.told_again(set(given.passings))
            case ToldAgain():
                for gate in self.gates.values():
                    gate.told_again(set(given.passings))

    def is_reference_alone(self, given: Input) -> bool:
        """Whether it is reads of reference chips and nothing else: no gate hears of them, so nobody need keep them."""
        reference = self.settings.reference
        return bool(reference) and isinstance(given, Reads) and all(read.chip in reference for read in given.reads)

    def advance(self, host_ns: int) -> bool:
        """Meet the deadlines up to now; whether there were any (then give a :class:`Ticked` of that moment)."""
        have_met = [gate.advance(host_ns) for gate in self.gates.values()]
        return any(have_met)

    def next_due_host_ns(self, host_ns: int) -> int | None:
        """When :meth:`advance` has something to do at the earliest."""
        dues = [due for gate in self.gates.values() if (due := gate.next_due_host_ns(host_ns)) is not None]
        return min(dues, default=None)

    def take(self) -> list[Opened | Told]:
        """What there is to tell since the last call."""
        return [told for gate in self.gates.values() for told in gate.take()]

    def chips_heard(self) -> int:
        """How many chips have passed here since the epoch began, each line's counted."""
        return sum(gate.chips_heard() for gate in self.gates.values())

    def finish(self) -> set[str]:
        """Tell all that is owed and forget the passings; the chips whose passings were open."""
        return {chip for gate in self.gates.values() for chip in gate.finish()}

    def state(self) -> LinesState:
        """A snapshot; take out first what there is to tell."""
        gates = {line: gate.state() for line, gate in self.gates.items()}
        return LinesState(self.epoch, self._ids, self.host_ns, sorted(self.hearing), gates, self.boot)

    def restore(self, state: LinesState) -> None:
        """Go on from a snapshot. A line that is no longer there is not restored."""
        self.epoch, self._ids, self.host_ns, self.boot = state.epoch, state.ids, state.host_ns, state.boot
        self.hearing = set(state.hearing) & set(self.settings.line_of_reader)
        for line, gate_state in state.gates.items():
            if line in self.gates:
                self.gates[line].restore(gate_state)

    def _begin(self, began: Began) -> None:
        """The daemon began: tie what was to what comes, or end it."""
        if self.boot not in ("", began.boot):
            self._ids += MORE_THAN_IN_MEMORY
        self.boot = began.boot
        if began.shift_ns is None:
            doubtful = self.finish()
            self.host_ns = began.at.mono_ns
            for gate in self.gates.values():
                gate.doubt(doubtful, began.at.mono_ns + gate.rules.dead_time_ns + DOUBT_NS)
        else:
            if began.shift_ns:
                for gate in self.gates.values():
                    gate.shift(began.shift_ns)
            self.host_ns = began.at.mono_ns
        self.hearing.clear()
        self._tell_gates_who_hears(min(began.deaf_since, self.host_ns))

    def _tell_gates_who_hears(self, host_ns: int) -> None:
        for line, gate in self.gates.items():
            if any(self.settings.line_of_reader[reader] == line for reader in self.hearing):
                gate.resume(host_ns)
            else:
                gate.cease(host_ns)

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self.epoch}-{self._ids}"
