"""The schemas: sound, whole, and strict enough to refuse what is wrong."""

from __future__ import annotations

import copy
import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from reader import schema
from reader.box.commands import STRUCTS
from reader.journal import JournalView
from reader.model import Fired, Marked
from reader.schema.asyncapi import SPOKEN
from reader.schema.fields import FIELDS
from reader.uplink import wire
from tests.daemon import COMMAND
from tests.fakes.clock import FakeClock
from tests.run import Run
from tests.schemas import check, faults
from tests.test_docs import MESSAGES, README

Message = dict[str, Any]

OFFICIAL = json.loads(gzip.decompress((Path(__file__).parents[1] / "asyncapi" / "3.0.0.json.gz").read_bytes()))
DEFINITIONS = schema.definitions()

EXAMPLES: dict[str, Message] = {topic.split("/")[4]: json.loads(text) for topic, text in MESSAGES} | {
    "cmd": {"id": "7", "do": "gun", "name": "elites", "at": "2026-03-07T13:48:50.5Z", "by": "Ann"},
    "reply": {"id": "7", "ok": True, "time": "2026-03-07T13:48:50.500000Z"},
    "ack": {"box": "b17", "acks": {"f236e001aab5b600": 7}, "time": "2026-03-07T13:48:50Z"},
    "expect": {
        "count": 2,
        "chips": ["05A0", "05A1"],
        "sweep_armed": ["E28011700000000000000001"],
        "last_runner_at": None,
        "as_of": "2026-03-07T13:48:50.500000Z",
    },
}
ALL = sorted(EXAMPLES)


# ---- sound and whole -------------------------------------------------------------------------------------


def test_they_are_schemas_and_each_stands_alone() -> None:
    Draft202012Validator.check_schema(schema.bundle())
    for name in schema.NAMES:
        document = schema.one(name)
        Draft202012Validator.check_schema(document)
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    together = Draft202012Validator(schema.bundle())
    for example in EXAMPLES.values():
        together.validate(example)


def test_every_topic_has_one() -> None:
    assert set(EXAMPLES) == set(schema.NAMES) == set(SPOKEN)
    assert set(wire.SEQUENCED) < set(schema.NAMES)
    assert {f"cmd-{name}" for name in STRUCTS} < set(DEFINITIONS)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_everything_says_what_it_is(name: str) -> None:
    definition = DEFINITIONS[name]
    assert definition["description"], name
    mute = [key for key, its in definition.get("properties", {}).items() if not its.get("description")]
    assert not mute, f"{name}: say in reader/schema/fields.py what {mute} means"
    assert "\n    " not in definition["description"]


def test_nothing_is_said_of_fields_that_do_not_exist() -> None:
    names = {key for definition in DEFINITIONS.values() for key in definition.get("properties", {})}
    assert {key.rpartition(".")[2] for key in FIELDS} <= names


@pytest.mark.parametrize("name", ALL)
def test_an_example_is_good_and_may_have_fields_of_a_later_version(name: str) -> None:
    assert faults(name, EXAMPLES[name]) == []
    later = EXAMPLES[name] | {"something": "new"}
    assert bool(faults(name, later)) == (name == "cmd")


def test_a_command_without_an_id_is_answered_without_one() -> None:
    assert faults("reply", {"id": None, "ok": False, "error": "id: expected text"}) == []


# ---- strict ----------------------------------------------------------------------------------------------

WRONG: list[Any] = [{}, [[]], "?", 1.5, True, None]


def schema_of(name: str) -> dict[str, Any]:
    return DEFINITIONS["cmd-gun"] if name == "cmd" else DEFINITIONS[name]


def mutations(name: str) -> Iterator[tuple[str, Message]]:
    """What is wrong, and the message: each field missing that must not be, and of a type that it can't have."""
    shape = schema_of(name)
    for key in shape["required"]:
        yield f"no {key}", {field: value for field, value in EXAMPLES[name].items() if field != key}
    for key, its in shape["properties"].items():
        alone = Draft202012Validator(its | {"$defs": DEFINITIONS})
        for value in WRONG:
            if not alone.is_valid(value):
                yield f"{key} is {value!r}", EXAMPLES[name] | {key: value}


