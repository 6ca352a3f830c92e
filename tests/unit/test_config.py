"""mat.toml: what it says when it is right, and how it is told what is wrong."""

from __future__ import annotations

import pkgutil
import socket
from pathlib import Path

import pytest
import serial.urlhandler
from typer.testing import CliRunner

from reader.cli.config import app
from reader.cli.protocols import protocols
from reader.config import GATE_BY_USE, Config, find, load, load_chips, loads, unconfigured
from reader.config.agreement import DATED_FAMILIES, FACTORY_BAUD
from reader.errors import ConfigError
from reader.line.protocols import FAMILIES
from reader.model import Use

MAT = '[mat]\nevent = "chicago-2023"\npoint = "finish"\nid = "finish-main"\n'
READER = '[[reader]]\nprotocol = "ipico"\nport = "/dev/ttyUSB0"\n'
WHOLE = """
[mat]
event = "chicago-2023"
point = "finish"
id = "finish-main"
use = "finish"
role = "main"
label = "B17"
[[reader]]
name = "main"
protocol = "ipico"
port = "/dev/ttyUSB0"
baud = 115200
line = "main"
profile = "m6e-nano-fcc"
time_from = "auto"
zone = "America/Chicago"
apply_profile = "volatile"
[gate]
pick = "best"
quiet_s = 0.85
dead_time_s = 20.0
linger_s = 8.0
heard = true
[journal]
path = "/var/lib/timing-mat/journal.db"
copy = "auto"
keep_days = 30
max_mb = 2000
[mqtt]
hosts = ["rc1:1883", "[fd00::1]:8883"]
version = "3.1.1"
username = "mat"
password_file = "secret"
ca_file = "/etc/ca.pem"
cert_file = "c.pem"
key_file = "k.pem"
prefix = "timing/uk"
delivered_when = "broker"
[chips]
bibs = "chips.csv"
sweep = ["05a0"]
reference = ["058000012345"]
[panel]
ready_led = 5
button = 17
quiet_hours = "22:00-05:30"
[box]
control = "/run/timing-mat/control.sock"
[web]
listen = "0.0.0.0:8080"
pin_file = "pin"
"""


def read(text: str) -> Config:
    return loads(text, "/etc/timing-mat/mat.toml")


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith("/etc/timing-mat/mat.toml:\n")
    return caught.value.problems


def test_every_key_is_taken() -> None:
    config = read(WHOLE)
    assert config.mat.label == "B17"
    assert config.readers[0].baud == 115200
    assert config.readers[0].zone == "America/Chicago"
    assert config.mqtt.addresses == (("rc1", 1883), ("fd00::1", 8883))
    assert config.mqtt.password_file == Path("/etc/timing-mat/secret"), "relative to the file's folder"
    assert config.mqtt.ca_file == Path("/etc/ca.pem")
    assert config.chips.sweep == ("05A0",)
    assert config.panel.button == 17
    assert "reader[0].zone" in config.given
    assert "mqtt.host" not in config.given


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("start", ("last", 3.0, 10.0, 8.0, False)),
        ("split", ("best", 0.85, 20.0, 8.0, True)),
        ("finish", ("best", 0.85, 20.0, 8.0, True)),
        ("lap", ("best", 0.85, 5.0, 8.0, True)),
        ("start-finish", ("best", 3.0, 10.0, 8.0, False)),
    ],
)
def test_the_gate_follows_use(use: Use, expected: tuple[object, ...]) -> None:
    gate = read(f'{MAT}use = "{use}"\n{READER}').gate
    assert (gate.pick, gate.quiet_s, gate.dead_time_s, gate.linger_s, gate.heard) == expected
    assert gate == GATE_BY_USE[use]
    given = read(f'{MAT}use = "{use}"\n{READER}[gate]\npick = "first"\n').gate
    assert (given.pick, given.quiet_s) == ("first", expected[1]), "one key given leaves the others"


def test_defaults() -> None:
    config = read(MAT + READER)
    reader = config.readers[0]
    assert (reader.name, reader.line, reader.baud, reader.time_from, reader.zone) == (
        "main",
        "main",
        9600,
        "auto",
        "UTC",
    )
    assert config.mqtt.addresses == (("127.0.0.1", 1883),)
    assert (config.mqtt.prefix, config.mqtt.delivered_when) == ("timing", "subscriber")
    assert config.journal.path == Path("/var/lib/timing-mat/journal.db")
    assert config.box.control == Path("/run/timing-mat/control.sock")


