"""`timing-mat profile` against simulated readers on a pseudo-terminal: what it says, changes, keeps, and survives."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from reader.cli import profile as command
from reader.cli import profile_desk
from reader.clock import SystemClock
from reader.errors import PortRefused, ReaderError, TimingMatError, UsageError
from reader.line import profile
from reader.line.port import Port
from reader.line.protocols import FAMILIES
from reader.simulator.line import PseudoTerminal
from reader.simulator.play import play
from tests.waiting import wait_until

# Of each family what its reader is made with, for the profile: the region at power-up is another than the profile's.
PROFILES = {"thingmagic": "m6e-fcc-4-antennas", "a0": "a0-etsi", "m100": "m100-etsi", "uhfreader": "uhfreader-etsi"}
HERE = [family.name for family in FAMILIES if family.name in PROFILES]
# What is the same code for each family is tried with all of them in the long suite.
MOSTLY_ONE = [pytest.param(name, marks=() if name == "thingmagic" else pytest.mark.long) for name in HERE]


class Simulated:
    """A reader that stays the same through any number of openings of its line."""

    def __init__(self, family: str, line: PseudoTerminal, **made_with: Any) -> None:
        self.reader: Any = import_module(f"reader.simulator.{family}").make_reader(**made_with)
        self.port = line.address
        self.heard: list[bytes] = []
        self._answer = self.reader.answer
        self.reader.answer = self.answer

    def answer(self, data: bytes, now_ns: int) -> bytes:
        self.heard.append(data)
        said: bytes = self._answer(data, now_ns)
        return said


@contextmanager
def simulated(family: str, **made_with: Any) -> Iterator[Simulated]:
    stop = threading.Event()
    with PseudoTerminal() as line:
        made = Simulated(family, line, **{"antennas": 4 if family == "thingmagic" else 1, **made_with})
        thread = threading.Thread(
            target=lambda: play([], made.reader, line, speed=10.0, linger_s=3600.0, stop=stop, is_strict=True)
        )
        thread.start()
        try:
            yield made
        finally:
            stop.set()
            thread.join()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    monkeypatch.setenv("TIMING_MAT_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("COLUMNS", "200")
    return folder


def run(*arguments: str, answer: str | None = None) -> Result:
    result = CliRunner().invoke(command.app, arguments, input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def differing(at: Simulated, name: str) -> list[str]:
    """The keys of what is not as wanted."""
    said = json.loads(run("diff", name, *on(at), "--json").stdout)
    return [one["key"] for one in said["differences"] if one["found"] is not None]


def on(at: Simulated) -> tuple[str, ...]:
    """The line at the speed that the reader has now: others would be found, but take their time."""
    return "--port", at.port, "--baud", str(at.reader.baud)


# ---- without a reader ------------------------------------------------------------------------------------


def test_list_shows_all_and_says_what_is_wrong_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "mat.toml"
    config.write_text(
        '[mat]\nevent = "e"\npoint = "p"\nid = "m"\n[[reader]]\nprotocol = "thingmagic"\nport = "/dev/ttyUSB9"\n'
    )
    (tmp_path / "readers").mkdir()
    (tmp_path / "readers" / "broken.toml").write_text('family = "nobody"\n')
    rows = json.loads(run("list", "--json", "--config", str(config)).stdout)
    by_name = {row["name"]: row for row in rows}
    assert by_name["m6e-nano-fcc"]["region"] == "na2"
    assert by_name["broken"]["error"].startswith("family: found")
    text = run("list", "--config", str(config)).stdout
    assert "can't be used: family: found" in text
    assert "M6e Nano, finish or split, FCC" in text
    monkeypatch.setenv("TIMING_MAT_CONFIG", str(config))
    assert "broken" in run("list").stdout


def test_show_says_what_each_antenna_radiates_and_the_limit() -> None:
    text = run("show", "m6e-nano-fcc").stdout
    assert "limit: 36 dBm EIRP, and 30 dBm conducted, FCC 47 CFR 15.247" in text
    assert "32.0" in text
    assert "until power-off" in text
    said = json.loads(run("show", "m6e-nano-etsi", "--json").stdout)
    assert said["antenna"] == [
        {
            "port": 1,
            "power_dbm": 27.0,
            "cable_loss_db": 1.0,
            "gain_dbi": 6.0,
            "radiated_dbm": 29.85,
            "highest_power_dbm": 30.15,
        }
    ]
    assert (said["limit"]["radiated_dbm"], said["limit"]["is_erp"]) == (33.0, True)


def test_without_a_region_that_is_said_first(tmp_path: Path) -> None:
    file = tmp_path / "bare.toml"
    file.write_text('family = "thingmagic"\nsays = "bare"\n[[antenna]]\nport = 1\npower_dbm = 20\ngain_dbi = 6\n')
    no_region = "no region: the mat will not transmit unless one is set in the reader\n"
    assert run("show", str(file)).stdout.startswith(no_region)
    with simulated("thingmagic", region=0) as at:
        assert run("diff", str(file), *on(at)).stdout.startswith(no_region)
    with simulated("thingmagic", region=1) as at:
        assert "no region" not in run("diff", str(file), *on(at)).stdout


def test_the_law_of_the_region_in_the_reader_holds_where_the_profile_names_none(tmp_path: Path) -> None:
    file = tmp_path / "strong.toml"
    file.write_text('family = "thingmagic"\nsays = "strong"\n[[antenna]]\nport = 1\npower_dbm = 30\ngain_dbi = 9\n')
    with simulated("thingmagic", region=1) as at:
        with pytest.raises(
            TimingMatError, match=r'with region "na", set in the reader: antenna.*at most power_dbm = 27'
        ):
            run("apply", str(file), *on(at), "--yes")
        file.write_text(file.read_text().replace("30", "27"))
        assert run("apply", str(file), *on(at), "--yes").exit_code == 0


# ---- with one --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", HERE)
def test_apply_sets_a_reader_up_and_a_second_time_writes_nothing(family: str, state: Path) -> None:
    name = PROFILES[family]
    with simulated(family) as at:
        before = differing(at, name)
        assert before
        assert run("diff", name, *on(at)).exit_code == 1
        result = run("apply", name, *on(at), "--yes")
        assert result.exit_code == 0, result.output
        assert differing(at, name) == []
        assert run("diff", name, *on(at)).exit_code == 0
        writes = getattr(at.reader, "flash_writes", 0)
        again = run("apply", name, *on(at), "--yes")
        assert again.exit_code == 0
        assert getattr(at.reader, "flash_writes", 0) == writes
        kept = [
            path for path in state.glob(f"before-{name}-*.toml") if f"apply {path} --port {at.port}" in result.stdout
        ]
        assert len(kept) == 1


@pytest.mark.parametrize("family", MOSTLY_ONE)
def test_going_back_brings_what_was_there_before(family: str, tmp_path: Path) -> None:
    name, kept, now = PROFILES[family], tmp_path / "kept.toml", tmp_path / "now.toml"
    with simulated(family) as at:
        run("dump", str(now), *on(at), "--protocol", family)
        assert run("apply", name, *on(at), "--yes", "--keep", str(kept)).exit_code == 0
        told = profile.wanted(profile.load(profile.find(str(kept))).profile)
        was = profile.wanted(profile.load(profile.find(str(now))).profile)
        assert {key: told[key] for key in was if key != "antennas"} == {
            key: was[key] for key in was if key != "antennas"
        }
        back = run("apply", str(kept), *on(at), "--yes")
        assert back.exit_code == 0, back.output
        assert differing(at, str(now)) == []


@pytest.mark.parametrize("family", MOSTLY_ONE)
def test_a_dump_applied_changes_nothing(family: str, tmp_path: Path, state: Path) -> None:
    file = tmp_path / "mine.toml"
    with simulated(family) as at:
        said = run("dump", str(file), *on(at), "--protocol", family)
        assert "put right what stands here" in said.stderr
        writes = getattr(at.reader, "flash_writes", 0)
        result = run("apply", str(file), *on(at))
        assert result.stdout.endswith("nothing differs, nothing was written\n")
        assert getattr(at.reader, "flash_writes", 0) == writes
        assert run("dump", *on(at), "--protocol", family).stdout == file.read_text()
    assert not state.exists()


@pytest.mark.parametrize("family", MOSTLY_ONE)
def test_a_no_changes_nothing(family: str, state: Path) -> None:
    name = PROFILES[family]
    with simulated(family) as at:
        before = differing(at, name)
        result = run("apply", name, *on(at), answer="n\n")
        assert result.exit_code == 1
        assert result.stdout.endswith("nothing was changed\n")
        assert differing(at, name) == before
        assert getattr(at.reader, "flash_writes", 0) == 0
        assert run("apply", name, *on(at), answer="").exit_code == 1  # nobody there to ask
        assert differing(at, name) == before
    assert not state.exists()


def test_what_was_there_before_is_on_disk_before_anything_is_changed(tmp_path: Path) -> None:
    with simulated("thingmagic") as at:
        name = PROFILES["thingmagic"]
        before = differing(at, name)
        with pytest.raises(UsageError, match="nothing was changed"):
            run("apply", name, *on(at), "--yes", "--keep", "/proc/kept.toml")
        taken = tmp_path / "taken.toml"
        taken.write_text("mine")
        with pytest.raises(UsageError, match="is there already"):
            run("apply", name, *on(at), "--yes", "--keep", str(taken))
        assert taken.read_text() == "mine"
        assert differing(at, name) == before


@pytest.mark.parametrize("family", MOSTLY_ONE)
def test_a_reader_at_another_speed_is_found_and_brought_to_the_profiles(family: str, tmp_path: Path) -> None:
    name = PROFILES[family]
    with simulated(family, baud=9600) as at:
        result = run("apply", name, "--port", at.port, "--baud", "38400", "--yes")
        assert result.exit_code == 0, result.output
        baud = 921_600 if family == "thingmagic" else 115_200
        assert at.reader.baud == baud
        assert "at 9600 baud" in result.stdout
        assert f"set `baud = {baud}` in mat.toml" in result.stdout


def test_a_stream_left_running_is_no_hindrance() -> None:
    module = import_module("reader.line.protocols.thingmagic")
    with simulated("thingmagic") as at:
        start = module.command(0x2F, bytes.fromhex("00000122000005072210001B03E80016"))
        for sent in (bytes.fromhex("FF02930005517D"), start):
            at.reader.answer(sent, SystemClock().now().utc_ns)
        assert at.reader.is_hearing
        assert run("apply", PROFILES["thingmagic"], *on(at), "--yes").exit_code == 0


# ---- trouble ---------------------------------------------------------------------------------------------


def test_nobody_there_is_said_with_the_speeds_that_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_desk, "ANSWER_NS", 20_000_000)
    with (
        PseudoTerminal() as line,
        pytest.raises(ReaderError, match=r"no thingmagic reader answers \(tried 115200, 9600"),
    ):
        run("diff", "m6e-nano-fcc", "--port", line.address)


def test_a_port_that_the_mat_holds_is_said() -> None:
    with simulated("thingmagic") as at:
        held = Port(at.port, 115_200, SystemClock())
        try:
            with pytest.raises(PortRefused, match="stop timing-mat first"):
                run("diff", "m6e-nano-fcc", *on(at))
        finally:
            held.close()


def test_the_reader_of_the_configuration_is_meant(tmp_path: Path) -> None:
    config = tmp_path / "mat.toml"
    with simulated("thingmagic") as at:
        head = '[mat]\nevent = "e"\npoint = "p"\nid = "m"\n'
        one = (
            f'[[reader]]\nname = "left"\nprotocol = "thingmagic"\nport = "{at.port}"\nprofile = "m6e-fcc-4-antennas"\n'
        )
        two = '[[reader]]\nname = "right"\nprotocol = "ipico"\nport = "/dev/ttyUSB9"\n'
        config.write_text(head + one)
        assert run("diff", "--config", str(config)).exit_code == 1
        assert run("apply", "--config", str(config), "--yes").exit_code == 0
        assert run("diff", "--config", str(config)).exit_code == 0
        assert 'says = "ThingMagic M6e Micro' in run("dump", "--config", str(config)).stdout
        config.write_text(head + one + two)
        with pytest.raises(UsageError, match="--reader left or --reader right"):
            run("diff", "--config", str(config))
        assert run("diff", "--config", str(config), "--reader", "left").exit_code == 0
        with pytest.raises(UsageError, match="which profile"):
            run("diff", "--config", str(config), "--reader", "right")
        with pytest.raises(UsageError, match="profiles are for these"):
            run("dump", "--config", str(config), "--reader", "right")
        with pytest.raises(TimingMatError, match='the reader is a "ipico"'):
            run("diff", "m6e-nano-fcc", "--config", str(config), "--reader", "right")


def test_a_refused_setting_is_told_and_the_others_are_set(tmp_path: Path) -> None:
    with simulated("thingmagic", antennas=1) as at:  # one port, and the profile names four
        result = run("apply", PROFILES["thingmagic"], *on(at), "--yes")
        assert result.exit_code == 1
        assert "NOT as wanted" in result.stdout
        assert "session" not in differing(at, PROFILES["thingmagic"])


# ---- cut off ---------------------------------------------------------------------------------------------


CUTS = 6  # of the many places, spread over the whole


class CutOff(BaseException):
    """The command is gone from one moment to the next."""


def cut_off_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [writes]
    write = Port.write

    def counted(port: Port, data: bytes) -> None:
        if left[0] == 0:
            raise CutOff
        left[0] -= 1
        write(port, data)

    monkeypatch.setattr(Port, "write", counted)


@pytest.mark.parametrize("family", MOSTLY_ONE)
def test_cut_off_at_any_write_and_run_again_it_ends_as_wanted(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = PROFILES[family]
    with simulated(family, baud=9600) as at:
        run("apply", name, *on(at), "--yes")
        total = len(at.heard)
    for writes in range(1, total, max(1, total // CUTS)):
        with simulated(family, baud=9600) as at:
            with monkeypatch.context() as patched:
                cut_off_after(writes, patched)
                with pytest.raises(CutOff):
                    run("apply", name, *on(at), "--yes")
            result = run("apply", name, "--port", at.port, "--baud", "9600", "--yes")
            assert result.exit_code == 0, (writes, result.output)
            assert differing(at, name) == []


def is_over(at: Simulated, commands: int, process: subprocess.Popen[bytes]) -> bool:
    return len(at.heard) >= commands or process.poll() is not None


@pytest.mark.long
@pytest.mark.parametrize("family", HERE)
def test_killed_at_every_command_and_run_again_it_ends_as_wanted(family: str, tmp_path: Path) -> None:
    """SIGKILL, at the speed of the line as it is; every speed that the line is left at is found again."""
    name = PROFILES[family]
    says = "from reader.cli.profile import app; app()"
    with simulated(family, baud=9600) as at:
        run("apply", name, *on(at), "--yes")
        total = len(at.heard)
    for commands in range(1, total + 1):
        with simulated(family, baud=9600) as at:
            arguments = [sys.executable, "-c", says, "apply", name, *on(at), "--yes"]
            process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(partial(is_over, at, commands, process), what=f"command {commands}")
            process.kill()  # it may have come to its end by itself
            process.wait()
            result = run("apply", name, "--port", at.port, "--baud", "9600", "--yes")
            assert result.exit_code == 0, (commands, result.output)
            assert differing(at, name) == []
