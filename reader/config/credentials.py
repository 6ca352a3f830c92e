"""Files that systemd hands to the service, in a folder that nobody else can read: ``LoadCredential=``.

A ``…_file`` of ``mat.toml`` that is a bare name, without a slash, is looked for there first: as it is, and
as it is called when a whole folder was handed over under the name ``timing-mat``. A command typed by hand
is handed nothing; as root it finds them in the folder from which the service is given them.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "CREDENTIALS_DIRECTORY"  # systemd's; set for the service alone
ON_THE_BOX = Path("/etc/timing-mat/credentials")  # root's alone
OF_A_FOLDER = "timing-mat_"  # LoadCredential=timing-mat:/etc/timing-mat/credentials; systemd adds the dash below


def credential(name: str) -> Path | None:
    """Where the file of that name is, for whoever runs this; None if it has a slash, or there is none."""
    if "/" in name:
        return None
    folder = _folder()
    places = [ON_THE_BOX / name] if folder is None else [folder / name, folder / f"{OF_A_FOLDER}{name}"]
    return next((place for place in places if os.access(place, os.F_OK)), None)


def is_credential(path: Path) -> bool:
    """Whether it is one of those files: who may read them is systemd's care, and not all of it shows in the mode."""
    return path.parent == (_folder() or ON_THE_BOX)


def _folder() -> Path | None:
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None
