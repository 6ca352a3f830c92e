"""The gate against the document, done the plain way (``gate_oracle``), and the laws it keeps by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import count, pairwise
from random import Random
from typing import Literal, NamedTuple, Protocol, TypeVar
from unittest.mock import patch

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from reader.config.settings import GATE_BY_USE
from reader.gate import Gate
from reader.lines import Lines, LinesSettings
from reader.model import Began, ChipRead, Hearing, Input, Instant, Pick, Reads, Ticked, Use
from reader.passing import GateState, Opened, Rules, Told
from tests.gate_oracle import Oracle, Revision

S = 1_000_000_000
MS = 1_000_000
BEGIN_NS = 1_000 * S
UTC_OFFSET_NS = 1_700_000_000 * S
ZONE_NS = -5 * 3_600 * S
T = TypeVar("T")

law = settings(max_examples=120, deadline=None)


class Step(NamedTuple):
    """What happens at one moment of the host's clock: a word; or reads of what was so long ago."""

    at_ns: int
    what: str
    late_ns: int = 0
    reads: tuple[tuple[str, int, int | None], ...] = ()


# The gaps that the rules speak of, exact and by a hair; before them the small ones of a walk across.
GAPS_MS = [10, 50, 100, 100, 300, 0, 20, 90, 200, 370, 749, 750, 751, 849, 850, 851, 999, 1_000, 2_990, 3_000, 4_990]
GAPS_MS += [5_000, 6_120, 7_990, 8_000, 8_010, 9_990, 10_000, 14_000, 19_990, 20_000, 70_000]
LATE_MS = [0, 0, 0, 0, 10, 100, 500, 1_000, 2_500, 4_000, 5_990, 6_000]
WORDS = ["reads"] * 12 + ["advance"] * 2 + ["cease", "resume"]
CHIPS = ["A1", "A1", "A1", "B2", "C3"]
SIGNALS_DBM = [-60, -61, -59, -66, -54, -65, -70, -71, -50, -44, -75, -48, None]


def steps_from_numbers(numbers: list[int], *, words: list[str], late_ms: list[int]) -> list[Step]:
    """Each step out of one number: hypothesis draws one far faster than ten, and shrinks it as well."""

    left = 0

    def take(choices: Sequence[T]) -> T:
        nonlocal left
        left, place = divmod(left, len(choices))
        return choices[place]

    now, steps = BEGIN_NS, []
    for number in numbers:
        left = number
        now += take(GAPS_MS) * MS
        what, late_ns = take(words), take(late_ms) * MS
        reads = tuple((take(CHIPS), take([1, 2]), take(SIGNALS_DBM)) for _ in range(take([1, 1, 2, 3])))
        steps.append(Step(now, what, late_ns, reads) if what == "reads" else Step(now, what))
    return steps


def streams(words: list[str] = WORDS, late_ms: list[int] = LATE_MS) -> st.SearchStrategy[list[Step]]:
    """Up to 50 moments of three chips on two antennas; reads come up to six seconds after they were heard."""
    numbers = st.lists(st.integers(0, 1 << 40), min_size=1, max_size=50)
    return numbers.map(lambda drawn: steps_from_numbers(drawn, words=words, late_ms=late_ms))


in_order = streams(words=["reads"] * 6 + ["advance"], late_ms=[0])

# Of a mat whose reader keeps a log: crossings, hours between them, and reads of long ago at and beside what was.
LOG_GAPS_MS = [100, 100, 500, 900, 5_000, 10_000, 20_000, 70_000, 299_000, 321_000, 400_000, 3_600_000]
LOG_WORDS = ["reads"] * 6 + ["log"] * 8 + ["advance", "cease", "resume"]
BESIDE_MS = [0, 0, 0, 100, -100, 500, -500, 4_990, -4_990, 5_000, 7_000, -9_000, 10_000, -10_000, 15_000, 19_990]
BESIDE_MS += [-19_990, 20_000, -20_000, 25_000, 30_000, -38_000, 60_000, -90_000, 300_000]


