"""Every row of the table of `joining`; and that the order in which splits come is nothing to the crossings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.racecontrol.joining import WITHIN_US, Passing, join
from reader.racecontrol.store import Batch, Store
from reader.racecontrol.taken import Entry, entry_from
from tests.fakes.mat import Log

SECOND = 1_000_000


def passing(at_s: float, chip: str = "A", role: str = "main", **changes: object) -> Passing:
    whole = Passing(f"{role}-{chip}-{at_s}", int(at_s * SECOND), role, "b17", "main", role, chip, after_restart=False)
    return whole._replace(**changes)  # type: ignore[arg-type] # the names are checked by _replace itself


def crossings(*passings: Passing) -> list[tuple[float, int]]:
    """Each crossing's time, and of how many passings it is."""
    return [(one.counts.utc_us / SECOND, len(one.passings)) for one in join(passings)]


@pytest.mark.parametrize(
    ("passings", "expected"),
    [
        ([], []),
        ([passing(0)], [(0, 1)]),
        ([passing(0), passing(0.1, "B")], [(0, 2)]),
        ([passing(0, role="backup"), passing(1.5)], [(1.5, 2)]),
        ([passing(1.5), passing(0, role="backup")], [(1.5, 2)]),
        ([passing(0, role="backup"), passing(1.5, role="side")], [(1.5, 2)]),
        ([passing(0, role="side"), passing(1.5)], [(1.5, 2)]),
        ([passing(0, role="new"), passing(1.5, role="backup")], [(1.5, 2)]),
        ([passing(0, role="backup"), passing(20)], [(20, 2)]),
        ([passing(0, role="backup"), passing(20.000001)], [(0, 1), (20.000001, 1)]),
        ([passing(0, role="backup"), passing(1800)], [(0, 1), (1800, 1)]),
        ([passing(0), passing(15, "B"), passing(30, "C")], [(0, 2), (30, 1)]),
        ([passing(0), passing(0.4, line="second")], [(0, 2)]),
        ([passing(0), passing(6)], [(0, 1), (6, 1)]),
        ([passing(0), passing(0.1, "B"), passing(6), passing(6.1, "B")], [(0, 2), (6, 2)]),
        ([passing(0), passing(6, after_restart=True)], [(0, 2)]),
        ([passing(0), passing(0.2, box="other")], [(0, 2)]),  # two boxes under one name tell of one crossing
    ],
)
def test_what_belongs_together(passings: list[Passing], expected: list[tuple[float, int]]) -> None:
    assert crossings(*passings) == expected


passings_of_one = st.lists(
    st.builds(
        passing,
        st.integers(0, 60),
        st.sampled_from("AB"),
        st.sampled_from(["main", "backup", "side"]),
        after_restart=st.booleans(),
    ),
    unique_by=lambda one: one.passing,
    max_size=12,
)


@given(passings_of_one, st.randoms(use_true_random=False))
def test_the_order_changes_nothing_and_each_passing_is_in_one_crossing(passings: list[Passing], random: Any) -> None:
    shuffled = random.sample(passings, len(passings))
    joined = join(passings)
    assert join(shuffled) == joined
    assert sorted(one.passing for crossing in joined for one in crossing.passings) == sorted(
        one.passing for one in passings
    )
    for crossing in joined:
        assert crossing.passings[-1].utc_us - crossing.passings[0].utc_us <= WITHIN_US
        assert crossing.counts in crossing.passings


def taken(message: dict[str, Any]) -> tuple[Entry, str]:
    return entry_from("test", json.dumps(message).encode())


revisions = st.lists(
    st.fixed_dictionaries(
        {
            "passing": st.integers(1, 6),
            "at_s": st.integers(0, 50),
            "rev": st.integers(1, 4),
            "bib": st.sampled_from(["1", "2", None]),
            "mode": st.sampled_from(["race", "race", "test", "released"]),
        }
    ),
    unique_by=lambda one: (one["passing"], one["rev"]),
    max_size=14,
)


@given(revisions, st.randoms(use_true_random=False))
def test_the_crossings_follow_the_highest_revisions_in_whatever_order_they_come(told: list[Any], random: Any) -> None:
    log = Log()
    entries = [taken(log.split(**split)) for split in told]
    highest = {one["passing"]: one for one in sorted(told, key=lambda one: one["rev"])}
    whole, pieces = Store(None, "chicago-2023"), Store(None, "chicago-2023")
    whole.commit(Batch(entries=entries))
    random.shuffle(entries)
    while entries:
        count = random.randint(1, len(entries))
        pieces.commit(Batch(entries=entries[:count]))
        del entries[:count]
    for query in (
        "SELECT * FROM passing ORDER BY passing",
        "SELECT point, runner, nth, bib, utc_us, passing, passings FROM crossing ORDER BY runner, nth",
    ):
        assert whole._rows(query) == pieces._rows(query)
    racing = {f"e1-{number}" for number, one in highest.items() if one["mode"] != "test"}
    joined = [json.loads(passings) for (passings,) in whole._rows("SELECT passings FROM crossing")]
    assert sorted(name for names in joined for name in names) == sorted(racing)
    for store in (whole, pieces):
        store.close()
