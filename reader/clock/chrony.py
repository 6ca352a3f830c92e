"""What chrony says of the clock: one line of `chronyc -c -n tracking`.

::

    47505300,GPS,1,1794012345.123456789,-0.000000123,0.000000200,0.000000300,-12.345,0.001,0.020,
    0.000001000,0.000010000,16.0,Normal

Reference (hexadecimal, then its address or name), stratum, when it last measured (UTC seconds), by how much the
system's clock is off, the last and the mean offset, frequency, residual frequency, skew (ppm), root delay, root
dispersion, update interval (seconds), leap status. chronyc(1), "tracking"; chrony's client.c for the order.
"""

from __future__ import annotations

import math
import shutil
import subprocess

from reader.clock.quality import Tracking
from reader.model import NS_PER_S, ClockSource

LIMIT_S = 2.0
AFTER_NAME = 12
SYNCED = ("Normal", "Insert second", "Delete second")
NOT_SYNCED = "Not synchronised"
# References that are no better clock than ours: our own ("local"), and a person's watch ("manual").
OWN_REFERENCES = ("7F7F0101", "4D414E55")
# By the name that chrony.conf gives the reference clock, else chrony does. Shared memory and sockets are how gpsd
# hands over its time.
SOURCES: dict[str, ClockSource] = {
    "GPS": "gps",
    "GNS": "gps",
    "NMEA": "gps",
    "PPS": "gps",
    "GLO": "gps",
    "GAL": "gps",
    "BDS": "gps",
    "SHM": "gps",
    "SOC": "gps",
    "PHC": "ptp",
    "PTP": "ptp",
}


def ask_chrony(*options: str) -> Tracking | None:
    """What chronyd says, in 2 seconds at most; None if there is none, it does not answer or makes no sense."""
    chronyc = shutil.which("chronyc")
    if chronyc is None:
        return None
    command = [chronyc, *options, "-c", "-n", "tracking"]
    try:
        done = subprocess.run(  # noqa: S603 # found by the system's own path; no part of it comes from outside
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=True
        )
        return tracking_from_line(done.stdout.decode("ascii", "replace"))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def tracking_from_line(line: str) -> Tracking:
    """ValueError if it is not what chronyc prints."""
    fields = line.strip("\r\n").split(",")
    if len(fields) < AFTER_NAME + 2 or "\n" in line.strip("\r\n"):
        raise ValueError(f"chronyc: found {line!r}, expected one line of at least {AFTER_NAME + 2} fields")
    reference, name = fields[0].upper(), ",".join(fields[1:-AFTER_NAME])
    int(reference, 16)
    numbers = [float(field) for field in fields[-AFTER_NAME:-1]]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"chronyc: found {line!r}, expected numbers")
    _stratum, _time, off_s, _last, _mean, _freq, _residual, _skew, delay_s, dispersion_s, _interval = numbers
    leap = fields[-1]
    if leap not in (*SYNCED, NOT_SYNCED):
        raise ValueError(f"chronyc: found leap status {leap!r}, expected one of: {', '.join((*SYNCED, NOT_SYNCED))}")
    return Tracking(
        is_synced=leap in SYNCED and reference not in OWN_REFERENCES,
        source=source_from_name(name),
        distance_ns=round((abs(delay_s) / 2 + abs(dispersion_s) + abs(off_s)) * NS_PER_S),
        measured=fields[-AFTER_NAME + 1],
    )


def source_from_name(name: str) -> ClockSource:
    """A reference clock by its name; an address is a server's, whatever that goes by."""
    is_address = "." in name or ":" in name
    if not is_address:
        for beginning, source in SOURCES.items():
            if name.upper().startswith(beginning):
                return source
    return "ntp"
