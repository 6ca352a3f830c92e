"""How strongly a mat may transmit: a table of regions, each with its rule, and a profile held against it.

EIRP is the power at the reader's port, less the loss in the cable, plus the antenna's gain over an isotropic one;
ERP is the same over a half-wave dipole, 2.15 dB less. The limit is that of the strongest channels of the region's
band: which channels of a raster may be used at full power, and for how long, is in the reader's own certificate.
A region without a row is refused: the law is never guessed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from reader.line.profile.agreement import POWER_RANGES_DBM, POWER_STEP_DBM
from reader.line.profile.channels import GRIDS, words_from_channels
from reader.line.profile.schema import A0Profile, Antenna, M100Profile, Profile, UhfReaderProfile

DIPOLE_DBI = 2.15
# 47 CFR 15.247(b)(2): 1 W with at least 50 hopping channels, 0.25 W with at least 25.
FCC_CHANNELS, FCC_FEWER_CHANNELS, FCC_FEWER_DBM = 50, 25, 24.0
FCC_FREE_GAIN_DBI = 6.0


class Limit(NamedTuple):
    """The most that may be radiated, as ERP or EIRP; ``conducted_dbm`` besides, where the rule has one.

    ``low_mhz`` to ``high_mhz``: the band.
    """

    rule: str
    radiated_dbm: float
    is_erp: bool
    low_mhz: float
    high_mhz: float
    conducted_dbm: float | None = None

    @property
    def word(self) -> str:
        """``ERP`` or ``EIRP``."""
        return "ERP" if self.is_erp else "EIRP"

    def radiated(self, power_dbm: float, antenna: Antenna) -> float:
        """What the antenna would radiate with that power at the reader's port, in dBm of :attr:`word`."""
        eirp_dbm = power_dbm - antenna.cable_loss_db + antenna.gain_dbi
        return round(eirp_dbm - DIPOLE_DBI if self.is_erp else eirp_dbm, 4)

    def most_power_dbm(self, antenna: Antenna) -> float:
        """The highest power at the reader's port that the limit allows with that antenna."""
        most_dbm = self.radiated_dbm + antenna.cable_loss_db - antenna.gain_dbi
        most_dbm += DIPOLE_DBI if self.is_erp else 0
        return most_dbm if self.conducted_dbm is None else min(most_dbm, self.conducted_dbm)


# 47 CFR 15.247(b)(2) and (b)(4): 1 W conducted into up to 6 dBi, less by what the gain is over 6 dBi.
_FCC = Limit("FCC 47 CFR 15.247", 36.0, False, 902.0, 928.0, 30.0)
# EN 302 208 and Decision (EU) 2017/1483: 2 W ERP in the four channels at 865.7, 866.3, 866.9 and 867.5 MHz.
_ETSI = Limit("ETSI EN 302 208, lower band", 33.0, True, 865.0, 868.0)
# EN 302 208 and Decision (EU) 2018/1538: 4 W ERP at 916.3, 917.5 and 918.7 MHz, where the country has them.
_ETSI_UPPER = Limit("ETSI EN 302 208, upper band", 36.0, True, 915.0, 921.0)
# China, MII notice (2007) no. 205: 2 W ERP in either band.
_CHINA = Limit("China, MII notice (2007) 205", 33.0, True, 920.0, 925.0)
_CHINA_LOWER = Limit("China, MII notice (2007) 205", 33.0, True, 840.0, 845.0)
# Korea, 917 to 920.8 MHz: 4 W EIRP, with hopping or listening (GS1, UHF regulations).
_KOREA = Limit("Korea, 917 to 920.8 MHz, 4 W EIRP", 36.0, False, 917.0, 920.8)

LIMITS: dict[tuple[str, str], Limit] = {
    ("thingmagic", "na"): _FCC,
    ("thingmagic", "na2"): _FCC,
    ("thingmagic", "na3"): _FCC,
    ("thingmagic", "eu"): _ETSI,
    ("thingmagic", "eu3"): _ETSI,
    ("thingmagic", "eu4"): _ETSI_UPPER,
    # eu2 has no row: that of the first modules is not EN 302 208 but EN 300 220, with much less power.
    ("thingmagic", "prc"): _CHINA,
    ("thingmagic", "prc2"): _CHINA_LOWER,
    # Japan, ARIB STD-T106: 1 W into 6 dBi, with a licence; 916.7 to 920.9 MHz.
    ("thingmagic", "jp"): Limit("Japan, ARIB STD-T106", 36.0, False, 916.7, 920.9, 30.0),
    # Japan, ARIB STD-T107: 250 mW into 3 dBi; MercuryAPI names these two "24 dBm".
    ("thingmagic", "jp2"): Limit("Japan, ARIB STD-T107", 27.0, False, 916.7, 923.5, 24.0),
    ("thingmagic", "jp3"): Limit("Japan, ARIB STD-T107", 27.0, False, 916.7, 923.5, 24.0),
    ("thingmagic", "kr2"): _KOREA,
    # India, GSR 564(E) of 2008: 1 W conducted, 4 W ERP.
    ("thingmagic", "in"): Limit("India, GSR 564(E)", 36.0, True, 865.0, 867.0, 30.0),
    # Australia, LIPD class licence: 4 W EIRP in 920 to 926 MHz.
    ("thingmagic", "au"): Limit("Australia, LIPD class licence", 36.0, False, 920.0, 926.0),
    ("a0", "fcc"): _FCC,
    ("a0", "etsi"): _ETSI,
    ("a0", "chn"): _CHINA,
    ("m100", "us"): _FCC,
    ("m100", "eu"): _ETSI,
    ("m100", "cn900"): _CHINA,
    ("m100", "cn800"): _CHINA_LOWER,
    ("m100", "kr"): _KOREA,
    ("uhfreader", "us"): _FCC,
    ("uhfreader", "us3"): _FCC,
    ("uhfreader", "eu"): _ETSI,
    ("uhfreader", "eu3"): _ETSI,
    ("uhfreader", "china1"): _CHINA_LOWER,
    ("uhfreader", "china2"): _CHINA,
    ("uhfreader", "korea"): _KOREA,
}


