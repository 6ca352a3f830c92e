"""The doctor's parts: a section that fails or hangs, a program that does, a file that is there, a broken one."""

from __future__ import annotations

import os
import stat
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reader.cli.last_good import keep_last_good
from reader.cli.run import look_at_files
from reader.doctor import machine, written
from reader.doctor.letter import Section, letter_from, made, name_from, write_beside
from reader.doctor.masking import Masking
from reader.doctor.programs import LIMIT_BYTES, output_of, outputs_of
from reader.doctor.sections import sections
from reader.errors import TimingMatError
from tests.fakes.box import Box
from tests.waiting import wait_until

GOOD = """
[mat]
event = "chicago-2023"
point = "finish"
id = "finish-main"
[[reader]]
protocol = "thingmagic"
port = "/dev/null"
profile = "m6e-nano-fcc"
"""


# ---- sections --------------------------------------------------------------------------------------------


def fails() -> str:
    raise RuntimeError("the wheel came off")


def refuses() -> str:
    raise TimingMatError("no daemon answers")


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    there = tmp_path / "none"
    assert made(Section("It", there.read_text)) == f"({there}: No such file or directory)"


def test_a_section_that_fails_says_so_and_the_others_are_made() -> None:
    told: list[str] = []
    one, *others = [Section("One", lambda: "1"), Section("Two", fails), Section("Three", refuses), Section("Four", str)]
    text = letter_from("Head", [one, *others], Masking(["wheel came"]), told.append)
    assert told == ["One", "Two", "Three", "Four"]
    assert text.startswith("Head\n")
    assert "1. One" in text
    assert "(not made: RuntimeError('the (masked) off'))" in text
    assert "(no daemon answers)" in text
    assert text.endswith("(nothing)\n")


def test_a_section_that_hangs_is_given_up() -> None:
    over = threading.Event()

    def hangs() -> str:
        over.wait(30)
        return ""

    began_s = time.monotonic()
    assert made(Section("It", hangs, limit_s=0.1)) == "(not made within 0.1 s: given up)"
    assert time.monotonic() - began_s < 5
    over.set()


def test_what_a_terminal_would_obey_is_not_in_it() -> None:
    text = letter_from("", [Section("It", lambda: "a\x1b[2Jb\r\nc\td\x9b\x00")], Masking([]))
    assert "a?[2Jb\nc\td??" in text


@pytest.mark.parametrize("number", range(11))
def test_each_section_can_fail_by_itself(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = written.look(tmp_path / "none.toml", look_at_files)
    all_of_them = sections(found, tmp_path / "none.sock")
    assert len(all_of_them) == 11
    one = all_of_them[number]._replace(make=fails)
    text = letter_from("", [*all_of_them[:number], one, *all_of_them[number + 1 :]], Masking([]))
    assert text.count("(not made") == 1
    assert all(f"{place}. {section.title}\n" in text for place, section in enumerate(all_of_them, 1))


# ---- programs --------------------------------------------------------------------------------------------


def test_a_program_that_hangs_is_killed_with_all_that_it_has_begun(tmp_path: Path) -> None:
    began_s = time.monotonic()
    said = output_of("sh", "-c", f"echo begun; sleep 60 & echo $! > {tmp_path}/pid; wait", limit_s=0.5)
    assert said == "begun\n(sh did not end within 0.5 s)"
    assert time.monotonic() - began_s < 5
    child = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    wait_until(lambda: has_ended(child), 5, "the end of what it had begun")


def has_ended(process: Path) -> bool:
    """Of its ``stat``; nobody may have asked for its end yet."""
    try:
        return ") Z " in process.read_text()
    except OSError:
        return True


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("no-such-program", "x"), "(no-such-program: No such file or directory)"),
        (("sh", "-c", "echo no >&2; exit 3"), "no\n(sh ended with 3)"),
        (("true",), "(true says nothing)"),
        (("printf", r"\377a"), "\ufffda"),
    ],
)
def test_what_a_program_does_is_said(words: tuple[str, ...], says: str) -> None:
    assert output_of(*words) == says


def test_of_a_long_answer_the_end_is_kept() -> None:
    said = output_of("sh", "-c", "yes x | head -c 500000; echo end")
    assert len(said) <= LIMIT_BYTES
    assert said.endswith("end")


def test_several_are_named() -> None:
    assert outputs_of("echo one", "echo two") == "$ echo one\none\n\n$ echo two\ntwo"


# ---- the file --------------------------------------------------------------------------------------------


def test_the_file_is_called_after_the_box_and_the_day() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert name_from("B 17/ü", now) == "timing-mat-doctor-B-17-2026-11-25.txt"
    assert name_from("…", now) == "timing-mat-doctor-box-2026-11-25.txt"


