"""Captures: what a line says into a file, onto a line again, and what it means; on real pseudo-terminals."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from reader.cli.capture import capture
from reader.cli.decode import Decoding, decode
from reader.cli.replay import pieces_of, play_capture, replay
from reader.errors import TimingMatError, UsageError
from reader.line.capture import Piece, is_capture, line_from_piece, pieces_from_lines
from reader.line.port import Port
from reader.model import Chunk
from reader.simulator.line import PseudoTerminal
from tests.daemon import Line
from tests.waiting import free_port, wait_until

CAPTURES = sorted((Path(__file__).parents[2].parent / "shared" / "captures").glob("*.jsonl"))
RECORD = b"aa00058000123b3200012603071348503277\r\n"
LATER = b"aa0005800012860800012603071348515f8a\r\n"
CLOCK = b"ab000902260306051855443727cf\r\n"
STREAMED = bytes.fromhex(
    "FF2822000010001B01FF0101C4110E16400000012700000500000F00803000000000000000000000001545E94A561D"
)
STOP_STREAM = bytes.fromhex("FF032F0000025E86")

APP = typer.Typer()
for command in (capture, replay, decode):
    APP.command()(command)


class Ran(NamedTuple):
    """How a command ended, and all that it said."""

    code: int
    out: bytes
    says: str


def run(*arguments: str | Path, data: bytes = b"") -> Ran:
    """A command, in this thread: signals are its own."""
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments], input=data)
    if isinstance(result.exception, TimingMatError):
        return Ran(result.exception.exit_code, result.stdout_bytes, f"{result.output}{result.exception}")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout_bytes, result.output)


def run_beside(beside: Callable[[], object], *arguments: str | Path) -> Ran:
    """A command, while that happens in another thread; what goes wrong there comes out here."""
    with ThreadPoolExecutor(1) as pool:
        happening = pool.submit(beside)
        happening.add_done_callback(lambda done: os.kill(os.getpid(), signal.SIGINT) if done.exception() else None)
        ran = run(*arguments)
        happening.result(20)
    return ran


def file_of(folder: Path, pieces: Iterable[tuple[float, bytes]]) -> Path:
    path = folder / "line.jsonl"
    path.write_text("".join(json.dumps({"t": t_s, "hex": data.hex()}) + "\n" for t_s, data in pieces))
    return path


def pieces_in(path: Path) -> list[tuple[float, bytes]]:
    return [(found["t"], bytes.fromhex(found["hex"])) for found in map(json.loads, path.read_text().splitlines())]


# ---- the format ------------------------------------------------------------------------------------------


def test_a_piece_is_one_line_of_json() -> None:
    line = line_from_piece(Piece(0.0027421, b"\x00aa"))
    assert json.loads(line) == {"t": 0.002742, "hex": "006161"}
    assert list(pieces_from_lines([line.encode(), b"\n"], "f")) == [Piece(0.002742, b"\x00aa")]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"nonsense", ("nonsense", "JSON object")),
        (b"[1, 2]", ("[1, 2]", "JSON object")),
        (b"[" * 100_000, ("JSON object",)),
        (b'{"t": 1}', ('"hex"', "nothing", "hex digits")),
        (b'{"t": 1, "hex": 12}', ('"hex"', "12")),
        (b'{"t": 1, "hex": "616"}', ('"hex"', "616", "even number")),
        (b'{"t": 1, "hex": "zz"}', ('"hex"', "zz")),
        (b'{"hex": "61"}', ('"t"', "nothing", "seconds")),
        (b'{"t": "1", "hex": "61"}', ('"t"', "'1'", "seconds")),
        (b'{"t": true, "hex": "61"}', ('"t"', "True")),
        (b'{"t": NaN, "hex": "61"}', ('"t"', "nan")),
    ],
)
def test_a_bad_line_is_named_with_what_was_found_and_expected(bad: bytes, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as raised:
        list(pieces_from_lines([b'{"t": 0, "hex": "61"}\n', bad], "my.jsonl"))
    for word in ("my.jsonl, line 2", *words):
        assert word in str(raised.value)


def test_a_capture_is_told_from_the_bytes_by_what_is_in_it() -> None:
    piece = line_from_piece(Piece(0, RECORD)).encode()
    assert is_capture(piece)
    assert is_capture(piece[:9])
    assert is_capture(b"\n" + piece)
    assert is_capture(b"a line spoilt\n" + piece)
    for raw in (RECORD, STREAMED, CLOCK, b"", b"\xff{" + RECORD):
        assert not is_capture(raw)


# ---- capture ---------------------------------------------------------------------------------------------


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with Line(tmp_path / "line") as line:
        yield line


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Set once a command reads the line: what is said before that, its opening may throw away."""
    begun, read = Event(), Port.read

    def read_and_tell(port: Port, wait_s: float) -> Chunk | None:
        begun.set()
        return read(port, wait_s)

    monkeypatch.setattr(Port, "read", read_and_tell)
    return begun


