"""A power cut at every moment of a run: what the daemon wrote and synced is recorded, and played back to any point.

``strace`` records the system calls of the daemon on its journal's folder, and what it handed to the broker's socket.
Played back, they give at each boundary between two of them the disks that a cut there may leave:

::

    sectors    of 512 bytes, each whole. One that was synced holds what it held then. One written since holds that, or
               what any write since made of it: each sector for itself, so a write of several may be torn anywhere
    size       what it was at the last sync, or at any write or cut since; what was never written reads as zeros
    a sync     (fsync, fdatasync) makes data and size of its file certain, when it has returned 0. One that failed makes
               nothing certain, ever: the kernel calls the pages clean, and the next sync leaves them out
    names      making, renaming, removing: certain when the folder was synced. Since then any first part of them, in
               their order, may have reached the disk: ext4, xfs and btrfs log them so. A sync of the file itself does
               not make its name certain (on ext4 it does; POSIX doesn't promise it), nor do names wait for data

The lock and the ballast are left out: nothing is in them. The log's index (``-shm``) is written through a mapping,
which nothing syncs and strace doesn't see: after a cut any state that it ever had may be found, and the test puts one
there. Any other way of writing to a file of the folder (a mapping, one that is not known here) is an error: none goes
unseen.
What was handed to the socket counts as told from the beginning of its call.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
WRITES = "write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,sync_file_range,copy_file_range,mmap"
NAMES = "open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat"
SYNCS = "fsync,fdatasync"
SENDS = "sendto,sendmsg"
NOT_DISK = ("-shm", ".lock", ".ballast")


# ---- what was done ----------------------------------------------------------------------------------------------


class Created(NamedTuple):
    """A name that was not there, with an empty file."""

    name: str


class Wrote(NamedTuple):
    """Bytes into a file."""

    name: str
    offset: int
    data: bytes


class Resized(NamedTuple):
    """Cut, or made longer."""

    name: str
    size: int


class Synced(NamedTuple):
    """Data and size of a file; ``is_done``: it returned without an error."""

    name: str
    is_done: bool


class Renamed(NamedTuple):
    """What had the new name before is gone."""

    old: str
    new: str


class Removed(NamedTuple):
    """A name is gone."""

    name: str


class FolderSynced(NamedTuple):
    """All names of the folder."""


class Sent(NamedTuple):
    """Bytes to a socket, named by both its ends."""

    connection: str
    data: bytes


Done = Created | Wrote | Resized | Synced | Renamed | Removed | FolderSynced | Sent


# ---- recording --------------------------------------------------------------------------------------------------


def strace(output: Path, *further: str) -> list[str]:
    """What to put before a command so that its calls are recorded; the command stays this process's own child."""
    calls = ",".join((WRITES, NAMES, SYNCS, SENDS))
    return [
        *("strace", "--daemonize", "--follow-forks", "--seccomp-bpf", "--quiet=attach,personality", "-xx", "-yy"),
        *("--string-limit=100000000", f"--output={output}", f"--trace={calls}", *further),
    ]


def is_complete(output: Path) -> bool:
    """Whether the recorded process has ended, and its end is written down."""
    text = output.read_text() if output.exists() else ""
    main = text.split(maxsplit=1)[0] if text else ""
    return re.search(rf"^{main} +\+\+\+ .*\+\+\+$", text, re.MULTILINE) is not None


def done_from_strace(text: str, folder: Path, port: int) -> list[Done]:
    """What was done to files of that folder, and sent to that TCP port, in the order in which it was.

    ValueError for what could not be played back.
    """
    done: list[tuple[int, Done]] = []
    for call in _calls(text):
        if call.name in SENDS.split(","):
            done.extend((call.begun, sent) for sent in _sent_by(call, port))
        else:
            done.extend((call.ended, one) for one in _done_by(call, folder))
    return [one for _, one in sorted(done, key=lambda place_and_done: place_and_done[0])]


class _Call(NamedTuple):
    """A system call that returned no error, or a sync that did; between which lines of the record it went on."""

    name: str
    arguments: str
    result: int
    begun: int
    ended: int


_LINE = re.compile(r"(?P<thread>\d+) +(?:<\.\.\. \w+ resumed>|(?P<name>\w+)\()(?P<rest>.*)")
_END = re.compile(r"\) += (?P<result>-?\d+)[^\"]*$")
_UNFINISHED = " <unfinished ...>"
_CUT_OFF = "cut off"
_DESCRIPTOR = re.compile(r"\d+<((?:\\x[0-9a-f]{2})+)>(?!\(deleted\))")
_CONNECTION = re.compile(r"\d+<(TCP:\[[^\]]*->[^\]]*:(?P<port>\d+)\])>")
_QUOTED = re.compile(r'"([^"]*)"')


