"""Finding the reader, on real pseudo-terminals at the right speed or none: the command, and the real daemon."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Event

import pytest
import typer
from typer.testing import CliRunner

from reader.cli.probe import probe
from reader.clock import SystemClock
from reader.config import loads
from reader.errors import ReaderError
from reader.line.auto import probe_port
from reader.line.port import Port
from reader.line.probe import Found, Probe
from reader.line.protocols import FAMILIES
from reader.simulator.line import PseudoTerminal
from reader.simulator.play import play
from reader.simulator.race import made_race
from tests.broker import Mosquitto
from tests.daemon import COMMAND, Daemon, Line
from tests.ipico import record_of
from tests.waiting import wait_until

LIMIT_S = 15.0
FOUND_WITHIN_S = 40.0  # under load; some 15 s of it are the search
BACK_WITHIN_S = 2.0

ASKED = [family for family in FAMILIES if family.question]
APP = typer.Typer()
APP.command()(probe)


@contextmanager
def reader_at(name: str, baud: int, link: Path) -> Iterator[None]:
    """A simulated reader without a runner, on a line that garbles at another speed than its own."""
    module = import_module(f"reader.simulator.{name}")
    stop = Event()
    with PseudoTerminal(link) as line, ThreadPoolExecutor(1) as pool:
        race = made_race(1, 1.0, SystemClock().now().utc_ns + 3600 * 10**9, module.chip_from_number, 1)
        reader = module.make_reader(baud=baud)
        playing = pool.submit(play, race, reader, line, is_strict=True, linger_s=300, stop=stop)
        try:
            yield
            assert not playing.done(), playing.exception()
        finally:
            stop.set()


def found_on(link: Path) -> Found | None:
    search = Probe()
    port = Port(str(link), search.baud, SystemClock())
    try:
        return probe_port(port, search, SystemClock())
    finally:
        port.close()


@pytest.mark.long
@pytest.mark.parametrize(("name", "baud"), [(family.name, baud) for family in ASKED for baud in family.bauds])
def test_each_family_is_found_at_each_of_its_speeds(tmp_path: Path, name: str, baud: int) -> None:
    assert_is_found(tmp_path, name, baud)


def assert_is_found(tmp_path: Path, name: str, baud: int) -> None:
    link = tmp_path / "line"
    with reader_at(name, baud, link):
        began_s = time.monotonic()
        found = found_on(link)
        took_s = time.monotonic() - began_s
    assert found is not None
    assert (found.family.name, found.baud) == (name, baud)
    assert took_s < LIMIT_S


@pytest.mark.parametrize("name", ["ipico", "thingmagic"])
def test_the_command_says_what_it_is_and_what_to_write_into_the_file(tmp_path: Path, name: str) -> None:
    link = tmp_path / "line"
    with reader_at(name, 115_200, link):
        ran = CliRunner().invoke(APP, [str(link), "--baud", "115200", "--json"])
        shown = CliRunner().invoke(APP, [str(link), "--baud", "115200"])
    assert ran.exit_code == shown.exit_code == 0
    said = json.loads(ran.stdout)
    assert (said["family"], said["baud"], said["port"]) == (name, 115_200, str(link))
    table = shown.stdout.partition("[[reader]]")[2]
    for text in (said["toml"], f"[[reader]]{table}"):
        (reader,) = loads(f'[mat]\nevent = "e"\npoint = "p"\nid = "m"\n{text}', "test").readers
        assert (reader.protocol, reader.port, reader.baud) == (name, str(link), 115_200)


@pytest.mark.long
def test_a_dead_line_is_an_error_with_4_in_time_that_says_what_was_tried(tmp_path: Path) -> None:
    with Line(tmp_path / "line") as line:
        began_s = time.monotonic()
        ran = CliRunner().invoke(APP, [str(line.link)])
        assert time.monotonic() - began_s < LIMIT_S
    assert isinstance(ran.exception, ReaderError)
    assert ran.exception.exit_code == 4
    for word in ("115200 baud: asked", "thingmagic", "nothing came", "power", "TX", "other program"):
        assert word in str(ran.exception)


def test_a_port_that_is_not_there_is_an_error_with_4(tmp_path: Path) -> None:
    ran = CliRunner().invoke(APP, [str(tmp_path / "nothing")])
    assert isinstance(ran.exception, ReaderError)
    assert "plug the reader in" in str(ran.exception)


# ---- the daemon --------------------------------------------------------------------------------------------


def config(mosquitto: Mosquitto, tmp_path: Path) -> str:
    return f"""
        [mat]
        event = "probe"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "auto"
        port = "{tmp_path}/line"
        [mqtt]
        port = {mosquitto.port}
    """


@contextmanager
def simulated(tmp_path: Path, name: str, baud: int) -> Iterator[None]:
    """A reader that has nothing to report for a long time, in a process of its own."""
    command = [
        *(COMMAND, "simulate", "--protocol", name, "--link", f"{tmp_path}/line", "--baud", str(baud)),
        *("--strict-baud", "--runners", "1", "--minutes", "0.01", "--linger", "300"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
        try:
            assert reader.stdout is not None
            reader.stdout.readline()
            yield
        finally:
            reader.kill()


def memory_of(daemon: Daemon) -> dict[str, dict[str, object]]:
    path = daemon.folder / "state" / "found.json"
    try:
        known: dict[str, dict[str, object]] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return known


@pytest.mark.parametrize(("name", "baud"), [pytest.param("thingmagic", 9600, marks=pytest.mark.long), ("ipico", 38400)])
def test_it_finds_its_reader_and_after_a_restart_records_again_at_once(
    tmp_path: Path, mosquitto: Mosquitto, name: str, baud: int
) -> None:
    with simulated(tmp_path, name, baud), Daemon(tmp_path, config(mosquitto, tmp_path)) as daemon:
        daemon.wait_for_recording(FOUND_WITHIN_S)
        wait_until(lambda: memory_of(daemon), what="the memory of it")
        assert memory_of(daemon) == {"main": {"port": f"{tmp_path}/line", "family": name, "baud": baud}}
        daemon.kill()
        daemon.start()  # it answers; the time it takes to load is the machine's
        began_s = time.monotonic()
        daemon.wait_for_recording()
        # The goal is 2 s; a search takes longer than twice that on any machine.
        assert time.monotonic() - began_s < 2 * BACK_WITHIN_S
        # It has shown itself, for it is not doubted when its time to do so is over.
        uptime_s = daemon.status()["uptime_s"]
        wait_until(lambda: daemon.status()["uptime_s"] >= uptime_s + 4, what="four seconds")
        assert daemon.status()["recording"]
        assert daemon.stop() == 0


@pytest.mark.long
def test_a_wrong_memory_costs_a_few_seconds(tmp_path: Path, mosquitto: Mosquitto) -> None:
    (tmp_path / "state").mkdir()
    wrong = {"main": {"port": f"{tmp_path}/line", "family": "thingmagic", "baud": 115_200}}
    (tmp_path / "state" / "found.json").write_text(json.dumps(wrong))
    with simulated(tmp_path, "ipico", 9600), Daemon(tmp_path, config(mosquitto, tmp_path)) as daemon:
        daemon.wait_for_recording(FOUND_WITHIN_S)
        wait_until(lambda: memory_of(daemon)["main"]["family"] == "ipico", what="the right memory")
        assert memory_of(daemon)["main"]["baud"] == 9600
        assert daemon.stop() == 0


def test_the_reads_that_prove_a_family_are_not_lost(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with Line(tmp_path / "line") as line, Daemon(tmp_path, config(mosquitto, tmp_path)) as daemon:
        wait_until(lambda: "looking for" in daemon.status()["parts"]["reader:main"]["says"], what="the search")
        line.write(record_of(1, 0) + record_of(2, 0))
        wait_until(lambda: daemon.status()["counts"]["chips"] == 2, what="both chips")
        assert daemon.status()["recording"]
        assert daemon.stop() == 0
