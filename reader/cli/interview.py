"""Answers that a command needs: from its options, else from whoever sits at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from reader.errors import UsageError


class Interview:
    """Asks at a terminal; without one a missing answer is a UsageError that names its option."""

    def __init__(self) -> None:
        self.has_terminal = sys.stdin.isatty()

    def text(self, option: str, given: str | None, asks: str, kind: Any, default: str | None = None) -> str:
        """A text of that type, as keys of mat.toml have: ``Annotated`` with a description. ``default``: Enter's."""
        return self._answer(option, given, asks, default, lambda text: trouble_with(text, kind))

    def optional_text(self, option: str, given: str | None, asks: str, kind: Any) -> str | None:
        """Likewise, None where nothing is given; Enter says so too."""
        if given is None and not self.has_terminal:
            return None
        return self._answer(option, given, asks, None, lambda text: text and trouble_with(text, kind)) or None

    def choice(
        self, option: str, given: str | None, asks: str, choices: Mapping[str, str], default: str | None = None
    ) -> str:
        """One of the words; ``choices``: each with what it means. ``default``: Enter's."""
        quoted = ", ".join(f'"{word}"' for word in choices)
        if self.has_terminal:
            width = max(map(len, choices))
            asks = "\n".join([asks, *(f"  {word:{width}}  {says}".rstrip() for word, says in choices.items())])
        else:
            asks = f"{asks} One of {quoted}"
        return self._answer(
            option,
            given,
            asks,
            default,
            lambda text: "" if text in choices else f'found "{text}", expected one of {quoted}',
        )

    def _answer(
        self, option: str, given: str | None, asks: str, default: str | None, trouble: Callable[[str], str]
    ) -> str:
        if given is not None:
            if wrong := trouble(given):
                raise UsageError(f"{option}: {wrong}")
            return given
        if not self.has_terminal:
            raise UsageError(f"{option} is missing, and there is no terminal to ask at. {asks}")
        print(f"\n{asks}")
        while wrong := trouble(text := _line(option, default)):
            print(f"  {wrong}")
        return text


def trouble_with(text: str, kind: Any) -> str:
    """What is wrong with a text as a value of that type, in words; nothing if it is one."""
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return f'found "{text}", expected {kind.__metadata__[0].description}'
    return ""


def _line(option: str, default: str | None) -> str:
    name = option.removeprefix("--")
    try:
        return input(f"{name}{f' [{default}]' if default else ''}: ").strip() or default or ""
    except EOFError:
        raise UsageError(f"{option} is missing: the terminal was closed") from None
