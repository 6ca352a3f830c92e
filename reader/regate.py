"""Reads through the gate again: what a run has told, or would have told by another rule. Pure.

The gates are a function of what they were given, in order; here they are given it again, and of each passing its
highest revision is kept. Memory goes with the crossings, not with the reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from reader.lines import Lines, LinesSettings
from reader.model import NS_PER_S, Hearing, Input, Instant, PutRight, Reads, Ticked
from reader.passing import Rules, Told

US_NS = 1000
TICK_NS = NS_PER_S  # the daemon looks at its gates so often, whatever comes


class Highest(NamedTuple):
    """The highest revision of a passing, told in that boot; ``is_for_clock``: it is one for the clock put right."""

    told: Told
    boot: str
    is_for_clock: bool = False


class Regate:
    """The gates of all lines, run again.

    ``is_own``: by the run's own rules, from its beginning: the passings have its ids, and are told again for the
    clock as then. Otherwise all passings of a boot are, for which a clock put right is known. ``highest`` is by
    passing, in the order of their first telling.
    """

    def __init__(self, settings: LinesSettings, epoch: str, *, is_own: bool) -> None:
        self.highest: dict[str, Highest] = {}
        self._lines = Lines(settings, epoch)
        self._is_own = is_own
        self._ticked_ns: int | None = None
        self._offset_ns: dict[str, int] = {}

    def admit(self, reader: str, line: str, rules: Rules) -> bool:
        """Let a reader hear for a line, which gets these rules if it is new; False if it hears for another."""
        settings = self._lines.settings
        if reader in settings.line_of_reader:
            return settings.line_of_reader[reader] == line
        state = self._lines.state()
        self._lines = Lines(
            replace(
                settings,
                line_of_reader=settings.line_of_reader | {reader: line},
                rules_of_line={line: rules} | settings.rules_of_line,
            ),
            state.epoch,
        )
        self._lines.restore(state)
        return True

    @property
    def rules_of_line(self) -> dict[str, Rules]:
        """The rules in force."""
        return self._lines.settings.rules_of_line

    def give(self, given: Input) -> None:
        """Take one input, in order of arrival."""
        if isinstance(given, Reads | Hearing) and given.reader not in self._lines.settings.line_of_reader:
            line, rules = next(iter(self.rules_of_line.items()))
            self.admit(given.reader, line, rules)  # no longer configured, but it did hear
        if isinstance(given, PutRight):
            given = self._put_right(given)
        self._lines.give(given)
        self._take()

    def tick(self, at: Instant) -> None:
        """Time has come so far, where no run has kept its ticks: deadlines are met, what is old is let go."""
        if self._ticked_ns is None or at.mono_ns - self._ticked_ns >= TICK_NS:
            self._ticked_ns = at.mono_ns
            self.give(Ticked(at))

    def run_on(self) -> None:
        """Nothing more is heard: let time go by until every passing is told and closed."""
        host_ns = self._lines.host_ns
        while (due_ns := self._lines.next_due_host_ns(host_ns)) is not None:
            host_ns = max(host_ns, due_ns)
            self._lines.advance(host_ns)
        self._take()

    def finish(self) -> None:
        """End every passing here and now, as a run does whose journal is set aside for another race."""
        self._lines.finish()
        self._take()

    def untold(self) -> int:
        """How many passings have begun and not been told."""
        gates = self._lines.state().gates.values()
        return sum(passing.rev == 0 for gate in gates for passing in gate.passings)

    def _take(self) -> None:
        for told in self._lines.take():
            if isinstance(told, Told):
                self.highest[told.passing] = Highest(told, self._lines.boot)

    def _put_right(self, given: PutRight) -> PutRight:
        """Tell again what is to be told again for the clock; the input with their names."""
        told_again: Sequence[str] = given.passings
        if not self._is_own:
            told_again = []
            if self._offset_ns.get(given.boot) != given.offset_ns:
                self._offset_ns[given.boot] = given.offset_ns
                told_again = [name for name, highest in self.highest.items() if _is_touched(highest, given)]
        for name in told_again:
            if name in self.highest:
                told, boot, _ = self.highest[name]
                self.highest[name] = Highest(moved(told, told.mono_ns + given.offset_ns), boot, is_for_clock=True)
        return replace(given, passings=list(told_again))


def moved(told: Told, utc_ns: int) -> Told:
    """The next revision of a passing: ``utc_ns`` its time, the others moved along from what was told of them."""
    by_ns = utc_ns - told.utc_ns

    def along(t_ns: int) -> int:
        return t_ns // US_NS * US_NS + by_ns  # what was told is whole microseconds

    return replace(
        told,
        rev=told.rev + 1,
        utc_ns=utc_ns,
        first_ns=along(told.first_ns),
        best_ns=along(told.best_ns),
        last_ns=along(told.last_ns),
    )


def _is_touched(highest: Highest, given: PutRight) -> bool:
    told = highest.told
    is_ours = highest.boot == given.boot and told.time_from != "reader"
    return is_ours and told.utc_ns - told.mono_ns != given.offset_ns
