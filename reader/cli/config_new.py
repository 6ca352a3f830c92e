"""`timing-mat config new`: a mat.toml from what is found on the lines, and from what the crew says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, cast

import typer
from msgspec import Meta

from reader.cli.config_label import PIN_FILE
from reader.cli.config_reader import LOOK_ON_ALL, Wish, reader_tables
from reader.cli.interview import Interview, trouble_with
from reader.cli.run import look_at_files
from reader.config import loads
from reader.config.annotated import annotated
from reader.config.files import PLACES
from reader.config.settings import Address, Host, Level, Text
from reader.errors import UsageError
from reader.model import Use

USES = {
    "start": "runners wait on it; the last moment on the mat counts",
    "split": "on the way: 5 km, half",
    "finish": "the end",
    "lap": "the same runners again and again",
    "start-finish": "both at one place",
}
DELIVERED = {
    "subscriber": "the broker took it, and somebody had subscribed",
    "broker": "the broker took it",
    "control": "race control's collectors have it on disk",
}
Broker = Annotated[
    str,
    Meta(
        pattern="|".join(kind.__metadata__[0].pattern for kind in (Host, Address)),
        description="a name or address, with its port or without: rc1, 192.168.10.1:8883",
    ),
]


def new(
    out: Annotated[Path, typer.Option(help="The file to write.")] = PLACES[-1],
    replace: Annotated[
        bool, typer.Option("--replace", help="Where there is one already: keep it as .bak, and write this one.")
    ] = False,
    port: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LINE",
            help="The line of a reader, again for more; auto: look on all; none: on none.  [default: auto]",
        ),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="The reader's family, instead of asking the reader.", show_default=False)
    ] = None,
    baud: Annotated[int | None, typer.Option(min=300, help="The speed of its line.", show_default=False)] = None,
    event: Annotated[str | None, typer.Option(help="The race.", show_default=False)] = None,
    point: Annotated[str | None, typer.Option(help="Where on the course.", show_default=False)] = None,
    mat_id: Annotated[str | None, typer.Option("--id", help="Which mat of that point.", show_default=False)] = None,
    use: Annotated[str | None, typer.Option(help=f"What it is for: {', '.join(USES)}.", show_default=False)] = None,
    label: Annotated[str | None, typer.Option(help="What the sticker on the box says.", show_default=False)] = None,
    region: Annotated[
        str | None, typer.Option(help="By whose law the reader transmits: fcc, etsi …; or none.", show_default=False)
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="The reader's settings, instead of those for the region.", show_default=False)
    ] = None,
    broker: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST[:PORT]", help="Race control's; again for more nodes.", show_default=False),
    ] = None,
    delivered_when: Annotated[
        str | None, typer.Option(help=f"When a split is delivered: {', '.join(DELIVERED)}.", show_default=False)
    ] = None,
    collector: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Whose word `control` waits for; again for more.", show_default=False),
    ] = None,
) -> None:
    """Write a mat.toml that explains itself: looks which reader is there, and asks what only the crew knows.

    Every answer is an option too. The file is put in its place when it has been found good, and not before.

    Example: timing-mat config new --event chicago-2023 --point finish --id finish-main --use finish --region fcc
    """
    _look_at_place(out, replace=replace)
    interview = Interview()
    mat = {
        "event": interview.text("--event", event, "Which race? All boxes of it say the same, as chicago-2023.", Level),
        "point": interview.text("--point", point, "Where on the course? As start, 05k, half, finish.", Level),
    }
    mat["id"] = interview.text(
        "--id", mat_id, "Which mat of that point? No other box says the same.", Level, f"{mat['point']}-main"
    )
    mat["use"] = interview.choice("--use", use, "What is it for?", USES)
    if named := interview.optional_text(
        "--label", label, "What does the sticker on the box say? Enter: nothing.", Text
    ):
        mat["label"] = named
    mqtt = _mqtt(interview, broker, delivered_when, collector)
    wish = Wish(port or [LOOK_ON_ALL], protocol, baud, region, profile)
    readers = reader_tables(interview, wish, cast(Use, mat["use"]), out.absolute().parent)
    text = annotated({"mat": mat, "reader": readers, "mqtt": mqtt, "web": {"pin_file": PIN_FILE}})
    look_at_files(loads(text, str(out)))
    _put(out, text, replace=replace)
    print(f"{out}: written; every key there is stands in it, explained")


def _mqtt(
    interview: Interview, brokers: list[str] | None, delivered_when: str | None, collectors: list[str] | None
) -> dict[str, object]:
    """The `[mqtt]`; what has a default, and nobody to ask for, is left to it."""
    asks = "Where is race control's broker? A name or address, with its port if that is not 1883, as rc1:8883."
    if brokers is None and interview.has_terminal:
        brokers = [interview.text("--broker", None, asks, Broker, "127.0.0.1")]
    mqtt: dict[str, object] = _addresses(brokers or [])
    if delivered_when is not None or interview.has_terminal:
        asks = "When does a split count as delivered?"
        mqtt["delivered_when"] = interview.choice("--delivered-when", delivered_when, asks, DELIVERED, "subscriber")
    if mqtt.get("delivered_when") == "control" and not collectors:
        collectors = [interview.text("--collector", None, "The name of race control's collector?", Level, "rc1")]
    return mqtt | ({"collectors": collectors} if collectors else {})


def _addresses(brokers: list[str]) -> dict[str, object]:
    """One as `host` and `port`, several as `hosts`."""
    for broker in brokers:
        if wrong := trouble_with(broker, Broker):
            raise UsageError(f"--broker: {wrong}")
    match brokers:
        case []:
            print("no --broker is given: this box itself, 127.0.0.1")
            return {}
        case [broker]:
            host, _, port = broker.rpartition(":") if not trouble_with(broker, Address) else (broker, "", "")
            return {"host": host.strip("[]")} | ({"port": int(port)} if port else {})
    return {"hosts": [f"{broker}:1883" if trouble_with(broker, Address) else broker for broker in brokers]}


def _look_at_place(out: Path, *, replace: bool) -> None:
    """UsageError where the file could not be put there in the end: sooner than after all questions."""
    if out.exists() and not replace:
        raise UsageError(f"{out} is there already: with --replace it is kept as {out.name}.bak, and another is written")
    folder = out.absolute().parent
    if not os.access(folder, os.W_OK) and (folder.exists() or not os.access(folder.parent, os.W_OK)):
        raise UsageError(
            f"{folder}: nothing can be written there: begin again with sudo, or give another file by --out"
        )


def _put(out: Path, text: str, *, replace: bool) -> None:
    """The whole file or none of it, readable for all; another's is never lost."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f"{out.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(0o644)
    if replace and out.exists():
        kept = out.with_name(f"{out.name}.bak")
        kept.unlink(missing_ok=True)
        os.link(out, kept)
        fresh.replace(out)
        print(f"{kept}: what was there before")
        return
    try:
        os.link(fresh, out)  # never over a file that has come meanwhile
    except FileExistsError:
        raise UsageError(f"{out} has been written meanwhile: nothing was changed") from None
    finally:
        fresh.unlink()