@pytest.mark.parametrize("name", ALL)
def test_what_is_wrong_is_refused(name: str) -> None:
    tried = 0
    for says, message in mutations(name):
        assert faults(name, message), f"{name}: {says} was taken"
        tried += 1
    assert tried >= 4 * len(schema_of(name)["properties"])  # of six wrong values two may be right


@pytest.mark.parametrize("name", [name for name in ALL if name != "cmd"])
def test_a_field_that_is_no_such_type_is_refused_by_the_program_too(name: str) -> None:
    topic = f"timing/e/p/m/{'ack/rc1' if name == 'ack' else name}"
    assert wire.decode(topic, json.dumps(EXAMPLES[name]).encode())
    for key, its in schema_of(name)["properties"].items():
        message = EXAMPLES[name] | {key: {"no": "such"}}
        if its.get("type") == "object" or "$ref" in its or key in ("page", "pages", "entries"):
            continue
        with pytest.raises(wire.MessageMalformed):
            wire.decode(topic, json.dumps(message).encode())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("split", {"rev": 2}),  # without a reason
        ("split", {"revised_for": "left"}),  # a reason without a revision
        ("split", {"rev": 2, "revised_for": "whim"}),
        ("split", {"chip": "05a0"}),
        ("split", {"chip": "5A0"}),
        ("split", {"time": "2026-03-07T13:48:50Z"}),
        ("split", {"time": "2026-03-07T13:48:50.500000+00:00"}),
        ("split", {"epoch": "F236E001AAB5B600"}),
        ("split", {"passing": "f236e001aab5b600-0"}),
        ("split", {"seq": 0}),
        ("split", {"v": 2}),
        ("split", {"type": "gun"}),
        ("split", {"event": "Chicago"}),
        ("split", {"durable": True}),
        ("split", {"antenna": 0}),
        ("split", {"time_error_ms": -1}),
        ("split", {"mode": "practice"}),
        ("split", {"clock": {"synced": True, "source": "sundial", "error_ms": 1}}),
        ("heard", {"passing": "?"}),
        ("gun", {"source": "bell"}),
        ("coverage", {"hearing": "perhaps"}),
        ("notice", {"kind": "gossip"}),
        ("status", {"teardown": {"verdict": "PERHAPS", "reasons": []}}),
        ("status", {"parts": {"clock": {"word": "fine", "says": ""}}}),
        ("link", {"link": "asleep"}),
        ("ack", {"acks": {"no epoch": 1}}),
        ("ack", {"acks": {"f236e001aab5b600": "7"}}),
        ("expect", {"chips": ["05a0"]}),
        ("expect", {"count": -1}),
        ("expect", {"last_runner_at": "16:10"}),
        ("reply", {"ok": False}),  # without a reason
        ("reply", {"entries": [{"type": "split"}]}),
        ("cmd", {"do": "shutdown"}),
        ("cmd", {"name": "a\nb"}),
        ("cmd", {"id": ""}),
        ("cmd", {"at": "noon"}),
    ],
)
def test_what_only_a_rule_forbids_is_refused(name: str, change: Message) -> None:
    assert faults(name, EXAMPLES[name] | change)


def test_every_kind_of_revision_of_a_real_log_is_good(tmp_path: Path) -> None:
    clock = FakeClock(synced=False)
    clock.step(3600)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    run.hear(("A1", -50))
    run.take(Fired(clock.now(), "elite", "input"), Marked(clock.now(), "rain", "button"))
    for _ in range(40):  # the chip stays for ten seconds
        run.wait(0.25)
        run.hear(("A1", -40))
    clock.step(-3600)
    clock.synced, clock.error_ms = True, 12.5
    for seconds in (1, 31, *[1] * 10, 100):
        run.wait(seconds)
    run.end()
    view = JournalView(tmp_path / "j.db")
    messages = [
        (f"timing/e/p/m/{entry.type}", wire.payload(row.identity, entry))
        for row in view.epochs()
        for entry in view.entries(row.epoch, 0, 1000)
    ]
    view.close()
    assert check(messages).keys() == set(wire.SEQUENCED)
    reasons = {json.loads(payload).get("revised_for") for _, payload in messages}
    assert reasons >= {"clock", "still_here", "left"}


