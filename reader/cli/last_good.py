"""The last configuration that was good, kept for `run --keep-going`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from reader.box.state_folder import state_folder
from reader.config import Config, load, loads
from reader.errors import ConfigError


def keep_last_good(path: Path) -> None:
    """Keep a copy of a file that was found good, and where it stood: relative paths in it start from there."""
    with contextlib.suppress(OSError):
        text = path.read_text(encoding="utf-8-sig")
        place = _place()
        place.parent.mkdir(parents=True, exist_ok=True)
        kept = f"# last good copy of: {path.absolute()}\n{text}"
        if place.exists() and place.read_text(encoding="utf-8") == kept:
            return  # the card is spared
        fresh = place.with_name(place.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(kept)
            file.flush()
            os.fdatasync(file.fileno())
        fresh.rename(place)


def load_last_good() -> Config | None:
    """The configuration kept, or None if there is none or it is good no longer."""
    place = _place()
    try:
        text = place.read_text(encoding="utf-8")
        first, _, rest = text.partition("\n")
        _, _, source = first.partition("# last good copy of: ")
        return loads(rest, source) if source else load(place)
    except (OSError, ConfigError):
        return None


def _place() -> Path:
    return state_folder() / "mat.last-good.toml"
