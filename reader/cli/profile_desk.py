"""Which reader a `timing-mat profile` command means, and the desk at which it is talked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from reader.clock import SystemClock
from reader.config import Config, ReaderSettings, find, load
from reader.errors import ConfigError, PortRefused, ReaderError, UsageError
from reader.line import profile as profiles
from reader.line.desk import Desk
from reader.line.port import Port, find_ports
from reader.line.protocols import BY_NAME, Family, Known
from reader.line.protocols import load as load_family
from reader.line.protocols.asking import Question, Script
from reader.line.protocols.settings import Setting, Value
from reader.model import NS_PER_S, Event

T = TypeVar("T")

ANSWER_NS = 3 * NS_PER_S // 10


class Meant(NamedTuple):
    """A reader as the command line and mat.toml name it; None where neither does. ``beside``: mat.toml's folder."""

    port: str | None = None
    baud: int | None = None
    family: str | None = None
    profile: str | None = None
    beside: Path | None = None

    def loaded(self, name: str | None) -> profiles.Loaded:
        """The profile of that name, or the reader's own."""
        if name is None and self.profile is None:
            raise UsageError("which profile? Give its NAME (timing-mat profile list), or `profile` in the [[reader]].")
        loaded = profiles.load(profiles.find(name or self.profile or "", self.beside))
        if self.family not in (None, "auto", loaded.profile.family):
            problem = f'family: found "{loaded.profile.family}", but the reader is a "{self.family}" in mat.toml'
            raise ConfigError(str(loaded.path), [problem])
        return loaded


class Answering(NamedTuple):
    """A reader that has answered, and what is known of it."""

    desk: Desk
    family: Family
    known: Known
    settings: tuple[Setting, ...]
    on_start: frozenset[str]

    @property
    def says(self) -> str:
        """Who it is, in a line."""
        model = (
            " ".join(filter(None, (self.known.model, self.known.firmware)))
            or f"a reader that speaks {self.family.name}"
        )
        parts = [f"{model} on {self.desk.port.name} at {self.desk.port.baud} baud"]
        if self.known.antennas:
            parts.append(f"antennas {', '.join(map(str, self.known.antennas))}")
        if self.known.region:
            parts.append(f"region {self.known.region}")
        return "; ".join([*parts, *self.known.says])

    def run(self, script: Script[T]) -> T:
        """What the script returns."""
        return self.desk.run(script)

    def region(self) -> Value | None:
        """The region that is set in the reader, or region and channels; None where none is, or it does not tell."""
        for setting in self.settings:
            if setting.key in ("region", "band"):
                found = self.run(setting.ask())
                return None if found == "none" else found
        return None


def meant(config: Path | None, reader: str | None, port: str | None, baud: int | None) -> Meant:
    """The reader of mat.toml, with what the command line says instead."""
    settings = _config(config, is_needed=port is None or reader is not None)
    if settings is None:
        return Meant(port, baud)
    beside = Path(settings.source).absolute().parent
    of_file = _reader(settings, reader, port)
    if of_file is None:
        return Meant(port, baud, beside=beside)
    return Meant(port or of_file.port, baud or of_file.baud, of_file.protocol, of_file.profile, beside)


def beside_config(config: Path | None) -> Path | None:
    """The folder of mat.toml, if there is one that can be read."""
    settings = _config(config, is_needed=False)
    return None if settings is None else Path(settings.source).absolute().parent


@contextmanager
def answering(at: Meant, family_name: str) -> Iterator[Answering]:
    """The reader, once it has answered: at its baud, or at another of its family's. ReaderError where it does not."""
    family, module = BY_NAME[family_name], load_family(family_name)
    port = _open(at, family)
    try:
        bauds = [at.baud or family.baud]
        if "://" not in port.name:  # elsewhere the speed is not ours
            bauds += [baud for baud in family.bauds if baud not in bauds]
        for baud in bauds:
            if port.baud != baud:
                port.set_baud(baud)
            events: list[Event] = []
            desk = Desk(port, module.Decoder(), SystemClock(), events.append)
            if desk.run(_is_anyone_there(family, partial(module.is_proof, events))):
                known = desk.run(module.identify())
                yield Answering(desk, family, known, tuple(module.SETTINGS), module.ON_START)
                return
        tried = ", ".join(map(str, bauds))
        raise ReaderError(
            f"{port.name}: no {family.name} reader answers (tried {tried} baud); check its power, the cable, and that "
            "the profile is for this family of readers"
        )
    finally:
        port.close()


def _is_anyone_there(family: Family, is_proved: Callable[[], bool]) -> Script[bool]:
    # A stream left running proves the family too, and may be all that it says.
    yield Question("who is there", family.question, lambda _: is_proved(), tries=3, wait_ns=ANSWER_NS)
    return is_proved()


def _open(at: Meant, family: Family) -> Port:
    name = at.port
    if name is None or name == "auto":
        found = find_ports()
        if len(found) != 1:
            raise UsageError(
                f"which port? Give --port, one of {', '.join(found)}."
                if found
                else "there is no port: plug the reader in, or give --port."
            )
        name = found[0]
    try:
        return Port(name, at.baud or family.baud, SystemClock())
    except PortRefused as error:
        if "another program" not in str(error):
            raise
        raise PortRefused(
            f"{error}. If it is the mat itself, stop timing-mat first: sudo systemctl stop timing-mat"
        ) from error


def _config(asked: Path | None, *, is_needed: bool) -> Config | None:
    try:
        return load(find(asked))
    except ConfigError:
        if is_needed or asked is not None:
            raise
        return None


def _reader(settings: Config, name: str | None, port: str | None) -> ReaderSettings | None:
    known = {reader.name: reader for reader in settings.readers}
    if name is not None:
        if name not in known:
            raise UsageError(f"--reader {name}: {settings.source} has {', '.join(known)}.")
        return known[name]
    if port is not None:
        return next((reader for reader in settings.readers if reader.port == port), None)
    if len(known) > 1:
        raise UsageError(f"which reader? {settings.source} has several: give --reader {' or --reader '.join(known)}.")
    return settings.readers[0]
