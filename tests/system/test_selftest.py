"""The self-test of a real daemon, and of a box without one: what it does, what it leaves alone, who hears of it."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reader.box.control import ask, ask_for_pages
from reader.selftest.table import PLANS
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.schemas import faults
from tests.system.crossing import cross
from tests.system.test_reader_profiles import simulated
from tests.terminal import Terminal
from tests.waiting import wait_until

TOPIC = "timing/selftest/finish/mat"
INTERRUPTING = {plan.name for plan in PLANS if plan.interrupts}


class Mat(NamedTuple):
    """A daemon on a line, and race control, which listens to it."""

    daemon: Daemon
    line: Line
    control: Subscriber
    broker: Mosquitto

    def test(self, **asked: Any) -> Generator[dict[str, Any], None, None]:
        """The replies to a self-test, as they come."""
        yield from ask_for_pages(self.daemon.control, {"do": "selftest", "live": True} | asked, 30)

    def begin_test_mode(self) -> None:
        assert ask(self.daemon.control, {"do": "mode", "mode": "test", "by": "ann"})["ok"]


def text_of(tmp_path: Path, broker: Mosquitto, more: str = "") -> str:
    return f"""
        [mat]
        event = "selftest"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        [gate]
        quiet_s = 0.1
        [mqtt]
        port = {broker.port}
        {more}
    """


@pytest.fixture
def mat(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Mat]:
    with (
        Line(tmp_path / "line") as line,
        Subscriber(mosquitto.port, "timing/selftest/#") as control,
        Daemon(tmp_path, text_of(tmp_path, mosquitto)) as daemon,
    ):
        daemon.wait_for_recording()
        wait_until(lambda: daemon.status()["parts"]["broker"]["word"] == "ok", what="the connection")
        yield Mat(daemon, line, control, mosquitto)


def wait_for_request(replies: Iterator[dict[str, Any]]) -> None:
    """Until somebody is asked to pass the test chip."""
    for reply in replies:
        assert "doing" in reply, reply
        if "pass the test chip" in reply["doing"]:
            return


# ---- beside timing ---------------------------------------------------------------------------------------


def test_in_a_race_no_read_is_lost_and_nothing_is_interrupted(mat: Mat) -> None:
    is_over = threading.Event()
    chips: list[str] = []

    def feed() -> None:
        while not is_over.wait(0.002):
            chips.append(f"{len(chips):012X}")
            cross(mat.line, chips[-1:])

    feeding = threading.Thread(target=feed)
    feeding.start()
    try:
        while len(chips) < 100:  # one is over in no time
            *progress, report = mat.test(yes=True, chip_wait_s=1)
    finally:
        is_over.set()
        feeding.join()
    findings = [reply["check"] for reply in progress if "check" in reply]
    assert report["checks"] == findings
    assert faults("selftest", {key: value for key, value in report.items() if key not in ("id", "ok")}) == []
    left_out = {one["name"] for one in findings if one["says"].startswith("not done in a race")}
    assert left_out == INTERRUPTING
    assert any("doing" in reply for reply in progress)
    assert max(reply["done"] for reply in progress if "check" in reply) == len(PLANS)
    splits = [message(one.payload) for one in mat.control.wait_for("/split", len(chips))]
    assert {split["chip"] for split in splits} == set(chips)
    downs = [one for one in mat.control.on("/coverage") if message(one.payload)["hearing"] == "down"]
    assert not downs


def test_in_mode_test_a_chip_is_waited_for_and_heard(mat: Mat) -> None:
    mat.begin_test_mode()
    replies = mat.test(checks=["test-chip"], yes=True, chip_wait_s=20)
    wait_for_request(replies)
    cross(mat.line, ["00000000000A"])
    *_, report = replies
    assert [one["result"] for one in report["checks"]] == ["pass"]


def test_in_mode_released_no_test_chip_ends_the_release(tmp_path: Path, mosquitto: Mosquitto) -> None:
    sweep, asked = "00000000000B", {"do": "selftest", "checks": ["test-chip"], "yes": True, "live": True}
    released = {"do": "release", "by": "ann"}
    with Line(tmp_path / "line") as line, Daemon(tmp_path, text_of(tmp_path, mosquitto)) as daemon:
        daemon.wait_for_recording()
        assert ask(daemon.control, released)["ok"]
        *progress, report = ask_for_pages(daemon.control, asked, 30)
        assert not [one for one in progress if "pass" in one.get("doing", "")]
        assert [one["result"] for one in report["checks"]] == ["skip"]
        assert "end the release" in report["checks"][0]["says"]
        daemon.stop()
        daemon.config.write_text(f'{daemon.config.read_text()}\n[chips]\nsweep = ["{sweep}"]\n')
        daemon.start()
        daemon.wait_for_recording()
        assert ask(daemon.control, released)["ok"]
        replies = ask_for_pages(daemon.control, asked, 30)
        for reply in replies:
            if "pass a sweep's chip" in reply.get("doing", ""):
                break
        cross(line, [sweep])
        *_, report = replies
        assert [one["result"] for one in report["checks"]] == ["pass"]
        assert daemon.status()["mode"] == "released"


def test_only_one_is_made_at_a_time_and_a_gun_gets_through(mat: Mat) -> None:
    mat.begin_test_mode()
    first = mat.test(checks=["test-chip"], yes=True, chip_wait_s=60)
    wait_for_request(first)
    assert "one is being made already" in ask(mat.daemon.control, {"do": "selftest", "checks": ["version"]})["error"]
    assert ask(mat.daemon.control, {"do": "mark"})["ok"]
    assert ask(mat.daemon.control, {"do": "gun", "name": "elites"})["ok"]
    first.close()  # who asked has gone
    wait_until(lambda: ask(mat.daemon.control, {"do": "selftest", "checks": ["version"]})["ok"], what="the next one")


def test_a_daemon_that_ends_does_not_wait_for_it(mat: Mat) -> None:
    mat.begin_test_mode()
    asked = mat.test(checks=["test-chip"], yes=True, chip_wait_s=120)
    wait_for_request(asked)
    assert mat.daemon.stop() == 0
    *_, last = asked
    assert "the daemon ends" in last["error"]


def test_what_can_not_be_asked_is_refused_in_words(mat: Mat) -> None:
    def refused(**asked: Any) -> str:
        error: str = ask(mat.daemon.control, {"do": "selftest"} | asked)["error"]
        return error

    assert "did you mean 'disk-free'" in refused(checks=["disk-fre"])
    assert "expected a list of names" in refused(checks="disk-free")
    assert "expected a number of seconds, 1 to 120" in refused(chip_wait_s=0)
    assert "expected an object with true or false" in refused(seen={"ready_led": "yes"})
    assert 'as {"ready_led": true}' in refused(seen={"ready": True})


# ---- who hears of it -------------------------------------------------------------------------------------


def test_the_report_is_published_retained_and_told_again_to_a_broker_that_lost_it(mat: Mat) -> None:
    *_, report = mat.test(checks=["version", "disk-free"], publish=True)
    (told,) = mat.control.wait_for("/selftest")
    assert message(told.payload) == {key: value for key, value in report.items() if key not in ("id", "ok")}
    with Subscriber(mat.broker.port, f"{TOPIC}/selftest") as late:
        assert late.wait_for("/selftest")[0].is_retained
    mat.broker.stop()
    mat.broker.start()  # it keeps nothing
    assert message(mat.control.wait_for("/selftest", 2)[1].payload) == message(told.payload)


def test_race_control_gets_the_report_alone(mat: Mat) -> None:
    command = {"id": "7", "do": "selftest", "checks": ["version", "return-loss"], "live": True}
    mat.control.say(f"{TOPIC}/cmd", json.dumps(command).encode())
    (reply,) = (message(one.payload) for one in mat.control.wait_for("/reply"))
    assert (reply["id"], reply["ok"], reply["verdict"]) == ("7", True, "pass")
    assert [one["result"] for one in reply["checks"]] == ["pass", "skip"]
    assert not mat.control.on("/selftest")


# ---- the command -----------------------------------------------------------------------------------------


def run(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "selftest", "--config", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def test_as_json_it_is_the_message_and_nobody_is_asked(mat: Mat) -> None:
    mat.begin_test_mode()
    done = run(mat.daemon.config, "--json", "--check", "version", "--check", "return-loss", "--publish")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert faults("selftest", report) == []
    assert [one["name"] for one in report["checks"]] == ["version", "return-loss"]
    assert "allow it with --yes" in report["checks"][1]["says"]
    assert message(mat.control.wait_for("/selftest")[0].payload) == report


def test_a_report_that_can_not_be_published_is_shown_all_the_same(tmp_path: Path, mosquitto: Mosquitto) -> None:
    config = config_alone(tmp_path, mosquitto)
    mosquitto.stop()
    as_json, shown = (run(config, "--check", "version", "--publish", *more) for more in (["--json"], []))
    assert json.loads(as_json.stdout)["verdict"] == "pass"
    assert shown.stdout.splitlines()[-1] == "Ready: 1 check passed"
    for one in (as_json, shown):
        assert one.returncode == 6
        assert "is a broker running there" in one.stderr


def test_at_a_terminal_it_asks_before_it_touches_anything(mat: Mat) -> None:
    mat.begin_test_mode()
    command = (COMMAND, "selftest", "--config", mat.daemon.config, "--check", "version", "--check", "return-loss")
    for answer, shown in (("", "allow it with --yes"), ("y", "does not tell the return loss")):
        with Terminal(*command) as terminal:
            terminal.wait_for("[y/N]")
            assert "return-loss: the readers stop timing for some seconds" in terminal.shown
            terminal.type(answer)
            assert terminal.end() == 0
        assert shown in " ".join(terminal.shown.split())
        assert "pass  version" in terminal.shown
        assert "skip  return-loss" in terminal.shown
        assert terminal.shown.splitlines()[-1].startswith("Ready: 1 check passed")


def test_the_lights_are_shown_one_by_one_to_a_person(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    text = text_of(tmp_path, mosquitto, "[panel]\nready_led = 17\nfault_led = 27")
    with Line(tmp_path / "line"), Daemon(tmp_path, text) as daemon:
        daemon.wait_for_recording()
        assert ask(daemon.control, {"do": "mode", "mode": "test", "by": "ann"})["ok"]
        with Terminal(COMMAND, "selftest", "--config", daemon.config, "--check", "panel") as terminal:
            terminal.wait_for("[y/N]")
            terminal.type("y")
            terminal.wait_for("Did the light ready_led go on?")
            terminal.type("y")
            terminal.wait_for("Did the light fault_led go on?")
            terminal.type("n")
            assert terminal.end() == 1
    assert "pass  panel:ready_led" in terminal.shown
    assert "fail  panel:fault_led" in terminal.shown
    assert "Do not go to the start like this: the light fault_led was not seen" in " ".join(terminal.shown.split())


# ---- without a daemon ------------------------------------------------------------------------------------


def config_alone(tmp_path: Path, mosquitto: Mosquitto, protocol: str = "thingmagic") -> Path:
    text = text_of(tmp_path, mosquitto).replace("ipico", protocol)
    config = tmp_path / "mat.toml"
    config.write_text(
        f'{text}\n[journal]\npath = "{tmp_path}/journal.db"\n[box]\ncontrol = "{tmp_path}/control.sock"\n'
    )
    return config


def test_without_a_daemon_it_opens_the_line_itself_and_keeps_nothing(tmp_path: Path, mosquitto: Mosquitto) -> None:
    config = config_alone(tmp_path, mosquitto)
    checks = ["--check", "serial-device", "--check", "reader-hears"]
    with simulated(tmp_path, "thingmagic"), Subscriber(mosquitto.port, "timing/selftest/#") as control:
        wait_until((tmp_path / "line").exists, what="the reader's line")
        careful = run(config, *checks)
        assert careful.returncode == 0
        assert "skip  reader-hears" in careful.stdout
        assert "the readers were not started" in " ".join(careful.stdout.split())
        done = run(config, *checks, "--yes", "--publish")
        assert (done.returncode, done.stderr) == (0, "")
        assert "pass  reader-hears:main" in done.stdout
        assert "nothing they say is kept" in done.stdout
        assert message(control.wait_for("/selftest")[0].payload)["verdict"] == "pass"
    assert not list(tmp_path.glob("journal*"))


def test_a_reader_that_is_not_there_is_exit_code_1(tmp_path: Path, mosquitto: Mosquitto) -> None:
    done = run(config_alone(tmp_path, mosquitto), "--check", "serial-device")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith("plug the reader in")
    assert run(config_alone(tmp_path, mosquitto), "--check", "serial-devise").returncode == 2


def test_a_daemon_that_does_not_answer_keeps_its_line(mat: Mat) -> None:
    mat.daemon.control.unlink()
    done = run(mat.daemon.config, "--check", "serial-device")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"a daemon writes {mat.daemon.journal}" in done.stderr


@pytest.mark.long
def test_a_daemon_that_begins_meanwhile_gets_its_line(tmp_path: Path, mosquitto: Mosquitto) -> None:
    config_alone(tmp_path, mosquitto)
    with simulated(tmp_path, "thingmagic"):
        wait_until((tmp_path / "line").exists, what="the reader's line")
        options = ["--check", "reader-hears", "--check", "test-chip", "--yes", "--chip-wait-s", "100"]
        with Terminal(COMMAND, "selftest", "--config", tmp_path / "mat.toml", *options) as terminal:
            terminal.wait_for("reader-hears:main")
            with Daemon(tmp_path, text_of(tmp_path, mosquitto).replace("ipico", "thingmagic")) as daemon:
                assert terminal.end() == 1
                daemon.wait_for_recording()
    assert "a daemon has begun meanwhile" in " ".join(terminal.shown.split())
