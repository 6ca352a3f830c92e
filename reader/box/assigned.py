"""Which mat this box was told to be (`assign`), instead of the one that its configuration names.

::

    {"instead_of": ["chicago-2023", "finish", "finish-main"], "assigned": ["chicago-2023", "half", "half-main"]}

It holds for as long as the configuration names what it named then: who edits the file afterwards has the last word.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec.structs import replace

from reader.box.state_folder import state_folder
from reader.config import Config
from reader.config.settings import Level
from reader.errors import TimingMatError

Mat = tuple[Level, Level, Level]  # event, point, mat


class Assignment(msgspec.Struct, frozen=True):
    """Who is to be who."""

    instead_of: Mat
    assigned: Mat


def applied(config: Config) -> Config:
    """The configuration of the mat that this box is told to be."""
    try:
        known = msgspec.json.decode(_place().read_bytes(), type=Assignment)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return config
    if known.instead_of != mat_of(config):
        return config
    event, point, mat = known.assigned
    return replace(config, mat=replace(config.mat, event=event, point=point, id=mat))


def keep(config: Config, assigned: Mat) -> None:
    """Keep it over restarts; ``config``: as the file has it. TimingMatError if that can't be."""
    place = _place()
    try:
        if assigned == mat_of(config):
            with contextlib.suppress(FileNotFoundError):
                place.unlink()
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(place.name + ".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(Assignment(mat_of(config), assigned)) + b"\n")
            file.flush()
            os.fdatasync(file.fileno())
        fresh.rename(place)
    except OSError as error:
        raise TimingMatError(
            f"assign: it can't be kept in {place} ({error.strerror or error}); nothing was changed"
        ) from error


def mat_of(config: Config) -> Mat:
    """Event, point and mat, as a configuration has them."""
    return (config.mat.event, config.mat.point, config.mat.id)


def _place() -> Path:
    return state_folder() / "assigned.json"
