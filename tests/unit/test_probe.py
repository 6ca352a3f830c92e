"""Which family is on a line: against simulated readers on a line that garbles all that is said at another speed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.box.found import Found as FoundOnDisk
from reader.box.found import FoundFile
from reader.config import ReaderSettings
from reader.line import probe as probing
from reader.line import probe_steps
from reader.line.auto import Place, Proof, Search
from reader.line.probe import Found, Probe
from reader.line.protocols import BY_NAME, FAMILIES, Family
from reader.model import ChipRead, Event, Reason, Rejected, Reply
from reader.simulator import ipico, thingmagic
from tests.unit.test_thingmagic import KEEP_ALIVE

S = 10**9
MS = 10**6
LIMIT_S = 14.0
RACE_NS = 1_772_891_330 * S
GARBLING = bytes((byte * 37 + 101) % 256 for byte in range(256))
RECORD = b"aa00058000123b3200012603071348503277\r\n"
OTHER_RECORD = b"aa0005800012860800012603071348515f8a\r\n"
PROGRAM = bytes.fromhex("FF000C1D03")


class Silence:
    """Nobody is there."""

    baud = 0

    def answer(self, data: bytes, now_ns: int) -> bytes:
        return b""

    def tick(self, now_ns: int) -> bytes:
        return b""


class Talker(Silence):
    """Says this every so often, and answers nothing."""

    def __init__(self, baud: int, says: bytes, every_ns: int) -> None:
        self.baud, self._says, self._every_ns = baud, says, every_ns
        self._due_ns = RACE_NS + every_ns

    def tick(self, now_ns: int) -> bytes:
        if now_ns < self._due_ns:
            return b""
        self._due_ns += self._every_ns
        return self._says


class Wire:
    """A probe and a reader on a line, in virtual time: a turn each millisecond, and whenever the probe is due."""

    def __init__(self, reader: Any, probe: Probe, *, has_speeds: bool = True) -> None:
        self.reader, self.probe, self._has_speeds = reader, probe, has_speeds
        self.now_ns = 0
        self.sent: list[tuple[int, int, bytes]] = []  # when, at which speed, what
        self._coming: list[tuple[int, int, bytes]] = []

    def run(self, until: Callable[[], bool] = lambda: False) -> Found | None:
        self.probe.begin(self.now_ns)
        while self.probe.found is None and not self.probe.is_over and not until():
            self.turn()
        return self.probe.found

    def turn(self) -> None:
        race_ns = RACE_NS + self.now_ns
        if sent := self.probe.tick(self.now_ns):
            self.sent.append((self.now_ns, self.probe.baud, sent))
            heard = sent if self._is_right(self.probe.baud) else sent.translate(GARBLING)
            self.say(self.reader.answer(heard, race_ns), 5 * MS)
        self.say(self.reader.tick(race_ns), 0)
        for due_ns, baud, data in [one for one in self._coming if one[0] <= self.now_ns]:
            self._coming.remove((due_ns, baud, data))
            right = not self._has_speeds or baud == self.probe.baud
            self.probe.feed(data if right else data.translate(GARBLING), self.now_ns)
        assert self.probe.due_ns > self.now_ns - MS
        self.now_ns += MS

    @property
    def questions(self) -> list[tuple[int, int, bytes]]:
        """What was sent, without the zeros that clear a reader's mind."""
        return [one for one in self.sent if one[2].strip(b"\0")]

    def say(self, data: bytes, delay_ns: int) -> None:
        """On the wire as long as it takes."""
        if data:
            wire_ns = len(data) * 10 * S // (self.reader.baud or 115_200)
            self._coming.append((self.now_ns + delay_ns + wire_ns, self.reader.baud, data))

    def _is_right(self, baud: int) -> bool:
        return not self._has_speeds or baud == self.reader.baud


def simulated(name: str, baud: int) -> Any:
    if name == "ipico":
        return ipico.IpicoReader(baud)
    if name == "thingmagic":
        return thingmagic.ThingMagicReader(baud)
    try:
        return import_module(f"reader.simulator.{name}").make_reader(baud=baud)
    except ModuleNotFoundError:
        pytest.skip(f"no simulated reader of {name}")


