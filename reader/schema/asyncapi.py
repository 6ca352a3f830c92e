"""The topics as an AsyncAPI 3.0 document, seen from the mat: it sends and receives. The messages are `json_schema`'s.

AsyncAPI's own schemas are those of an older JSON Schema (draft 07): references lie elsewhere, and the items of a tuple
are spelled otherwise.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from reader.schema.fields import FIELDS
from reader.schema.json_schema import NAMES, Schema, definitions

MQTT_BINDING = "0.2.0"


class Spoken(NamedTuple):
    """How a message goes: who speaks, at which QoS, retained or not, and when."""

    action: Literal["send", "receive"]
    qos: Literal[0, 1]
    is_retained: bool
    summary: str


SPOKEN = {
    "split": Spoken("send", 1, False, "A chip has crossed; again, as a revision, when its time had to change."),
    "gun": Spoken("send", 1, False, "A start signal."),
    "marker": Spoken("send", 1, False, "A time without a chip."),
    "coverage": Spoken("send", 1, False, "The mat, or one antenna of it, began or ceased to hear."),
    "notice": Spoken("send", 1, False, "What else must not be forgotten."),
    "heard": Spoken("send", 0, False, "A chip is heard for the first time: for screens, never for scoring."),
    "status": Spoken("send", 1, True, "The whole box: at a change of a word, and at least every 10 s."),
    "link": Spoken("send", 1, True, "Whether the box is on the wire; lost is its last will."),
    "selftest": Spoken("send", 1, True, "What the last self-test found, check by check."),
    "cmd": Spoken("receive", 1, False, "A command, always answered. A retained one is refused."),
    "reply": Spoken("send", 1, False, "The answer to a command; here, or to its MQTT 5 response topic."),
    "ack": Spoken("receive", 1, True, "A collector has everything through these entries on its disk."),
    "expect": Spoken("receive", 1, True, "Who is still to come here, as race control knows it."),
}

PARAMETERS = {
    "prefix": ("The first level, or levels, of all topics: `[mqtt] prefix`.", "timing"),
    "event": (FIELDS["event"].says, "chicago-2023"),
    "point": (FIELDS["point"].says, "finish"),
    "mat": (FIELDS["mat"].says, "finish-main"),
    "collector": ("The collector, by its name.", "rc1"),
}


def asyncapi(version: str) -> dict[str, Any]:
    """The document, for that version of the program."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "timing-mat",
            "version": version,
            "description": (
                "A race timing mat: what it tells race control by MQTT, and what it is told. Messages in the log "
                "(split, gun, marker, coverage, notice) bear (epoch, seq), come in that order and at least once; "
                "fields may be added, and none is ever renamed."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in NAMES},
        "operations": {f"{SPOKEN[name].action}-{name}": _operation(name) for name in NAMES},
        "components": {
            "messages": {name: _message(name) for name in NAMES},
            "schemas": {name: _in_draft_07(schema) for name, schema in definitions().items()},
        },
    }


def _channel(name: str) -> dict[str, Any]:
    levels = ["prefix", "event", "point", "mat"]
    last = "ack/{collector}" if name == "ack" else name
    levels += ["collector"] if name == "ack" else []
    return {
        "address": f"{{prefix}}/{{event}}/{{point}}/{{mat}}/{last}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {
            level: {"description": PARAMETERS[level][0], "examples": [PARAMETERS[level][1]]} for level in levels
        },
    }


def _operation(name: str) -> dict[str, Any]:
    spoken = SPOKEN[name]
    operation: dict[str, Any] = {
        "action": spoken.action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": spoken.summary,
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": spoken.qos, "retain": spoken.is_retained, "bindingVersion": MQTT_BINDING}},
    }
    if name == "cmd":
        operation["reply"] = {
            "channel": {"$ref": "#/channels/reply"},
            "messages": [{"$ref": "#/channels/reply/messages/reply"}],
        }
    return operation


def _message(name: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": name,
        "summary": SPOKEN[name].summary,
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }
    if name in ("cmd", "reply"):
        message["correlationId"] = {"location": "$message.payload#/id"}
    return message


def _in_draft_07(value: Schema | Any) -> Any:
    if isinstance(value, list):
        return [_in_draft_07(its) for its in value]
    if not isinstance(value, dict):
        return value
    schema = {key: _in_draft_07(its) for key, its in value.items()}
    if "prefixItems" in schema:
        schema["additionalItems"] = schema.pop("items", True)
        schema["items"] = schema.pop("prefixItems")
    if isinstance(reference := schema.get("$ref"), str):
        schema["$ref"] = reference.replace("#/$defs/", "#/components/schemas/")
    return schema