def test_what_a_mat_goes_on_with_without_a_file() -> None:
    config = unconfigured()
    assert (config.mat.event, config.mat.point, config.mat.id) == ("unconfigured", "unknown", "mat")
    assert [(reader.protocol, reader.port, reader.baud) for reader in config.readers] == [("auto", "auto", None)]


def more(text: str) -> str:
    """A right file with something after it: more keys of its reader, or more tables."""
    return MAT + READER + text


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        (MAT.replace("id =", "# id =") + READER, "mat.id: missing; expected lower-case letters, "),
        (MAT.replace("chicago-2023", "x\\n") + READER, 'mat.event: found "x\\n", expected lower-case letters, '),
        (MAT.replace('"finish"', "7") + READER, "mat.point: found 7, expected lower-case letters, "),
        (MAT + 'use = "goal"\n' + READER, 'mat.use: found "goal", expected "start", "split", "finish", "lap" or "st'),
        ("mat = 5\n" + READER, "mat: found 5, expected a table"),
        (MAT, "reader: missing; expected at least one table headed [[reader]], in double brackets"),
        (MAT + "[reader]\n", "reader: found a table, expected at least one table headed [[reader]], in double"),
        (MAT + READER.replace("ipico", "a1"), 'reader[0].protocol: found "a1", expected "ipico", "thingmagic", "a0",'),
        (MAT + READER.replace("/dev/", ""), 'reader[0].port: found "ttyUSB0", expected a device beginning with a sl'),
        (more("baud = 0"), "reader[0].baud: found 0, expected a whole number of baud, 1 to 4000000"),
        (more("Zone = 'UTC'"), 'reader[0].Zone: there is no such key; did you mean "zone"?'),
        (more("zone = 'America'"), 'reader[0].zone: found "America", expected a time zone, as in "UTC"'),
        (more("[gait]"), 'gait: there is no such table; did you mean "gate"?'),
        (more("[gate]\nxyz = 1"), "gate.xyz: there is no such key; expected one of pick, quiet_s, "),
        (more("[gate]\nquiet_s = 'fast'"), 'gate.quiet_s: found "fast", expected a number of seconds, 0.05 to 60'),
        (more("[gate]\nquiet_s = nan"), "gate.quiet_s: found nan, expected a number of seconds, 0.05 to 60"),
        (more("[gate]\nquiet_s = 20"), "gate.quiet_s: found 20, expected less than gate.dead_time_s (20)"),
        (more("[gate]\nquiet_s = 0x" + "f" * 5_000), "gate.quiet_s: found a number of more than 64 bits, expected"),
        (more("[gate]\nheard = 1"), "gate.heard: found 1, expected true or false"),
        (
            more("[mqtt]\npassword = 'x'"),
            "mqtt.password: a secret can't stand here, where others can read it; write it",
        ),
        (more("[mqtt]\nversion = 5"), 'mqtt.version: found 5, expected "auto", "5" or "3.1.1", in quotes'),
        (more("[mqtt]\nhost = 'rc1:1883'"), 'mqtt.host: found "rc1:1883", expected the broker\'s name or address, wi'),
        (more("[mqtt]\nhosts = ['a:1', 'b:65536']"), 'mqtt.hosts[1]: found "b:65536", expected a name or address, a'),
        (more("[mqtt]\nport = 1\nhosts = ['a:1']"), "mqtt.port: found beside mqtt.hosts, expected one or the other"),
        (more("[mqtt]\nkey_file = 'k'"), "mqtt.key_file: found without mqtt.cert_file, expected both"),
        (more("[mqtt]\nprefix = 'timing/#'"), 'mqtt.prefix: found "timing/#", expected one or more levels of an MQ'),
        (more("[mqtt]\ndelivered_when = 'control'"), 'mqtt.delivered_when: found "control" without mqtt.collectors'),
        (more("[chips]\nsweep = ['058']"), 'chips.sweep[0]: found "058", expected a chip\'s code: hexadecimal digits'),
        (more("[chips]\nbibs = ''"), 'chips.bibs: found "", expected the path of a file'),
        (more("[panel]\ngun = 28"), "panel.gun: found 28, expected a BCM pin number, 0 to 27"),
        (more("[panel]\nbutton = 4\ngun = 4"), "panel.gun: found 4, which panel.button has already, expected another"),
        (more("[panel]\nquiet_hours = '22-5'"), 'panel.quiet_hours: found "22-5", expected from and to as hours'),
        (
            "event = chicago",
            "line 1, column 9: invalid value (text stands in quotes, and a decimal point is a point); ",
        ),
    ],
)
def test_one_mistake_is_one_sentence(text: str, begins: str) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(begins)


