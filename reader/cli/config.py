"""`timing-mat config`: what is wrong with my file; a new one; the box's label."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reader.cli import config_import, config_label, config_new
from reader.cli.run import ConfigOption, look_at_files
from reader.config import Config, find, load
from reader.config.rows import rows
from reader.wording import counted

app = typer.Typer(help="The configuration, mat.toml.", no_args_is_help=True)
app.command()(config_new.new)
app.command()(config_label.label)
app.command("import")(config_import.import_)


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
    table = Table("setting", "value", "")
    for row in rows(settings):
        table.add_row(
            Text(row.key), Text(row.value, overflow="fold"), Text("" if row.is_given else "default", style="dim")
        )
    return table
