"""May the mat be rolled up? Never by silence: until someone can know it, the answer is HOLD."""

from __future__ import annotations

from reader.messages import Teardown
from reader.wording import counted


def judge(*, undelivered: int, readers_not_hearing: list[str]) -> Teardown:
    """HOLD, and why: what is known to stand against it, and that nobody has said the last runner is through."""
    reasons = []
    if undelivered:
        reasons.append(f"{counted(undelivered, 'entry')} not yet delivered to race control")
    reasons.extend(f"reader {name} does not hear, so nobody knows who has passed" for name in readers_not_hearing)
    reasons.append("nobody has said that the last runner is through; quiet alone is never enough")
    return Teardown("HOLD", reasons)
