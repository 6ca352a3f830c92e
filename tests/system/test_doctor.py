"""`timing-mat doctor` beside the real daemon, with a secret of its own in every place: none of them is in the file."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.broker import Mosquitto
from tests.daemon import COMMAND, Daemon, Line
from tests.ipico import record
from tests.waiting import free_port

PASSWORD = 'Rosi"nante 77/ü'
CHIP = "058003e70e35"
BIB = "bib-4242-of-somebody"
SECRETS = {
    "the password": PASSWORD,
    "the PIN": "471147",
    "in a comment": "Clavileno-1",
    "in a comment by its name": "Clavileno-2",
    "in a URL": "Rucio-88",
    "named in a unit": "Babieca-99",
    "credential of a unit": "Bucephalus-11",
    "named in the log": "Incitatus-12",
    "key": "MHcCAQEEIKqTestKeyOfNobody",
    "in a profile's comment": "Pegasus-13",
}
TITLES = (
    "The machine",
    "The daemon's status",
    "The self-test, only looking",
    "The configuration",
    "The readers' profiles",
    "The last notices of the log",
    "The units",
    "The system's log of the units",
    "The serial lines",
    "The clock",
    "The packages",
)


# Once as whoever runs the tests, for what the interpreter loads may be root's alone; and again as nobody.
AS_NOBODY = """
import contextlib, io, os
from reader.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
main()
"""


def text(folder: Path, port: int) -> str:
    secret = SECRETS
    return f"""
        # {secret["in a comment"]}
        # old password: {secret["in a comment by its name"]}
        [mat]
        event = "chicago-2023"
        point = "finish"
        id = "finish-main"
        label = "B 17"
        [[reader]]
        protocol = "ipico"
        port = "{folder}/line"
        [[reader]]
        name = "second"
        protocol = "thingmagic"
        port = "socket://tech:{secret["in a URL"]}@127.0.0.1:{free_port()}"  # {secret["in a comment"]}
        profile = "mine"
        [chips]
        bibs = "chips.csv"
        [mqtt]
        port = {port}
        username = "finish-main"
        password_file = "mqtt-password"
        [web]
        pin_file = "pin"
    """


def fill(folder: Path) -> None:
    """The files that the configuration names, and programs that say what a box's may."""
    for name, what in (("mqtt-password", PASSWORD), ("pin", SECRETS["the PIN"])):
        (folder / name).touch(0o600)
        (folder / name).write_text(f"{what}\n")
    (folder / "chips.csv").write_text(f"chip,bib\n{CHIP},{BIB}\n")
    (folder / "readers").mkdir()
    shipped = (Path(__file__).parents[2] / "firmware_config" / "readers" / "m6e-nano-fcc.toml").read_text()
    (folder / "readers" / "mine.toml").write_text(
        f"# {SECRETS[chr(105) + 'n a profile' + chr(39) + 's comment']}\n{shipped}"
    )
    forms = [
        PASSWORD,
        json.dumps(PASSWORD),
        json.dumps(PASSWORD, ensure_ascii=False),
        repr(PASSWORD),
        quote(PASSWORD),
        base64.b64encode(PASSWORD.encode()).decode(),
    ]
    log = [f"Nov 25 b17 timing-mat[1]: it was {form}, and was refused" for form in forms]
    log += [
        f"Nov 25 b17 timing-mat[1]: rfc2217://tech:{SECRETS['in a URL']}@10.0.0.5: nothing answers there",
        f"Nov 25 b17 other[2]: MQTT_PASSWORD={SECRETS['named in the log']}",
        f"Nov 25 b17 other[2]: -----BEGIN EC PRIVATE KEY-----\n{SECRETS['key']}\n-----END EC PRIVATE KEY-----",
        f"Nov 25 b17 other[2]: pin {SECRETS['the PIN']} was typed; {SECRETS['in a comment by its name']}",
        "the last line of the log",
    ]
    unit = [
        "[Service]",
        f"Environment=SOME_TOKEN={SECRETS['named in a unit']}",
        f"SetCredential=mqtt:{SECRETS['credential of a unit']}",
        "ExecStart=/opt/timing-mat/bin/timing-mat run",
    ]
    program(folder, "journalctl", log)
    program(folder, "systemctl", unit)


def program(folder: Path, name: str, lines: list[str]) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text("\n".join(lines))
    (folder / "bin" / name).write_text(f"#!/bin/sh\necho called as {name} $*\ncat {folder}/{name}.txt\n")
    (folder / "bin" / name).chmod(0o755)


def doctor(folder: Path, *arguments: str, program: tuple[str, ...] = (COMMAND,)) -> subprocess.CompletedProcess[str]:
    there = folder / "there"
    there.mkdir(exist_ok=True)
    environment = os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "STATE_DIRECTORY": str(folder / "state")}
    command = [*program, "doctor", *arguments]
    return subprocess.run(command, cwd=there, env=environment, capture_output=True, text=True, timeout=120)


