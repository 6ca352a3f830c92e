"""`timing-mat config label`: what belongs on the box's sticker, and the crew's PIN."""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
from pathlib import Path
from typing import Annotated

import typer

from reader.box.identity import box_id, label_from_box
from reader.cli.run import ConfigOption
from reader.config import WebSettings, find, load
from reader.errors import ConfigError, UsageError

CREDENTIALS = Path("/etc/timing-mat/credentials")  # handed to the services by systemd; nobody else looks into it
PIN_FILE = "web-pin"
PIN_DIGITS = 6


def label(
    config: ConfigOption = None,
    credentials: Annotated[Path, typer.Option(help="The folder of secrets, where the crew's PIN is.")] = CREDENTIALS,
    new_pin: Annotated[
        bool, typer.Option("--new-pin", help="Make another PIN: for another event, another crew.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Label, box and address as JSON; without the PIN.")] = False,
) -> None:
    """Print what belongs on the box: its label, its number, the address of its page as a QR code; and the crew's PIN.

    A PIN is made where there is none yet. It is not in the QR code: a sticker is read by all who pass.

    Example: sudo timing-mat config label
    """
    box = box_id()
    named, web, beside = _from_file(config)
    shown = named or label_from_box(box)
    address = address_of(socket.gethostname(), web)
    if as_json:
        print(json.dumps({"label": shown, "box": box, "address": address}))
        return
    pin = _pin(_place_of_pin(web, beside, credentials), is_new=new_pin)
    print(f"label   {shown}{'' if named else '  (of its number: mat.toml names none)'}")
    print(f"box     {box}")
    print(f"page    {address}")
    print(f"PIN     {pin}")
    print(qr_code(address))


def address_of(hostname: str, web: WebSettings) -> str:
    """Where the page of a box is found by its name, in its own network."""
    port = web.listen.rpartition(":")[2]
    return f"http://{hostname.removesuffix('.local')}.local:{port}/"


def qr_code(text: str) -> str:
    """A QR code for a terminal with light letters on a dark ground: two of its rows a line."""
    import segno  # not loaded for other commands

    shown = io.StringIO()
    segno.make_qr(text, error="m").terminal(shown, compact=True)
    return shown.getvalue().rstrip("\n")


def _from_file(config: Path | None) -> tuple[str | None, WebSettings, Path | None]:
    """What the file says of label and page, and its folder; one that was not asked for may be missing or wrong."""
    try:
        found = load(find(config))
    except ConfigError:
        if config is not None:
            raise
        return None, WebSettings(), None
    return found.mat.label, found.web, Path(found.source).absolute().parent


def _place_of_pin(web: WebSettings, beside: Path | None, credentials: Path) -> Path:
    """Where the page will find it: a bare name is handed over from the folder of secrets."""
    if web.pin_file is None or web.pin_file.parent == beside:
        return credentials / (web.pin_file.name if web.pin_file else PIN_FILE)
    return web.pin_file


def _pin(path: Path, *, is_new: bool) -> str:
    """The crew's PIN, made now where there is none, or another is asked for."""
    try:
        if path.exists() and not is_new:
            return path.read_text(encoding="ascii").strip()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        pin = f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}}"
        fresh = path.with_name(f"{path.name}.new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123 - by a descriptor: never readable for others, not for a moment
            file.write(f"{pin}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except PermissionError:
        raise UsageError(f"{path}: the PIN is root's to see: sudo timing-mat config label") from None
    return pin
