"""The way to a broker below MQTT: its name, TCP, TLS. Each step ends in time, whatever does not answer."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import Future
from typing import NamedTuple

from reader.config import MqttSettings
from reader.errors import BrokerUnreachable
from reader.model import NS_PER_S
from reader.uplink.account import words
from reader.uplink.tls import tls_context, tls_trouble

STEP_LIMIT_S = 3.0  # for the name, for TCP and for TLS, each

Found = list[tuple[socket.AddressFamily, tuple[object, ...]]]


class Certificate(NamedTuple):
    """What the broker has shown. ``names``: for whom it is, names and addresses. ``ends_utc_ns``: when it expires."""

    names: tuple[str, ...]
    ends_utc_ns: int


def open_tcp(host: str, port: int, limit_s: float = STEP_LIMIT_S) -> socket.socket:
    """A connection to the first of its addresses that takes one, each tried for ``limit_s``; OSError of the last.

    socket.gaierror where the name is not known, or nobody has said so within ``limit_s``.
    """
    last: OSError = socket.gaierror(socket.EAI_NONAME, "that name has no address")
    for family, address in _look_up(host, port, limit_s):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(limit_s)
            sock.connect(address)
        except OSError as error:
            sock.close()
            last = error
        else:
            return sock
    raise last


def reach(host: str, port: int) -> socket.socket:
    """The same; BrokerUnreachable in words."""
    try:
        return open_tcp(host, port)
    except OSError as error:
        raise BrokerUnreachable(f"broker {host}:{port}: {words(error)}{remedy(error)}") from error


def certificate_of(sock: socket.socket, address: tuple[str, int], settings: MqttSettings) -> Certificate | None:
    """What the broker on that connection shows of itself, found good; None where no TLS is spoken.

    BrokerUnreachable, or BrokerRefused, where there can be no TLS with it, in words.
    """
    context = tls_context(settings)
    if context is None:
        return None
    where = "{}:{}".format(*address)
    try:
        with context.wrap_socket(sock, server_hostname=address[0]) as shown:
            said = shown.getpeercert() or {}
    except ssl.SSLError as error:
        raise tls_trouble(error, where, settings) from error
    except OSError as error:
        raise BrokerUnreachable(f"broker {where}: {words(error)}") from error
    return Certificate(
        tuple(str(name) for _, name in said.get("subjectAltName", ())),  # type: ignore[str-unpack] # typed as text
        int(ssl.cert_time_to_seconds(str(said.get("notAfter")))) * NS_PER_S,
    )


def remedy(error: Exception) -> str:
    """What to look at when there is no way to an address, or ""."""
    if isinstance(error, ConnectionRefusedError):
        return "; is a broker running there, and is that its port?"
    return "; look at that name, and at the network" if isinstance(error, socket.gaierror) else ""


def _look_up(host: str, port: int, limit_s: float) -> Found:
    """Its addresses. The system may ask dead name servers for 10 s and more: a thread that nobody waits for lets it."""
    try:
        return _addresses(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name, then
    answer: Future[Found] = Future()

    def ask() -> None:
        try:
            answer.set_result(_addresses(host, port))
        except (OSError, UnicodeError) as error:
            answer.set_exception(error)

    threading.Thread(target=ask, name="look up a name", daemon=True).start()
    try:
        return answer.result(limit_s)
    except TimeoutError:
        says = f"no name server has answered within {limit_s:g} s"
        raise socket.gaierror(socket.EAI_AGAIN, says) from None


def _addresses(host: str, port: int, flags: int = 0) -> Found:
    return [
        (family, address)
        for family, _, _, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, flags)
    ]
