"""`mat.toml` → typed: what the file can say, where it is found, and every mistake in it at once."""

from reader.config.chips import load_chips
from reader.config.credentials import is_credential
from reader.config.files import find, load, loads, unconfigured
from reader.config.settings import (
    GATE_BY_USE,
    BoxSettings,
    ChipsSettings,
    Config,
    GateSettings,
    JournalSettings,
    MatSettings,
    MqttSettings,
    PanelSettings,
    ReaderSettings,
    WebSettings,
)
from reader.config.taken_out import TakenOut, taken_out

__all__ = [
    "GATE_BY_USE",
    "BoxSettings",
    "ChipsSettings",
    "Config",
    "GateSettings",
    "JournalSettings",
    "MatSettings",
    "MqttSettings",
    "PanelSettings",
    "ReaderSettings",
    "TakenOut",
    "WebSettings",
    "find",
    "is_credential",
    "load",
    "load_chips",
    "loads",
    "taken_out",
    "unconfigured",
]
