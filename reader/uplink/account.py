"""Who this box is to the broker: its secrets, read anew at each connect.

So a mended file needs no restart, and a bad one never stops anything but the connection. A secret is used
only if nobody else can read it. What stands in the files is never part of a message.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from reader.config import MqttSettings, is_credential
from reader.errors import BrokerRefused

SECRET_BYTES = 65_535  # as long as MQTT lets a password be
FAT = Path("/boot")  # a Pi's boot partition: all its files are everybody's
TAKEN_OVER = "/boot/firmware/timing-mat-secrets"  # at each start, to where only root can read it


def password(settings: MqttSettings) -> str | None:
    """What stands in ``password_file``, without the end of the line.

    BrokerRefused if it can't be read, others could read it, or it can't be a password.
    """
    path = settings.password_file
    if path is None:
        return None
    says = f"[mqtt] password_file {path}"
    try:
        with path.open("rb") as file:
            if exposed := exposure(path, os.fstat(file.fileno())):
                raise BrokerRefused(f"{says}: {exposed}")
            data = file.read(SECRET_BYTES + 2)
        text = data.decode("utf-8-sig").rstrip("\r\n")  # as Notepad writes it
    except OSError as error:
        raise BrokerRefused(f"{says}: {words(error)}") from error
    except UnicodeDecodeError:
        raise BrokerRefused(f"{says}: expected text in UTF-8") from None
    if not text or len(data) > SECRET_BYTES or "\n" in text:
        raise BrokerRefused(f"{says}: expected one line, the password and nothing else")
    return text


def exposure(path: Path, found: os.stat_result) -> str:
    """Why a secret is not one, as others can get at it, and what to do; or ""."""
    if is_credential(path):
        return ""
    us = os.geteuid()
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        remedy = f"chmod 600 {path}"
        if path.is_relative_to(FAT):
            remedy = f"the boot partition keeps no permissions: move it to {TAKEN_OVER} and start the box again"
        trouble = "others can read it" if mode & 0o044 else "others can change it"
        return f"{trouble} (mode {mode:04o}), so it is not used; {remedy}"
    if found.st_uid not in (us, 0):
        return f"it belongs to {_name(found.st_uid)}, so it is not used; chown {_name(us)} {path}"
    return ""


def words(error: Exception) -> str:
    """A system's or library's error, as short as it can be said."""
    if isinstance(error, TimeoutError):
        return "nothing answers there"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
