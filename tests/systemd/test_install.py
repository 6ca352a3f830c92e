"""`systemd/install` in a fresh Debian without any network: install, upgrade, go back, take away, copy the card."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.systemd import root
from tests.systemd.machine import Machine
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.systemd]

INSTALL = "/systemd/install"
INSTALLED = "/usr/local/sbin/timing-mat-install"
MAT = "/usr/local/bin/timing-mat"
HOTSPOT = "/etc/NetworkManager/system-connections/mat-hotspot.nmconnection"
LINE = "socket://127.0.0.1:10000"
WHERE = ("--event", "chicago-2023", "--point", "finish", "--id", "finish-main", "--use", "finish")
READER = ("--protocol", "ipico", "--port", LINE)

# A version whose daemon ends at once, and one whose journal is of a newer kind than today's.
BROKEN = {"reader/serving.py": (r"(?m)^def serve\(", 'raise OSError("this version is broken")\n\n\ndef serve(')}
NEWER = {
    "reader/journal/schema.py": (
        r'(?s)\nVERSION = (\d+)\n(.*)\nFROM_1 = """.*?"""',
        r'\nVERSION = \g<1>0\n\2\nFROM_1 = """CREATE TABLE of_tomorrow (n INTEGER);"""',
    )
}


@pytest.fixture(scope="module")
def wheels(cache: Path, shared: Path) -> Callable[..., Path]:
    """Makes folders of wheels: of this tree, or of another version with some of its text changed."""

    def make(version: str, changes: dict[str, tuple[str, str]] | None = None) -> Path:
        return root.made_once(shared / f"wheels-{version}", lambda folder: _fill(folder, cache, version, changes or {}))

    return make


def _fill(folder: Path, cache: Path, version: str, changes: dict[str, tuple[str, str]]) -> None:
    tree = folder.with_name(f"{folder.name}-tree")
    for part in ("reader", "firmware_config", "systemd"):
        shutil.copytree(root.ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root.ROOT / part, tree)
    changes = {"pyproject.toml": (r'(?m)^version = ".*"', f'version = "{version}"')} | changes
    for name, (pattern, text) in changes.items():
        changed, count = re.subn(pattern, text, (tree / name).read_text())
        assert count == 1, f"{name}: not as this test expects it"
        (tree / name).write_text(changed)
    shutil.copytree(root.wheels(cache), folder)
    root.run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(tree))


@pytest.fixture
def boxes(cache: Path, tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """Makes machines over layers, without a network, with the script and folders of wheels in them."""
    with ExitStack() as stack:

        def make(layers: Sequence[Path], name: str = "mat", **folders: Path) -> Machine:
            binds = {str(root.SYSTEMD): "/systemd"} | {str(path): f"/{word}" for word, path in folders.items()}
            return stack.enter_context(Machine(tmp_path / name, layers, binds=binds, has_network=False))

        yield make


@pytest.fixture(scope="module")
def mat(cache: Path, shared: Path, wheels: Callable[..., Path]) -> list[Path]:
    """The layers of a Debian that the script has made a mat, while it was no more than an image."""

    def make(layer: Path) -> None:
        binds = {str(root.SYSTEMD): "/systemd", str(wheels("0.1.1")): "/wheels"}
        machine = Machine(
            layer.with_name("mat-machine"), [root.debian(cache)], upper=layer, binds=binds, has_network=False
        )
        with machine:
            said = machine.run_alone(INSTALL, "--wheels", "/wheels", "--yes", *WHERE, *READER, "--label", "B17")
            assert "the mat starts at the next boot" in said

    return [root.made_once(shared / "mat", make), root.debian(cache)]


def race(machine: Machine) -> None:
    """Runners cross, and all that they left is in the journal."""
    simulate = (MAT, "simulate", "--tcp", "127.0.0.1:10000", "--runners", "5", "--minutes", "0.1", "--wait")
    machine.run("systemd-run", "--unit=reader", "--collect", *simulate, "--linger", "600")
    wait_until(lambda: (machine.status() or {"counts": {"splits": 0}})["counts"]["splits"] >= 5, 60, "five splits")


def in_use(machine: Machine) -> str:
    return machine.run("readlink", "/opt/timing-mat").stdout.strip()


def passings(machine: Machine, *arguments: str) -> set[str]:
    lines = machine.run(MAT, "export", "passings", "--format", "csv", *arguments).stdout.splitlines()
    place = lines[0].split(",").index("passing")
    return {line.split(",")[place] for line in lines[1:]}


# ---- install ---------------------------------------------------------------------------------------------


def test_a_fresh_debian_becomes_a_mat_by_one_command_and_a_second_changes_nothing(
    plain: list[Path], wheels: Callable[..., Path], boxes: Callable[..., Machine]
) -> None:
    machine = boxes(plain, wheels=wheels("0.1.1"))
    machine.boot()
    machine.run("useradd", "crew")
    machine.write("/root/others/made-for", "Python 3.7 on armv6l\n")
    machine.write("/root/others/timing_mat-0.1.1-py3-none-any.whl", "")
    refused = machine.run(INSTALL, "--wheels", "/root/others", "--yes", check=False)
    assert refused.returncode == 1
    assert "made for Python 3.7 on armv6l, and this is Python 3.11" in refused.stderr
    assert not machine.path("/opt/timing-mat").exists()

    command = ("env", "SUDO_USER=crew", INSTALL, "--wheels", "/wheels", "--yes", *WHERE, *READER, "--label", "B17")
    said = machine.run(*command)
    # Of Debian's packages one is missing, and there is no network to get it: that stops nothing.
    assert "  later    sudo apt-get install avahi-daemon" in said.stdout
    assert said.stderr == ""
    status = machine.status()
    assert status is not None
    assert (status["version"], status["label"], status["recording"]) == ("0.1.1", "B17", False)
    assert "NOT RECORDING" in said.stdout
    assert re.search(r"(?m)^label +B17$", said.stdout)
    pin = re.search(r"(?m)^PIN +(\d{6})$", said.stdout)
    assert pin
    secret = machine.path("/etc/timing-mat/credentials/web-pin")
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == (f"{pin[1]}\n", 0o600)
    assert "timing-mat" in machine.run("id", "-nG", "crew").stdout
    for unit in ("timing-mat.service", "timing-mat-inhibit.path", "timing-mat-selftest.timer"):
        assert machine.run("systemctl", "is-enabled", unit).stdout == "enabled\n", unit
    race(machine)

    before = machine.show("timing-mat", "MainPID")
    files = sorted(path for path in machine.path("/etc").rglob("*") if "timing-mat" in path.name)
    written = [path.lstat().st_mtime_ns for path in files]
    again = machine.run(*command)  # in the middle of a race: nothing is to be done, nothing is refused
    assert "  done " not in again.stdout
    assert "RECORDING" in again.stdout
    assert pin[1] in again.stdout
    assert machine.show("timing-mat", "MainPID") == before
    assert [path.lstat().st_mtime_ns for path in files] == written

    # A file that is gone is asked for again, and in force at once; but not in a race: the lines are needed for that.
    machine.path("/etc/timing-mat/mat.toml").unlink()
    assert "asking the readers what they are would stop timing" in machine.run(*command, check=False).stderr
    assert machine.show("timing-mat", "MainPID") == before
    machine.run(MAT, "release", "--by", "anna")
    machine.run(*command)
    assert machine.show("timing-mat", "MainPID") != before
    assert machine.status()["mode"] == "race"


# ---- upgrade and back ------------------------------------------------------------------------------------


def test_an_upgrade_is_refused_in_a_race_and_else_keeps_the_journal_and_there_is_a_way_back(
    mat: list[Path], wheels: Callable[..., Path], boxes: Callable[..., Machine]
) -> None:
    machine = boxes(mat, newer=wheels("0.2.0", NEWER))
    machine.boot()
    race(machine)
    epoch, pid, told = machine.ask({"do": "status"})["status"]["epoch"], machine.pid_of(), passings(machine)

    for command in (("--wheels", "/newer"), ("--rollback",), ("--uninstall",), ("--prepare-card",)):
        refused = machine.run(INSTALL, "--yes", *command, check=False)
        assert refused.returncode == 1
        assert "mode race" in refused.stderr or "no version before" in refused.stderr
    assert (machine.pid_of(), in_use(machine)) == (pid, "/opt/timing-mat-0.1.1-1")

    machine.run(MAT, "release")
    machine.write("/opt/timing-mat-0.1.9-1/pyvenv.cfg", "")  # what a power cut left of an upgrade
    said = machine.run(INSTALL, "--wheels", "/newer", "--yes").stdout
    assert "TROUBLE" not in said
    status = machine.wait_for_recording()
    assert (status["version"], status["epoch"], status["mode"]) == ("0.2.0", epoch, "race")
    assert passings(machine) >= told
    assert in_use(machine) == "/opt/timing-mat-0.2.0-1"
    found = sorted(path.name for path in machine.path("/opt").iterdir())
    assert found == ["timing-mat", "timing-mat-0.1.1-1", "timing-mat-0.2.0-1", "timing-mat-before"]

    assert "mode race" in machine.run(INSTALLED, "--rollback", "--yes", check=False).stderr
    machine.run(MAT, "release")
    said = machine.run(INSTALLED, "--rollback", "--yes").stdout
    assert "it is set aside, and a fresh one begun" in said
    status = machine.wait_for_recording()
    assert status["version"] == "0.1.1"
    assert status["epoch"] != epoch  # the older program can't read the newer journal
    (aside,) = machine.path("/var/lib/timing-mat").glob("journal.aside-*.db")

    machine.run(MAT, "release")
    machine.run(INSTALLED, "--rollback", "--yes")
    assert machine.wait_for_recording()["version"] == "0.2.0"
    assert passings(machine, "--journal", f"/var/lib/timing-mat/{aside.name}") >= told


def test_a_version_that_does_not_come_up_is_taken_back_by_itself(
    installed: list[Path], wheels: Callable[..., Path], boxes: Callable[..., Machine]
) -> None:
    machine = boxes(installed, broken=wheels("0.3.0", BROKEN))
    machine.write("/etc/timing-mat/mat.toml", _configuration())
    machine.boot()
    epoch = wait_until(machine.status, 30, "the daemon")["epoch"]
    assert machine.ask({"do": "mode", "mode": "test"})["ok"]
    said = machine.run(INSTALL, "--wheels", "/broken", "--yes", check=False)
    assert said.returncode == 1
    assert "this version is broken" in said.stdout, machine.log("timing-mat")
    assert "0.3.0 did not come up within 60 s" in said.stderr
    assert "is in use again" in said.stderr
    status = machine.status()
    assert status is not None
    assert status["epoch"] == epoch
    assert status["version"] == root_version()
    # It was made by hand, as the README once had it; it has moved, and works where it is.
    assert in_use(machine).endswith("-by-hand")
    assert not machine.path("/opt/timing-mat-before").exists()


@pytest.mark.parametrize("place", ['switch_to "$1"', 'sync -f "$current/."', "udevadm control --reload 2>/dev/null"])
def test_killed_in_the_middle_of_an_upgrade_it_leaves_a_mat_that_times_and_a_way_back(
    mat: list[Path], wheels: Callable[..., Path], boxes: Callable[..., Machine], tmp_path: Path, place: str
) -> None:
    """Where the line is at which it is killed: before its files, between its two links, after them."""
    script = shutil.copytree(root.SYSTEMD, tmp_path / "systemd") / "install"
    text, count = re.subn(rf"(?m)^( *)({re.escape(place)}.*)$", r"\1kill -9 $$\n\1\2", script.read_text(), count=1)
    assert count == 1, f"{place}: systemd/install has no such line any more"
    script.write_text(text)
    machine = boxes(mat, killed=script.parent, newer=wheels("0.2.0", NEWER))
    machine.boot()
    race(machine)
    epoch, pid = machine.wait_for_recording()["epoch"], machine.pid_of()
    machine.run(MAT, "release", "--by", "anna")
    assert machine.run("/killed/install", "--wheels", "/newer", "--yes", check=False).returncode == -9
    assert (machine.pid_of(), machine.status()["recording"]) == (pid, True)

    machine.kill()
    machine.boot()
    assert machine.status()["epoch"] == epoch
    machine.run(MAT, "release", "--by", "anna")
    machine.run(INSTALL, "--wheels", "/newer", "--yes")
    assert machine.status()["version"] == "0.2.0"
    machine.run(MAT, "release", "--by", "anna", check=False)
    machine.run(INSTALLED, "--rollback", "--yes")
    assert machine.status()["version"] == "0.1.1"


def test_a_disk_that_is_too_full_for_a_new_version_is_left_as_it_was(
    mat: list[Path], wheels: Callable[..., Path], boxes: Callable[..., Machine]
) -> None:
    command = ("env", "PATH=/fakes:/usr/sbin:/usr/bin:/sbin:/bin", INSTALL, "--wheels", "/newer", "--yes")
    machine = boxes(mat, newer=wheels("0.2.0", NEWER))
    machine.boot()
    machine.run(MAT, "release", "--by", "anna")
    machine.write("/fakes/df", "#!/bin/sh\necho Avail\necho '  149'\n", 0o755)
    refused = machine.run(*command, check=False)
    assert refused.returncode == 1
    assert "149 MB free, and 0.2.0 needs 150" in refused.stderr
    # Where Python itself fails, its half environment goes too: on a card that is full it would stay so.
    machine.path("/fakes/df").unlink()
    machine.write(
        "/fakes/python3",
        '#!/bin/sh\n[ "$2" != venv ] || { mkdir -p "$3/lib"; exit 1; }\nexec /usr/bin/python3 "$@"\n',
        0o755,
    )
    refused = machine.run(*command, check=False)
    assert "Python makes no environment in /opt/timing-mat-0.2.0-1" in refused.stderr
    assert "unbound" not in refused.stderr
    found = sorted(path.name for path in machine.path("/opt").iterdir())
    assert found == ["timing-mat", "timing-mat-0.1.1-1"]
    assert machine.status()["mode"] == "released"


def _configuration() -> str:
    return f"""
        [mat]
        event = "chicago-2023"
        point = "finish"
        id = "finish-main"
        [[reader]]
        protocol = "ipico"
        port = "{LINE}"
    """


def root_version() -> str:
    found = re.search(r'(?m)^version = "(.*)"', (root.ROOT / "pyproject.toml").read_text())
    assert found
    return found[1]


# ---- away ------------------------------------------------------------------------------------------------


def test_taken_away_it_leaves_the_journal_and_the_configuration(mat: list[Path], boxes: Callable[..., Machine]) -> None:
    machine = boxes(mat)
    machine.boot()
    race(machine)
    machine.run(MAT, "release")
    kept = machine.path("/etc/timing-mat/mat.toml").read_text()
    assert "/var/lib/timing-mat" in machine.run(INSTALLED, "--uninstall", "--yes").stdout
    left = machine.run("find", "/etc", "/opt", "/usr/local", "-name", "*timing-mat*").stdout.split()
    assert left == ["/etc/timing-mat"]
    assert machine.path("/etc/timing-mat/mat.toml").read_text() == kept
    assert machine.path("/var/lib/timing-mat/journal.db").stat().st_size > 0
    assert machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "timing-mat*").stdout == ""


# ---- copies ----------------------------------------------------------------------------------------------


def test_two_copies_of_a_card_are_two_boxes(mat: list[Path], boxes: Callable[..., Machine], tmp_path: Path) -> None:
    card = tmp_path / "card"
    with Machine(tmp_path / "original", mat, upper=card, has_network=False) as original:
        original.write("/etc/ssh/ssh_host_ed25519_key", "the key of this box\n", 0o600)
        original.boot()
        race(original)
        without = original.run(INSTALLED, "--hotspot", check=False)
        assert "needs NetworkManager" in without.stdout
        original.write("/usr/bin/nmcli", "#!/bin/sh\n", 0o755)  # only its file is looked at here
        for wrong in ("short", "back\\slash", "ends with a space "):
            assert "8 to 63" in original.run(INSTALLED, "--hotspot", wrong, check=False).stdout
        assert not original.path(HOTSPOT).exists()
        said = original.run(INSTALLED, "--hotspot", check=False).stdout
        passphrase = re.search(r"passphrase is ([a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4})", said)
        assert passphrase
        before = original.status()
        assert before is not None
        assert before["label"] == "B17"
        original.run(MAT, "release")
        assert "sudo poweroff" in original.run(INSTALLED, "--prepare-card", "--yes").stdout
        original.poweroff()

    found = []
    for name in ("first", "second"):
        copy = boxes([card, *mat], name)
        copy.boot()
        status = wait_until(copy.status, 30, "the daemon")
        hostname = copy.run("cat", "/proc/sys/kernel/hostname").stdout.strip()
        assert hostname == f"mat-{status['label']}", copy.log("timing-mat-first-boot")
        assert status["label"] == status["box"][-6:]
        assert status["last_seq"] <= 3  # nothing of the other's race
        assert not list(copy.path("/var/lib/timing-mat").glob("journal.aside-*"))
        assert not copy.path("/etc/ssh/ssh_host_ed25519_key").exists()
        assert not copy.path("/etc/timing-mat/fresh-card").exists(), copy.log("timing-mat-first-boot")
        assert f"127.0.1.1 {hostname}" in copy.path("/etc/hosts").read_text()
        hotspot = copy.path(HOTSPOT)
        assert f"id={hostname}\n" in hotspot.read_text()
        assert f"ssid={hostname}\n" in hotspot.read_text()
        assert f"psk={passphrase[1]}\n" in hotspot.read_text()
        assert hotspot.stat().st_mode & 0o777 == 0o600
        found.append((status["box"], status["epoch"], hostname, copy.path("/etc/machine-id").read_text()))
        copy.kill()
    for one, other in zip(*found, strict=True):
        assert one != other
    assert (before["box"], before["epoch"]) not in [(box, epoch) for box, epoch, *_ in found]
