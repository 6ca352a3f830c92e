"""What `mat.toml` can say: one frozen struct for each table, and in words what each key expects.

A ``description`` completes the sentence "found …, expected …"; the constraint beside it is what it says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from reader.model import Pick, Role, Use

LEVEL = "[a-z0-9][a-z0-9-]{0,62}"
CHIP_PATTERN = r"\A([0-9A-Fa-f]{2}){1,62}\Z"

Level = Annotated[
    str,
    Meta(
        pattern=rf"\A{LEVEL}\Z",
        description="lower-case letters, digits and dashes, beginning with a letter or digit, "
        "at most 63 characters (it is a level of the MQTT topic)",
    ),
]
Name = Annotated[
    str,
    Meta(
        pattern=rf"\A{LEVEL}\Z",
        description="lower-case letters, digits and dashes, beginning with a letter or digit, at most 63 characters",
    ),
]
Prefix = Annotated[
    str,
    Meta(
        pattern=rf"\A{LEVEL}(/{LEVEL})*\Z",
        max_length=255,
        description="one or more levels of an MQTT topic with slashes between, each of lower-case letters, "
        "digits and dashes, beginning with a letter or digit",
    ),
]
Text = Annotated[str, Meta(pattern=r"\A[^\x00-\x1f\x7f]{1,255}\Z", description="a line of text, 1 to 255 characters")]
File = Annotated[Path, Meta(description="the path of a file")]
Port = Annotated[
    str,
    Meta(
        # The names are those of pyserial's URL handlers.
        pattern=r"\A(auto|/[^\x00-\x1f]+|(alt|cp2110|hwgrep|loop|rfc2217|socket|spy)://[^\x00-\x20]*)\Z",
        description='a device beginning with a slash ("/dev/ttyUSB0"), a pyserial URL ("socket://10.0.0.5:10000", '
        '"rfc2217://…") or "auto"',
    ),
]
Address = Annotated[
    str,
    Meta(
        # A name, an IPv4 address or an IPv6 address in brackets; then a port, 1 to 65535.
        pattern=r"\A([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
        r":([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])\Z",
        description='a name or address, a colon and a port of 1 to 65535, as in "rc1:1883" or "[fd00::1]:1883"',
    ),
]
Host = Annotated[
    str,
    Meta(
        # One colon alone would be a port's; an IPv6 address has two at least.
        pattern=r"\A([A-Za-z0-9._-]{1,253}|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\Z",
        description="the broker's name or address, without its port",
    ),
]
Chip = Annotated[
    str,
    Meta(
        pattern=CHIP_PATTERN,
        description="a chip's code: hexadecimal digits, an even number of them, at most 124",
    ),
]
Pin = Annotated[int, Meta(ge=0, le=27, description="a BCM pin number, 0 to 27")]


class MatSettings(msgspec.Struct, frozen=True):
    """`[mat]`: whose splits these are."""

    event: Level
    point: Level
    id: Level
    use: Use = "finish"
    role: Role = "main"
    label: Text | None = None


class ReaderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[reader]]`. ``baud`` is None only for ``auto``, which tries them."""

    name: Name = "main"
    protocol: Literal["ipico", "thingmagic", "a0", "m100", "uhfreader", "rdm6300", "auto"]
    port: Port
    baud: Annotated[int, Meta(ge=1, le=4_000_000, description="a whole number of baud, 1 to 4000000")] | None = None
    line: Name = "main"
    profile: (
        Annotated[
            str,
            Meta(
                pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z",
                description='the name of a profile of firmware_config, as in "m6e-nano-fcc"',
            ),
        ]
        | None
    ) = None
    time_from: Literal["auto", "reader", "host"] = "auto"
    zone: Annotated[str, Meta(description='a time zone, as in "UTC" or "America/Chicago"')] = "UTC"
    apply_profile: Literal["volatile", "all", "never"] = "volatile"


class GateSettings(msgspec.Struct, frozen=True):
    """`[gate]`, whole: what the file leaves out follows ``mat.use`` (:data:`GATE_BY_USE`)."""

    pick: Pick
    quiet_s: Annotated[float, Meta(ge=0.05, le=60, description="a number of seconds, 0.05 to 60")]
    dead_time_s: Annotated[float, Meta(ge=0.5, le=3600, description="a number of seconds, 0.5 to 3600")]
    linger_s: Annotated[float, Meta(ge=0.5, le=3600, description="a number of seconds, 0.5 to 3600")]
    heard: bool


