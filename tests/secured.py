"""Race control's broker as it is shipped: its files and its README's commands, with ports and paths of a test."""

from __future__ import annotations

import getpass
import re
import subprocess
from pathlib import Path

from reader.config import MqttSettings
from tests.broker import Mosquitto, Subscriber
from tests.waiting import free_port

SHIPPED = Path(__file__).parents[1] / "firmware_config" / "race-control"
AUTHORITY, BROKER, MAT = re.findall(
    r"^```sh\n(.*?)^```$", (SHIPPED / "README.md").read_text(), re.DOTALL | re.MULTILINE
)
NAME_IN_README = "DNS:rc1.race.lan"
MAT_IN_README = "finish-main"
DAYS_IN_README = "-days 1095"
ACCOUNTS = ("racecontrol", "announcer", "finish-main", "05k-main")


def password_of(account: str) -> str:
    """Each its own, and none a word that could stand anywhere by chance."""
    return f"korrekt-pferd-{account}"


def make_authority(folder: Path) -> None:
    """`ca.pem` and `ca.key`."""
    _run(AUTHORITY, folder)


def issue_to_broker(folder: Path, names: str, *, days: int = 2) -> None:
    """`broker.pem` and `broker.key`, for these names, as in "IP:127.0.0.1"; expired where ``days`` is negative."""
    _run(_with(BROKER, {NAME_IN_README: names, DAYS_IN_README: f"-days {days}"}), folder)


def issue_to_mat(folder: Path, account: str, *, days: int = 2) -> None:
    """`ACCOUNT.pem` and `ACCOUNT.key`."""
    _run(_with(MAT, {MAT_IN_README: account, DAYS_IN_README: f"-days {days}"}), folder)


class SecuredMosquitto(Mosquitto):
    """The shipped configuration. ``port`` is the door for passwords, ``certificate_port`` that for certificates.

    ``certificates``: the folder that has them; the passwords are written there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.certificate_port = free_port()
        self.certificates = folder
        passwords = folder / "passwords"
        passwords.touch(0o600)
        for account in ACCOUNTS:
            arguments = ["mosquitto_passwd", "-b", str(passwords), account, password_of(account)]
            subprocess.run(arguments, check=True, capture_output=True)
            (folder / f"{account}.password").touch(0o600)
            (folder / f"{account}.password").write_text(f"{password_of(account)}\n")
        shipped = (SHIPPED / "mosquitto.conf").read_text()
        places = {
            "/etc/mosquitto/timing-mat.passwords": str(passwords),
            "/etc/mosquitto/timing-mat.acl": str(SHIPPED / "mosquitto.acl"),
            "/etc/mosquitto/certs": str(folder),
            "/var/lib/mosquitto/": f"{self.folder}/",
            "/var/log/mosquitto/mosquitto.log": f"{self.folder}/log",
            "/run/mosquitto/": f"{self.folder}/",
            "listener 8883": f"listener {self.port} {self.host}",
            "listener 8884": f"listener {self.certificate_port} {self.host}",
        }
        self._config.write_text(f"user {getpass.getuser()}\n{_with(shipped, places)}")

    @property
    def saved_s(self) -> float:
        """When it last wrote down what waits and what is retained, in seconds of UTC."""
        file = self.folder / "mosquitto.db"
        return file.stat().st_mtime if file.exists() else 0.0

    def account(self, name: str) -> MqttSettings:
        """How somebody comes in who has an account and its password."""
        return MqttSettings(
            host=self.host,
            port=self.port,
            username=name,
            password_file=self.certificates / f"{name}.password",
            ca_file=self.certificates / "ca.pem",
        )

    def certified(self, name: str) -> MqttSettings:
        """How a mat comes in that has a certificate."""
        return MqttSettings(
            host=self.host,
            port=self.certificate_port,
            ca_file=self.certificates / "ca.pem",
            cert_file=self.certificates / f"{name}.pem",
            key_file=self.certificates / f"{name}.key",
        )


class Account(Subscriber):
    """Somebody with an account, who listens."""

    def __init__(self, broker: SecuredMosquitto, name: str, *topics: str, client_id: str = "") -> None:
        super().__init__(broker.port, *topics, client_id=client_id)
        self._client.username_pw_set(name, password_of(name))
        self._client.tls_set(str(broker.certificates / "ca.pem"))


def _with(text: str, replacements: dict[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, f"{old} does not stand in what is shipped"
        text = text.replace(old, new)
    return text


def _run(commands: str, folder: Path) -> None:
    ended = subprocess.run(["sh", "-eu"], input=commands, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, f"{commands}:\n{ended.stderr}"
