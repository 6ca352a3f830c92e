"""`timing-mat doctor`: everything a helper needs, in one file."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from reader.box.identity import box_id
from reader.cli.naming import SocketOption
from reader.cli.run import ConfigOption, look_at_files
from reader.doctor.letter import letter_from, name_from, write_beside
from reader.doctor.masking import Masking
from reader.doctor.sections import sections
from reader.doctor.written import Secrets, look, secrets_of
from reader.errors import UsageError

HEAD = """\
timing-mat doctor, {now}

What a helper needs to know of this box. It was only looked at: nothing was changed, nothing transmitted, no light lit.

Left out: passwords, PINs, keys and what looks like one ("(masked)"), the comments of the configuration, the chip file
with its bibs, the codes of chips. In it are names: of box, race, broker and accounts, and of who typed commands.
Read it through before you send it.
"""


def doctor(
    config: ConfigOption = None,
    socket: SocketOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write; - is the screen. Never one that is there.", show_default=False),
    ] = None,
) -> None:
    """Write all that a helper needs to know of this box into one text file, without its secrets.

    Works with and without a daemon, a configuration, and rights; with sudo it sees more.

    Example: timing-mat doctor --out mat.txt
    """
    found = look(config, look_at_files)
    secrets = secrets_of(config)
    now = datetime.now().astimezone()
    head = HEAD.format(now=f"{now:%Y-%m-%d %H:%M:%S %Z}") + _unread(secrets)
    text = letter_from(head, sections(found, socket), Masking(secrets.words), _tell)
    if out == Path("-"):
        print(text, end="")
        return
    label = None if found.config is None else found.config.mat.label
    path = out or Path(name_from(label or box_id(), now))
    try:
        written = write_beside(path, text)
    except OSError as error:
        says = f"{path} can't be written ({error.strerror}): name another place, as in --out ~/mat.txt"
        raise UsageError(says) from error
    print(f"{written} ({len(text.encode()) // 1000} kB)")
    print("Read it through, then send this one file to whoever helps you; secrets were taken out, names were not.")


def _unread(secrets: Secrets) -> str:
    """What could not be looked for."""
    if not secrets.unread:
        return ""
    files = ", ".join(map(str, secrets.unread))
    return f"\nNot readable for who asked, so what it holds was not looked for below: {files}. sudo can.\n"


def _tell(title: str) -> None:
    print(f"{title} …", file=sys.stderr)
