"""The options that lead to a broker, one set for every command that speaks with one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, Literal, ParamSpec

import msgspec
import typer

from reader.config import MqttSettings
from reader.config.agreement import BELONGS_TO
from reader.config.reading import Reading
from reader.config.settings import Level
from reader.errors import UsageError

Own = ParamSpec("Own")


def as_level(param: typer.CallbackParam, value: str | None) -> str | None:
    """A callback of an option or argument: it is one level of a topic. UsageError says what one looks like."""
    if value is not None:
        try:
            msgspec.convert(value, Level)
        except msgspec.ValidationError as error:
            raise UsageError(f'{param.opts[0]}: found "{value}", expected {_LEVEL_SAYS}') from error
    return value


_LEVEL_SAYS = Level.__metadata__[0].description  # type: ignore[attr-defined] # it is Annotated
EventOption = Annotated[str | None, typer.Option(help="Only this event.", callback=as_level, show_default=False)]


def _options(
    host: Annotated[str, typer.Option(help="The broker's name or address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Its port.", min=1, max=65535)] = 1883,
    hosts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:PORT", help="Instead of the two; given again: a cluster, tried in turn.", show_default=False
        ),
    ] = None,
    version: Annotated[
        Literal["auto", "5", "3.1.1"], typer.Option(help="Of MQTT; auto: 5, and 3.1.1 where that is not spoken.")
    ] = "auto",
    prefix: Annotated[str, typer.Option(help="The first level of the topics.")] = "timing",
    username: Annotated[str | None, typer.Option(help="The account.", show_default=False)] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="The file that holds its password, and nothing else.", show_default=False)
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="TLS: the authority that the broker's certificate is of.", show_default=False)
    ] = None,
    cert_file: Annotated[Path | None, typer.Option(help="TLS: a certificate of our own.", show_default=False)] = None,
    key_file: Annotated[Path | None, typer.Option(help="TLS: its key.", show_default=False)] = None,
) -> None:
    """The options as typer sees them; :func:`settings_from_options` takes what was typed."""


OPTIONS = inspect.signature(_options, eval_str=True).parameters


def with_broker(command: Callable[Concatenate[MqttSettings, Own], None]) -> Callable[..., None]:
    """The command with these options in place of its first parameter, which is given what they say.

    They stand behind the command's own: arguments first, then its options, then the way to the broker.
    """
    signature = inspect.signature(command, eval_str=True)
    own = list(signature.parameters.values())[1:]

    @functools.wraps(command)
    def typed(**given: Any) -> None:
        broker = settings_from_options(**{name: given.pop(name) for name in OPTIONS})
        command(broker, **given)  # type: ignore[call-arg] # the names are those of its own signature

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *OPTIONS.values())]
    typed.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # what typer asks for
    typed.__annotations__ = {one.name: one.annotation for one in parameters}
    return typed


def settings_from_options(**typed: object) -> MqttSettings:
    """The settings that `[mqtt]` would have for these options; those that are None were not typed.

    UsageError says each mistake, in the words of the file.
    """
    found = {name: str(value) if isinstance(value, Path) else value for name, value in typed.items()}
    found = {name: value for name, value in found.items() if value not in (None, [])}
    reading = Reading(Path.cwd(), {})
    settings = reading.table(MqttSettings, found)
    problems = [_as_typed(problem) for problem in reading.problems]
    for key, owner in BELONGS_TO.items():
        name, owner = key.removeprefix("mqtt."), owner.removeprefix("mqtt.")
        if name in found and owner not in found:
            problems.append(f"{_option(name)}: found without {_option(owner)}, expected both")
    if problems:
        raise UsageError("\n".join(problems))
    return settings


def _as_typed(problem: str) -> str:
    key, _, says = problem.partition(":")
    return f"{_option(key)}:{says}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
