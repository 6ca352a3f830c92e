"""The control socket, at a real socket: every line has one reply, and nothing that is said to it ends it."""

from __future__ import annotations

import json
import random
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from reader.box.control import ControlServer, ask
from reader.errors import TimingMatError, UsageError
from tests.waiting import wait_until

COMMANDS = ("ping", "sum", "no", "break")


def answer(command: dict[str, Any]) -> dict[str, Any]:
    match command["do"]:
        case "ping":
            return {}
        case "sum":
            return {"sum": sum(command.get("of", []))}
        case "no":
            return {"ok": False, "error": "not in race"}
        case "break":
            raise ZeroDivisionError
    raise UsageError(f"do: {command['do']!r} is not a command")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    server = ControlServer(tmp_path / "control.sock", answer)
    server.start()
    yield tmp_path / "control.sock"
    server.stop()
    assert not (tmp_path / "control.sock").exists()


def connect(path: Path) -> tuple[socket.socket, IO[bytes]]:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(10)
    client.connect(str(path))
    return client, client.makefile("rb")


def test_a_reply_bears_the_id_of_its_command(path: Path) -> None:
    client, replies = connect(path)
    with client, replies:
        client.sendall(b'{"id":"a","do":"ping"}\n{"id":"b","do":"sum","of":[1,2]}\r\n{"id":"c",')
        assert json.loads(replies.readline()) == {"id": "a", "ok": True}
        assert json.loads(replies.readline()) == {"id": "b", "ok": True, "sum": 3}
        client.sendall(b'"do":"no"}\n')
        assert json.loads(replies.readline()) == {"id": "c", "ok": False, "error": "not in race"}
    assert ask(path, {"do": "sum", "of": [2, 3]})["sum"] == 5


@pytest.mark.parametrize(
    ("line", "its_id", "error"),
    [
        (b"", None, "not JSON: expected one object"),
        (b"ping", None, "not JSON"),
        (b"\xff\xfe", None, "not JSON"),
        (b"[" * 4000, None, "not JSON"),
        (b"[1]", None, "not a command: expected an object"),
        (b'{"do":"ping"}', None, "id: missing, expected text"),
        (b'{"id":7,"do":"ping"}', None, "id: found "),
        (b'{"id":"x"}', "x", "do: missing"),
        (b'{"id":"x","do":["ping"]}', "x", "do: found "),
        (b'{"id":"x","do":"dance"}', "x", "do: 'dance' is not a command"),
        (b'{"id":"x","do":"break"}', "x", "break failed inside the daemon; its log says how"),
        (
            b'{"id":"x","do":"ping","text":"' + b"y" * 4096 + b'"}',
            None,
            "the command is too long: found more than 4096 bytes",
        ),
        (b"y" * 100_000, None, "the command is too long: found more than 4096 bytes"),
    ],
)
def test_a_bad_line_has_an_error_reply(path: Path, line: bytes, its_id: str | None, error: str) -> None:
    client, replies = connect(path)
    with client, replies:
        client.sendall(line + b"\n" + b'{"id":"after","do":"ping"}\n')
        reply = json.loads(replies.readline())
        assert (reply["id"], reply["ok"]) == (its_id, False)
        assert reply["error"].startswith(error)
        assert json.loads(replies.readline()) == {"id": "after", "ok": True}, "one reply for one line"


def test_the_longest_line_is_taken(path: Path) -> None:
    frame = len(b'{"id":"x","do":"ping","text":""}\n')
    client, replies = connect(path)
    with client, replies:
        client.sendall(b'{"id":"x","do":"ping","text":"' + b"y" * (4096 - frame) + b'"}\n')
        assert json.loads(replies.readline()) == {"id": "x", "ok": True}


def test_5000_nearly_right_lines(path: Path) -> None:
    rng = random.Random(1)
    right = [json.dumps({"id": "i", "do": do, "of": [1, 2], "text": "ü"}).encode() for do in COMMANDS]

    def damaged() -> bytes:
        line = bytearray(rng.choice(right))
        for _ in range(rng.randint(1, 4)):
            where = rng.randrange(len(line))
            match rng.randrange(4):
                case 0:
                    line[where] = rng.randrange(256)
                case 1:
                    del line[where:]
                case 2:
                    line[where:where] = rng.randbytes(rng.randint(1, 8))
                case _:
                    line[where:where] = line[:where] * rng.choice((1, 2, 100))
            line = bytearray(line.replace(b"\n", b"")) or bytearray(b"{")
        return bytes(line)

    lines = [damaged() for _ in range(5_000)]
    client, replies = connect(path)
    with client, replies:
        sender = threading.Thread(target=client.sendall, args=(b"".join(line + b"\n" for line in lines),))
        sender.start()
        refused = 0
        for line in lines:
            reply = json.loads(replies.readline())
            assert isinstance(reply["ok"], bool), line
            if not reply["ok"]:
                assert reply["error"], line
                refused += 1
        sender.join()
    assert refused > 4_000
    assert ask(path, {"do": "ping"})["ok"]


