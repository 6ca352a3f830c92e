"""`timing-mat profile`: the reader's settings against a file of firmware_config."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from reader.cli.profile_desk import Answering, answering, beside_config, meant
from reader.cli.profile_keep import before_path, before_text, dumped, write_new
from reader.cli.profile_show import (
    NO_REGION,
    antennas_of,
    limit_of,
    table_of_antennas,
    table_of_values,
    words_from_limit,
)
from reader.cli.run import ConfigOption
from reader.errors import ConfigError, ReaderError, UsageError
from reader.line import profile
from reader.line.protocols.settings import Difference, differences
from reader.line.protocols.settings import apply as apply_settings

app = typer.Typer(help="The reader's settings, against the profiles of firmware_config.", no_args_is_help=True)

NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="The profile: its name or its file [that of the reader in mat.toml]."),
]
PortOption = Annotated[str | None, typer.Option(help="The line that the reader is on [the reader's in mat.toml].")]
BaudOption = Annotated[int | None, typer.Option(min=300, help="Its speed; others of the family are tried after it.")]
ReaderOption = Annotated[
    str | None, typer.Option("--reader", metavar="NAME", help="Which [[reader]] of mat.toml, where there are several.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@app.callback()
def _profile() -> None:
    """The reader's settings, against the profiles of firmware_config."""


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the profiles there are: beside mat.toml in `readers/`, in /etc/timing-mat/readers, and those shipped.

    Example: timing-mat profile list
    """
    rows = []
    for place in profile.list_profiles(beside_config(config)):
        row: dict[str, object] = {"name": place.name, "path": str(place.path)}
        try:
            found = profile.load(place).profile
            row |= {"family": found.family, "use": found.use, "region": found.region, "says": found.says}
        except ConfigError as error:
            row["error"] = "; ".join(error.problems)
        rows.append(row)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("profile", "protocol", "region", "says")
    for row in rows:
        says = row.get("says") or f"can't be used: {row.get('error')}"
        table.add_row(str(row["name"]), str(row.get("family", "")), str(row.get("region") or ""), str(says))
    _print(table)


@app.command()
def show(
    name: NameArgument = None, config: ConfigOption = None, reader: ReaderOption = None, as_json: JsonOption = False
) -> None:
    """Show what a profile asks for, what each antenna would radiate by it, and the limit. No reader is needed.

    Example: timing-mat profile show m6e-nano-fcc
    """
    if name is None:
        loaded = meant(config, reader, None, None).loaded(None)
    else:
        loaded = profile.load(profile.find(name, beside_config(config)))
    found = loaded.profile
    if as_json:
        says = {"name": loaded.name, "path": str(loaded.path)} | msgspec.to_builtins(found)
        says |= {"antenna": antennas_of(found), "limit": limit_of(found)}
        print(json.dumps(says, indent=2))
        return
    if found.region is None:
        print(NO_REGION)
    print(f"{loaded.name}: {found.says} ({loaded.path})")
    _print(table_of_values(found))
    _print(table_of_antennas(found))
    print(words_from_limit(found))


@app.command()
def diff(
    name: NameArgument = None,
    port: PortOption = None,
    baud: BaudOption = None,
    config: ConfigOption = None,
    reader: ReaderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what of the reader is not as the profile wants it; nothing is written. Exit code 1 if anything is not.

    What a reader does not tell is named too, and counts as no difference.

    Example: timing-mat profile diff m6e-nano-fcc --port /dev/ttyUSB0
    """
    at = meant(config, reader, port, baud)
    loaded = at.loaded(name)
    with answering(at, loaded.profile.family) as there:
        if not as_json:
            _introduce(there, loaded)
        found = there.run(differences(there.settings, loaded.wanted()))
    if as_json:
        rows = [
            {
                "key": one.setting.key,
                "wanted": one.wanted,
                "found": one.found,
                "in_flash": one.setting.is_in_flash,
                "says": one.says,
            }
            for one in found
        ]
        print(json.dumps({"profile": loaded.name, "reader": there.says, "differences": rows}, indent=2, default=str))
    else:
        for one in found:
            print(_says(one))
        if not any(map(_is_known, found)):
            print("nothing differs" if not found else "nothing else differs")
    if any(map(_is_known, found)):
        raise typer.Exit(1)


