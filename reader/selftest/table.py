"""The checks of the self-test, in the order in which they are made: first what the rest stands on."""

from __future__ import annotations

from reader.selftest.plan import Plan

PLANS: tuple[Plan, ...] = ()
