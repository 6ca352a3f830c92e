"""All readers of a mat: what of their profiles can't be used."""

from __future__ import annotations

from reader.config import loads
from reader.links import Links
from tests.fakes.clock import FakeClock

MAT = """
[mat]
event = "two-profiles"
point = "finish"
id = "mat"
[mqtt]
host = "localhost"
"""
READER = """
[[reader]]
name = "{name}"
protocol = "{protocol}"
port = "/dev/{name}"
profile = "{profile}"
"""


def test_every_profile_that_can_not_be_used_is_named() -> None:
    readers = (("left", "a0", "a0-fccc"), ("right", "a0", "a0-fcc"), ("spare", "m100", "nowhere"))
    text = MAT + "".join(
        READER.format(name=name, protocol=protocol, profile=profile) for name, protocol, profile in readers
    )
    links = Links(loads(text, "mat.toml"), FakeClock(), lambda _: None, lambda: True, {})
    assert "the profile of reader left is not used" in links.trouble
    assert "the profile of reader spare is not used" in links.trouble
    assert "reader right" not in links.trouble
