"""What the lights and the buzzer are, moment by moment: patterns asserted by their times."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from reader.box.faults import FAULTS, NOBODY_SAYS, blinks_of
from reader.box.inputs import NAMES as CONTACTS
from reader.box.lights import BUZZER, FAULT, NAMES, READ, READY, UPLINK, Facts, Lights, is_within
from reader.config import loads
from reader.messages import Part, Verdict, Word
from tests.test_docs import README, blocks

MS = 1_000_000
WELL = Facts(is_recording=True, uplink="delivered", fault=0, is_clear=False, mode="race")
Changes = list[tuple[int, bool]]


class Evening:
    """The lights from a moment on, told each quarter of a second how the box stands, as the daemon does."""

    def __init__(self, facts: Facts | None = WELL, wired: tuple[str, ...] = NAMES) -> None:
        self.lights = Lights(wired)
        self.facts = facts
        self.ms = 0
        self.is_quiet = False
        self.lit: frozenset[str] = frozenset()
        self.due_ns = 0

    def play(self, for_ms: int) -> dict[str, Changes]:
        """So long; by light, when it changed (ms) and to what."""
        changes: dict[str, Changes] = {name: [] for name in NAMES}
        for _ in range(for_ms):
            if self.facts is not None and self.ms % 250 == 0:
                self.lights.stand(self.facts, self.ms * MS)
                self.due_ns = 0
            if self.ms * MS >= self.due_ns:
                lit, self.due_ns = self.lights.look(self.ms * MS, is_quiet=self.is_quiet)
                for name in lit ^ self.lit:
                    changes[name].append((self.ms, name in lit))
                self.lit = lit
            self.ms += 1
        return changes

    def show(self, for_ms: int, light: str | None = None) -> None:
        self.lights.show((self.ms + for_ms) * MS, light)
        self.due_ns = 0

    def commit(self, *, opened: int = 0, reads: int = 0) -> None:
        """As the panel is told of it: woken if there is something to show."""
        if self.lights.committed(opened, reads):
            self.due_ns = 0


def begins(changes: Changes) -> list[int]:
    return [ms for ms, is_on in changes if is_on]


def test_all_is_well_is_two_steady_lights_and_nothing_else() -> None:
    evening = Evening()
    assert evening.play(20_000) == {READY: [(0, True)], UPLINK: [(0, True)], READ: [], FAULT: [], BUZZER: []}


def test_before_anybody_has_said_how_it_stands_all_is_dark() -> None:
    assert Evening(None).play(3_000) == {name: [] for name in NAMES}


def test_ready_blinks_fast_where_the_mat_does_not_record() -> None:
    evening = Evening(WELL._replace(is_recording=False))
    assert evening.play(500)[READY] == [(0, True), (100, False), (200, True), (300, False), (400, True)]


def test_ready_blinks_fast_where_nobody_has_said_anything_for_five_seconds() -> None:
    evening = Evening()
    evening.play(1_001)  # said last at 1,000
    evening.facts = None  # the main thread hangs
    played = evening.play(5_500)
    assert [change for change in played[READY] if change[0] < 6_400] == [
        (6_101, False),
        (6_201, True),
        (6_301, False),
    ]  # what is not known any more begins, lit, at 6,001
    assert played[UPLINK] == [(6_001, False)]
    assert blinks_seen(evening.play(10_000)[FAULT]) == NOBODY_SAYS
    evening.facts = WELL
    evening.play(1_000)
    assert evening.lit == {READY, UPLINK}


def test_uplink_blinks_slowly_with_a_backlog_and_is_off_without_a_broker() -> None:
    evening = Evening(WELL._replace(uplink="backlog"))
    assert evening.play(4_500)[UPLINK] == [(0, True), (1000, False), (2000, True), (3000, False), (4000, True)]
    evening.facts = WELL._replace(uplink="cut")
    assert evening.play(3_000)[UPLINK] == [(4_500, False)]


def test_a_backlog_of_a_moment_is_not_seen() -> None:
    evening = Evening()
    evening.play(1_000)
    evening.facts = WELL._replace(uplink="backlog")
    evening.play(750)
    evening.facts = WELL
    assert evening.play(3_000)[UPLINK] == []


# ---- a new chip ------------------------------------------------------------------------------------------


def test_a_new_chip_is_a_flash_and_a_short_beep() -> None:
    evening = Evening()
    evening.play(1_000)
    evening.commit(opened=1, reads=3)
    played = evening.play(1_000)
    assert played[READ] == [(1_000, True), (1_100, False)]
    assert played[BUZZER] == [(1_000, True), (1_060, False)]


def test_a_chip_that_stays_does_not_beep_again_but_in_a_test_every_read_does() -> None:
    evening = Evening()
    evening.play(1_000)
    evening.commit(reads=5)
    assert evening.play(1_000)[BUZZER] == []
    evening.facts = WELL._replace(mode="test")
    evening.play(500)
    evening.commit(reads=5)
    assert begins(evening.play(1_000)[BUZZER]) == [2_500]


def test_many_chips_are_five_beeps_a_second_and_the_last_is_not_lost() -> None:
    evening = Evening()
    evening.play(1_000)
    beeps = []
    for _ in range(100):  # one each 20 ms
        evening.commit(opened=1)
        beeps += begins(evening.play(20)[BUZZER])
    assert beeps == list(range(1_000, 3_000, 200))
    assert begins(evening.play(1_000)[BUZZER]) == [3_000]  # for those since 2,800


def test_a_beep_that_comes_too_soon_after_another_waits_for_its_turn() -> None:
    evening = Evening(wired=(BUZZER,))
    evening.play(1_000)
    beeps = []
    for _ in range(2):
        evening.lights.beep()
        evening.due_ns = 0
        beeps += begins(evening.play(20)[BUZZER])
    assert beeps + begins(evening.play(1_000)[BUZZER]) == [1_000, 1_200]


def test_the_limit_is_one_for_all_that_sounds() -> None:
    evening = Evening()
    evening.play(1_000)
    beeps = []
    for n in range(100):  # asked to show itself for a moment, again and again, and beeps between
        if n % 2:
            evening.lights.beep()
            evening.due_ns = 0
        else:
            evening.show(10)
        beeps += begins(evening.play(20)[BUZZER])
    assert len(beeps) > 5
    assert all(two - one >= 200 for one, two in pairwise(beeps))


def test_mute_and_quiet_hours_silence_the_buzzer_alone() -> None:
    evening = Evening()
    evening.play(1_000)
    for silence in ("mute", "quiet"):
        if silence == "mute":
            evening.lights.mute()
        else:
            evening.lights.mute()  # no longer
            evening.play(1_000)
            evening.is_quiet = True
        evening.play(500)
        evening.commit(opened=1)
        played = evening.play(1_000)
        assert (len(begins(played[READ])), played[BUZZER]) == (1, []), silence
        evening.lights.beep()
        evening.show(1_000)
        assert evening.play(1_500)[BUZZER] == [], silence
    evening.is_quiet = False
    assert evening.play(1_000)[BUZZER] == []  # what was silenced is not made up for


def test_to_lift_the_mute_beeps() -> None:
    evening = Evening()
    evening.lights.mute()
    assert evening.play(500)[BUZZER] == []
    evening.lights.mute()
    evening.due_ns = 0
    assert evening.play(500)[BUZZER] == [(500, True), (560, False)]


@pytest.mark.parametrize(
    ("hours", "minute", "expected"),
    [
        (None, 0, False),
        ("22:00-05:30", 21 * 60 + 59, False),
        ("22:00-05:30", 22 * 60, True),
        ("22:00-05:30", 3 * 60, True),
        ("22:00-05:30", 5 * 60 + 29, True),
        ("22:00-05:30", 5 * 60 + 30, False),
        ("13:00-15:00", 14 * 60, True),
        ("13:00-15:00", 12 * 60 + 59, False),
        ("13:00-15:00", 15 * 60, False),
        ("00:00-00:00", 12 * 60, True),
    ],
)
def test_quiet_hours(hours: str | None, minute: int, expected: bool) -> None:
    assert is_within(hours, minute) is expected


# ---- faults ----------------------------------------------------------------------------------------------


def blinks_seen(changes: Changes) -> int:
    """Blinks between two pauses of more than a second."""
    on = begins(changes)
    pauses = [place for place, (one, two) in enumerate(pairwise(on)) if two - one > 1_000]
    return pauses[1] - pauses[0]


@pytest.mark.parametrize("fault", range(1, 8))
def test_a_fault_blinks_its_number_and_pauses(fault: int) -> None:
    evening = Evening(WELL._replace(fault=fault))
    played = evening.play(20_000)
    assert blinks_seen(played[FAULT]) == fault
    assert played[FAULT][:2] == [(0, True), (200, False)]
    assert played[READY] == [(0, True)]


def parts(**words: Word) -> dict[str, Part]:
    names = ("daemon", "reader:main", "reader:other", "clock", "journal", "broker", "power", "storage", "config")
    return {name: Part(words.get(name.replace(":", "_"), "ok"), "") for name in names}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({}, 0),
        ({"power": "unknown", "broker": "unknown"}, 0),
        ({"reader_other": "fail"}, 1),
        ({"reader_main": "warn", "storage": "fail"}, 2),
        ({"reader_main": "warn", "clock": "warn"}, 1),
        ({"journal": "fail"}, 2),
        ({"storage": "warn"}, 2),
        ({"journal": "warn"}, 0),
        ({"journal": "warn", "broker": "fail"}, 7),
        ({"clock": "warn", "broker": "warn"}, 6),
        ({"daemon": "warn"}, 3),
        ({"power": "fail", "config": "fail"}, 4),
    ],
)
def test_the_first_of_the_table_that_has_failed_then_the_first_that_warns(
    wrong: dict[str, Word], expected: int
) -> None:
    assert blinks_of(parts(**wrong)) == expected


def test_every_part_of_a_status_has_its_number() -> None:
    for name in parts():
        failed = parts() | {name: Part("fail", "")}
        assert blinks_of(failed) > 0
    assert [fault.blinks for fault in FAULTS] == list(range(1, 8))


SECTION = README.partition("\n### The panel\n")[2].partition("\n### ")[0]


def test_the_readme_explains_the_same_numbers() -> None:
    rows = re.findall(r"^\| (\d) blinks? \| ([^|]*) \|", SECTION, re.MULTILINE)
    explained = tuple((int(blinks), tuple(re.findall("`([a-z]+)`", what))) for blinks, what in rows)
    assert explained == FAULTS


def test_the_example_of_the_readme_is_good_and_the_drawing_is_of_its_pins() -> None:
    example, drawing = blocks("", SECTION)
    mat = '[mat]\nevent = "a"\npoint = "b"\nid = "c"\n[[reader]]\nprotocol = "ipico"\nport = "/dev/ttyUSB0"\n'
    panel = loads(mat + example, "README.md").panel
    pins = {name: getattr(panel, name) for name in (*NAMES, *CONTACTS)}
    drawn = re.findall(r"^GPIO(\d+) ", drawing, re.MULTILINE)
    assert sorted(map(int, drawn)) == sorted(pins.values())
    for name, pin in pins.items():
        rows = drawing if name == BUZZER else "".join(re.findall(rf"^GPIO{pin} .*$", drawing, re.MULTILINE))
        assert name.removesuffix("_led") in rows
    assert all(pins[name] >= 9 for name in NAMES)  # low while the Pi starts


# ---- CLEAR, identify, one light alone -----------------------------------------------------------------------


def test_clear_is_uplink_and_read_in_turn_and_takes_nothing_from_ready_and_fault() -> None:
    evening = Evening(WELL._replace(is_clear=True, fault=6))
    played = evening.play(20_000)
    assert played[UPLINK][:4] == [(0, True), (500, False), (1_000, True), (1_500, False)]
    assert played[READ][:4] == [(500, True), (1_000, False), (1_500, True), (2_000, False)]
    assert played[READY] == [(0, True)]
    assert blinks_seen(played[FAULT]) == 6
    assert played[BUZZER] == []


@pytest.mark.parametrize("missing", [UPLINK, READ])
def test_clear_is_not_shown_on_one_light_which_could_be_mistaken(missing: str) -> None:
    wired = tuple(name for name in NAMES if name != missing)
    assert Evening(WELL._replace(is_clear=True), wired).play(3_000) == Evening(WELL, wired).play(3_000)


@pytest.mark.parametrize("is_recording", [True, False])
def test_the_box_shows_itself_by_all_but_ready(is_recording: bool) -> None:
    evening = Evening(WELL._replace(is_recording=is_recording))
    evening.play(1_000)
    plain = Evening(WELL._replace(is_recording=is_recording)).play(13_000)[READY]
    evening.show(10_000)
    evening.commit(opened=1)
    played = evening.play(12_000)
    assert played[READY] == [change for change in plain if change[0] >= 1_000]
    assert begins(played[BUZZER]) == list(range(1_000, 11_000, 1_000))
    assert begins(played[FAULT]) == begins(played[READ]) == list(range(1_000, 11_000, 500))
    assert evening.lit - {READY} == {UPLINK}


@pytest.mark.parametrize(("verdict", "beeps", "longest_ms"), [("pass", 1, 1_000), ("warn", 2, 300), ("fail", 5, 150)])
def test_what_the_buttons_self_test_found_is_told_once(verdict: Verdict, beeps: int, longest_ms: int) -> None:
    evening = Evening(WELL)
    evening.play(1_000)
    evening.lights.answer(verdict, evening.ms * MS)
    evening.due_ns = 0
    played = evening.play(9_000)
    assert played[READ] == played[BUZZER]
    assert len(begins(played[BUZZER])) == beeps
    (began, _), (ended, _) = played[BUZZER][:2]
    assert ended - began == longest_ms
    assert played[READY] == played[UPLINK] == played[FAULT] == []


@pytest.mark.parametrize("light", [UPLINK, READ, FAULT, BUZZER])
def test_one_light_alone_and_ready_goes_on_saying_what_it_says(light: str) -> None:
    evening = Evening(WELL._replace(mode="test"))
    evening.play(1_000)
    evening.show(3_000, light)
    evening.commit(opened=1, reads=1)
    seen = set()
    for _ in range(299):
        evening.play(10)
        seen.add(evening.lit)
    assert seen == {frozenset({light, READY})}
    evening.play(100)
    assert evening.lit == {READY, UPLINK}


def test_ready_alone_is_what_it_says_or_fast_where_nothing_has_been_said() -> None:
    evening = Evening()
    evening.play(1_000)
    evening.show(3_000, READY)
    assert evening.play(2_000)[READY] == []
    assert evening.lit == {READY}
    unsaid = Evening(None)
    unsaid.show(3_000, READY)
    assert begins(unsaid.play(1_000)[READY]) == [0, 200, 400, 600, 800]
