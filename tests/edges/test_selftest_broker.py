"""The self-test's checks of the broker, each made to pass, warn, fail and skip: against real brokers where one can."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from reader.clock import Clock, SystemClock, rfc3339_from_utc_ns
from reader.config import MqttSettings, loads
from reader.errors import BrokerError, BrokerRefused, BrokerUnreachable
from reader.links import Links
from reader.messages import Check, Part, Status
from reader.model import NS_PER_S, ClockQuality, Instant
from reader.selftest import broker as broker_module
from reader.selftest.bench import Bench
from reader.selftest.broker import BROKER_PLANS, DAY_NS
from reader.selftest.runner import Found, examine
from reader.uplink import visit as visit_module
from reader.uplink import wire
from reader.uplink.visit import NOBODY, Visit, publish_selftest
from tests.broker import Mosquitto, Subscriber
from tests.fakes.broker import FakeBroker
from tests.fakes.log import FINISH
from tests.fakes.names import dead_name_servers
from tests.fakes.status import WELL
from tests.secured import SecuredMosquitto, issue_to_broker, make_authority
from tests.waiting import free_port

MAT = FINISH.mat
OURS = f"timing/{FINISH.event}/{FINISH.point}/{MAT}"
PLAIN_PLANS = ("broker-version", "broker-round-trip", "broker-access", "broker-listener")
CONFIG = loads(
    f'[mat]\nevent = "{FINISH.event}"\npoint = "{FINISH.point}"\nid = "{MAT}"\n'
    '[[reader]]\nprotocol = "ipico"\nport = "/dev/null"\n[mqtt]\nhost = "127.0.0.1"\n',
    "mat.toml",
)


class SlowClock:
    """Every look at it takes a while, as a bad network does. ``late_ns``: how much later it is in truth."""

    def __init__(self, step_ns: int = 0, late_ns: int = 0) -> None:
        self.boot = "boot"
        self._clock, self._step_ns, self._late_ns = SystemClock(), step_ns, late_ns

    def now(self) -> Instant:
        now = self._clock.now()
        return Instant(now.utc_ns + self._late_ns, now.mono_ns + self._late_ns)

    def mono_ns(self) -> int:
        self._late_ns += self._step_ns
        return self._clock.mono_ns() + self._late_ns

    def quality(self) -> ClockQuality:
        return self._clock.quality()


def bench(
    mqtt: MqttSettings,
    *,
    broker_says: str | None = None,
    clock: Clock | None = None,
    backlog: int = 0,
    **config: object,
) -> Bench:
    """``broker_says``: what the status of the daemon says of it; None: no daemon runs."""
    return Bench(
        config=msgspec.structs.replace(CONFIG, mqtt=mqtt, **config),
        clock=clock or SystemClock(),
        identity=FINISH,
        mode=None if broker_says is None else "race",
        links=cast(Links, None),
        status=None if broker_says is None else lambda: status(broker_says, backlog),
        lights=None,
        is_allowed=False,
        seen={},
        chip_wait_s=1.0,
    )


def status(broker_says: str, backlog: int) -> Status:
    return msgspec.structs.replace(
        WELL,
        time=rfc3339_from_utc_ns(SystemClock().now().utc_ns),
        box=FINISH.box,
        parts={"broker": Part("ok", broker_says)},
        epoch="f236e001aab5b600",
        last_seq=1,
        delivered_seq=1,
        backlog=backlog,
    )


def at(broker: Mosquitto | FakeBroker, **settings: object) -> MqttSettings:
    return msgspec.structs.replace(MqttSettings(host="127.0.0.1", port=broker.port), **settings)


def found(name: str, before: Bench) -> list[Check]:
    """What that plan finds; that it ends in time is held too."""
    began_s = time.monotonic()
    (plan,) = [plan for plan in BROKER_PLANS if plan.name == name]
    checks = [told.check for told in examine([plan], before) if isinstance(told, Found)]
    assert time.monotonic() - began_s < 12
    assert checks
    assert all(check.name == name or check.name.startswith(f"{name}:") for check in checks)
    return checks


def one(name: str, before: Bench) -> Check:
    (check,) = found(name, before)
    return check


def retained(port: int, topic: str) -> list[bytes]:
    """What somebody finds there who comes later."""
    with Subscriber(port, topic, "end") as late:
        late.say("end", b"")
        late.wait_for("end")
        return [message.payload for message in late.on(topic)]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is so slow as to need what a bad network does."""
    monkeypatch.setattr(visit_module, "ANSWER_LIMIT_S", 1.0)
    monkeypatch.setattr(broker_module, "ANSWER_LIMIT_S", 1.0)
    monkeypatch.setattr(visit_module, "RETAINED_LIMIT_S", 0.5)