def steps_with_logs(numbers: list[int]) -> list[Step]:
    """As above; a log's reads come ten milliseconds one after the other, from where something once was."""

    left = 0

    def take(choices: Sequence[T]) -> T:
        nonlocal left
        left, place = divmod(left, len(choices))
        return choices[place]

    now, steps, were = BEGIN_NS, list[Step](), [("A1", BEGIN_NS - 7_200 * S)]
    for number in numbers:
        left = number
        now += take(LOG_GAPS_MS) * MS
        what = take(LOG_WORDS)
        if what not in ("reads", "log"):
            steps.append(Step(now, what))
            continue
        chip, was_ns = take(CHIPS), now
        if what == "log":
            chip, was_ns = take(were)
            was_ns = min(now, was_ns + take(BESIDE_MS) * MS)
        for _ in range(take([1, 2, 3])):
            steps.append(Step(now, "reads", max(0, now - was_ns), ((chip, take([1, 2]), take(SIGNALS_DBM)),)))
            were.append((chip, was_ns))
            now, was_ns = now + 10 * MS, was_ns + take([100, 10, 2_000, 6_000]) * MS
    return steps


logs = st.lists(st.integers(0, 1 << 60), min_size=1, max_size=40).map(steps_with_logs)


def rules_of(use: Use, pick: Pick | None, time_from: Literal["host", "reader"]) -> Rules:
    of_use = GATE_BY_USE[use]
    quiet_ns, dead_time_ns, linger_ns = (round(s * S) for s in (of_use.quiet_s, of_use.dead_time_s, of_use.linger_s))
    return Rules(pick or of_use.pick, use, quiet_ns, dead_time_ns, linger_ns, time_from)


USES: list[Use] = ["finish", "start", "lap", "start-finish"]
PICKS: list[Pick | None] = [None, "first", "best", "last"]
rules_by_host = st.builds(rules_of, st.sampled_from(USES), st.sampled_from(PICKS), st.just("host"))
every_rules = rules_by_host | st.builds(rules_of, st.sampled_from(USES), st.sampled_from(PICKS), st.just("reader"))


# ---- the way of a stream through a gate --------------------------------------------------------------------


class Gatelike(Protocol):
    def hear(self, given: Reads, host_ns: int) -> None: ...
    def advance(self, host_ns: int) -> object: ...
    def cease(self, host_ns: int) -> None: ...
    def resume(self, host_ns: int) -> None: ...


def reads_of(step: Step, rules: Rules) -> Reads:
    heard_ns = step.at_ns - step.late_ns
    if rules.time_from == "reader":
        at = Instant(step.at_ns + UTC_OFFSET_NS, step.at_ns)
        reader_ns = heard_ns + UTC_OFFSET_NS + ZONE_NS
        return Reads(
            "north", at, ZONE_NS, [ChipRead(chip, ear, dbm, reader_ns, None, 0) for chip, ear, dbm in step.reads]
        )
    at = Instant(heard_ns + UTC_OFFSET_NS, heard_ns)
    return Reads("north", at, 0, [ChipRead(chip, ear, dbm, None, None, 0) for chip, ear, dbm in step.reads])


def play(gate: Gatelike, steps: Iterable[Step], rules: Rules) -> None:
    for step in steps:
        match step.what:
            case "reads":
                gate.hear(reads_of(step, rules), step.at_ns)
            case "advance":
                gate.advance(step.at_ns)
            case "cease":
                gate.cease(step.at_ns)
            case "resume":
                gate.resume(step.at_ns)


def play_out(gate: Gatelike, steps: list[Step], rules: Rules) -> None:
    """To the very end: after three minutes nothing is left to be told."""
    play(gate, steps, rules)
    gate.advance(steps[-1].at_ns + 180 * S)


def gate_of(rules: Rules) -> Gate:
    ids = count(1)
    return Gate("main", rules, lambda: f"e-{next(ids)}")


def told_by(gate: Gate) -> dict[str, list[Told]]:
    """What was told, by passing; each with its revisions in order, from 1 without a gap."""
    by_passing = defaultdict(list)
    for told in gate.take():
        if isinstance(told, Told):
            by_passing[told.passing].append(told)
            assert told.rev == len(by_passing[told.passing])
    return by_passing


def outcome(rules: Rules, steps: list[Step]) -> dict[str, list[Told]]:
    gate = gate_of(rules)
    play_out(gate, steps, rules)
    return told_by(gate)


# ---- the document ------------------------------------------------------------------------------------------


def rounded(revision: Revision) -> Revision:
    """The mean of `best` is floating point in both: its last microseconds are not what is compared."""
    return revision._replace(time=round(revision.time, -4), best=round(revision.best, -4))