def limit_of(profile: Profile) -> Limit | None:
    """The limit that holds for a profile: its region's, or what it says itself if that is less; None if neither."""
    limit = None if profile.region is None else LIMITS.get((profile.family, profile.region))
    if limit is _FCC and (count := _channel_count(profile)) is not None and count < FCC_CHANNELS:
        limit = limit._replace(conducted_dbm=FCC_FEWER_DBM, radiated_dbm=FCC_FEWER_DBM + FCC_FREE_GAIN_DBI)
    own_dbm = profile.max_eirp_dbm
    if own_dbm is None:
        return limit
    if limit is None:
        return Limit("max_eirp_dbm of the profile", own_dbm, False, 0.0, math.inf)
    rule_eirp_dbm = limit.radiated_dbm + (DIPOLE_DBI if limit.is_erp else 0)
    if own_dbm >= rule_eirp_dbm:
        return limit
    return limit._replace(rule=f"{limit.rule}, and max_eirp_dbm of the profile", radiated_dbm=own_dbm, is_erp=False)


def refusals(profile: Profile) -> list[str]:
    """Why a profile may not be applied: a sentence for each reason, beginning with the full key; none if it may.

    Without a region there is nothing to hold it against but its own ``max_eirp_dbm``.
    """
    limit = limit_of(profile)
    if limit is None:
        if profile.region is None:
            return []
        return [f'region: no limit is known here for region "{profile.region}": give max_eirp_dbm in the profile']
    problems = [] if profile.region is None else _of_channels(profile, profile.region, limit)
    for place, antenna in enumerate(profile.antennas):
        problem = _of_antenna(profile.family, antenna, limit)
        if problem:
            problems.append(f"antenna[{place}].power_dbm: {problem}")
    return problems


def highest_power_dbm(family: str, antenna: Antenna, limit: Limit) -> float | None:
    """The highest power that the limit and the family allow, in the family's steps; None where none is low enough."""
    least, most = POWER_RANGES_DBM[family]
    step = POWER_STEP_DBM[family]
    allowed = min(limit.most_power_dbm(antenna), most)
    allowed = round(math.floor(allowed / step + 1e-6) * step, 2)
    return allowed if allowed >= least else None


def _of_antenna(family: str, antenna: Antenna, limit: Limit) -> str | None:
    if antenna.power_dbm <= limit.most_power_dbm(antenna) + 1e-6:
        return None
    radiated_dbm = limit.radiated(antenna.power_dbm, antenna)
    sum_of = f"{antenna.power_dbm:g} - {antenna.cable_loss_db:g} + {antenna.gain_dbi:g}"
    sum_of += f" - {DIPOLE_DBI:g}" if limit.is_erp else ""
    if radiated_dbm > limit.radiated_dbm + 1e-6:
        found = f"{radiated_dbm:.2f} dBm {limit.word} ({sum_of}), the limit is {limit.radiated_dbm:g} dBm {limit.word}"
    else:
        found = f"{antenna.power_dbm:g} dBm conducted, the limit is {limit.conducted_dbm:g} dBm conducted"
    highest = highest_power_dbm(family, antenna, limit)
    do = "no power of this reader is low enough" if highest is None else f"at most power_dbm = {highest:g}"
    return f"antenna {antenna.port} would have {found} by {limit.rule}; {do}"


def _of_channels(profile: Profile, region: str, limit: Limit) -> list[str]:
    if isinstance(profile, M100Profile):
        if LIMITS.get(("m100", region)) is _FCC and profile.hopping is False:
            return [f"hopping: found false, expected true: {_FCC.rule} asks for hopping"]
        return []
    if not isinstance(profile, A0Profile | UhfReaderProfile):
        return []
    if profile.first_channel is None or profile.last_channel is None:
        return []
    problems = []
    grid = GRIDS.get((profile.family, region))
    if grid is None:  # a region of the reader's own that no profile names
        return []
    low, high = grid.mhz(profile.first_channel), grid.mhz(profile.last_channel)
    words = words_from_channels(profile.family, region, profile.first_channel, profile.last_channel)
    if grid.first_mhz and not limit.low_mhz <= low <= high <= limit.high_mhz:
        band = f"{limit.low_mhz:g} to {limit.high_mhz:g} MHz"
        problems.append(f"first_channel: {words}, outside the band of {band} by {limit.rule}")
    count = _channel_count(profile)
    if LIMITS.get((profile.family, region)) is _FCC and count is not None and count < FCC_FEWER_CHANNELS:
        problems.append(
            f"last_channel: {words}: {count} channels to hop over, {_FCC.rule} asks for {FCC_FEWER_CHANNELS} at least "
            f"and {FCC_CHANNELS} for full power"
        )
    return problems


def _channel_count(profile: Profile) -> int | None:
    if not isinstance(profile, A0Profile | UhfReaderProfile):
        return None
    if profile.first_channel is None or profile.last_channel is None:
        return None
    return profile.last_channel - profile.first_channel + 1
