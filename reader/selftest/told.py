"""The checks of what the mat tells: whether it may, whether anybody hears it, whether race control has stored it.

None of them tells a split: one that is only tried would be a split to whoever hears it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from reader.clock import utc_ns_from_rfc3339
from reader.errors import BrokerRefused, BrokerUnreachable
from reader.messages import Check, Result
from reader.model import NS_PER_S
from reader.selftest.bench import Bench
from reader.uplink import wire
from reader.uplink.visit import NOBODY, Visit
from reader.wording import counted

SHIPPED = "firmware_config/race-control/mosquitto.acl"
TELLS_NOTHING = "MQTT 3.1.1 can't tell"
LATE_S = 60.0  # a collector acknowledges within seconds
# Words of the broker's part in the status, from uplink/backlog.py and uplink/publisher.py; held by a test.
REFUSES = "the broker refuses"
UNHEARD = "nobody is listening"


def access(bench: Bench, visit: Visit) -> Iterator[Check]:
    """Whether the mat may tell what it has to, and may not command."""
    yield _check_of_own(bench)
    mqtt = bench.config.mqtt
    has_account = mqtt.username is not None or mqtt.cert_file is not None
    yield _check_of_commanding(visit, "anybody with this account" if has_account else "anybody in this network")


def _check_of_own(bench: Bench) -> Check:
    """As the daemon was answered, and not by trying."""
    name = "broker-access:own"
    if bench.status is None:
        says = "whether the mat may tell its splits is known while it runs: no daemon does"
        return Check(name=name, result="skip", says=says)
    part = bench.status().parts.get("broker")
    if part is not None and REFUSES in part.says:
        do = f"username as id in [mat]; the broker's access list as {SHIPPED}"
        return Check(name=name, result="fail", says=part.says, do=do)
    return Check(name=name, result="pass", says="nothing that the mat has told was refused")


def _check_of_commanding(visit: Visit, who: str) -> Check:
    name = "broker-access:command"
    passed = Check(name=name, result="pass", says="this account may not command mats")
    try:
        answer = visit.command_nobody()
    except BrokerRefused:
        return passed  # some brokers say no by hanging up
    except BrokerUnreachable as error:
        if visit.version == "5":
            raise
        says = f"{TELLS_NOTHING}; asked to carry a command, the broker hung up ({error})"
        return Check(name=name, result="skip", says=says)
    if answer is not None and not answer.is_taken:
        return passed
    if answer is None or visit.version != "5":
        says = f"{TELLS_NOTHING} whether the access list lets this account command mats"
        return Check(name=name, result="skip", says=says if answer else f"{visit.where} has not answered in time")
    says = f"{who} may command mats: {visit.where} took a command (a ping to {NOBODY})"
    return Check(name=name, result="warn", says=says, do=f"Use the access list: {SHIPPED}; see the README, Security")


def listener(bench: Bench, visit: Visit) -> Iterator[Check]:
    """Whether anybody is: by the status, which is told once more, for nobody takes that for a split."""
    name = "broker-listener"
    if visit.version != "5":
        yield Check(name=name, result="skip", says=f"{TELLS_NOTHING} whether anybody is listening")
        return
    if bench.status is None:
        yield Check(name=name, result="skip", says="whether anybody is listening is known while the mat runs")
        return
    status = bench.status()
    part = status.parts.get("broker")
    do = "Start race control's program; entries are held until then, and nothing is lost"
    if part is not None and UNHEARD in part.says:
        yield Check(name=name, result="warn", says=part.says, do=do)
        return
    answer = visit.say_status(status)
    if answer is None or not answer.is_taken:
        says = f"not known: {visit.where} does not take the mat's status{f' ({answer.says})' if answer else ''}"
        yield Check(name=name, result="skip", says=says)
    elif not answer.has_listener:
        yield Check(name=name, result="warn", says="nobody is listening to this mat, not to its status either", do=do)
    else:
        says = "somebody is listening to this mat (to its status; of splits the first one tells)"
        yield Check(name=name, result="pass", says=says)


def collectors(bench: Bench, visit: Visit) -> Iterator[Check]:
    """When each has last acknowledged."""
    mqtt = bench.config.mqtt
    said = visit.acks(mqtt.collectors)
    for name in mqtt.collectors:
        yield _check_of_collector(bench, name, said.get(name))


def _check_of_collector(bench: Bench, collector: str, said: bytes | None) -> Check:
    name = f"collectors:{collector}"
    do = f"Start `timing-mat collect --name {collector}` at race control; until it acknowledges, no entry is delivered"
    if not said:
        result: Result = "warn" if bench.status is None else "fail"
        return Check(name=name, result=result, says=f"{collector} has acknowledged nothing of this mat", do=do)
    try:
        ack = msgspec.json.decode(said, type=wire.Ack)
        age_s = (bench.clock.now().utc_ns - utc_ns_from_rfc3339(ack.time)) / NS_PER_S
    except (msgspec.MsgspecError, ValueError) as error:
        return Check(name=name, result="fail", says=f"what it says is no acknowledgement: {error}", do=do)
    value = f"{age_s:.0f} s ago"
    if ack.box != bench.identity.box:
        says = f"{collector} has acknowledged what box {ack.box} told as this mat, and nothing of this box"
        return Check(name=name, result="warn", value=value, says=says, do=do)
    backlog = 0 if bench.status is None else bench.status().backlog
    if backlog and age_s > LATE_S:
        says = f"{collector} acknowledges no more, while {counted(backlog, 'entry')} of this mat wait for it"
        return Check(name=name, result="warn", value=value, says=says, do=do)
    return Check(name=name, result="pass", value=value, says=f"{collector} has acknowledged what this mat told")