ASKED = [(family.name, baud) for family in FAMILIES if family.question for baud in family.bauds]


@pytest.mark.parametrize(("name", "baud"), ASKED)
def test_each_family_that_answers_is_found_at_each_of_its_speeds(name: str, baud: int) -> None:
    wire = Wire(simulated(name, baud), Probe())
    found = wire.run()
    assert found is not None
    assert (found.family.name, found.baud, wire.probe.baud) == (name, baud, baud)
    assert wire.now_ns < LIMIT_S * S


@pytest.mark.parametrize(("name", "baud"), ASKED)
def test_the_speed_that_is_named_is_tried_first(name: str, baud: int) -> None:
    wire = Wire(simulated(name, baud), Probe(baud))
    found = wire.run()
    assert found is not None
    assert (found.family.name, found.baud) == (name, baud)
    assert wire.now_ns < 4 * S
    assert {at for _, at, _ in wire.sent} <= {baud}


@pytest.mark.parametrize("first", [None, 9600, 115200, 250_000])
def test_a_dead_line_is_given_up_in_time_with_all_that_was_tried(first: int | None) -> None:
    wire = Wire(Silence(), Probe(first))
    assert wire.run() is None
    assert wire.probe.is_over
    assert wire.now_ns <= LIMIT_S * S
    asked = {(baud, data) for _, baud, data in wire.sent}
    assert asked >= {(baud, family.question) for family in FAMILIES if family.question for baud in family.bauds}
    for baud in {baud for _, baud, _ in wire.sent}:
        assert any(sentence.startswith(f"{baud} baud: asked ") for sentence in wire.probe.tried)
    assert all("nothing came" in sentence for sentence in wire.probe.tried)
    assert wire.probe.tick(wire.now_ns + S) == b""


def test_it_listens_before_it_asks_and_then_asks_the_likeliest_first() -> None:
    wire = Wire(Silence(), Probe())
    wire.run()
    assert 1.8 * S <= wire.sent[0][0] <= 2.2 * S
    firsts = list(dict.fromkeys((data, baud) for _, baud, data in wire.questions))
    told = [
        (BY_NAME[name].question, baud)
        for name, bauds in (
            ("thingmagic", (115200, 9600, 921600)),
            ("a0", (115200,)),
            ("m100", (115200,)),
            ("uhfreader", (57600, 9600, 115200)),
            ("ipico", (9600,)),
        )
        for baud in bauds
        if name in BY_NAME
    ]
    assert firsts[: len(told)] == told


def test_questions_of_different_families_have_silence_between() -> None:
    wire = Wire(Silence(), Probe())
    wire.run()
    assert len(wire.sent) > 10
    for (one_ns, baud, one), (other_ns, _, _) in zip(wire.sent, wire.sent[1:], strict=False):
        silent_ns = other_ns - one_ns - len(one) * 10 * S // baud
        assert silent_ns >= 30 * MS
    for (one_ns, _, one), (other_ns, _, other) in zip(wire.questions, wire.questions[1:], strict=False):
        assert other_ns - one_ns >= (100 * MS if one == other else 130 * MS)


def test_a_reader_that_waits_for_the_rest_of_a_long_command_is_brought_to_an_end_of_it() -> None:
    reader = simulated("uhfreader", 57600)
    assert reader.answer(b"\xff\x00\x00", RACE_NS) == b""
    found = Wire(reader, Probe(57600)).run()
    assert found is not None
    assert found.family.name == "uhfreader"


@pytest.mark.parametrize("family", [family for family in FAMILIES if not family.question], ids=lambda one: one.name)
def test_a_family_that_can_not_be_asked_is_heard_when_a_chip_is_there(family: Family) -> None:
    frame = {"rdm6300": b"\x021F00644BB686\x03"}[family.name]
    found = Wire(Talker(family.baud, frame, 65 * MS), Probe()).run()
    assert found is not None
    assert (found.family.name, found.baud) == (family.name, family.baud)


