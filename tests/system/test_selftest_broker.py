"""The checks of the broker in the real daemon, whose own connection goes on as if nobody had come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reader.box.control import ask_for_pages
from tests.broker import Mosquitto, Subscriber
from tests.daemon import Daemon, Line, message
from tests.ipico import record
from tests.secured import SecuredMosquitto, issue_to_broker, make_authority
from tests.waiting import wait_until

MAT = "finish-main"


def text(line: Path, mqtt: str, mat: str = MAT) -> str:
    return f"""
        [mat]
        event = "chicago-2023"
        point = "finish"
        id = "{mat}"
        [[reader]]
        protocol = "ipico"
        port = "{line}"
        time_from = "reader"
        [gate]
        pick = "first"
        [mqtt]
        {mqtt}
    """


def checks(daemon: Daemon, *names: str) -> dict[str, dict[str, Any]]:
    """What a self-test of only these finds, by name."""
    (report,) = ask_for_pages(daemon.control, {"do": "selftest", "checks": list(names)}, 60)
    assert report["ok"], report
    return {check["name"]: check for check in report["checks"]}


def broker_says(daemon: Daemon) -> str:
    return str(daemon.status()["parts"]["broker"]["says"])


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with Line(tmp_path / "line") as line:
        yield line


def test_all_of_them_are_made_beside_the_daemon_s_connection(tmp_path: Path, line: Line, mosquitto: Mosquitto) -> None:
    with (
        Subscriber(mosquitto.port, "timing/#") as listener,
        Daemon(tmp_path, text(line.link, f"port = {mosquitto.port}")) as daemon,
    ):
        daemon.wait_for_recording()
        daemon.wait_for_delivery()
        before = message(listener.wait_for("/link")[-1].payload)["connection"]
        found = checks(daemon)
        ours = {name: check["result"] for name, check in found.items() if name.startswith(("broker", "collectors"))}
        assert ours == {
            "broker-reach": "pass",
            "broker-tls": "skip",
            "broker-account": "skip",
            "broker-version": "pass",
            "broker-round-trip": "pass",
            "broker-access:own": "pass",
            "broker-access:command": "warn",
            "broker-listener": "pass",
            "collectors": "skip",
        }
        line.write(record("058000000001", datetime.now(UTC)))
        listener.wait_for("/split")
        links = [message(received.payload) for received in listener.on("/link")]
        assert {link["connection"] for link in links} == {before}
        assert len(listener.on("/split")) == 1


def test_a_split_that_nobody_hears_is_known_from_the_daemon(tmp_path: Path, line: Line, mosquitto: Mosquitto) -> None:
    with Daemon(tmp_path, text(line.link, f"port = {mosquitto.port}")) as daemon:
        daemon.wait_for_recording()
        line.write(record("058000000001", datetime.now(UTC)))
        wait_until(lambda: "nobody is listening for the splits" in broker_says(daemon), 20, "that word")
        found = checks(daemon, "broker-listener")["broker-listener"]
        assert found["result"] == "warn"
        assert "nobody is listening for the splits of chicago-2023/finish/finish-main" in found["says"]


def test_a_split_that_is_refused_is_known_from_the_daemon(tmp_path: Path, line: Line) -> None:
    race = tmp_path / "race"
    race.mkdir()
    make_authority(race)
    issue_to_broker(race, "IP:127.0.0.1")
    with SecuredMosquitto(race) as broker:
        mqtt = f"""port = {broker.port}
            username = "{MAT}"
            password_file = "{race / f"{MAT}.password"}"
            ca_file = "{race / "ca.pem"}"
        """
        with Daemon(tmp_path, text(line.link, mqtt, "impostor")) as daemon:
            daemon.wait_for_recording()
            line.write(record("058000000001", datetime.now(UTC)))
            wait_until(lambda: "the broker refuses" in broker_says(daemon), 20, "that word")
            found = checks(daemon, "broker-access", "broker-round-trip", "broker-tls")
            assert {name: check["result"] for name, check in found.items()} == {
                "broker-tls": "warn",  # made for two days
                "broker-round-trip": "warn",
                "broker-access:own": "fail",
                "broker-access:command": "pass",
            }
            assert "the broker refuses" in found["broker-access:own"]["says"]
