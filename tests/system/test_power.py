"""The supply of a real daemon on a made-up box: its status, against what race control expects, and a real broker."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import Daemon, Line, message
from tests.fakes.box import Box
from tests.system.crossing import cross
from tests.system.test_copy import Stick
from tests.waiting import wait_until

PLACE = "timing/race/finish/finish-main"
MAT = """
[mat]
event = "race"
point = "finish"
id = "finish-main"
[[reader]]
protocol = "ipico"
port = "{port}"
[mqtt]
port = {broker}
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """As the processes of this test see it."""
    box = Box(tmp_path / "box")
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    return box


def expect(hours: float) -> bytes:
    now = datetime.now(UTC)
    last_runner_at = (now + timedelta(hours=hours)).isoformat()
    return json.dumps({"count": 12, "as_of": now.isoformat(), "last_runner_at": last_runner_at}).encode()


def power(daemon: Daemon) -> tuple[dict[str, Any], dict[str, Any]]:
    status = daemon.status()
    return status["parts"]["power"], status["power"]


def test_a_battery_that_will_not_last_until_the_last_runner_is_a_warning(
    tmp_path: Path, mosquitto: Mosquitto, box: Box
) -> None:
    box.battery(percent=62, volts=12.1, charge_ah=6.2, amps=-2.0)
    box.throttled(0)
    box.temperature(48)
    link = tmp_path / "line"
    text = MAT.format(port=link, broker=mosquitto.port)
    with (
        Line(link),
        Subscriber(mosquitto.port, f"{PLACE}/status") as subscriber,
        Daemon(tmp_path, text) as daemon,
    ):
        wait_until(lambda: power(daemon)[1]["hours_left"], what="the first look")
        part, figures = power(daemon)
        assert part == {
            "word": "ok",
            "says": "on battery, 62 %, 12.1 V; the battery lasts some 3.1 hours by its charge; no under-voltage; "
            "the CPU is at 48 °C",
        }
        assert figures == {"volts": 12.1, "percent": 62, "hours_left": 3.1, "hours_needed": None, "failing": False}
        subscriber.say(f"{PLACE}/expect", expect(4.5), retain=True)
        wait_until(lambda: power(daemon)[0]["word"] == "warn", what="the warning")
        part, figures = power(daemon)
        assert (
            "lasts some 3.1 hours by its charge, the last runner is expected in 4.5 hours: bring another"
            in part["says"]
        )
        assert figures["hours_needed"] == pytest.approx(4.5, abs=0.02)
        # At a change of a word, and not only every ten seconds.
        told = wait_until(lambda: [one for one in map(payload, subscriber.on("/status")) if is_warned(one)], 3, "it")
        assert told[0]["power"]["hours_left"] == 3.1
        subscriber.say(f"{PLACE}/expect", expect(2.0), retain=True)
        wait_until(lambda: power(daemon)[0]["word"] == "ok", what="that it lasts")


def payload(received: Any) -> dict[str, Any]:
    return message(received.payload)


def is_failing(received: Any) -> bool:
    return bool(payload(received)["power"]["failing"])


def chips_on(usb: Stick) -> set[str]:
    return {one["chip"] for one in usb.export("entries") if one["type"] == "split"}


def is_warned(status: dict[str, Any]) -> bool:
    return bool(status["parts"]["power"]["word"] == "warn")


@pytest.mark.long
def test_what_changes_is_seen_within_two_looks(tmp_path: Path, box: Box) -> None:
    link = tmp_path / "line"
    with Line(link), Daemon(tmp_path, MAT.format(port=link, broker=1)) as daemon:
        assert power(daemon)[0] == {"word": "unknown", "says": "not measured"}
        box.battery(percent=40, volts=11.4)
        wait_until(lambda: power(daemon)[1]["percent"] == 40, 25, "the battery")
        assert "how long that lasts is not known yet" in power(daemon)[0]["says"]
        box.battery(percent=4, volts=11.0)
        wait_until(lambda: power(daemon)[0]["word"] == "fail", 25, "that it is all but empty")
        box.mains()
        box.battery(percent=4, volts=11.0, status="Charging")
        box.throttled(0x50000)
        wait_until(lambda: "there was under-voltage since" in power(daemon)[0]["says"], 25, "mains")
        assert power(daemon)[0]["says"].startswith("on mains, 4 %, 11.0 V")