def rows(count: int) -> tuple[Family, ...]:
    bauds = (115200, 9600, 19200, 38400, 57600, 230400, 460800, 921600)
    return tuple(
        BY_NAME["thingmagic"]._replace(name=f"f{number}", bauds=bauds, question=bytes((number,)))
        for number in range(count)
    )


def test_a_larger_table_takes_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_steps, "FAMILIES", rows(6))
    monkeypatch.setattr(probe_steps, "BY_NAME", {})
    for first in (None, 115200):
        steps = probe_steps.steps_from(first)
        assert len({(step.family, step.baud) for step in steps if step.family}) == 48
        assert sum(step.lasts_ns for step in steps) <= probe_steps.LIMIT_NS
        assert min(step.lasts_ns for step in steps) > 200 * MS


def test_noise_is_nobody_and_is_told() -> None:
    wire = Wire(Talker(12345, bytes(range(0, 250, 7)), 40 * MS), Probe())
    assert wire.run() is None
    assert wire.now_ns <= LIMIT_S * S
    assert any("bytes, none of a known family (garbage: wrong speed?)" in sentence for sentence in wire.probe.tried)


@given(st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=40)), max_size=40))
def test_it_ends_whatever_comes(pieces: list[tuple[int, bytes]]) -> None:
    probe = Probe()
    probe.begin(0)
    now_ns = 0
    for wait_ms, data in pieces:
        now_ns += wait_ms * MS
        probe.feed(data, now_ns)
        probe.tick(now_ns)
    while probe.found is None and not probe.is_over:
        assert now_ns < 100 * S
        now_ns = max(now_ns, probe.due_ns)
        probe.tick(now_ns)


def test_a_stream_that_answers_nothing_is_heard_by_its_keep_alives() -> None:
    for baud in (115200, 921600):
        found = Wire(Talker(baud, KEEP_ALIVE, S), Probe()).run()
        assert found is not None
        assert found.family.name == "thingmagic"
        assert found.baud == baud


def test_what_was_heard_before_it_was_known_comes_with_it_and_with_its_time() -> None:
    wire = Wire(Silence(), Probe())
    probe = wire.probe
    probe.begin(0)
    probe.feed(b"Mon Jan  1 hello\r\n", 10 * MS)  # a banner proves nothing
    probe.feed(RECORD[:20], 40 * MS)
    probe.feed(RECORD[20:] + OTHER_RECORD, 60 * MS)
    assert probe.found is not None
    heard = [(at_ns, event) for at_ns, events in probe.found.heard for event in events]
    chips = [(at_ns, event.chip) for at_ns, event in heard if isinstance(event, ChipRead)]
    assert chips == [(60 * MS, "058000123B32"), (60 * MS, "058000128608")]
    assert any(at_ns == 10 * MS and isinstance(event, Reply) for at_ns, event in heard)
    # The decoder goes on in the middle of a record.
    assert probe.found.decoder.pending == 1


def test_the_echo_of_a_question_is_no_answer() -> None:
    class Loop(Silence):
        def answer(self, data: bytes, now_ns: int) -> bytes:
            return data

    wire = Wire(Loop(), Probe(), has_speeds=False)
    assert wire.run() is None
    assert any("what was sent came back" in sentence for sentence in wire.probe.tried)


def test_an_answer_behind_its_echo_counts() -> None:
    class HalfDuplex(ipico.IpicoReader):
        def answer(self, data: bytes, now_ns: int) -> bytes:
            return data + super().answer(data, now_ns)

    found = Wire(HalfDuplex(9600), Probe()).run()
    assert found is not None
    assert found.family.name == "ipico"


def test_garbage_before_the_question_costs_one_try() -> None:
    reader = ipico.IpicoReader(115_200)
    reader.answer(PROGRAM, RACE_NS)  # no end of a line: the next line begins with it
    found = Wire(reader, Probe()).run()
    assert found is not None
    assert found.baud == 115_200


def test_what_comes_just_after_a_change_of_speed_proves_neither() -> None:
    wire = Wire(Silence(), Probe())
    wire.run(until=lambda: bool(wire.sent) and wire.probe.baud != wire.sent[-1][1])
    wire.probe.feed(KEEP_ALIVE, wire.now_ns)
    assert wire.probe.found is None


