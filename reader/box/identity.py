"""Who this box is: the hardware's serial number (a Pi's), else the machine's id.

It is a level of the MQTT client id and stands in every message; a cloned card in another box is another box.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

SERIAL_VARIABLE = "TIMING_MAT_SERIAL_FILE"
# The firmware's device tree on a Pi; systemd's machine-id(5) elsewhere.
PLACES = (Path("/proc/device-tree/serial-number"), Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def box_id() -> str:
    """Lower-case letters, digits and dashes, at most 63; the host's name where nothing better is there."""
    named = os.environ.get(SERIAL_VARIABLE)
    for place in (Path(named), *PLACES) if named else PLACES:
        try:
            found = level_from_text(place.read_bytes().decode("ascii", "ignore"))
        except OSError:
            continue
        if found:
            return found
    return level_from_text(socket.gethostname()) or "box"


def label_from_box(box: str) -> str:
    """What a box goes by that has no label: the last six of its number; a name as it is."""
    return box[-6:] if re.fullmatch(r"[0-9a-f]{8,}", box) else box


def level_from_text(text: str) -> str:
    """The text as a level of a topic, or "" if nothing of it can be."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63]
