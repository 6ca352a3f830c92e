"""The stage of `timing-mat demo`: its processes, what is heard from them over the broker, and the screen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.live import Live

from reader.cli.watch import POLL_S, ROWS_BESIDE_TABLES, view
from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.errors import TimingMatError
from reader.messages import Split
from reader.model import NS_PER_S
from reader.racecontrol.subscriber import Board, Received, Subscriber
from reader.uplink.wire import Sequenced

MAT = ("demo", "finish", "mat")  # event, point, mat
VERSION: Final = "3.1.1"  # all that the demo's broker speaks
STOP_LIMIT_S = 15.0  # for a process to end when asked
LAST_WORDS_LINES = 12


class _Part(NamedTuple):
    process: subprocess.Popen[bytes]
    log: Path


class Stage:
    """Processes are started and stopped here; all that the mat tells is received, shown and kept."""

    def __init__(self, closing: ExitStack, folder: Path, port: int) -> None:
        self._closing, self._folder = closing, folder
        self._clock = SystemClock()
        self._parts: dict[str, _Part] = {}
        self._board = Board()
        settings = MqttSettings(port=port, version=VERSION)
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

    @property
    def chips_told(self) -> list[str]:
        """The chip of each passing that has a split, whatever its revisions."""
        return [told.split.chip for told in self._board.told.values() if told.split]

    @property
    def has_unsettled(self) -> bool:
        """Something has been heard and has no split yet."""
        return any(told.split is None for told in self._board.told.values())

    def show_until(self, is_over: Callable[[], bool], limit_s: float) -> bool:
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


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
