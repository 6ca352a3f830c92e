"""Where profiles lie, and reading them: every mistake in a file at once, the law's refusals among them."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from reader.config import ReaderSettings
from reader.config.files import read_text
from reader.config.reading import Reading
from reader.errors import ConfigError
from reader.line.profile.agreement import disagreements
from reader.line.profile.law import refusals
from reader.line.profile.schema import KINDS, Profile
from reader.line.profile.words import wanted
from reader.line.protocols.settings import Wanted

ON_THE_BOX = Path("/etc/timing-mat/readers")


class Place(NamedTuple):
    """Where the profile of a name lies."""

    name: str
    path: Path


class Loaded(NamedTuple):
    """A profile, its name and its file."""

    name: str
    path: Path
    profile: Profile

    def wanted(self, *, with_flash: bool = False) -> Wanted:
        """What the family's scripts are given."""
        return Wanted(self.name, wanted(self.profile), with_flash)


def shipped_folder(what: str = "readers") -> Path:
    """``firmware_config/{what}``: within the package where it was installed, beside it in a checkout."""
    package = Path(str(resources.files("reader")))
    installed = package / "data" / "firmware_config" / what
    return installed if installed.is_dir() else package.parent / "firmware_config" / what


def folders(beside: Path | None = None) -> list[Path]:
    """Where profiles are looked for, in this order. ``beside``: the folder of mat.toml, for its ``readers/``."""
    own = [] if beside is None else [beside / "readers"]
    return [*own, ON_THE_BOX, shipped_folder()]


def list_profiles(beside: Path | None = None) -> list[Place]:
    """All profiles by name; of two with one name that which :func:`find` would find."""
    found: dict[str, Place] = {}
    for folder in folders(beside):
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            found.setdefault(path.stem, Place(path.stem, path))
    return sorted(found.values())


def find(name: str, beside: Path | None = None) -> Place:
    """The file of that name, or that file if it is a path. ConfigError names the nearest."""
    if "/" in name or name.endswith(".toml"):
        return Place(Path(name).stem, Path(name))
    known = {place.name: place for place in list_profiles(beside)}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    says = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known) or 'none'}"
    looked = ", ".join(str(folder) for folder in folders(beside))
    raise ConfigError(name, [f"there is no profile of that name (looked in {looked}); {says}"])


def load(place: Place) -> Loaded:
    """The profile in a file. ConfigError says every mistake in it at once, and why the law forbids it."""
    return Loaded(place.name, place.path, loads(read_text(place.path), str(place.path)))


def of_reader(reader: ReaderSettings, source: str) -> Loaded | None:
    """The profile that mat.toml (``source``) names for a reader. ConfigError where it is missing, wrong, another's."""
    if reader.profile is None:
        return None
    loaded = load(find(reader.profile, Path(source).absolute().parent))
    if reader.protocol not in ("auto", loaded.profile.family):
        says = (
            f'reader "{reader.name}" has protocol "{reader.protocol}", and its profile is for {loaded.profile.family}'
        )
        raise ConfigError(source, [f"{says}: expected a profile for the reader that is on the line"])
    return loaded


def loads(text: str, source: str) -> Profile:
    """The profile in a text that stood in ``source``."""
    try:
        found = tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(source, [f"this is no TOML: {str(error)[:200]}"]) from error
    family = found.get("family")
    if not isinstance(family, str) or family not in KINDS:
        raise ConfigError(source, [_family_problem(found)])
    reading = Reading(Path(source).absolute().parent, {})
    draft = reading.table(KINDS[family], found)
    problems = reading.problems + list(disagreements(draft, family))
    problems = problems or refusals(draft)
    if problems:
        raise ConfigError(source, problems)
    return draft


def _family_problem(found: dict[str, Any]) -> str:
    expected = ", ".join(f'"{family}"' for family in KINDS)
    if "family" not in found:
        return f"family: missing; expected one of {expected}"
    value = found["family"]
    near = difflib.get_close_matches(str(value).lower(), KINDS, n=1)
    says = f'; did you mean "{near[0]}"?' if near else ""
    shown = f'"{value[:60]}"' if isinstance(value, str) else type(value).__name__
    return f"family: found {shown}, expected one of {expected}{says}"
