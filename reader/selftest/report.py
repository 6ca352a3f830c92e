"""From what the checks found to a verdict, and to one sentence that a crew can act on: pure."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from reader.box.identity import label_from_box
from reader.clock import rfc3339_from_utc_ns
from reader.messages import Check, Result, SelfTest, Verdict
from reader.model import NS_PER_S, Instant
from reader.selftest.bench import Bench
from reader.wording import counted


def report_from(bench: Bench, checks: list[Check], began_ns: int, now: Instant) -> SelfTest:
    """The message `selftest`. ``began_ns``: when it began, monotonic."""
    return SelfTest(
        time=rfc3339_from_utc_ns(now.utc_ns),
        box=bench.identity.box,
        label=bench.config.mat.label or label_from_box(bench.identity.box),
        version=version("timing-mat"),
        took_s=round((now.mono_ns - began_ns) / NS_PER_S, 1),
        verdict=verdict_of(checks),
        says=sentence_of(checks),
        checks=checks,
    )


def verdict_of(checks: Sequence[Check]) -> Verdict:
    """The worst that was found; what was skipped changes nothing, but where nothing else is found nothing is well."""
    results = {check.result for check in checks}
    return "fail" if "fail" in results else "warn" if "warn" in results or "pass" not in results else "pass"


def sentence_of(checks: Sequence[Check]) -> str:
    """What to do, the worst first; of equals the first, for what stands later in the table hangs on it."""
    verdict = verdict_of(checks)
    if verdict == "fail":
        return f"Do not go to the start like this: {_first(checks, 'fail')}"
    passed, skipped = (sum(check.result == result for check in checks) for result in ("pass", "skip"))
    left_out = f", {skipped} skipped" if skipped else ""
    if skipped == len(checks):
        return f"Nothing is known: no check could be made{left_out}"
    if verdict == "warn":
        return f"Ready, but {_first(checks, 'warn')}"
    return f"Ready: {counted(passed, 'check')} passed{left_out}"


def _first(checks: Sequence[Check], result: Result) -> str:
    """The first that came out so, what to do about it, and how many more there are."""
    first, *others = (check for check in checks if check.result == result)
    says = ": ".join(text.rstrip(".") for text in (first.says, _within(first.do)) if text)
    return f"{says} (and {len(others)} more)" if others else says


def _within(sentence: str) -> str:
    """As it stands within another one: a word that only begins with a capital because it is the first loses it."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence
