"""What no key can tell alone: where two of them contradict each other, and where the world decides."""

from __future__ import annotations

import difflib
import zoneinfo
from collections.abc import Iterator, Set
from typing import Any

# The words may not import the table of families; a test holds that these agree with it.
DATED_FAMILIES = frozenset({"ipico"})
FACTORY_BAUD = {"ipico": 9600, "thingmagic": 115200, "a0": 115200, "m100": 115200, "uhfreader": 57600, "rdm6300": 9600}

BELONGS_TO = {"mqtt.key_file": "mqtt.cert_file", "mqtt.password_file": "mqtt.username"}


def disagreements(draft: Any, given: Set[str]) -> Iterator[str]:
    """A sentence for each, beginning with the full key. ``draft``: Tables, with None for what was missing or wrong."""
    readers = {f"reader[{place}]": reader for place, reader in enumerate(draft.readers or ()) if reader is not None}
    yield from _of_names_and_ports(readers)
    yield from _of_times(readers)
    yield from _of_zones(readers)
    yield from _of_gate(draft.gate)
    yield from _of_mqtt(draft.mqtt, given)
    yield from _of_pins(draft.panel)


def _of_names_and_ports(readers: dict[str, Any]) -> Iterator[str]:
    for field in ("name", "port"):
        seen: dict[str, str] = {}
        for key, reader in readers.items():
            value = getattr(reader, field)
            if value is None:
                continue
            if value in seen:
                yield f'{key}.{field}: found "{value}", which {seen[value]} has already, expected another {field}'
            seen.setdefault(value, key)


def _of_times(readers: dict[str, Any]) -> Iterator[str]:
    for key, reader in readers.items():
        if reader.time_from == "reader" and reader.protocol not in DATED_FAMILIES | {None}:
            yield (
                f'{key}.time_from: found "reader", which needs a protocol whose records bear a date '
                f'({", ".join(sorted(DATED_FAMILIES))}), not "{reader.protocol}"; expected "auto" or "host"'
            )
    by_reader = {reader.line: key for key, reader in readers.items() if reader.time_from == "reader"}
    for key, reader in readers.items():
        if reader.time_from in ("auto", "host") and reader.line in by_reader:
            yield (
                f'{key}.time_from: found "{reader.time_from}", but {by_reader[reader.line]} of the same line '
                f'("{reader.line}") has "reader"; expected the same for all readers of a line'
            )


def _of_zones(readers: dict[str, Any]) -> Iterator[str]:
    for key, reader in readers.items():
        if reader.zone is None:
            continue
        try:
            zoneinfo.ZoneInfo(reader.zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            near = difflib.get_close_matches(reader.zone, zoneinfo.available_timezones(), n=1)
            says = f'; did you mean "{near[0]}"?' if near else ""
            yield f'{key}.zone: found "{reader.zone}", expected a time zone, as in "UTC" or "America/Chicago"{says}'


def _of_gate(gate: Any) -> Iterator[str]:
    if gate is None or gate.quiet_s is None or gate.dead_time_s is None:
        return
    if gate.quiet_s >= gate.dead_time_s:
        yield (
            f"gate.quiet_s: found {gate.quiet_s:g}, expected less than gate.dead_time_s ({gate.dead_time_s:g}): "
            "a passing has to settle before the next can open"
        )


def _of_mqtt(mqtt: Any, given: Set[str]) -> Iterator[str]:
    if mqtt is not None and mqtt.delivered_when == "control" and mqtt.collectors == ():
        yield 'mqtt.delivered_when: found "control" without mqtt.collectors, expected who has to store it: ["rc1"]'
    for key in ("mqtt.host", "mqtt.port"):
        if {key, "mqtt.hosts"} <= given:
            yield f"{key}: found beside mqtt.hosts, expected one or the other: mqtt.hosts stands instead of it"
    for key, owner in BELONGS_TO.items():
        if key in given and owner not in given:
            yield f"{key}: found without {owner}, expected both"


def _of_pins(panel: Any) -> Iterator[str]:
    seen: dict[int, str] = {}
    for field in panel.__struct_fields__ if panel is not None else ():
        pin = getattr(panel, field)
        if not isinstance(pin, int):
            continue
        if pin in seen:
            yield f"panel.{field}: found {pin}, which panel.{seen[pin]} has already, expected another pin"
        seen.setdefault(pin, field)
