"""The self-test's checks of the readers over real lines: simulated readers, the links of a daemon, and no daemon."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reader.clock import SystemClock
from reader.config import Config, loads
from reader.errors import ReaderError
from reader.line.protocols import FAMILIES, thingmagic
from reader.line.protocols.asking import Script, alone, pause
from reader.links import Links
from reader.messages import Check
from reader.model import NS_PER_S, Hearing, Mode, Reads
from reader.selftest import readers as readers_module
from reader.selftest import standing as standing_module
from reader.selftest.runner import Doing, Found, examine
from reader.selftest.table import PLANS
from tests.daemon import COMMAND, Line
from tests.fakes.bench import Standing
from tests.fakes.links import bench_with, finding, findings
from tests.waiting import wait_until

AT_ONCE_S = 3.0
LOOKING = ("serial-device", "serial-holder", "baud", "reader-hears", "region", "reader-temperature", "antenna")
ASKING = ("reader-identity", "reader-settings", "return-loss", "noise")

each_family = pytest.mark.parametrize(
    "family",
    ["thingmagic", *(pytest.param(one.name, marks=pytest.mark.long) for one in FAMILIES if one.name != "thingmagic")],
)


class Mat:
    """Readers on their lines, opened; ``heard`` is all that they hand on."""

    def __init__(self, config: Config) -> None:
        self.clock = SystemClock()
        self.heard: list[Reads | Hearing] = []
        self.config = config
        self.links = Links(config, self.clock, self.heard.append, lambda: True, {})

    def bench(self, *, mode: Mode | None = None, **besides: Any) -> Any:
        return bench_with(self.links, config=self.config, clock=self.clock, mode=mode, **besides)

    def find(self, *names: str, mode: Mode | None = None) -> dict[str, Check]:
        """What these checks find, in one self-test."""
        bench = self.bench(mode=mode)
        found: dict[str, Check] = {}
        for name in names:
            found |= findings(name, bench)
        return found

    def reads(self) -> int:
        return sum(isinstance(one, Reads) for one in self.heard)


@contextmanager
def mat(tmp_path: Path, protocol: str, *more: str) -> Iterator[Mat]:
    text = f"""
        [mat]
        event = "race"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "{protocol}"
        port = "{tmp_path}/line"
    """
    one = Mat(loads("\n".join([text, *more]), str(tmp_path / "mat.toml")))
    one.links.start()
    try:
        yield one
    finally:
        one.links.stop()


@contextmanager
def simulated(tmp_path: Path, protocol: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A reader on the line, with a runner every fifth of a second."""
    simulate = [
        *(COMMAND, "simulate", "--protocol", protocol, "--link", f"{tmp_path}/line", "--runners", "600"),
        *("--minutes", "2", *arguments),
    ]
    with subprocess.Popen(simulate, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
        try:
            wait_until(lambda: (tmp_path / "line").exists(), what="the simulated reader")
            yield reader
        finally:
            reader.kill()


def results(found: dict[str, Check]) -> dict[str, str]:
    return {name: check.result for name, check in found.items()}


# ---- every family ----------------------------------------------------------------------------------------------


@each_family
def test_a_good_reader_passes_what_it_can_tell_and_hears_again_afterwards(tmp_path: Path, family: str) -> None:
    with simulated(tmp_path, family), mat(tmp_path, family) as one:
        found = one.find(*LOOKING, *ASKING)
        assert not {name: check for name, check in found.items() if check.result in ("warn", "fail")}
        for name in ("serial-device", "serial-holder", "baud", "reader-hears", "reader-identity"):
            assert found[f"{name}:main"].result == "pass"
        chip = finding("test-chip", one.bench(chip_wait_s=20))
        assert chip.result == "pass"
        before = one.reads()
        wait_until(lambda: one.links.state("main").hears and one.reads() > before, 10, "reads after the self-test")


@pytest.mark.parametrize(
    "family", ["a0", *(pytest.param(one, marks=pytest.mark.long) for one in ("thingmagic", "m100", "uhfreader"))]
)
def test_in_a_race_nothing_is_interrupted_and_what_the_reader_tells_by_itself_is_found(
    tmp_path: Path, family: str
) -> None:
    with simulated(tmp_path, family), mat(tmp_path, family) as one:
        wait_until(lambda: one.links.state("main").hears, 20, "the reader to hear")
        if family == "a0":
            wait_until(lambda: one.links.state("main").health.temperature_c, 15, "a look at its temperature")
        found = one.find(*LOOKING, *ASKING, "test-chip", mode="race")
        assert found["reader-hears:main"].result == "pass"
        assert found["region:main"].result == "pass"
        for name in (*ASKING, "test-chip"):
            assert (found[name].result, "in a race" in found[name].says) == ("skip", True)
        assert "fail" not in results(found).values()
        if family == "a0":
            assert found["reader-temperature:main"].value == "30 °C"
            assert found["antenna:main:1"].result == "pass"
        assert not [given for given in one.heard if isinstance(given, Hearing) and not given.hears]


# ---- what can be wrong with a reader ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("warm@0", {"reader-temperature:main": "warn"}),
        pytest.param("hot@0", {"reader-temperature:main": "fail"}, marks=pytest.mark.long),
        pytest.param("noisy@0", {"noise:main:1": "warn"}, marks=pytest.mark.long),
        ("poor-cable=2@0", {"return-loss:main:1": "pass", "return-loss:main:2": "warn"}),
        pytest.param("bad-cable=2@0", {"return-loss:main:2": "fail"}, marks=pytest.mark.long),
        pytest.param("no-region@0", {"region:main": "fail", "reader-hears:main": "fail"}, marks=pytest.mark.long),
    ],
)
def test_what_is_wrong_with_a_reader_is_found(tmp_path: Path, fault: str, expected: dict[str, str]) -> None:
    arguments = ("--antennas", "2", "--fault", fault)
    with simulated(tmp_path, "thingmagic", *arguments), mat(tmp_path, "thingmagic") as one:
        wait_until(one.reads, 20, "the race to have begun")
        names = list(dict.fromkeys(name.split(":")[0] for name in expected))
        found = one.find(*names)
        assert results(found) | expected == results(found)