def said(path: Path) -> bytes:
    return b"".join(data for _, data in pieces_in(path))


def stop() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_what_the_line_says_is_kept_as_it_comes_until_ctrl_c(tmp_path: Path, line: Line, listening: Event) -> None:
    path = tmp_path / "out.jsonl"

    def speak() -> None:
        assert listening.wait(15)
        for count, data in enumerate((RECORD[:20], RECORD[20:]), 1):
            line.write(data)
            # On disk while it goes on: a kill costs at most the last chunk.
            wait_until(lambda count=count: path.read_text().count("\n") == count, what="the chunk in the file")  # type: ignore[misc]
        stop()

    ran = run_beside(speak, "capture", line.link, path)
    assert ran.code == 0
    assert "2 chunks, 38 bytes" in ran.says
    (one_s, one), (other_s, other) = pieces_in(path)
    assert (one, other) == (RECORD[:20], RECORD[20:])
    assert 0 <= one_s <= other_s < 30


def test_it_ends_by_itself_after_its_duration(tmp_path: Path, line: Line) -> None:
    began_s = time.monotonic()
    assert run("capture", line.link, tmp_path / "out.jsonl", "--duration", "0.3").code == 0
    assert time.monotonic() - began_s >= 0.3


def test_a_file_that_is_there_is_not_overwritten_unless_forced(tmp_path: Path, line: Line) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("precious")
    ran = run("capture", line.link, path, "--duration", "0")
    assert ran.code == 2
    assert "--force" in ran.says
    assert path.read_text() == "precious"
    assert run("capture", line.link, path, "--duration", "0", "--force").code == 0
    assert path.read_text() == ""


def test_a_line_that_is_not_there_ends_it_with_4(tmp_path: Path) -> None:
    ran = run("capture", tmp_path / "nothing", tmp_path / "out.jsonl")
    assert ran.code == 4
    assert "plug the reader in" in ran.says


def test_a_line_that_goes_away_ends_it_with_4_and_what_came_is_kept(
    tmp_path: Path, line: Line, listening: Event
) -> None:
    path = tmp_path / "out.jsonl"

    def speak_and_go() -> None:
        assert listening.wait(15)
        line.write(RECORD)
        wait_until(path.read_text, what="the chunk")
        line.unplug()

    ran = run_beside(speak_and_go, "capture", line.link, path)
    assert ran.code == 4
    assert "1 chunks" in ran.says
    assert said(path) == RECORD


def test_a_port_that_is_not_there_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    assert run("capture", tmp_path / "nowhere", path).code == 4
    assert not path.exists()


def test_a_file_that_takes_no_more_is_an_error_in_words(line: Line, listening: Event) -> None:
    def speak() -> None:
        assert listening.wait(15)
        line.write(RECORD)

    ran = run_beside(speak, "capture", line.link, "/dev/full", "--force")
    assert (ran.code, "/dev/full: can't be written" in ran.says) == (2, True)


def test_a_frame_that_begins_like_an_object_is_no_capture_and_a_torn_one_is_good_up_to_there(tmp_path: Path) -> None:
    assert not is_capture(b"{\x00\x01\x03\x09\x0c")
    assert is_capture(b'\xef\xbb\xbf{"t": 1, "hex": "61"}\n')
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b'{"t": 0, "hex": "61"}\n{"t": 1, "hex": "62"}\n{"t": 2, "he')
    assert [piece.data for piece in pieces_of(path)] == [b"a", b"b"]


def test_with_a_protocol_it_talks_with_the_reader_and_without_it_says_nothing(tmp_path: Path, line: Line) -> None:
    held = os.open(line.link, os.O_RDWR | os.O_NOCTTY)  # what is said stays in the line
    run("capture", line.link, "-", "--duration", "0.1")
    assert line.read() == b""
    run("capture", line.link, "-", "--duration", "0.1", "--protocol", "thingmagic")
    assert line.read().startswith(STOP_STREAM)
    os.close(held)


def test_to_the_screen(line: Line, listening: Event) -> None:
    def speak() -> None:
        assert listening.wait(15)
        line.write(RECORD)
        stop()

    ran = run_beside(speak, "capture", line.link, "-")
    assert json.loads(ran.out.splitlines()[0])["hex"] == RECORD.hex()


# ---- replay ----------------------------------------------------------------------------------------------