def test_a_speed_that_the_line_can_not_have_is_passed_over() -> None:
    wire = Wire(Silence(), Probe(250_000))
    wire.probe.begin(0)
    wire.probe.refuse("this line can't have it", 0)
    assert wire.probe.baud != 250_000
    assert "250000 baud: this line can't have it" in wire.probe.tried


@pytest.mark.parametrize("name", ["ipico", "thingmagic"])
def test_a_line_whose_speed_means_nothing_is_asked_once_for_each_family(name: str) -> None:
    wire = Wire(simulated(name, 115_200), Probe(has_speeds=False), has_speeds=False)
    found = wire.run()
    assert found is not None
    assert found.family.name == name
    assert {baud for _, baud, _ in wire.sent} == {wire.probe.baud}


def test_of_two_that_believe_it_the_one_that_was_asked_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gullible:
        def Decoder(self) -> Any:  # noqa: N802 - as a family's module has it
            return self

        def feed(self, data: bytes) -> list[Event]:
            return [Reply("version", {}, len(data))]

        def idle(self) -> list[Event]:
            return []

        def is_proof(self, events: list[Event]) -> bool:
            return any(not isinstance(event, Rejected) for event in events)

    families = rows(4)
    monkeypatch.setattr(probe_steps, "BY_NAME", {})
    for module in (probing, probe_steps):
        monkeypatch.setattr(module, "FAMILIES", families)
    monkeypatch.setattr(probing, "load", lambda _: Gullible())

    class Third(Silence):
        baud = 115_200

        def answer(self, data: bytes, now_ns: int) -> bytes:
            return b"here" if data == families[2].question else b""

    found = Wire(Third(), Probe(115_200)).run()
    assert found is not None
    assert found.family is families[2]


# ---- where to look next ------------------------------------------------------------------------------------

TM = Place("/dev/a", "thingmagic", 115200)


def settings(protocol: Any = "auto", port: str = "auto", baud: int | None = None) -> ReaderSettings:
    return ReaderSettings(protocol=protocol, port=port, baud=baud)


def turns(search: Search, ports: list[str], count: int) -> Iterator[tuple[str, str | None, int | None]]:
    for _ in range(count):
        one = search.next(ports)
        yield one.port, one.family, one.baud
        search.missed()


def test_without_a_memory_the_ports_are_searched_in_turn() -> None:
    search = Search(settings(), None)
    assert list(turns(search, ["/dev/a", "/dev/b"], 3)) == [
        ("/dev/a", None, None),
        ("/dev/b", None, None),
        ("/dev/a", None, None),
    ]


def test_where_it_was_last_is_tried_first_and_again_between_searches() -> None:
    search = Search(settings(), TM)
    assert list(turns(search, ["/dev/b", "/dev/a"], 5)) == [
        ("/dev/a", "thingmagic", 115200),
        ("/dev/b", None, None),
        ("/dev/a", "thingmagic", 115200),
        ("/dev/a", None, None),
        ("/dev/a", "thingmagic", 115200),
    ]


def test_a_port_that_came_back_under_another_name_is_believed_if_it_is_the_only_one() -> None:
    assert Search(settings(), TM).next(["/dev/c"])[:3] == ("/dev/c", 115200, "thingmagic")
    assert Search(settings(), TM).next(["/dev/b", "/dev/c"]).family is None


def test_a_search_elsewhere_ends_when_the_port_is_plugged_in_again() -> None:
    search = Search(settings(), TM)
    assert search.next(["/dev/b", "/dev/c"]).family is None
    assert not search.is_back(["/dev/b", "/dev/c"])
    assert search.is_back(["/dev/a", "/dev/b"])
    assert search.next(["/dev/a", "/dev/b"]).port == "/dev/a"
    assert not search.is_back(["/dev/a", "/dev/b"])


