"""The other half: what race control runs to receive what the mats tell. :func:`follow` is all that a program needs."""

from reader.racecontrol.feed import follow

__all__ = ["follow"]
