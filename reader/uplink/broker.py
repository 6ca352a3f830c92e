"""One connection to an MQTT broker at a time; the only importer of paho.

paho is run through its external-loop interface in the caller's own thread: no thread of paho's, no locks
between threads, and an exception surfaces where the caller sees it instead of killing a hidden thread. A
:class:`Connection` lives from CONNECT to its end and is then thrown away with paho's memory of it, so that
nothing is ever sent again behind the caller's back: what is undelivered, the journal knows.

What paho does not do, and is done here: the CONNACK's Receive Maximum is kept (mosquitto grants 20), a
PUBACK with a failure code is no acknowledgement, TCP_NODELAY, the return codes of ``publish``, a limit on
silence after CONNECT and on missing acknowledgements, the fall from MQTT 5 to 3.1.1. Over 300 lines
because whatever touches paho stands here.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple, cast

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from reader.clock import Clock
from reader.config import MqttSettings
from reader.errors import BrokerError, BrokerRefused, BrokerUnreachable
from reader.model import NS_PER_S
from reader.uplink.account import password, words
from reader.uplink.gathering import GatheringSocket
from reader.uplink.tls import tls_context, tls_trouble
from reader.uplink.way import STEP_LIMIT_S, open_tcp, remedy

KEEPALIVE_S = 10  # a half-open link is found after twice this
CONNACK_LIMIT_S = 5.0
CONNACK_5_LIMIT_S = 2.0  # an MQTT 3.1.1 broker may wait for ever for the rest of a CONNECT it misreads (amqtt does)
CONNACK_311_LIMIT_S = CONNACK_LIMIT_S - CONNACK_5_LIMIT_S  # tried after that: the next of several waits no longer
STUCK_LIMIT_S = 20.0  # connected, something outstanding, and no PUBACK for so long
SUBSCRIBE_AGAIN_S = 5.0  # to what was refused: a cluster that has just lost a node refuses for a while, a list for ever
WINDOW = 100  # QoS 1 messages on their way at once, at most
MISC_EVERY_NS = NS_PER_S // 2

Version = Literal["5", "3.1.1"]
NO_MATCHING_SUBSCRIBERS = 0x10
UNSUPPORTED_VERSION = 0x84
NOT_AUTHORIZED = 0x87
BAD_ACCOUNT = (0x86, NOT_AUTHORIZED)  # 0x86: bad user name or password
ACCESS = "; look at username, and at the broker's access list: a mat's account speaks only for the mat of its name"
PROTOCOL_ERROR = 0x82  # paho says so of bytes that it can make nothing of
KEEPALIVE_TIMEOUT = 0x8D  # paho says so of a ping that was not answered, a broker of a client it no longer heard
PASSING_REASONS = (0x88, 0x89, 0x8B, KEEPALIVE_TIMEOUT)  # unavailable, busy, shutting down: not a refusal of us


class Outgoing(NamedTuple):
    """A message to be sent."""

    topic: str
    payload: bytes
    retain: bool = False
    correlation: bytes | None = None  # MQTT 5: that of the command this is the reply to


class Arrived(NamedTuple):
    """A message that came."""

    topic: str
    payload: bytes
    is_retained: bool
    response_topic: str | None = None  # MQTT 5: where the reply is wanted
    correlation: bytes | None = None


class Answer(NamedTuple):
    """The broker's word on one QoS 1 message, by the token it was sent with.

    ``is_taken``: it acknowledged, and with success. ``has_listener``: it did not say that nobody has
    subscribed to that topic (MQTT 3.1.1 can't say). ``says``: its reason.
    """

    token: object
    is_taken: bool
    has_listener: bool
    says: str


class _VersionRefused(BrokerRefused):
    """It says that it does not speak that version."""


class _NoConnack(BrokerUnreachable):
    """It answered a CONNECT by hanging up, by silence or by nonsense: it may not speak that version, or not be well."""


class Broker:
    """The broker as the settings name it: its addresses, tried in turn, and the versions they speak."""

    def __init__(self, settings: MqttSettings, client_id: str, clock: Clock) -> None:
        self._settings = settings
        self._client_id = client_id
        self._clock = clock
        self._addresses = deque(settings.addresses)
        self._spoke_5: set[tuple[str, int]] = set()
        self._last: Connection | None = None

    @property
    def where(self) -> str:
        """The address tried next, or connected to: ``host:port``."""
        return "{}:{}".format(*self._addresses[0])

    def connect(self, will: Outgoing | None = None, is_wanted: Callable[[], bool] = lambda: True) -> Connection:
        """An open connection, after one try of each address; the one that last fell silent is tried last.

        BrokerUnreachable or BrokerRefused, of the address tried last, in words. Gives up early when no
        longer wanted. Blocks for some seconds where nothing answers.
        """
        if self._last is not None and self._last.fell_silent:
            self._addresses.rotate(-1)
        self._last = None
        for remaining in reversed(range(len(self._addresses))):
            try:
                self._last = self._connect_to(self._addresses[0], will, is_wanted)
                return self._last
            except BrokerError:
                self._addresses.rotate(-1)
                if not remaining or not is_wanted():
                    raise
        raise BrokerUnreachable("[mqtt] names no broker")

    def _connect_to(self, address: tuple[str, int], will: Outgoing | None, is_wanted: Callable[[], bool]) -> Connection:
        version = self._settings.version
        # A broker that spoke MQTT 5 here before and now keeps silent is going down, not old.
        is_known = version != "auto" or address in self._spoke_5
        try:
            connection = self._open(
                address,
                "5" if version == "auto" else version,
                will,
                is_wanted,
                CONNACK_LIMIT_S if is_known else CONNACK_5_LIMIT_S,
            )
        except (_VersionRefused, _NoConnack) as error:
            if not is_wanted() or version != "auto" or (is_known and isinstance(error, _NoConnack)):
                raise
            return self._open(address, "3.1.1", will, is_wanted, CONNACK_311_LIMIT_S)
        if connection.version == "5":
            self._spoke_5.add(address)
        return connection

    def _open(
        self,
        address: tuple[str, int],
        version: Version,
        will: Outgoing | None,
        is_wanted: Callable[[], bool],
        connack_limit_s: float,
    ) -> Connection:
        where = "{}:{}".format(*address)
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,  # else a refused 3.1.1 makes paho try 3.1 by itself
        )
        client.connect_timeout = STEP_LIMIT_S
        client.max_inflight_messages_set(0)  # the window is ours; paho's own costs a scan for each PUBACK
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        if self._settings.username is not None:
            client.username_pw_set(self._settings.username, password(self._settings))
        context = tls_context(self._settings)
        if context is not None:
            client.tls_set_context(context)
        connection = Connection(client, where, version, self._clock)
        try:
            # A client's first connect begins a clean session, in either version; in MQTT 5 it ends with the connection.
            client.connect(*address, keepalive=KEEPALIVE_S)
        except ssl.SSLError as error:
            raise tls_trouble(error, where, self._settings) from error
        except (OSError, ValueError) as error:
            raise BrokerUnreachable(f"broker {where}: {words(error)}{remedy(error)}") from error
        try:
            connection.wait_for_connack(connack_limit_s, is_wanted)
        except BrokerError as error:
            connection.drop()
            if client.gathering.alert is not None:
                raise tls_trouble(client.gathering.alert, where, self._settings) from error
            raise
        return connection


class Connection:
    """One connection, for the thread that made it. :meth:`turn` raises BrokerError once it has ended.

    ``version``: of MQTT. ``window``: how many QoS 1 messages may be on their way. ``answers`` and
    ``inbox`` hold what has come; the caller takes from them. ``refused``: what the broker will not let us
    hear, a sentence for each topic, which is asked for again. ``fell_silent``: it ended because nothing came.
    """

    def __init__(self, client: _Client, where: str, version: Version, clock: Clock) -> None:
        self.where = where
        self.version = version
        self.window = WINDOW
        self.answers: deque[Answer] = deque()
        self.inbox: deque[Arrived] = deque()
        self.fell_silent = False
        self._client = client
        self._clock = clock
        self._is_open = False
        self._ended: BrokerError | None = None
        self._outstanding: dict[int, object] = {}
        self._asked_for: dict[int, tuple[str, ...]] = {}
        self._refused: dict[str, str] = {}
        self._subscribe_due_ns = 0
        self._waiting_since_ns = 0
        self._misc_due_ns = 0
        self._poll = select.poll()
        self._polled: dict[int, int] = {}
        client.on_socket_open = _open_socket
        client.on_socket_register_write = _leave_for_flush
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        client.on_subscribe = self._subscribed
        client.on_message = self._arrived

    @property
    def room(self) -> int:
        """How many more QoS 1 messages may be sent now."""
        return self.window - len(self._outstanding)

    @property
    def outstanding(self) -> int:
        """QoS 1 messages sent and not answered."""
        return len(self._outstanding)

    @property
    def is_subscribing(self) -> bool:
        """Whether something that was asked for is neither granted nor refused yet."""
        return bool(self._asked_for)

    @property
    def refused(self) -> list[str]:
        """What the broker will not let us hear, as it last said."""
        return list(self._refused.values())

    def publish(self, message: Outgoing, token: object) -> None:
        """Send with QoS 1; the caller has looked at ``room``. BrokerUnreachable if paho did not take it."""
        if not self._outstanding:
            self._waiting_since_ns = self._clock.mono_ns()
        info = self._client.publish(message.topic, message.payload, 1, message.retain, self._properties(message))
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._ended or BrokerUnreachable(f"broker {self.where}: message not sent ({info.rc.name})")
        self._outstanding[info.mid] = token

    def publish_now_or_never(self, message: Outgoing) -> None:
        """Send with QoS 0, unless earlier messages are still stuck in this host."""
        client = self._client
        if not client.gathering.is_stuck:
            # Nobody asks whether it was sent; to tell of it costs paho more than to send it.
            client.on_publish = None
            client.publish(message.topic, message.payload, 0)
            client.loop_write()
            client.on_publish = self._acknowledged

    def subscribe(self, *topics: str) -> None:
        """Ask for these topics with QoS 1; what is not granted will stand in ``refused``."""
        self._subscribe_due_ns = self._clock.mono_ns() + int(SUBSCRIBE_AGAIN_S * NS_PER_S)
        _, mid = self._client.subscribe([(topic, 1) for topic in topics])
        if mid is not None:
            self._asked_for[mid] = topics

    def flush(self) -> None:
        """Hand what was published to the network, as far as it takes it."""
        if self._client.want_write():
            self._client.loop_write()
        try:
            self._client.gathering.flush()
        except OSError as error:
            self._end(BrokerUnreachable(f"broker {self.where}: the connection was lost ({words(error)})"))

    def turn(self, timeout_s: float, wake_fd: int = -1) -> None:
        """Wait for the network, for ``wake_fd`` to be readable, or for the time; do what is to be done.

        Raises BrokerUnreachable or BrokerRefused when the connection has ended.
        """
        client = self._client
        self.flush()
        sock = client.socket()
        if sock is not None:
            self._watch(sock.fileno(), wake_fd, client.gathering.has_unsent)
            for fd, events in self._poll.poll(timeout_s * 1000):
                if fd != wake_fd and events & ~select.POLLOUT:
                    client.loop_read()
            while client.socket() is not None and client.gathering.holds_back:
                client.loop_read()
            self.flush()
        now_ns = self._clock.mono_ns()
        if now_ns >= self._misc_due_ns:
            self._misc_due_ns = now_ns + MISC_EVERY_NS
            client.loop_misc()
            if self._refused and now_ns >= self._subscribe_due_ns:
                self.subscribe(*self._refused)
            if self._outstanding and now_ns - self._waiting_since_ns > STUCK_LIMIT_S * NS_PER_S:
                self.fell_silent = True
                self._end(BrokerUnreachable(f"broker {self.where}: no acknowledgement for {STUCK_LIMIT_S:g} s"))
        if self._ended is not None:
            raise self._ended

    def wait_for_connack(self, limit_s: float, is_wanted: Callable[[], bool]) -> None:
        """Until the broker has taken the CONNECT. BrokerError if it has not, or no longer wanted."""
        limit_ns = self._clock.mono_ns() + int(limit_s * NS_PER_S)
        while not self._is_open:
            if self._clock.mono_ns() > limit_ns or not is_wanted():
                raise _NoConnack(f"broker {self.where}: took the connection and did not answer; does it speak MQTT?")
            self.turn(0.1)

    def close(self, limit_s: float = 0.5) -> None:
        """Say goodbye, so that the last will stays unsaid; for at most ``limit_s``, then hang up."""
        end_ns = self._clock.mono_ns() + int(limit_s * NS_PER_S)
        try:
            self._client.disconnect()
            while self._clock.mono_ns() < end_ns:
                self.turn(0.05)
        except BrokerError:
            pass  # the end it was to come to
        self.drop()

    def drop(self) -> None:
        """Hang up without a word; the broker will publish the last will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _properties(self, message: Outgoing) -> Properties | None:
        if message.correlation is None or self.version != "5":
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho has no types there
        properties.CorrelationData = message.correlation
        return properties

    def _watch(self, socket_fd: int, wake_fd: int, wants_write: bool) -> None:
        wanted = {socket_fd: select.POLLIN | (select.POLLOUT if wants_write else 0)}
        if wake_fd >= 0:
            wanted[wake_fd] = select.POLLIN
        if wanted != self._polled:
            for fd in self._polled.keys() - wanted.keys():
                self._poll.unregister(fd)
            for fd, events in wanted.items():
                self._poll.register(fd, events)
            self._polled = wanted

    def _end(self, error: BrokerError) -> None:
        self._ended = self._ended or error  # the first word is the cause; paho may tell the end twice

    def _end_for_nonsense(self) -> None:
        self._end(BrokerUnreachable(f"broker {self.where}: it sent what is not MQTT"))

    # ---- paho's callbacks: they only note down -------------------------------------------------------------

    def _connected(
        self, _client: Client, _userdata: object, _flags: ConnectFlags, reason: ReasonCode, said: Properties | None
    ) -> None:
        if not reason.is_failure:
            self._is_open = True
            self.window = min(WINDOW, getattr(said, "ReceiveMaximum", WINDOW))
        elif reason.value == UNSUPPORTED_VERSION:
            self._end(_VersionRefused(f"broker {self.where}: it does not speak MQTT {self.version}"))
        elif reason.value in PASSING_REASONS:
            self._end(BrokerUnreachable(f"broker {self.where}: {reason}"))
        else:
            remedy = "; check username and password_file" if reason.value in BAD_ACCOUNT else ""
            self._end(BrokerRefused(f"broker {self.where} refuses: {reason}{remedy}"))

    def _disconnected(
        self, _client: Client, _userdata: object, flags: DisconnectFlags, reason: ReasonCode, _said: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server and reason.value not in PASSING_REASONS:
            self._end(BrokerRefused(f"broker {self.where} ended the connection: {reason}"))
        elif not self._is_open:
            did = "answered what is not MQTT" if reason.value == PROTOCOL_ERROR else "closed it without an answer"
            did += ": it is no MQTT broker, or that port wants TLS (ca_file)"
            self._end(_NoConnack(f"broker {self.where}: took the connection and {did}"))
        elif reason.value == PROTOCOL_ERROR:
            self._end_for_nonsense()
        elif reason.value == KEEPALIVE_TIMEOUT:
            self.fell_silent = True
            self._end(BrokerUnreachable(f"broker {self.where}: the line to it was silent for too long"))
        else:
            self._end(BrokerUnreachable(f"broker {self.where}: the connection was lost"))

    def _acknowledged(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _said: Properties
    ) -> None:
        # Of a QoS 0 message paho tells here that it was sent; no one has asked.
        token = self._outstanding.pop(mid, None)
        if token is not None:
            self._waiting_since_ns = self._clock.mono_ns()
            code = reason.value
            self.answers.append(
                Answer(token, not reason.is_failure, code != NO_MATCHING_SUBSCRIBERS, _reason_in_words(reason))
            )

    def _subscribed(
        self, _client: Client, _userdata: object, mid: int, reasons: list[ReasonCode], _said: Properties | None
    ) -> None:
        for topic, reason in zip(self._asked_for.pop(mid, ()), reasons, strict=False):
            self._refused.pop(topic, None)
            if reason.is_failure:
                says = f"the broker {self.where} refuses to let us hear {topic}: {_reason_in_words(reason)}"
                self._refused[topic] = says

    def _arrived(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._end_for_nonsense()
        else:
            said = message.properties
            wanted, correlation = getattr(said, "ResponseTopic", None), getattr(said, "CorrelationData", None)
            self.inbox.append(Arrived(topic, bytes(message.payload), message.retain, wanted, correlation))


class _Client(Client):
    """paho on a socket that gathers, by our way. The hooks are paho's own, for proxies and the like, but not public."""

    gathering: GatheringSocket

    def _create_socket(self) -> GatheringSocket:
        self.gathering = GatheringSocket(cast(socket.socket, super()._create_socket()))
        return self.gathering

    def _create_socket_connection(self) -> socket.socket:
        return open_tcp(self._host, self._port)


def _reason_in_words(reason: ReasonCode) -> str:
    return f"{reason}{ACCESS if reason.value == NOT_AUTHORIZED else ''}" if reason.value else ""


def _open_socket(_client: Client, _userdata: object, sock: object) -> None:
    cast(socket.socket, sock).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _leave_for_flush(_client: Client, _userdata: object, _sock: object) -> None:
    """With this set, paho queues what is published, and :meth:`Connection.flush` sends it together."""