def test_only_user_and_group_may_open_it(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_the_seventeenth_client_is_told_so(path: Path) -> None:
    clients = [connect(path) for _ in range(16)]
    for client, replies in clients:
        client.sendall(b'{"id":"x","do":"ping"}\n')
        assert json.loads(replies.readline())["ok"]
    late, replies = connect(path)
    with late, replies:
        assert "16 others are connected" in json.loads(replies.readline())["error"]
        assert replies.readline() == b""
    assert "16 others are connected" in ask(path, {"do": "ping"})["error"]
    for client, replies in clients:
        replies.close()
        client.close()
    wait_until(lambda: ask(path, {"do": "ping"})["ok"], what="room for another client")


def test_an_idle_client_is_dropped(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "control.sock", answer, idle_s=0.1)
    server.start()
    client, replies = connect(tmp_path / "control.sock")
    with client, replies:
        assert replies.readline() == b""
    server.stop()


def test_what_was_asked_before_it_stops_is_answered(tmp_path: Path) -> None:
    is_at_work = threading.Event()

    def answer_slowly(command: dict[str, Any]) -> dict[str, Any]:
        is_at_work.set()
        wait_until(lambda: server._stopping.is_set(), what="that it is stopped")
        threading.Event().wait(0.2)  # as long as the work takes still
        return {"says": "done"}

    server = ControlServer(tmp_path / "control.sock", answer_slowly)
    server.start()
    client, replies = connect(tmp_path / "control.sock")
    with client, replies:
        client.sendall(b'{"id":"a","do":"assign"}\n')
        assert is_at_work.wait(10)
        server.stop()
        assert json.loads(replies.readline()) == {"id": "a", "ok": True, "says": "done"}
        assert replies.readline() == b""


def test_stopping_lets_the_clients_go(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "control.sock", answer)
    server.start()
    client, replies = connect(tmp_path / "control.sock")
    with client, replies:
        client.sendall(b'{"id":"x","do":"ping"}\n')
        assert replies.readline()
        server.stop()
        assert replies.readline() == b""
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("control")]


def test_a_dead_daemons_socket_is_replaced_a_live_ones_is_not(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    first = ControlServer(path, answer)
    first.start()
    with pytest.raises(TimingMatError, match="another daemon answers at"):
        ControlServer(path, answer).start()
    assert ask(path, {"do": "ping"})["ok"]
    first.stop()


def test_whoever_sees_the_socket_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "control.sock"
    listen = socket.socket.listen
    was_seen = []

    def look_and_listen(listener: socket.socket, backlog: int) -> None:
        was_seen.append(path.exists())
        listen(listener, backlog)

    monkeypatch.setattr(socket.socket, "listen", look_and_listen)
    server = ControlServer(path, lambda _: {})
    server.start()
    try:
        assert was_seen == [False]
        assert ask(path, {"do": "ping"})["ok"]
        assert list(tmp_path.iterdir()) == [path]
    finally:
        server.stop()


def test_what_is_not_a_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("precious")
    with pytest.raises(TimingMatError, match="another file is there"):
        ControlServer(path, answer).start()
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["none/control.sock", "x" * 200])
def test_no_place_for_a_socket(tmp_path: Path, name: str) -> None:
    with pytest.raises(TimingMatError, match="no control socket at"):
        ControlServer(tmp_path / name, answer).start()


def test_asking_where_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(TimingMatError, match="no daemon answers at"):
        ask(path, {"do": "ping"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        with pytest.raises(TimingMatError, match="no daemon answers at"):
            ask(path, {"do": "ping"})
        listener.listen()
        with pytest.raises(TimingMatError, match=r"did not answer within 0\.1 s"):
            ask(path, {"do": "ping"}, limit_s=0.1)

        def deny(*_: object) -> None:
            raise PermissionError

        # The tests may run as root, whom no mode keeps out.
        monkeypatch.setattr(socket.socket, "connect", deny)
        with pytest.raises(TimingMatError, match="no permission for"):
            ask(path, {"do": "ping"})


@pytest.mark.parametrize(
    ("said", "error"), [(b"hello\n", "not timing-mat"), (b"[]\n", "not timing-mat"), (b"{", "hung")]
)
def test_asking_something_else(tmp_path: Path, said: bytes, error: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "other.sock"))
        listener.listen()

        def speak() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(said)

        speaker = threading.Thread(target=speak)
        speaker.start()
        with pytest.raises(TimingMatError, match=error):
            ask(tmp_path / "other.sock", {"do": "ping"})
        speaker.join()
