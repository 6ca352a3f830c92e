"""The messages as JSON Schema (2020-12): the structs' types, the envelope around the bodies, and what `fields` adds.

A schema allows fields that it does not name, for fields may be added; a command allows none.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from reader.box.commands import STRUCTS
from reader.messages import Coverage, Gun, Heard, Marker, Notice, SelfTest, Split, Status
from reader.schema.fields import FIELDS, Field, field_of
from reader.uplink.wire import SEQUENCED, Ack, Envelope, Expect, Link, Reply

DIALECT = "https://json-schema.org/draft/2020-12/schema"
URN = "urn:timing-mat:messages:1"

Schema = dict[str, Any]

BODIES = {"split": Split, "gun": Gun, "marker": Marker, "coverage": Coverage, "notice": Notice}
OTHERS = {
    "heard": Heard,
    "status": Status,
    "link": Link,
    "selftest": SelfTest,
    "reply": Reply,
    "ack": Ack,
    "expect": Expect,
}
NAMES = (*SEQUENCED, "heard", "status", "link", "selftest", "cmd", "reply", "ack", "expect")
"""The messages, by the level of their topic."""

REVISION_SAYS_WHY: Schema = {
    "if": {"properties": {"rev": {"minimum": 2}}},
    "then": {"required": ["revised_for"]},
    "else": {"not": {"required": ["revised_for"]}},
}
REFUSAL_SAYS_WHY: Schema = {
    "if": {"properties": {"ok": {"const": False}}},
    "then": {"required": ["error"]},
}


def definitions() -> dict[str, Schema]:
    """Each message by its name, each command as ``cmd-…``, and the objects within them by the names of their structs.

    References between them are ``#/$defs/…``.
    """
    kinds = [*BODIES.values(), *OTHERS.values(), Envelope]
    _, found = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    parts = {name: _told(name, schema) for name, schema in found.items()}
    envelope = parts.pop("Envelope")
    messages = {name: _enveloped(envelope, parts.pop(struct.__name__)) for name, struct in BODIES.items()}
    messages |= {name: parts.pop(struct.__name__) for name, struct in OTHERS.items()}
    for name in ("split", "gun", "marker", "coverage"):
        messages[name] |= REVISION_SAYS_WHY
    messages["reply"] = _reply(messages["reply"])
    messages["ack"]["properties"]["acks"]["propertyNames"] = FIELDS["epoch"].keywords
    commands = {f"cmd-{name}": _command(struct) for name, struct in STRUCTS.items()}
    messages["cmd"] = {
        "title": "Command",
        "description": "What a mat may be asked to do; it always answers with a reply.",
        "type": "object",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in commands],
    }
    return {name: messages[name] for name in NAMES} | commands | parts


def bundle() -> Schema:
    """One document with all of them; alone it allows any message."""
    return {
        "$schema": DIALECT,
        "$id": URN,
        "title": "timing-mat messages",
        "description": "What stands on timing/{event}/{point}/{mat}/{what}: $defs has one schema for each what.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in NAMES],
        "$defs": definitions(),
    }


def one(name: str) -> Schema:
    """The document of one message, with what it refers to."""
    every = definitions()
    needed: dict[str, Schema] = {}
    waiting = list(_references(every[name]))
    while waiting:
        other = waiting.pop()
        if other not in needed:
            needed[other] = every[other]
            waiting += _references(every[other])
    head = {"$schema": DIALECT, "$id": f"{URN}:{name}"}
    return head | every[name] | ({"$defs": dict(sorted(needed.items()))} if needed else {})


def _told(struct: str, schema: Schema) -> Schema:
    """The schema of a struct with what people and machines are told beyond its types."""
    schema = _in_ecma(schema)
    if "description" in schema:
        schema["description"] = _prose(schema["description"])
    for name, its in schema.get("properties", {}).items():
        field = field_of(struct, name)
        if field is not None:
            its["description"] = field.says
            for keyword, value in (field.keywords or {}).items():
                its[keyword] = its[keyword] | value if isinstance(value, dict) else value
    return schema


def _enveloped(envelope: Schema, body: Schema) -> Schema:
    """The whole message: the envelope's fields around those of the body."""
    own = dict(body["properties"])
    kind = {"type": own.pop("type")}
    around = copy.deepcopy(envelope["properties"])
    required = [name for name in body["required"] if name != "type"]
    return body | {
        "properties": {"v": around.pop("v")} | kind | around | own,
        "required": ["v", "type", *around, *required],
    }


def _reply(reply: Schema) -> Schema:
    more = {
        "page": {"type": "integer"},
        "pages": {"type": "integer"},
        "entries": {"type": "array", "items": {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in SEQUENCED]}},
    }
    properties = reply["properties"] | _told("Reply", {"properties": more})["properties"]
    return reply | {"properties": properties} | REFUSAL_SAYS_WHY


def _command(struct: type[msgspec.Struct]) -> Schema:
    """A command's own types are strict already: it takes what `fields` names for it alone, and descriptions."""
    _, found = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    schema: Schema = _in_ecma(found[struct.__name__])
    schema["description"] = _prose(schema["description"])
    for name, its in schema["properties"].items():
        field = field_of(struct.__name__, name)
        if field is not None:
            form = its.get("description")
            its["description"] = f"{field.says} Expected: {form}." if form else field.says
        its |= FIELDS.get(f"{struct.__name__}.{name}", Field("")).keywords or {}
    schema["properties"]["id"] = {"type": "string", "minLength": 1, "maxLength": 200} | {
        "description": FIELDS["id"].says
    }
    schema["required"] = ["id", *(name for name in schema["required"] if name != "id")]
    return schema


def _prose(docstring: str) -> str:
    """A docstring as plain text: paragraphs on one line each, in JSON's words."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return re.sub(r"\bNone\b", "null", text.replace("``", "`"))


def _in_ecma(value: Any) -> Any:
    """Patterns as JavaScript spells them, which is what JSON Schema asks for."""
    if isinstance(value, dict):
        return {
            key: its.replace(r"\A", "^").replace(r"\Z", "$")
            if key == "pattern" and isinstance(its, str)
            else _in_ecma(its)
            for key, its in value.items()
        }
    return [_in_ecma(its) for its in value] if isinstance(value, list) else value


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix("#/$defs/")
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
