"""What goes when, and how far the cursor may move: the rules without any broker."""

from __future__ import annotations

from reader.journal import Entry
from reader.model import NS_PER_S
from reader.uplink.backlog import Backlogs, Sent
from reader.uplink.broker import Answer
from tests.fakes.log import FINISH, FakeEpoch, FakeLog


def backlogs_of(log: FakeLog, *, needs_listener: bool = True) -> Backlogs:
    backlogs = Backlogs(log.view, FINISH.box, needs_listener=needs_listener)
    backlogs.look(0)
    return backlogs


def take_all(backlogs: Backlogs, now_ns: int = 0, limit: int = 1000) -> list[Sent]:
    taken: list[tuple[Entry, Sent]] = []
    while len(taken) < limit and (one := backlogs.take(now_ns)) is not None:
        taken.append(one)
    return [sent for _, sent in taken]


def answer(sent: Sent, *, taken: bool = True, heard: bool = True, now_ns: int = 0) -> bool:
    return sent.backlog.note(sent, Answer(sent, taken, heard, "" if taken else "Quota exceeded"), now_ns)


def seqs(sent: list[Sent]) -> list[int]:
    return [one.seq for one in sent]


def splits(count: int) -> FakeEpoch:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(count)
    return epoch


def test_the_first_goes_alone_and_the_rest_when_it_has_arrived() -> None:
    backlogs = backlogs_of(FakeLog(splits(5)))
    first = take_all(backlogs)
    assert seqs(first) == [1]
    answer(first[0])
    assert seqs(take_all(backlogs)) == [2, 3, 4, 5]


def test_the_cursor_moves_over_what_is_answered_without_a_gap() -> None:
    backlogs = backlogs_of(FakeLog(splits(5)))
    (backlog,) = backlogs.ours
    answer(take_all(backlogs)[0])
    second, third, fourth, _ = take_all(backlogs)
    assert not answer(fourth)
    assert not answer(third)
    assert backlog.delivered_seq == 1
    assert answer(second)
    assert backlog.delivered_seq == 4
    assert backlog.undelivered == 1


def test_after_a_refusal_all_from_there_is_told_again_in_order() -> None:
    backlogs = backlogs_of(FakeLog(splits(5)))
    (backlog,) = backlogs.ours
    answer(take_all(backlogs)[0])
    second, third, _, fifth = take_all(backlogs)
    answer(third, taken=False)
    assert "refuses split 3: Quota exceeded" in backlog.trouble
    # Answers to the earlier try count for nothing, whatever they say.
    assert not answer(second)
    assert not answer(fifth)
    assert take_all(backlogs, NS_PER_S - 1) == []
    again = take_all(backlogs, NS_PER_S)
    assert seqs(again) == [2]
    answer(again[0])
    assert backlog.trouble == ""
    assert seqs(take_all(backlogs, NS_PER_S)) == [3, 4, 5]


def test_an_unheard_split_holds_and_an_unheard_notice_does_not() -> None:
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(2, kind="notice")
    epoch.append(2)
    backlogs = backlogs_of(FakeLog(epoch))
    (backlog,) = backlogs.ours
    for seq in (1, 2, 3):
        (sent,) = take_all(backlogs)
        assert sent.seq == seq, "one at a time while nobody listens"
        answer(sent, heard=False)
    assert (backlog.delivered_seq, backlog.is_unheard) == (2, True)
    assert backlogs.due_ns(0) == NS_PER_S
    (sent,) = take_all(backlogs, NS_PER_S)
    answer(sent)
    assert (backlog.delivered_seq, backlog.is_unheard) == (3, False)


def test_where_the_brokers_word_is_enough_an_unheard_split_is_delivered() -> None:
    backlogs = backlogs_of(FakeLog(splits(1)), needs_listener=False)
    (sent,) = take_all(backlogs)
    assert answer(sent, heard=False)


def test_a_new_connection_goes_on_after_the_cursor() -> None:
    backlogs = backlogs_of(FakeLog(splits(5)))
    answer(take_all(backlogs)[0])
    take_all(backlogs)
    backlogs.go_back()
    (sent,) = take_all(backlogs)
    assert sent.seq == 2


def test_older_epochs_wait_while_the_current_has_something_waiting() -> None:
    old, now = FakeEpoch("e0", FINISH), splits(1)
    old.append(3)
    log = FakeLog(old, now)
    backlogs = backlogs_of(log)
    first = take_all(backlogs, limit=1)[0]
    answer(first, taken=False)
    assert take_all(backlogs) == [], "held is waiting"
    again = take_all(backlogs, NS_PER_S, limit=1)[0]
    assert again.backlog.epoch == "e1"
    assert [(one.backlog.epoch, one.seq) for one in take_all(backlogs, NS_PER_S)] == [("e0", 1)]
    now.append()
    backlogs.look_again()
    backlogs.look(NS_PER_S)
    answer(again, now_ns=NS_PER_S)
    assert take_all(backlogs, NS_PER_S, limit=1)[0].backlog.epoch == "e1", "before what is left of the old one"


def test_a_journal_that_fails_in_the_middle_loses_nothing() -> None:
    log = FakeLog(splits(500))
    backlogs = backlogs_of(log)
    answer(take_all(backlogs)[0])
    assert seqs(take_all(backlogs, limit=199)) == list(range(2, 201))
    log.is_broken = True
    assert take_all(backlogs) == []
    assert backlogs.trouble == "the card is gone"
    log.is_broken = False
    backlogs.look(NS_PER_S)
    assert backlogs.trouble == ""
    assert seqs(take_all(backlogs, NS_PER_S)) == list(range(201, 501))
