"""Which seqs have come, and whom to ask for what is missing, when."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.model import NS_PER_S, Identity
from reader.racecontrol.epochs import (
    LOST_AGAIN_NS,
    MOST_SEQS,
    PAUSE_NS,
    REFUSALS,
    SILENCE_NS,
    SPARE_SEQS,
    Epoch,
    Question,
    Questions,
)
from reader.racecontrol.seen import Run, Seen

FINISH = Identity(event="chicago-2023", point="finish", mat="finish-main", box="b17")
HOME = ("finish", "finish-main")


def runs(seqs: set[int]) -> list[Run]:
    """These seqs as runs, the naive way."""
    grouped = groupby(enumerate(sorted(seqs)), key=lambda one: one[1] - one[0])
    together = [[seq for _, seq in group] for _, group in grouped]
    return [(group[0], group[-1]) for group in together]


@given(st.lists(st.integers(1, 40)), st.integers(0, 45))
def test_seen_is_as_a_set_of_numbers(seqs: list[int], more: int) -> None:
    seen, model = Seen(), set[int]()
    for seq in seqs:
        assert seen.add(seq) == (seq not in model)
        model.add(seq)
        assert seen.through == next(number for number in range(1, 99) if number not in model) - 1
        assert (seen.count, seen.last) == (len(model), max(model))
    last_seq = max(seen.last, more)
    assert list(seen.holes(last_seq)) == runs(set(range(1, last_seq + 1)) - model)
    assert seen.missing(last_seq) == last_seq - len(model)
    loaded = Seen()
    for run in runs(model):
        loaded.add_run(run)
    assert list(loaded.holes(50)) == list(seen.holes(50))
    assert (loaded.through, loaded.count) == (seen.through, seen.count)


def epoch_with(*seqs: int, at_s: float = 0.0) -> Epoch:
    epoch = Epoch("e1", FINISH)
    for seq in seqs:
        epoch.add(seq, int(at_s * NS_PER_S))
    return epoch


def ask(questions: Questions, epoch: Epoch, at_s: float) -> Question | None:
    asked = questions.due([(epoch, HOME)], int(at_s * NS_PER_S))
    return asked[0] if asked else None


def test_a_gap_is_asked_for_when_nothing_has_filled_it_for_two_seconds() -> None:
    epoch, questions = epoch_with(1, 3), Questions()
    assert ask(questions, epoch, 1.9) is None
    question = ask(questions, epoch, 2.1)
    assert question
    assert (question.run, question.home, question.epoch) == ((2, 2), HOME, epoch)
    assert ask(questions, epoch, 3) is None  # one at a time


def test_a_gap_that_fills_itself_is_not_asked_for() -> None:
    epoch, questions = epoch_with(1, 5, 6, 7), Questions()
    for seq in (2, 3):
        epoch.add(seq, int(seq * 0.9 * NS_PER_S))
    assert ask(questions, epoch, 4) is None
    epoch.add(4, 4 * NS_PER_S)
    assert not epoch.missing
    assert ask(questions, epoch, 60) is None


def test_the_end_of_the_log_is_a_gap_too_and_an_epoch_heard_of_late_begins_at_1() -> None:
    epoch, questions = epoch_with(7), Questions()
    epoch.exists_through(9, 0)
    assert epoch.missing == 8
    question = ask(questions, epoch, 3)
    assert question
    assert question.run == (1, 9)


def test_a_question_is_not_longer_than_it_may_be_and_leaves_out_what_is_here() -> None:
    epoch = epoch_with(*range(2, 1000))
    epoch.exists_through(20_000, 0)
    assert epoch.wanted(3 * NS_PER_S) == (1, 1)
    epoch.add(1, 0)
    assert epoch.wanted(3 * NS_PER_S) == (1000, 1000 + MOST_SEQS - 1)
    few = epoch_with(*range(1, 10), *range(11, 11 + SPARE_SEQS))
    few.exists_through(500, 0)
    assert few.wanted(3 * NS_PER_S) == (10, 500)  # a hundred again, rather than two questions


def answer(questions: Questions, question: Question, *seqs: int, page: int = 1, pages: int = 1, at_s: float) -> None:
    for seq in seqs:
        question.has_brought |= question.epoch.add(seq, int(at_s * NS_PER_S), is_asked_for=True)
    questions.answered(question, page, pages, int(at_s * NS_PER_S))


def test_what_is_still_missing_is_asked_for_at_once_when_something_came() -> None:
    epoch, questions = epoch_with(1, 9), Questions()
    question = ask(questions, epoch, 2.1)
    assert question
    answer(questions, question, 2, 3, page=1, pages=4, at_s=2.2)
    assert ask(questions, epoch, 2.3) is None  # pages are still to come
    answer(questions, question, 8, page=4, pages=4, at_s=2.4)  # two were lost on the way
    again = ask(questions, epoch, 2.5)
    assert again
    assert (again.run, again.id == question.id) == ((4, 7), False)


@pytest.mark.parametrize("is_silent", [True, False])
def test_who_does_not_answer_is_asked_more_and_more_seldom(is_silent: bool) -> None:
    epoch, questions = epoch_with(1, 3), Questions()
    now_s, asked_s = 0.0, []
    while now_s < 400:
        question = ask(questions, epoch, now_s)
        if question:
            asked_s.append(now_s)
            if not is_silent and len(asked_s) < REFUSALS:
                questions.refused(question, "busy", int(now_s * NS_PER_S))
        now_s += 0.5
    pauses = [after - before for before, after in pairwise(asked_s)]
    silence_s = SILENCE_NS / NS_PER_S if is_silent else 0
    assert pauses[:3] == [silence_s + n * PAUSE_NS / NS_PER_S for n in (1, 2, 4)]
    assert max(pauses) <= 71
    assert not epoch.lost  # silence loses nothing, nor do a few refusals


def test_what_a_mat_has_not_is_lost_and_asked_for_seldom() -> None:
    epoch, questions = epoch_with(1, 3, 6), Questions()
    question = ask(questions, epoch, 3)
    assert question
    answer(questions, question, 2, at_s=3.1)
    question = ask(questions, epoch, 3.2)
    assert question
    assert question.run == (4, 5)
    answer(questions, question, at_s=3.3)
    assert epoch.lost == {(4, 5): "the mat has no such entry"}
    assert (epoch.missing, epoch.missing_unlost) == (2, 0)
    assert ask(questions, epoch, 500) is None
    # What is missing else is asked for all the same.
    epoch.add(8, 500 * NS_PER_S)
    question = ask(questions, epoch, 503)
    assert question
    assert question.run == (7, 7)
    answer(questions, question, 7, at_s=503)
    question = ask(questions, epoch, 4 + LOST_AGAIN_NS / NS_PER_S)
    assert question
    assert question.run == (4, 5)
    answer(questions, question, 4, at_s=700)
    assert epoch.lost == {(5, 5): "the mat has no such entry"}
    epoch.add(5, 701 * NS_PER_S)
    assert not epoch.lost
    assert epoch.seen.through == 8


def test_refused_again_and_again_it_is_lost_in_the_mats_own_words() -> None:
    epoch, questions = epoch_with(1, 3), Questions()
    at_s = 2.0
    for _ in range(REFUSALS):
        assert not epoch.lost
        at_s += 70
        question = ask(questions, epoch, at_s)
        assert question
        questions.refused(question, "no journal of this box has it", int(at_s * NS_PER_S))
    assert epoch.lost == {(2, 2): "no journal of this box has it"}
    assert ask(questions, epoch, at_s + 500) is None
