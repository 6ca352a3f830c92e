"""A text without its secrets: those that are known, and whatever looks like one; pure.

It rather takes out too much: what is missing can be asked for, what was sent can't be taken back.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, urlsplit

MASK = "(masked)"
CHIP = "(not shown)"  # whose it is, others may know
SHORT = 8  # characters; so short a secret (a PIN) may stand within other words by chance
SHORTEST = 3  # what is shorter is no secret, and stands everywhere

_SECRET_NAME = re.compile(
    r".*(passw(or)?d|passphrase|passcode|secret|token|psk|api[_-]?key|private[_-]?key).*"
    r"|(.*[_.-])?(pin|pw|pwd|pass|auth|authorization|key|credentials?)",
    re.IGNORECASE,
)
_KEY_BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_IN_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/\"'<>]+@")
_CREDENTIAL = re.compile(r"(SetCredential\w*[ \t]*=[ \t]*[^\s:]+:)([^\n]*\\\n)*[^\n]*")
_OPTION = re.compile(
    r"(--[A-Za-z-]*(?:passw(?:or)?d|passphrase|secret|token|psk|pin)[ \t]+)(\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE
)
_IN_PROSE = re.compile(r"\b(passwords?|passphrase|pin|secret|token)([ \t]+(?:is|was|are)[ \t]+)[^\n]+", re.IGNORECASE)
_CHIP = re.compile(r"\b(chips? )[0-9A-F]{6,}\b", re.IGNORECASE)
_NAME = re.compile(r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]+)[\"']?[ \t]*(?:=|:(?!//))[ \t]*")
_VALUE = re.compile(
    r"\"\"\"(.*?)(?:\"\"\"|\Z)|'''(.*?)(?:'''|\Z)|\"((?:[^\"\\\n]|\\.)*)\"|'([^'\n]*)'|([^\n]*)", re.DOTALL
)


class Masking:
    """``secrets``: what must not be seen, however it is written."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret.strip()) >= SHORTEST for form in _forms(secret.strip())}
        self._known = [_pattern(form) for form in sorted(forms, key=len, reverse=True)]

    def masked(self, text: str) -> str:
        """The text, with :data:`MASK` for each secret, and without the codes of chips that it tells of."""
        text = _KEY_BLOCK.sub(MASK, text)
        for pattern in self._known:
            text = pattern.sub(MASK, text)
        text = _IN_URL.sub(rf"\1{MASK}@", text)
        text = _CREDENTIAL.sub(rf"\1{MASK}", text)
        text = _OPTION.sub(rf"\1{MASK}", text)
        parts, end = [], 0
        for name_end, value in _named(text):
            parts += [text[end:name_end], MASK]
            end = value.end()
        text = _IN_PROSE.sub(rf"\1\2{MASK}", "".join([*parts, text[end:]]))
        return _CHIP.sub(rf"\1{CHIP}", text)


def is_secret_name(name: str) -> bool:
    """Whether what stands under that name is likely to be one; the name of a file in which one stands is none."""
    return bool(_SECRET_NAME.fullmatch(name)) and not name.lower().endswith("file")


def secrets_named_in(text: str) -> Iterator[str]:
    """What stands behind the name of a secret, with and without what may be a comment behind it."""
    for _, value in _named(text):
        found = next((group for group in value.groups() if group), "")
        yield found
        yield found.partition("#")[0]


def secrets_in_urls(text: str) -> Iterator[str]:
    """The passwords of the URLs in it, as they stand there, and as they are meant."""
    for found in _IN_URL.finditer(text):
        try:
            password = urlsplit(f"{found[0]}host").password
        except ValueError:  # a bracket too many
            continue
        if password:
            yield password
            yield unquote(password)


def _named(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Where the name of each secret ends, and its value."""
    end = 0
    for name in _NAME.finditer(text):
        if name.start() < end or not is_secret_name(name[1]):
            continue
        value = _VALUE.match(text, name.end())
        if value is not None:
            yield name.end(), value
            end = value.end()


def _forms(secret: str) -> Iterator[str]:
    """As it may be written: as it is, in JSON, in Python, in a URL, in base 64."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield quote(secret)
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


def _pattern(form: str) -> re.Pattern[str]:
    escaped = re.escape(form)
    return re.compile(rf"(?<!\w){escaped}(?!\w)" if len(form) < SHORT else escaped)
