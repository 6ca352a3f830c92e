"""Where the kernel tells of the box's hardware: /sys, /proc and /run, or a folder that stands for their root."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "TIMING_MAT_HARDWARE"  # for tests: a folder with sys/, proc/ … of a made-up box


def hardware(path: str) -> Path:
    """The place of ``path`` (as in "sys/class/hwmon"), whose root is ``/`` unless the variable names another."""
    return Path(os.environ.get(VARIABLE, "/")) / path
