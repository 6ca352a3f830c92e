"""`timing-mat config import`: secrets from the boot partition, to where only root can read them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reader.box.boot_partition import take_over


def import_(
    boot: Annotated[Path, typer.Option("--boot", help="Where the boot partition is mounted.")] = Path("/boot/firmware"),
    credentials: Annotated[
        Path, typer.Option("--credentials", help="Where secrets are kept, for systemd to hand them to the daemon.")
    ] = Path("/etc/timing-mat/credentials"),
) -> None:
    """Move the secrets on the boot partition to where only root can read them.

    The box does it at each start, before timing begins (timing-mat-import.service).

    Example: sudo timing-mat config import
    """
    for sentence in take_over(boot, credentials):
        print(sentence)
