"""A reader's settings as a file: for `profile dump`, and as what was there before `profile apply`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from reader.cli.profile_desk import Answering
from reader.clock import SystemClock
from reader.errors import ConfigError, UsageError
from reader.line import profile as profiles
from reader.line.protocols.settings import dump
from reader.model import NS_PER_S


def before_text(there: Answering, loaded: profiles.Loaded) -> str:
    """The settings as they are, as a profile. ConfigError, in words, where the reader tells too little for one."""
    says = f"what was in the reader before {loaded.name} on {_now():%Y-%m-%d at %H:%M:%S} UTC"
    return _text(there, says, loaded.profile, every_port=True)[0]


def before_path(name: str) -> Path:
    """Where that is kept if nobody says: a file in the state directory that is not there yet."""
    # systemd's StateDirectory= names it; by hand it is the same folder.
    folder = Path(os.environ.get("STATE_DIRECTORY", "/var/lib/timing-mat").split(":")[0])
    stem = f"before-{name}-{_now():%Y%m%dT%H%M%SZ}"
    path, number = folder / f"{stem}.toml", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.toml"
    return path


def dumped(there: Answering, name: str | None, beside: Path | None) -> tuple[str, list[str]]:
    """The text of a profile of the reader's settings, and what is to be known of it."""
    like = None
    if name is not None:
        try:
            like = profiles.load(profiles.find(name, beside)).profile
        except ConfigError:
            like = None  # the dump is not worse for it, it says more often what is to be put right
    if like is not None and like.family != there.family.name:
        like = None
    model = there.known.model or there.family.name
    return _text(there, f"{model}, as it was found", like)


def write_new(path: Path, text: str) -> None:
    """A file that was not there, on disk when this returns. UsageError where it can't be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UsageError(
            f"{path}: can't be written ({error.strerror}), and nothing was changed; choose another file."
        ) from error


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now().utc_ns // NS_PER_S, UTC)


def _text(
    there: Answering, says: str, like: profiles.Profile | None, *, every_port: bool = False
) -> tuple[str, list[str]]:
    values = there.run(dump(there.settings))
    try:
        found, notes = profiles.profile_from_values(
            there.family.name, values, says, there.known.antennas, like, there.on_start, every_port
        )
    except ValueError as error:
        raise ConfigError(there.desk.port.name, [str(error)]) from error
    notes += [f"as it stands this file would be refused: {problem}" for problem in profiles.refusals(found)]
    return profiles.text_from_profile(found, notes), notes
