"""The collector against a real broker, and mats that drop, repeat, disorder, refuse and answer by halves."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from reader.cli.collect_view import line, view
from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.errors import DiskFull, JournalDamaged, JournalInUse, UsageError
from reader.model import NS_PER_S
from reader.racecontrol import follow, intake
from reader.racecontrol.collector import Collector
from reader.racecontrol.expecting import Expecting
from reader.racecontrol.outlook import Outlook
from reader.racecontrol.starters import Runner
from reader.racecontrol.store import Batch, CrossingsFile, News, Store, is_done, wish
from tests.broker import Mosquitto, Subscriber
from tests.fakes.mat import FakeMat, Log, Message, dropping, refusal
from tests.waiting import wait_until

EVENT = "chicago-2023"


class Running:
    """A collector on a database in ``folder``; ``ahead_s``: its clock runs so much ahead of this host's."""

    def __init__(self, broker: Mosquitto, folder: Path, *, name: str | None = "rc1", **starters: Runner) -> None:
        self.db = folder / "race.db"
        self.news: list[News] = []
        self.clock = Ahead()
        self.store = Store(self.db, EVENT)
        settings = MqttSettings(port=broker.port)
        self.collector = Collector(settings, self.clock, self.store, EVENT, name, starters or None)

    def turn(self) -> bool:
        self.news += self.collector.turn(0.01)
        return True

    def until(self, condition: Callable[[], object], what: str, limit_s: float = 20.0) -> None:
        wait_until(lambda: self.turn() and condition(), limit_s, what)

    def until_whole(self, *logs: Log) -> None:
        """Until all of them stands in the database."""
        total = sum(log.last_seq for log in logs)
        self.until(lambda: self.count("entry") == total, f"{total} entries")

    def rows(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def count(self, table: str) -> int:
        count: int = self.rows(f"SELECT count(*) FROM {table}")[0][0]
        return count

    def close(self) -> None:
        self.news += self.collector.finish()
        self.store.close()


class Ahead(SystemClock):
    """The host's clock, and some more, so that a minute's pause need not be waited for."""

    ahead_ns = 0

    def mono_ns(self) -> int:
        return super().mono_ns() + self.ahead_ns


@contextlib.contextmanager
def running(broker: Mosquitto, folder: Path, **options: Any) -> Iterator[Running]:
    started = Running(broker, folder, **options)
    try:
        started.until(lambda: started.collector.connects, "the connection")
        yield started
    finally:
        started.close()


def splits(log: Log, count: int) -> list[Message]:
    """So many passings of as many chips, a second apart."""
    return [log.split(number, at_s=number) for number in range(1, count + 1)]


def acked(listener: Subscriber) -> tuple[str, dict[str, int]]:
    """The box and the seqs of the latest ack."""
    for came in listener.on("ack/rc1")[-1:]:
        ack = json.loads(came.payload)
        return ack["box"], ack["acks"]
    return "", {}


def test_doubles_revisions_out_of_order_and_other_events(mosquitto: Mosquitto, tmp_path: Path) -> None:
    log = Log()
    first = log.split(1, at_s=1, bib="7")
    third = log.split(1, at_s=3, rev=3, bib="7")
    second = log.split(1, at_s=2, rev=2, bib="7")
    other = log.split(2, at_s=9, bib="8")
    gun = log.entry("gun", 0.5, of="e1-1", n=1, rev=1, name="elites", source="input", is_given=False)
    gun_again = log.entry("gun", 0.7, of="e1-1", n=1, rev=2, name="elites", source="input", is_given=False)
    marker = log.entry("marker", 0.7, of="e1-1", n=1, rev=1, text="lead car", source="button")
    unknown = log.entry("weather", 1, rain="much")
    elsewhere = Log(event="boston")
    with running(mosquitto, tmp_path) as collect, FakeMat(mosquitto.port, log) as mat:
        with FakeMat(mosquitto.port, elsewhere) as boston:
            boston.tell(elsewhere.split(1))
        mat.tell(first, first, other, third, first, gun, gun_again, marker, gun, second)
        mat.say("notice", unknown)  # what it is it says itself
        collect.until_whole(log)
        assert collect.collector.doubled == 3
        assert [(one.split.passing, one.split.rev) for one in collect.news if one.split.passing == "e1-1"][-1][1] == 3
        assert collect.rows("SELECT passing, rev, bib FROM passing") == [("e1-1", 3, "7"), ("e1-2", 1, "8")]
        assert collect.rows("SELECT bib, nth, utc_us % 60000000 FROM crossing ORDER BY bib") == [
            ("7", 1, 3_000_000),
            ("8", 1, 9_000_000),
        ]
        assert [row[:2] for row in collect.rows("SELECT type, seq FROM latest ORDER BY seq")] == [
            ("gun", gun_again["seq"]),
            ("marker", marker["seq"]),
            ("weather", unknown["seq"]),
        ]
        ((body,),) = collect.rows(f"SELECT body FROM entry WHERE seq = {third['seq']}")
        assert json.loads(body) == third
        assert collect.collector.mats["finish", "finish-main"].passings == 2


def test_what_was_dropped_is_asked_for_and_comes_once(mosquitto: Mosquitto, tmp_path: Path) -> None:
    log = Log()
    told = splits(log, 400)
    with running(mosquitto, tmp_path) as collect, FakeMat(mosquitto.port, log) as mat:
        mat.tell(*dropping(iter(told), 20))
        mat.status()  # the last one of all is missing, too
        collect.until_whole(log)
        assert len(mat.asked) == 1
        asked = mat.asked[0]
        assert (asked["do"], asked["by"], asked["epoch"]) == ("rewind", "collect rc1", "e1")
        assert (asked["from_seq"], asked["through_seq"]) == (20, 400)
        assert sorted(one.split.seq for one in collect.news) == list(range(1, 401))


def test_a_refusal_lost_pages_and_a_lost_end_still_give_everything(mosquitto: Mosquitto, tmp_path: Path) -> None:
    log = Log()
    splits(log, 1800)
    mat = FakeMat(mosquitto.port, log)

    def answer(command: Message) -> list[Message]:
        pages = log.rewound(command)
        match len(mat.asked):
            case 1:
                return [refusal(command, "4 commands are being carried out already; ask again")]
            case 2:
                return pages[::3]  # the first and the last
            case 3:
                return pages[:1]  # and then silence
        return pages

    mat.answer = answer
    with running(mosquitto, tmp_path) as collect, mat:
        mat.status()

        def is_whole() -> bool:
            collect.clock.ahead_ns += NS_PER_S // 10  # its pauses are over sooner
            return collect.count("entry") == 1800

        collect.until(is_whole, "all of it", 60)
        runs = [(command["from_seq"], command["through_seq"]) for command in mat.asked]
        assert runs == [(1, 1800), (1, 1800), (501, 1500), (1001, 1500)]
        assert collect.collector.doubled == 0
        assert not collect.rows("SELECT * FROM lost")


def test_what_there_is_to_see(mosquitto: Mosquitto, tmp_path: Path) -> None:
    log, gone = Log(), Log(mat="backup", box="b18", epoch="e2")
    told = splits(log, 5)
    with running(mosquitto, tmp_path) as collect, FakeMat(mosquitto.port, log, lambda _: []) as mat:
        with FakeMat(mosquitto.port, gone) as other:
            other.say("link", {"link": "lost", "box": "b18", "connection": "c1"}, retain=True)
        mat.tell(*told[:2], *told[3:])
        mat.say("status", log.status(backlog=3, label="[/B17]\x1b[2J"))
        mats = collect.collector.mats
        collect.until(lambda: ("finish", "finish-main") in mats and mats["finish", "finish-main"].backlog, "it")
        collect.until(lambda: collect.count("entry") == 4, "the entries")
        collect.clock.ahead_ns += 40 * NS_PER_S
        now_ns = collect.clock.mono_ns()
        says = line(collect.collector, now_ns)
        assert says == "4 passings of 2 mats, 1 entry missing; finish/backup lost; finish/finish-main silent"
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(view(collect.collector, now_ns, ["the disk is full"]))
        shown = console.export_text().splitlines()
        assert shown[1].split() == ["finish/backup", "B17", "lost", "40", "s", "race", "0", "0", "0"]
        assert shown[2].split() == [
            "finish/finish-main",
            "[/B17]\ufffd[2J",
            "online",
            "40",
            "s",
            "race",
            "4",
            "1",
            "3",
            "2",
            "of",
            "5",
        ]
        assert shown[3] == "the disk is full; trying again"


def test_what_the_mat_has_lost_is_told_kept_and_not_acknowledged(mosquitto: Mosquitto, tmp_path: Path) -> None:
    log = Log()
    told = splits(log, 6)
    gone = [log.entries.pop(seq) for seq in (3, 4)]
    with Subscriber(mosquitto.port, "timing/+/+/+/ack/+") as listener:
        with running(mosquitto, tmp_path) as collect, FakeMat(mosquitto.port, log) as mat:
            mat.tell(*(message for message in told if message not in gone))
            collect.until(lambda: collect.rows("SELECT * FROM lost"), "the loss")
            assert collect.rows("SELECT * FROM lost") == [("e1", 3, 4, "the mat has no such entry")]
            assert "2 entries of epoch e1 are lost there" in "".join(collect.collector.says)
            asked = len(mat.asked)
            collect.clock.ahead_ns += 300 * NS_PER_S
            collect.until(lambda: acked(listener)[1] == {"e1": 2}, "the ack")
            assert len(mat.asked) == asked
        # Started again it still knows; and a copy from the box's stick makes it whole.
        with running(mosquitto, tmp_path) as collect:
            epoch = collect.collector.epochs["e1"]
            assert (epoch.missing, epoch.missing_unlost) == (2, 0)
            for message in gone:
                collect.collector.take("stick.jsonl", json.dumps(message).encode())
            collect.until(lambda: not epoch.missing, "the copy")
            collect.until(lambda: not collect.rows("SELECT * FROM lost"), "the loss, undone")
    assert acked(listener)[1] == {"e1": 6}


def test_what_waits_to_be_written_is_not_acknowledged(mosquitto: Mosquitto, tmp_path: Path) -> None:
    log = Log()
    with (
        Subscriber(mosquitto.port, "timing/+/+/+/ack/+") as listener,
        running(mosquitto, tmp_path) as collect,
        FakeMat(mosquitto.port, log) as mat,
    ):
        mat.tell(*splits(log, 5))
        collect.until(lambda: acked(listener) == ("b17", {"e1": 5}), "the ack")
        collect.collector._commit_at_ns += 3600 * NS_PER_S
        mat.tell(log.split(6))
        collect.until(lambda: collect.collector.epochs["e1"].seen.through == 6, "the sixth, in memory")
        collect.collector.mats["finish", "finish-main"].has_to_ack = True
        collect.clock.ahead_ns += 10 * NS_PER_S
        collect.until(lambda: not collect.collector.mats["finish", "finish-main"].has_to_ack, "what there is to say")
        collect.turn()  # what was said goes out
        mat.say("ack/other", {})
        listener.wait_for("ack/other")  # and has come by now
        assert acked(listener) == ("b17", {"e1": 5})
        collect.collector._commit_at_ns = 0
        collect.until(lambda: acked(listener) == ("b17", {"e1": 6}), "the ack of the sixth")


def test_only_what_is_on_disk_is_acknowledged(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    told = splits(log, 30)
    monkeypatch.setattr(intake, "PENDING_BYTES", 8_000)  # some ten splits
    with (
        Subscriber(mosquitto.port, "timing/+/+/+/ack/+") as listener,
        running(mosquitto, tmp_path) as collect,
        FakeMat(mosquitto.port, log) as mat,
    ):
        mat.tell(*told[:5])
        collect.until(lambda: listener.on("ack/rc1"), "the ack")
        commit = collect.store.commit

        def refuse(_: Batch) -> list[News]:
            raise DiskFull("race.db: the disk is full; free some")

        monkeypatch.setattr(collect.store, "commit", refuse)
        mat.tell(*told[5:])
        mat.status()
        collect.until(lambda: collect.collector.disk_trouble, "the trouble")
        assert "free some" in collect.collector.disk_trouble
        collect.clock.ahead_ns += 60 * NS_PER_S
        for _ in range(30):
            collect.turn()
        assert not mat.asked  # what could not be kept anyway
        assert acked(listener)[1] == {"e1": 5}
        monkeypatch.setattr(collect.store, "commit", commit)
        collect.until_whole(log)
        assert not collect.collector.disk_trouble
        collect.until(lambda: acked(listener)[1] == {"e1": 30}, "the ack")


def test_acks_are_of_the_box_that_speaks_there_and_said_again_on_a_new_connection(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    before, now = Log(epoch="e1"), Log(epoch="e2")
    spare = Log(epoch="e3", box="spare")
    with running(mosquitto, tmp_path) as collect:
        for log in (before, now):
            with FakeMat(mosquitto.port, log) as mat:
                mat.tell(*splits(log, 3))
        collect.until_whole(before, now)
        with Subscriber(mosquitto.port, "timing/+/+/+/ack/+") as listener:
            wait_until(lambda: collect.turn() and listener.on("ack/rc1"), what="the ack, retained")
            collect.until(lambda: acked(listener) == ("b17", {"e1": 3, "e2": 3}), "the ack of both epochs")
        mosquitto.restart()  # it has kept nothing
        collect.until(lambda: collect.collector.connects == 2, "the new connection")
        with Subscriber(mosquitto.port, "timing/+/+/+/ack/+") as listener:
            wait_until(lambda: collect.turn() and listener.on("ack/rc1"), what="the ack, said again")
            with FakeMat(mosquitto.port, spare) as mat:
                mat.tell(*splits(spare, 2))
                collect.until(lambda: acked(listener) == ("spare", {"e3": 2}), "the ack for the spare box")


def test_nobody_speaks_for_another_mat_and_nonsense_is_told(mosquitto: Mosquitto, tmp_path: Path) -> None:
    log = Log()
    forged = Log(mat="other").split(1)
    broken = log.split(1) | {"rev": "one"}
    with running(mosquitto, tmp_path) as collect, FakeMat(mosquitto.port, log) as mat:
        mat.say("split", forged)
        mat.say("split", {"what": 1})
        mat.say("split", broken)
        mat.say("status", {"box": 5})
        mat.say("reply", {"id": "not asked", "ok": True, "entries": [forged]})
        collect.until(lambda: collect.count("entry") == 1, "the broken one, kept")
        collect.until(lambda: len(collect.collector.says) == 4, "the words")
        says = "\n".join(collect.collector.says)
        assert "a message of chicago-2023/finish/other came there" in says
        assert "makes no sense as a split; it is kept as it came" in says
        assert collect.count("passing") == 0


def test_a_bib_from_the_starters_joins_what_mats_without_a_list_tell(mosquitto: Mosquitto, tmp_path: Path) -> None:
    main, backup = Log(), Log(mat="backup", role="backup", epoch="e2", box="b18")
    told = [main.split(1, at_s=11, chip="AA", bib="7"), backup.split(1, at_s=10, chip="AB")]
    with running(mosquitto, tmp_path) as collect:
        for log, message in zip((main, backup), told, strict=True):
            with FakeMat(mosquitto.port, log) as mat:
                mat.tell(message)
        collect.until_whole(main, backup)
        assert collect.rows("SELECT bib, chip FROM crossing ORDER BY chip") == [("7", "AA"), (None, "AB")]
    runner = Runner(("AA", "AB"), "started")
    with running(mosquitto, tmp_path, **{"7": runner}) as collect:
        assert collect.rows("SELECT bib, chip, role, passings FROM crossing") == [
            ("7", "AA", "main", '["e2-1", "e1-1"]')
        ]


def test_a_database_has_one_collector_and_one_event(tmp_path: Path) -> None:
    store = Store(tmp_path / "race.db", EVENT)
    with pytest.raises(JournalInUse, match="another timing-mat collect writes this database"):
        Store(tmp_path / "race.db", EVENT)
    log = Log()
    collector = Collector(MqttSettings(), SystemClock(), store, EVENT)
    collector.take("stick", json.dumps(log.split(1)).encode())
    collector.finish()
    store.close()
    with pytest.raises(UsageError, match=r"is of the event chicago-2023, expected boston"):
        Store(tmp_path / "race.db", "boston")
    (tmp_path / "text.db").write_text("no database, but a letter to somebody or other" * 100)
    with pytest.raises(JournalDamaged, match="name another file"):
        Store(tmp_path / "text.db", EVENT)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE recipe (name)")
    with pytest.raises(JournalDamaged, match="found the tables recipe"):
        Store(tmp_path / "other.db", EVENT)
    Store(tmp_path / "race.db", EVENT).close()


def test_mats_are_told_who_is_to_come_and_wishes_are_published(mosquitto: Mosquitto, tmp_path: Path) -> None:
    start, finish = Log("start", "start-main", epoch="e1", box="b1"), Log(epoch="e2", box="b2")
    with (
        Subscriber(mosquitto.port, "timing/+/+/+/expect") as listener,
        running(mosquitto, tmp_path) as collect,
        FakeMat(mosquitto.port, start) as at_start,
        FakeMat(mosquitto.port, finish) as at_finish,
    ):
        expecting = Expecting(("start", "finish"))
        outlook = Outlook(expecting, collect.collector, collect.store, collect.clock, f"timing/{EVENT}")

        def said() -> Message:
            collect.turn()
            outlook.note(collect.news)
            outlook.turn()
            came = listener.on("finish-main/expect")
            message: Message = json.loads(came[-1].payload) if came else {}
            return message

        at_start.tell(*splits(start, 3))
        wait_until(lambda: said().get("count") == 3, what="three to come")
        at_finish.tell(finish.split(1, at_s=900))
        wait_until(lambda: said().get("count") == 2, what="two to come")
        assert said()["chips"] == ["00000002", "00000003"]
        n = wish(collect.db, point="finish", mat=None, body={"sweep_armed": ["FF00"], "by": "Jo"}, said_utc_ns=0)
        wait_until(lambda: said().get("sweep_armed") == ["FF00"], what="the sweep, armed")
        wait_until(lambda: said() and is_done(collect.db, n), what="the wish, done")
        count = len(listener.on("finish-main/expect"))
        collect.clock.ahead_ns += 61 * NS_PER_S
        wait_until(lambda: said() and len(listener.on("finish-main/expect")) == count + 1, what="the same, again")
        assert len(listener.on("finish-main/expect")) == count + 1
    with running(mosquitto, tmp_path) as collect:  # it remembers the race and the wish
        expecting = Expecting(("start", "finish"))
        outlook = Outlook(expecting, collect.collector, collect.store, collect.clock, f"timing/{EVENT}")
        expect = expecting.expect("finish", 0, "finish-main")
        assert expect is not None
        assert (expect.count, expect.sweep_armed) == (2, ["FF00"])


def test_the_crossings_file_is_whole_at_any_moment(tmp_path: Path) -> None:
    log, clock = Log(), Ahead()
    with contextlib.closing(Store(tmp_path / "race.db", EVENT)) as store:
        collector = Collector(MqttSettings(), clock, store, EVENT)
        crossings = CrossingsFile(tmp_path, tmp_path / "race.db", clock)
        for message in splits(log, 5_000):
            collector.take("stick", json.dumps(message).encode())
        collector.commit()
        turns = 0
        while not crossings.path.exists():
            crossings.turn()
            turns += 1
        assert turns > 2  # slice by slice
        lines = crossings.path.read_text().splitlines()
        assert len(lines) == 5_001
        assert (
            lines[7] == "chicago-2023,finish,,00000007,1,2026-03-07T13:00:07.000000Z,140.2,main,finish-main,e1-7,e1-7"
        )
        collector.take("stick", json.dumps(log.split(7, at_s=7.5, rev=2)).encode())
        collector.commit()
        crossings.note_change()
        crossings.turn()
        assert len(crossings.path.read_text().splitlines()) == 5_001  # not yet
        clock.ahead_ns += 60 * NS_PER_S
        while "13:00:07.500000" not in crossings.path.read_text():
            crossings.turn()
            assert len(crossings.path.read_text().splitlines()) == 5_001
        assert [path.name for path in tmp_path.iterdir() if path.suffix == ".new"] == []
        (tmp_path / "folder").mkdir()
        lost = CrossingsFile(tmp_path / "gone" / "x.csv", tmp_path / "race.db", clock)
        lost.finish()
        assert "x.csv" in lost.trouble


@pytest.mark.long
def test_a_feed_gives_the_race_so_far_and_then_what_comes(mosquitto: Mosquitto) -> None:
    log = Log()
    told = [log.split(1, bib="7"), log.split(2, mode="test"), log.split(1, rev=2, bib="7"), log.split(3)]
    with FakeMat(mosquitto.port, log) as mat:
        mat.status()
        feed = follow(EVENT, port=mosquitto.port)
        came = [next(feed), next(feed)]
        mat.tell(*told[2:], log.split(4, bib="9"))
        came.append(next(feed))
        feed.close()  # type: ignore[attr-defined] # it is a generator
        mat.status()
        both = follow(EVENT, port=mosquitto.port, with_test=True)
        assert {next(both).passing for _ in range(4)} == {"e1-1", "e1-2", "e1-3", "e1-4"}
        both.close()  # type: ignore[attr-defined] # it is a generator
    assert sorted((split.passing, split.rev) for split in came[:2]) == [("e1-1", 2), ("e1-3", 1)]
    assert (came[2].bib, came[2].point, came[2].seq) == ("9", "finish", 5)


def test_a_feed_says_what_can_not_be() -> None:
    with pytest.raises(UsageError, match="only what is on disk is acknowledged"):
        follow(EVENT, name="rc1")
    with pytest.raises(UsageError, match="port: found 99999, expected"):
        follow(EVENT, port=99999)
    with pytest.raises(UsageError, match="pasword_file: there is no such key; did you mean"):
        follow(EVENT, pasword_file="pw")


def test_a_feed_takes_a_path_as_text_and_says_why_nothing_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reader.racecontrol.feed.Collector.turn", _ends_when_there_is_trouble)
    for name in ("pw", Path("pw")):
        caplog.clear()
        with pytest.raises(InterruptedError):
            next(follow(EVENT, username="rc", password_file=name))
        [said] = caplog.messages
        assert said.startswith(f"[mqtt] password_file {tmp_path / 'pw'}: No such file")
        assert said.endswith("; trying again")


def _ends_when_there_is_trouble(collector: Collector, poll_s: float, turn: Any = Collector.turn) -> Any:
    """What a turn gives; InterruptedError, as a feed has no end of its own, once it told of the trouble before."""
    if collector.trouble != "not connected yet":
        raise InterruptedError
    return turn(collector, poll_s)
