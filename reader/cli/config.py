"""`timing-mat config`: what is wrong with my file."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reader.cli.run import ConfigOption, look_at_files
from reader.config import Config, find, load
from reader.wording import counted

app = typer.Typer(help="The configuration, mat.toml.", no_args_is_help=True)


@app.callback()
def _config() -> None:
    """The configuration, mat.toml."""


@app.command()
def check(config: ConfigOption = None) -> None:
    """Say what is wrong with the file, every mistake at once, or that it is fine.

    What is fine here is fine for `timing-mat run`. Exit code 3 if it is not.

    Example: timing-mat config check --config mat.toml
    """
    settings = load(find(config))
    bibs = look_at_files(settings)
    console = Console(highlight=False, markup=False)
    count = len(settings.readers)
    parts = [counted(count, "reader")]
    if bibs:
        parts.append(f"{counted(len(bibs), 'chip')} of {counted(len(set(bibs.values())), 'bib')}")
    console.print(f"{settings.source}: {', '.join(parts)}: fine", soft_wrap=True)
    console.print(_table_of(settings))


def _table_of(settings: Config) -> Table:
    unused = {"source", "given"} | ({"mqtt.host", "mqtt.port"} if settings.mqtt.hosts else set())
    table = Table("setting", "value", "")
    for key, value in _rows(settings):
        if key in unused:
            continue
        origin = "" if key in settings.given else "default"
        table.add_row(Text(key), Text(str(value), overflow="fold"), Text(origin, style="dim"))
    return table


def _rows(table: msgspec.Struct, above: str = "") -> Iterator[tuple[str, object]]:
    """Full key and value of all that is set, in the order of the file's tables."""
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        key = f"{above}{field.encode_name}"
        match value:
            case None | ():
                continue
            case msgspec.Struct():
                yield from _rows(value, f"{key}.")
            case (msgspec.Struct(), *_):
                for place, one in enumerate(value):
                    yield from _rows(one, f"{key}[{place}].")
            case tuple():
                yield key, ", ".join(value)
            case bool():
                yield key, "true" if value else "false"
            case _:
                yield key, value