def _calls(text: str) -> Iterator[_Call]:
    begun: dict[str, tuple[str, str, int]] = {}
    for number, line in enumerate(text.splitlines()):
        match = _LINE.fullmatch(line)
        if match is None:
            continue  # a signal, the end of a thread
        thread, name, rest = match["thread"], match["name"], match["rest"]
        arguments, since = "", number
        if name is None:
            name, arguments, since = begun.pop(thread)
        if end := _END.search(rest):
            result = int(end["result"])
            if result >= 0 or name in SYNCS.split(","):
                yield _Call(name, arguments + rest[: end.start()], result, since, number)
        else:
            begun[thread] = (name, arguments + rest.removesuffix(_UNFINISHED), since)
    for name, arguments, since in begun.values():
        if name not in SENDS.split(","):
            yield _Call(_CUT_OFF, arguments, 0, since, since)


def _done_by(call: _Call, folder: Path) -> Iterator[Done]:
    """What a call did in the folder, if anything."""
    descriptors = [_text(found[1]) for found in _DESCRIPTOR.finditer(call.arguments)]
    quoted = _QUOTED.findall(call.arguments)
    match call.name:
        case "fsync" | "fdatasync" if descriptors == [str(folder)]:
            if call.result == 0:
                yield FolderSynced()
        case "fsync" | "fdatasync":
            yield from (Synced(name, call.result == 0) for name in _names(descriptors, folder))
        case "pwrite64":
            for name in _names(descriptors, folder):
                yield Wrote(name, int(call.arguments.rsplit(", ", 1)[1]), _bytes(quoted[0])[: call.result])
        case "ftruncate":
            for name in _names(descriptors, folder):
                yield Resized(name, int(call.arguments.rsplit(", ", 1)[1]))
        case "open" | "openat":
            for name in _names([_text(quoted[0])], folder):
                if "O_CREAT" in call.arguments:
                    yield Created(name)
                if "O_TRUNC" in call.arguments:
                    yield Resized(name, 0)
        case "rename" | "renameat" | "renameat2":
            names = _names(map(_text, quoted), folder)
            if len(names) == 1:
                raise ValueError(f"renamed into or out of the folder: {names[0]}")
            if names:
                yield Renamed(names[0], names[1])
        case "unlink" | "unlinkat":
            yield from map(Removed, _names([_text(quoted[0])], folder))
        case "mmap" if "PROT_WRITE" not in call.arguments or "MAP_SHARED" not in call.arguments:
            pass
        case _:
            if names := _names([*descriptors, *map(_text, quoted)], folder):
                raise ValueError(f"{call.name} of {names[0]} can't be played back")


def _names(paths: Iterable[str], folder: Path) -> list[str]:
    """The names of those that lie in the folder and are of the disk."""
    return [Path(path).name for path in paths if Path(path).parent == folder and not path.endswith(NOT_DISK)]


def _sent_by(call: _Call, port: int) -> Iterator[Sent]:
    connection = _CONNECTION.match(call.arguments)
    if connection is not None and int(connection["port"]) == port:
        if call.name != "sendto":
            raise ValueError(f"{call.name} to {connection[1]} can't be played back")
        yield Sent(connection[1], _bytes(_QUOTED.findall(call.arguments)[0])[: call.result])


def _bytes(quoted: str) -> bytes:
    return bytes.fromhex(quoted.replace("\\x", ""))


def _text(quoted: str) -> str:
    return _bytes(quoted).decode(errors="replace")


# ---- what was told ----------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A message published: ``what`` is the end of its topic."""

    what: str
    payload: bytes


class Uplink:
    """The messages in what went to the broker; of each connection, as its bytes come."""

    def __init__(self) -> None:
        self._unread: dict[str, bytes] = {}
        self._is_5: dict[str, bool] = {}

    def take(self, sent: Sent) -> list[Told]:
        """Messages whose last byte is among these."""
        unread = self._unread.get(sent.connection, b"") + sent.data
        told = []
        while (packet := _packet(unread)) is not None:
            kind, body, unread = packet
            if kind >> 4 == CONNECT:
                self._is_5[sent.connection] = body[6] == 5
            elif kind >> 4 == PUBLISH:
                told.append(_published(kind, body, is_5=self._is_5[sent.connection]))
        self._unread[sent.connection] = unread
        return told


CONNECT, PUBLISH = 1, 3


