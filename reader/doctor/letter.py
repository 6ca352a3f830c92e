"""The file itself: a section after the other, each made by itself, and masked before anybody sees it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from reader.doctor.masking import Masking
from reader.errors import TimingMatError

RULE = "=" * 100


class Section(NamedTuple):
    """``make``: its text; whatever it raises is said in its place, and what takes longer than ``limit_s`` is left."""

    title: str
    make: Callable[[], str]
    limit_s: float = 60.0


def letter_from(
    head: str, sections: Sequence[Section], masking: Masking, tell: Callable[[str], None] = lambda _title: None
) -> str:
    """All of it. ``tell``: is told each title before its section is made."""
    parts = [head]
    for number, section in enumerate(sections, 1):
        tell(section.title)
        parts.append(f"{RULE}\n{number}. {section.title}\n{RULE}\n\n{made(section)}")
    # What a terminal takes for a command is not for who reads this in one.
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "?", "\n\n".join(parts).replace("\r\n", "\n"))
    return masking.masked(text).rstrip() + "\n"


def made(section: Section) -> str:
    """Its text, or why there is none."""
    answer: Future[str] = Future()

    def make() -> None:
        try:
            answer.set_result(section.make())
        except TimingMatError as error:
            answer.set_result(f"({error})")
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            answer.set_result(f"({where}{error.strerror or error})")
        except Exception as error:
            answer.set_result(f"(not made: {error!r})")

    threading.Thread(target=make, name=f"doctor: {section.title}", daemon=True).start()
    try:
        return answer.result(section.limit_s).strip("\n") or "(nothing)"
    except TimeoutError:
        return f"(not made within {section.limit_s:g} s: given up)"


def name_from(box: str, now: datetime) -> str:
    """What the file is called where nobody says. ``box``: its label, or its number."""
    level = re.sub(r"[^A-Za-z0-9]+", "-", box).strip("-")[:63] or "box"
    return f"timing-mat-doctor-{level}-{now:%Y-%m-%d}.txt"


def write_beside(path: Path, text: str) -> Path:
    """Written there, or under the next free name with a number; nothing is overwritten. OSError if it can't be."""
    place, number = path, 1
    while True:
        try:
            file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            number += 1
            place = path.with_name(f"{path.stem}-{number}{path.suffix}")
            continue
        with os.fdopen(file, "w", encoding="utf-8") as output:
            output.write(text)
        return place
