"""The self-test: finds the loose antenna, the wrong region, the slow card and the bad clock before the race does.

A check (:mod:`.plan`) looks at one thing on the bench (:mod:`.bench`); the table of all is :mod:`.table`.
"""
