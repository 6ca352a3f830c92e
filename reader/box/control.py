"""The control socket: commands of this box's own people, one JSON object a line, as on `cmd` and `reply`.

A unix stream socket that only the daemon's user and group may open. The server knows no command: it keeps
out what can't be one, hands the rest to ``answer``, and gives every line exactly one reply.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from reader.errors import TimingMatError

LINE_BYTES = 4096  # our limit, line end included: the longest command has a text of some hundred characters
CLIENTS = 16  # at once: people, a page and scripts; a script that forgets to close must not eat the daemon's memory
IDLE_S = 60.0
MODE = 0o660

Command = dict[str, Any]
Answer = Callable[[Command], dict[str, Any]]

log = logging.getLogger(__name__)


class ControlServer:
    """Listens at ``path`` from :meth:`start` to :meth:`stop`.

    ``answer`` is given a command with text in ``id`` and ``do``, and returns the reply's other fields;
    ``ok`` is true unless it says otherwise. What it raises becomes an error reply. Each client has a
    thread, so it may be called by several at once.
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
        """Lets the clients go and removes the socket's file; a command still at work after ``limit_s`` is left."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which closing alone does not
        self._accepting.join(limit_s)
        self._listener.close()
        with self._lock:
            clients = list(self._clients.items())
        for client, _ in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        end = time.monotonic() + limit_s
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
                    client.sendall(_encode(_refusal(None, f"{CLIENTS} others are connected already: close one")))

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, client.makefile("rb") as stream, contextlib.suppress(OSError):
                for line in _lines(stream):
                    client.sendall(self._reply(line))
        finally:
            with self._lock:
                del self._clients[client]

    def _reply(self, line: bytes | None) -> bytes:
        if line is None:
            return _encode(_refusal(None, f"the line is too long: expected at most {LINE_BYTES} bytes"))
        try:
            command = msgspec.json.decode(line)
        except (ValueError, RecursionError):
            return _encode(_refusal(None, "not JSON: expected one object a line"))
        if not isinstance(command, dict):
            return _encode(_refusal(None, 'not a command: expected an object, as in {"id": "1", "do": "ping"}'))
        for key in ("id", "do"):
            if not (isinstance(command.get(key), str) and command[key]):
                return _encode(_refusal(command.get("id"), f"{key}: expected text"))
        try:
            return _encode({"id": command["id"], "ok": True, **self._answer(command)})
        except TimingMatError as error:
            return _encode(_refusal(command["id"], str(error)))
        except Exception:
            # A fault of ours in one command must not take the others, nor the client, with it.
            log.exception("the command %r failed", command["do"])
            return _encode(_refusal(command["id"], f"{command['do']} failed inside the daemon; its log says how"))


def ask(path: Path, command: Command, limit_s: float = 10.0) -> dict[str, Any]:
    """The daemon's reply to a command, ``ok`` or not; an ``id`` is added. TimingMatError if there is none."""
    data = bytearray()
    end = time.monotonic() + limit_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.settimeout(limit_s)
            server.connect(str(path))
            with contextlib.suppress(BrokenPipeError):  # it hung up, and may have said why
                server.sendall(_encode({"id": uuid.uuid4().hex, **command}))
            while not data.endswith(b"\n"):
                server.settimeout(max(0.001, end - time.monotonic()))
                received = server.recv(65536)
                if not received:
                    raise TimingMatError(f"the daemon at {path} hung up before it answered: ask again")
                data += received
        reply = msgspec.json.decode(data)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        says = f"no daemon answers at {path}: start it, or give the file whose [box] control says where it listens"
        raise TimingMatError(says) from error
    except PermissionError as error:
        says = f"no permission for {path}: only members of its group may talk to the daemon"
        raise TimingMatError(says) from error
    except TimeoutError as error:
        raise TimingMatError(f"the daemon at {path} did not answer within {limit_s:g} s") from error
    except OSError as error:
        raise TimingMatError(f"the daemon at {path} can't be reached: {error}") from error
    except ValueError as error:
        raise TimingMatError(f"what answers at {path} is not timing-mat: not a JSON object") from error
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


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """The lines as they come; None for one that is too long."""
    while line := stream.readline(LINE_BYTES + 1):
        if len(line) <= LINE_BYTES:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LINE_BYTES)
        yield None


def _refusal(its_id: object, says: str) -> dict[str, Any]:
    return {"id": its_id if isinstance(its_id, str) else None, "ok": False, "error": says}


def _encode(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message) + b"\n"
