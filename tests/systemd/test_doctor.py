"""The doctor on a box: what systemd and its log say is in the letter, for root and for nobody, and no secret is."""

from __future__ import annotations

import pytest

from tests.systemd.box import Box

pytestmark = [pytest.mark.long, pytest.mark.systemd]

COMMAND = "/opt/timing-mat/bin/timing-mat"
SECRETS = ("Rosinante-77", "Babieca-99", "Bucephalus-11")
DROP_IN = f"""\
[Service]
Environment=SOME_TOKEN={SECRETS[1]}
SetCredential=some:{SECRETS[2]}
"""


def test_it_tells_of_the_units_and_their_log_and_of_no_secret(box: Box) -> None:
    text = box.machine.path("/etc/timing-mat/mat.toml").read_text()
    box.machine.write("/etc/timing-mat/mat.toml", f'{text}username = "mat"\npassword_file = "mqtt-password"\n')
    box.machine.write("/etc/timing-mat/credentials/mqtt-password", f"{SECRETS[0]}\n", 0o600)
    box.machine.path("/etc/timing-mat/credentials").chmod(0o700)
    box.configure("timing-mat.service", DROP_IN)
    box.machine.boot()
    box.machine.wait_for_recording()
    box.machine.run("systemd-cat", "--identifier=timing-mat", "echo", f"it was {SECRETS[0]}")
    for user in ("root", "nobody"):
        letter = box.machine.run("runuser", "-u", user, "--", COMMAND, "doctor", "--out", "-").stdout
        assert "(not made" not in letter
        assert all(secret not in letter for secret in SECRETS)
        assert "ExecStart=/opt/timing-mat" in letter
        assert "SOME_TOKEN=(masked)" in letter
        assert "SetCredential=some:(masked)" in letter
        assert "timing-mat.service" in letter
        assert "mat.event = units" in letter
        is_root = user == "root"
        assert ("timing units/finish/finish-main on box" in letter) == is_root  # the log
        assert ('"recording": true' in letter) == is_root
        assert ("no permission for /run/timing-mat/control.sock" in letter) != is_root
        assert ("Not readable for who asked" in letter) != is_root
        assert ("mqtt.password_file = /etc/timing-mat/credentials/mqtt-password" in letter) == is_root
