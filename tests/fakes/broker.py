"""A broker at socket level that refuses, stalls and says no; it shares no code with any MQTT library.

::

    fixed header      type << 4 | flags, remaining length (7 bits a byte, low first)
    CONNECT   0x1?    00 04 M Q T T level …            level 4 is MQTT 3.1.1, 5 is MQTT 5
    PUBLISH   0x3?    length topic, [mid if QoS], [MQTT 5: properties], payload
    SUBSCRIBE 0x82    mid, [MQTT 5: properties], for each topic: length topic, options
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12


class Published(NamedTuple):
    """What a client has published."""

    topic: str
    payload: bytes
    mid: int
    qos: int


@dataclass
class FakeBroker:
    """What it does is set before a client comes, or changed while one is there.

    ``connack``: by the level in CONNECT, the bytes to answer; b"" hangs up, None is silence.
    ``puback``: for each PUBLISH of QoS 1 a reason code, or None for silence.
    ``instead``: for each PUBLISH of QoS 1 the very bytes to answer, or None for what ``puback`` says;
    ``before``: bytes that nobody has asked for, sent ahead of each answer.
    ``taken``: what was answered by success.
    ``suback``: for each topic that somebody subscribes to, a reason code.
    ``keeps_back``: how many PUBLISHes it collects before it answers them together.
    """

    connack: dict[int, bytes | None] = field(
        default_factory=lambda: {4: bytes.fromhex("20 02 00 00"), 5: bytes.fromhex("20 03 00 00 00")}
    )
    puback: Callable[[Published], int | None] = lambda _published: 0
    instead: Callable[[Published], bytes | None] = lambda _published: None
    before: bytes = b""
    suback: Callable[[str], int] = lambda _topic: 1
    keeps_back: int = 1

    def __post_init__(self) -> None:
        self.levels: list[int] = []  # of every CONNECT
        self.published: list[Published] = []
        self.taken: list[Published] = []
        self.most_outstanding = 0
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> FakeBroker:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        for thread in self._threads:
            thread.join(5)

    def drop(self) -> None:
        """Hang up on everybody."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> None:
        """To the client that came last, of its own accord."""
        self._sockets[-1].sendall(data)

    def topics(self, ending: str) -> list[Published]:
        """What was published on topics that end so."""
        return [published for published in list(self.published) if published.topic.endswith(ending)]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, published: Published, level: int) -> bytes:
        if (instead := self.instead(published)) is not None:
            return instead
        code = self.puback(published)
        if code == 0:
            self.taken.append(published)
        return self.before + (b"" if code is None else _puback(published.mid, code, level))

    def _serve(self, sock: socket.socket) -> None:
        level = 0
        waiting: list[bytes] = []
        with sock, contextlib.suppress(OSError, EOFError):
            while True:
                head = _exactly(sock, 1)[0]
                body = _exactly(sock, _remaining_length(sock))
                kind = head >> 4
                if kind == CONNECT:
                    level = body[6]
                    self.levels.append(level)
                    answer = self.connack.get(level)
                    if answer == b"":
                        return
                    sock.sendall(answer or b"")
                elif kind == SUBSCRIBE:
                    codes = bytes(self.suback(topic) for topic in _topics(body, level))
                    answer = body[:2] + (b"\x00" if level == 5 else b"") + codes
                    sock.sendall(b"\x90" + bytes([len(answer)]) + answer)
                elif kind == PINGREQ:
                    sock.sendall(b"\xd0\x00")
                elif kind == PUBLISH:
                    published = _published(head, body, level)
                    self.published.append(published)
                    if published.qos:
                        waiting.append(self._answer(published, level))
                        self.most_outstanding = max(self.most_outstanding, len(waiting))
                    if len(waiting) >= self.keeps_back:
                        sock.sendall(b"".join(waiting))
                        waiting.clear()


def _puback(mid: int, code: int, level: int) -> bytes:
    return b"\x40" + (b"\x03" + mid.to_bytes(2) + bytes([code]) if level == 5 else b"\x02" + mid.to_bytes(2))


def _published(head: int, body: bytes, level: int) -> Published:
    end = 2 + int.from_bytes(body[:2])
    topic, qos, mid = body[2:end].decode(), head >> 1 & 3, 0
    if qos:
        mid = int.from_bytes(body[end : end + 2])
        end += 2
    if level == 5:
        end += 1 + body[end]
    return Published(topic, body[end:], mid, qos)


def _topics(body: bytes, level: int) -> Iterator[str]:
    at = 2 + (1 + body[2] if level == 5 else 0)
    while at < len(body):
        end = at + 2 + int.from_bytes(body[at : at + 2])
        yield body[at + 2 : end].decode()
        at = end + 1


def _remaining_length(sock: socket.socket) -> int:
    length = shift = 0
    while True:
        byte = _exactly(sock, 1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return length


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
