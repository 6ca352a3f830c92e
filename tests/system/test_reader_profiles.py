"""The daemon and the profiles of its readers: what is set at every start, and what is said when it can't be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto
from tests.daemon import COMMAND, Daemon
from tests.waiting import wait_until


def config(mosquitto: Mosquitto, tmp_path: Path, protocol: str, more: str) -> str:
    return f"""
        [mat]
        event = "profiles"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "{protocol}"
        port = "{tmp_path}/line"
        {more}
        [mqtt]
        port = {mosquitto.port}
    """


@contextmanager
def simulated(tmp_path: Path, protocol: str, *arguments: str) -> Iterator[None]:
    """A reader on the line, with runners at a pace that lets it be set up."""
    simulate = [
        *(COMMAND, "simulate", "--protocol", protocol, "--link", f"{tmp_path}/line", "--runners", "600"),
        *("--minutes", "2", *arguments),
    ]
    with subprocess.Popen(simulate, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
        try:
            yield
        finally:
            reader.terminate()


def said(daemon: Daemon) -> str:
    part: dict[str, str] = daemon.status()["parts"]["reader:main"]
    return part["says"]


def test_what_a_module_forgets_is_set_at_every_start_and_after_a_restart(tmp_path: Path, mosquitto: Mosquitto) -> None:
    text = config(mosquitto, tmp_path, "thingmagic", 'profile = "m6e-nano-fcc"')
    with (
        simulated(tmp_path, "thingmagic", "--region", "0", "--fault", "reboot@4"),
        Daemon(tmp_path, text) as daemon,
    ):
        wait_until(lambda: "as the profile m6e-nano-fcc has it" in said(daemon), what="the region of the profile")
        daemon.wait_for_recording()
        wait_until(lambda: "has restarted" in said(daemon), 20, "the restart to be told")
        wait_until(lambda: "as the profile m6e-nano-fcc has it" in said(daemon), what="the region again")
        assert daemon.stop() == 0


@pytest.mark.parametrize("family", ["a0", pytest.param("uhfreader", marks=pytest.mark.long)])
def test_another_region_in_flash_than_the_profiles_is_not_transmitted_in(
    tmp_path: Path, mosquitto: Mosquitto, family: str
) -> None:
    text = config(mosquitto, tmp_path, family, f'profile = "{family}-etsi"')
    with simulated(tmp_path, family), Daemon(tmp_path, text) as daemon:
        wait_until(lambda: "not transmitting" in said(daemon), what="the word about it")
        assert "timing-mat profile apply" in said(daemon)
        status = daemon.status()
        assert status["parts"]["reader:main"]["word"] == "fail"
        assert not status["recording"]
        assert status["counts"]["reads"] == 0
        # Allowed to write flash, it is put right without a hand.
        assert daemon.stop() == 0
        daemon.config.write_text(daemon.config.read_text().replace("profile =", 'apply_profile = "all"\nprofile ='))
        daemon.start()
        daemon.wait_for_recording()
        assert daemon.stop() == 0


def test_a_profile_that_is_not_there_is_a_mistake_and_stops_no_race(tmp_path: Path, mosquitto: Mosquitto) -> None:
    text = config(mosquitto, tmp_path, "thingmagic", 'profile = "m6e-nano-fc"')
    daemon = Daemon(tmp_path, text, "--keep-going")
    for command in (["run"], ["config", "check"]):
        result = subprocess.run(
            [COMMAND, *command, "--config", str(daemon.config)], capture_output=True, text=True, timeout=30, check=False
        )
        assert result.returncode == 3
        assert "m6e-nano-fcc" in result.stderr
        assert "Traceback" not in result.stderr
    with simulated(tmp_path, "thingmagic"), daemon:
        daemon.wait_for_recording()
        part = daemon.status()["parts"]["config"]
        assert part["word"] == "fail"
        assert "the profile of reader main is not used" in part["says"]
        assert daemon.stop() == 0


def test_a_profile_of_another_family_is_a_mistake(tmp_path: Path, mosquitto: Mosquitto) -> None:
    daemon = Daemon(tmp_path, config(mosquitto, tmp_path, "m100", 'profile = "a0-fcc"'))
    result = subprocess.run(
        [COMMAND, "run", "--config", str(daemon.config)], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 3
    assert "its profile is for a0" in result.stderr


@pytest.mark.parametrize(
    "family", ["a0", *(pytest.param(one, marks=pytest.mark.long) for one in ("thingmagic", "uhfreader"))]
)
def test_the_revisit_time_of_four_antennas_is_in_the_status(tmp_path: Path, mosquitto: Mosquitto, family: str) -> None:
    def revisits() -> list[Any]:
        return [antenna["revisit_ms"] for antenna in daemon.status()["antennas"]]

    with (
        simulated(tmp_path, family, "--antennas", "4"),
        Daemon(tmp_path, config(mosquitto, tmp_path, family, "")) as daemon,
    ):
        wait_until(lambda: len(revisits()) == 4 and None not in revisits(), 30, "four revisit times")
        print(f"{family}: {revisits()} ms")
        assert all(revisit > 0 for revisit in revisits())
        assert daemon.stop() == 0
