"""The status of a mat on which all is well, for tests that change what they are about."""

from __future__ import annotations

from reader.messages import Counts, OnMat, Part, Status, Teardown

WELL = Status(
    time="2026-03-07T13:48:50.500000Z",
    every_s=10,
    box="b17",
    label=None,
    mode="race",
    recording=True,
    parts={"reader:main": Part("ok", ""), "broker": Part("ok", "")},
    antennas=[],
    on_mat=OnMat(0, []),
    counts=Counts(0, 0, 0, {}),
    last_read=None,
    epoch="",
    last_seq=0,
    delivered_seq=0,
    acks={},
    backlog=0,
    line_use_pct={},
    version="",
    uptime_s=0,
    teardown=Teardown("HOLD", []),
)
