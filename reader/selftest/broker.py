"""The checks of the broker: the way to it, who the mat is to it, and whether anybody listens there.

They come as the mat's own account under another client id, so that the daemon's connection goes on as it was. What is
not there is looked for once: the checks that stand on it are then skipped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from reader.errors import BrokerError, BrokerUnreachable
from reader.messages import Check, Result
from reader.model import NS_PER_S
from reader.selftest.bench import Bench
from reader.selftest.plan import Plan
from reader.selftest.told import SHIPPED, TELLS_NOTHING, access, collectors, listener
from reader.uplink.visit import ANSWER_LIMIT_S, Trip, Visit
from reader.uplink.way import Certificate, certificate_of, reach
from reader.wording import counted

BROKER = "broker"  # in Bench.missing

REACH_WARN_MS = 1000
ROUND_TRIP_WARN_MS = 500
CERTIFICATE_WARN_DAYS = 14
DAY_NS = 86_400 * NS_PER_S

SECURITY = "See the table in the README, Security"

Look = Callable[[Bench, Visit], Iterator[Check]]
Seen = TypeVar("Seen")
Address = tuple[str, int]


# ---- below MQTT ------------------------------------------------------------------------------------------


def _reach(bench: Bench) -> Iterator[Check]:
    addresses = bench.config.mqtt.addresses

    def look(address: Address) -> float | BrokerError:
        began_ns = bench.clock.mono_ns()
        try:
            reach(*address).close()
        except BrokerUnreachable as error:
            return error
        return (bench.clock.mono_ns() - began_ns) * 1000 / NS_PER_S

    seen = _all_at_once(look, addresses)
    is_any_there = any(not isinstance(one, BrokerError) for one in seen)
    if not is_any_there:
        bench.missing[BROKER] = "no broker is reached"
    for address, one in zip(addresses, seen, strict=True):
        yield _check_of_reach(bench, _name("broker-reach", address, addresses), address, one, is_any_there)


def _check_of_reach(bench: Bench, name: str, address: Address, seen: float | BrokerError, is_any_there: bool) -> Check:
    limit = f"{REACH_WARN_MS} ms"
    if isinstance(seen, BrokerError):
        if not bench.config.given & {"mqtt.host", "mqtt.hosts", "mqtt.port"}:
            says = f"mat.toml names no broker, and on this box itself there is none ({seen})"
            return Check(name=name, result="warn", limit=limit, says=says, do="Name race control's as host in [mqtt]")
        result: Result = "warn" if is_any_there else "fail"
        others = "; another one is there" if is_any_there else ""
        do = "Look at the network, and at host and port in [mqtt]; timing goes on, and all is told when it is there"
        return Check(name=name, result=result, limit=limit, says=f"{seen}{others}", do=do)
    where = "{}:{}".format(*address)
    value = f"{seen:.0f} ms"
    if seen > REACH_WARN_MS:
        do = "Look at the network: its signal, and who else uses it"
        return Check(name=name, result="warn", value=value, limit=limit, says=f"the way to {where} is slow", do=do)
    return Check(name=name, result="pass", value=value, limit=limit, says=f"{where} takes a connection")


def _tls(bench: Bench) -> Iterator[Check]:
    mqtt = bench.config.mqtt
    if mqtt.ca_file is None and mqtt.cert_file is None:
        says = "no TLS: neither ca_file nor cert_file is set, so what is said can be read and changed on the way"
        yield Check(name="broker-tls", result="skip", says=says)
        return

    def look(address: Address) -> Certificate | BrokerError | None:
        try:
            sock = reach(*address)
        except BrokerUnreachable:
            return None
        try:
            return certificate_of(sock, address, mqtt)
        except BrokerError as error:
            return error
        finally:
            sock.close()

    for address, seen in zip(mqtt.addresses, _all_at_once(look, mqtt.addresses), strict=True):
        name, where = _name("broker-tls", address, mqtt.addresses), "{}:{}".format(*address)
        match seen:
            case BrokerError():
                yield Check(name=name, result="fail", says=str(seen), do=SECURITY)
            case Certificate():
                yield _check_of_certificate(name, where, seen, bench.clock.now().utc_ns)
            case None:
                yield Check(name=name, result="skip", says=f"{where} is not reached (broker-reach)")


def _check_of_certificate(name: str, where: str, seen: Certificate, now_utc_ns: int) -> Check:
    days = (seen.ends_utc_ns - now_utc_ns) // DAY_NS
    value, limit = counted(days, "day"), f"{CERTIFICATE_WARN_DAYS} days"
    whose = f"the certificate of {where}, for {', '.join(seen.names)},"
    if days < CERTIFICATE_WARN_DAYS:
        do = "Have a new one made before it ends: firmware_config/race-control/README.md, Certificates"
        return Check(name=name, result="warn", value=value, limit=limit, says=f"{whose} ends soon", do=do)
    return Check(name=name, result="pass", value=value, limit=limit, says=f"{whose} is good")


# ---- as the mat's own account ----------------------------------------------------------------------------


def _account(bench: Bench) -> Iterator[Check]:
    mqtt = bench.config.mqtt
    try:
        visit = Visit(mqtt, bench.identity, bench.clock)
    except BrokerError as error:
        bench.missing[BROKER] = "there is no connection to the broker (broker-account)"
        yield Check(name="broker-account", result="fail", says=str(error), do=SECURITY)
        return
    visit.close()
    if mqtt.username is None and mqtt.cert_file is None:
        says = f"no account: {visit.where} takes whoever comes, so anybody in this network can speak as this mat"
        yield Check(name="broker-account", result="skip", says=says)
        return
    who = f"as {mqtt.username}" if mqtt.username is not None else "by its certificate"
    yield Check(name="broker-account", result="pass", says=f"{visit.where} takes this mat {who}")


def _version(_bench: Bench, visit: Visit) -> Iterator[Check]:
    name, value = "broker-version", f"MQTT {visit.version}"
    if visit.version == "5":
        yield Check(name=name, result="pass", value=value, limit="MQTT 5", says=f"{visit.where} speaks MQTT 5")
        return
    says = f"{TELLS_NOTHING} this mat that nobody is listening, nor what the broker's access list refuses"
    do = 'Set version = "5" if the broker speaks it; else delivered_when = "control", so that race control acknowledges'
    yield Check(name=name, result="warn", value=value, limit="MQTT 5", says=says, do=do)


def _round_trip(bench: Bench, visit: Visit) -> Iterator[Check]:
    mqtt = bench.config.mqtt
    yield _check_of_trip(visit.round_trip(), visit.where, has_account=bool(mqtt.username or mqtt.cert_file))


def _check_of_trip(trip: Trip, where: str, *, has_account: bool) -> Check:
    name, limit = "broker-round-trip", f"{ROUND_TRIP_WARN_MS} ms"
    if trip.took_ms is not None:
        value = f"{trip.took_ms:.1f} ms"
        if trip.took_ms > ROUND_TRIP_WARN_MS:
            says, do = f"through {where} and back is slow", "Look at the network: its signal, and who else uses it"
            return Check(name=name, result="warn", value=value, limit=limit, says=says, do=do)
        return Check(name=name, result="pass", value=value, limit=limit, says=f"through {where} and back")
    is_refused = bool(trip.refused) or (trip.answer is not None and not trip.answer.is_taken)
    if is_refused or (trip.answer is not None and has_account):
        found = trip.refused or (trip.answer.says if trip.answer is not None else "")
        says = (
            f"not known: the access list of {where} does not let this mat hear itself{f' ({found})' if found else ''}"
        )
        do = f"Give mats `pattern readwrite timing/+/+/%u/selftest/+`, as in {SHIPPED}; timing does not need it"
        return Check(name=name, result="warn", limit=limit, says=says, do=do)
    did = "acknowledges a message and does not hand it on" if trip.answer else "does not acknowledge a message"
    do = "Look at the broker: its log, its disk, its load"
    return Check(name=name, result="fail", limit=limit, says=f"{where} {did}, within {ANSWER_LIMIT_S:g} s", do=do)


# ---- all of them -----------------------------------------------------------------------------------------


def _name(plan: str, address: Address, addresses: tuple[Address, ...]) -> str:
    return f"{plan}:{address[0]}:{address[1]}" if len(addresses) > 1 else plan


def _all_at_once(look: Callable[[Address], Seen], addresses: tuple[Address, ...]) -> list[Seen]:
    """What is seen at each of them; a cluster takes no longer than its slowest node."""
    with ThreadPoolExecutor(len(addresses)) as threads:
        return list(threads.map(look, addresses))


def _connected(plan: str, look: Look, bench: Bench) -> Iterator[Check]:
    """What is found on a connection of its own; skipped where there is none to be had."""
    try:
        visit = Visit(bench.config.mqtt, bench.identity, bench.clock)
    except BrokerError as error:
        bench.missing[BROKER] = f"there is no connection to the broker ({error})"
        yield Check(name=plan, result="skip", says=bench.missing[BROKER])
        return
    try:
        yield from look(bench, visit)
    finally:
        visit.close()


def _controlled(bench: Bench) -> Iterator[Check]:
    """Only where race control's word counts."""
    if bench.config.mqtt.delivered_when != "control":
        says = f"delivered_when is \"{bench.config.mqtt.delivered_when}\": the broker's word counts, no collector's"
        yield Check(name="collectors", result="skip", says=says)
        return
    yield from _connected("collectors", collectors, bench)


def _plan(name: str, says: str, look: Look) -> Plan:
    return Plan(name, says, functools.partial(_connected, name, look), needs=BROKER)


BROKER_PLANS = (
    Plan("broker-reach", "whether each broker's name is known and its port takes a connection", _reach),
    Plan("broker-tls", "the broker's certificate: whose it is, and for how long", _tls, needs=BROKER),
    Plan("broker-account", "whether the broker takes this mat's account", _account, needs=BROKER),
    _plan("broker-version", "which MQTT the broker speaks", _version),
    _plan("broker-round-trip", "how long a message takes through the broker and back", _round_trip),
    _plan("broker-access", "whether the mat may tell what it has to, and may not command", access),
    _plan("broker-listener", "whether anybody listens to this mat", listener),
    Plan("collectors", "when each collector has last acknowledged", _controlled, needs=BROKER),
)
