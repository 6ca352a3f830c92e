"""What is answered to a command, whichever way it came: from this box's own people, or from race control."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path

import msgspec

from reader.box.commands import (
    AskStatus,
    Assign,
    Clocks,
    Gun,
    Identify,
    Mark,
    Ping,
    Release,
    Rewind,
    RunSelfTest,
    SetMode,
    input_from,
    parse,
    utc_ns_from,
)
from reader.clock import Clock, rfc3339_from_utc_ns
from reader.errors import JournalError, TimingMatError, UsageError
from reader.journal import rewind
from reader.links import Links
from reader.messages import SelfTest, Status
from reader.model import Fired, Identity, Marked, Noted
from reader.moding import AskedLeave, AskedMode
from reader.replies import Command, Reply
from reader.selftest.runner import Doing, Found
from reader.uplink import wire

COMMIT_LIMIT_S = 8.0  # for the log to take what was asked for; less than the 10 s for which who asks waits
SOMEBODY = "somebody without a name"


class Answers:
    """May be asked by several at once. ``put`` takes what goes into the log, ``ask`` what may be refused there.

    ``look`` says how the box stands; ``files``: the journals there are, the current one first; ``assign`` makes this
    box another mat. ``examine`` makes a self-test, ``identify`` shows a light, or the whole box, for so many seconds.
    """

    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        links: Links,
        put: Callable[[Marked | Fired | Noted], None],
        ask: Callable[[AskedMode | AskedLeave], Future[str]],
        look: Callable[[], Status],
        files: Callable[[], list[Path]],
        assign: Callable[[tuple[str, str, str]], None],
        examine: Callable[[RunSelfTest], Iterator[Doing | Found | SelfTest]],
        identify: Callable[[str | None, int], str],
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._links = links
        self._put = put
        self._ask = ask
        self._look = look
        self._files = files
        self._assign = assign
        self._examine = examine
        self._identify = identify

    def answer(self, command: Command) -> Reply | Iterator[Reply]:
        """The reply's fields, or those of each page; TimingMatError refuses, in words."""
        asked = parse(command)
        by = asked.by or SOMEBODY
        match asked:
            case Ping():
                return {"box": self._identity.box, "time": rfc3339_from_utc_ns(self._clock.now().utc_ns)}
            case AskStatus():
                return {"status": msgspec.to_builtins(self._look())}
            case Mark() | Gun():
                return self._write_down(asked, by)
            case Clocks():
                return self._clocks(asked, by)
            case Rewind():
                return self._rewind(asked)
            case SetMode():
                return {"says": self._wait(self._ask(AskedMode(asked.mode, by)))}
            case Release():
                return {"says": self._wait(self._ask(AskedMode("released", by)))}
            case Identify():
                return {"says": self._identify(asked.light, asked.for_s)}
            case RunSelfTest():
                return self._selftest(asked)
            case Assign():
                return self._become(asked, by)

    def _write_down(self, asked: Mark | Gun, by: str) -> Reply:
        now = self._clock.now()
        put = input_from(asked, now, is_synced=self._clock.quality().synced)
        self._put(put)
        what = f"mark {asked.text!r}" if isinstance(asked, Mark) else f"gun {asked.name!r}"
        self._put(Noted(now, "command", what, by))
        return {"time": rfc3339_from_utc_ns(put.at.utc_ns)}

    def _clocks(self, asked: Clocks, by: str) -> Reply:
        did = []
        if asked.set:
            did = self._links.set_clocks(asked.reader or None)
            self._put(Noted(self._clock.now(), "command", f"clock set: {'; '.join(did)}", by))
        return {"did": did, "clocks": msgspec.to_builtins(self._links.clocks())}

    def _rewind(self, asked: Rewind) -> Iterator[Reply]:
        wanted = rewind.Wanted(
            epoch=asked.epoch,
            from_seq=asked.from_seq,
            through_seq=asked.through_seq,
            since_utc_ns=None if asked.since is None else utc_ns_from(asked.since, "since"),
            until_utc_ns=None if asked.until is None else utc_ns_from(asked.until, "until"),
            chip=None if asked.chip is None else asked.chip.upper(),
        )
        if asked.epoch is None and (asked.from_seq or asked.through_seq):
            raise UsageError("epoch: missing; a seq is a number within one epoch")
        found = rewind.Rewind(self._files(), wanted)
        try:
            for number, page in enumerate(found.pages, 1):
                entries = [msgspec.Raw(wire.payload(whose, entry)) for whose, entry in found.read(page)]
                yield {"page": number, "pages": len(found.pages), "entries": entries}
        finally:
            found.close()

    def _selftest(self, asked: RunSelfTest) -> Iterator[Reply]:
        for told in self._examine(asked):
            match told:
                case SelfTest():
                    yield msgspec.to_builtins(told)
                case Doing() if asked.live:
                    yield {"doing": told.says}
                case Found() if asked.live:
                    yield {"check": msgspec.to_builtins(told.check), "done": told.nth, "of": told.of}

    def _become(self, asked: Assign, by: str) -> Reply:
        mat = (asked.event, asked.point, asked.mat)
        if mat == (self._identity.event, self._identity.point, self._identity.mat):
            raise UsageError(f"assign: this box is {'/'.join(mat)} already")
        says = self._wait(self._ask(AskedLeave(f"this box becomes {'/'.join(mat)}", by)))
        try:
            self._assign(mat)
        except TimingMatError as error:
            self._put(Noted(self._clock.now(), "config", f"it stays what it is: {error}", by))
            raise
        return {"says": says}

    def _wait(self, answer: Future[str]) -> str:
        try:
            return answer.result(COMMIT_LIMIT_S)
        except NotYet:
            raise JournalError(f"it could not be written down within {COMMIT_LIMIT_S:g} s: ask again") from None
