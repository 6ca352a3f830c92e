"""Questions to a UHFReader, and who it says it is: what setting it up and setting it have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from reader.line.protocols.asking import Question, Script, Stuck, pause
from reader.line.protocols.uhfreader.frame import (
    INFO,
    MODE,
    MODE_18,
    UNKNOWN,
    band_from_bytes,
    command,
    words_from_status,
)
from reader.model import Reply

MS_NS = 1_000_000
GAP_NS = 20 * MS_NS  # the makers ask for 15 ms between commands
ANSWER_NS = 300 * MS_NS
SCAN_UNIT_MS = 100

MODELS = {
    0x03: "RU5102",
    0x08: "RU5102",
    0x09: "UHFReader18",
    0x0C: "UHFReader288M",
    0x0F: "UHFReader86",
    0x10: "UHFReader86",
    0x20: "UHFReader288MP",
    0x86: "UHFReader86",
    0x89: "UHFReader188",
}
# To them two bytes behind 01 are not Q and session: they would report what else is in the chips' memory.
PLAIN_TYPES = frozenset({0x03, 0x08, 0x09})
OLD_TYPES = PLAIN_TYPES | {0x0F, 0x10, 0x86, 0x89}


class Info(NamedTuple):
    """What a reader says of itself; None where its answer is too short. ``ports``: those it listens on, from 1."""

    kind: int
    firmware: str
    band: tuple[str, int, int] | None
    power_dbm: int
    scan_ms: int
    ports: tuple[int, ...] | None
    antenna_check: bool | None

    @property
    def model(self) -> str:
        """``UHFReader288M``, or its type as it stands."""
        return MODELS.get(self.kind, f"UHFReader type {self.kind:02X}")


def ask(
    name: str, cmd: int, data: bytes = b"", tries: int = 2, wait_ns: int = ANSWER_NS, then_baud: int | None = None
) -> Script[Reply | None]:
    """The answer, a refusal included; None if there is none."""
    yield from pause(GAP_NS)

    def is_answer(reply: Reply) -> bool:
        return reply.fields.get("cmd") in (cmd, UNKNOWN)

    return (yield Question(name, command(cmd, data), is_answer, tries, wait_ns, then_baud))


def asked(name: str, cmd: int, data: bytes = b"") -> Script[Mapping[str, object] | None]:
    """The fields of the answer; None where the reader refuses or does not answer."""
    reply = yield from ask(name, cmd, data)
    return None if reply is None or reply.name == "error" else reply.fields


def written(name: str, cmd: int, data: bytes, then_baud: int | None = None) -> Script[None]:
    """Write; Stuck where the reader refuses or does not answer."""
    reply = yield from ask(name, cmd, data, then_baud=then_baud)
    if reply is None:
        raise Stuck(f"no answer to writing {name}: check the cable, and try again", is_unanswered=True)
    if reply.name == "error":
        raise Stuck(f"the reader refuses {name}: {words_from_status(cast(int, reply.fields['status']))}")


def asked_info(tries: int = 2) -> Script[Info | None]:
    """Who is there; None where there is no answer, or none that says it."""
    reply = yield from ask("its information", INFO, tries=tries)
    if reply is None or "type" not in reply.fields:
        return None
    said = cast(Mapping[str, int], reply.fields)
    firmware = cast(list[int], reply.fields["fw"])
    mask, check = said.get("antennas"), said.get("antenna_check")
    return Info(
        said["type"],
        ".".join(map(str, firmware)),
        band_from_bytes(said["dmaxfre"], said["dminfre"]),
        said["power"],
        said["scantime"] * SCAN_UNIT_MS,
        None if mask is None or said["type"] in OLD_TYPES else tuple(n + 1 for n in range(8) if mask >> n & 1),
        None if check is None else bool(check),
    )


def asked_mode(kind: int | None) -> Script[tuple[int, Mapping[str, object]] | None]:
    """The command that tells its work mode, and what it tells; None where none does."""
    for cmd in (MODE_18, MODE) if kind in OLD_TYPES else (MODE, MODE_18):
        fields = yield from asked("its work mode", cmd)
        if fields is not None and "mode" in fields:
            return cmd, fields
    return None
