"""The checks of the self-test, in the order in which they are made: first what the rest stands on."""

from __future__ import annotations

from reader.selftest.antennas import ANTENNA_PLANS, REVISIT_PLAN
from reader.selftest.broker import BROKER_PLANS
from reader.selftest.chip import CHIP_PLAN
from reader.selftest.clock import CLOCK_PLANS
from reader.selftest.disk import DISK_PLANS
from reader.selftest.line import LINE_PLANS
from reader.selftest.panel import PANEL_PLANS
from reader.selftest.plan import Plan
from reader.selftest.power import POWER_PLANS
from reader.selftest.readers import HEARING_PLAN, READER_PLANS
from reader.selftest.services import PROGRAM_PLANS, SERVICES_PLANS

PLANS: tuple[Plan, ...] = (
    *PROGRAM_PLANS,
    *POWER_PLANS,
    *DISK_PLANS,
    *CLOCK_PLANS,
    *LINE_PLANS,
    HEARING_PLAN,
    REVISIT_PLAN,  # before those that make a reader begin anew
    *READER_PLANS,
    *ANTENNA_PLANS,
    CHIP_PLAN,
    *PANEL_PLANS,
    *BROKER_PLANS,
    *SERVICES_PLANS,
)
