"""The socket that gathers: nothing is sent twice, out of order or left behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from reader.uplink.gathering import GatheringSocket


@pytest.fixture
def ends() -> Iterator[tuple[GatheringSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield GatheringSocket(ours), theirs


def test_what_is_sent_goes_out_together_at_the_flush(ends: tuple[GatheringSocket, socket.socket]) -> None:
    ours, theirs = ends
    assert ours.send(b"0one") == 4
    ours.send(b"0two")
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(100)
    ours.flush()
    assert theirs.recv(100) == b"0one0two"
    assert not ours.has_unsent


def test_what_the_network_does_not_take_goes_out_later_once_and_in_order(
    ends: tuple[GatheringSocket, socket.socket],
) -> None:
    ours, theirs = ends
    message = b"0" + bytes(range(256)) * 8_000
    ours.send(message)
    ours.flush()
    assert ours.is_stuck
    received = b""
    while len(received) < len(message):
        received += theirs.recv(65_536)
        ours.flush()
    assert received == message
    assert not ours.is_stuck


def test_a_goodbye_is_sent_before_the_socket_is_closed(ends: tuple[GatheringSocket, socket.socket]) -> None:
    ours, theirs = ends
    ours.send(b"0last")
    ours.send(b"\xe0\x00")
    ours.close()
    assert theirs.recv(100) == b"0last\xe0\x00"


def test_what_has_come_is_given_out_in_parts_and_then_there_is_nothing(
    ends: tuple[GatheringSocket, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.send(b"abcdef")
    assert ours.recv(1) == b"a"
    held_back = [ours.holds_back]
    assert ours.recv(100) == b"bcdef"
    held_back.append(ours.holds_back)
    assert held_back == [True, False]
    with pytest.raises(BlockingIOError):
        ours.recv(1)


def test_the_end_is_told_as_a_socket_tells_it(ends: tuple[GatheringSocket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()
    assert ours.recv(1) == b""
