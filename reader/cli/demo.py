"""`timing-mat demo`: everything on this machine, from a simulated finish line to a live table of splits.

::

    simulated reader ──pseudo-terminal──▶ timing-mat run ──▶ broker ──▶ this command, which counts

The broker and the daemon are processes of their own, the daemon the one that times races; the simulated
reader is a thread here, which knows what was played. All files lie in one folder that is removed at the end.
"""

from __future__ import annotations

import json
import math
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple, Self

import typer
from rich.console import Console
from rich.live import Live

from reader.cli.simulate import FAMILIES, Family
from reader.cli.watch import POLL_S, ROWS_BESIDE_TABLES, view
from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.errors import TimingMatError, UsageError
from reader.model import NS_PER_S, Split
from reader.racecontrol.subscriber import Board, Received, Subscriber
from reader.simulator.ipico import IpicoReader
from reader.simulator.line import PseudoTerminal
from reader.simulator.play import Reader, play
from reader.simulator.race import Crossing, made_race
from reader.simulator.signal import Told
from reader.simulator.thingmagic import ThingMagicReader
from reader.uplink.wire import Sequenced

MAT = ("demo", "finish", "mat")  # event, point, mat
BAUD = 115_200
RUNNERS_PER_S = 2.0
DAY_S = 8 * 3600.0  # a race without --duration
READY_LIMIT_S = 30.0
SETTLE_LIMIT_S = 20.0
STOP_LIMIT_S = 15.0  # for a process to end when asked
LAST_WORDS_LINES = 12


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
        told_to_stop = closing.enter_context(_stop_on_signals())
        folder = Path(closing.enter_context(TemporaryDirectory(prefix="timing-mat-demo-")))
        broker_port = _free_port(port or 0)
        line = closing.enter_context(PseudoTerminal())
        print(f"{protocol} reader on {line.address}, broker on 127.0.0.1, port {broker_port}", flush=True)
        stage = _Stage(closing, folder, broker_port)
        stage.start("broker", "reader.cli.demo_broker", f"{broker_port}")
        mat_toml = folder / "mat.toml"
        mat_toml.write_text(_mat_toml(folder, line.address, protocol, broker_port), encoding="utf-8")
        stage.start("daemon", "reader", "run", "--config", f"{mat_toml}")
        if not stage.show_until(lambda: stage.is_online or told_to_stop.is_set(), READY_LIMIT_S):
            raise TimingMatError(f"the daemon was not online within {READY_LIMIT_S:g} s. {stage.last_words()}")

        seconds = duration or DAY_S
        crossings = runners or round(seconds * RUNNERS_PER_S)
        with _Race(protocol, line, crossings, seconds, seed) as race:
            stage.show_until(lambda: race.is_over or told_to_stop.is_set())
            if told_to_stop.is_set():
                race.stop()
            stage.show_until(lambda: stage.is_settled(race.played), SETTLE_LIMIT_S)
            stage.stop("daemon")
            # What the daemon still had to say comes before its goodbye.
            stage.show_until(lambda: not stage.is_online, SETTLE_LIMIT_S)
        count = stage.count(race.played)
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


class _Race:
    """The simulated reader in a thread of its own, from entering to leaving; it stays after the last crossing.

    ``played``: the chip of each crossing, once its last read has been said.
    """

    def __init__(self, protocol: Family, line: PseudoTerminal, crossings: int, seconds: float, seed: int) -> None:
        self.played: list[str] = []
        self._crossings = crossings
        self._ended = threading.Event()
        race = made_race(crossings, seconds, SystemClock().now().utc_ns, FAMILIES[protocol].chip_from_number, seed)
        reader = IpicoReader(BAUD) if protocol is Family.IPICO else ThingMagicReader(BAUD)
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
            play(race, reader, line, seed=seed, waits=True, linger_s=DAY_S, stop=self._ended, tell=self._note)
        except Exception as error:
            self._fault = error

    def _note(self, told: Told) -> None:
        self.played.append(told.crossing.chip)


class _Part(NamedTuple):
    process: subprocess.Popen[bytes]
    log: Path


class _Stage:
    """The processes, what is heard from them over the broker, and the screen."""

    def __init__(self, closing: ExitStack, folder: Path, port: int) -> None:
        self._closing, self._folder = closing, folder
        self._clock = SystemClock()
        self._parts: dict[str, _Part] = {}
        self._board = Board()
        settings = MqttSettings(port=port, version="3.1.1")
        self._subscriber = Subscriber(settings, self._clock, MAT[0])
        closing.callback(self._subscriber.close)
        self._show = closing.enter_context(_screen(self._board))

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Run a module of ours as a process, to be stopped at the end."""
        log = self._folder / f"{name}.log"
        # A session of its own: Ctrl-C is for this command, which stops the others in order. -P: the working
        # directory may hold a `reader` of its own.
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own modules, by our own interpreter
                [sys.executable, "-P", "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._closing.callback(_stop, process)
        self._parts[name] = _Part(process, log)

    def stop(self, name: str) -> None:
        """End one of them ahead of the others."""
        _stop(self._parts.pop(name).process)

    @property
    def is_online(self) -> bool:
        """The mat has said that it is there, which also shows that this command is subscribed."""
        link = self._board.links.get(MAT)
        return link is not None and link.link == "online"

    def is_settled(self, played: list[str]) -> bool:
        """Every crossing has its split, and nothing that was heard still waits for one."""
        return not self.count(played).lost and all(told.split is not None for told in self._board.told.values())

    def count(self, played: list[str]) -> Count:
        """How it stands."""
        return count_from_chips(played, [told.split.chip for told in self._board.told.values() if told.split])

    def show_until(self, is_over: Callable[[], bool], limit_s: float = math.inf) -> bool:
        """Receive and show until then; False where that did not come in time. TimingMatError if a part has died."""
        end_ns = self._clock.mono_ns() + limit_s * NS_PER_S
        while not is_over():
            if self._clock.mono_ns() > end_ns:
                return False
            for name, part in self._parts.items():
                if part.process.poll() is not None:
                    raise TimingMatError(f"the {name} has ended by itself. {self.last_words(name)}")
            new = [received for received in self._subscriber.poll(POLL_S) if self._board.add(received)]
            self._show(new, self._subscriber.trouble)
        return True

    def last_words(self, name: str = "daemon") -> str:
        """The end of what a part has written, for people."""
        lines = self._parts[name].log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n  ".join([f"The {name} wrote last:", *(lines[-LAST_WORDS_LINES:] or ["nothing"])])


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
        version = "3.1.1"
        [box]
        control = {json.dumps(str(folder / "control.sock"))}
    """


@contextmanager
def _screen(board: Board) -> Iterator[Callable[[list[Received], str], None]]:
    """What shows the new messages and the trouble: a live table, or in a pipe a line for each passing."""
    console = Console()
    if not console.is_terminal:
        yield lambda new, _trouble: _print_passings(new)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda _new, trouble: live.update(view(board, trouble, console.height - ROWS_BESIDE_TABLES), refresh=True)


def _print_passings(new: list[Received]) -> None:
    for received in new:
        match received.message:
            case Sequenced(body=Split(rev=1) as split):
                print(f"{split.time}  {split.chip}  {split.reads} reads", flush=True)


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Set by Ctrl-C, by SIGTERM and by the terminal's going: each ends the demo in order, counted and cleaned up."""
    told = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: told.set()) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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
