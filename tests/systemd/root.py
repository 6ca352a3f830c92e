"""What the machines of these tests are made of: layers, each a folder, made once and shared by all who test.

::

    debian    a fresh Debian, by debootstrap from the mirror that apt here uses; kept from run to run in pytest's cache
    wheels    what the program needs besides itself, as wheels; kept likewise
    program   the venv under /opt/timing-mat, made without a network from wheels, and what systemd/ has, in its places

A machine is an overlay over them: it is there at once, and nothing of it remains.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from tests.systemd.machine import Machine

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "systemd"
SUITE = "bookworm"
PACKAGES = "systemd systemd-sysv dbus udev libpam-systemd polkitd python3 python3-venv chrony"
PYTHON = "3.11"  # of that suite: the wheels are for it, whatever runs the tests


def debian(cache: Path) -> Path:
    """A fresh Debian with systemd and Python in it."""

    def make(folder: Path) -> None:
        packages = ",".join(PACKAGES.split())
        run("debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(folder), _mirror())
        shutil.rmtree(folder / "var/cache/apt")
        (folder / "etc/hostname").write_text("mat\n")
        (folder / "etc/machine-id").write_text("")  # each machine gets one of its own at its first boot
        (folder / "var/lib/dbus/machine-id").unlink(missing_ok=True)

    return made_once(cache / f"debian-{_digest(SUITE, PACKAGES)}", make)


def wheels(cache: Path) -> Path:
    """The wheels of what the program needs, without its own."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        needs: list[str] = tomllib.load(file)["project"]["dependencies"]

    def make(folder: Path) -> None:
        arguments = ("download", "--quiet", "--only-binary=:all:", f"--python-version={PYTHON}", "--dest", str(folder))
        run(sys.executable, "-m", "pip", *arguments, *needs)

    return made_once(cache / f"wheels-{_digest(PYTHON, *needs)}", make)


def own_wheel(folder: Path) -> Path:
    """The folder with the wheel of this tree as it is now."""

    def make(folder: Path) -> None:
        run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT))

    return made_once(folder / "wheel", make)


def program(cache: Path, folder: Path) -> list[Path]:
    """The layers of a machine with the program installed, the upper ones first. ``folder``: of this run."""
    base, needed, own = debian(cache), wheels(cache), own_wheel(folder)

    def make(layer: Path) -> None:
        binds = {str(needed): "/wheels", str(own): "/wheel"}
        with Machine(layer.with_name("program-machine"), [base], upper=layer, binds=binds) as machine:
            machine.run_alone("python3", "-m", "venv", "/opt/timing-mat")
            pip = ("/opt/timing-mat/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-index")
            machine.run_alone(*pip, "--find-links=/wheels", "--find-links=/wheel", "timing-mat")
            put_in_place(machine.root)
            machine.run_alone("systemd-sysusers")
            machine.run_alone("systemd-tmpfiles", "--create", "timing-mat.conf")
            units = sorted(path.name for path in SYSTEMD.glob("*") if "[Install]" in _text(path))
            machine.run_alone("systemctl", "enable", *units)

    return [made_once(folder / "program", make), base]


def put_in_place(root: Path) -> None:
    """Copy units, rules and the rest to where they belong, by the table of `systemd/install`."""
    table = re.search(r'^FILES="\n(.*?)^"', (SYSTEMD / "install").read_text(), re.DOTALL | re.MULTILINE)
    assert table, "systemd/install has no table of files any more"
    for line in table[1].splitlines():
        pattern, place, mode = line.split()
        for path in SYSTEMD.glob(pattern):
            target = root / place.lstrip("/")
            target = target / path.name if place.endswith("/") else target
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            target.chmod(int(mode, 8))


def made_once(place: Path, make: Callable[[Path], None]) -> Path:
    """The folder, made by the first who asks for it while the others wait; half of it is never there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unfinished = place.with_name(f"{place.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(place)
    return place


def run(*command: str) -> str:
    """What it printed; AssertionError with all of its words where it fails."""
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, f"{' '.join(command)}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def _mirror() -> str:
    """Where apt on this machine gets its Debian from."""
    arguments = ("--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    sources = [line.split() for line in run("apt-get", "indextargets", *arguments).splitlines()]
    found = [uri for uri, release in sources if release == SUITE] or [uri for uri, _ in sources if "debian" in uri]
    assert found, "apt on this machine has no mirror of Debian: run apt-get update"
    return found[0]


def _digest(*what: str) -> str:
    return hashlib.sha256("\n".join(what).encode()).hexdigest()[:12]


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
