"""When a mat could hear: antennas lost and deaf, readers silent, hot and restarted, the power cut; all of it real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.ipico import record
from tests.waiting import wait_until

FOUR_ANTENNAS = 'profile = "m6e-fcc-4-antennas"'  # by which the module tells which are connected
ANSWER = b"ab000902260306051855443727cf\r\n"
DOWN_WITHIN_S = 45.0


def config(mosquitto: Mosquitto, tmp_path: Path, protocol: str, more: str = "") -> str:
    return f"""
        [mat]
        event = "readers"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "{protocol}"
        port = "{tmp_path}/line"
        baud = 115200
        {more}
        [mqtt]
        port = {mosquitto.port}
    """


def covered(subscriber: Subscriber) -> list[tuple[int | None, str]]:
    return [(one["antenna"], one["hearing"]) for one in entries(subscriber)]


def entries(subscriber: Subscriber) -> list[dict[str, Any]]:
    """Each once, in the order of the log: after a kill the last ones come again."""
    by_seq = {one["seq"]: one for one in (message(one.payload) for one in subscriber.on("/coverage"))}
    return [by_seq[seq] for seq in sorted(by_seq)]


def antenna_states(daemon: Daemon) -> dict[int, str]:
    return {one["antenna"]: one["state"] for one in daemon.status()["antennas"]}


@contextmanager
def four_antennas(tmp_path: Path, *faults: str, runners: int = 900) -> Iterator[None]:
    """A ThingMagic with four antennas under a crowd, for a minute and a half."""
    simulate = [
        *(COMMAND, "simulate", "--protocol", "thingmagic", "--link", f"{tmp_path}/line", "--antennas", "4"),
        *("--runners", str(runners), "--minutes", "1.5", "--wait", "--linger", "60", "--seed", "7"),
        *(argument for fault in faults for argument in ("--fault", fault)),
    ]
    with subprocess.Popen(simulate, stdout=subprocess.DEVNULL) as reader:
        try:
            wait_until((tmp_path / "line").exists, 20, "the line")
            yield
        finally:
            reader.terminate()


@pytest.mark.long
def test_an_antenna_that_is_pulled_off_and_put_back_is_told_and_the_reader_is_partial_meanwhile(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    text = config(mosquitto, tmp_path, "thingmagic", FOUR_ANTENNAS)
    with (
        four_antennas(tmp_path, "antenna-off@6", "antenna-off@20"),
        Subscriber(mosquitto.port, "timing/readers/#") as subscriber,
        Daemon(tmp_path, text) as daemon,
    ):
        daemon.wait_for_recording()
        wait_until(lambda: (1, "down") in covered(subscriber), 30, "the word of the antenna")
        wait_until(lambda: antenna_states(daemon).get(1) == "missing", 5, "the status")
        part = daemon.status()["parts"]["reader:main"]
        assert part["word"] == "warn"
        assert "antenna 1 is missing" in part["says"]
        assert daemon.status()["recording"]
        wait_until(lambda: (1, "up") in covered(subscriber), 40, "its return")
        wait_until(lambda: covered(subscriber)[-1:] == [(None, "up")], 30, "all of it")
        assert covered(subscriber) == [(None, "up"), (1, "down"), (None, "partial"), (1, "up"), (None, "up")]
        assert entries(subscriber)[1]["since"] < entries(subscriber)[1]["time"]
        assert daemon.stop() == 0


@pytest.mark.long
def test_an_antenna_that_hears_a_twentieth_of_what_the_others_hear_is_told(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    text = config(mosquitto, tmp_path, "thingmagic")
    with (
        four_antennas(tmp_path, "deaf@0"),
        Subscriber(mosquitto.port, "timing/readers/#") as subscriber,
        Daemon(tmp_path, text) as daemon,
    ):
        daemon.wait_for_recording()
        wait_until(lambda: covered(subscriber)[-1:] == [(None, "partial")], 60, "the word of it")
        assert covered(subscriber) == [(None, "up"), (1, "down"), (None, "partial")]
        assert "antenna 1 hears" in entries(subscriber)[1]["reason"]
        wait_until(lambda: antenna_states(daemon) == {1: "deaf", 2: "up", 3: "up", 4: "up"}, 5, "the status")
        # The daemon dies and is begun again: nothing that the log has is told twice.
        daemon.kill()
        daemon.start()
        wait_until(lambda: len(covered(subscriber)) >= 5, 30, "the restart")
        wait_until(lambda: antenna_states(daemon).get(2) == "up", 30, "the reader")
        daemon.wait_for_delivery()
        assert covered(subscriber)[3:5] == [(None, "down"), (None, "partial")]
        assert daemon.stop() == 0


@pytest.mark.long
def test_a_reader_too_hot_hears_less_and_says_so(tmp_path: Path, mosquitto: Mosquitto) -> None:
    text = config(mosquitto, tmp_path, "thingmagic")
    with (
        four_antennas(tmp_path, "hot@4", "hot@12"),
        Subscriber(mosquitto.port, "timing/readers/#") as subscriber,
        Daemon(tmp_path, text),
    ):
        expected = [(None, "up"), (None, "partial"), (None, "up")]
        wait_until(lambda: covered(subscriber) == expected, 60, "hot, and cool again")
        assert "hot" in entries(subscriber)[1]["reason"]


def test_a_reader_that_restarts_is_down_and_up_with_the_reason(tmp_path: Path, mosquitto: Mosquitto) -> None:
    text = config(mosquitto, tmp_path, "thingmagic")
    with (
        four_antennas(tmp_path, "reboot@3"),
        Subscriber(mosquitto.port, "timing/readers/#") as subscriber,
        Daemon(tmp_path, text),
    ):
        expected = [(None, "up"), (None, "down"), (None, "up")]
        wait_until(lambda: covered(subscriber)[-3:] == expected, 30, "up, down, up")
        assert "has restarted by itself" in entries(subscriber)[-2]["reason"]


@pytest.mark.long
def test_an_ipico_that_had_answered_and_falls_silent_is_down_within_forty_five_seconds(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    text = config(mosquitto, tmp_path, "ipico", "[gate]\nquiet_s = 0.2")
    with (
        Line(tmp_path / "line") as line,
        Subscriber(mosquitto.port, "timing/readers/#") as subscriber,
        Daemon(tmp_path, text) as daemon,
    ):
        for _ in range(3):
            wait_until(lambda: line.read(0.5), 15, "the question")
            line.send(ANSWER)
        wait_until(lambda: "answers when asked" in daemon.status()["parts"]["reader:main"]["says"], 5, "its answer")
        assert covered(subscriber) == [(None, "up")]
        wait_until(lambda: covered(subscriber)[-1:] == [(None, "down")], DOWN_WITHIN_S, "its silence")
        status = daemon.status()
        assert status["parts"]["reader:main"]["word"] == "fail"
        assert not status["recording"]
        assert "ceased to answer" in entries(subscriber)[-1]["reason"]
        assert entries(subscriber)[-1]["since"] < entries(subscriber)[-1]["time"]
        line.write(record("058000012345", datetime.now(UTC)))
        subscriber.wait_for("/split")
        assert covered(subscriber) == [(None, "up"), (None, "down"), (None, "up")]
        assert daemon.stop() == 0


@pytest.mark.long
def test_a_chip_fixed_to_the_mat_is_no_split_and_is_missed_when_nothing_is_heard(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    text = config(mosquitto, tmp_path, "ipico", '[chips]\nreference = ["0580000000FF"]')
    with Line(tmp_path / "line") as line, Daemon(tmp_path, text) as daemon:
        daemon.wait_for_recording()
        line.write(record("0580000000FF", datetime.now(UTC)))

        def antenna() -> dict[str, Any]:
            [one] = daemon.status()["antennas"] or [{"reads_60s": 0}]
            return dict(one)

        wait_until(lambda: antenna()["reads_60s"] == 1, 10, "the read")
        assert antenna()["chips_60s"] == daemon.status()["counts"]["chips"] == 0

        def says() -> str:
            return str(daemon.status()["parts"]["reader:main"]["says"])

        assert "reference" not in says()
        wait_until(lambda: "reference chip 0580000000FF is not heard" in says(), 30, "the warning")
        assert daemon.status()["parts"]["reader:main"]["word"] == "warn"
        line.write(record("0580000000FF", datetime.now(UTC)))
        wait_until(lambda: "reference" not in says(), 10, "its end")
        assert daemon.stop() == 0


ANOTHER_BOOT = """
import sys
from pathlib import Path
from reader.clock import SystemClock
from reader.config import load
from reader.serving import serve