POWER_FAIL = """
[panel]
power_fail = 17
"""
# Nothing but a supply that fails makes the second copy be written.
RARELY = "from reader.copying import copier; copier.EVERY_S = 3600; from tests import pins; pins.run()"


@pytest.fixture
def usb(tmp_path: Path) -> Iterator[Stick]:
    usb = Stick(tmp_path / "usb")
    usb.plug_in()
    yield usb
    usb.pull()


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system can be mounted by root only")
def test_a_supply_that_fails_is_on_disk_on_the_stick_and_told_before_it_ends(
    tmp_path: Path, mosquitto: Mosquitto, usb: Stick, box: Box
) -> None:
    box.mains()
    link = tmp_path / "line"
    text = MAT.format(port=link, broker=mosquitto.port) + POWER_FAIL
    daemon = Daemon(tmp_path, text, program=(sys.executable, "-c", RARELY, str(tmp_path), "run"))
    daemon.config.write_text(daemon.config.read_text().replace("[journal]", f'[journal]\ncopy = "{usb.place}"'))
    with Line(link) as line, Subscriber(mosquitto.port, f"{PLACE}/#") as subscriber, daemon:
        daemon.wait_for_recording()
        cross(line, ["05800000AB01"])
        subscriber.wait_for("/split")
        assert usb.export("entries") == []
        closed_s = time.monotonic()
        (tmp_path / "GPIO17").touch()
        failing = wait_until(lambda: [one for one in subscriber.on("/status") if is_failing(one)], 5, "the status")[0]
        [says] = wait_until(lambda: power_notices(subscriber), 5, "the notice")
        assert says == "the supply is failing: timing goes on until the power ends; goodbye"
        part = payload(failing)["parts"]["power"]
        assert part["word"] == "fail"
        assert "Goodbye" in part["says"]
        assert payload(failing)["recording"]
        # A second is what many have; most of it is left to a busy machine here.
        assert failing.at_s - closed_s < 1.0
        assert subscriber.on("/notice")[-1].at_s - closed_s < 1.0
        # Timing goes on, and what it tells is copied with its commit.
        cross(line, ["05800000AB02"])
        wait_until(lambda: {"05800000AB01", "05800000AB02"} <= chips_on(usb), what="both splits on the stick")
        daemon.kill()  # the power ends
    assert [one["says"] for one in usb.export("entries") if one.get("kind") == "power"] == [says]


def test_a_supply_that_comes_back_is_told_and_the_word_is_right_again(
    tmp_path: Path, mosquitto: Mosquitto, box: Box
) -> None:
    box.mains()
    contact = tmp_path / "GPIO17"
    contact.touch()  # it fails before the daemon begins
    link = tmp_path / "line"
    text = MAT.format(port=link, broker=mosquitto.port) + POWER_FAIL
    program = (sys.executable, "-m", "tests.pins", str(tmp_path), "run")
    with (
        Line(link),
        Subscriber(mosquitto.port, f"{PLACE}/#") as subscriber,
        Daemon(tmp_path, text, program=program) as daemon,
    ):
        wait_until(lambda: power(daemon)[1]["failing"], what="that it fails")
        contact.unlink()
        wait_until(lambda: not power(daemon)[1]["failing"], what="that it is back")
        wait_until(lambda: power(daemon)[0]["word"] == "ok", what="its word")
        wait_until(lambda: len(power_notices(subscriber)) == 2, what="the notices")
        assert power_notices(subscriber)[1].startswith("the supply is back after ")


def power_notices(subscriber: Subscriber) -> list[str]:
    return [notice["says"] for notice in map(payload, subscriber.on("/notice")) if notice["kind"] == "power"]
