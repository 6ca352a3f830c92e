"""A mat as far as the broker sees it, written from WIRE.md alone: a log, and answers to `rewind` out of it."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

START = datetime.datetime(2026, 3, 7, 13, 0, 0, tzinfo=datetime.UTC)
PAGE = 500

Message = dict[str, Any]
Answer = Callable[[Message], list[Message]]


def rfc3339(after_s: float) -> str:
    """So long after the start of the race."""
    moment = START + datetime.timedelta(seconds=after_s)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Log:
    """The log of one mat: ``entries`` by seq, as whole messages."""

    def __init__(
        self,
        point: str = "finish",
        mat: str = "finish-main",
        *,
        event: str = "chicago-2023",
        box: str = "b17",
        epoch: str = "e1",
        role: str = "main",
    ) -> None:
        self.entries: dict[int, Message] = {}
        self.point = point
        self.mat = mat
        self.event = event
        self.box = box
        self.epoch = epoch
        self.role = role

    @property
    def last_seq(self) -> int:
        return len(self.entries)

    def split(self, passing: int, at_s: float = 0.0, *, rev: int = 1, **changes: object) -> Message:
        """A split as the next entry; the chip and bib follow ``passing`` unless they are changed."""
        time = rfc3339(at_s)
        said = {
            "passing": f"{self.epoch}-{passing}",
            "rev": rev,
            "chip": f"{passing:08X}",
            "pick": "best",
            "use": "finish",
            "first": time,
            "best": time,
            "last": time,
            "time_error_ms": 140.2,
            "spread_ms": 138.0,
            "reader_error_ms": 0.0,
            "nth": 1,
            "reads": 12,
            "rssi_dbm": -50,
            "line": "main",
            "reader": "main",
            "antenna": 1,
            "time_from": "host",
            "lingering": False,
            "left": False,
            "loiter": False,
            "after_restart": False,
        }
        if rev > 1:
            said["revised_for"] = "stronger"
        return self.entry("split", at_s, **said | changes)

    def entry(self, kind: str, at_s: float = 0.0, **body: object) -> Message:
        """Anything as the next entry."""
        seq = len(self.entries) + 1
        message = {
            "v": 1,
            "type": kind,
            "epoch": self.epoch,
            "seq": seq,
            "event": self.event,
            "point": self.point,
            "mat": self.mat,
            "box": self.box,
            "mode": "race",
            "role": self.role,
            "time": rfc3339(at_s),
            "boot": "b0",
            "clock": {"synced": True, "source": "ntp", "error_ms": 2.5},
            **body,
        }
        self.entries[seq] = {key: value for key, value in message.items() if value is not None}
        return self.entries[seq]

    def status(self, **changes: object) -> Message:
        """As much of a status as says where the log ends."""
        said = {"time": rfc3339(0), "every_s": 10, "box": self.box, "label": "B17", "mode": "race", "recording": True}
        return said | {"epoch": self.epoch, "last_seq": self.last_seq, "backlog": 0} | changes

    def rewound(self, command: Message) -> list[Message]:
        """The replies to a `rewind`, whole and in order."""
        if command["epoch"] != self.epoch:
            return [refusal(command, f"no journal of this box has {command['epoch']}")]
        wanted = range(command["from_seq"], command["through_seq"] + 1)
        found = [self.entries[seq] for seq in wanted if seq in self.entries]
        pages = [found[at : at + PAGE] for at in range(0, len(found), PAGE)] or [[]]
        answer = {"id": command["id"], "ok": True, "pages": len(pages)}
        return [answer | {"page": number, "entries": page} for number, page in enumerate(pages, 1)]


def refusal(command: Message, says: str) -> Message:
    return {"id": command["id"], "ok": False, "error": says}


class FakeMat:
    """A log on the wire. ``answer``: what to reply to a command; ``asked``: the commands that came."""

    def __init__(self, port: int, log: Log, answer: Answer | None = None) -> None:
        self.log = log
        self.asked: list[Message] = []
        self.answer = answer or log.rewound
        self.topic = f"timing/{log.event}/{log.point}/{log.mat}"
        self._port = port
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type] # it says int and only adds
        self._client.max_queued_messages_set(0)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{self.topic}/cmd", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take

    def __enter__(self) -> FakeMat:
        self._client.connect("127.0.0.1", self._port, keepalive=5)
        self._client.loop_start()
        assert self._subscribed.wait(10)
        self.say("link", {"link": "online", "box": self.log.box, "connection": "c1"}, retain=True)
        self.say("status", self.log.status(), retain=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        if (left_open := self._client.socket()) is not None:
            left_open.close()

    def say(self, what: str, message: Message, *, retain: bool = False, wait: bool = True) -> None:
        """Publish on one of its topics."""
        info = self._client.publish(f"{self.topic}/{what}", json.dumps(message).encode(), 1, retain)
        if wait:
            info.wait_for_publish(10)

    def tell(self, *messages: Message) -> None:
        """Entries, each on its topic, in this order; the broker has them all when this returns."""
        for message in messages[:-1]:
            self.say(message["type"], message, wait=False)
        for message in messages[-1:]:
            self.say(message["type"], message)

    def status(self) -> None:
        """How it is by now."""
        self.say("status", self.log.status(), retain=True)

    def _take(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        command = json.loads(message.payload)
        self.asked.append(command)
        for reply in self.answer(command):
            self.say("reply", reply, wait=False)


def dropping(messages: Iterator[Message], one_in: int) -> Iterator[Message]:
    """All but every so manieth."""
    return (message for number, message in enumerate(messages, 1) if number % one_in)