def test_a_memory_of_another_port_or_family_than_is_asked_for_is_none() -> None:
    assert Search(settings(port="/dev/b"), TM).next(["/dev/b"]).family is None
    assert Search(settings(), Place("/dev/a", "no-such-family", 1)).next(["/dev/a"]).family is None
    assert Search(settings("ipico"), TM).next(["/dev/b", "/dev/a"]).port == "/dev/b"


def test_a_family_and_port_that_are_set_are_never_doubted() -> None:
    search = Search(settings("ipico", "/dev/x", 38400), None)
    for _ in range(3):
        assert search.next(["/dev/x"]) == ("/dev/x", 38400, "ipico", False)
        search.missed()


def test_a_family_that_is_set_is_looked_for_on_all_ports() -> None:
    search = Search(settings("ipico"), None)
    assert [port for port, _, _ in turns(search, ["/dev/a", "/dev/b"], 3)] == ["/dev/a", "/dev/b", "/dev/a"]
    search.found(Place("/dev/b", "ipico", 9600))
    assert search.next(["/dev/a", "/dev/b"]).port == "/dev/b"


def test_a_family_that_says_nothing_of_itself_is_asked_until_it_shows_itself_or_is_late() -> None:
    proof = Proof(BY_NAME["ipico"], 0, is_silent=True)
    assert proof.question(0) == BY_NAME["ipico"].question
    assert proof.question(S // 2) == b""
    assert proof.question(S) == BY_NAME["ipico"].question
    assert not proof.is_late(59 * S)
    assert proof.is_late(60 * S)
    assert not proof.take([Reply("banner", {"text": "hello you"}, 10)])
    assert proof.take([ChipRead("058000123B32", None, None, None, None, 38)])
    assert not proof.is_late(9 * S)
    assert proof.question(9 * S) == b""


def test_one_without_keep_alives_is_waited_for_longer_but_not_through_garbage() -> None:
    proof = Proof(BY_NAME["rdm6300"], 0, is_silent=True)
    assert proof.question(0) == b""
    assert not proof.is_late(30 * S)
    assert proof.is_late(61 * S)
    proof.take([Rejected(Reason.GARBAGE, bytes(100))])
    assert proof.is_late(3 * S)
    assert Proof(BY_NAME["thingmagic"], 0, is_silent=False).is_late(3 * S)


# ---- the memory of it --------------------------------------------------------------------------------------

FOUND = FoundOnDisk("/dev/a", "thingmagic", 115200)


def test_what_was_found_is_known_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    first = FoundFile()
    assert first.get("main") is None
    first.note("main", FOUND)
    first.note("other", FoundOnDisk("/dev/b", "ipico", 9600))
    again = FoundFile()
    assert again.get("main") == FOUND
    assert again.get("other") == FoundOnDisk("/dev/b", "ipico", 9600)
    (file,) = (tmp_path / "state").iterdir()
    assert json.loads(file.read_text())["main"] == {"port": "/dev/a", "family": "thingmagic", "baud": 115200}


def test_it_is_written_only_when_it_changes_and_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync = os.fsync

    def note_and_sync(fd: int) -> None:
        synced.append(fd)
        sync(fd)

    monkeypatch.setattr(os, "fsync", note_and_sync)
    found = FoundFile(tmp_path / "found.json")
    for _ in range(3):
        found.note("main", FOUND)
    assert len(synced) == 1
    FoundFile(tmp_path / "found.json").note("main", FOUND)
    assert len(synced) == 1
    found.note("main", FoundOnDisk("/dev/a", "thingmagic", 9600))
    assert len(synced) == 2


@pytest.mark.parametrize(
    "broken", [b"", b"{", b"[]", b"\xff\xfe", b'{"main": {"port": 1}}', b'{"main": {"port": "a", "family": "b"}}']
)
def test_a_broken_file_is_no_file(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "found.json"
    path.write_bytes(broken)
    found = FoundFile(path)
    assert found.get("main") is None
    found.note("main", FOUND)
    assert FoundFile(path).get("main") == FOUND


def test_a_place_that_can_not_be_written_is_let_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = FoundFile(tmp_path / "file" / "found.json")
    found.note("main", FOUND)
    assert found.get("main") == FOUND