def hear_out(path: str | Path) -> list[tuple[float, bytes]]:
    """What is said on a line, and when, until it hangs up."""
    wait_until(lambda: Path(path).exists(), what="the line")
    heard: list[tuple[float, bytes]] = []
    device = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        while True:
            assert select.select([device], [], [], 20)[0]
            data = os.read(device, 65_536)
            if not data:
                return heard
            heard.append((time.monotonic(), data))
    except OSError:  # hung up while reading
        return heard
    finally:
        os.close(device)


def test_it_begins_when_somebody_opens_it_keeps_its_timing_and_ends_when_all_was_read(tmp_path: Path) -> None:
    path = file_of(tmp_path, [(100.0, b"one"), (100.1, b"two"), (100.9, b"three")])
    link = tmp_path / "played"
    heard: list[tuple[float, bytes]] = []
    ran = run_beside(lambda: heard.extend(hear_out(link)), "replay", path, "--link", link)
    assert ran.code == 0
    assert "3 chunks, 11 bytes" in ran.says
    assert [data for _, data in heard] == [b"one", b"two", b"three"]
    one_s, two_s, three_s = (at_s for at_s, _ in heard)
    assert two_s - one_s >= 0.05
    assert three_s - two_s >= 0.6


def test_as_fast_as_it_is_taken(tmp_path: Path) -> None:
    pieces = [(float(number), bytes((number % 256,)) * 500) for number in range(400)]  # six minutes, 200 kB
    link = tmp_path / "played"
    heard: list[tuple[float, bytes]] = []
    path = file_of(tmp_path, pieces)
    assert run_beside(lambda: heard.extend(hear_out(link)), "replay", path, "--link", link, "--speed", "0").code == 0
    assert b"".join(data for _, data in heard) == b"".join(data for _, data in pieces)


def test_over_tcp(tmp_path: Path) -> None:
    port = free_port()
    heard = bytearray()

    def connect() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                heard.extend(client.recv(100))
        except ConnectionRefusedError:
            return False
        return True

    path = file_of(tmp_path, [(0, RECORD)])
    ran = run_beside(lambda: wait_until(connect, what="the port"), "replay", path, "--tcp", f"127.0.0.1:{port}")
    assert ran.code == 0
    assert bytes(heard) == RECORD


def test_in_a_loop_until_it_is_stopped(tmp_path: Path) -> None:
    link = tmp_path / "played"
    heard = bytearray()

    def listen() -> None:
        wait_until(link.exists, what="the line")
        device = os.open(link, os.O_RDWR | os.O_NOCTTY)
        while len(heard) < 3 * len(RECORD):
            assert select.select([device], [], [], 10)[0]
            heard.extend(os.read(device, 4096))
        stop()
        os.close(device)

    path = file_of(tmp_path, [(0, RECORD)])
    assert run_beside(listen, "replay", path, "--link", link, "--speed", "0", "--loop").code == 0
    assert heard.startswith(RECORD * 3)
    assert not link.is_symlink()


def test_it_stands_still_while_nobody_listens() -> None:
    pieces = [Piece(0.0, b"one"), Piece(0.3, b"two")]
    ends = Event()
    with PseudoTerminal() as line, ThreadPoolExecutor(1) as pool:
        playing = pool.submit(play_capture, iter(pieces), line, speed=1, stop=ends)
        try:
            for expected in (b"one", b"two"):
                device = os.open(line.address, os.O_RDWR | os.O_NOCTTY)
                assert select.select([device], [], [], 10)[0]
                assert os.read(device, 100) == expected
                os.close(device)
            assert playing.result(10) == (2, 6)
        finally:
            ends.set()