def test_an_antenna_of_the_profile_that_is_not_there_is_found(tmp_path: Path) -> None:
    profile = 'profile = "m6e-fcc-4-antennas"'
    with simulated(tmp_path, "thingmagic", "--antennas", "3"), mat(tmp_path, "thingmagic", profile) as one:
        found = one.find("antenna")
    assert results(found) == {
        **{f"antenna:main:{port}": "pass" for port in (1, 2, 3)},
        "antenna:main:4": "fail",
    }


@pytest.mark.long
def test_an_antenna_that_has_heard_and_is_not_there_any_more_is_found_without_a_profile(tmp_path: Path) -> None:
    arguments = ("--antennas", "2", "--fault", "antenna-off=2@4")
    with simulated(tmp_path, "thingmagic", *arguments), mat(tmp_path, "thingmagic") as one:

        def is_silent() -> bool:
            state = one.links.state("main")
            return any(
                heard.antenna == 2 and state.progress_ns - heard.last_ns > 6 * NS_PER_S for heard in state.antennas
            )

        wait_until(is_silent, 30, "antenna 2 to be silent for a while")
        found = one.find("antenna")
    assert results(found) == {"antenna:main:1": "pass", "antenna:main:2": "fail"}


def test_a_reader_that_is_not_set_as_its_profile_says_is_found(tmp_path: Path) -> None:
    profile = 'profile = "uhfreader-fcc"'  # the simulated one comes as from the shop, and all of it is in flash
    with simulated(tmp_path, "uhfreader"), mat(tmp_path, "uhfreader", profile) as one:
        found = one.find("reader-identity", "reader-settings")
        assert results(found) == {"reader-identity:main": "pass", "reader-settings:main": "warn"}
        assert "scan time: 2000 ms, wanted 300 ms" in found["reader-settings:main"].says


def test_garbage_is_found(tmp_path: Path) -> None:
    with Line(tmp_path / "line") as line, mat(tmp_path, "ipico") as one:
        wait_until(lambda: line.is_open, what="the line to be opened")
        line.send(b"\x15garbage\r\n" * 30)
        wait_until(lambda: one.links.state("main").rejected_bytes > 200, 5, "the garbage to be counted")
        found = finding("baud", one.bench())
    assert found.result == "fail"
    assert float(found.value.split()[0]) > 80


# ---- pulled out in the middle ----------------------------------------------------------------------------------


class Running:
    """A check in a thread, as the runner has it."""

    def __init__(self, name: str, bench: Any) -> None:
        self.told: list[str] = []
        self.found: list[Check] = []
        self._plans = [plan for plan in PLANS if plan.name == name]
        self._bench = bench
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for told in examine(self._plans, self._bench):
            match told:
                case Doing(says):
                    self.told.append(says)
                case Found(check):
                    self.found.append(check)

    def ended(self, limit_s: float = AT_ONCE_S) -> Check:
        self._thread.join(limit_s)
        assert not self._thread.is_alive(), "it hangs"
        [found] = self.found
        return found


def test_a_reader_pulled_out_while_a_test_chip_is_waited_for(tmp_path: Path) -> None:
    with Line(tmp_path / "line") as line, mat(tmp_path, "ipico") as one:
        running = Running("test-chip", one.bench(chip_wait_s=60))
        wait_until(lambda: any("pass the test chip" in says for says in running.told), 10, "the word to somebody")
        line.unplug()
        found = running.ended()
    assert (found.name, found.result) == ("test-chip:main", "fail")
    assert "went away while the test chip was waited for" in found.says
    assert "the line" in found.says
    assert found.do