# ---- AsyncAPI --------------------------------------------------------------------------------------------


def test_the_asyncapi_document_is_good_by_asyncapis_own_schema() -> None:
    official = Draft7Validator(OFFICIAL)
    document = json.loads(json.dumps(schema.asyncapi("1.2.3")))
    assert [f"{error.json_path}: {error.message[:200]}" for error in official.iter_errors(document)] == []
    # The official schema sees what is wrong: at the top, in a channel, in a binding.
    for path, value in (
        (("asyncapi",), "2.6.0"),
        (("channels", "split", "address"), 1),
        (("operations", "send-split", "action"), "shout"),
        (("operations", "send-split", "bindings", "mqtt", "qos"), 3),
        (("components", "schemas", "split", "required"), "all"),
    ):
        wrong = copy.deepcopy(document)
        place = wrong
        for key in path[:-1]:
            place = place[key]
        assert place[path[-1]] != value
        place[path[-1]] = value
        assert not official.is_valid(wrong), path


def test_its_references_lead_somewhere_and_its_parameters_stand_in_the_addresses() -> None:
    document = schema.asyncapi("1.2.3")

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (its for key, its in value.items() if key == "$ref" and isinstance(its, str))
            for its in value.values():
                yield from references(its)
        elif isinstance(value, list):
            for its in value:
                yield from references(its)

    for reference in set(references(document)):
        place: Any = document
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]
    for channel in document["channels"].values():
        levels = [level[1:-1] for level in channel["address"].split("/") if level.startswith("{")]
        assert levels == list(channel["parameters"])


def test_its_payloads_refuse_and_take_what_the_json_schemas_do() -> None:
    document = schema.asyncapi("1.2.3")
    for name, example in EXAMPLES.items():
        payload = document["components"]["messages"][name]["payload"]
        older = Draft7Validator(payload | {"components": document["components"]})
        assert older.is_valid(example), name
        for says, message in mutations(name):
            assert not older.is_valid(message), f"{name}: {says}"
    longest = EXAMPLES["status"] | {"on_mat": {"count": 1, "longest": [["05A0", 1.0, "more"]]}}
    assert faults("status", longest)


def test_how_a_message_goes_is_as_the_readme_says() -> None:
    rows = re.findall(r"^\| ((?:`[a-z]+`(?:, )?)+) \| ([01])(, retained)? \|", README, re.MULTILINE)
    told = {name: (int(qos), bool(kept)) for names, qos, kept in rows for name in re.findall("[a-z]+", names)}
    assert told == {name: (spoken.qos, spoken.is_retained) for name, spoken in SPOKEN.items()}


# ---- the command -----------------------------------------------------------------------------------------


def written(*arguments: object) -> str:
    done = subprocess.run([COMMAND, "schema", *map(str, arguments)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_command_writes_them_to_the_screen_a_file_or_a_folder(tmp_path: Path) -> None:
    assert json.loads(written()) == schema.bundle()
    assert json.loads(written("--format", "asyncapi"))["asyncapi"] == "3.0.0"
    file, folder = tmp_path / "all.json", tmp_path / "new" / "schemas"
    written("--out", file)
    assert json.loads(file.read_text()) == schema.bundle()
    written("--out", folder)
    written("--out", folder, "--format", "asyncapi")
    names = {f"{name}.schema.json" for name in schema.NAMES} | {"asyncapi.json"}
    assert {path.name for path in folder.iterdir()} == names
    split = msgspec.json.decode((folder / "split.schema.json").read_bytes())
    Draft202012Validator(split).validate(EXAMPLES["split"])


def test_a_folder_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run([COMMAND, "schema", "--out", tmp_path / "file"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "file") in done.stderr
