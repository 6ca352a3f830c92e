"""Race control's subscriber in a cluster: when its node is gone, it goes to the next, and its session with it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from paho.mqtt.client import Client

from tests.broker import Subscriber

KEEPALIVE_S = 5


class RaceControl(Subscriber):
    """A subscriber with a persistent session and the ports of several nodes, tried in turn."""

    def __init__(self, ports: Sequence[int], *topics: str, client_id: str) -> None:
        super().__init__(ports[0], *topics, client_id=client_id)
        self.moves = 0
        self._ports = cycle(ports)
        next(self._ports)
        self._client.on_disconnect = lambda client, *_: self._turn_to_next(client)
        self._client.on_connect_fail = lambda client, _: self._turn_to_next(client)

    def _turn_to_next(self, client: Client) -> None:
        self.moves += 1
        client.connect_async(self._address[0], next(self._ports), KEEPALIVE_S)
