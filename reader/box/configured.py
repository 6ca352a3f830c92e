"""The configuration as a part of the box: whether it is in force, and the chip file that it names."""

from __future__ import annotations

from reader.config import Config, load_chips
from reader.errors import ConfigError
from reader.messages import Part


def look_at_config(config: Config, trouble: str) -> tuple[Part, dict[str, str] | None]:
    """How the configuration stands, and the chip file, without which timing goes on.

    ``trouble``: what is wrong with the file that should be in force, or "".
    """
    bibs = None
    if config.chips.bibs is not None:
        try:
            bibs = load_chips(config.chips.bibs)
        except ConfigError as error:
            trouble = trouble or f"the chip file is not used: {error}"
    if trouble:
        return Part("fail", trouble), bibs
    return Part("ok", f"{config.source} is in force"), bibs