def _packet(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first MQTT packet: its first byte, its body, and what comes after it; None if it isn't all there."""
    length, place = _varint(data, 1)
    if place == 0 or len(data) < place + length:
        return None
    return data[0], data[place : place + length], data[place + length :]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """The number that begins there, and where it ends; (0, 0) if it isn't all there."""
    number = 0
    for shift, byte in enumerate(data[place : place + 4]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, place + shift + 1
    return 0, 0


def _published(kind: int, body: bytes, *, is_5: bool) -> Told:
    place = 2 + int.from_bytes(body[:2], "big")
    topic = body[2:place].decode()
    place += 2 * bool(kind & 0b110)  # with QoS 1 it has a number
    if is_5:
        length, place = _varint(body, place)
        place += length
    return Told(topic.rsplit("/", 1)[1], body[place:])


# ---- the disk ---------------------------------------------------------------------------------------------------


class File:
    """A file as the process sees it, and what of it is on the disk: see the module's docstring."""

    def __init__(self) -> None:
        self.now = bytearray()
        self._certain = bytearray()
        self._sectors: dict[
            int, list[bytes]
        ] = {}  # those that are not certain: all that may be there, the oldest first
        self._sizes = [0]
        self._to_sync: set[int] = set()
        self._has_size_to_sync = False

    def write(self, offset: int, data: bytes) -> None:
        """As pwrite does."""
        end = offset + len(data)
        if end > len(self.now):
            self.resize(end)
        self.now[offset:end] = data
        self._note(range(offset // SECTOR, -(-end // SECTOR)))

    def resize(self, size: int) -> None:
        """As ftruncate does: what was cut off is zeros, should the file grow again."""
        if size == len(self.now):
            return
        old = len(self.now)
        self.now[size:] = bytes(max(0, size - old))
        self._sizes.append(size)
        self._has_size_to_sync = True
        if size < old:
            self._note(range(size // SECTOR, -(-old // SECTOR)))

    def sync(self, *, is_done: bool) -> None:
        """All that was written since the last sync is certain; or, if it failed, will never be by a sync to come."""
        if is_done:
            for sector in self._to_sync:
                _put(self._certain, sector, self._sectors.pop(sector)[-1])
            if self._has_size_to_sync:
                self._sizes = self._sizes[-1:]
        self._to_sync.clear()
        self._has_size_to_sync = False

    def after_cut(self, choose: Choose) -> bytes:
        """What may be found of it."""
        data = bytearray(self._certain)
        for sector, versions in self._sectors.items():
            _put(data, sector, versions[choose(len(versions))])
        size = self._sizes[choose(len(self._sizes))]
        return bytes(data[:size].ljust(size, b"\0"))

    def _note(self, sectors: Iterable[int]) -> None:
        for sector in sectors:
            place = slice(sector * SECTOR, (sector + 1) * SECTOR)
            versions = self._sectors.setdefault(sector, [bytes(self._certain[place]).ljust(SECTOR, b"\0")])
            versions.append(bytes(self.now[place]).ljust(SECTOR, b"\0"))
            self._to_sync.add(sector)


def _put(data: bytearray, sector: int, contents: bytes) -> None:
    place = sector * SECTOR
    data.extend(bytes(max(0, place - len(data))))
    data[place : place + SECTOR] = contents


Choose = Callable[[int], int]
"""Of so many versions, the oldest first, one."""


def oldest(_versions: int) -> int:
    """Nothing that was not synced is there."""
    return 0


def newest(versions: int) -> int:
    """All is there that was done."""
    return versions - 1


def by(dice: random.Random) -> Choose:
    """Each part for itself; now mostly old ones, now mostly new ones."""
    weight = dice.choice((0.1, 0.5, 0.9))
    return lambda versions: versions - 1 if dice.random() < weight else dice.randrange(versions)


class Disk:
    """The folder: what was done to it, and what a cut leaves of it."""

    def __init__(self) -> None:
        self._names: list[dict[str, File]] = [{}]  # as they may be on the disk, the oldest first

    def do(self, done: Done) -> None:
        """As the process did."""
        names = self._names[-1]
        match done:
            case Created(name):
                if name not in names:
                    self._names.append(names | {name: File()})
            case Wrote(name, offset, data):
                names[name].write(offset, data)
            case Resized(name, size):
                names[name].resize(size)
            case Synced(name, is_done):
                names[name].sync(is_done=is_done)
            case Renamed(old, new):
                rest = {name: file for name, file in names.items() if name != old}
                self._names.append(rest | {new: names[old]})
            case Removed(name):
                self._names.append({other: file for other, file in names.items() if other != name})
            case FolderSynced():
                del self._names[:-1]

    def now(self) -> dict[str, bytes]:
        """What the process sees; what `kill -9` leaves."""
        return {name: bytes(file.now) for name, file in self._names[-1].items()}

    def after_cut(self, choose: Choose) -> dict[str, bytes]:
        """What may be found after a cut now."""
        names = self._names[choose(len(self._names))]
        return {name: file.after_cut(choose) for name, file in names.items()}
