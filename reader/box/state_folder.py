"""Where this box keeps what must outlive a restart besides the journal."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """Systemd's StateDirectory= names it; by hand it is the same folder."""
    return Path(os.environ.get("STATE_DIRECTORY", "/var/lib/timing-mat").split(":")[0])
