"""`timing-mat run`: the daemon."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from reader.cli.last_good import keep_last_good, load_last_good
from reader.config import Config, find, load, load_chips, loads, taken_out, unconfigured
from reader.errors import ConfigError
from reader.line.profile import of_reader

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="The file to use. Otherwise $TIMING_MAT_CONFIG, /boot/firmware/timing-mat.toml, /etc/timing-mat/mat.toml.",
        show_default=False,
    ),
]


def run(
    config: ConfigOption = None,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            help="Time even with a broken file: with the last good one, else with a reader found by itself.",
        ),
    ] = False,
    real_time: Annotated[
        bool,
        typer.Option("--real-time", help="Go before other programs, if that is allowed: reads are stamped in time."),
    ] = False,
) -> None:
    """Time: read the readers, keep every read, tell race control. Until Ctrl-C or SIGTERM.

    Example: timing-mat run --config mat.toml
    """
    from reader.serving import serve  # what the daemon needs is not loaded for other commands

    logging.basicConfig(level=os.environ.get("TIMING_MAT_LOG", "INFO"), format="%(name)s: %(message)s")
    found, trouble = _load(config, keep_going=keep_going)
    if real_time:
        _go_first()
    serve(found, config_trouble=trouble)


def _go_first() -> None:
    """Round robin at its lowest, for all threads begun from here on; the kernel keeps 5 % of the time for others."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError as error:
        says = f"--real-time: not allowed ({error.strerror}); timing goes on like any other program"
        logging.getLogger("timing-mat").warning("%s", says)


def look_at_files(config: Config) -> dict[str, str]:
    """What the configuration names is there and good: the profiles and the chip file, whose bibs come back."""
    for reader in config.readers:
        of_reader(reader, config.source)
    return load_chips(config.chips.bibs) if config.chips.bibs is not None else {}


def _load(asked: Path | None, *, keep_going: bool) -> tuple[Config, str]:
    """The configuration to use, and what is wrong with the one that should have been."""
    try:
        path = find(asked)
        config = load(path)
        if not keep_going:  # otherwise timing goes on without what these files say
            look_at_files(config)
    except ConfigError as error:
        if not keep_going:
            raise
        if good := _but_for_secrets(error.source):
            instead = "all else in it is in force"
        elif good := load_last_good():
            instead = "the last good file is in force"
        else:
            instead = "no file was ever good: recording as it is"
        trouble = f"{error.source} can't be used ({'; '.join(error.problems)}); {instead}"
        logging.getLogger("timing-mat").warning("%s", trouble)
        return good or unconfigured(), trouble
    if keep_going:
        keep_last_good(path)
    return config, ""


def _but_for_secrets(source: str) -> Config | None:
    """The file without the secrets that must not stand in it, where none could move them; None if more is wrong."""
    try:
        return loads(taken_out(Path(source).read_bytes()).data.decode("utf-8-sig"), source)
    except (OSError, ValueError, RecursionError, ConfigError):
        return None
