"""The journal keeps ``seq`` contiguous through commits, deaths and new beginnings."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from reader.journal import Journal, JournalView
from reader.model import Hearing, Identity, Instant

MAT = Identity("race", "finish", "finish-main", "box-1")
ACTS = ["append"] * 4 + ["commit"] * 3 + ["deliver", "save", "reopen", "die"]


def body_of(seq: int) -> bytes:
    return b'{"n":%d}' % seq


def copied(path: Path, folder: Path) -> Path:
    """What a process leaves that is gone all at once: the database and its log, without the writer's memory."""
    folder.mkdir()
    for ending in ("", "-wal"):
        part = path.with_name(path.name + ending)
        if part.exists():
            shutil.copy(part, folder)
    return folder / path.name


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ACTS), max_size=40))
@example(["save", "append", "commit"])
def test_what_was_committed_is_there_once_and_in_order_whatever_happens(acts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.create(Path(folder) / "j.db", MAT)
        epoch = journal.epoch
        appended = committed = delivered = wanted = kept = waiting = saved_at = 0
        gate = gate_waiting = None
        for number, act in enumerate(acts):
            match act:
                case "append":
                    appended += 1
                    waiting += 1
                    assert journal.append("split", 1, 1, body_of(appended)) == appended
                    journal.keep(Hearing("north", Instant(number, number), hears=True, reason=""))
                case "commit":
                    journal.commit("boot-a", True, number)
                    # What came after the gate's state was saved has a row of its own.
                    kept += bool(saved_at) + (waiting > saved_at)
                    committed, delivered, waiting, saved_at = appended, max(delivered, wanted), 0, 0
                    gate = gate_waiting or gate
                case "deliver":
                    wanted = committed
                    journal.delivered(epoch, committed)
                case "save":
                    saved_at = waiting
                    gate_waiting = (kept + bool(waiting), b"settings", b"%d" % number)
                    journal.save_gate(b"settings", b"%d" % number)
                case _:
                    path = copied(journal.path, Path(folder) / str(number)) if act == "die" else journal.path
                    journal.close()
                    journal = Journal.open(path)
                    appended, wanted, waiting, saved_at, gate_waiting = committed, delivered, 0, 0, None
                    assert (journal.epoch, journal.last_seq, journal.reads_n) == (epoch, committed, kept)
            view = JournalView(journal.path)
            assert [entry[1:] for entry in view.entries(epoch, 0, 1_000)] == [
                (seq, "split", body_of(seq)) for seq in range(1, committed + 1)
            ]
            assert view.epochs()[0].delivered_seq == delivered
            assert [row.n for row in view.kept_inputs(page=3)] == list(range(1, kept + 1))
            if act == "commit":
                assert view.gate_state() == gate
            view.close()
        journal.close()


COMMITTING = """
import sys
from pathlib import Path
from reader.journal import Journal
from tests.properties.test_journal import MAT, body_of

path = Path(sys.argv[1])
journal = Journal.open(path) if path.exists() else Journal.create(path, MAT)
print(0, flush=True)
while True:
    for _ in range(1 + journal.last_seq % 7):
        journal.append("split", 1, 1, body_of(journal.last_seq + 1))
    journal.commit("boot-a", True, 0)
    print(journal.last_seq, flush=True)
"""


def test_kill_9_while_committing_loses_no_entry_which_proves_process_death_only_not_a_power_cut(tmp_path: Path) -> None:
    """The page cache outlives the process: what a power cut takes is another matter."""
    path, dice, said = tmp_path / "j.db", random.Random(11), 0
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", COMMITTING, path], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(dice.randrange(1, 120)):
                said = int(process.stdout.readline()) or said
            process.send_signal(signal.SIGKILL)
            said = max([said, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        view = JournalView(path)
        [row] = view.epochs()
        found = view.entries(row.epoch, 0, 1 << 20)
        view.close()
        assert [(entry.seq, entry.body) for entry in found] == [(seq, body_of(seq)) for seq in range(1, len(found) + 1)]
        assert said <= len(found) <= said + 7
    assert said > 100
