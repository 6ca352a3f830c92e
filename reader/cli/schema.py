"""`timing-mat schema`: what stands on each topic, for machines."""

from __future__ import annotations

import json
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from reader.schema import NAMES, asyncapi, bundle, one


class Format(StrEnum):
    """As what."""

    JSON_SCHEMA = "json-schema"
    ASYNCAPI = "asyncapi"


def schema(
    form: Annotated[
        Format, typer.Option("--format", help="json-schema: the messages; asyncapi: the topics too.")
    ] = Format.JSON_SCHEMA,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Instead of the screen: a file if its name ends in .json, else a folder of a file for each message.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the messages' JSON Schema (2020-12), or the topics as an AsyncAPI 3.0 document.

    Example: timing-mat schema --out schemas
    """
    if form is Format.ASYNCAPI:
        documents = {"asyncapi.json": asyncapi(version("timing-mat"))}
    elif out is None or out.suffix == ".json":
        documents = {"messages.schema.json": bundle()}
    else:
        documents = {f"{name}.schema.json": one(name) for name in NAMES}
    for name, document in documents.items():
        text = json.dumps(document, indent=2, ensure_ascii=False)
        if out is None:
            print(text)
            continue
        path = out if out.suffix == ".json" else out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
        print(path)
