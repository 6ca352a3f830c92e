"""A real NATS server with JetStream and MQTT: alone, or one of a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.server import Server
from tests.waiting import free_port

PROGRAM = shutil.which("nats-server") or "/usr/sbin/nats-server"
WHY_NOT = "" if Path(PROGRAM).exists() else "the NATS server is not installed (apt install nats-server)"

CONFIG = """
    server_name: "{name}"
    listen: "{host}:{clients_port}"
    max_payload: 4MB
    jetstream {{ store_dir: "{folder}/jetstream" }}
    mqtt {{ listen: "{host}:{port}", ack_wait: "2s", max_ack_pending: 1000, stream_replicas: {replicas} }}
"""
CLUSTER = """
    cluster {{ name: "race", listen: "{host}:{cluster_port}", routes: [{routes}] }}
"""


class Nats(Server):
    """One node: alone, or with the others that listen on ``cluster_ports``, its own the first of them."""

    def __init__(self, name: str = "nats", cluster_ports: Sequence[int] = ()) -> None:
        super().__init__(name)
        config = CONFIG.format(
            name=name,
            host=self.host,
            port=self.port,
            clients_port=free_port(),
            folder=self.folder,
            replicas=len(cluster_ports) or 1,
        )
        if cluster_ports:
            routes = ", ".join(f'"nats://{self.host}:{port}"' for port in cluster_ports[1:])
            config += CLUSTER.format(host=self.host, cluster_port=cluster_ports[0], routes=routes)
        (self.folder / "nats.conf").write_text(config)

    def command(self) -> Sequence[str | Path]:
        """In the foreground, by its file."""
        return [PROGRAM, "-c", self.folder / "nats.conf"]


@contextmanager
def cluster(size: int = 3) -> Iterator[list[Nats]]:
    """So many nodes, each of which takes clients."""
    ports = [free_port() for _ in range(size)]
    nodes = [Nats(f"nats-{n + 1}", ports[n:] + ports[:n]) for n in range(size)]
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.__exit__, None, None, None)
            node.begin()
        for node in nodes:
            node.wait_for_mqtt()
        yield nodes