GATE_BY_USE: dict[Use, GateSettings] = {
    "start": GateSettings("last", 3.0, 10.0, 8.0, heard=False),
    "split": GateSettings("best", 0.85, 20.0, 8.0, heard=True),
    "finish": GateSettings("best", 0.85, 20.0, 8.0, heard=True),
    "lap": GateSettings("best", 0.85, 5.0, 8.0, heard=True),
    "start-finish": GateSettings("best", 3.0, 10.0, 8.0, heard=False),
}


class JournalSettings(msgspec.Struct, frozen=True):
    """`[journal]`: where the log is kept. ``keep_days`` and ``max_mb`` are None for no limit."""

    path: File = Path("/var/lib/timing-mat/journal.db")
    copy: (
        Annotated[
            str,
            Meta(
                pattern=r"\A(auto|/[^\x00-\x1f\x7f]{1,255})\Z",
                description='"auto" for any USB stick, or the path of a folder, beginning with a slash',
            ),
        ]
        | None
    ) = None
    keep_days: Annotated[int, Meta(ge=1, le=3650, description="a whole number of days, 1 to 3650")] | None = None
    max_mb: Annotated[int, Meta(ge=10, le=1_000_000, description="a whole number of MB, 10 to 1000000")] | None = None


class MqttSettings(msgspec.Struct, frozen=True):
    """`[mqtt]`: the broker. ``hosts``, where given, stand instead of ``host`` and ``port``."""

    host: Host = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="a TCP port, 1 to 65535")] = 1883
    version: Annotated[Literal["auto", "5", "3.1.1"], Meta(description='"auto", "5" or "3.1.1", in quotes')] = "auto"
    hosts: Annotated[tuple[Address, ...], Meta(max_length=64, description="a list of at most 64 addresses")] = ()
    username: Text | None = None
    password_file: File | None = None
    ca_file: File | None = None
    cert_file: File | None = None
    key_file: File | None = None
    prefix: Prefix = "timing"
    delivered_when: Annotated[
        Literal["subscriber", "broker", "control"], Meta(description='"subscriber", "broker" or "control"')
    ] = "subscriber"
    collectors: Annotated[
        tuple[Level, ...], Meta(max_length=32, description='a list of at most 32 names, as in ["rc1"]')
    ] = ()

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """The brokers to try in turn, as (name or address without brackets, TCP port)."""
        if not self.hosts:
            return ((self.host, self.port),)
        split = (host.rsplit(":", 1) for host in self.hosts)
        return tuple((name.strip("[]"), int(port)) for name, port in split)


class ChipsSettings(msgspec.Struct, frozen=True):
    """`[chips]`: codes in upper-case hex."""

    bibs: File | None = None
    sweep: Annotated[tuple[Chip, ...], Meta(description="a list of chips")] = ()
    reference: Annotated[tuple[Chip, ...], Meta(description="a list of chips")] = ()


class PanelSettings(msgspec.Struct, frozen=True):
    """`[panel]`: BCM pin numbers; None where nothing is wired. ``quiet_hours``: local time, no buzzer.

    ``gun_name``: whose start the contact is.
    """

    ready_led: Pin | None = None
    uplink_led: Pin | None = None
    read_led: Pin | None = None
    fault_led: Pin | None = None
    buzzer: Pin | None = None
    button: Pin | None = None
    gun: Pin | None = None
    gun_name: Text = "gun"
    power_fail: Pin | None = None
    quiet_hours: (
        Annotated[
            str,
            Meta(
                pattern=r"\A([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d\Z",
                description='from and to as hours and minutes, as in "22:00-05:30"',
            ),
        ]
        | None
    ) = None


class BoxSettings(msgspec.Struct, frozen=True):
    """`[box]`: the box itself. ``empty_volts``: at which its battery is empty; None: what its gauge was told."""

    control: File = Path("/run/timing-mat/control.sock")
    empty_volts: Annotated[float, Meta(gt=0, le=100, description="volts, more than 0 and at most 100")] | None = None


class WebSettings(msgspec.Struct, frozen=True):
    """`[web]`: the crew's page."""

    listen: Address = "0.0.0.0:8080"
    pin_file: File | None = None


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """The tables of the file."""

    mat: MatSettings
    readers: Annotated[
        tuple[ReaderSettings, ...],
        Meta(min_length=1, description="at least one table headed [[reader]], in double brackets"),
    ] = msgspec.field(name="reader")
    gate: GateSettings
    journal: JournalSettings = JournalSettings()
    mqtt: MqttSettings = MqttSettings()
    chips: ChipsSettings = ChipsSettings()
    panel: PanelSettings = PanelSettings()
    box: BoxSettings = BoxSettings()
    web: WebSettings = WebSettings()


class Config(Tables, frozen=True, kw_only=True):
    """A whole configuration. ``source``: the file it came from; ``given``: the full keys that stood in it."""

    source: str
    given: frozenset[str] = frozenset()
