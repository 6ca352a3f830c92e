"""The README says what is there, all of it and nothing else; and what it shows, works."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import typer.core
import typer.main
from typer.testing import CliRunner

from reader import errors
from reader.cli import app
from reader.config import loads
from reader.config.settings import Tables
from reader.uplink import wire
from tests.broker import Mosquitto, Subscriber
from tests.fakes.mat import FakeMat, Log
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONFIGURATION = README.partition("### `mat.toml`")[2].partition("\n### ")[0]


def blocks(kind: str, text: str = README) -> list[str]:
    """The fenced blocks of that kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands() -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Each command as it is typed, sub-commands too."""
    group = typer.main.get_command(app)
    waiting = [("timing-mat", group)]
    while waiting:
        name, command = waiting.pop()
        if isinstance(command, typer.core.TyperGroup):
            waiting += [(f"{name} {below}", command.commands[below]) for below in command.commands]
        else:
            assert isinstance(command, typer.core.TyperCommand)
            yield name, command


COMMANDS = dict(commands())


def tables() -> Iterator[tuple[str, set[str]]]:
    """Each table of the file by its heading, and its keys."""
    for field in msgspec.structs.fields(Tables):
        is_list = field.encode_name == "reader"
        kind = msgspec.inspect.type_info(field.type)
        kind = kind.item_type if isinstance(kind, msgspec.inspect.VarTupleType) else kind
        while isinstance(kind, msgspec.inspect.Metadata):
            kind = kind.type
        kind = kind.item_type if isinstance(kind, msgspec.inspect.VarTupleType) else kind
        assert isinstance(kind, msgspec.inspect.StructType)
        heading = f"[[{field.encode_name}]]" if is_list else f"[{field.encode_name}]"
        yield heading, {key.encode_name for key in kind.fields}


TABLES = dict(tables())


# ---- the two blocks at the top ---------------------------------------------------------------------------


def test_it_opens_with_two_blocks_to_paste_and_has_no_other() -> None:
    first, second = blocks("sh")
    assert README.index(second) < README.index("\n## ")
    assert first.rstrip().splitlines()[-1].startswith(".venv/bin/timing-mat demo")
    assert second.rstrip().splitlines()[-1].startswith(".venv/bin/pytest")


@pytest.mark.parametrize("block", blocks("sh"))
def test_a_block_to_paste_is_sound_shell(block: str) -> None:
    subprocess.run(["sh", "-n"], input=block, text=True, check=True)


def test_links_within_it_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors


# ---- commands --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_stands_there_with_every_option_and_an_example(name: str) -> None:
    section = README.partition(f"\n**`{name}`**")[2].partition("\n**`timing-mat")[0].partition("\n### ")[0]
    assert section, f"no paragraph begins with **`{name}`**"
    options = {
        option
        for parameter in COMMANDS[name].params
        if parameter.param_type_name == "option"
        for option in (*parameter.opts, *parameter.secondary_opts)
    } - {"--help"}
    assert set(re.findall(r"`(--[a-z-]+)`", section)) == options
    assert any(block.startswith(name) for block in blocks("", section))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_word_for_what_may_be_given_again(name: str) -> None:
    told = CliRunner().invoke(app, [*name.split()[1:], "--help"]).output
    assert "--help" in told
    assert "list[" not in told


def test_no_command_stands_there_that_does_not_exist() -> None:
    assert set(re.findall(r"^\*\*`(timing-mat[^`]*)`\*\*", README, re.MULTILINE)) == set(COMMANDS)


def test_an_example_uses_options_that_exist() -> None:
    for line in re.findall(r"^(?:\.venv/bin/)?(timing-mat [^\n#]*)", README, re.MULTILINE):
        name = max((name for name in COMMANDS if f"{line} ".startswith(f"{name} ")), key=len)
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= known, line


def test_the_exit_codes_are_those_of_the_errors() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    leaves = [error for error in vars(errors).values() if isinstance(error, type)]
    assert documented == {0, *(error.exit_code for error in leaves if issubclass(error, errors.TimingMatError))}


# ---- mat.toml --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", TABLES)
def test_a_table_stands_there_with_every_key_and_no_other(heading: str) -> None:
    section = CONFIGURATION.partition(f"#### `{heading}`")[2].partition("\n#### ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    assert {key for cell in cells for key in re.findall(r"`([a-z_]+)`", cell)} == TABLES[heading]


def test_no_table_stands_there_that_does_not_exist() -> None:
    assert set(re.findall(r"^#### `(\[[^`]*\])`", CONFIGURATION, re.MULTILINE)) == set(TABLES)


@pytest.mark.parametrize("block", blocks("toml"))
def test_an_example_of_a_file_is_good(block: str) -> None:
    loads(block, "README.md")


# ---- topics and messages ---------------------------------------------------------------------------------


def test_every_topic_stands_there() -> None:
    rows = re.findall(r"^\| (`[a-z]+`(?:, `[a-z]+`)*) \| [01]", README, re.MULTILINE)
    assert {what for row in rows for what in re.findall("[a-z]+", row)} == {
        *wire.SEQUENCED,
        *("heard", "status", "link", "selftest", "cmd", "reply", "ack", "expect"),
    }


MESSAGES = re.findall(r"^`(timing/[^`]*)`\n\n```json\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("topic", "text"), MESSAGES, ids=[topic.rpartition("/")[2] for topic, _ in MESSAGES])
def test_an_example_of_a_message_is_one(topic: str, text: str) -> None:
    message = wire.decode(topic, text.encode())
    known = msgspec.to_builtins(message.body if isinstance(message, wire.Sequenced) else message)
    envelope = set(wire.Envelope.__struct_fields__)
    assert set(json.loads(text)) <= set(known) | envelope


def test_every_message_that_is_sent_is_shown() -> None:
    shown = {topic.rpartition("/")[2] for topic, _ in MESSAGES}
    assert shown == {"split", "heard", "gun", "marker", "coverage", "notice", "status", "link", "selftest"}


def test_the_subscriber_prints_each_split_once_at_its_highest_revision(mosquitto: Mosquitto, tmp_path: Path) -> None:
    _, program = blocks("python")
    assert "1883" in program
    path = tmp_path / "subscriber.py"
    path.write_text(program.replace("1883", str(mosquitto.port)))
    ((topic, text),) = [message for message in MESSAGES if message[0].endswith("/split")]
    told = json.loads(text)
    revised = told | {"seq": told["seq"] + 1, "rev": 2, "time": told["last"]}
    other = told | {"seq": told["seq"] + 2, "passing": "another", "bib": "LAST"}
    shown = tmp_path / "shown.txt"
    with shown.open("w") as output:
        process = subprocess.Popen([sys.executable, str(path)], stdout=output, stderr=subprocess.STDOUT)
    try:
        with Subscriber(mosquitto.port, "none") as speaker:
            # Retained, the first one waits for the subscription.
            speaker.say(topic, json.dumps(told).encode(), retain=True)
            wait_until(lambda: "rev 1" in shown.read_text(), what="the first split")
            for split in (told, revised, revised, told, other):
                speaker.say(topic, json.dumps(split).encode())
        wait_until(lambda: "LAST" in shown.read_text(), what="the last split")
    finally:
        process.terminate()
        process.wait(10)
    assert shown.read_text().splitlines() == [
        f"{told['time']} {told['bib']} rev 1",
        f"{revised['time']} {told['bib']} rev 2",
        f"{told['time']} LAST rev 1",
    ]


def test_the_feed_prints_what_was_told_before_it_came_and_no_test(mosquitto: Mosquitto, tmp_path: Path) -> None:
    program, _ = blocks("python")
    assert "1883" in program
    path = tmp_path / "feed.py"
    path.write_text(program.replace("1883", str(mosquitto.port)))
    log = Log()
    before = [
        log.split(1, at_s=1, bib="101"),
        log.split(2, at_s=2, mode="test"),
        log.split(1, at_s=1.5, rev=2, bib="101"),
    ]
    shown = tmp_path / "shown.txt"
    with FakeMat(mosquitto.port, log) as mat, shown.open("w") as output:
        process = subprocess.Popen([sys.executable, str(path)], stdout=output, stderr=subprocess.STDOUT, cwd=tmp_path)
        try:
            wait_until(lambda: "rev 2" in shown.read_text(), what="what was told before")
            mat.tell(*before, log.split(3, at_s=3))
            wait_until(lambda: "00000003" in shown.read_text(), what="what is told now")
        finally:
            process.terminate()
            process.wait(10)
    assert shown.read_text().splitlines() == [
        f"{before[2]['time']} finish 101 rev 2",
        f"{log.entries[4]['time']} finish 00000003 rev 1",
    ]
    assert (tmp_path / "scoring.db").exists()


# ---- what the box says -----------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", ["### What you see", "### Security"])
def test_the_words_in_the_table_of_troubles_are_those_of_the_program(heading: str) -> None:
    table = README.partition(heading)[2].partition("\n#")[0].rpartition("| you see |")[2]
    first_cells = re.findall(r"^\| ([^|]*`[^|]*) \|", table, re.MULTILINE)
    said = [
        piece.strip() for cell in first_cells for words in re.findall("`([^`]+)`", cell) for piece in words.split("…")
    ]
    texts = [
        node.value
        for path in (ROOT / "reader").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(said) > 10
    assert [words for words in said if not any(words in text for text in texts)] == []
