"""What tests of several folders share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.broker import Mosquitto
from tests.tally import (  # noqa: F401 - pytest finds a fixture and two hooks here
    pytest_runtest_makereport,
    pytest_terminal_summary,
    tally,
)

# The gate of a change tries the same examples every time; HYPOTHESIS_PROFILE=explore looks for new ones.
# No deadlines: the machine may be busy.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


# Who starts the tests in the background of a script has them, and what they start, ignore Ctrl-C: some tests send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """A real broker, this test's own. It is required, not optional: `apt install mosquitto`."""
    with Mosquitto() as broker:
        yield broker