@pytest.mark.parametrize("text", ["nonsense\n", None])
def test_a_file_that_is_none_is_said_before_the_line_is_there(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "bad.jsonl"
    if text is not None:
        path.write_text(text)
    ran = run("replay", path, "--link", tmp_path / "played")
    assert ran.code == 2
    assert str(path) in ran.says
    assert not (tmp_path / "played").is_symlink()


def test_what_was_captured_is_played_back_the_same(tmp_path: Path) -> None:
    pieces = [Piece(0.0, RECORD[:7]), Piece(0.05, RECORD[7:] + b"\x00\xff"), Piece(0.1, LATER)]
    again = tmp_path / "again.jsonl"
    with PseudoTerminal(tmp_path / "played") as line:

        def play() -> None:
            play_capture(iter(pieces), line, speed=1, stop=Event())
            stop()

        assert run_beside(play, "capture", tmp_path / "played", again).code == 0
    assert said(again) == b"".join(piece.data for piece in pieces)


# ---- decode ----------------------------------------------------------------------------------------------


def decoded(data: bytes, *arguments: str | Path) -> list[dict[str, object]]:
    ran = run("decode", *arguments, data=data)
    assert ran.code == 0, ran.says
    return [json.loads(line) for line in ran.out.splitlines()]


def test_raw_bytes_are_one_line_for_each_frame() -> None:
    bad = RECORD.replace(b"77", b"78")
    assert decoded(RECORD + CLOCK + bad + LATER[:12], "--protocol", "ipico") == [
        {
            "kind": "read",
            "chip": "058000123B32",
            "antenna": None,
            "rssi_dbm": None,
            "reader_time": "2026-03-07T13:48:50.50",
        },
        # The rest of a line's end is counted with the next line.
        {
            "kind": "reply",
            "name": "clock",
            "command": 2,
            "data": "260306051855443727",
            "reader_ns": 1_772_823_344_550_000_000,
        },
        {"kind": "rejected", "reason": "integrity", "hex": (b"\n" + bad[:-1]).hex()},
        {"kind": "rejected", "reason": "incomplete", "hex": (b"\n" + LATER[:12]).hex()},
    ]


def test_an_undated_counter_and_all_that_a_frame_says() -> None:
    plain, full = (decoded(STREAMED, "--protocol", "thingmagic", *more)[0] for more in ((), ("--all",)))
    assert plain == {
        "kind": "read",
        "chip": "000000000000000000001545",
        "antenna": 1,
        "rssi_dbm": -60,
        "reader_time": None,
        "reader_ms": 295,
    }
    assert {key: value for key, value in full.items() if key not in ("hex", "fields")} == plain
    assert full["hex"] == STREAMED.hex()
    fields = full["fields"]
    assert isinstance(fields, dict)
    assert (fields["freq_khz"], fields["ts_ms"], fields["epc"]) == (923_200, 295, "000000000000000000001545")


def test_a_capture_has_the_time_of_each_frame(tmp_path: Path) -> None:
    path = file_of(tmp_path, [(1.5, RECORD[:9]), (1.51, RECORD[9:] + LATER[:30]), (2.25, LATER[30:])])
    found = decoded(b"", "--protocol", "ipico", path)
    assert [(one["chip"], one["t"]) for one in found] == [("058000123B32", 1.51), ("058000128608", 2.25)]
    assert decoded(path.read_bytes(), "--protocol", "ipico") == found


def test_a_bad_line_in_a_capture_is_an_error_with_2(tmp_path: Path) -> None:
    path = file_of(tmp_path, [(0, RECORD)])
    path.write_text(path.read_text() + '{"t": 1, "hex": "6"}\n')
    ran = run("decode", "--protocol", "ipico", path)
    assert ran.code == 2
    assert f"{path}, line 2" in ran.says
    assert json.loads(ran.out.splitlines()[0])["chip"] == "058000123B32"  # up to there


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--protocol", "nobody"), ("nobody", "thingmagic")), (("--protocol", "ipico", "/no/file"), ("/no/file",))],
)
def test_an_unknown_family_or_file_is_an_error_with_2(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    ran = run("decode", *arguments)
    assert ran.code == 2
    assert all(word in ran.says for word in words)


@pytest.mark.skipif(not CAPTURES, reason="the captures are not here: ../shared/captures")
def test_real_captures_mean_what_an_independent_reading_finds() -> None:
    for path in CAPTURES:
        stream = b"".join(data for _, data in pieces_in(path))
        lines = [one for one in stream.decode("ascii").split("\r\n") if one.startswith("aa") and len(one) >= 36]
        found = decoded(b"", "--protocol", "ipico", path)
        reads = [one for one in found if one["kind"] == "read"]
        assert [one["chip"] for one in reads] == [line[4:16].upper() for line in lines]
        assert [str(one["reader_time"])[-11:] for one in reads] == [
            f"{line[26:28]}:{line[28:30]}:{line[30:32]}.{int(line[32:34], 16):02d}" for line in lines
        ]
        assert not [one for one in found if one["kind"] == "rejected"]
        assert list(pieces_of(path))


def test_what_is_piped_in_is_decoded_as_it_comes() -> None:
    """A line of JSON is out while the pipe is still open."""
    program = "import typer; from reader.cli.decode import decode; typer.run(decode)"
    command = (sys.executable, "-c", program, "--protocol", "ipico")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(RECORD)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["chip"] == "058000123B32"
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(10) == 0


def test_a_long_stream_is_not_kept() -> None:
    decoding = Decoding("ipico", has_all=True)
    lines = 0
    for _ in range(500):
        lines += decoding.feed(RECORD * 20).count(b"\n")
        assert len(decoding._bytes) <= 1
    assert lines == 10_000
