"""Whether an A0 reader may transmit: the region that is set in it, against the profile's."""

from __future__ import annotations

from typing import NamedTuple, cast

from reader.line.protocols.a0.ask import ask, code_of
from reader.line.protocols.a0.band import Band, band_from, is_possible, lies_in, words_from_band
from reader.line.protocols.a0.frame import GET_REGION, words_from_code
from reader.line.protocols.asking import Script, Stuck
from reader.line.protocols.settings import Wanted

NO_REGION_CODES = (0x00, 0x49)
EDGE_CHANNELS = 1


class Forbidden(Stuck):
    """It could be polled, but may not."""


class Allowed(NamedTuple):
    """``channel``: one in the middle of the band, None where the band is not told or is no table's.

    ``region``: in words, None where it is not told. ``says``: for the standing. ``warning``: what is not as it should
    be, or nothing.
    """

    channel: int | None
    region: str | None
    says: str
    warning: str = ""


def allowed(address: int, wanted: Wanted | None) -> Script[Allowed]:
    """Where it may transmit; :class:`Forbidden` where it may not. One that does not tell its region is taken on trust.

    One channel more than wanted at an end of the band is no reason to be silent: so far apart lie the tables of makers
    and profiles for one and the same law. More may be another country's, that has only a part of the region.
    """
    answer = yield from ask("its region", GET_REGION, address=address)
    band, code = band_from(answer), code_of(answer)
    if band is None and code not in NO_REGION_CODES:
        warning = "does not answer when asked for its region" if code is None else f"{words_from_code(code)}: region"
        return Allowed(None, None, "region not told by the reader", warning)
    if band is None or not is_possible(band):
        found = "" if band is None else f" that there is ({words_from_band(band)})"
        raise Forbidden(
            f"not transmitting: no region{found} is set in the reader; "
            "set this country's with `timing-mat profile apply` or with the maker's software"
        )
    region = words_from_band(band)
    channel = None if band[0] == "user" else (band[1] + band[2]) // 2
    asked = None if wanted is None else cast("Band | None", wanted.values.get("band"))
    if wanted is None or asked is None:
        return Allowed(channel, region, f"region {region}, as set in the reader")
    differs = (
        f"region {region} is set in the reader, and the profile {wanted.profile} wants {words_from_band(asked)}; "
        "set it with `timing-mat profile apply`"
    )
    if not lies_in(band, (asked[0], asked[1] - EDGE_CHANNELS, asked[2] + EDGE_CHANNELS)):
        raise Forbidden(f"not transmitting: {differs}")
    return Allowed(channel, region, f"region {region}", "" if lies_in(band, asked) else differs)
