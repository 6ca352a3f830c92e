"""The command `timing-mat`; the only printer. Errors become a sentence and an exit code here."""

from __future__ import annotations

import logging
import os
import sys

import typer

from reader.cli import (
    assign,
    capture,
    clock,
    collect,
    config,
    decode,
    demo,
    doctor,
    expect,
    export,
    gun,
    identify,
    mark,
    mode,
    probe,
    profile,
    protocols,
    regate,
    release,
    replay,
    rewind,
    run,
    schema,
    selftest,
    simulate,
    status,
    watch,
)
from reader.errors import TimingMatError

app = typer.Typer(
    name="timing-mat",
    help="A race timing mat: from the reader's serial line to splits at race control.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run.run)
app.command()(demo.demo)
app.command()(simulate.simulate)
app.command()(status.status)
app.command()(mark.mark)
app.command()(gun.gun)
app.command()(clock.clock)
app.command()(mode.mode)
app.command()(release.release)
app.command()(assign.assign)
app.command()(identify.identify)
app.command()(rewind.rewind)
app.command()(selftest.selftest)
app.command()(watch.watch)
app.command()(collect.collect)
app.command()(expect.expect)
app.command()(export.export)
app.command()(regate.regate)
app.command()(protocols.protocols)
app.command()(probe.probe)
app.add_typer(profile.app, name="profile")
app.command()(capture.capture)
app.command()(replay.replay)
app.command()(decode.decode)
app.add_typer(config.app, name="config")
app.command()(schema.schema)
app.command()(doctor.doctor)


def main() -> None:
    """Run the command, and end with its exit code."""
    try:
        app()
    except TimingMatError as error:
        print(f"timing-mat: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (a pager, `head`): nothing is wrong.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"timing-mat: {where}{error.strerror or error}", file=sys.stderr)
        # What could not be written would be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(TimingMatError.exit_code)
    except Exception as error:
        logging.getLogger("timing-mat").debug("a fault of this program", exc_info=True)
        says = f"a fault of this program ({error!r}); please report it, with what you typed"
        print(f"timing-mat: {says}", file=sys.stderr)
        sys.exit(TimingMatError.exit_code)
