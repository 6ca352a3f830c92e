"""One set of options leads to a broker, whatever the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from reader.cli.broker_options import OPTIONS, as_level, settings_from_options, with_broker
from reader.config import MqttSettings
from reader.errors import UsageError

taken: list[tuple[MqttSettings, str, int]] = []
app = typer.Typer(rich_markup_mode=None)


@app.command()
@with_broker
def listen(
    broker: MqttSettings,
    what: Annotated[str, typer.Argument(callback=as_level)],
    often: Annotated[int, typer.Option(help="How often.")] = 1,
) -> None:
    """Listen.

    Example: listen split
    """
    taken.append((broker, what, often))


def run(*arguments: str) -> MqttSettings:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    broker, what, often = taken.pop()
    assert (what, often) == ("split", 2)
    return broker


def test_a_command_takes_them_beside_its_own() -> None:
    assert run("split", "--often", "2") == MqttSettings()
    assert run("split", "--host", "rc1", "--port", "8883", "--often", "2", "--version", "5") == MqttSettings(
        host="rc1", port=8883, version="5"
    )
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "Example: listen split" in shown
    assert "--broker" not in shown
    for name in OPTIONS:
        assert f"--{name.replace('_', '-')}" in shown


def test_they_mean_what_the_keys_of_the_file_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    broker = run("split", "--often", "2", "--username", "rc", "--password-file", "pw", "--ca-file", "/ca.pem")
    assert broker == MqttSettings(username="rc", password_file=tmp_path / "pw", ca_file=Path("/ca.pem"))
    cluster = run("split", "--often", "2", "--hosts", "rc1:1883", "--hosts", "rc2:1884")
    assert cluster.addresses == (("rc1", 1883), ("rc2", 1884))
    assert set(OPTIONS) <= {*MqttSettings.__struct_fields__}


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"host": "rc1:1883"}, '--host: found "rc1:1883", expected the broker\'s name or address, without its port'),
        ({"hosts": ["rc1"]}, '--hosts[0]: found "rc1", expected a name or address, a colon and a port'),
        ({"prefix": "a b"}, '--prefix: found "a b", expected one or more levels of an MQTT topic'),
        ({"password_file": Path("pw")}, "--password-file: found without --username, expected both"),
        ({"key_file": Path("key")}, "--key-file: found without --cert-file, expected both"),
    ],
)
def test_mistakes_are_said_by_the_name_of_the_option(typed: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as wrong:
        settings_from_options(**typed)
    assert says in str(wrong.value)


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(UsageError, match=r"(?s)--host: .*\n--key-file: "):
        settings_from_options(host=" ", key_file=Path("key"))
