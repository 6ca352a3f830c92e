"""A TCP proxy with bad manners: it delays, stalls, lets through a trickle, and cuts in the middle of a packet.

What it does to the bytes may be changed while connections are open. One thread; nothing is read that could not
be passed on soon, so that who sends feels the jam as on a real line.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections import deque
from types import TracebackType
from typing import Literal, NamedTuple

ROOM_BYTES = 65_536  # on its way in one direction, at most
TICK_S = 0.005  # while something waits for its time
IDLE_S = 0.05
CUT_HARD = struct.pack("ii", 1, 0)  # SO_LINGER: close by a reset

Way = Literal["up", "down"]


class _Waiting(NamedTuple):
    due_s: float
    data: bytes


class _Stream:
    """One direction of one connection: from where, to where, and what waits in between."""

    def __init__(self, way: Way, source: socket.socket, sink: socket.socket) -> None:
        self.way = way
        self.source = source
        self.sink = sink
        self.waiting: deque[_Waiting] = deque()
        self.allowance_bytes = 1.0
        self.is_ended = False

    @property
    def has_room(self) -> bool:
        return not self.is_ended and sum(len(data) for _, data in self.waiting) < ROOM_BYTES


class Proxy:
    """Stands between a client and ``port`` of loopback, on a ``port`` of its own.

    ``delay_s``: each way. ``is_stalled``: connections are taken and nothing passes. ``rate_bytes_s``: each way of
    each connection, None for no limit. ``cuts``: how many connections :meth:`cut_after` has cut.
    """

    def __init__(self, port: int) -> None:
        self.delay_s = 0.0
        self.is_stalled = False
        self.rate_bytes_s: float | None = None
        self.cuts = 0
        self.accepted = 0
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._streams: list[_Stream] = []
        self._cut: tuple[Way, int] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()

    def cut_after(self, count_bytes: int, way: Way) -> None:
        """Once so many more bytes have passed that way, cut their connection; who sent them sees a reset."""
        self._cut = (way, count_bytes)

    def _run(self) -> None:
        with self._listener:
            last_s = time.monotonic()
            while not self._closing.is_set():
                self._wait()
                now_s = time.monotonic()
                for stream in list(self._streams):
                    if stream in self._streams:  # a cut takes the other direction with it
                        self._pass_on(stream, now_s, now_s - last_s)
                last_s = now_s
            for stream in self._streams:
                stream.source.close()

    def _wait(self) -> None:
        """For bytes, for a client, or for the time; reads what has come."""
        reading = {} if self.is_stalled else {one.source: one for one in self._streams if one.has_room}
        is_due_soon = not self.is_stalled and any(one.waiting for one in self._streams)
        ready, _, _ = select.select([self._listener, *reading], [], [], TICK_S if is_due_soon else IDLE_S)
        for sock in ready:
            if sock is self._listener:
                self._accept()
                continue
            stream = reading[sock]
            try:
                data = sock.recv(ROOM_BYTES)
            except OSError:
                data = b""
            stream.is_ended = not data
            stream.waiting.append(_Waiting(time.monotonic() + self.delay_s, data))

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        try:
            server = socket.create_connection(self._target, timeout=1)
        except OSError:
            client.close()
            return
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._streams += [_Stream("up", client, server), _Stream("down", server, client)]

    def _pass_on(self, stream: _Stream, now_s: float, spent_s: float) -> None:
        if self.rate_bytes_s is not None:
            stream.allowance_bytes = min(self.rate_bytes_s, stream.allowance_bytes + spent_s * self.rate_bytes_s)
        while not self.is_stalled and stream.waiting and stream.waiting[0].due_s <= now_s:
            due_s, data = stream.waiting.popleft()
            if not data:
                self._hang_up(stream)
                return
            try:
                sent = stream.sink.send(data[: self._allowed_bytes(stream, len(data))])
            except BlockingIOError:
                sent = 0
            except OSError:
                self._hang_up(stream)
                return
            stream.allowance_bytes -= sent
            if self._is_cut(stream, sent):
                stream.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CUT_HARD)
                self._hang_up(stream)
                return
            if sent < len(data):
                stream.waiting.appendleft(_Waiting(due_s, data[sent:]))
                return

    def _allowed_bytes(self, stream: _Stream, wanted_bytes: int) -> int:
        if self.rate_bytes_s is not None:
            wanted_bytes = min(wanted_bytes, int(stream.allowance_bytes))
        if self._cut is not None and self._cut[0] == stream.way:
            wanted_bytes = min(wanted_bytes, self._cut[1])
        return wanted_bytes

    def _is_cut(self, stream: _Stream, sent_bytes: int) -> bool:
        """Whether those were the last bytes before the cut."""
        if self._cut is None or self._cut[0] != stream.way:
            return False
        left_bytes = self._cut[1] - sent_bytes
        self._cut = (stream.way, left_bytes) if left_bytes > 0 else None
        self.cuts += left_bytes <= 0
        return left_bytes <= 0

    def _hang_up(self, stream: _Stream) -> None:
        stream.source.close()
        stream.sink.close()
        self._streams = [one for one in self._streams if one.source not in (stream.source, stream.sink)]
