"""What other programs of this box say: bounded in time and length; what is not there or fails is said in words."""

from __future__ import annotations

import os
import signal
import subprocess

LIMIT_S = 10.0
LIMIT_BYTES = 200_000  # of an answer, its end


def output_of(*words: str, limit_s: float = LIMIT_S) -> str:
    """What it prints, errors too."""
    # Into a file, for what the program has begun may hold a pipe open; in memory, for the disk may be full.
    with os.fdopen(os.memfd_create("output"), "w+b") as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - the words are this program's own
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""},
                start_new_session=True,
            )
        except OSError as error:
            return f"({words[0]}: {error.strerror})"
        try:
            code = process.wait(limit_s)
            ends = "" if code == 0 else f"({words[0]} ended with {code})"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            ends = f"({words[0]} did not end within {limit_s:g} s)"
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - LIMIT_BYTES))
        said = output.read().decode("utf-8", "replace").strip()
    return "\n".join(part for part in (said, ends) if part) or f"({words[0]} says nothing)"


def outputs_of(*commands: str) -> str:
    """Of each of these lines, one below the other."""
    return "\n\n".join(f"$ {command}\n{output_of(*command.split())}" for command in commands)
