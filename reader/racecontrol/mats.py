"""What is known of one mat: what it last said of itself, and what has been said to it."""

from __future__ import annotations

from reader.racecontrol import taken
from reader.racecontrol.epochs import Mat
from reader.racecontrol.store import MatRow


class MatState:
    """``link``: online, stopped, lost, or "" while nothing was said. ``last_word_ns``: monotonic; None: not yet.

    ``passings``: how many it has told. ``ack_said``: box, and seqs by epoch, as acknowledged on this connection.
    """

    def __init__(self, event: str, point: str, mat: str) -> None:
        self.event = event
        self.point = point
        self.mat = mat
        self.box = ""
        self.link = ""
        self.mode = ""
        self.label: str | None = None
        self.is_recording = True
        self.backlog = 0
        self.status: str | None = None
        self.last_word_ns: int | None = None
        self.passings = 0
        self.has_to_ack = False
        self.ack_said: tuple[str, dict[str, int]] | None = None
        self.ack_due_ns = 0
        self._last_word_utc_us: int | None = None

    @classmethod
    def from_row(cls, row: MatRow, passings: int) -> MatState:
        """As it stood when it was last written down; whether its link still is so must be heard."""
        mat = cls(row.event, row.point, row.mat)
        mat.box, mat.mode, mat.status, mat._last_word_utc_us = row.box, row.mode, row.status, row.last_word_utc_us
        mat.passings = passings
        return mat

    @property
    def key(self) -> Mat:
        """Its place among the mats of its event."""
        return self.point, self.mat

    @property
    def is_there(self) -> bool:
        """Unless it said goodbye, or its last will did."""
        return self.link not in ("lost", "stopped")

    def take(self, status: taken.Status, text: str) -> None:
        """It says how it is."""
        self.mode, self.label, self.backlog = status.mode, status.label, status.backlog
        self.is_recording, self.status = status.recording, text

    def row(self, utc_less_mono_ns: int) -> MatRow:
        """As it is to be written down."""
        if self.last_word_ns is not None:
            self._last_word_utc_us = (self.last_word_ns + utc_less_mono_ns) // 1000
        return MatRow(
            self.event, self.point, self.mat, self.box, self.link, self.mode, self.status, self._last_word_utc_us
        )
