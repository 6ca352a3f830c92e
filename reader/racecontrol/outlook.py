"""Tells each mat who is still to come: what `expecting` computes, with the wishes of race control on top, as `expect`.

Retained, at a change, but at most once a second; and at least every minute, so that no mat takes it for stale.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from reader.clock import Clock
from reader.errors import JournalError
from reader.model import NS_PER_S
from reader.racecontrol.collector import Collector
from reader.racecontrol.epochs import Mat
from reader.racecontrol.expecting import Expecting
from reader.racecontrol.store import News, Store, WishRow
from reader.racecontrol.wished import Wish
from reader.uplink.broker import Outgoing
from reader.uplink.wire import Expect

LOOK_NS = NS_PER_S
AGAIN_NS = 60 * NS_PER_S


class _Said(NamedTuple):
    expect: Expect
    at_ns: int
    connects: int


class Outlook:
    """``topics``: the levels before ``{point}/{mat}``, with slashes between."""

    def __init__(self, expecting: Expecting, collector: Collector, store: Store, clock: Clock, topics: str) -> None:
        self._expecting = expecting
        self._collector = collector
        self._store = store
        self._clock = clock
        self._topics = topics
        self._said: dict[Mat, _Said] = {}
        self._wish_n = 0
        self._unpublished: list[WishRow] = []
        self._look_at_ns = 0
        self._take_wishes()
        for point, chip, bib, mode, use, utc_us in store.passings():
            expecting.note(point, chip=chip, bib=bib, mode=mode, use=use, utc_ns=utc_us * 1000)

    def note(self, news: Iterable[News]) -> None:
        """These have been seen."""
        for split, _, _ in news:
            utc_ns = split.utc_us * 1000
            self._expecting.note(
                split.point, chip=split.chip, bib=split.bib, mode=split.mode, use=split.use, utc_ns=utc_ns
            )

    def turn(self) -> None:
        """Say what has changed, where a second has gone since it was last looked."""
        now_ns = self._clock.mono_ns()
        if now_ns < self._look_at_ns:
            return
        self._look_at_ns = now_ns + LOOK_NS
        self._take_wishes()
        told = {key for key in self._collector.mats if self._tell(key, now_ns)}
        for wish in list(self._unpublished):
            if any(wish.point in ("", point) and wish.mat in (None, mat) for point, mat in told):
                self._unpublished.remove(wish)
                self._collector.note_done(wish.n)

    def _tell(self, key: Mat, now_ns: int) -> bool:
        """Whether that mat has been told how it is now."""
        point, mat = key
        expect = self._expecting.expect(point, self._clock.now().utc_ns, mat)
        if expect is None:
            return False
        said = self._said.get(key)
        if (
            said is not None
            and said.connects == self._collector.connects
            and now_ns - said.at_ns < AGAIN_NS
            and msgspec.structs.replace(said.expect, as_of=expect.as_of) == expect
        ):
            return True
        topic = f"{self._topics}/{point}/{mat}/expect"
        if not self._collector.say(Outgoing(topic, msgspec.json.encode(expect), retain=True)):
            return False
        self._said[key] = _Said(expect, now_ns, self._collector.connects)
        return True

    def _take_wishes(self) -> None:
        try:
            rows = self._store.wishes(self._wish_n)
        except JournalError:
            return  # the next commit says so, and the next look tries again
        for row in rows:
            self._wish_n = row.n
            try:
                wish = msgspec.json.decode(row.body, type=Wish)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                self._collector.says.append(f"wish {row.n} makes no sense and is left out: {error}")
                continue
            self._expecting.wish(wish, row.point, row.mat)
            if not row.done:
                self._unpublished.append(row)
