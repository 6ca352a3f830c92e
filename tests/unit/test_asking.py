"""Scripts of questions, and settings against a profile: against a reader that is a dictionary."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.line.protocols.asking import Asking, Question, Script, Stuck, pause
from reader.line.protocols.rounds import Rounds
from reader.line.protocols.settings import Setting, Value, Wanted, apply, differences, dump
from reader.model import Reply

T = TypeVar("T")

MS = 1_000_000
S = 1000 * MS


def question(name: str, **more: int) -> Question:
    return Question(name, name.encode(), lambda reply: reply.name == name, wait_ns=100 * MS, **more)


def reply(name: str, **fields: object) -> Reply:
    return Reply(name, fields, 1)


def two_questions() -> Script[list[Reply | None]]:
    return [(yield question("one")), (yield question("two", tries=3))]


def test_each_answer_brings_the_next_question() -> None:
    asking = Asking(two_questions())
    assert asking.begin(0) == b"one"
    assert asking.heard(reply("two"), 1) == b""
    assert asking.heard(reply("one"), 2) == b"two"
    assert asking.heard(reply("two"), 3) == b""
    assert asking.is_done
    assert [one and one.name for one in asking.result] == ["one", "two"]
    assert asking.due_ns is None
    assert asking.tick(9 * S) == b""


def test_without_an_answer_it_is_asked_again_and_then_given_up() -> None:
    asking = Asking(two_questions())
    asking.begin(0)
    assert asking.due_ns == 100 * MS
    assert asking.tick(99 * MS) == b""
    assert asking.tick(100 * MS) == b"one"
    assert asking.tick(200 * MS) == b"two"
    assert [asking.tick(at * MS) for at in (250, 300, 400)] == [b"", b"two", b"two"]
    assert asking.tick(500 * MS) == b""
    assert asking.result == [None, None]


def test_a_pause_says_nothing_and_a_new_speed_holds_from_the_answer_on() -> None:
    def script() -> Script[str]:
        yield from pause(50 * MS)
        yield question("faster")._replace(then_baud=921600)
        return "done"

    asking = Asking(script())
    assert asking.begin(0) == b""
    assert asking.tick(50 * MS) == b"faster"
    speeds = [asking.baud]
    asking.heard(reply("faster"), 60 * MS)
    speeds.append(asking.baud)
    assert speeds == [None, 921600]
    assert asking.result == "done"


def test_a_script_that_can_not_go_on_says_why() -> None:
    def script() -> Script[None]:
        yield question("one")
        raise Stuck("refuses", is_unanswered=True)

    asking = Asking(script())
    asking.begin(0)
    with pytest.raises(Stuck, match="refuses"):
        asking.heard(reply("one"), 1)


# ---- settings --------------------------------------------------------------------------------------------


class Box:
    """A reader that is a dictionary: it refuses what is in ``refused``, keeps as it was what is in ``stubborn``."""

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values
        self.untold: set[str] = set()
        self.refused: set[str] = set()
        self.stubborn: set[str] = set()
        self.written: list[str] = []

    def setting(self, key: str, *, is_in_flash: bool = False) -> Setting:
        def ask() -> Script[Value | None]:
            answer = yield question(f"get {key}")
            assert answer is not None
            return None if key in self.untold else answer.fields["value"]

        def put(value: Value) -> Script[None]:
            answer = yield question(f"set {key}")
            assert answer is not None
            if key in self.refused:
                raise Stuck("bad value")
            if key not in self.stubborn:
                self.values[key] = value
            self.written.append(key)

        return Setting(key, f"the {key}", is_in_flash, ask, put)

    def run(self, script: Script[T]) -> T:
        asking = Asking(script)
        sent = asking.begin(0)
        while not asking.is_done:
            name = sent.decode()
            sent = asking.heard(reply(name, value=self.values.get(name.removeprefix("get "))), 0)
        return asking.result


KEYS = ("region", "power", "baud")
WANTED = Wanted("p", {"region": "na", "power": 30, "baud": 9600})


def settings_of(box: Box) -> list[Setting]:
    return [box.setting("region", is_in_flash=True), box.setting("power"), box.setting("baud")]


def test_only_what_differs_is_written_in_the_order_of_the_table() -> None:
    box = Box({"region": "eu", "power": 30, "baud": 115200})
    applied = box.run(apply(settings_of(box), WANTED._replace(with_flash=True)))
    assert box.written == ["region", "baud"]
    assert [one.says for one in applied.changed] == ["the region: eu, wanted na", "the baud: 115200, wanted 9600"]
    assert applied.wrong == []
    assert box.run(differences(settings_of(box), WANTED)) == []
    box.written.clear()
    assert box.run(apply(settings_of(box), WANTED._replace(with_flash=True))) == ([], [])
    assert box.written == []


def test_flash_is_left_alone_unless_asked_for_and_told() -> None:
    box = Box({"region": "eu", "power": 20, "baud": 9600})
    applied = box.run(apply(settings_of(box), WANTED))
    assert box.written == ["power"]
    assert applied.wrong == ["the region: eu, wanted na (in flash, not written)"]


def test_flash_that_can_not_be_read_is_never_written() -> None:
    box = Box({"region": "na", "power": 30, "baud": 9600})
    box.untold.add("region")
    applied = box.run(apply(settings_of(box), WANTED._replace(with_flash=True)))
    assert box.written == []
    assert "not told by the reader" in applied.wrong[0]


@pytest.mark.parametrize(
    ("trouble", "says"),
    [("refused", "bad value"), ("stubborn", "written, but not taken"), ("untold", "does not tell whether it is so")],
)
def test_what_can_not_be_had_is_told_and_the_rest_goes_on(trouble: str, says: str) -> None:
    box = Box({"region": "na", "power": 20, "baud": 115200})
    getattr(box, trouble).add("power")
    applied = box.run(apply(settings_of(box), WANTED))
    assert len(applied.wrong) == 1
    assert says in applied.wrong[0]
    assert [one.setting.key for one in applied.changed] == ["baud"]


def test_dump_gives_what_the_reader_tells() -> None:
    box = Box({"region": "na", "power": 20, "baud": 115200})
    box.untold.add("power")
    assert box.run(dump(settings_of(box))) == {"region": "na", "baud": 115200}


VALUES = st.fixed_dictionaries({key: st.integers(0, 2) for key in KEYS})


@given(found=VALUES, wanted=VALUES, steps=st.integers(0, 12))
def test_broken_off_anywhere_and_begun_again_it_ends_as_wanted(
    found: dict[str, Value], wanted: dict[str, Value], steps: int
) -> None:
    box = Box(dict(found))
    settings, asked = settings_of(box), Wanted("p", wanted, with_flash=True)
    script = apply(settings, asked)
    answer: Reply | None = None
    for _ in range(steps):
        try:
            question = script.send(answer)
        except StopIteration:
            break
        answer = reply(question.name, value=box.values.get(question.name.removeprefix("get ")))
    box.run(apply(settings, asked))
    assert box.values == wanted


# ---- turns of the antennas -------------------------------------------------------------------------------


def test_the_revisit_time_is_that_from_beginning_to_beginning() -> None:
    rounds = Rounds()
    for turn in range(8):
        rounds.begin(1 + turn % 2, turn * 40 * MS)
    assert rounds.revisit_ms(1) == rounds.revisit_ms(2) == 80.0
    assert rounds.revisit_ms(3) is None
    rounds.begin(1, 60 * S)  # after a long silence: no turn
    assert rounds.revisit_ms(1) == 80.0
