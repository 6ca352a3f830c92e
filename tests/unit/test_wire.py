"""Entries as messages, and messages read again."""

from __future__ import annotations

import json

import msgspec
import pytest

from reader.journal import Entry
from reader.messages import Antenna, Counts, Coverage, OnMat, Part, Status, Teardown
from reader.model import ClockQuality, Identity
from reader.uplink import wire

MAT = Identity(event="chicago-2023", point="40k", mat="40k-main", box='b"17')
BODY = Coverage(
    mode="race",
    role="main",
    time="2026-03-07T13:48:50.500000Z",
    boot="b0",
    clock=ClockQuality(synced=True, source="ntp", error_ms=2.5),
    of="e1-1",
    n=1,
    rev=1,
    reader="main",
    antenna=None,
    hearing="down",
    reason="the cable is out: „weg“",
    since="2026-03-07T13:48:49.000000Z",
)
TOPIC = "timing/chicago-2023/40k/40k-main/coverage"


def test_an_entry_goes_out_in_its_envelope_and_is_read_again() -> None:
    sent = wire.payload(MAT, Entry("e1", 7, "coverage", msgspec.json.encode(BODY)))
    message = wire.decode(wire.topic(MAT, "coverage"), sent)
    assert message == wire.Sequenced(wire.Envelope(1, "e1", 7, "chicago-2023", "40k", "40k-main", 'b"17'), BODY)
    # Any reader of JSON sees the same: each field once, the envelope first.
    pairs = json.loads(sent, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert names[:8] == ["v", "type", "epoch", "seq", "event", "point", "mat", "box"]
    assert len(names) == len(set(names))
    assert dict(pairs)["reason"] == "the cable is out: „weg“"


def test_a_body_of_another_type_is_not_sent() -> None:
    entry = Entry("e1", 7, "split", msgspec.json.encode(BODY))
    with pytest.raises(wire.MessageMalformed, match="e1/7"):
        wire.payload(MAT, entry)


def test_the_topic_has_the_prefix_and_the_mat() -> None:
    assert wire.topic(MAT, "split") == "timing/chicago-2023/40k/40k-main/split"
    assert wire.topic(MAT, "ack/rc1", "clubs/timing") == "clubs/timing/chicago-2023/40k/40k-main/ack/rc1"


@pytest.mark.parametrize(
    ("topic", "address"),
    [
        ("timing/e/p/m/split", wire.Address("e", "p", "m", "split")),
        ("timing/e/p/ack/split", wire.Address("e", "p", "ack", "split")),
        ("timing/e/p/m/ack/rc1", wire.Address("e", "p", "m", "ack", "rc1")),
    ],
)
def test_a_topic_is_taken_apart(topic: str, address: wire.Address) -> None:
    assert wire.address_from_topic(topic) == address


@pytest.mark.parametrize("topic", ["timing/e/p/split", "times/e/p/m/split", "timing/e/p/m/split/x", ""])
def test_a_topic_of_no_mat_is_refused(topic: str) -> None:
    with pytest.raises(wire.MessageMalformed, match="expected timing/event/point/mat/what"):
        wire.address_from_topic(topic)


def test_unknown_fields_are_ignored() -> None:
    link = wire.decode("timing/e/p/m/link", b'{"link":"online","box":"b","connection":"c","new":{"x":1}}')
    assert link == wire.Link(link="online", box="b", connection="c")
    ack = wire.decode("timing/e/p/m/ack/rc1", b'{"box":"b","acks":{"e1":7},"time":"t"}')
    assert ack == wire.Ack(box="b", acks={"e1": 7}, time="t")


def test_a_status_is_read_as_the_box_says_it() -> None:
    status = Status(
        time="2026-03-07T13:48:50.500000Z",
        every_s=10,
        box="b17",
        label=None,
        mode="race",
        recording=True,
        parts={"reader:main": Part("warn", "antenna 2 is silent")},
        antennas=[Antenna("main", None, "ok", 3, 1, None)],
        on_mat=OnMat(1, [("0A12", 12.5)]),
        counts=Counts(3, 1, 1, {"integrity": 2}),
        last_read=None,
        epoch="e1",
        last_seq=7,
        delivered_seq=6,
        acks={},
        backlog=1,
        line_use_pct={"main": 0.5},
        version="0",
        uptime_s=60,
        teardown=Teardown("HOLD", ["1 entry not delivered"]),
    )
    assert wire.decode("timing/e/p/m/status", msgspec.json.encode(status)) == status


@pytest.mark.parametrize(
    ("topic", "payload", "says"),
    [
        ("timing/e/p/m/link", b'{"link":"up","box":"b","connection":"c"}', r"link: .*'up'.*\$\.link"),
        ("timing/e/p/m/ack/rc1", b'{"box":"b","acks":{"e1":"7"},"time":"t"}', r"\$\.acks\[\.\.\.\]"),
        ("timing/e/p/m/split", b"no JSON", "split: JSON is malformed"),
        ("timing/e/p/m/split", b'{"v":1}', "split: .*`epoch`"),
        ("timing/e/p/m/status", b"\xff\xfe", "status: "),
        ("timing/e/p/m/weather", b"{}", "weather"),
    ],
)
def test_a_malformed_message_is_refused_by_its_place(topic: str, payload: bytes, says: str) -> None:
    with pytest.raises(wire.MessageMalformed, match=says):
        wire.decode(topic, payload)


def test_a_message_on_anothers_topic_is_refused() -> None:
    sent = wire.payload(MAT, Entry("e1", 7, "coverage", msgspec.json.encode(BODY)))
    with pytest.raises(wire.MessageMalformed, match="a coverage came on the topic of a split"):
        wire.decode(TOPIC.replace("coverage", "split"), sent)
