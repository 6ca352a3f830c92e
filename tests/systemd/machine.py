"""A machine of its own with a real systemd: a container of systemd-nspawn that boots, over layers of folders.

It shares the kernel, the clock and, where it has a network, the network of the machine that runs the tests.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reader.box.control import ask
from reader.errors import TimingMatError
from tests.waiting import wait_until

CONTROL = "run/timing-mat/control.sock"
PROPAGATED = Path("/run/systemd/nspawn/propagate")
BOOT_LIMIT_S = 60.0
NUMBERS = itertools.count(1)
WANTS_TO_REBOOT = 133  # systemd-nspawn's exit code with --keep-unit


class Machine:
    """``layers``: what its disk is made of, the upper ones first; what it writes goes to ``upper``, else is its own.

    ``binds``: folders or devices of this machine, by path, and where they are in that one. Inside ``with`` its
    files can be written at :attr:`root`; it runs from :meth:`boot` on.
    """

    def __init__(
        self,
        folder: Path,
        layers: Sequence[Path],
        *,
        upper: Path | None = None,
        binds: Mapping[str, str] | None = None,
        has_network: bool = True,
    ) -> None:
        self.root = folder / "root"
        self._folder = folder
        self._layers = layers
        self._upper = upper or folder / "upper"
        self._binds = dict(binds or {})
        self._has_network = has_network
        self._process: subprocess.Popen[bytes] | None = None
        self._name = f"mat-{os.getpid()}-{next(NUMBERS)}"
        self._cgroup = _cgroups() / self._name

    def __enter__(self) -> Self:
        work = self._folder / "work"
        for folder in (self.root, self._upper, work):
            folder.mkdir(parents=True)
        self._cgroup.mkdir()
        lower = ":".join(map(str, self._layers))
        options = f"lowerdir={lower},upperdir={self._upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)], check=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and self._process is not None and self._process.poll() is None:
                print(self.log())
        finally:
            self.kill()
            subprocess.run(["umount", str(self.root)], check=True)
            shutil.rmtree(self._folder / "work")
            if error is None:
                shutil.rmtree(self._folder / "upper", ignore_errors=True)  # a hundred megabytes, perhaps
            shutil.rmtree(PROPAGATED / self._name, ignore_errors=True)  # nspawn leaves it where /run is on a disk
            wait_until(lambda: _is_removed(self._cgroup), 10, "the end of all its processes")

    # ---- while it stands still ---------------------------------------------------------------------------

    def path(self, inside: str) -> Path:
        """A file of its disk, seen from here; not of its /run and /tmp, which are in its memory."""
        return self.root / inside.lstrip("/")

    def write(self, inside: str, text: str | bytes, mode: int = 0o644) -> Path:
        """Write a file of its disk, and the folders above it."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def run_alone(self, *command: str) -> str:
        """Run a command on its disk without booting; what it printed. AssertionError where it fails."""
        ended = subprocess.run(
            [*self._nspawn(), "--pipe", *command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert ended.returncode == 0, f"{' '.join(command)}:\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    # ---- power -------------------------------------------------------------------------------------------

    def boot(self, *, waits: bool = True) -> str:
        """Switch it on; with ``waits`` until systemd has started all there is: "running", or "degraded"."""
        assert self._process is None
        console = (self._folder / "console.txt").open("ab")
        with console:
            self._process = subprocess.Popen(
                [*self._nspawn(), "--boot", "--console=pipe"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        return self.wait_until_booted() if waits else ""

    def wait_until_booted(self) -> str:
        """What `systemctl is-system-running` says when nothing is left to be started."""

        def state() -> str:
            word = self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
            return word if word in ("running", "degraded") else ""

        return wait_until(state, BOOT_LIMIT_S, "the end of the boot")

    def reboot(self, *, waits: bool = True) -> str:
        """Restart it, as `systemctl reboot` does; as :meth:`boot`."""
        assert self._process is not None
        self.run("systemctl", "reboot", "--check-inhibitors=no", check=False)
        assert self._process.wait(BOOT_LIMIT_S) == WANTS_TO_REBOOT
        self._process = None
        return self.boot(waits=waits)

    def poweroff(self) -> None:
        """Shut it down in order, as root does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(BOOT_LIMIT_S)
        self._process = None

    def kill(self) -> None:
        """All of it ends at once; what was not synced is still written, unlike in a power cut."""
        if self._process is not None:
            if (init := self._find_init()) is not None:
                os.kill(init, signal.SIGKILL)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
            self._process = None

    # ---- while it runs -----------------------------------------------------------------------------------

    @property
    def init_pid(self) -> int:
        """Its process 1, by its number here."""
        return wait_until(self._find_init, 10, "the machine's first process") or 0

    def run(self, *command: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in it, as root. AssertionError where it fails, unless ``check`` is False."""
        enter = ("nsenter", "--target", str(self.init_pid), "--all", "--root", "--wd")
        clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
        ended = subprocess.run([*enter, *clean, *command], capture_output=True, text=True, input=stdin)
        assert not check or ended.returncode == 0, f"{' '.join(command)}:\n{ended.stdout}\n{ended.stderr}"
        return ended

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, as in "MainPID"."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()

    def log(self, *units: str) -> str:
        """What was logged in this boot, by these units or by all."""
        arguments = [f"--unit={unit}" for unit in units]
        return self.run("journalctl", "--boot", "--no-pager", "--output=short-precise", *arguments, check=False).stdout

    # ---- the mat in it -----------------------------------------------------------------------------------

    def pid_of(self, unit: str = "timing-mat") -> int:
        """The number here of a service's process; 0 if it has none."""
        inside = self.show(unit, "MainPID")
        if inside == "0":
            return 0
        ours = Path(f"/proc/{self.init_pid}/ns/pid").readlink()
        # The same process has a number in each namespace: its last one is the machine's own.
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()
                if numbers[-1] == inside and (status.parent / "ns/pid").readlink() == ours:
                    return int(status.parent.name)
            except (OSError, StopIteration):
                continue  # it has just ended
        return 0

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """What the daemon answers on its control socket. TimingMatError while there is none."""
        return ask(Path(f"/proc/{self.init_pid}/root") / CONTROL, command)

    def status(self) -> dict[str, Any]:
        """What the daemon says of itself, as soon as there is one to ask."""

        def answer() -> dict[str, Any] | None:
            try:
                return self.ask({"do": "status"})
            except TimingMatError:
                return None

        reply = wait_until(answer, BOOT_LIMIT_S, "an answer of the daemon")
        status: dict[str, Any] = reply["status"] if reply else {}
        return status

    def wait_for_recording(self, limit_s: float = 30.0) -> dict[str, Any]:
        """Until a reader hears; the status then."""

        def recording() -> dict[str, Any] | None:
            status = self.status()
            return status if status["recording"] else None

        return wait_until(recording, limit_s, "recording") or {}

    def _nspawn(self) -> list[str]:
        binds = [f"--bind={here}:{there}" for here, there in self._binds.items()]
        return [
            # A control group of its own: two containers in one would share those of their services.
            *("sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self._cgroup / "cgroup.procs")),
            *("systemd-nspawn", "--quiet", "--directory", str(self.root), f"--machine={self._name}", "--hostname=mat"),
            *("--register=no", "--keep-unit"),  # the machine that runs the tests may have no systemd of its own
            # What a real machine's kernel lets through, and a container's does not unless told: to read how the clock
            # stands; and bpf, by which systemd holds a service to its devices.
            "--system-call-filter=adjtimex clock_adjtime bpf",
            *(() if self._has_network else ("--private-network",)),
            *binds,
        ]

    def _find_init(self) -> int | None:
        assert self._process is not None
        assert self._process.poll() is None, f"the machine went off: {(self._folder / 'console.txt').read_text()}"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for child in map(int, children):
            if f"\t{child}\t1\n" in Path(f"/proc/{child}/status").read_text():
                return child
        return None


def threads_of(pid: int) -> list[int]:
    """The numbers here of a process's threads."""
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]


def _cgroups() -> Path:
    """Where the one hierarchy of control groups is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            return Path(mount.split(" ")[4])
    raise AssertionError("no cgroup2 is mounted on this machine")


def _is_removed(group: Path) -> bool:
    """Whether a control group could be removed, with those below it: not while a process is in one of them."""
    try:
        for folder in [folder for folder, _, _ in os.walk(group, topdown=False)]:
            Path(folder).rmdir()
    except OSError:
        return False
    return True
