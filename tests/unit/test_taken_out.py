"""Secrets out of a text, and not one other byte."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.config import loads, taken_out
from reader.errors import ConfigError

MAT = '[mat]\nevent = "e"\npoint = "p"\nid = "m"\n[[reader]]\nprotocol = "auto"\nport = "auto"\n'


@pytest.mark.parametrize(
    ("before", "after", "secrets"),
    [
        ('[mqtt]\npassword = "x y"\n', '[mqtt]\npassword_file = "mqtt-password"\n', {"mqtt-password": "x y"}),
        ("[mqtt]\npassword = 'x\"y'\n", '[mqtt]\npassword_file = "mqtt-password"\n', {"mqtt-password": 'x"y'}),
        ('[mqtt]\npassword="\\u00fc\\\\\\""', '[mqtt]\npassword_file = "mqtt-password"', {"mqtt-password": 'ü\\"'}),
        ("[web]\npin = 4711", '[web]\npin_file = "web-pin"', {"web-pin": "4711"}),
        (
            '\ufeff# ours\r\n[mqtt]  # rc\r\n\t"password"  =  "x" # of 2023\r\nport = 1\r\n',
            '\ufeff# ours\r\n[mqtt]  # rc\r\n\tpassword_file = "mqtt-password" # of 2023\r\nport = 1\r\n',
            {"mqtt-password": "x"},
        ),
        (
            '[web]\npin = "1"\n[mqtt]\npassword = "x"\n',
            '[web]\npin_file = "web-pin"\n[mqtt]\npassword_file = "mqtt-password"\n',
            {"mqtt-password": "x", "web-pin": "1"},
        ),
        # Written anew beside what an earlier start made of the one before.
        (
            '[mqtt]\npassword = "new"\npassword_file = "mine"\n',
            '[mqtt]\n\npassword_file = "mine"\n',
            {"mine": "new"},
        ),
        # The line that looks like it, and isn't.
        (
            '[mat]\nlabel = """\npassword = "x"\n"""\n[o]\npassword = "x"\n[mqtt]\npassword = "x"\n',
            '[mat]\nlabel = """\npassword = "x"\n"""\n[o]\npassword = "x"\n[mqtt]\npassword_file = "mqtt-password"\n',
            {"mqtt-password": "x"},
        ),
    ],
)
def test_the_line_names_a_file_instead_and_all_else_stays(before: str, after: str, secrets: dict[str, str]) -> None:
    taken = taken_out(before.encode())
    assert taken.data.decode() == after
    assert taken.secrets == secrets
    assert taken.problems == []


@pytest.mark.parametrize(
    "text", ["", MAT, '[mqtt]\npassword_file = "x"\n', 'mqtt = "x"\n', '[other]\npassword = "x"\n']
)
def test_a_text_without_a_secret_stays(text: str) -> None:
    assert taken_out(text.encode()) == (text.encode(), {}, [])


@pytest.mark.parametrize(
    "text",
    [
        'mqtt = {password = "x"}\n',
        'mqtt.password = "x"\n',
        '[mqtt]\npassword = """x"""\n',
        '[mqtt]\npassword = ""\n',
        '[mqtt]\npassword = "x\\ny"\n',
        "[mqtt]\npassword = true\n",
        '[mqtt]\npassword = "x"\npassword_file = "/etc/other"\n',
    ],
)
def test_what_can_not_be_taken_out_stays_and_is_told_without_the_secret(text: str) -> None:
    taken = taken_out(text.encode())
    assert (taken.data.decode(), taken.secrets) == (text, {})
    (problem,) = taken.problems
    assert problem.startswith("[mqtt] password: expected")
    assert "x" not in problem.replace("expected", "").replace("text", "")


@given(st.text(st.characters(codec="utf-8"), max_size=60), st.text(max_size=40))
def test_what_comes_out_says_the_same_but_for_the_secret(password: str, comment: str) -> None:
    quoted = "".join(f"\\U{ord(letter):08x}" if letter in '"\\' or ord(letter) < 32 else letter for letter in password)
    note = "".join(letter for letter in comment if letter.isprintable())
    text = f'# {note}\n[mqtt]\npassword = "{quoted}" # {note}\nport = 1\n'.replace("\x7f", "")
    try:
        found = tomllib.loads(text)
    except ValueError:
        return
    taken = taken_out(text.encode())
    if taken.problems:
        assert taken.data.decode() == text
        return
    assert taken.secrets == {"mqtt-password": found["mqtt"]["password"]}
    assert tomllib.loads(taken.data.decode()) == {"mqtt": {"password_file": "mqtt-password", "port": 1}}
    assert taken.data.decode().splitlines() == [
        f"# {note}",
        "[mqtt]",
        f'password_file = "mqtt-password" # {note}',
        "port = 1",
    ]


@pytest.mark.parametrize(("key", "file"), [("mqtt.password", "mqtt-password"), ("web.pin", "web-pin")])
def test_a_secret_in_a_file_that_is_read_is_refused_with_what_to_do(key: str, file: str, tmp_path: Path) -> None:
    table, name = key.split(".")
    with pytest.raises(ConfigError) as refused:
        loads(f'{MAT}[{table}]\n{name} = "korrekt"\n', str(tmp_path / "mat.toml"))
    (problem,) = refused.value.problems
    assert problem.startswith(f"{key}: a secret can't stand here")
    assert f'/etc/timing-mat/credentials/{file} and here {name}_file = "{file}"' in problem
    assert "korrekt" not in problem