def revision_from_told(told: Told, rules: Rules) -> Revision:
    offset_ns = 0 if rules.time_from == "reader" else UTC_OFFSET_NS
    return Revision(
        why=told.revised_for,
        time=told.utc_ns - offset_ns,
        first=told.first_ns - offset_ns,
        best=told.best_ns - offset_ns,
        last=told.last_ns - offset_ns,
        reads=told.reads,
        dbm=told.rssi_dbm,
        ear=(told.reader, told.antenna),
        lingering=told.lingering,
        left=told.left,
    )


@settings(law, max_examples=500)
@given(every_rules, streams() | logs)
def test_the_gate_tells_what_the_document_says(rules: Rules, steps: list[Step]) -> None:
    gate, oracle = gate_of(rules), Oracle(rules)
    play_out(gate, steps, rules)
    play_out(oracle, steps, rules)
    from_gate = {
        (told[0].chip, told[0].nth, told[0].loiter): [rounded(revision_from_told(one, rules)) for one in told]
        for told in told_by(gate).values()
    }
    from_oracle = {
        (crossing.chip, crossing.nth, crossing.loiter): [rounded(revision) for revision in crossing.told]
        for crossing in oracle.crossings
    }
    assert from_gate == from_oracle
    assert gate.counts["repeats"] == oracle.repeats


# ---- laws --------------------------------------------------------------------------------------------------


@law
@given(every_rules, streams() | logs)
def test_chunking_changes_nothing(rules: Rules, steps: list[Step]) -> None:
    one_by_one = [step._replace(reads=(read,)) for step in steps for read in step.reads or [None] if read]
    whole = [step for step in steps if step.what == "reads"]
    if whole:
        assert outcome(rules, one_by_one) == outcome(rules, whole)


