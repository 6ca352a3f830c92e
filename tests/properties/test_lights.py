"""Whatever happens to the panel, in whatever order: five beeps a second at most, and a ready light that never lies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reader.box.lights import BUZZER, NAMES, READY, STALE_NS, Facts, Lights
from reader.model import NS_PER_S

MS = 1_000_000

FACTS = st.builds(
    Facts,
    is_recording=st.booleans(),
    uplink=st.sampled_from(["delivered", "backlog", "cut"]),
    fault=st.integers(0, 7),
    is_clear=st.booleans(),
    mode=st.sampled_from(["race", "test", "released"]),
)
DOINGS = st.one_of(
    st.tuples(st.just("stand"), FACTS),
    st.tuples(st.just("committed"), st.tuples(st.integers(0, 3), st.integers(0, 9))),
    st.tuples(st.just("beep"), st.none()),
    st.tuples(st.just("mute"), st.none()),
    st.tuples(st.just("show"), st.tuples(st.integers(1, 3_000), st.sampled_from([None, *NAMES]))),
    st.tuples(st.just("quiet"), st.booleans()),
)
STEPS = st.lists(st.tuples(st.sampled_from([0, 1, 30, 61, 199, 200, 700, 6_000]), DOINGS), min_size=1, max_size=40)


def do(lights: Lights, what: str, with_: object, now_ns: int) -> None:
    match what, with_:
        case "stand", Facts() as facts:
            lights.stand(facts, now_ns)
        case "committed", (int(opened), int(reads)):
            lights.committed(opened, reads)
        case "show", (int(for_ms), light):
            lights.show(now_ns + for_ms * MS, light if isinstance(light, str) else None)
        case "beep", _:
            lights.beep()
        case "mute", _:
            lights.mute()


@given(STEPS)
def test_five_beeps_a_second_at_most_and_ready_steady_only_while_it_is_known_to_record(
    steps: list[tuple[int, tuple[str, object]]],
) -> None:
    lights = Lights(NAMES)
    is_quiet, was_sounding = False, False
    now_ns, due_ns = 0, 0
    said: tuple[Facts, int] | None = None
    beeps: list[int] = []
    lit_since_ns: int | None = None
    unknown_since_ns: int | None = None
    for wait_ms, (what, with_) in steps:
        end_ns = now_ns + wait_ms * MS
        while True:
            lit, due_ns = lights.look(now_ns, is_quiet=is_quiet)
            assert due_ns > now_ns
            if BUZZER in lit and not was_sounding:
                beeps.append(now_ns)
            was_sounding = BUZZER in lit
            assert not (was_sounding and (is_quiet or lights.is_muted))
            lit_since_ns = (now_ns if lit_since_ns is None else lit_since_ns) if READY in lit else None
            records = said is not None and said[0].is_recording and now_ns <= said[1] + STALE_NS
            if records:
                assert READY in lit
                unknown_since_ns = None
            else:
                unknown_since_ns = now_ns if unknown_since_ns is None else unknown_since_ns
                if lit_since_ns is not None:  # not for longer than a blink
                    assert min(due_ns, end_ns) - max(lit_since_ns, unknown_since_ns) <= 100 * MS
            if due_ns >= end_ns:
                break
            now_ns = due_ns
        now_ns = end_ns
        if what == "quiet":
            is_quiet = bool(with_)
        do(lights, what, with_, now_ns)
        if isinstance(with_, Facts):
            said = (with_, now_ns)
    for first, sixth in zip(beeps, beeps[5:], strict=False):
        assert sixth - first >= NS_PER_S