def test_nothing_is_overwritten_and_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "mat.txt"
    written_to = [write_beside(path, text) for text in ("1", "2", "3")]
    assert [place.name for place in written_to] == ["mat.txt", "mat-2.txt", "mat-3.txt"]
    assert [place.read_text() for place in written_to] == ["1", "2", "3"]
    assert {stat.S_IMODE(place.stat().st_mode) for place in written_to} == {0o600}


# ---- the configuration -----------------------------------------------------------------------------------


def look_and_show(path: Path) -> str:
    text = written.shown(written.look(path, look_at_files))
    return Masking(written.secrets_of(path).words).masked(text)


def test_a_good_configuration_is_shown_without_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "mat.toml"
    path.write_text(f"# Xanadu is the word\n{GOOD}# and Quixote too\n")
    shown = look_and_show(path)
    assert "config check: it is fine" in shown
    assert "mat.event = chicago-2023\n" in shown
    assert "mqtt.port = 1883  (default)" in shown
    assert "Xanadu" not in shown
    assert "Quixote" not in shown


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("password = Rosinante-77", "(not shown)"),  # no quotes: no TOML
        ('pasword = "Rosinante-77"', "mqtt.pasword  there is no such key"),
        ('pin = "Rosinante-77"', "mqtt.pin  there is no such key"),
        ('password_file = "Rosinante-77"', "(masked)"),  # the password itself, where its file should stand
        ('username = "u"\npassword_file = "Rosinante-77"\nport = "x"', "mqtt.port  found"),
        ('Rosinante-77 = "password"', "there is no such key"),
        ('"""Rosinante-77', "(not shown)"),
    ],
)
def test_a_broken_configuration_is_told_without_what_is_secret_in_it(tmp_path: Path, line: str, stays: str) -> None:
    path = tmp_path / "mat.toml"
    path.write_text(f'{GOOD}[mqtt]\nhost = "rc1" # Rosinante-77\n{line}\n')
    shown = look_and_show(path)
    assert stays in shown
    if not line.startswith("Rosinante"):  # a key is no secret: it is named as wrong
        assert "Rosinante" not in shown
    assert "finish-main" in shown


def test_secrets_are_read_to_be_masked_and_one_that_can_not_be_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mat.toml"
    path.write_text(f'{GOOD}[mqtt]\nusername = "u"\npassword_file = "pw"\n[web]\npin_file = "pin"\n')
    (tmp_path / "pw").write_text("Rosinante-77\n")
    (tmp_path / "pin").mkdir()
    secrets = written.secrets_of(path)
    assert "Rosinante-77" in secrets.words
    assert "pin" in secrets.words  # a folder is no file: it may be the PIN
    assert secrets.unread == ()
    if os.geteuid() != 0:
        (tmp_path / "pw").chmod(0)
        assert written.secrets_of(path).unread == (tmp_path / "pw",)


def test_what_the_service_is_handed_is_masked_too(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt-password").write_text("Rosinante-77\n")
    (credentials / "mat.key").write_text("-----BEGIN PRIVATE KEY-----\nMHcCAQEE\n-----END PRIVATE KEY-----\n")
    path = tmp_path / "mat.toml"
    path.write_text(f'{GOOD}[mqtt]\nusername = "u"\npassword_file = "mqtt-password"\n')
    assert written.secrets_of(path, credentials).words == {"Rosinante-77", "MHcCAQEE"}
    (credentials / "folder").mkdir()
    assert written.secrets_of(path, credentials).unread == (credentials / "folder",)


def test_the_copy_of_the_last_good_one_names_files_from_where_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    path = tmp_path / "mat.toml"
    path.write_text(f'{GOOD}[mqtt]\nusername = "u"\npassword_file = "mqtt-password"\n')
    (tmp_path / "mqtt-password").write_text("Rosinante-77\n")
    keep_last_good(path)
    path.write_text(GOOD)
    words = written.secrets_of(path).words
    assert "Rosinante-77" in words
    assert "mqtt-password" not in words


def test_of_a_configuration_that_is_not_there_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    assert "the file does not exist" in look_and_show(path)
    assert written.secrets_of(path).words == written.secrets_of(None).words


# ---- the machine -----------------------------------------------------------------------------------------


def test_the_machine_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path)
    box.write("proc/device-tree/model", b"Raspberry Pi 4 Model B Rev 1.5\0")
    box.write("proc/uptime", "812.5 900.1")
    box.write("proc/meminfo", "MemTotal:  3884000 kB\nMemFree: 1 kB\nMemAvailable:  3000000 kB")
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    text = machine.describe(tmp_path / "journal.db")
    assert "board: Raspberry Pi 4 Model B Rev 1.5\n" in text
    assert "up for 812.5 s" in text
    assert "memory: MemTotal: 3884000 kB, MemAvailable: 3000000 kB" in text
    assert f"disk of {tmp_path}: " in text


def test_the_packages_and_the_clock_are_told() -> None:
    assert "\npaho-mqtt 2" in machine.packages()
    assert "by the kernel alone: " in machine.clock()
