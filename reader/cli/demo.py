"""`timing-mat demo`: everything on this machine, from a simulated finish line to a live table of splits.

::

    simulated reader ──pseudo-terminal──▶ timing-mat run ──▶ broker ──▶ this command, which counts

The broker and the daemon are processes of their own, the daemon the one that times races; the simulated
reader is a thread here, which knows what was played. All files lie in one folder that is removed at the end.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple, Self

import typer

from reader.cli.demo_stage import MAT, VERSION, Stage
from reader.cli.simulate import FAMILIES, Family
from reader.clock import SystemClock
from reader.errors import TimingMatError, UsageError
from reader.signals import stopping_at
from reader.simulator.line import PseudoTerminal
from reader.simulator.play import Reader, play
from reader.simulator.race import Crossing, made_race
from reader.simulator.signal import Told

BAUD = 115_200
RUNNERS_PER_S = 2.0
RACE_S = 8 * 3600.0  # a race without --duration
READY_LIMIT_S = 30.0
SETTLE_LIMIT_S = 20.0
SLOWEST_S = 0.1  # for one crossing's reads on a line that is full of others'


def demo(
    duration: Annotated[
        float | None, typer.Option(help="Seconds of racing [until Ctrl-C].", min=1, show_default=False)
    ] = None,
    runners: Annotated[
        int | None, typer.Option(help="How many cross [two a second].", min=1, show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The broker's port [any free one].", min=1, max=65535, show_default=False)
    ] = None,
    protocol: Annotated[Family, typer.Option(help="The simulated reader's family.")] = Family.IPICO,
    seed: Annotated[int, typer.Option(help="The same seed plays the same race.")] = 1,
) -> None:
    """Show it all on this machine: a finish line, the daemon, a broker and a live table; no hardware, no set-up.

    The last line counts what was played against what came out at the other end; exit code 1 if a crossing
    was lost or doubled. After --duration it ends by itself, otherwise at Ctrl-C.

    Example: timing-mat demo --duration 10
    """
    if find_spec("amqtt") is None:
        raise UsageError('the demo brings a broker of its own, which is not installed: pip install -e ".[demo]"')
    with ExitStack() as closing:
        told_to_stop = closing.enter_context(stopping_at(signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        folder = Path(closing.enter_context(TemporaryDirectory(prefix="timing-mat-demo-")))
        broker_port = _free_port(port or 0)
        line = closing.enter_context(PseudoTerminal())
        print(f"{protocol} reader on {line.address}, broker on 127.0.0.1, port {broker_port}", flush=True)
        stage = Stage(closing, folder, broker_port)
        stage.start("broker", "reader.cli.demo_broker", f"{broker_port}")
        mat_toml = folder / "mat.toml"
        mat_toml.write_text(_mat_toml(folder, line.address, protocol, broker_port), encoding="utf-8")
        stage.start("daemon", "reader", "run", "--config", f"{mat_toml}")
        if not stage.show_until(lambda: stage.is_online or told_to_stop.is_set(), READY_LIMIT_S):
            raise TimingMatError(f"the daemon was not online within {READY_LIMIT_S:g} s. {stage.last_words()}")

        seconds = duration or RACE_S
        crossings = runners or round(seconds * RUNNERS_PER_S)
        with _Race(protocol, line, crossings, seconds, seed) as race:
            limit_s = seconds + crossings * SLOWEST_S + READY_LIMIT_S
            if not stage.show_until(lambda: race.is_over or told_to_stop.is_set(), limit_s):
                says = f"only {len(race.played)} of {crossings} crossings were played within {limit_s:g} s"
                raise TimingMatError(f"{says}. {stage.last_words()}")
            if told_to_stop.is_set():
                race.stop()
            stage.show_until(lambda: _is_settled(race.played, stage), SETTLE_LIMIT_S)
            stage.stop("daemon")
            # What the daemon still had to say comes before its goodbye.
            stage.show_until(lambda: not stage.is_online, SETTLE_LIMIT_S)
        count = count_from_chips(race.played, stage.chips_told)
    print(count)
    if count.lost or count.doubled:
        raise typer.Exit(1)


class Count(NamedTuple):
    """What went in at the mat against what came out at the broker."""

    crossings: int
    splits: int
    lost: int
    doubled: int

    def __str__(self) -> str:
        return f"{self.crossings} crossings, {self.splits} splits, {self.lost} lost, {self.doubled} doubled"


def count_from_chips(played: Iterable[str], told: Iterable[str]) -> Count:
    """A chip for each crossing against a chip for each passing: what is missing, and what is too much, chip by chip."""
    crossings, passings = Counter(played), Counter(told)
    lost, doubled = crossings - passings, passings - crossings
    return Count(crossings.total(), passings.total(), lost.total(), doubled.total())


def _is_settled(played: list[str], stage: Stage) -> bool:
    """Every crossing has its split, and nothing that was heard still waits for one."""
    return not stage.has_unsettled and not count_from_chips(played, stage.chips_told).lost


class _Race:
    """The simulated reader in a thread of its own, from entering to leaving; it stays after the last crossing.

    ``played``: the chip of each crossing, once its last read has been said.
    """

    def __init__(self, protocol: Family, line: PseudoTerminal, crossings: int, seconds: float, seed: int) -> None:
        self.played: list[str] = []
        self._crossings = crossings
        self._ended = threading.Event()
        race = made_race(crossings, seconds, SystemClock().now().utc_ns, FAMILIES[protocol].chip_from_number, seed)
        reader = FAMILIES[protocol].make_reader(BAUD)
        self._thread = threading.Thread(target=self._play, args=(race, reader, line, seed), name="simulator")
        self._fault: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def is_over(self) -> bool:
        """All crossings have been played. TimingMatError if the thread has ended in the middle."""
        if self._fault is not None:
            raise TimingMatError(f"the simulated reader has failed: {self._fault!r}") from self._fault
        return len(self.played) == self._crossings

    def stop(self) -> None:
        """No crossing more; returns when what was said has been read."""
        self._ended.set()
        self._thread.join()

    def _play(self, race: Iterable[Crossing], reader: Reader, line: PseudoTerminal, seed: int) -> None:
        try:
            play(race, reader, line, seed=seed, waits=True, linger_s=RACE_S, stop=self._ended, tell=self._note)
        except Exception as error:
            self._fault = error

    def _note(self, told: Told) -> None:
        self.played.append(told.crossing.chip)


def _mat_toml(folder: Path, line: str, protocol: Family, port: int) -> str:
    event, point, mat = MAT
    return f"""
        [mat]
        event = "{event}"
        point = "{point}"
        id = "{mat}"
        [[reader]]
        protocol = "{protocol}"
        port = "{line}"
        baud = {BAUD}
        [journal]
        path = {json.dumps(str(folder / "journal.db"))}
        [mqtt]
        port = {port}
        version = "{VERSION}"
        [box]
        control = {json.dumps(str(folder / "control.sock"))}
    """


def _free_port(asked: int) -> int:
    """The port asked for, or for 0 any that is free. UsageError if another program has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", asked))
        except OSError as error:
            raise UsageError(f"--port {asked}: {error.strerror}; choose another, or leave it out") from error
        port: int = probe.getsockname()[1]
        return port