@law
@given(every_rules, streams() | logs)
def test_how_often_deadlines_are_looked_at_changes_nothing(rules: Rules, steps: list[Step]) -> None:
    seldom = [step for step in steps if step.what != "advance"]
    often = steps[:1]
    for before, after in pairwise(steps):
        gap_ns = after.at_ns - before.at_ns
        often += [Step(before.at_ns + gap_ns * part // 8, "advance") for part in range(8)]
        often.append(after)
    if seldom:
        assert outcome(rules, often) == outcome(rules, seldom)


@law
@given(every_rules, in_order)
def test_passings_of_a_chip_open_a_dead_time_apart(rules: Rules, steps: list[Step]) -> None:
    gate = gate_of(rules)
    play_out(gate, steps, rules)
    opened: dict[str, list[int]] = defaultdict(list)
    for told in gate.take():
        if isinstance(told, Opened):
            opened[told.chip].append(told.utc_ns)
    assert all(b - a >= rules.dead_time_ns for times in opened.values() for a, b in pairwise(times))


@law
@given(rules_by_host, streams() | logs)
def test_other_chips_never_matter(rules: Rules, steps: list[Step]) -> None:
    alone = [step._replace(reads=tuple(read for read in step.reads if read[0] == "A1")) for step in steps]

    def of_a1(steps: list[Step]) -> list[list[Told]]:
        nameless = [
            [msgspec.structs.replace(one, passing="") for one in told] for told in outcome(rules, steps).values()
        ]
        return [told for told in nameless if told[0].chip == "A1"]

    assert of_a1(alone) == of_a1(steps)


@law
@given(every_rules, streams() | logs, st.data())
def test_a_gate_goes_on_from_its_state_as_if_nothing_had_been(
    rules: Rules, steps: list[Step], data: st.DataObject
) -> None:
    """At every cut: what the first part told and what the rest tells are together what one gate tells."""
    whole = gate_of(rules)
    play_out(whole, steps, rules)
    expected = whole.take()
    for cut in {data.draw(st.integers(0, len(steps))) for _ in range(4)}:
        before = gate_of(rules)
        play(before, steps[:cut], rules)
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(before.state()), type=GateState)
        ids = count(state.order + 1)
        after = Gate("main", rules, lambda ids=ids: f"e-{next(ids)}")  # type: ignore[misc]  # mypy can't type the default
        after.restore(state)
        play_out(after, steps[cut:] or steps[-1:], rules) if cut < len(steps) else after.advance(
            steps[-1].at_ns + 180 * S
        )
        assert before.take() + after.take() == expected


@law
@given(every_rules, streams() | logs)
def test_first_is_not_after_best_and_best_not_after_last(rules: Rules, steps: list[Step]) -> None:
    told = [one for revisions in outcome(rules, steps).values() for one in revisions]
    assert all(one.first_ns <= one.best_ns <= one.last_ns for one in told)
    assert all(one.first_ns <= one.utc_ns <= one.last_ns for one in told)


@law
@given(every_rules, streams(words=["reads"]), st.randoms(use_true_random=False))
def test_no_order_of_arrival_merges_two_chips_or_loses_a_read(rules: Rules, steps: list[Step], random: Random) -> None:
    heard = [step._replace(reads=(read,), late_ns=0) for step in steps for read in step.reads]
    end_ns = heard[-1].at_ns
    arriving = sorted(heard, key=lambda step: step.at_ns + random.randrange(6 * S))
    gate = gate_of(rules)
    with patch("reader.gate.REMEMBER_NS", 3_600 * S):  # so that all are there to be counted
        for step in arriving:
            late = step._replace(at_ns=end_ns + 6 * S, late_ns=end_ns + 6 * S - step.at_ns)
            gate.hear(reads_of(late, rules), late.at_ns)
    kept = Counter(dict.fromkeys(CHIPS, 0))
    for passing in gate.state().passings:
        kept[passing.chip] += passing.reads
    repeats = sum(kept.values()) + gate.counts["repeats"]
    assert repeats == len(heard)
    if rules.time_from == "host":
        assert kept == Counter(step.reads[0][0] for step in heard)


@law
@given(every_rules, streams() | logs, st.sampled_from([600, 7_200, 172_800]), st.booleans())
def test_the_whole_log_sent_again_tells_nothing_and_opens_nothing(
    rules: Rules, steps: list[Step], after_s: int, has_restarted: bool
) -> None:
    """Of all that was heard each read comes again, with its time, when the gate has let go of the passings."""
    gate = gate_of(rules)
    play(gate, steps, rules)
    at_ns = steps[-1].at_ns + 600 * S
    gate.advance(at_ns)  # deaf spells put off the closing by some minutes
    at_ns += after_s * S
    gate.advance(at_ns)
    before = gate.take()
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(gate.state()), type=GateState)
    if has_restarted:
        gate = gate_of(rules)
        gate.restore(state)
    heard = [step for step in steps if step.what == "reads"]
    for place, step in enumerate(heard):
        now = at_ns + place * MS
        gate.hear(reads_of(step._replace(at_ns=now, late_ns=now - (step.at_ns - step.late_ns)), rules), now)
    gate.advance(at_ns + 600 * S)
    assert not gate.take()
    assert gate.counts["passings"] == sum(isinstance(told, Opened) for told in before)
    assert not gate.state().passings


# ---- lines -------------------------------------------------------------------------------------------------


def inputs_from_steps(steps: list[Step], rules: Rules) -> list[Input]:
    at = Instant(BEGIN_NS + UTC_OFFSET_NS, BEGIN_NS)
    inputs: list[Input] = [Began(at, "boot-a", BEGIN_NS, None), Hearing("north", at, hears=True, reason="")]
    for step in steps:
        at = Instant(step.at_ns + UTC_OFFSET_NS, step.at_ns)
        if step.what == "reads":
            inputs.append(reads_of(step, rules))
        elif step.what == "advance":
            inputs.append(Ticked(at))
        else:
            inputs.append(Hearing("north", at, step.what == "resume", ""))
    return inputs


@law
@given(every_rules, streams() | logs)
def test_lines_given_the_same_again_are_in_the_same_state(rules: Rules, steps: list[Step]) -> None:
    """With the same ids, which is what a restart's replay rests on; through the bytes that the journal keeps, too."""
    inputs = inputs_from_steps(steps, rules)
    line_settings = LinesSettings({"north": "main"}, {"main": rules})
    first, again = Lines(line_settings, "e"), Lines(line_settings, "e")
    for given_once in inputs:
        first.give(given_once)
    for given_again in msgspec.msgpack.decode(msgspec.msgpack.encode(inputs), type=list[Input]):
        again.give(given_again)
    assert first.take() == again.take()
    assert msgspec.msgpack.encode(first.state()) == msgspec.msgpack.encode(again.state())
