"""A real mosquitto, and somebody who listens to it."""

from __future__ import annotations

import getpass
import shutil
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.server import Server
from tests.waiting import wait_until

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class Mosquitto(Server):
    """A mosquitto of its own. ``extra``: further lines of its configuration."""

    def __init__(self, *, keeps_messages: bool = False, extra: str = "") -> None:
        super().__init__("mosquitto")
        config = f"""
            listener {self.port} {self.host}
            allow_anonymous true
            set_tcp_nodelay true
            max_queued_messages 0
            log_dest file {self.folder}/log
            user {getpass.getuser()}
        """
        if keeps_messages:
            config += f"persistence true\npersistence_location {self.folder}/\nautosave_interval 1\n"
        config += extra
        self._config = self.folder / "mosquitto.conf"
        self._config.write_text("\n".join(line.strip() for line in config.splitlines()))

    def command(self) -> Sequence[str | Path]:
        """In the foreground."""
        return [MOSQUITTO, "-c", self._config]

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.folder / "log").read_text()

    def _takes_a_client(self) -> bool:
        # It may want TLS and an account: that it listens has to do.
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0


class Received(NamedTuple):
    """A message as it came; ``at_s`` is monotonic."""

    topic: str
    payload: bytes
    is_retained: bool
    at_s: float


class Subscriber:
    """Listens in a thread of its own, and collects. With a ``client_id`` its subscriptions outlive the broker."""

    def __init__(self, port: int, *topics: str, client_id: str = "", host: str = "127.0.0.1") -> None:
        self.received: list[Received] = []
        self._topics = topics
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=not client_id,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type] # it says int and only adds
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take
        self._address = (host, port)

    def __enter__(self) -> Self:
        self._client.connect(*self._address, keepalive=5)
        self._client.loop_start()
        assert self._subscribed.wait(10), f"no subscription to {self._topics} within 10 s"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        if (left_open := self._client.socket()) is not None:
            left_open.close()  # the loop may have ended before it saw the broker hang up
        # Without a ring of references it ends by itself and closes its pair of sockets; else in no certain order.
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish, and wait until the broker has it."""
        self._client.publish(topic, payload, 1, retain).wait_for_publish(10)

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish, and wait for nothing."""
        self._client.publish(topic, payload, 1)

    def on(self, ending: str) -> list[Received]:
        """What came on topics that end so, in order."""
        return [message for message in list(self.received) if message.topic.endswith(ending)]

    def wait_for(self, ending: str, count: int = 1, limit_s: float = 15.0) -> list[Received]:
        """At least ``count`` messages on topics that end so."""
        wait_until(
            lambda: len(self.on(ending)) >= count,
            limit_s,
            f"message {count} on …{ending} ({len(self.on(ending))} came)",
        )
        return self.on(ending)

    def _take(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self.received.append(Received(message.topic, bytes(message.payload), message.retain, time.monotonic()))
