"""The self-test inside a daemon: one at a time, whoever asks, and beside timing, which knows nothing of it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

import msgspec

from reader.box.commands import RunSelfTest
from reader.clock import Clock
from reader.config import Config
from reader.errors import TimingMatError, UsageError
from reader.links import Links
from reader.messages import SelfTest, Status, Verdict
from reader.model import Identity
from reader.selftest.bench import Bench, Lights
from reader.selftest.runner import Doing, Found, plans_named, run
from reader.selftest.table import PLANS

log = logging.getLogger(__name__)


class SelfTests:
    """``look``: how the box stands; ``lights``: the panel, if there is one; ``say`` publishes a report, retained.

    ``answer``: by the panel, to who pressed the button.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        identity: Identity,
        links: Links,
        look: Callable[[], Status],
        lights: Callable[[], Lights | None],
        say: Callable[[bytes], None],
        answer: Callable[[Verdict], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._identity = identity
        self._links = links
        self._look = look
        self._lights = lights
        self._say = say
        self._answer = answer
        self._said: bytes | None = None
        self._at_work = threading.Lock()
        self._stopping = threading.Event()

    def run(self, asked: RunSelfTest) -> Iterator[Doing | Found | SelfTest]:
        """What is done and found, and last the report. UsageError: not as it was asked, or one is made already."""
        plans = plans_named(asked.checks, PLANS)
        if not self._at_work.acquire(blocking=False):
            raise UsageError("selftest: one is being made already, by the button or by somebody else: wait for its end")
        try:
            with contextlib.closing(run(plans, self._bench(asked))) as telling:
                for told in telling:
                    if self._stopping.is_set():
                        raise UsageError("selftest: it was not finished, for the daemon ends: ask again")
                    if isinstance(told, SelfTest) and asked.publish:
                        self._said = msgspec.json.encode(told)
                        self._say(self._said)
                    yield told
        finally:
            self._at_work.release()

    def begin(self) -> None:
        """As the button asks for it: published, and nothing that transmits or beeps; returns at once."""
        threading.Thread(target=self._run_alone, name="self-test", daemon=True).start()

    def say_again(self) -> None:
        """The last report, if one was published: the uplink is another."""
        if self._said is not None:
            self._say(self._said)

    def stop(self) -> None:
        """One that is being made ends unfinished."""
        self._stopping.set()

    def _run_alone(self) -> None:
        try:
            for told in self.run(RunSelfTest(publish=True)):
                if isinstance(told, SelfTest):
                    log.info("self-test: %s: %s", told.verdict, told.says)
                    self._answer(told.verdict)
        except TimingMatError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("the self-test failed by a fault of this program; please report it")

    def _bench(self, asked: RunSelfTest) -> Bench:
        return Bench(
            config=self._config,
            clock=self._clock,
            identity=self._identity,
            mode=self._look().mode,
            links=self._links,
            status=self._look,
            lights=self._lights(),
            is_allowed=asked.yes,
            seen=asked.seen,
            chip_wait_s=asked.chip_wait_s,
        )
