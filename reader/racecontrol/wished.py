"""What race control wants said to a mat of who is still to come: as a value, several together, and applied. Pure.

`timing-mat expect` makes a :class:`Wish`; collect keeps them in the order in which they were made, and publishes what
it computes with them on top. A wish takes back nothing that it does not name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from reader.clock import rfc3339_from_utc_ns, utc_ns_from_rfc3339
from reader.config.settings import CHIP_PATTERN
from reader.errors import UsageError
from reader.uplink.wire import Expect

SWEEPS = 16  # a last vehicle, its escort and their spares

Count = Annotated[int, Meta(ge=0, le=1_000_000, description="a number of runners, 0 to 1000000")]
SweepChip = Annotated[str, Meta(pattern=CHIP_PATTERN)]
Sweeps = Annotated[
    tuple[SweepChip, ...],
    Meta(max_length=SWEEPS, description=f"at most {SWEEPS} chips: hexadecimal digits, an even number of them"),
]
BibOrChip = Annotated[str, Meta(pattern=r"\A[^\x00-\x1f\x7f]{1,124}\Z")]
Runners = Annotated[tuple[BibOrChip, ...], Meta(max_length=10_000, description="bibs or chips, at most 10000")]
Words = Annotated[
    str, Meta(pattern=r"\A[^\x00-\x1f\x7f]{0,200}\Z", description="a line of text, at most 200 characters")
]


class Wish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is to be said from now on; UNSET: as before.

    ``count``: how many are still to come; None: as computed. ``sweep_armed``: these chips, upper-case hex, instead of
    those before. ``last_runner_at``: RFC 3339; None: as estimated. ``waive``: bibs or chips that are not waited for
    any more; ``unwaive``: waited for again.
    """

    count: Count | UnsetType | None = UNSET
    sweep_armed: Sweeps | UnsetType = UNSET
    last_runner_at: str | UnsetType | None = UNSET
    waive: Runners = ()
    unwaive: Runners = ()
    by: Words = ""


NOTHING = Wish()


def wish_from_typed(typed: dict[str, object], option_of: dict[str, str]) -> Wish:
    """A wish from its fields as somebody typed them; None is null, what was not typed is missing.

    UsageError names the option by ``option_of``, what was found and what was expected.
    """
    values = dict(typed)
    for field in msgspec.structs.fields(Wish):
        if field.name not in values:
            continue
        value = values[field.name]
        if field.name == "sweep_armed" and isinstance(value, tuple):
            value = tuple(str(chip).upper() for chip in value)
        try:
            if field.name == "last_runner_at" and isinstance(value, str):
                value = rfc3339_from_utc_ns(utc_ns_from_rfc3339(value))
            values[field.name] = msgspec.convert(value, field.type)
        except ValueError as error:
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            expected = _expected(field.type) or "a time with its zone, as in 2026-03-07T16:10:00Z"
            says = f'{option_of[field.name]}: found "{shown[:80]}", expected {expected}'
            raise UsageError(says) from error
    return Wish(**values)  # type: ignore[arg-type] # each was converted to what its field holds


def all_of(wishes: Iterable[Wish]) -> Wish:
    """The one that says what they all say, in their order; it unwaives nobody, for nobody else is waived."""
    said: dict[str, object] = {}
    waived: dict[str, None] = {}
    for wish in wishes:
        values = {name: getattr(wish, name) for name in ("count", "sweep_armed", "last_runner_at")}
        said |= {name: value for name, value in values.items() if value is not UNSET}
        waived |= dict.fromkeys(wish.waive)
        for runner in wish.unwaive:
            waived.pop(runner, None)
    return msgspec.convert(said | {"waive": tuple(waived)}, Wish)


def applied(wish: Wish, before: Expect | None, as_of: str) -> Expect | None:
    """What is to stand where no collect computes: ``before``, and the wish on top of it, as of now.

    None if that does not say how many are still to come. Waiving is left out: it takes a list of the starters.
    """
    known = before or Expect(count=-1, as_of=as_of)
    count = wish.count if isinstance(wish.count, int) else known.count
    if count < 0:
        return None
    return Expect(
        count=count,
        as_of=as_of,
        chips=known.chips if count == known.count else UNSET,  # of another count they would contradict it
        sweep_armed=known.sweep_armed if wish.sweep_armed is UNSET else list(wish.sweep_armed),
        last_runner_at=known.last_runner_at if wish.last_runner_at is UNSET else wish.last_runner_at,
    )


def _expected(kind: object) -> str:
    """The first description in an annotation or a part of it."""
    for note in getattr(kind, "__metadata__", ()):
        if note.description:
            return str(note.description)
    return next(filter(None, map(_expected, getattr(kind, "__args__", ()))), "")
