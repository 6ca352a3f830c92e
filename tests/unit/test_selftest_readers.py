"""The self-test's checks of the readers and their antennas, made to pass, warn, fail and skip by made-up readers."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reader.clock import SystemClock
from reader.config import loads
from reader.errors import ReaderError
from reader.line.activity import Heard60s
from reader.line.protocols import AntennaStanding, Examined, Known, load
from reader.line.protocols.settings import Difference
from reader.messages import Check
from reader.model import ChipRead
from reader.selftest import chip as chip_module
from reader.selftest.chip import Ear
from reader.selftest.plan import Plan
from reader.selftest.readers import settings_finding
from reader.selftest.standing import examined
from reader.selftest.table import PLANS
from tests.fakes.links import HEARS, LOOKED_FOR, FakeLinks, HastyClock, bench_with, finding, findings
from tests.waiting import wait_until

NANO = Known("ThingMagic M6e Nano", "01.0B.02.05", (1,), "na2", ("antenna connected: 1",))
READERS_CHECKS = ("reader-identity", "reader-settings", "region", "reader-temperature", "antenna", "baud", "revisit")
CHIP = "E28011700000020F1234ABCD"
FIXED = "E280000000000000000000FF"
GONE = HEARS._replace(word="fail", says="/dev/ttyUSB0: the line went away; look at the cable", hears=False)


def plan(name: str) -> Plan:
    [one] = [one for one in PLANS if one.name == name]
    return one


def profile_file(folder: Path, *lines: str, family: str = "thingmagic") -> Path:
    (folder / "readers").mkdir(exist_ok=True)
    antenna = "[[antenna]]\nport = 1\npower_dbm = 20\ngain_dbi = 6"
    text = "\n".join([f'family = "{family}"', 'says = "mine"', *lines, antenna])
    (folder / "readers" / "mine.toml").write_text(text)
    return folder / "mat.toml"


def with_profile(source: Path, links: FakeLinks, port: str = "/dev/ttyUSB0") -> Any:
    """A bench whose reader has the profile of :func:`profile_file`."""
    bench = bench_with(links)
    text = f"""
        [mat]
        event = "race"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "thingmagic"
        port = "{port}"
        profile = "mine"
    """
    return bench_with(links, config=loads(text, str(source)), clock=bench.clock)


# ---- what they have in common --------------------------------------------------------------------------------


def test_a_reader_that_may_not_transmit_is_not_made_to_for_a_look_at_its_antennas() -> None:
    says = "not transmitting: region FCC is set in the reader, and the profile a0-etsi wants ETSI"
    bench = bench_with(FakeLinks(HEARS._replace(hears=False, word="fail", says=says), answer=Examined()))
    examined(bench, bench.config.readers[0])
    assert set(bench.examined) == {("main", False)}


def test_what_stops_a_reader_waits_for_leave_and_nothing_else_does() -> None:
    interrupting = {one.name for one in PLANS if one.interrupts}
    assert {"reader-identity", "reader-settings", "return-loss", "noise", "test-chip"} <= interrupting
    assert not interrupting & {"reader-hears", "region", "antenna", "reader-temperature", "revisit", "baud"}
    for name in ("reader-identity", "noise"):
        links = FakeLinks(HEARS, answer=NANO)
        found = finding(name, bench_with(links, mode="race"))
        assert (found.name, found.result, links.errands) == (name, "skip", 0)
    found = finding("return-loss", bench_with(FakeLinks(HEARS), is_allowed=False))
    assert found.result == "skip"
    assert "--yes" in found.says


def test_a_reader_that_is_not_found_yet_is_waited_for_once_and_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_with(FakeLinks(LOOKED_FOR), protocol="auto", port="auto")
    found = finding("reader-hears", bench)
    assert found.result == "fail"
    assert "no reader has been found for main within 15 s" in found.says
    assert "looking for a reader of a known family" in found.says
    began_ns = bench.clock.mono_ns()
    for name in READERS_CHECKS:
        assert finding(name, bench).result == "skip"
        assert "no reader has been found yet" in finding(name, bench).says
    assert isinstance(bench.clock, HastyClock)
    assert bench.clock.mono_ns() - began_ns < 100 * 10**9, "each waited"


def test_one_that_shows_itself_in_time_is_looked_at() -> None:
    links = FakeLinks(LOOKED_FOR)
    bench = bench_with(links, protocol="auto", port="auto", clock=SystemClock())
    timer = threading.Timer(0.3, lambda: links.states.update(main=HEARS))
    timer.start()
    assert finding("reader-hears", bench).result == "pass"
    timer.join()


def test_what_goes_wrong_with_one_reader_does_not_hide_the_other() -> None:
    text = """
        [mat]
        event = "race"
        point = "finish"
        id = "mat"
        [[reader]]
        name = "left"
        protocol = "thingmagic"
        port = "/dev/ttyUSB0"
        [[reader]]
        name = "right"
        protocol = "thingmagic"
        port = "/dev/ttyUSB1"
    """

    class OneGone(FakeLinks):
        def run(self, reader: str, script: Any, limit_s: float, is_wanted: Callable[[], bool]) -> Any:
            answer = super().run(reader, script, limit_s, is_wanted)
            if reader == "left":
                raise ReaderError("the line went away; look at the cable")
            return answer

    links = OneGone(HEARS._replace(name="left"), HEARS._replace(name="right"), answer=NANO)
    found = findings("reader-identity", bench_with(links, config=loads(text, "mat.toml")))
    assert {name: check.result for name, check in found.items()} == {
        "reader-identity:left": "fail",
        "reader-identity:right": "pass",
    }
    assert found["reader-identity:left"].says == "reader left: the line went away; look at the cable"


def test_health_is_asked_for_once_and_thoroughly_only_where_it_may_be() -> None:
    links = FakeLinks(HEARS._replace(health=Examined(30, region="na2")), answer=Examined(noise_dbm={1: -80}))
    bench = bench_with(links)
    for name in ("reader-temperature", "noise", "region", "antenna", "return-loss"):
        findings(name, bench)
    assert links.errands == 1
    assert set(bench.examined) == {("main", True)}
    assert bench.examined["main", True].region is None, "what it told before is no answer"
    bench = bench_with(links, is_allowed=False)
    told = examined(bench, bench.config.readers[0])
    assert (told.temperature_c, dict(told.noise_dbm), told.region) == (30, {1: -80}, "na2")
    for mode, is_allowed in (("race", True), ("race", False), (None, False), ("test", False)):
        bench = bench_with(links, mode=mode, is_allowed=is_allowed)  # type: ignore[arg-type] # from a table
        examined(bench, bench.config.readers[0])
        assert set(bench.examined) == {("main", False)}


# ---- the readers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "hears", "result"),
    [("ok", True, "pass"), ("warn", True, "warn"), ("fail", False, "fail"), ("unknown", False, "fail")],
)
def test_hearing(word: Any, hears: bool, result: str) -> None:
    links = FakeLinks(HEARS._replace(word=word, hears=hears, says="as it is"))
    found = finding("reader-hears", bench_with(links))
    assert (found.name, found.result, found.says) == ("reader-hears:main", result, "reader main: as it is")


@pytest.mark.parametrize(
    ("lines", "family", "result", "word"),
    [
        ((), "thingmagic", "pass", ""),
        (('model = "m6e nano"', 'firmware = "1.B.2"'), "thingmagic", "pass", ""),
        (('firmware = "1.C"',), "thingmagic", "warn", "firmware"),
        (('model = "M6e Micro"', 'firmware = "1.C"'), "thingmagic", "fail", "model"),
        ((), "m100", "fail", "family"),
    ],
)
def test_identity_against_the_profile(
    tmp_path: Path, lines: tuple[str, ...], family: str, result: str, word: str
) -> None:
    source = profile_file(tmp_path, *lines)
    found = finding("reader-identity", with_profile(source, FakeLinks(HEARS._replace(family=family), answer=NANO)))
    assert (found.result, found.value) == (result, "ThingMagic M6e Nano 01.0B.02.05")
    assert f"is for another {word}" in found.says if word else "for another" not in found.says


def test_identity_without_a_profile_or_of_one_that_does_not_say() -> None:
    found = finding("reader-identity", bench_with(FakeLinks(HEARS, answer=NANO)))
    assert (found.result, found.limit) == ("pass", "")
    assert "antenna connected: 1" in found.says
    found = finding("reader-identity", bench_with(FakeLinks(HEARS, answer=Known(None, None))))
    assert found.value == "thingmagic"


def test_a_profile_that_can_not_be_used_is_told_with_the_reader(tmp_path: Path) -> None:
    source = profile_file(tmp_path, "session = 9")
    for name in ("reader-identity", "reader-settings"):
        found = finding(name, with_profile(source, FakeLinks(HEARS, answer=NANO)))
        assert found.result == "fail"
        assert "its profile can't be used: session: found 9" in found.says


def differing(key: str, wanted: object, found: object) -> Difference:
    [setting] = [one for one in load("thingmagic").SETTINGS if one.key == key]
    return Difference(setting, wanted, found)


@pytest.mark.parametrize(
    ("found", "result"),
    [
        ([], "pass"),
        ([differing("session", 0, None)], "pass"),
        ([differing("session", 0, 1)], "warn"),
        ([differing("session", 0, 1), differing("region", "na2", "eu3")], "fail"),
        ([differing("power_dbm", {1: 27.0}, {1: 20.0})], "fail"),
    ],
)
def test_settings_against_the_profile(tmp_path: Path, found: list[Difference], result: str) -> None:
    check = finding("reader-settings", with_profile(profile_file(tmp_path), FakeLinks(HEARS, answer=found)))
    assert check.result == result
    for one in found:
        if one.found is not None:
            assert one.says in check.says
            assert check.do == "stop the daemon and run: timing-mat profile apply mine"
        elif result == "pass":
            assert "it does not tell its session" in check.says


def test_the_speed_of_the_line_is_compared_without_a_question(tmp_path: Path) -> None:
    source = profile_file(tmp_path, "baud = 921600")
    found = finding("reader-settings", with_profile(source, FakeLinks(HEARS, answer=[])))
    assert (found.result, found.value) == ("warn", "1 differ")
    assert "speed of the line: 115200 baud, wanted 921600 baud" in found.says
    found = finding("reader-settings", with_profile(source, FakeLinks(HEARS, answer=[]), "socket://10.0.0.5:4001"))
    assert found.result == "pass"


def test_settings_without_a_profile_or_with_one_of_another_family(tmp_path: Path) -> None:
    found = finding("reader-settings", bench_with(FakeLinks(HEARS)))
    assert found.result == "skip"
    other = FakeLinks(HEARS._replace(family="m100"))
    assert finding("reader-settings", with_profile(profile_file(tmp_path), other)).result == "skip"
    assert settings_finding("n", "main", "mine", [], "").result == "pass"


@pytest.mark.parametrize(
    ("region", "result"), [("na2", "pass"), ("open", "warn"), ("number 99", "warn"), (None, "skip")]
)
def test_region(region: str | None, result: str) -> None:
    found = finding("region", bench_with(FakeLinks(HEARS), told=Examined(region=region)))
    assert (found.result, found.value) == (result, region or "")


def test_no_region_is_what_the_reader_stands_by_and_an_ipico_has_none() -> None:
    silent = HEARS._replace(hears=False, word="fail", says="not transmitting: no region is set in the reader")
    found = finding("region", bench_with(FakeLinks(silent)))
    assert found.result == "fail"
    assert "not transmitting: no region" in found.says
    told = Examined(says=("no region is set: return loss is not measured",))
    assert finding("region", bench_with(FakeLinks(HEARS), told=told)).result == "fail"
    assert finding("region", bench_with(FakeLinks(HEARS._replace(family="ipico")))).result == "skip"


@pytest.mark.parametrize(
    ("temperature_c", "result"), [(70, "pass"), (71, "warn"), (85, "warn"), (86, "fail"), (None, "skip"), (-20, "pass")]
)
def test_temperature(temperature_c: int | None, result: str) -> None:
    told = Examined(temperature_c, says=("its temperature: refused", "no noise"))
    found = finding("reader-temperature", bench_with(FakeLinks(HEARS), told=told))
    assert found.result == result
    if result == "skip":
        assert found.says == "reader main does not tell its temperature; its temperature: refused"
    else:
        assert (found.value, found.limit) == (f"{temperature_c} °C", "70 °C")


# ---- the antennas --------------------------------------------------------------------------------------------


def heard(antenna: int | None, reads: int) -> Heard60s:
    return Heard60s(antenna, reads, 1, -60, reads, 0, None)


@pytest.mark.parametrize(
    ("standing", "detected", "used", "result", "word"),
    [
        (AntennaStanding(2, "up", 40), True, False, "pass", "is connected"),
        (AntennaStanding(2, "unknown", 40), True, False, "pass", "is connected"),
        (AntennaStanding(2, "up", 40), None, False, "pass", "is connected"),
        (AntennaStanding(2, "unknown", 40), None, False, "skip", "can't tell"),
        (AntennaStanding(2, "missing", None), None, False, "fail", "not connected"),
        (AntennaStanding(2, "up", 40), False, False, "fail", "not connected"),
        (AntennaStanding(2, "bad", 40), True, False, "fail", "bad"),
        (AntennaStanding(2, "missing", None, is_expected=False), None, False, "skip", "nobody said"),
        (AntennaStanding(2, "missing", None, is_expected=False), None, True, "fail", "not connected"),
        (None, False, False, "skip", "nobody said"),
        (None, False, True, "fail", "not connected"),
        (None, True, False, "warn", "does not listen on it"),
        (None, None, True, "skip", "can't tell"),
    ],
)
def test_an_antenna(
    tmp_path: Path, standing: AntennaStanding | None, detected: bool | None, used: bool, result: str, word: str
) -> None:
    links = FakeLinks(HEARS._replace(standings=[standing] if standing else []))
    source = profile_file(tmp_path)
    text = (tmp_path / "readers" / "mine.toml").read_text()
    (tmp_path / "readers" / "mine.toml").write_text(text.replace("port = 1", "port = 2"))
    bench = with_profile(source, links) if used else bench_with(links)
    bench.examined["main", True] = Examined(connected={} if detected is None else {2: detected})
    found = finding("antenna", bench)
    assert (found.name, found.result) == ("antenna:main:2", result)
    assert found.says.startswith("antenna 2 of reader main ")
    assert word in found.says


def test_an_antenna_that_hears_little_or_hears_though_it_is_not_detected_is_warned_of() -> None:
    links = FakeLinks(HEARS._replace(standings=[AntennaStanding(1, "up", 40)], deaf=frozenset({1})))
    assert "far less" in finding("antenna", bench_with(links, told=Examined())).says
    links = FakeLinks(HEARS._replace(antennas=[heard(1, 5)], progress_ns=5_000_000_000))
    found = finding("antenna", bench_with(links, told=Examined(connected={1: False})))
    assert found.result == "warn"
    assert "hears chips, though" in found.says
    # One that heard chips before, and is not there any more, was expected to be.
    links = FakeLinks(HEARS._replace(antennas=[heard(1, 5)], progress_ns=5_000_000_001))
    assert finding("antenna", bench_with(links, told=Examined(connected={1: False}))).result == "fail"


def test_the_antennas_of_a_reader_that_does_not_tell_them_apart(tmp_path: Path) -> None:
    told = Examined(says=("it can't be asked for its antenna",))
    found = finding("antenna", bench_with(FakeLinks(HEARS), told=told))
    assert (found.name, found.result) == ("antenna:main", "skip")
    assert "can't be asked" in found.says
    # One without a number is the same as the profile's only one.
    links = FakeLinks(HEARS._replace(standings=[AntennaStanding(None, "unknown", 40)]))
    bench = with_profile(profile_file(tmp_path), links)
    bench.examined["main", True] = told
    assert finding("antenna", bench).name == "antenna:main"


@pytest.mark.parametrize(
    ("loss_db", "result"), [(30.0, "pass"), (10, "pass"), (9.5, "warn"), (3, "warn"), (2.9, "fail"), (0, "fail")]
)
def test_return_loss(loss_db: float, result: str) -> None:
    told = Examined(return_loss_db={2: loss_db}, connected={2: True})
    found = finding("return-loss", bench_with(FakeLinks(HEARS), told=told))
    assert (found.name, found.result, found.value) == ("return-loss:main:2", result, f"{loss_db:g} dB")
    if loss_db == 3:
        assert "sends back 50 % of the power" in found.says


@pytest.mark.parametrize(("is_expected", "result"), [(True, "fail"), (False, "skip")])
def test_the_return_loss_where_nothing_is_connected(is_expected: bool, result: str) -> None:
    links = FakeLinks(HEARS._replace(standings=[AntennaStanding(2, "missing", None, is_expected)]))
    found = finding("return-loss", bench_with(links, told=Examined(return_loss_db={2: 1})))
    assert found.result == result


@pytest.mark.parametrize(("noise_dbm", "result"), [(-90, "pass"), (-60, "pass"), (-59, "warn")])
def test_noise(noise_dbm: int, result: str) -> None:
    found = finding("noise", bench_with(FakeLinks(HEARS), told=Examined(noise_dbm={1: noise_dbm})))
    assert (found.name, found.result, found.value) == ("noise:main:1", result, f"{noise_dbm} dBm")


def test_what_is_not_told_is_skipped_in_the_readers_own_words() -> None:
    told = Examined(says=("it can't measure its noise", "return loss: refused"))
    noise = finding("noise", bench_with(FakeLinks(HEARS), told=told))
    loss = finding("return-loss", bench_with(FakeLinks(HEARS), told=told))
    assert (noise.result, loss.result) == ("skip", "skip")
    assert noise.says == "reader main does not tell its noise; it can't measure its noise"
    assert loss.says.endswith("return loss: refused")


@pytest.mark.parametrize(
    ("revisit_ms", "result"), [(45.0, "pass"), (100.0, "pass"), (101.0, "warn"), (300.0, "warn"), (301.0, "fail")]
)
def test_revisit(revisit_ms: float, result: str) -> None:
    links = FakeLinks(HEARS._replace(family="a0", standings=[AntennaStanding(1, "up", revisit_ms)]))
    found = finding("revisit", bench_with(links))
    assert (found.name, found.result, found.limit) == ("revisit:main:1", result, "100 ms")


@pytest.mark.parametrize(("reads", "result"), [(99, "skip"), (100, "warn")])
def test_of_few_reads_the_turns_of_a_module_are_not_seen(reads: int, result: str) -> None:
    standings = [AntennaStanding(1, "up", 150.0), AntennaStanding(2, "up", 90.0)]
    links = FakeLinks(HEARS._replace(standings=standings, antennas=[heard(1, reads)]))
    found = findings("revisit", bench_with(links))
    assert (found["revisit:main:1"].result, found["revisit:main:2"].result) == (result, "pass")


def test_how_soon_antennas_were_at_their_turn_says_nothing_of_a_reader_that_is_gone() -> None:
    gone = HEARS._replace(hears=False, word="fail", says="the line hung up")
    links = FakeLinks(gone._replace(family="a0", standings=[AntennaStanding(1, "up", 175.0)]))
    found = finding("revisit", bench_with(links))
    assert (found.name, found.result, "hung up" in found.says) == ("revisit:main", "skip", True)


def test_a_revisit_time_that_is_not_known() -> None:
    assert finding("revisit", bench_with(FakeLinks(HEARS))).result == "skip"
    links = FakeLinks(HEARS._replace(standings=[AntennaStanding(1, "up", None)]))
    assert finding("revisit", bench_with(links)).result == "skip"


# ---- the test chip -------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip_module, "PASSED_NS", 200_000_000)


class Somebody:
    """With a test chip, and a reader of two antennas."""

    def __init__(self, *antennas: int | None, wait_s: float = 5.0) -> None:
        standings = [AntennaStanding(antenna, "up", 40) for antenna in antennas]
        self.links = FakeLinks(HEARS._replace(standings=standings))
        self.told: list[str] = []
        self.found: dict[str, Check] = {}
        text = f"""
            [mat]
            event = "race"
            point = "finish"
            id = "mat"
            [[reader]]
            protocol = "thingmagic"
            port = "/dev/ttyUSB0"
            [chips]
            reference = ["{FIXED}"]
        """
        self._bench = bench_with(
            self.links,
            config=loads(text, "mat.toml"),
            clock=SystemClock(),
            chip_wait_s=wait_s,
            tell=self.told.append,
        )
        self._thread = threading.Thread(target=self._test)

    def __enter__(self) -> Somebody:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()

    def asked_for(self, place: str) -> Somebody:
        wait_until(lambda: any(place in says for says in self.told) and self.links.listen, 5, f"the word of {place}")
        return self

    def passes(self, *reads: tuple[int | None, int | None], chip: str = CHIP) -> None:
        """Antenna and signal of each read, all at once."""
        listen = self.links.listen
        assert listen is not None
        listen(_reads(chip, reads))

    def _test(self) -> None:
        for check in plan("test-chip").run(self._bench):
            self.found[check.name] = check


def _reads(chip: str, reads: Sequence[tuple[int | None, int | None]]) -> list[ChipRead]:
    return [ChipRead(chip, antenna, rssi_dbm, None, None, 20) for antenna, rssi_dbm in reads]


@pytest.mark.usefixtures("quick")
def test_a_chip_is_asked_for_on_one_antenna_after_the_other() -> None:
    with Somebody(1, 2) as somebody:
        somebody.asked_for("antenna 1 of reader main").passes((1, -50), (2, -60), (1, -52))
        somebody.asked_for("antenna 2 of reader main").passes((2, -71), (1, -80))
    assert somebody.told[0] == "pass the test chip over antenna 1 of reader main, within 5 s"
    first, second = somebody.found["test-chip:main:1"], somebody.found["test-chip:main:2"]
    assert (first.result, first.value, first.limit) == ("pass", "-50 dBm", "-70 dBm")
    assert f"heard chip {CHIP}, 2 reads, -50 dBm at best" in first.says
    assert (second.result, second.value) == ("warn", "-71 dBm")
    assert "pass the chip closer" in second.do
    assert somebody.links.listen is None


@pytest.mark.usefixtures("quick")
def test_a_chip_over_the_neighbour_counts_for_nobody_else_and_may_be_passed_again() -> None:
    with Somebody(2) as somebody:
        somebody.asked_for("antenna 2").passes((1, -45), (2, -55))
        threading.Event().wait(0.4)  # twice as long as a passing goes on: what is not to come can't be waited for
        assert not somebody.found
        somebody.passes((2, -50), (1, -65))
    assert somebody.found["test-chip:main:2"].value == "-50 dBm"


@pytest.mark.usefixtures("quick")
def test_nothing_heard_within_the_limit_fails_and_a_chip_fixed_to_the_mat_is_nothing() -> None:
    with Somebody(1, wait_s=0.6) as somebody:
        somebody.asked_for("antenna 1").passes((1, -40), chip=FIXED)
        somebody.passes((2, -45))
    found = somebody.found["test-chip:main:1"]
    assert (found.result, found.value, found.limit) == ("fail", "0 reads", "a chip within 0.6 s")
    assert found.says == "antenna 1 of reader main heard no chip within 0.6 s; antenna 2 of reader main heard one"


@pytest.mark.usefixtures("quick")
def test_a_reader_without_numbers_or_signals() -> None:
    with Somebody() as somebody:
        somebody.asked_for("over the antenna of reader main").passes((None, None), (None, None))
    found = somebody.found["test-chip:main"]
    assert (found.result, found.value) == ("pass", "2 reads")


def test_a_chip_that_is_laid_there_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip_module, "LIES_NS", 300_000_000)
    with Somebody(1) as somebody:
        somebody.asked_for("antenna 1")
        for _ in itertools.takewhile(lambda _: not somebody.found, range(100)):
            if somebody.links.listen is not None:
                somebody.links.listen(_reads(CHIP, [(1, -50)]))
            threading.Event().wait(0.05)
    assert somebody.found["test-chip:main:1"].result == "pass"


def test_runners_who_pass_one_after_the_other_do_not_keep_it_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip_module, "LIES_NS", 300_000_000)
    with Somebody(1, wait_s=0.3) as somebody:
        somebody.asked_for("antenna 1")
        for number in itertools.takewhile(lambda _: not somebody.found, range(100)):
            if somebody.links.listen is not None:
                somebody.links.listen(_reads(f"{number:024X}", [(1, -50 + number)]))
            threading.Event().wait(0.05)
        assert somebody.found, "it waits while they pass"
    assert somebody.found["test-chip:main:1"].result == "pass"


def test_a_reader_that_goes_away_ends_the_waiting_at_once() -> None:
    with Somebody(1, 2, wait_s=60) as somebody:
        somebody.asked_for("antenna 1")
        somebody.links.states["main"] = GONE
    for check in somebody.found.values():
        assert check.result == "fail"
        assert "went away while the test chip was waited for" in check.says
        assert "look at the cable" in check.says
    found = finding("test-chip", bench_with(FakeLinks(GONE), mode="test"))
    assert (found.name, found.result) == ("test-chip:main", "fail")


def test_an_ear_tells_passings_apart() -> None:
    clock = HastyClock(600_000_000)
    ear = Ear(clock, frozenset())
    ear.take(_reads(CHIP, [(1, -40), (2, -50)]))
    ear.take(_reads(CHIP, [(2, -45)]))  # 0.6 s later: the same passing
    best = ear.best(None)
    assert best is not None
    assert (best.antenna, best.reads) == (1, 1)
    assert ear.best(2) is None
    clock.mono_ns()
    ear.take(_reads(CHIP, [(2, -60)]))  # 1.2 s after that: another
    best = ear.best(2)
    assert best is not None
    assert (best.reads, best.best_dbm) == (1, -60)