def test_readers_may_not_contradict_each_other() -> None:
    other = READER.replace("USB0", "USB1") + 'name = "b"\n'
    assert len(read(MAT + READER + other).readers) == 2
    for text, begins in (
        (other.replace('"b"', '"main"'), 'reader[1].name: found "main", which reader[0] has already, expected another'),
        (READER + 'name = "b"', 'reader[1].port: found "/dev/ttyUSB0", which reader[0] has already, expected another'),
        (
            other + 'time_from = "reader"',
            'reader[0].time_from: found "auto", but reader[1] of the same line ("main") h',
        ),
    ):
        (problem,) = problems_of(MAT + READER + text)
        assert problem.startswith(begins)
    assert len(read(MAT + READER + other + 'time_from = "reader"\nline = "backup"').readers) == 2


def test_the_time_of_a_reader_needs_dated_records() -> None:
    for protocol in ("thingmagic", "auto"):
        (problem,) = problems_of(MAT + READER.replace("ipico", protocol) + 'time_from = "reader"')
        assert problem.startswith('reader[0].time_from: found "reader", which needs a protocol whose records bear a')
    assert read(MAT + READER + 'time_from = "reader"').readers[0].time_from == "reader"


def test_an_unknown_key_is_rather_one_that_is_missing() -> None:
    text = MAT + '[[reader]]\nport = "/dev/ttyUSB0"\nprot = "ipico"\n'
    assert 'reader[0].prot: there is no such key; did you mean "protocol"?' in problems_of(text)


def test_all_mistakes_are_told_at_once() -> None:
    found = problems_of('[mat]\nevent = "A"\n[[reader]]\nport = 3\nzone = "x"\n[gate]\npick = "b"\n[mqt]\n')
    assert [problem.split(":")[0] for problem in found] == [
        "mqt",
        "mat.event",
        "mat.point",
        "mat.id",
        "reader[0].protocol",
        "reader[0].port",
        "gate.pick",
        "reader[0].zone",
    ]


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("a = 1\n[mat\n", "line 2, column 5: "),
        ('[mat]\r\nevent = "x\r\n', "line 2, column 11: "),
        ("a = [1,", "line 1, column 8: "),
        ("a = " + "[" * 50_000, "the file holds"),
        ("a = " + "9" * 5_000, "the file holds"),
    ],
)
def test_what_is_not_toml(text: str, begins: str) -> None:
    assert problems_of(text)[0].startswith(begins)