@app.command()
def apply(
    name: NameArgument = None,
    port: PortOption = None,
    baud: BaudOption = None,
    config: ConfigOption = None,
    reader: ReaderOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to keep what was there before [before-NAME-TIME.toml in the state directory].",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Set the reader up as the profile wants it, flash included; only what differs is written, and read back.

    Says first what it will change, and asks. What was there before is kept as a profile of its own. Interrupted, it
    is safe to run again: it goes on where it stopped. Exit code 1 if something is not as wanted in the end.

    Example: timing-mat profile apply m6e-nano-fcc --port /dev/ttyUSB0
    """
    if keep is not None and keep.exists():
        raise UsageError(f"--keep {keep}: is there already; choose another file.")
    at = meant(config, reader, port, baud)
    loaded = at.loaded(name)
    with answering(at, loaded.profile.family) as there:
        now = _introduce(there, loaded)
        if loaded.profile.region is None and now is not None:
            _hold_against(loaded, now)
        wanted = loaded.wanted(with_flash=True)
        found = there.run(differences(there.settings, wanted))
        if not found:
            print("nothing differs, nothing was written")
            return
        print(f"to change, {len(found)}:")
        for one in found:
            print(f"  {_says(one)}")
        try:
            before = before_text(there, loaded)
        except ConfigError as error:
            print(f"what is there now can't be kept as a profile: {'; '.join(error.problems)}")
            before = None
        if not yes and not typer.confirm("Change the reader?"):
            print("nothing was changed")
            raise typer.Exit(1)
        if before is not None:
            path = keep or before_path(loaded.name)
            write_new(path, before)
            back = f"timing-mat profile apply {path} --port {there.desk.port.name}"
            print(f"what was there before is kept; to go back: {back}")
        try:
            applied = there.run(apply_settings(there.settings, wanted))
            left = there.run(differences(there.settings, wanted))
        except ReaderError as error:
            raise ReaderError(
                f"{error}. It stopped in the middle; what was written until then stays. Look at power and cable, and "
                "run the same command again: it goes on where this one stopped"
            ) from error
        unread = tuple(f"{one.setting.name}: written" for one in left if one.found is None)
        wrong = [problem for problem in applied.wrong if not problem.startswith(unread)]
        for one in applied.changed:
            print(f"changed {_says(one)}")
        for problem in applied.wrong:
            print(f"NOT as wanted: {problem}" if problem in wrong else problem)
        if there.desk.port.baud != (at.baud or there.family.baud):
            print(f"the line now runs at {there.desk.port.baud} baud: set `baud = {there.desk.port.baud}` in mat.toml")
    if wrong or any(map(_is_known, left)):
        raise typer.Exit(1)
    print(f"done: the reader is as {loaded.name} wants it, read back from it")


@app.command()
def dump(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The file to write [the screen].")] = None,
    port: PortOption = None,
    baud: BaudOption = None,
    config: ConfigOption = None,
    reader: ReaderOption = None,
    protocol: Annotated[str | None, typer.Option(help="The reader's family, where mat.toml does not say it.")] = None,
) -> None:
    """Write the settings of a reader as a profile; the reader is left as it is.

    Losses and gains, and how reads are asked for, are no reader's to tell: they come from the profile in mat.toml,
    or are to be put right in the file.

    Example: timing-mat profile dump mine.toml --port /dev/ttyUSB0 --protocol thingmagic
    """
    if file is not None and file.exists():
        raise UsageError(f"{file}: is there already; choose another file.")
    at = meant(config, reader, port, baud)
    family = protocol or (at.family if at.family != "auto" else None)
    if family is None or family not in profile.KINDS:
        found = f'found "{family}", ' if family else ""
        raise UsageError(f"--protocol: {found}expected {' or '.join(profile.KINDS)}: profiles are for these.")
    with answering(at, family) as there:
        print(there.says, file=sys.stderr)
        text, notes = dumped(there, at.profile, at.beside)
    for note in notes:
        print(note, file=sys.stderr)
    if file is None:
        print(text, end="")
    else:
        write_new(file, text)


def _introduce(there: Answering, loaded: profile.Loaded) -> object | None:
    """No region first of all; then who is there, and what of the profile can't be set. The region set in the reader."""
    now = there.region()
    if loaded.profile.region is None and now is None:
        print(NO_REGION)
    print(there.says)
    print(f"profile {loaded.name}: {loaded.profile.says}")
    known = {setting.key for setting in there.settings} | there.on_start
    for key in loaded.wanted().values:
        if key not in known:
            print(f"{key}: this version can't set it in a {there.family.name} reader")
    return now


def _hold_against(loaded: profile.Loaded, now: object) -> None:
    """The region that is set in the reader and left so by the profile. ConfigError where its law forbids the rest."""
    match now:
        case (region, first, last):
            values = {"region": region, "first_channel": first, "last_channel": last}
        case region:
            values = {"region": region}
    problems = profile.refusals(msgspec.structs.replace(loaded.profile, **values))
    if problems:
        raise ConfigError(
            str(loaded.path), [f'with region "{values["region"]}", set in the reader: {one}' for one in problems]
        )


def _is_known(one: Difference) -> bool:
    return one.found is not None


def _says(one: Difference) -> str:
    return f"{one.says} (in flash)" if one.setting.is_in_flash else one.says


def _print(table: Table) -> None:
    Console(markup=False, highlight=False).print(table)
