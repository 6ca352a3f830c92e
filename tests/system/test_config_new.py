"""`timing-mat config new`: asks the reader what it is and the crew where it stands; and the box's label."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reader.cli import config_reader
from reader.cli.config_label import address_of, qr_code
from reader.cli.interview import Interview
from reader.config import WebSettings, load
from reader.errors import ReaderError
from tests.daemon import COMMAND, Daemon
from tests.waiting import wait_until

WHERE = ("--event", "chicago-2023", "--point", "half", "--id", "half-main", "--use", "split")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command without a terminal."""
    return subprocess.run(
        [COMMAND, "config", *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


@contextmanager
def reader(link: Path, *arguments: str) -> Iterator[Path]:
    """A simulated reader on a line."""
    simulate = [COMMAND, "simulate", "--link", str(link), "--runners", "5", "--minutes", "60", *arguments]
    with subprocess.Popen(simulate, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as simulator:
        try:
            wait_until(link.exists, what="the reader's line")
            yield link
        finally:
            simulator.terminate()


# ---- by options --------------------------------------------------------------------------------------------


def test_the_reader_on_the_line_is_asked_and_the_file_is_good(tmp_path: Path) -> None:
    out = tmp_path / "mat.toml"
    with reader(tmp_path / "line", "--protocol", "thingmagic") as line:
        ended = run(
            *("new", "--out", out, "--port", line, *WHERE, "--region", "etsi", "--label", "B17"),
            *("--broker", "rc1:8883", "--delivered-when", "control", "--collector", "rc1"),
        )
    assert ended.returncode == 0, ended.stderr
    assert "profile m6e-nano-etsi, for antenna 1" in ended.stdout
    found = load(out)
    (one,) = found.readers
    assert (one.protocol, one.port, one.baud, one.profile) == ("thingmagic", str(line), 115200, "m6e-nano-etsi")
    assert (found.mat.event, found.mat.point, found.mat.id) == ("chicago-2023", "half", "half-main")
    assert (found.mat.use, found.mat.label) == ("split", "B17")
    assert (found.mqtt.host, found.mqtt.port, found.mqtt.collectors) == ("rc1", 8883, ("rc1",))
    assert out.stat().st_mode & 0o777 == 0o644
    assert run("check", "--config", out).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mat.toml"]


@pytest.mark.long
def test_two_readers_have_a_table_each(tmp_path: Path) -> None:
    out = tmp_path / "mat.toml"
    with reader(tmp_path / "one"), reader(tmp_path / "other"):
        ended = run("new", "--out", out, *WHERE, "--port", tmp_path / "one", "--port", tmp_path / "other")
    assert ended.returncode == 0, ended.stderr
    assert [(one.name, one.protocol) for one in load(out).readers] == [("reader-1", "ipico"), ("reader-2", "ipico")]


def test_the_region_is_never_guessed(tmp_path: Path) -> None:
    command = ("new", "--out", tmp_path / "mat.toml", *WHERE, "--protocol", "m100", "--port", "/dev/ttyAMA0")
    missing = run(*command)
    assert missing.returncode == 2
    assert "--region is missing" in missing.stderr
    wrong = run(*command, "--region", "us")
    assert wrong.returncode == 2
    assert 'found "us", expected one of "etsi", "fcc", "none"' in wrong.stderr
    assert not list(tmp_path.iterdir())
    none = run(*command, "--region", "none")
    assert none.returncode == 0, none.stderr
    assert load(tmp_path / "mat.toml").readers[0].profile is None


@pytest.mark.parametrize("missing", ["--event", "--point", "--id", "--use"])
def test_without_a_terminal_a_missing_answer_is_named(tmp_path: Path, missing: str) -> None:
    answers = dict(zip(WHERE[::2], WHERE[1::2], strict=True))
    del answers[missing]
    ended = run(
        "new", "--out", tmp_path / "mat.toml", "--port", "none", *(word for one in answers.items() for word in one)
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"{missing} is missing" in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--event", "Chicago 2023", "lower-case letters"),
        ("--use", "middle", "expected one of"),
        ("--label", "x\ny", "a line of text"),
        ("--broker", "rc1:99999", "with its port or without"),
        ("--delivered-when", "soon", "expected one of"),
        ("--protocol", "rfid", "expected one of"),
    ],
)
def test_a_wrong_answer_is_told_with_what_is_right(tmp_path: Path, option: str, value: str, says: str) -> None:
    ended = run("new", "--out", tmp_path / "mat.toml", "--port", "none", *WHERE, option, value)
    assert ended.returncode == 2
    assert option in ended.stderr
    assert says in ended.stderr
    assert not list(tmp_path.iterdir())


def test_what_config_check_would_refuse_is_not_put_in_place(tmp_path: Path) -> None:
    ended = run(
        *("new", "--out", tmp_path / "mat.toml", *WHERE, "--protocol", "ipico", "--port", "/dev/ttyUSB0"),
        *("--profile", "m100-etsi"),
    )
    assert ended.returncode == 3
    assert "its profile is for m100" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_replaced_only_when_asked_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "mat.toml"
    out.write_text("# mine\n")
    ended = run("new", "--out", out, "--port", "none", *WHERE)
    assert ended.returncode == 2
    assert "--replace" in ended.stderr
    assert out.read_text() == "# mine\n"
    assert run("new", "--out", out, "--port", "none", *WHERE, "--replace").returncode == 0
    assert (tmp_path / "mat.toml.bak").read_text() == "# mine\n"
    assert load(out).readers[0].protocol == "auto"


def test_no_reader_on_a_line_that_was_named_is_an_error(tmp_path: Path) -> None:
    ended = run("new", "--out", tmp_path / "mat.toml", *WHERE, "--port", tmp_path / "ttyUSB7")
    assert ended.returncode == 4
    assert "ttyUSB7: not there; plug the reader in" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_line_that_the_mat_holds_is_not_taken_for_one_without_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    monkeypatch.setattr(config_reader, "find_ports", lambda: [os.ttyname(slave)])
    try:
        fcntl.flock(slave, fcntl.LOCK_EX)  # as the daemon's serial port does
        wish = config_reader.Wish(["auto"], None, None, None, None)
        with pytest.raises(ReaderError, match="sudo systemctl stop timing-mat"):
            config_reader.reader_tables(Interview(), wish, "finish", Path("/etc/timing-mat"))
    finally:
        os.close(master)
        os.close(slave)


# ---- at a terminal -----------------------------------------------------------------------------------------


class Terminal:
    """Somebody who sits at a terminal, reads what is asked, and types."""

    def __init__(self, *command: str | Path) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(list(map(str, command)), stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self._unread = ""

    def answer(self, question: str, text: str) -> None:
        """Wait for the question at the beginning of a line, and type."""

        def is_asked() -> bool:
            self._read()
            return bool(re.search(rf"(?m)^{question}(?: \[[^]]*\])?: $", self._unread))

        wait_until(is_asked, 30, f"the question {question}, in: {self._unread}")
        self._unread = ""
        os.write(self._master, f"{text}\n".encode())

    def rest(self) -> str:
        """What else it says, until it ends well."""

        def has_ended() -> bool:
            self._read()
            return self._process.poll() is not None

        wait_until(has_ended, 30, "its end")
        self._read()
        os.close(self._master)
        assert self._process.wait() == 0, self._unread
        return self._unread

    def _read(self) -> None:
        while select.select([self._master], [], [], 0)[0]:
            try:
                self._unread += os.read(self._master, 4096).decode().replace("\r\n", "\n")
            except OSError:
                return


def test_at_a_terminal_it_asks_and_asks_again_what_was_wrong(tmp_path: Path) -> None:
    out = tmp_path / "mat.toml"
    with reader(tmp_path / "line", "--protocol", "thingmagic") as line:
        crew = Terminal(COMMAND, "config", "new", "--out", out, "--port", line)
        crew.answer("event", "Chicago!")
        crew.answer("event", "chicago-2023")
        crew.answer("point", "start")
        crew.answer("id", "")
        crew.answer("use", "start")
        crew.answer("label", "")
        crew.answer("broker", "")
        crew.answer("delivered-when", "control")
        crew.answer("collector", "")
        crew.answer("region", "")  # there is no default for that
        crew.answer("region", "fcc")
        said = crew.rest()
    assert "m6e-nano-fcc-start" in said
    found = load(out)
    assert (found.mat.id, found.mat.label, found.mat.use) == ("start-main", None, "start")
    assert (found.mqtt.host, found.mqtt.delivered_when, found.mqtt.collectors) == ("127.0.0.1", "control", ("rc1",))
    assert found.readers[0].profile == "m6e-nano-fcc-start"


# ---- the label ---------------------------------------------------------------------------------------------


def test_the_label_shows_a_pin_that_is_made_once_and_is_not_in_the_code(tmp_path: Path) -> None:
    out = tmp_path / "mat.toml"
    run("new", "--out", out, "--port", "none", *WHERE, "--label", "B17")
    secrets = tmp_path / "credentials"
    first = run("label", "--config", out, "--credentials", secrets)
    assert first.returncode == 0, first.stderr
    pin = re.search(r"(?m)^PIN +(\d{6})$", first.stdout)
    assert pin
    assert re.search(r"(?m)^label +B17$", first.stdout)
    assert load(out).web.pin_file == tmp_path / "web-pin"  # handed over by systemd, under that name
    assert (secrets / "web-pin").read_text() == f"{pin[1]}\n"
    assert ((secrets / "web-pin").stat().st_mode & 0o777, secrets.stat().st_mode & 0o777) == (0o600, 0o700)
    assert run("label", "--config", out, "--credentials", secrets).stdout == first.stdout
    assert run("label", "--config", out, "--credentials", secrets, "--new-pin").stdout != first.stdout
    address = re.search(r"(?m)^page +(http://.*\.local:8080/)$", first.stdout)
    assert address
    assert qr_code(address[1]) in first.stdout


def test_the_code_is_of_the_address_and_nothing_else(tmp_path: Path) -> None:
    assert address_of("mat-b17", WebSettings()) == "http://mat-b17.local:8080/"
    assert address_of("mat-b17.local", WebSettings(listen="127.0.0.1:80")) == "http://mat-b17.local:80/"
    lines = qr_code("http://mat-b17.local:8080/").splitlines()
    # Version 2: 25 modules and a quiet zone of 4 at each side, two rows a line.
    assert {len(line) for line in lines} == {25 + 2 * 4}
    assert len(lines) == (25 + 2 * 4 + 1) // 2
    assert set("".join(lines)) == set(" ▀▄█")


def test_a_box_without_a_label_goes_by_the_last_six_of_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serial = tmp_path / "serial-number"
    serial.write_bytes(b"10000000a1b2c3d4\0")
    monkeypatch.setenv("TIMING_MAT_SERIAL_FILE", str(serial))
    out = tmp_path / "mat.toml"
    run("new", "--out", out, "--port", "none", *WHERE)
    said = json.loads(run("label", "--config", out, "--json").stdout)
    assert (said["label"], said["box"]) == ("b2c3d4", "10000000a1b2c3d4")
    text = out.read_text().replace("\n[journal]\n", "\n").replace("\n[box]\n", "\n")
    with Daemon(tmp_path, text) as daemon:
        assert daemon.status()["label"] == "b2c3d4"
