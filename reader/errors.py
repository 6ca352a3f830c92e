"""Everything that can go wrong, one leaf for each remedy.

::

    TimingMatError
    ├── NoDaemon          1  nothing listens at the control socket: start it, or do without
    ├── UsageError        2  the command was typed in a way that can't work
    ├── ConfigError       3  mat.toml: says every mistake at once, by its full key
    ├── ReaderError       4
    │   ├── PortMissing      the device is not there: plug it in; retried for ever
    │   ├── PortRefused      it is there but can't be opened: permissions, or another program holds it
    │   └── PortGone         it was there and went away in the middle: a cable, a power dip
    ├── JournalError      5
    │   ├── JournalInUse     another daemon writes this journal: stop one of them
    │   ├── JournalDamaged   the file can't be read: it is set aside and a fresh one begun
    │   └── DiskRefused      the disk does not take what is written: read-only, broken
    │       └── DiskFull        it is full: free some
    └── BrokerError       6
        ├── BrokerUnreachable  no answer from that address
        └── BrokerRefused      it answered, and said no: version, account, access

The number is the exit code of the command that ends with it. Libraries' own errors are translated
where they come in, with ``from``; no traceback reaches a user.
"""

from __future__ import annotations


class TimingMatError(Exception):
    """The root: a sentence that says what was found, what was expected and what to do."""

    exit_code = 1


class NoDaemon(TimingMatError):
    """No daemon answers on this box."""


class UsageError(TimingMatError):
    """The command can't be carried out as it was typed."""

    exit_code = 2


class ConfigError(TimingMatError):
    """One or more mistakes in a configuration file; ``problems`` has one sentence each."""

    exit_code = 3

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join([f"{source}:", *(f"  {problem}" for problem in problems)]))


class ReaderError(TimingMatError):
    """The reader, or the line to it."""

    exit_code = 4


class PortMissing(ReaderError):
    """The port is not there."""


class PortRefused(ReaderError):
    """The port is there but can't be opened."""


class PortGone(ReaderError):
    """The port went away while it was in use."""


class JournalError(TimingMatError):
    """The journal, or the disk under it."""

    exit_code = 5


class JournalInUse(JournalError):
    """Another daemon writes this journal."""


class JournalDamaged(JournalError):
    """The file is not a journal, or not a whole one."""


class DiskRefused(JournalError):
    """The disk did not take what was written."""


class DiskFull(DiskRefused):
    """There is no room left."""


class BrokerError(TimingMatError):
    """The MQTT broker, or the way to it."""

    exit_code = 6


class BrokerUnreachable(BrokerError):
    """Nothing answers at the broker's address."""


class BrokerRefused(BrokerError):
    """The broker answered and refused."""