def test_a_bom_and_dos_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "mat.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (MAT + READER).replace("\n", "\r\n").encode())
    assert load(path).mat.event == "chicago-2023"
    assert loads("\ufeff" + MAT + READER, "x").mat.event == "chicago-2023"


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    def problem_of(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert caught.value.source == str(path)
        return caught.value.problems[0]

    assert problem_of(tmp_path / "none.toml") == "the file does not exist"
    assert problem_of(tmp_path) == "the file is a folder, expected a file"
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[mat]\nlabel = "Zi\xfcrich"\n')
    assert problem_of(latin) == "line 2: found byte 0xfc, expected UTF-8: save the file as UTF-8"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert problem_of(tmp_path / "socket").startswith("the file can't be read: ")


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot, etc, named = tmp_path / "boot.toml", tmp_path / "etc.toml", tmp_path / "named.toml"
    monkeypatch.setattr("reader.config.files.PLACES", (boot, etc))
    monkeypatch.delenv("TIMING_MAT_CONFIG", raising=False)
    with pytest.raises(ConfigError) as caught:
        find()
    for place in ("--config", "$TIMING_MAT_CONFIG", str(boot), str(etc), "timing-mat demo"):
        assert place in str(caught.value)
    etc.touch()
    assert find() == etc
    boot.touch()
    assert find() == boot
    monkeypatch.setenv("TIMING_MAT_CONFIG", str(named))
    with pytest.raises(ConfigError, match="TIMING_MAT_CONFIG says so"):
        find()
    named.touch()
    assert find() == named
    assert find(etc) == etc


def test_the_words_agree_with_the_table_of_families() -> None:
    assert {family.name for family in FAMILIES if family.has_date} == DATED_FAMILIES
    assert {family.name: family.baud for family in FAMILIES} == FACTORY_BAUD
    for family in FAMILIES:
        assert read(MAT + READER.replace("ipico", family.name)).readers[0].protocol == family.name


def test_every_url_of_pyserial_is_a_port() -> None:
    names = [module.name.removeprefix("protocol_") for module in pkgutil.iter_modules(serial.urlhandler.__path__)]
    assert "socket" in names
    for name in names:
        url = f"{name}://x"
        assert read(MAT + READER.replace("/dev/ttyUSB0", url)).readers[0].port == url


# ---- the chip file ---------------------------------------------------------------------------------


def chips_of(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "chips.csv"
    path.write_bytes(text.encode())
    return load_chips(path)


@pytest.mark.parametrize(
    "text",
    [
        "05a0,17\n05A1,17\n",
        "\ufeffChip,Bib\r\n05A0,17\r\n\r\n05a1 , 17\r\n",
        'bib,name,chip\n17,"Ann, B",05A0\n17,,05A1\n',
    ],
)
def test_chip_file(tmp_path: Path, text: str) -> None:
    assert chips_of(tmp_path, text) == {"05A0": "17", "05A1": "17"}


def test_bad_rows_of_a_chip_file_are_named_by_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        chips_of(tmp_path, "chip,bib\n3.00E+23,17\n05A0;17\n05A1,\n05A2,1\n05A2,2\n" + "x,1\n" * 9)
    assert caught.value.problems[:4] == [
        'line 2: found chip "3.00E+23", expected hexadecimal digits, an even number of them',
        'line 3: found "05A0;17", expected chip,bib with a comma between',
        'line 4: found bib "", expected 1 to 32 characters',
        'line 6: found chip 05A2 with bib "2", but it has bib "1" already, expected one bib for a chip',
    ]
    assert caught.value.problems[10:] == ["and 3 more"]
    with pytest.raises(ConfigError, match="line 1: not CSV"):
        chips_of(tmp_path, '05A0,"17\n')


# ---- the commands ----------------------------------------------------------------------------------


def test_check_says_fine_and_marks_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mat.toml"
    path.write_text(MAT + READER + '[chips]\nbibs = "chips.csv"\n')
    (tmp_path / "chips.csv").write_text("05A0,17\n05A1,17\n")
    result = CliRunner().invoke(app, ["check", "--config", str(path)])
    assert result.exit_code == 0
    first, *table = result.output.splitlines()
    assert first == f"{path}: 1 reader, 2 chips of 1 bib: fine"
    rows = {cells[1].strip(): cells[3].strip() for cells in (row.split("│") for row in table) if len(cells) == 5}
    assert rows["mat.event"] == ""
    assert rows["mat.use"] == "default"
    assert rows["reader[0].port"] == ""
    assert rows["gate.quiet_s"] == "default"
    assert "source" not in rows


def test_check_raises_what_run_would_raise(tmp_path: Path) -> None:
    path = tmp_path / "mat.toml"
    path.write_text(MAT)
    result = CliRunner().invoke(app, ["check", "--config", str(path)])
    assert isinstance(result.exception, ConfigError)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert result.exception.problems == caught.value.problems


def test_protocols_lists_the_families(capsys: pytest.CaptureFixture[str]) -> None:
    protocols()
    table = capsys.readouterr().out
    protocols(as_json=True)
    as_json = capsys.readouterr().out
    for family in FAMILIES:
        assert f"│ {family.name} " in table
        assert f'"name": "{family.name}"' in as_json
