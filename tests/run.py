"""A run of the recorder on real files, without the daemon's threads, and what its log then tells."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from reader.journal import JournalView
from reader.lines import LinesSettings
from reader.messages import Body, Coverage, Gun, Marker, Notice, Split
from reader.model import NS_PER_S, ChipRead, Hearing, Identity, Input, Instant, Reads
from reader.passing import Rules
from reader.recorder import Recorder
from reader.resume import Resumed, resume
from tests.fakes.clock import FakeClock

RULES = Rules("best", "finish", 850_000_000, 20 * NS_PER_S, 8 * NS_PER_S, "host")
ONE_LINE = LinesSettings({"north": "main"}, {"main": RULES})
MAT = Identity("race", "finish", "finish-main", "box-1")
_body = msgspec.json.Decoder(Body)


class NoMark:
    """Nothing is known of the last run but what its journal says."""

    def read(self, boot: str) -> int | None:
        return None

    def write(self, boot: str, at: Instant) -> None:
        pass


class Run:
    """The daemon from a start to its sudden end, without its threads: what it is given is committed at once."""

    def __init__(
        self,
        path: Path,
        clock: FakeClock,
        settings: LinesSettings = ONE_LINE,
        identity: Identity = MAT,
        memory: Sequence[Path] = (),
    ) -> None:
        self.path = path
        self.clock = clock
        self.resumed: Resumed = resume(
            path=path,
            identity=identity,
            role="main",
            settings=settings,
            bibs=None,
            tells_heard=False,
            clock=clock,
            alive=NoMark(),
            told=lambda _: None,
            moved=lambda: None,
            memory=memory,
        )
        self.recorder: Recorder = self.resumed.recorder

    def take(self, *inputs: Input) -> None:
        """These and the deadlines up to now, in one round."""
        for given in inputs:
            self.recorder.put(given)
        self.recorder.stop()
        self.recorder.run()

    def hear(
        self, *reads: tuple[str, int], ago_s: float = 0, reader: str = "north", error_us: int | None = None
    ) -> None:
        """Chips and how strong; with ``error_us`` by the reader's own clock, disciplined."""
        now = self.clock.now()
        ago_ns = round(ago_s * NS_PER_S)
        at = Instant(now.utc_ns - ago_ns, now.mono_ns - ago_ns)
        given = Reads(reader, at, 0, [ChipRead(chip, 1, dbm, None, None, 0) for chip, dbm in reads])
        if error_us is not None:
            given = replace(given, time_from="disciplined", error_us=error_us)
        self.take(given)

    def begin_hearing(self, *readers: str) -> None:
        for reader in readers or ("north",):
            self.take(Hearing(reader, self.clock.now(), hears=True, reason="it answers"))

    def wait(self, seconds: float) -> None:
        """Time goes by, in one step."""
        self.clock.go(seconds)
        self.take()

    def die(self, folder: Path | None = None) -> Path:
        """The files as they lie there when the process is gone; into another folder, or in their place."""
        folder = folder or self.path.parent / f"after-{self.path.parent.name}"
        folder.mkdir()
        for ending in ("", "-wal"):
            shutil.copy(self.path.with_name(self.path.name + ending), folder)
        self.recorder.journal.close()
        return folder / self.path.name

    def end(self) -> None:
        self.recorder.journal.close()


class Bodies(NamedTuple):
    """All that a journal tells, in order."""

    splits: list[Split]
    coverages: list[Coverage]
    notices: list[Notice]
    guns: list[Gun]
    markers: list[Marker]

    def last_revisions(self) -> dict[str, Split]:
        """By passing; no revision left out or told twice."""
        last: dict[str, Split] = {}
        for split in self.splits:
            assert split.rev == (last[split.passing].rev + 1 if split.passing in last else 1)
            last[split.passing] = split
        return last


def told(path: Path) -> Bodies:
    """The whole log; each epoch's ``seq`` without a gap."""
    bodies = Bodies([], [], [], [], [])
    view = JournalView(path)
    for row in view.epochs():
        entries = view.entries(row.epoch, 0, 10_000)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        for entry in entries:
            body = _body.decode(entry.body)
            match body:
                case Split():
                    bodies.splits.append(body)
                case Coverage():
                    bodies.coverages.append(body)
                case Notice():
                    bodies.notices.append(body)
                case Gun():
                    bodies.guns.append(body)
                case Marker():
                    bodies.markers.append(body)
    view.close()
    return bodies


def booted(clock: FakeClock, after_s: float, *, synced: bool = True) -> FakeClock:
    """The box started anew: its monotonic clock counts from zero again."""
    utc_ns = clock.now().utc_ns + round(after_s * NS_PER_S)
    return FakeClock("boot-b", utc_ns=utc_ns, mono_ns=7 * NS_PER_S, synced=synced)