@pytest.mark.parametrize("name", ["reader-identity", "reader-temperature"])
def test_a_reader_pulled_out_in_the_middle_of_a_question(tmp_path: Path, name: str) -> None:
    with simulated(tmp_path, "thingmagic") as reader, mat(tmp_path, "thingmagic") as one:
        wait_until(lambda: one.links.state("main").hears, 20, "the reader to hear")
        reader.send_signal(19)  # SIGSTOP: it holds the line, and does not answer
        running = Running(name, one.bench())
        wait_until(lambda: "examined" in one.links.state("main").says, 5, "the question")
        reader.kill()
        found = running.ended()
    assert (found.name, found.result) == (f"{name}:main", "fail")
    assert found.says.startswith("reader main: ")
    assert "the line" in found.says
    assert "Error" not in found.says


def test_a_reader_that_does_not_answer_is_given_up_and_timing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing_module, "ANSWER_LIMIT_S", 0.5)
    with simulated(tmp_path, "thingmagic") as reader, mat(tmp_path, "thingmagic") as one:
        wait_until(lambda: one.links.state("main").hears, 20, "the reader to hear")
        reader.send_signal(19)
        found = Running("reader-identity", one.bench()).ended()
        assert found.result == "fail"
        assert "within 0.5 s" in found.says
        reader.send_signal(18)  # SIGCONT
        before = one.reads()
        wait_until(lambda: one.links.state("main").hears and one.reads() > before, 20, "reads again")


@pytest.mark.parametrize(
    ("name", "result", "says"),
    [("region", "pass", "transmits as in na"), ("reader-identity", "skip", "a race has begun")],
)
def test_a_race_that_begins_gets_the_reader_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, result: str, says: str
) -> None:
    def long_one(*_: Any) -> Script[Any]:
        yield from pause(60 * NS_PER_S)
        raise AssertionError("it was asked to the end")

    def examine_long(is_interrupting: bool) -> Script[Any]:
        return alone(long_one()) if is_interrupting else thingmagic.examine(is_interrupting)

    monkeypatch.setattr(standing_module, "load", lambda _: SimpleNamespace(examine=examine_long))
    monkeypatch.setattr(readers_module, "alone", lambda _: alone(long_one()))
    with simulated(tmp_path, "thingmagic"), mat(tmp_path, "thingmagic") as one:
        wait_until(lambda: one.links.state("main").hears, 20, "the reader to hear")
        status = Standing("test")
        running = Running(name, one.bench(mode="test", status=status))
        wait_until(lambda: "examined" in one.links.state("main").says, 5, "the question")
        status.mode = "race"  # a gun, or twenty chips
        began_s = time.monotonic()
        wait_until(lambda: one.links.state("main").hears, 2, "the reader to hear the starters")
        assert time.monotonic() - began_s < 1
        found = running.ended()
    assert (found.result, says in found.says) == (result, True), found


def test_a_fault_of_a_script_is_told_and_the_reader_is_heard_as_before(tmp_path: Path) -> None:
    def faulty() -> Script[None]:
        yield from pause(0)
        raise ZeroDivisionError

    with simulated(tmp_path, "thingmagic"), mat(tmp_path, "thingmagic") as one:
        wait_until(lambda: one.links.state("main").hears, 20, "the reader to hear")
        with pytest.raises(ReaderError, match="a fault of this program in asking the reader"):
            one.links.run("main", faulty(), 5)
        before = one.reads()
        wait_until(lambda: one.reads() > before, 10, "reads")
        assert not [given for given in one.heard if isinstance(given, Hearing) and not given.hears]


def test_a_line_that_is_not_there(tmp_path: Path) -> None:
    with mat(tmp_path, "thingmagic") as one:
        found = one.find(*LOOKING, *ASKING, "test-chip")
    assert found["serial-device:main"].result == "fail"
    assert found["serial-holder:main"].result == "skip"
    assert found["reader-hears:main"].result == "fail"
    assert "not there" in found["reader-hears:main"].says
    assert found["test-chip:main"].result == "fail"
    assert not {name for name, check in found.items() if "Error" in check.says}


def test_a_reader_that_is_looked_for_and_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing_module, "SETTLE_S", 0.5)
    with Line(tmp_path / "line"), mat(tmp_path, "auto") as one:
        found = one.find("reader-hears", "reader-identity", "antenna", "test-chip")
    assert results(found) == {
        "reader-hears:main": "fail",
        "reader-identity:main": "skip",
        "antenna:main": "skip",
        "test-chip:main": "skip",
    }
    assert all("looking for a reader of a known family" in check.says for check in found.values())


@pytest.mark.long
def test_a_reader_that_is_looked_for_is_found_and_tested(tmp_path: Path) -> None:
    with simulated(tmp_path, "a0"), mat(tmp_path, "auto") as one:
        found = one.find("reader-hears", "reader-identity", "region")
    assert set(results(found).values()) == {"pass"}
    assert found["reader-hears:main"].value == "a0"
