"""Secrets from the boot partition: moved whole, with a power cut at every step, and told without being told."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from reader.box.boot_partition import take_over
from reader.errors import TimingMatError

TEXT = '\ufeff[mqtt]\r\nusername = "m"\r\npassword = "korrekt"\r\n'
BLANKED = '\ufeff[mqtt]\r\nusername = "m"\r\npassword_file = "mqtt-password"\r\n'


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    folder = tmp_path / "boot"
    (folder / "timing-mat-secrets").mkdir(parents=True)
    (folder / "timing-mat.toml").write_bytes(TEXT.encode())
    (folder / "timing-mat-secrets/ca.pem").write_bytes(b"of race control\n")
    return folder


def test_secrets_go_where_only_root_can_read_them(boot: Path, tmp_path: Path) -> None:
    said = "\n".join(take_over(boot, tmp_path / "etc/credentials"))
    assert (boot / "timing-mat.toml").read_bytes().decode() == BLANKED
    assert sorted(path.name for path in boot.iterdir()) == ["timing-mat.toml"]
    files = {path.name: path for path in (tmp_path / "etc/credentials").iterdir()}
    assert {name: path.read_text() for name, path in files.items()} == {
        "mqtt-password": "korrekt\n",
        "ca.pem": "of race control\n",
    }
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    assert (tmp_path / "etc/credentials").stat().st_mode & 0o777 == 0o700
    assert said.count("\n") == 1
    assert "korrekt" not in said
    assert list(take_over(boot, tmp_path / "etc/credentials")) == []


def test_where_a_secret_stood_zeros_stand(boot: Path, tmp_path: Path) -> None:
    # A second name shows what became of the bytes whose first name is gone.
    os.link(boot / "timing-mat.toml", tmp_path / "old.toml")
    os.link(boot / "timing-mat-secrets/ca.pem", tmp_path / "old.pem")
    list(take_over(boot, tmp_path / "credentials"))
    assert (tmp_path / "old.toml").read_bytes() == bytes(len(TEXT.encode()))
    assert (tmp_path / "old.pem").read_bytes() == bytes(16)


def test_a_text_without_secrets_is_not_written_again(boot: Path, tmp_path: Path) -> None:
    (boot / "timing-mat.toml").write_text('[mqtt]\npassword_file = "x"\n')
    before = (boot / "timing-mat.toml").stat()
    list(take_over(boot, tmp_path / "credentials"))
    assert (boot / "timing-mat.toml").stat().st_ino == before.st_ino


def test_a_broken_file_is_left_and_told(boot: Path, tmp_path: Path) -> None:
    (boot / "timing-mat.toml").write_text('[mqtt\npassword = "korrekt"\n')
    said = list(take_over(boot, tmp_path / "credentials"))
    assert "can't be read as TOML and is left as it is: timing-mat config check --config" in said[0]
    assert not (tmp_path / "credentials/mqtt-password").exists()
    assert (tmp_path / "credentials/ca.pem").exists()


def test_nothing_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert list(take_over(tmp_path / "boot", tmp_path / "credentials")) == []
    assert (tmp_path / "credentials").is_dir()


@pytest.mark.parametrize("name", ["with space.pem", "a" * 64, "big", "folder", "link"])
def test_what_is_no_secret_is_left_and_told(boot: Path, tmp_path: Path, name: str) -> None:
    path = boot / "timing-mat-secrets" / name
    match name:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("/etc/hostname")
        case _:
            path.write_bytes(bytes(70_000 if name == "big" else 1))
    said = list(take_over(boot, tmp_path / "credentials"))
    assert [one for one in said if f"{path} is left as it is: expected" in one]
    assert path.exists()
    assert [one.name for one in (tmp_path / "credentials").iterdir() if one.name != "mqtt-password"] == ["ca.pem"]


def test_what_a_laptop_leaves_there_is_not_told(boot: Path, tmp_path: Path) -> None:
    (boot / "timing-mat-secrets/._ca.pem").write_bytes(b"x")
    assert len(list(take_over(boot, tmp_path / "credentials"))) == 2


CALLS = ("open", "fsync", "fchmod", "pwrite")


class Cut(BaseException):
    """The power is gone: nothing after this happens."""


def test_a_power_cut_between_any_two_steps_loses_neither_the_secret_nor_the_file(
    boot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    cuts = 0
    for step in itertools.count():
        (boot / "timing-mat.toml").write_bytes(TEXT.encode())
        (credentials / "mqtt-password").unlink(missing_ok=True)
        left = itertools.count(step, -1)

        def cut(real: Any, left: Any = left) -> Any:
            def call(*arguments: Any, **named: Any) -> Any:
                if next(left) == 0:
                    raise Cut
                return real(*arguments, **named)

            return call

        with monkeypatch.context() as patched:
            for name in CALLS:
                patched.setattr(f"reader.box.boot_partition.os.{name}", cut(getattr(os, name)))
            for name in ("rename", "unlink", "mkdir", "rmdir"):
                patched.setattr(Path, name, cut(getattr(Path, name)))
            try:
                list(take_over(boot, credentials))
                is_through = True
            except Cut:
                is_through = False
                cuts += 1
        text = (boot / "timing-mat.toml").read_bytes().decode()
        assert text in (TEXT, BLANKED)
        assert text == TEXT or (credentials / "mqtt-password").read_text() == "korrekt\n"
        list(take_over(boot, credentials))
        assert (boot / "timing-mat.toml").read_bytes().decode() == BLANKED
        assert (credentials / "mqtt-password").read_text() == "korrekt\n"
        assert (credentials / "ca.pem").read_text() == "of race control\n"
        if is_through:
            break
    assert cuts > 10


def test_what_fat_can_leave_between_two_writes_of_its_folder_is_mended(boot: Path, tmp_path: Path) -> None:
    (boot / "timing-mat.toml").rename(boot / "timing-mat.toml.new")
    list(take_over(boot, tmp_path / "credentials"))
    assert (boot / "timing-mat.toml").read_bytes().decode() == BLANKED


def test_a_disk_that_refuses_is_told_in_a_sentence(boot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system", str(boot))

    monkeypatch.setattr("reader.box.boot_partition.os.fsync", refuse)
    with pytest.raises(TimingMatError, match="Read-only file system; the secrets stay where they are"):
        list(take_over(boot, tmp_path / "credentials"))
    assert (boot / "timing-mat.toml").read_bytes().decode() == TEXT
