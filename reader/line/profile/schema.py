"""What a profile can say: one frozen struct for each family, in the maker's terms, and in words what each key expects.

All keys may be left out but ``family``, ``says`` and at least one ``[[antenna]]``: what a profile does not say, the
mat leaves as it is in the reader. Powers are conducted, at the reader's own port.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from reader.config.settings import Text

Power = Annotated[float, Meta(ge=-10, le=36, description="a number of dBm at the reader's port, -10 to 36")]
Session = Annotated[int, Meta(ge=0, le=3, description="a session of Gen2: 0, 1, 2 or 3")]
Target = Literal["A", "B"]
Q = Annotated[int, Meta(ge=0, le=15, description="2 to its power are the slots of a round: a whole number, 0 to 15")]
# TOML has whole numbers and text apart; each key takes one of them, as the scripts of the family do.
ThingMagicBaud = Annotated[
    Literal[9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600],
    Meta(description="9600, 19200, 38400, 57600, 115200, 230400, 460800 or 921600"),
]
A0Baud = Annotated[Literal[9600, 19200, 38400, 115200], Meta(description="9600, 19200, 38400 or 115200")]
M100Baud = Annotated[
    Literal[9600, 19200, 38400, 57600, 115200], Meta(description="9600, 19200, 38400, 57600 or 115200")
]
UhfReaderBaud = M100Baud

ThingMagicRegion = Literal[
    "na", "eu", "kr", "in", "jp", "prc", "eu2", "eu3", "kr2", "prc2", "au", "nz", "na2", "na3", "is", "my", "id", "ph",
    "tw", "mo", "ru", "sg", "jp2", "jp3", "vn", "th", "ar", "hk", "bd", "eu4",
]  # fmt: skip
UhfReaderRegion = Literal[
    "us", "eu", "eu3", "china1", "china2", "korea", "us3", "taiwan", "ukraine", "peru"
]  # fmt: skip


class Antenna(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[antenna]]`: a port of the reader that is used. ``gain_dbi``: linear, as on the antenna's label."""

    port: Annotated[int, Meta(ge=1, le=16, description="a port as printed on the reader, 1 to 16")]
    power_dbm: Power
    cable_loss_db: Annotated[float, Meta(ge=0, le=30, description="a number of dB lost in the cable, 0 to 30")] = 0.0
    gain_dbi: Annotated[float, Meta(ge=-30, le=20, description="the antenna's gain in dBi, -30 to 20")]


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of every family. ``max_eirp_dbm``: a limit of one's own, and where no other is known the limit.

    ``model``, ``firmware``: of the reader that this was made for, for the self-test: a part of its model's name, and
    the oldest firmware that will do, both as the reader tells them.
    """

    family: str
    says: Text
    use: Literal["start", "finish", "split", "any"] | None = None
    max_eirp_dbm: Annotated[float, Meta(ge=-10, le=40, description="a number of dBm of EIRP, -10 to 40")] | None = None
    model: Text | None = None
    firmware: Text | None = None
    antennas: Annotated[
        tuple[Antenna, ...],
        Meta(min_length=1, max_length=16, description="at least one table headed [[antenna]], in double brackets"),
    ] = msgspec.field(name="antenna")


class ThingMagicProfile(Common, frozen=True, kw_only=True):
    """M5e, M6e, M6e Micro, M6e Nano, M7e. ``every_read``: the read filter is off."""

    region: (
        Annotated[
            ThingMagicRegion,
            Meta(description='a region as MercuryAPI names it, as "na2" or "eu3", of those that the module has'),
        ]
        | None
    ) = None
    session: Session | None = None
    target: Literal["A", "B", "AB", "BA"] | None = None
    q: (
        Annotated[str, Meta(pattern=r"\A(dynamic|\d|1[0-5])\Z", description='"dynamic", or "0" to "15" in quotes')]
        | None
    ) = None
    encoding: Literal["FM0", "M2", "M4", "M8"] | None = None
    blf_khz: Annotated[Literal[250, 320, 640], Meta(description="250, 320 or 640")] | None = None
    every_read: bool | None = None
    temperature_reports: bool | None = None
    antenna_reports: bool | None = None
    baud: ThingMagicBaud | None = None


class A0Profile(Common, frozen=True, kw_only=True):
    """Invelion, IND903, Rodinbell, R2000 boards. Channels count as in the maker's table: 0 to 59."""

    region: Literal["fcc", "etsi", "chn"] | None = None
    first_channel: Annotated[int, Meta(ge=0, le=59, description="a channel of the maker's table, 0 to 59")] | None = (
        None
    )
    last_channel: Annotated[int, Meta(ge=0, le=59, description="a channel of the maker's table, 0 to 59")] | None = None
    link: Literal["D0", "D1", "D2", "D3"] | None = None
    return_loss_threshold_db: (
        Annotated[int, Meta(ge=0, le=255, description="a whole number of dB, 0 for no check of the antenna")] | None
    ) = None
    session: Session | None = None
    target: Target | None = None
    baud: A0Baud | None = None


class M100Profile(Common, frozen=True, kw_only=True):
    """MagicRF M100, YRM100, R200: one antenna. Session, target and Q are written in one word, so all three or none."""

    region: Literal["us", "eu", "cn900", "cn800", "kr"] | None = None
    session: Session | None = None
    target: Target | None = None
    q: Q | None = None
    hopping: bool | None = None
    baud: M100Baud | None = None


class UhfReaderProfile(Common, frozen=True, kw_only=True):
    """UHFReader18/86/188/288, Chafon, E710. Channels count from 0 in each region."""

    region: UhfReaderRegion | None = None
    first_channel: Annotated[int, Meta(ge=0, le=63, description="a channel of the region, 0 to 63")] | None = None
    last_channel: Annotated[int, Meta(ge=0, le=63, description="a channel of the region, 0 to 63")] | None = None
    session: (
        Annotated[Literal["0", "1", "2", "3", "auto"], Meta(description='"0", "1", "2", "3" or "auto", in quotes')]
        | None
    ) = None
    q: Q | None = None
    target: Target | None = None
    scan_time_ms: (
        Annotated[int, Meta(ge=300, le=25500, multiple_of=100, description="a multiple of 100 ms, 300 to 25500")] | None
    ) = None
    antenna_check: bool | None = None
    work_mode: Literal["answer", "realtime"] | None = None
    baud: UhfReaderBaud | None = None


Profile: TypeAlias = ThingMagicProfile | A0Profile | M100Profile | UhfReaderProfile

KINDS: dict[str, type[Profile]] = {
    "thingmagic": ThingMagicProfile,
    "a0": A0Profile,
    "m100": M100Profile,
    "uhfreader": UhfReaderProfile,
}