@pytest.fixture(scope="module")
def plain() -> Iterator[Mosquitto]:
    with Mosquitto() as broker:
        yield broker


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Race control's certificates, the broker's good for 30 days."""
    folder = tmp_path_factory.mktemp("race")
    make_authority(folder)
    issue_to_broker(folder, "IP:127.0.0.1", days=30)
    return folder


@pytest.fixture(scope="module")
def secured(folder: Path) -> Iterator[SecuredMosquitto]:
    with SecuredMosquitto(folder) as broker:
        yield broker


# ---- the way to it ---------------------------------------------------------------------------------------


def test_a_broker_that_is_there_is_reached(plain: Mosquitto) -> None:
    check = one("broker-reach", bench(at(plain)))
    assert (check.result, check.limit) == ("pass", "1000 ms")
    assert check.value.endswith(" ms")


def test_a_slow_way_is_a_warning(plain: Mosquitto) -> None:
    check = one("broker-reach", bench(at(plain), clock=SlowClock(step_ns=2 * NS_PER_S)))
    assert (check.result, check.value) == ("warn", "2000 ms")


def test_where_nothing_listens_all_that_stands_on_it_is_skipped() -> None:
    before = bench(MqttSettings(port=free_port()))
    check = one("broker-reach", before)
    assert check.result == "fail"
    assert "is a broker running there" in check.says
    for name in ("broker-account", *PLAIN_PLANS):
        assert (one(name, before).result, one(name, before).says) == ("skip", "no broker is reached")


def test_a_file_that_names_no_broker_is_a_warning() -> None:
    check = one("broker-reach", bench(MqttSettings(port=free_port()), given=frozenset({"mat.id"})))
    assert check.result == "warn"
    assert "names no broker" in check.says


def test_of_a_cluster_one_that_is_gone_is_a_warning(plain: Mosquitto) -> None:
    gone = free_port()
    mqtt = MqttSettings(hosts=(f"127.0.0.1:{gone}", f"127.0.0.1:{plain.port}"))
    before = bench(mqtt)
    checks = found("broker-reach", before)
    assert {check.name: check.result for check in checks} == {
        f"broker-reach:127.0.0.1:{gone}": "warn",
        f"broker-reach:127.0.0.1:{plain.port}": "pass",
    }
    assert one("broker-version", before).result == "pass"


def test_a_name_that_no_server_answers_for_costs_three_seconds_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench(MqttSettings(hosts=("rc1:1883", "rc2:1883")))
    began_s = time.monotonic()
    with dead_name_servers(monkeypatch) as asked:
        checks = found("broker-reach", before)
        assert 2.9 < time.monotonic() - began_s < 5  # both at once
    assert sorted(asked) == ["rc1", "rc2"]
    for check in checks:
        assert check.result == "fail"
        assert "no name server has answered within 3 s; look at that name, and at the network" in check.says


def test_a_name_that_there_is_not_is_told() -> None:
    check = one("broker-reach", bench(MqttSettings(host="no-such-name.invalid")))
    assert check.result == "fail"
    assert "look at that name" in check.says


# ---- TLS -------------------------------------------------------------------------------------------------


def test_a_certificate_that_lasts_is_good(secured: SecuredMosquitto) -> None:
    check = one("broker-tls", bench(secured.account(MAT)))
    assert (check.result, check.value, check.limit) == ("pass", "29 days", "14 days")
    assert "for 127.0.0.1" in check.says


def test_a_certificate_that_soon_ends_is_a_warning(secured: SecuredMosquitto) -> None:
    check = one("broker-tls", bench(secured.account(MAT), clock=SlowClock(late_ns=20 * DAY_NS)))
    assert (check.result, check.value) == ("warn", "9 days")


def test_a_certificate_that_has_expired_fails(tmp_path: Path) -> None:
    make_authority(tmp_path)
    issue_to_broker(tmp_path, "IP:127.0.0.1", days=-1)
    with SecuredMosquitto(tmp_path) as expired:
        before = bench(expired.account(MAT))
        check = one("broker-tls", before)
        assert check.result == "fail"
        assert "its certificate has expired by this box's clock" in check.says
        assert one("broker-account", before).result == "fail"
        assert one("broker-version", before).result == "skip"


def test_a_certificate_for_another_name_or_of_nobody_we_know_fails(secured: SecuredMosquitto, tmp_path: Path) -> None:
    account = secured.account(MAT)
    check = one("broker-tls", bench(msgspec.structs.replace(account, host="localhost")))
    assert (check.result, "for another name" in check.says) == ("fail", True)
    make_authority(tmp_path)
    check = one("broker-tls", bench(msgspec.structs.replace(account, ca_file=tmp_path / "ca.pem")))
    assert (check.result, "is not of the authority in ca_file" in check.says) == ("fail", True)


def test_what_speaks_no_tls_fails(plain: Mosquitto, folder: Path) -> None:
    assert one("broker-tls", bench(at(plain, ca_file=folder / "ca.pem"))).result == "fail"


def test_without_tls_or_without_a_way_the_certificate_is_skipped(plain: Mosquitto, folder: Path) -> None:
    check = one("broker-tls", bench(at(plain)))
    assert check.result == "skip"
    assert "can be read and changed on the way" in check.says
    nowhere = bench(MqttSettings(port=free_port(), ca_file=folder / "ca.pem"))
    assert "is not reached" in one("broker-tls", nowhere).says
    one("broker-reach", nowhere)
    assert one("broker-tls", nowhere).says == "no broker is reached"


# ---- the account, and MQTT -------------------------------------------------------------------------------


def test_an_account_is_taken(secured: SecuredMosquitto) -> None:
    check = one("broker-account", bench(secured.account(MAT)))
    assert (check.result, f"as {MAT}" in check.says) == ("pass", True)


def test_a_wrong_password_fails_and_the_rest_is_skipped(secured: SecuredMosquitto, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("wrong-horse")
    before = bench(msgspec.structs.replace(secured.account(MAT), password_file=wrong))
    check = one("broker-account", before)
    assert check.result == "fail"
    assert "check username and password_file" in check.says
    assert "wrong-horse" not in str(check)
    assert {one(name, before).result for name in PLAIN_PLANS} == {"skip"}


def test_without_an_account_there_is_none_to_look_at(plain: Mosquitto) -> None:
    check = one("broker-account", bench(at(plain)))
    assert check.result == "skip"
    assert "anybody in this network can speak as this mat" in check.says


def test_mqtt_5_passes_and_3_1_1_is_a_warning(plain: Mosquitto) -> None:
    assert one("broker-version", bench(at(plain))).value == "MQTT 5"
    check = one("broker-version", bench(at(plain, version="3.1.1")))
    assert (check.result, check.value) == ("warn", "MQTT 3.1.1")
    with FakeBroker(connack={4: bytes.fromhex("20 02 00 00"), 5: bytes.fromhex("20 03 00 84 00")}) as old:
        assert one("broker-version", bench(at(old))).result == "warn"


# ---- there and back --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_round_trip_is_measured_and_disturbs_nothing(plain: Mosquitto, version: str) -> None:
    with Subscriber(plain.port, "timing/+/+/+/+", "timing/+/+/+/selftest/#") as everybody:
        check = one("broker-round-trip", bench(at(plain, version=version)))
        assert check.result == "pass"
        assert 0 < float(check.value.removesuffix(" ms")) < 500
        (heard,) = everybody.wait_for("")
        assert heard.topic.startswith(f"{OURS}/selftest/")
    assert retained(plain.port, heard.topic) == []


def test_a_slow_round_trip_is_a_warning(plain: Mosquitto) -> None:
    check = one("broker-round-trip", bench(at(plain), clock=SlowClock(step_ns=NS_PER_S // 3)))
    assert check.result == "warn"


def test_a_broker_that_hands_nothing_back_fails() -> None:
    with FakeBroker() as fake:
        check = one("broker-round-trip", bench(at(fake)))
        assert check.result == "fail"
        assert "does not hand it on, within 1 s" in check.says
    with FakeBroker(puback=lambda _published: None) as fake:
        assert "does not acknowledge" in one("broker-round-trip", bench(at(fake))).says


def test_the_shipped_access_list_lets_it_be_made(secured: SecuredMosquitto) -> None:
    assert one("broker-round-trip", bench(secured.account(MAT))).result == "pass"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("lines", ["", "pattern write timing/+/+/%u/selftest/+"])
def test_a_foreign_access_list_is_a_warning_in_words(tmp_path: Path, version: str, lines: str) -> None:
    with listed(tmp_path, f"pattern write timing/+/+/%u/split\n{lines}") as broker:
        check = one("broker-round-trip", bench(at(broker, username=MAT, version=version)))
    assert check.result == "warn"
    assert "the access list of" in check.says
    assert "pattern readwrite timing/+/+/%u/selftest/+" in check.do


def test_a_broker_that_refuses_the_subscription_is_a_warning_too() -> None:
    with FakeBroker(suback=lambda _topic: 0x87) as fake:
        check = one("broker-round-trip", bench(at(fake)))
    assert check.result == "warn"
    assert "refuses to let us hear" in check.says


def listed(folder: Path, access_list: str) -> Mosquitto:
    (folder / "acl").write_text(f"{access_list}\n")
    (folder / "acl").chmod(0o600)
    return Mosquitto(extra=f"acl_file {folder}/acl\n")


# ---- what it may say -------------------------------------------------------------------------------------


def test_the_shipped_access_list_lets_no_mat_command(secured: SecuredMosquitto) -> None:
    checks = found("broker-access", bench(secured.account(MAT), broker_says="connected"))
    assert {check.name: check.result for check in checks} == {
        "broker-access:own": "pass",
        "broker-access:command": "pass",
    }


def test_who_may_command_is_warned_of_and_nobody_was_commanded(plain: Mosquitto) -> None:
    with Subscriber(plain.port, "timing/+/+/+/cmd") as everybody:
        own, command = found("broker-access", bench(at(plain)))
        (heard,) = everybody.wait_for("/cmd")
    assert (own.result, command.result) == ("skip", "warn")
    assert "anybody in this network may command mats" in command.says
    assert f"/{NOBODY}/" in heard.topic
    assert retained(plain.port, heard.topic) == []
    assert msgspec.json.decode(heard.payload)["do"] == "ping"


def test_what_mqtt_3_1_1_can_not_tell_is_skipped(secured: SecuredMosquitto) -> None:
    _, command = found("broker-access", bench(msgspec.structs.replace(secured.account(MAT), version="3.1.1")))
    assert command.result == "skip"
    assert "MQTT 3.1.1 can't tell" in command.says


@pytest.mark.parametrize(("version", "result"), [("5", "pass"), ("3.1.1", "skip")])
def test_a_broker_that_hangs_up_on_who_commands(version: str, result: str) -> None:
    # MQTT 5: DISCONNECT, not authorized; MQTT 3.1.1 knows no such word, and PUBLISH with a length beyond it ends it.
    ends = bytes.fromhex("e0 02 87 00") if version == "5" else bytes.fromhex("40 ff ff ff ff ff")
    with FakeBroker(instead=lambda published: ends if published.topic.endswith("/cmd") else None) as fake:
        _, command = found("broker-access", bench(at(fake, version=version)))
    assert command.result == result


def test_what_the_daemon_was_refused_fails(plain: Mosquitto) -> None:
    own, _ = found("broker-access", bench(at(plain), broker_says="the broker refuses split 7: Not authorized"))
    assert own.result == "fail"
    assert "split 7" in own.says


# ---- who hears it ----------------------------------------------------------------------------------------


def test_somebody_who_listens_is_found_without_telling_a_split(plain: Mosquitto) -> None:
    with Subscriber(plain.port, "timing/+/+/+/status", "timing/+/+/+/split") as listener:
        assert one("broker-listener", bench(at(plain), broker_says="connected")).result == "pass"
        (heard,) = listener.wait_for("/status")
    assert retained(plain.port, heard.topic) == []
    assert isinstance(wire.decode(heard.topic, heard.payload), Status)


@pytest.mark.parametrize("says", ["connected", "nobody is listening for the splits of chicago-2023/finish/finish-main"])
def test_that_nobody_listens_is_a_warning(plain: Mosquitto, says: str) -> None:
    check = one("broker-listener", bench(at(plain), broker_says=says))
    assert (check.result, "nobody is listening" in check.says) == ("warn", True)


def test_whether_anybody_listens_is_not_always_known(plain: Mosquitto) -> None:
    assert "while the mat runs" in one("broker-listener", bench(at(plain))).says
    check = one("broker-listener", bench(at(plain, version="3.1.1"), broker_says="connected"))
    assert (check.result, "MQTT 3.1.1 can't tell" in check.says) == ("skip", True)
    with FakeBroker(puback=lambda _published: 0x87) as fake:
        check = one("broker-listener", bench(at(fake), broker_says="connected"))
    assert (check.result, "does not take the mat's status" in check.says) == ("skip", True)


# ---- what race control has stored ------------------------------------------------------------------------


def ack(box: str = FINISH.box, ago_s: int = 0) -> bytes:
    then = rfc3339_from_utc_ns(SystemClock().now().utc_ns - ago_s * NS_PER_S)
    return msgspec.json.encode({"box": box, "acks": {"f236e001aab5b600": 1}, "time": then})


@pytest.mark.parametrize(
    ("said", "daemon", "backlog", "result", "says"),
    [
        (lambda: ack(ago_s=3700), "connected", 0, "pass", "has acknowledged what this mat told"),
        (lambda: ack(ago_s=5), "connected", 9, "pass", "has acknowledged what this mat told"),
        (lambda: ack(ago_s=90), "connected", 9, "warn", "acknowledges no more, while 9 entries"),
        (lambda: ack("another"), "connected", 0, "warn", "what box another told"),
        (lambda: b"", "connected", 0, "fail", "has acknowledged nothing"),
        (lambda: b"", None, 0, "warn", "has acknowledged nothing"),
        (lambda: b'{"box": 1}', "connected", 0, "fail", "is no acknowledgement"),
        (lambda: b"\xff", "connected", 0, "fail", "is no acknowledgement"),
        (lambda: ack().replace(b'"time":"', b'"time":"at '), "connected", 0, "fail", "is no acknowledgement"),
    ],
)
def test_each_collector_is_asked_for_its_last_word(
    plain: Mosquitto, said: Callable[[], bytes], daemon: str | None, backlog: int, result: str, says: str
) -> None:
    mqtt = at(plain, delivered_when="control", collectors=("rc1", "rc2"))
    with Subscriber(plain.port, "none") as control:
        control.say(f"{OURS}/ack/rc1", said(), retain=True)
        control.say(f"{OURS}/ack/rc2", ack(), retain=True)
    first, second = found("collectors", bench(mqtt, broker_says=daemon, backlog=backlog))
    assert (first.name, first.result) == ("collectors:rc1", result)
    assert says in first.says
    assert (second.name, second.result) == ("collectors:rc2", "pass")


def test_collectors_are_skipped_where_their_word_does_not_count(plain: Mosquitto) -> None:
    check = one("collectors", bench(at(plain)))
    assert (check.result, "the broker's word counts" in check.says) == ("skip", True)
    nowhere = bench(MqttSettings(port=free_port(), delivered_when="control", collectors=("rc1",)))
    assert one("collectors", nowhere).result == "skip"


# ---- a visit ---------------------------------------------------------------------------------------------


def test_every_step_ends_where_a_broker_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeBroker(connack={4: None, 5: None}) as silent:
        before = bench(at(silent))
        check = one("broker-account", before)
        assert check.result == "fail"
        assert {one(name, before).result for name in PLAIN_PLANS} == {"skip"}
    with FakeBroker() as fake:
        visit = Visit(at(fake), FINISH, SystemClock())
        fake.drop()
        with pytest.raises(BrokerError):
            visit.round_trip()
        visit.close()


def test_it_is_another_client_than_the_daemon(plain: Mosquitto) -> None:
    Visit(at(plain), FINISH, SystemClock()).close()
    assert f" as b17-chicago-2023-finish-{MAT}-selftest " in plain.log


def test_a_report_is_published_retained_or_it_is_told_why_not(
    secured: SecuredMosquitto, plain: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_selftest(secured.account(MAT), FINISH, SystemClock(), b'{"verdict": "pass"}')
    publish_selftest(at(plain), FINISH, SystemClock(), b'{"verdict": "pass"}')
    with Subscriber(plain.port, "timing/+/+/+/selftest") as listener:
        (heard,) = listener.wait_for("/selftest")
    assert (heard.topic, heard.is_retained) == (f"{OURS}/selftest", True)
    with pytest.raises(BrokerRefused, match="refuses the report: Not authorized"):
        publish_selftest(secured.account("05k-main"), FINISH, SystemClock(), b"{}")
    monkeypatch.setattr(visit_module, "ANSWER_LIMIT_S", 0.2)
    with FakeBroker(puback=lambda _published: None) as fake, pytest.raises(BrokerUnreachable, match="not acknowledged"):
        publish_selftest(at(fake), FINISH, SystemClock(), b"{}")
