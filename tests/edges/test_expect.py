"""`timing-mat expect`: onto a broker, and into collect's database."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from reader.racecontrol.store import Store
from reader.racecontrol.wished import Wish
from reader.uplink import wire
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, message
from tests.waiting import free_port

PLACE = "timing/chicago-2023/finish"
SWEEP = "E28011700000000000000001"

Ask = Callable[..., subprocess.CompletedProcess[str]]


def expect(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, "expect", *map(str, arguments)], capture_output=True, text=True, timeout=30)


@pytest.fixture
def publish(mosquitto: Mosquitto) -> Ask:
    return lambda *arguments: expect("--port", mosquitto.port, "--event", "chicago-2023", *arguments)


def retained(mosquitto: Mosquitto, count: int = 1) -> dict[str, dict[str, object]]:
    """What stands on the `expect` topics now, by mat."""
    with Subscriber(mosquitto.port, f"{PLACE}/+/expect") as anew:
        found = anew.wait_for("/expect", count)
    assert all(one.is_retained for one in found)
    return {one.topic.split("/")[3]: message(one.payload) for one in found}


def test_it_is_published_retained_and_keeps_what_it_does_not_say(mosquitto: Mosquitto, publish: Ask) -> None:
    with Subscriber(mosquitto.port, "none") as mat:
        mat.say(f"{PLACE}/finish-main/link", b'{"link":"online","box":"b17","connection":"c"}', retain=True)
        mat.say(f"{PLACE}/finish-backup/status", b"{}", retain=True)
    first = publish(
        "finish", "--count", 3, "--arm-sweep", SWEEP.lower(), "--last-runner-at", "2026-03-07T10:10:00-06:00"
    )
    assert (first.returncode, first.stderr) == (0, "")
    assert f"published on {PLACE}/finish-main/expect" in first.stdout
    said = retained(mosquitto, 2)
    assert said.keys() == {"finish-main", "finish-backup"}
    for one in said.values():
        assert one["sweep_armed"] == [SWEEP]
        assert (one["count"], one["last_runner_at"]) == (3, "2026-03-07T16:10:00.000000Z")
    # Another count, of one mat; the rest stays. The chips were those of the count before.
    with Subscriber(mosquitto.port, "none") as collect:
        before = said["finish-main"] | {"chips": ["05A0"], "further": True}
        collect.say(f"{PLACE}/finish-main/expect", json.dumps(before).encode(), retain=True)
    publish("finish", "--mat", "finish-main", "--disarm")
    assert retained(mosquitto, 2)["finish-main"]["chips"] == ["05A0"]
    publish("finish", "--mat", "finish-main", "--count", 0)
    said = retained(mosquitto, 2)
    assert (
        said["finish-main"].items()
        >= {"count": 0, "sweep_armed": [], "last_runner_at": before["last_runner_at"]}.items()
    )
    assert "chips" not in said["finish-main"]
    assert said["finish-backup"]["count"] == 3


def test_a_mat_that_nobody_has_heard_of_must_be_named(mosquitto: Mosquitto, publish: Ask) -> None:
    refused = publish("finish", "--count", 3)
    assert refused.returncode == 2
    assert "chicago-2023/finish: no mat has ever said a word there; expected --mat" in refused.stderr
    refused = publish("finish", "--mat", "finish-main", "--disarm")
    assert refused.returncode == 2
    assert "finish/finish-main: nothing is known of who is still to come; expected --count too" in refused.stderr
    assert publish("finish", "--mat", "finish-main", "--disarm", "--count", 3).returncode == 0
    decoded = wire.decode(f"{PLACE}/finish-main/expect", json.dumps(retained(mosquitto)["finish-main"]).encode())
    assert isinstance(decoded, wire.Expect)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("finish",), "nothing to say: expected one of --count, --arm-sweep, --last-runner-at, --waive, --unwaive"),
        (("finish", "--count", -1), '--count: found "-1", expected a number of runners, 0 to 1000000'),
        (("finish", "--arm-sweep", "0A", "--arm-sweep", "xy"), '--arm-sweep: found "0A XY", expected at most 16 chips'),
        (("finish", "--last-runner-at", "16:10"), '--last-runner-at: found "16:10", expected a time with its zone'),
        (("finish", "--last-runner-at", "2026-03-07T16:10"), "expected a time with its zone"),
        (("finish", "--waive", "a\nb"), '--waive: found "a\nb", expected bibs or chips'),
        (("finish", "--disarm", "--arm-sweep", "0A"), "--disarm: found beside --arm-sweep"),
        (("finish", "--computed", "--count", 3), "--computed: found beside --count"),
        (("finish", "--count", 3, "--by", "x" * 201), "expected a line of text, at most 200 characters"),
        (("Finish", "--count", 3), 'point: found "Finish", expected lower-case letters'),
        (("finish", "--count", 3, "--event", "a/b"), '--event: found "a/b", expected lower-case letters'),
        (("finish", "--count", 3), "expected --db, collect's database; or a point and --event"),
        (("--event", "e", "--count", 3), "expected --db, collect's database; or a point and --event"),
        (("finish", "--event", "e", "--waive", "17"), "only collect can tell; expected --db"),
        (("finish", "--event", "e", "--count", 3, "--password-file", "x"), "--password-file: found without --username"),
    ],
)
def test_what_is_typed_wrong_is_said(arguments: tuple[object, ...], says: str) -> None:
    refused = expect(*arguments)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_broker_that_is_not_there_is_exit_6() -> None:
    refused = expect("finish", "--event", "e", "--count", 3, "--port", free_port())
    assert refused.returncode == 6
    assert "Connection refused" in refused.stderr


def test_a_broker_that_does_not_let_us_is_told(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read #\n")
    with Mosquitto(extra=f"\nacl_file {tmp_path}/acl\n") as mosquitto:
        refused = expect("finish", "--event", "e", "--mat", "m", "--count", 3, "--port", mosquitto.port)
    assert refused.returncode == 6
    assert "refuses timing/e/finish/m/expect: Not authorized" in refused.stderr


def test_into_the_database_of_collect(tmp_path: Path) -> None:
    path = tmp_path / "race.db"
    refused = expect("finish", "--db", path, "--disarm")
    assert refused.returncode == 5
    assert "there is no database here" in refused.stderr
    store = Store(path, "chicago-2023")
    try:
        done = expect("finish", "--db", path, "--mat", "finish-main", "--arm-sweep", SWEEP, "--count", 3, "--by", "Ann")
        assert (done.returncode, done.stderr) == (0, "")
        assert "no collect has published it yet" in done.stdout
        assert expect("--db", path, "--waive", "17", "--computed").returncode == 0
        first, second = store.wishes()
    finally:
        store.close()
    assert (first.point, first.mat) == ("finish", "finish-main")
    assert msgspec.json.decode(first.body, type=Wish) == Wish(count=3, sweep_armed=(SWEEP,), by="Ann")
    assert (second.point, second.mat) == ("", None)
    computed = Wish(count=None, last_runner_at=None, waive=("17",), by="expect")
    assert msgspec.json.decode(second.body, type=Wish) == computed
    with closing(sqlite3.connect(path)) as anew:
        assert anew.execute("SELECT count(*) FROM wish").fetchone() == (2,)
