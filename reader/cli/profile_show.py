"""What `timing-mat profile show` shows of a profile: its values, and what each antenna would radiate."""

from __future__ import annotations

import msgspec
from rich.table import Table

from reader.line import profile as profiles
from reader.line.profile.channels import words_from_channels
from reader.line.profile.law import highest_power_dbm
from reader.line.protocols import load as load_family

NO_REGION = "no region: the mat will not transmit unless one is set in the reader"

COLUMNS = ("port", "power_dbm", "cable_loss_db", "gain_dbi", "radiated_dbm", "highest_power_dbm")


def antennas_of(found: profiles.Profile) -> list[dict[str, object]]:
    """Each antenna's table, with ``radiated_dbm`` and ``highest_power_dbm``, None where no limit is known."""
    limit = profiles.limit_of(found)
    rows = []
    for antenna in found.antennas:
        eirp_dbm = antenna.power_dbm - antenna.cable_loss_db + antenna.gain_dbi
        row = msgspec.to_builtins(antenna)
        row["radiated_dbm"] = round(limit.radiated(antenna.power_dbm, antenna) if limit else eirp_dbm, 2)
        row["highest_power_dbm"] = highest_power_dbm(found.family, antenna, limit) if limit else None
        rows.append(row)
    return rows


def limit_of(found: profiles.Profile) -> dict[str, object] | None:
    """The limit, for programs: ``rule``, ``radiated_dbm``, ``is_erp``, ``conducted_dbm``; None where none is known."""
    limit = profiles.limit_of(found)
    if limit is None:
        return None
    return {key: getattr(limit, key) for key in ("rule", "radiated_dbm", "is_erp", "conducted_dbm")}


def words_from_limit(found: profiles.Profile) -> str:
    """``limit: 36 dBm EIRP, FCC 47 CFR 15.247``."""
    limit = profiles.limit_of(found)
    if limit is None:
        return "limit: that of the region set in the reader"
    conducted = "" if limit.conducted_dbm is None else f", and {limit.conducted_dbm:g} dBm conducted"
    return f"limit: {limit.radiated_dbm:g} dBm {limit.word}{conducted}, {limit.rule}"


def table_of_antennas(found: profiles.Profile) -> Table:
    """One row for each antenna: what it radiates, and the highest power that would be allowed."""
    limit = profiles.limit_of(found)
    word = limit.word if limit else "EIRP"
    table = Table("antenna", "power, dBm", "cable, dB", "gain, dBi", f"{word}, dBm", "highest power, dBm")
    for row in antennas_of(found):
        table.add_row(*("" if row[key] is None else str(row[key]) for key in COLUMNS))
    return table


def table_of_values(found: profiles.Profile) -> Table:
    """What is wanted, but for the antennas, and where the reader keeps it."""
    module = load_family(found.family)
    settings = {setting.key: setting for setting in module.SETTINGS}
    table = Table("setting", "wanted", "kept")
    for key, value in profiles.wanted(found).items():
        setting = settings.get(key)
        if setting is not None:
            kept = "in flash" if setting.is_in_flash else "until power-off"
        else:
            kept = "told at each start" if key in module.ON_START else ""
        match key, value:
            case "antennas", tuple():
                words = ", ".join(map(str, value))
            case "power_dbm", _:
                words = "as below"
            case "band", (str(region), int(first), int(last)):
                words = f"{region}, {words_from_channels(found.family, region, first, last)}"
            case _:
                words = setting.shown(value) if setting is not None else _plain(value)
        table.add_row(setting.name if setting is not None else key, words, kept)
    return table


def _plain(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
