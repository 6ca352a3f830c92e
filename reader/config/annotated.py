"""A `mat.toml` that explains itself: each key there is, with what it does; what is not set stands commented out.

An explanation begins with ``# ``, a key that is not set with ``#`` alone: take that sign away and it is set, to its
default or, where it has none, to the example that stands there.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from reader.config.settings import GATE_BY_USE, Tables

WIDTH = 110
HEAD = (
    "What this box is and does. Made by `timing-mat config new`; change it with any editor, look at it with "
    "`timing-mat config check`, then `sudo systemctl restart timing-mat`. A line that begins with # is a remark, or a "
    "key that is not set: take the sign away, and it is. What stands behind it there is what holds without it, or an "
    "example. Relative paths start at this file's folder."
)


class Explained(NamedTuple):
    """What a key does. ``example``: of a key that has no default."""

    says: str
    example: object = None


TABLES = {
    "mat": "Which mat this is. Its splits go out as timing/EVENT/POINT/ID/split.",
    "reader": "A reader: one such table for each. Which one is on a line: `timing-mat probe auto`.",
    "gate": "When reads of one chip are one crossing, and which moment of it counts. The defaults follow `use`.",
    "journal": "Where every crossing is kept.",
    "mqtt": "The broker, at race control.",
    "chips": "Which chip is whose.",
    "panel": "Lights, buzzer, button and contacts: the numbers of the Pi's pins (BCM). Nothing is wired without them.",
    "box": "The box itself.",
    "web": "The crew's page.",
}

KEYS = {
    "mat.event": Explained(
        "The race; the same in all boxes of it. Lower-case letters, digits, dashes, here and below."
    ),
    "mat.point": Explained("Where on the course: start, 05k, half, finish."),
    "mat.id": Explained("Which mat of that point. No other box has the same event, point and id."),
    "mat.use": Explained(
        "What the mat is for: start, split, finish, lap, or start-finish. Decides which moment of a crossing counts."
    ),
    "mat.role": Explained("main; backup: a second mat behind it; side: beside it, on a wide road."),
    "mat.label": Explained(
        "What the sticker on the box says. Without it: the last six of the box's own number.", "B17"
    ),
    "reader.name": Explained("How messages call it; each its own."),
    "reader.protocol": Explained("ipico, thingmagic, a0, m100, uhfreader, rdm6300; auto: found by itself."),
    "reader.port": Explained(
        'A device, a URL ("socket://10.0.0.5:10000"), or auto: the first line on which a reader is found.'
    ),
    "reader.baud": Explained("Bits a second; without it what the family leaves the factory with.", 115200),
    "reader.line": Explained("Readers of one line share a gate. A second line of mats behind it gets another name."),
    "reader.profile": Explained(
        "What the reader is set to, its region included: `timing-mat profile list`. Without one it is taken as it is.",
        "NAME",
    ),
    "reader.time_from": Explained(
        "auto: the reader's own clock, held against the box's, where it has one; host: arrival; reader: its clock "
        "as it is."
    ),
    "reader.zone": Explained('The zone of the reader\'s clock, as "America/Chicago".'),
    "reader.apply_profile": Explained(
        "volatile: at every start what the reader forgets without power; all: its flash too; never."
    ),
    "gate.pick": Explained("Which moment is the split: first, best or last."),
    "gate.quiet_s": Explained("Seconds unheard, or without a stronger read, until the time has settled."),
    "gate.dead_time_s": Explained("Seconds unheard until the chip can cross again."),
    "gate.linger_s": Explained("Seconds after its first read until the time of a chip that stays is frozen."),
    "gate.heard": Explained("Tell of each chip at once, for screens and announcers."),
    "journal.path": Explained("The file. On a real disk, never on a RAM disk."),
    "journal.copy": Explained(
        "auto: a second copy on any USB stick that is mounted; or a folder of another disk.", "auto"
    ),
    "journal.keep_days": Explained("Days to keep.", 30),
    "journal.max_mb": Explained("MB to keep.", 1000),
    "mqtt.host": Explained("Its name or address."),
    "mqtt.port": Explained("1883; with TLS 8883."),
    "mqtt.version": Explained("auto, 5 or 3.1.1. With accounts and an access list: 5."),
    "mqtt.hosts": Explained(
        "Instead of host and port: the nodes of a cluster, tried in turn.", ["rc1:1883", "rc2:1883"]
    ),
    "mqtt.username": Explained("The account, named as the mat's id.", "finish-main"),
    "mqtt.password_file": Explained(
        "A file with the password and nothing else, in /etc/timing-mat/credentials, which only root may read.",
        "mqtt-password",
    ),
    "mqtt.ca_file": Explained("TLS: race control's ca.pem, beside this file.", "ca.pem"),
    "mqtt.cert_file": Explained("TLS: the box's own certificate, where the broker asks for one.", "mat.pem"),
    "mqtt.key_file": Explained("TLS: its key, in /etc/timing-mat/credentials.", "mat.key"),
    "mqtt.prefix": Explained("The first level, or levels, of the topics."),
    "mqtt.delivered_when": Explained(
        "subscriber: the broker took it and somebody had subscribed; broker: it took it; control: all `collectors` "
        "have it."
    ),
    "mqtt.collectors": Explained("Whom `control` waits for.", ["rc1"]),
    "chips.bibs": Explained("A CSV file, chip,bib; several chips for a bib are normal.", "chips.csv"),
    "chips.sweep": Explained("Chips of the last vehicle: they end no release.", ["E28011700000000000000001"]),
    "chips.reference": Explained(
        "Chips fixed to the mat, a proof that it hears: never told as splits.", ["E28011700000000000000002"]
    ),
    "panel.ready_led": Explained("Steady: recording. Off or fast: not.", 17),
    "panel.uplink_led": Explained("Steady: all delivered; slow: entries wait; off: no broker.", 27),
    "panel.read_led": Explained("A flash for a new chip.", 22),
    "panel.fault_led": Explained("Blinks the number of what is wrong.", 23),
    "panel.buzzer": Explained("A beep for a new chip.", 24),
    "panel.button": Explained("To ground: a short press is a marker.", 25),
    "panel.gun": Explained("A contact to ground: each closing is a gun.", 5),
    "panel.gun_name": Explained('Whose start that contact is, as "elites".'),
    "panel.power_fail": Explained("To ground: the mains have gone.", 6),
    "panel.quiet_hours": Explained("Local time without a beep.", "22:00-05:30"),
    "box.control": Explained("The socket on which `timing-mat status` and its like ask."),
    "box.empty_volts": Explained("At how many volts its battery is empty, where its gauge was not told.", 11.0),
    "web.listen": Explained("Where the page is served."),
    "web.pin_file": Explained("A file with the crew's PIN, in /etc/timing-mat/credentials.", "web-pin"),
}


def annotated(given: Mapping[str, Any]) -> str:
    """The text of the file. ``given``: tables and keys as `tomllib` would read them from it; `reader` is a list."""
    gate = GATE_BY_USE.get(given.get("mat", {}).get("use", "finish"), GATE_BY_USE["finish"])
    blocks = ["\n".join(_remark(HEAD))]
    for field in msgspec.structs.fields(Tables):
        name = field.encode_name
        kind = _struct_of(field.type)
        if name == "reader":
            blocks += [_block("[[reader]]", name, kind, one, {}) for one in given.get(name, [])]
        else:
            defaults = msgspec.structs.asdict(gate) if name == "gate" else {}
            blocks.append(_block(f"[{name}]", name, kind, given.get(name, {}), defaults))
    return "\n\n".join(blocks) + "\n"


def toml_value(value: object) -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False)
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            return str(value)


def _block(
    heading: str, table: str, kind: type[msgspec.Struct], given: Mapping[str, Any], defaults: Mapping[str, object]
) -> str:
    lines = [*_remark(TABLES[table]), heading]
    for field in msgspec.structs.fields(kind):
        key = field.encode_name
        explained = KEYS[f"{table}.{key}"]
        lines += _remark(explained.says)
        if key in given:
            lines.append(f"{key} = {toml_value(given[key])}")
        else:
            default = defaults.get(key, field.default)
            shown = explained.example if default in (None, (), msgspec.NODEFAULT) else default
            lines.append(f"#{key} = {toml_value(shown)}")
    return "\n".join(lines)


def _remark(says: str) -> Iterator[str]:
    return (f"# {line}" for line in textwrap.wrap(says, WIDTH - 2, break_on_hyphens=False))


def _struct_of(kind: Any) -> type[msgspec.Struct]:
    """The struct of a table, or of one of a list of tables."""
    info = msgspec.inspect.type_info(kind)
    while not isinstance(info, msgspec.inspect.StructType):
        info = info.item_type if isinstance(info, msgspec.inspect.VarTupleType) else info.type  # type: ignore[attr-defined] # Metadata, the only other wrapping here
    return info.cls
