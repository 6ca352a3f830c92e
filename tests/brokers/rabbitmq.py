"""A real RabbitMQ with its MQTT plug-in, beside whatever else of Erlang runs on the machine."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.server import Server
from tests.waiting import free_port

# Debian's command in the path insists on the service's own account and folders; this one takes what it is given.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
EPMD = shutil.which("epmd")
WHY_NOT = "" if PROGRAM.exists() and EPMD else "RabbitMQ is not installed (apt install rabbitmq-server)"

CONFIG = """
    listeners.tcp = none
    mqtt.listeners.tcp.1 = {host}:{port}
    mqtt.allow_anonymous = true
    mqtt.default_user = guest
    mqtt.default_pass = guest
    log.console = true
    log.file = false
"""


class RabbitMQ(Server):
    """One node. Erlang's directory of names (epmd) is this test's own too, and goes with it."""

    def __init__(self) -> None:
        super().__init__("rabbitmq")
        self._names_port = free_port()
        self._names: subprocess.Popen[bytes] | None = None
        self._node = f"{self.name}-{secrets.token_hex(4)}@localhost"
        self._distribution_port = free_port()
        config = CONFIG.format(host=self.host, port=self.port)
        (self.folder / "rabbitmq.conf").write_text("\n".join(line.strip() for line in config.splitlines()))
        (self.folder / "plugins").write_text("[rabbitmq_mqtt].\n")

    def command(self) -> Sequence[str | Path]:
        """It becomes the server itself: what is killed is what runs."""
        return [PROGRAM]

    def environment(self) -> dict[str, str]:
        """Its folders, its name, its ports."""
        return {
            "HOME": str(self.folder),  # Erlang's cookie
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": self.host,
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false",
            "RUNNING_UNDER_SYSTEMD": "true",  # its script then hands over to the server instead of watching it
        }

    def begin(self) -> None:
        """Begin, and wait for nothing."""
        if self._names is None:
            assert EPMD is not None
            self._names = subprocess.Popen(
                [EPMD, "-address", self.host, "-port", str(self._names_port)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        super().begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._names is not None:
            self._names.kill()
            self._names.wait(10)
            self._names = None
