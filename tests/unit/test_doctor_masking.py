"""What a helper may not see, however it is written; and what he needs, and does see."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.doctor.masking import MASK, SHORTEST, Masking, is_secret_name, secrets_in_urls, secrets_named_in

SECRET = 'Rosi"nante 77/ü'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_known_secret_is_masked_in_every_form(written: str) -> None:
    bare = written.strip("\"'")
    masked = Masking([SECRET]).masked(f"before {written} after, and within{bare}words")
    assert bare not in masked
    assert masked.startswith("before ")
    assert masked.endswith("words")


@given(st.text(min_size=SHORTEST), st.text(), st.text())
def test_no_text_keeps_a_known_secret(secret: str, before: str, after: str) -> None:
    secret = secret.strip()
    masked = Masking([secret]).masked(f"{before} {secret} {after}")
    if len(secret) >= SHORTEST and secret not in MASK:
        assert f" {secret} " not in masked.replace(MASK, "")


def test_a_short_one_is_masked_as_a_word_only() -> None:
    assert Masking(["4711"]).masked("pin 4711, seq 47110") == f"pin {MASK}, seq 47110"


def test_what_is_too_short_is_none() -> None:
    assert Masking(["", " ", "a", "42"]).masked("a 42") == "a 42"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('password = "abc def"', f"password = {MASK}"),
        ('MQTT_PASSWORD="abc def" x', f"MQTT_PASSWORD={MASK} x"),
        ("Environment=A_TOKEN=abc", f"Environment=A_TOKEN={MASK}"),
        ('{"secret": "x\\"y", "host": "b"}', f'{{"secret": {MASK}, "host": "b"}}'),
        ('psk = """\nfoo\nbar"""\nx = 1', f"psk = {MASK}\nx = 1"),
        ("crew pin: 44 12", f"crew pin: {MASK}"),
        ("Authorization: Bearer abc", f"Authorization: {MASK}"),
        ("api-key: abc", f"api-key: {MASK}"),
        ("mosquitto_pub --password abc -t x", f"mosquitto_pub --password {MASK} -t x"),
        ("the password is geheim", f"the password is {MASK}"),
        ("rfc2217://u:p@ss@10.0.0.5:1 x", f"rfc2217://{MASK}@10.0.0.5:1 x"),
        ("SetCredential=mqtt:abc\\\n def\nX=1", f"SetCredential=mqtt:{MASK}\nX=1"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----\nx", f"{MASK}\nx"),
        ("-----BEGIN PRIVATE KEY-----\nMHcCAQ\ncut off", MASK),
        ("the release is over: chip 058003E70E35 has crossed", "the release is over: chip (not shown) has crossed"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, masked: str) -> None:
    assert Masking([]).masked(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        'password_file = "mqtt-password"',
        "pin_file = /etc/timing-mat/pin",
        "check username and password_file in [mqtt]",
        "[mqtt] password_file /x: expected one line, the password and nothing else",
        "LoadCredential=timing-mat:/etc/timing-mat/credentials",
        "port = socket://10.0.0.5:10000",
        "ping: 3 ms",
        "username = finish-main",
        "ready_led = 17",
        "epoch f236e001aab5b600: 812 entries",
        "12:30:05",
    ],
)
def test_what_a_helper_needs_stays(text: str) -> None:
    assert Masking(["hunter2horse"]).masked(text) == text


def test_secrets_are_found_where_they_are_named() -> None:
    text = (
        'host = "rc1"\n# old password: hunter2\npin = 4711 # of the crew\n[[reader]]\nport = "socket://u:p%40ss@h:1"\n'
    )
    assert {"hunter2", "4711 "} <= set(secrets_named_in(text))
    assert set(secrets_in_urls(text)) == {"p%40ss", "p@ss"}
    assert set(secrets_in_urls("http://u@h http://[::1 x://u:@h")) == set()


@pytest.mark.parametrize("name", ["key_file", "password-file", "keep_days", "monkey", "opinion", "topic", "spinning"])
def test_not_every_name_is_that_of_a_secret(name: str) -> None:
    assert not is_secret_name(name)


def test_a_long_line_is_masked_in_its_time() -> None:
    text = "a:b=" * 50_000 + "password: x"
    assert Masking(["hunter2horse"]).masked(text).endswith(MASK)
