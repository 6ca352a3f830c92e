"""The panel of the real daemon, on pins that write down what is done with them."""

from __future__ import annotations

import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reader.box.control import ask
from reader.model import NS_PER_S
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.fakes.pins import Wiring, install
from tests.ipico import record
from tests.run import told
from tests.waiting import wait_until

READY, UPLINK, READ, FAULT, BUZZER, GUN, BUTTON = 17, 27, 22, 23, 24, 5, 6
MAT = f"""
[mat]
event = "race"
point = "start"
id = "start-main"
use = "start"
[[reader]]
protocol = "ipico"
port = "{{port}}"
baud = 115200
[mqtt]
port = 1
[panel]
ready_led = {READY}
uplink_led = {UPLINK}
read_led = {READ}
fault_led = {FAULT}
buzzer = {BUZZER}
gun = {GUN}
button = {BUTTON}
"""


@pytest.fixture
def wiring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Wiring:
    return install(monkeypatch, tmp_path / "pins")


def identify(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "identify", *arguments, "--config", str(daemon.config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def is_steady(wiring: Wiring, pin: int) -> bool:
    """Lit, and for longer than any blink."""
    return wiring.is_lit(pin) and time.monotonic_ns() - wiring.lit(pin)[-1].mono_ns > NS_PER_S // 2


def test_it_shows_how_the_mat_stands(wiring: Wiring, tmp_path: Path) -> None:
    link = tmp_path / "reader"
    with Line(link) as line, Daemon(tmp_path, MAT.format(port=link)) as daemon:
        daemon.wait_for_recording()
        wait_until(lambda: is_steady(wiring, READY), what="a steady ready light")
        assert not wiring.lit(UPLINK)  # no broker
        assert not wiring.lit(READ)
        line.send(record("058003E70E35", datetime.now(UTC)))  # at a start, where `heard` is not told
        wait_until(lambda: len(wiring.lit(BUZZER)) == len(wiring.lit(READ)) == 2, what="a beep and a flash")
        wiring.say(f"{GUN} 0")
        wait_until(lambda: told(daemon.journal).guns, what="the gun")
        wiring.say(f"{BUTTON} 0")
        threading.Event().wait(0.1)  # a finger, not synchronisation
        wiring.say(f"{BUTTON} 1")
        wait_until(lambda: told(daemon.journal).markers, what="the marker")
        shown = identify(daemon, "--for-s", "1")
        assert shown.stdout == "the box shows itself by uplink_led, read_led, fault_led, buzzer, for 1 second\n"
        wait_until(lambda: wiring.lit(UPLINK), what="all lights")
        refused = identify(daemon, "--light", "fault_led")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "in mode race" in refused.stderr
        assert is_steady(wiring, READY)
        changed = len(wiring.lit(READY))
        line.unplug()
        wait_until(lambda: len(wiring.lit(READY)) > changed + 6, what="a ready light that blinks")
        assert daemon.stop() == 0
    assert not any(wiring.is_lit(pin) for pin in (READY, UPLINK, READ, FAULT, BUZZER))


@pytest.mark.long
def test_the_button_held_for_eight_seconds_has_the_report_published(
    wiring: Wiring, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    link = tmp_path / "reader"
    text = MAT.format(port=link).replace("port = 1\n", f"port = {mosquitto.port}\n")
    with (
        Line(link),
        Subscriber(mosquitto.port, "timing/race/#") as control,
        Daemon(tmp_path, text) as daemon,
    ):
        daemon.wait_for_recording()
        wait_until(lambda: is_steady(wiring, READY), what="a steady ready light")
        wiring.say(f"{BUTTON} 0")
        pressed_s = time.monotonic()
        [report] = control.wait_for("/selftest")
        assert time.monotonic() - pressed_s > 8
        wiring.say(f"{BUTTON} 1")
        said = message(report.payload)
        found = {one["name"]: one for one in said["checks"]}
        assert found["return-loss"]["result"] == found["test-chip"]["result"] == "skip"  # it is a race
        assert found["gun-input"]["result"] == "pass"
        assert is_steady(wiring, READY)
        beeps = 2 + {"pass": 1, "warn": 2, "fail": 5}[said["verdict"]]  # at 3 s, at 8 s, and how it went
        wait_until(lambda: len(wiring.lit(BUZZER)) == 2 * beeps, what="the verdict by the buzzer")
        assert daemon.status()["parts"]["daemon"]["word"] == "ok"
        ask(daemon.control, {"do": "mark"})
        wait_until(lambda: told(daemon.journal).markers, what="the marker of the command")
        assert len(told(daemon.journal).markers) == 1  # and none of the button


@pytest.mark.long
def test_it_goes_on_when_the_box_becomes_another_mat(wiring: Wiring, tmp_path: Path) -> None:
    link = tmp_path / "reader"
    with Line(link) as line, Daemon(tmp_path, MAT.format(port=link)) as daemon:
        daemon.wait_for_recording()
        wait_until(lambda: is_steady(wiring, READY), what="a steady ready light")
        changed = len(wiring.lit(READY))
        assigned = ask(daemon.control, {"do": "assign", "event": "race", "point": "half", "mat": "half-main"})
        assert assigned["ok"]
        wait_until(lambda: len(wiring.lit(READY)) > changed, what="a ready light that went off")
        wait_until(lambda: is_steady(wiring, READY), what="a steady ready light again")
        assert daemon.status()["parts"]["daemon"]["word"] == "ok"
        line.send(record("058003E70E35", datetime.now(UTC)))
        wait_until(lambda: len(wiring.lit(BUZZER)) == 2, what="a beep")
        wiring.say(f"{GUN} 0")
        wait_until(lambda: told(daemon.journal).guns, what="the gun")


@pytest.mark.long
def test_lights_that_hang_cost_no_read_no_gun_and_no_end(wiring: Wiring, tmp_path: Path) -> None:
    link = tmp_path / "reader"
    with Line(link) as line, Daemon(tmp_path, MAT.format(port=link)) as daemon:
        daemon.wait_for_recording()
        wait_until(lambda: wiring.is_lit(READY), what="the ready light")
        wiring.say("hang")
        wait_until(lambda: "lights of the panel hang" in daemon.status()["parts"]["daemon"]["says"], 30, "a word on it")
        assert daemon.status()["recording"]
        line.send(record("058003E70E35", datetime.now(UTC)))
        wait_until(lambda: told(daemon.journal).splits, what="the split")
        wiring.say(f"{GUN} 0")
        wait_until(lambda: told(daemon.journal).guns, what="the gun")
        began_s = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began_s < 10
