"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.broker import Mosquitto


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """A real broker, this test's own. It is required, not optional: `apt install mosquitto`."""
    with Mosquitto() as broker:
        yield broker
