"""Secrets from the boot partition, which any laptop can write and everybody on the box can read, into root's folder.

::

    /boot/firmware/timing-mat.toml       password = "…" and pin = "…"   →  /etc/timing-mat/credentials/mqtt-password
    /boot/firmware/timing-mat-secrets/   whole files: ca.pem, mat.key   →  /etc/timing-mat/credentials/ca.pem, mat.key

First the secret is on the disk at its new place, then it is taken away from the old one: a power cut at any moment
leaves it at one of the two, and the next start goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from reader.config import TakenOut, taken_out
from reader.errors import TimingMatError

FILE = "timing-mat.toml"
FOLDER = "timing-mat-secrets"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
LIMIT_BYTES = 64 * 1024  # a certificate with its chain is a tenth of it; systemd hands over a megabyte in all


def take_over(boot: Path, credentials: Path) -> Iterator[str]:
    """Do it; a sentence for each thing done, and for each that was left. TimingMatError where a disk refuses."""
    try:
        credentials.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield from _from_file(boot / FILE, credentials)
        yield from _from_folder(boot / FOLDER, credentials)
    except OSError as error:
        says = f"{error.filename or boot}: {error.strerror or error}; the secrets stay where they are"
        raise TimingMatError(says) from error


def _from_file(path: Path, credentials: Path) -> Iterator[str]:
    fresh = _beside(path)
    if fresh.exists() and not path.exists():
        fresh.rename(path)  # what a power cut between two writes of the folder can leave on FAT
    try:
        found = path.read_bytes()
        taken = taken_out(found)
    except FileNotFoundError:
        return
    except (ValueError, RecursionError):
        yield f"{path} can't be read as TOML and is left as it is: timing-mat config check --config {path}"
        return
    yield from (f"{path}: {problem}; it is left as it is" for problem in taken.problems)
    if taken.secrets:
        yield from _move_out(path, taken, credentials)


def _move_out(path: Path, taken: TakenOut, credentials: Path) -> Iterator[str]:
    for name, value in taken.secrets.items():
        _write(credentials / name, f"{value}\n".encode(), 0o600)
    with path.open("r+b") as old:
        _write(path, taken.data, stat.S_IMODE(os.fstat(old.fileno()).st_mode))
        _overwrite(old.fileno())
    for name in taken.secrets:
        yield f"{path}: a secret was moved to {credentials / name}, and its line names that file now"


def _from_folder(folder: Path, credentials: Path) -> Iterator[str]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue  # a laptop's own
        if trouble := _unfit(path):
            yield f"{path} is left as it is: {trouble}"
            continue
        _write(credentials / path.name, path.read_bytes(), 0o600)
        with path.open("r+b") as old:
            _overwrite(old.fileno())
        path.unlink()
        _sync(folder)
        yield f"{path} was moved to {credentials / path.name}"
    with contextlib.suppress(OSError):
        folder.rmdir()  # unless something was left in it


def _unfit(path: Path) -> str:
    """Why it is no secret that can be moved, or ""."""
    if path.is_symlink() or not path.is_file():
        return "expected a file"
    if not NAME.fullmatch(path.name):
        return "expected a name of letters, digits, dots, dashes and underscores, at most 63"
    if path.stat().st_size > LIMIT_BYTES:
        return f"expected at most {LIMIT_BYTES} bytes"
    return ""


def _write(path: Path, data: bytes, mode: int) -> None:
    """A file, whole or not at all."""
    fresh = _beside(path)
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor, for its mode from the first moment on
        os.fchmod(descriptor, mode)  # whatever the umask
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    fresh.rename(path)
    _sync(path.parent)


def _overwrite(descriptor: int) -> None:
    """Zeros where a secret stood: what is only removed can be read from the card for long."""
    with contextlib.suppress(OSError):  # it is out of reach already; this is for who takes the card out
        os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
        os.fsync(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
