"""From a command's bytes to its replies, whichever way it came: what can't be a command is refused here, in words.

One object ``{"id": "…", "do": "…", …}`` in, one reply out, or as many as there are pages: ``{"id", "ok": true, …}`` or
``{"id", "ok": false, "error": "a sentence"}``. Before the reply there may be words of how far it has come:
``{"id", "ok": true, "doing": "…"}`` and ``{"id", "ok": true, "check": {…}, …}``. Who answers is passed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from reader.errors import TimingMatError

LIMIT_BYTES = 4096  # our limit: the longest command has a text of some hundred characters
ID_CHARACTERS = 200

Command = dict[str, Any]
Reply = dict[str, Any]
Answer = Callable[[Command], Reply | Iterator[Reply]]

log = logging.getLogger(__name__)


def replies(data: bytes, answer: Answer) -> Iterator[Reply]:
    """The replies to one command; at least one, and nothing is raised.

    ``answer`` is given a command with text in ``id`` and ``do``, and returns the other fields of its reply, or those
    of one after the other; ``ok`` is true unless it says otherwise. What it raises becomes an error reply.
    """
    if len(data) > LIMIT_BYTES:
        yield refusal(None, f"the command is too long: found more than {LIMIT_BYTES} bytes, expected at most so many")
        return
    try:
        command = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        yield refusal(None, 'not JSON: expected one object, as in {"id": "1", "do": "ping"}')
        return
    if not isinstance(command, dict):
        yield refusal(None, 'not a command: expected an object, as in {"id": "1", "do": "ping"}')
        return
    its_id = command.get("id")
    for key in ("id", "do"):
        value = command.get(key)
        if not (isinstance(value, str) and 0 < len(value) <= ID_CHARACTERS):
            found = f"found {value!r:.80}" if key in command else "missing"
            yield refusal(its_id, f"{key}: {found}, expected text, 1 to {ID_CHARACTERS} characters")
            return
    try:
        answered = answer(command)
        for fields in [answered] if isinstance(answered, dict) else answered:
            yield {"id": its_id, "ok": True, **fields}
    except TimingMatError as error:
        yield refusal(its_id, str(error))
    except Exception:
        # A fault of ours in one command must not take the others, nor who asked, with it.
        log.exception("the command %.80r failed", command["do"])
        yield refusal(its_id, f"{command['do'][:80]} failed inside the daemon; its log says how")


def is_word_of_progress(reply: Reply) -> bool:
    """Whether it only says how far it has come, for who watches: the reply itself follows."""
    return "doing" in reply or "check" in reply


def has_more(reply: Reply) -> bool:
    """Whether further replies to the same command follow this one."""
    is_last_page: bool = reply.get("page", 1) >= reply.get("pages", 1)
    return reply.get("ok") is True and (is_word_of_progress(reply) or not is_last_page)


def refusal(its_id: object, says: str) -> Reply:
    """An error reply; the ``id`` as far as there was one."""
    return {"id": its_id if isinstance(its_id, str) else None, "ok": False, "error": says}


def encode(reply: Reply) -> bytes:
    """As JSON."""
    return msgspec.json.encode(reply)
