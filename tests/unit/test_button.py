"""The crew's button and the contacts: from edges at given times to what is asked for."""

from __future__ import annotations

from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.box.button import Asked, Button
from reader.box.contact import Change, Contact

MS = 1_000_000


def changes(*edges: tuple[int, bool]) -> list[Change]:
    """Edges in ms and whether closed from then on; what counts, looked at each millisecond."""
    contact, closed, found = Contact(), False, []
    closed_at = dict(edges)
    for t_ms in range(edges[-1][0] + 200):
        if t_ms in closed_at:
            closed = closed_at[t_ms]
            assert contact.edge(t_ms * MS, closed) is None  # it has been looked at just before
        if (change := contact.look(t_ms * MS, closed)) is not None:
            found.append(change)
    assert all(one.is_closed != two.is_closed for one, two in pairwise(found))
    return found


def firings(*edges: tuple[int, bool]) -> list[int]:
    return [change.at_ns // MS for change in changes(*edges) if change.is_closed]


def test_what_counts_as_a_firing() -> None:
    assert firings((10, True)) == [10]
    assert firings((10, True), (12, False), (14, True)) == [10]
    assert firings((10, True), (12, False)) == []
    assert firings((10, True), (59, False)) == []
    assert firings((10, True), (5_000, False), (5_002, True), (5_004, False), (9_000, True)) == [10, 9_000]
    assert firings((10, True), (500, False), (520, True)) == [10]  # it was hardly open


def test_two_guns_are_two() -> None:
    assert firings(*((t, n % 2 == 0) for n, t in zip(range(6), count(10, 100), strict=False))) == [10, 210, 410]


def test_to_open_has_the_time_of_its_first_edge_too() -> None:
    assert changes((10, True), (500, False), (510, True), (520, False)) == [
        Change(10 * MS, True),
        Change(500 * MS, False),
    ]


def test_edges_that_are_told_late_and_together_count_as_if_in_time() -> None:
    contact = Contact()
    assert contact.edge(10 * MS, True) is None
    assert contact.edge(500 * MS, False) == Change(10 * MS, True)
    assert contact.look(900 * MS, False) == Change(500 * MS, False)


def test_what_is_found_without_an_edge_is_news_once_and_never_in_the_middle_of_one() -> None:
    contact = Contact()
    assert contact.found(True)
    assert not contact.found(True)
    assert contact.is_closed
    contact.edge(10 * MS, False)
    assert not contact.found(False)
    assert contact.look(60 * MS, False) == Change(10 * MS, False)


def test_an_edge_that_is_told_after_it_was_found_counts_with_its_own_time() -> None:
    contact = Contact()
    assert contact.found(True)
    assert contact.edge(10 * MS, True) is None
    assert contact.look(60 * MS, True) == Change(10 * MS, True)


def test_a_contact_that_is_not_as_its_edges_say_waits_for_the_one_that_says_so() -> None:
    contact = Contact()
    contact.edge(100 * MS, True)
    assert contact.look(900 * MS, False) is None  # it has opened since, and that edge has not been told
    assert contact.due_ns == 1_100 * MS
    assert contact.look(1_000 * MS, False) is None
    assert contact.edge(600 * MS, False) == Change(100 * MS, True)
    assert contact.look(1_000 * MS, False) == Change(600 * MS, False)
    contact.edge(2_000 * MS, True)
    assert contact.look(2_050 * MS, False) is None
    assert contact.look(2_250 * MS, False) is None  # nobody tells: it was a spike
    assert contact.due_ns is None


# ---- presses -------------------------------------------------------------------------------------------------


def asked(*presses: tuple[int, int], for_ms: int = 0) -> list[tuple[int, str, int]]:
    """From and to in ms; what is asked for: when, what, and the edge (ms). Each change counts 50 ms after its edge."""
    told = {end + 50: Change(end * MS, False) for _, end in presses} | {
        begin + 50: Change(begin * MS, True) for begin, _ in presses
    }
    button = Button()
    asks: list[tuple[int, str, int]] = []

    def note(at_ms: int, some: list[Asked]) -> None:
        asks.extend((at_ms, one.what, one.at_ns // MS) for one in some)

    for t_ms in range((for_ms or presses[-1][1]) + 1_000):
        if t_ms in told:
            note(t_ms, button.change(told[t_ms]))
        if button.due_ns is not None and t_ms * MS >= button.due_ns:
            note(t_ms, button.look(t_ms * MS))
            assert button.due_ns is None or button.due_ns > t_ms * MS
    return asks


def test_a_short_press_is_a_marker_at_its_edge_told_when_no_second_can_follow() -> None:
    assert asked((1_000, 1_200)) == [(1_600, "marker", 1_000)]
    assert asked((1_000, 3_900)) == [(3_950, "marker", 1_000)]  # still short


def test_two_within_half_a_second_are_mute_and_no_marker() -> None:
    assert asked((1_000, 1_150), (1_400, 1_600)) == [(1_650, "mute", 1_400)]
    assert asked((1_000, 1_150), (1_500, 1_600)) == [(1_650, "mute", 1_500)]


def test_two_that_are_further_apart_are_two_markers() -> None:
    asks = asked((1_000, 1_200), (1_501, 1_700))
    assert [(what, edge) for _, what, edge in asks] == [("marker", 1_000), ("marker", 1_501)]
    asks = asked((1_000, 1_200), (2_000, 2_200), (3_000, 3_200))
    assert [edge for _, what, edge in asks if what == "marker"] == [1_000, 2_000, 3_000]


def test_three_within_half_a_second_each_are_mute_and_a_marker() -> None:
    asks = asked((1_000, 1_100), (1_300, 1_400), (1_600, 1_700))
    assert [(what, edge) for _, what, edge in asks] == [("mute", 1_300), ("marker", 1_600)]


def test_held_three_seconds_is_identify_when_let_go_with_a_beep_before() -> None:
    assert asked((1_000, 5_000)) == [(4_100, "beep", 1_000), (5_050, "identify", 1_000)]
    assert asked((1_000, 4_020)) == [(4_070, "identify", 1_000)]
    assert asked((1_000, 8_999))[-1] == (9_049, "identify", 1_000)


def test_held_eight_seconds_begins_the_self_test_and_to_let_go_asks_for_nothing_more() -> None:
    began = [(4_100, "beep", 1_000), (9_100, "beep", 1_000), (9_100, "selftest", 1_000)]
    assert asked((1_000, 20_000)) == began
    assert asked((1_000, 9_020)) == [began[0], (9_070, "selftest", 1_000)]


def test_something_that_lies_on_the_button_asks_for_one_self_test() -> None:
    assert [what for _, what, _ in asked((1_000, 600_000), for_ms=60_000)] == ["beep", "beep", "selftest"]


def test_a_short_press_before_a_long_one_is_a_marker_all_the_same() -> None:
    asks = [(what, edge) for _, what, edge in asked((1_000, 1_100), (1_400, 5_500))]
    assert asks == [("marker", 1_000), ("beep", 1_400), ("identify", 1_400)]


def test_pressed_before_anybody_looked_is_nothing() -> None:
    button = Button()
    assert button.change(Change(5 * MS, False)) == []
    assert button.due_ns is None


def test_what_waits_at_the_end_is_told() -> None:
    button = Button()
    button.change(Change(1_000 * MS, True))
    button.change(Change(1_100 * MS, False))
    assert button.end() == [Asked("marker", 1_000 * MS)]
    assert button.end() == []


@given(st.lists(st.tuples(st.integers(60, 9_500), st.integers(60, 12_000)), min_size=1, max_size=6))
def test_no_press_is_lost_and_none_counts_twice(gaps: list[tuple[int, int]]) -> None:
    """Each press is a marker, half of a mute, an identify or a self-test."""
    presses, t_ms = [], 0
    for open_ms, held_ms in gaps:
        presses.append((t_ms + open_ms, t_ms + open_ms + held_ms))
        t_ms += open_ms + held_ms
    whats = [what for _, what, _ in asked(*presses)]
    assert len(presses) == 2 * whats.count("mute") + sum(whats.count(w) for w in ("marker", "identify", "selftest"))


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_contact_begins_as_it_is_found(is_closed: bool) -> None:
    contact = Contact(is_closed)
    assert contact.look(10**12, is_closed) is None
    assert contact.due_ns is None