clock = SystemClock()
clock.boot = Path({boot!r}).read_text()
serve(load(Path(sys.argv[2])), clock=clock)
"""


def test_a_power_cut_is_told_from_the_last_that_is_known_to_the_next_start(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    boot = tmp_path / "boot"
    boot.write_text("boot-a")
    program = (sys.executable, "-c", ANOTHER_BOOT.format(boot=str(boot)))
    text = config(mosquitto, tmp_path, "ipico", "[gate]\nquiet_s = 0.2")
    with (
        Line(tmp_path / "line") as line,
        Subscriber(mosquitto.port, "timing/readers/#") as subscriber,
        Daemon(tmp_path, text, program=program) as daemon,
    ):
        daemon.wait_for_recording()
        line.write(record("058000012345", datetime.now(UTC)))
        subscriber.wait_for("/split")
        daemon.kill()
        boot.write_text("boot-b")
        daemon.start()
        wait_until(lambda: len(covered(subscriber)) == 3, 20, "the next start")
        assert covered(subscriber) == [(None, "up"), (None, "down"), (None, "up")]
        down = entries(subscriber)[1]
        assert down["boot"] == "boot-b"
        assert "(last known to hear) and" in down["reason"]
        assert "(timing began again)" in down["reason"]
        assert daemon.stop() == 0
