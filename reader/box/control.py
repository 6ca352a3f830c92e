"""The control socket: commands of this box's own people, one JSON object a line, as on `cmd` and `reply`.

A unix stream socket that only the daemon's user and group may open. The server knows no command: every line gets
its reply, or as many as it has pages, a line each.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from reader.errors import NoDaemon, TimingMatError
from reader.replies import LIMIT_BYTES, Answer, Command, Reply, encode, has_more, refusal, replies

CLIENTS = 16  # at once: people, a page and scripts; a script that forgets to close must not eat the daemon's memory
IDLE_S = 60.0
MODE = 0o660


class ControlServer:
    """Listens at ``path`` from :meth:`start` to :meth:`stop`.

    ``answer`` is as in :mod:`reader.replies`. Each client has a thread, so it may be called by several at once.
    """

    def __init__(self, path: Path, answer: Answer, idle_s: float = IDLE_S) -> None:
        self._path = path
        self._answer = answer
        self._idle_s = idle_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._accepting = threading.Thread(target=self._accept, name="control", daemon=True)

    def start(self) -> None:
        """Listens. TimingMatError if another daemon does already, or there can be no socket there."""
        self._listener = _listen(self._path)
        self._inode = self._path.stat().st_ino
        self._accepting.start()

    def stop(self, limit_s: float = 2.0) -> None:
        """Lets the clients go and removes the socket's file; a command still at work after ``limit_s`` is left.

        What was asked before is answered: `assign` too, by which it is stopped.
        """
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which closing alone does not
        self._accepting.join(limit_s)
        self._listener.close()
        with self._lock:
            clients = list(self._clients.items())
        end = time.monotonic() + limit_s
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            for client, _ in clients:
                with contextlib.suppress(OSError):
                    client.shutdown(how)
            for _, thread in clients:
                thread.join(max(0.0, end - time.monotonic()))
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                self._stopping.wait(1.0)  # too many open files, perhaps: others may close theirs
                continue
            client.settimeout(self._idle_s)
            with self._lock:
                is_full = len(self._clients) >= CLIENTS
                if not is_full:
                    thread = threading.Thread(target=self._serve, args=(client,), name="control client", daemon=True)
                    self._clients[client] = thread
                    thread.start()
            if is_full:
                with client, contextlib.suppress(OSError):
                    client.sendall(_line(refusal(None, f"{CLIENTS} others are connected already: close one")))

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, client.makefile("rb") as stream, contextlib.suppress(OSError):
                for line in _lines(stream):
                    for reply in replies(line, self._answer):
                        client.sendall(_line(reply))
        finally:
            with self._lock:
                del self._clients[client]


def ask(path: Path, command: Command, limit_s: float = 10.0) -> Reply:
    """The daemon's reply to a command, ``ok`` or not; an ``id`` is added. NoDaemon if there is none, TimingMatError."""
    return next(ask_for_pages(path, command, limit_s))


def ask_for_pages(path: Path, command: Command, limit_s: float = 10.0) -> Iterator[Reply]:
    """All its replies, the first at least; ``limit_s`` for each."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.settimeout(limit_s)
            server.connect(str(path))
            with contextlib.suppress(BrokenPipeError):  # it hung up, and may have said why
                server.sendall(_line({"id": uuid.uuid4().hex, **command}))
            is_last = False
            unread = bytearray()
            while not is_last:
                reply = _receive(server, unread, path, limit_s)
                is_last = not has_more(reply)
                yield reply
    except (FileNotFoundError, ConnectionRefusedError) as error:
        says = f"no daemon answers at {path}: start it, or give the file whose [box] control says where it listens"
        raise NoDaemon(says) from error
    except PermissionError as error:
        says = f"no permission for {path}: only members of its group may talk to the daemon"
        raise TimingMatError(says) from error
    except TimeoutError as error:
        raise TimingMatError(f"the daemon at {path} did not answer within {limit_s:g} s") from error
    except OSError as error:
        raise TimingMatError(f"the daemon at {path} can't be reached: {error}") from error


def _receive(server: socket.socket, unread: bytearray, path: Path, limit_s: float) -> Reply:
    """The next line; ``unread``: what has come of it already, and what came beyond it afterwards."""
    end = time.monotonic() + limit_s
    while (length := unread.find(b"\n") + 1) == 0:
        server.settimeout(max(0.001, end - time.monotonic()))
        received = server.recv(65536)
        if not received:
            raise TimingMatError(f"the daemon at {path} hung up before it answered: ask again")
        unread += received
    line = bytes(unread[:length])
    del unread[:length]
    try:
        reply = msgspec.json.decode(line)
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise TimingMatError(f"what answers at {path} is not timing-mat: not a JSON object")
    return reply


def _listen(path: Path) -> socket.socket:
    try:
        _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        unready = path.with_name(f"{path.name}~")
        try:
            if unready.is_socket():
                unready.unlink()
            listener.bind(str(unready))
            unready.chmod(MODE)  # before listen(): until then nobody can connect
            listener.listen(CLIENTS)
            os.link(unready, path)  # whoever sees the socket is answered; never over another daemon's
            unready.unlink()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise TimingMatError(f"no control socket at {path}: {error.strerror or error}; see [box] control") from error
    return listener


def _remove_stale(path: Path) -> None:
    """Removes the socket of a daemon that is no more; never anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise TimingMatError(f"no control socket at {path}: another file is there; see [box] control")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # its queue is full: somebody lives there
    raise TimingMatError(f"another daemon answers at {path}: stop it first, or give this one its own [box] control")


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines as they come; of one that is too long its beginning, which is too long as well."""
    while line := stream.readline(LIMIT_BYTES + 1):
        beginning = line
        while len(beginning) > LIMIT_BYTES and line and not line.endswith(b"\n"):
            line = stream.readline(LIMIT_BYTES)
        yield beginning


def _line(reply: Reply) -> bytes:
    return encode(reply) + b"\n"