def assert_without_secrets(letter: str) -> None:
    forms = {form for secret in SECRETS.values() for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1])}
    forms |= {quote(secret, safe="") for secret in SECRETS.values()}
    forms |= {base64.b64encode(secret.encode()).decode().rstrip("=") for secret in SECRETS.values()}
    for form in (*forms, BIB, CHIP, CHIP.upper()):
        assert form not in letter, form


def section(letter: str, title: str) -> str:
    return re.split(r"^=+$", letter.partition(f". {title}\n")[2], maxsplit=2, flags=re.MULTILINE)[1]


@pytest.mark.long
def test_no_secret_is_in_the_file_and_all_that_helps_is(tmp_path: Path, mosquitto: Mosquitto) -> None:
    fill(tmp_path)
    with Line(tmp_path / "line") as line, Daemon(tmp_path, text(tmp_path, mosquitto.port)) as daemon:
        daemon.wait_for_recording()
        line.write(record(CHIP, datetime.now(UTC)))
        ended = doctor(tmp_path, "--config", str(daemon.config))
        assert daemon.status()["recording"]
    assert ended.returncode == 0, ended.stderr
    (path,) = (tmp_path / "there").iterdir()
    assert path.name == f"timing-mat-doctor-B-17-{datetime.now().astimezone():%Y-%m-%d}.txt"
    assert path.name in ended.stdout
    letter = path.read_text(encoding="utf-8")
    assert_without_secrets(letter)
    assert all(f"{number}. {title}\n" in letter for number, title in enumerate(TITLES, 1))
    assert "(not made" not in letter
    assert "broker-round-trip" in section(letter, "The self-test, only looking")
    assert '"recording": true' in section(letter, "The daemon's status")
    assert re.search(r'"longest": "\d chips, not shown"', section(letter, "The daemon's status"))
    assert "mqtt.username = finish-main" in section(letter, "The configuration")
    assert f"mqtt.password_file = {tmp_path}/mqtt-password" in section(letter, "The configuration")
    assert "family = " in section(letter, "The readers' profiles")
    assert "timing began for the first time" in section(letter, "The last notices of the log")
    assert "ExecStart=/opt" in section(letter, "The units")
    assert "called as systemctl cat --no-pager timing-mat*" in section(letter, "The units")
    assert "the last line of the log" in section(letter, "The system's log of the units")
    assert "nothing answers there" in section(letter, "The system's log of the units")


def test_it_works_with_nothing_there_and_without_rights(tmp_path: Path) -> None:
    ended = doctor(tmp_path, "--out", "-", "--socket", "/no/such.sock", program=(sys.executable, "-c", AS_NOBODY))
    assert ended.returncode == 0, ended.stderr
    letter = ended.stdout
    assert "no configuration found" in section(letter, "The configuration")
    assert "no daemon answers" in section(letter, "The daemon's status")
    assert os.geteuid() != 0 or "asked by nobody" in letter
    assert all(f"{number}. {title}\n" in letter for number, title in enumerate(TITLES, 1))
    assert "(not made" not in letter


def test_without_a_daemon_the_self_test_is_made_by_itself_and_on_the_screen_if_wished(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "mat.toml").write_text(text(tmp_path, free_port()))
    (tmp_path / "mat.toml").write_text(
        (tmp_path / "mat.toml").read_text() + f'[journal]\npath = "{tmp_path}/journal.db"\n'
    )
    ended = doctor(tmp_path, "--config", f"{tmp_path}/mat.toml", "--socket", f"{tmp_path}/none.sock", "--out", "-")
    assert ended.returncode == 0, ended.stderr
    assert list((tmp_path / "there").iterdir()) == []
    assert_without_secrets(ended.stdout)
    assert "the last line of the log" in ended.stdout
    found = section(ended.stdout, "The self-test, only looking")
    assert "made by itself" in found
    assert re.search("^fail  broker-reach", found, re.MULTILINE)
    assert "The packages …" in ended.stderr


def test_where_nothing_can_be_written_that_is_said(tmp_path: Path) -> None:
    ended = doctor(tmp_path, "--out", f"{tmp_path}/no/such/folder/mat.txt")
    assert ended.returncode == 2
    assert "can't be written (No such file or directory): name another place" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.long
def test_programs_that_hang_cost_their_time_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("chronyc", "timedatectl"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nsleep 100\n")
        (tmp_path / "bin" / name).chmod(0o755)
    ended = doctor(tmp_path, "--out", "-")
    assert ended.returncode == 0
    assert ended.stdout.count("did not end within 10 s") == 3
    assert "paho-mqtt" in section(ended.stdout + "=\n", "The packages")
    assert sys.version.split()[0] in ended.stdout
