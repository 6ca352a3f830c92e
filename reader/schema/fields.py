"""What the fields of messages mean, for a schema: a description for each, and what a struct's type does not say of it.

A name means the same wherever it stands; where it can't, ``Struct.name`` goes before ``name``. The keywords are JSON
Schema's. They say what this version writes and no less, so that a receiver who trusts them is never surprised.
"""

from __future__ import annotations

from typing import NamedTuple

from reader.config.settings import LEVEL

Keywords = dict[str, object]


class Field(NamedTuple):
    """A sentence, and keywords beyond the type, if any. Of an array, ``items`` are those of each item."""

    says: str
    keywords: Keywords | None = None


OURS: Keywords = {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", "format": "date-time"}
# What race control says may have been written by another program: any RFC 3339 with its zone.
THEIRS: Keywords = {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$", "format": "date-time"}
CHIP: Keywords = {"pattern": "^([0-9A-F]{2})+$"}
EPOCH: Keywords = {"pattern": "^[0-9a-f]{16}$"}
ID: Keywords = {"pattern": "^[0-9a-f]{16}-[1-9][0-9]*$"}
TOPIC_LEVEL: Keywords = {"pattern": f"^{LEVEL}$"}
COUNT: Keywords = {"minimum": 0}
FROM_ONE: Keywords = {"minimum": 1}
WHY = ["clock", "heard_again", "late_reads", "left", "mode", "still_here", "stronger"]

FIELDS: dict[str, Field] = {
    # ---- the envelope, and what all in the log share
    "v": Field("The version of these messages.", {"enum": [1]}),
    "type": Field("What it is, as the last level of its topic."),
    "epoch": Field("Which journal it stands in. Random, made with the journal.", EPOCH),
    "seq": Field(
        "Its number in that journal, from 1, without a gap: with `epoch`, its name. A repeat bears it too.", FROM_ONE
    ),
    "event": Field("The event, a level of the topic.", TOPIC_LEVEL),
    "point": Field("The timing point, a level of the topic.", TOPIC_LEVEL),
    "mat": Field("The mat, a level of the topic.", TOPIC_LEVEL),
    "box": Field("The box's own number, whichever mat it is."),
    "mode": Field("The mat's mode: scoring leaves out `test`."),
    "role": Field("`main`; `backup`: a second mat behind; `side`: beside, the same line of a wide road."),
    "time": Field("The moment it is about, UTC.", OURS),
    "boot": Field("Which start of the box: within one, all times come from one clock."),
    "clock": Field("How good the box's clock was."),
    "durable": Field(
        "False, and only then present: the disk could not take it, it is kept in memory.", {"enum": [False]}
    ),
    "rev": Field("Its revision, from 1: keep the highest. No revision is another crossing, gun or marker.", FROM_ONE),
    "revised_for": Field("Why it is told again; from revision 2 on.", {"enum": WHY}),
    "of": Field("The same in every revision.", ID),
    "n": Field("Its number in its epoch, from 1.", FROM_ONE),
    # ---- the clock
    "ClockQuality.synced": Field("Whether UTC was known to 100 ms."),
    "ClockQuality.source": Field("Where UTC came from."),
    "ClockQuality.error_ms": Field("How far UTC may be off, in milliseconds; null while unknown.", COUNT),
    # ---- split, heard
    "passing": Field("One crossing of one chip on one line: the same in every revision, and in `heard`.", ID),
    "chip": Field("The chip's code, the same from any family of readers: upper-case hex, leading zeros kept.", CHIP),
    "bib": Field("The bib, where the mat has a chip file that knows it."),
    "listed": Field("Whether the chip stands in the mat's chip file; absent without one."),
    "pick": Field("Which of the three times `time` was chosen by."),
    "use": Field("What the mat is for."),
    "first": Field("When it was heard first, UTC.", OURS),
    "best": Field("When it was over the mat by the strongest reads, UTC.", OURS),
    "last": Field("When it was heard last, UTC.", OURS),
    "time_error_ms": Field("Half-width of a 95 % interval of `time`, in milliseconds; null while unknown.", COUNT),
    "spread_ms": Field("The same from the reads alone: what decides between two splits of one mat.", COUNT),
    "reader_error_ms": Field("How far the reads may be off by the reader's own clock, in milliseconds.", COUNT),
    "nth": Field("Which passing of this chip this is here, in this epoch.", FROM_ONE),
    "Split.reads": Field("Reads so far.", FROM_ONE),
    "rssi_dbm": Field("The strongest signal, in dBm; null for a reader that does not say."),
    "line": Field("The line of mats."),
    "reader": Field("The reader, by its name."),
    "antenna": Field("The antenna, from 1 as printed on the reader; null for all, or where it is not known.", FROM_ONE),
    "time_from": Field(
        "`host`: some of its reads have the time of their arrival; else the reader's own, disciplined or not."
    ),
    "lingering": Field("It stayed on the mat for longer than `linger_s`."),
    "left": Field("It has since gone."),
    "loiter": Field("Its fourth or later passing within 5 minutes: someone standing about."),
    "after_restart": Field("The mat can't know whether this passing had begun before a restart."),
    # ---- gun, marker, coverage, notice
    "Gun.name": Field("Whose start it is: elites, wheelchairs, wave-2."),
    "source": Field("What it came from: a contact, the button, or a command."),
    "is_given": Field("Its time came with it, by the clock of whoever fired it."),
    "text": Field("What it is, in a few words."),
    "hearing": Field("Whether it can hear now; `partial`: some of its antennas."),
    "reason": Field("Why, in a sentence."),
    "since": Field("Since when, UTC.", OURS),
    "kind": Field("What the notice is about."),
    "says": Field("A sentence for people."),
    "by": Field("Who did it, or asks for it."),
    "from_seq": Field("The first of the entries it is about.", FROM_ONE),
    "through_seq": Field("The last of the entries it is about.", FROM_ONE),
    "offset_us": Field("By how much times moved at most, in microseconds."),
    # ---- status
    "Status.time": Field("When it was said, UTC.", OURS),
    "every_s": Field("It is said at least so often, in seconds.", FROM_ONE),
    "label": Field("What the sticker on the box says; without one the last six of its number, or null."),
    "recording": Field("Whether the mat hears and keeps what it hears."),
    "parts": Field("How each part of the box is, by its name: daemon, reader:main, clock, journal, broker and so on."),
    "word": Field("How it is, in a word."),
    "antennas": Field("What each antenna hears."),
    "state": Field("How the antenna is, in a word."),
    "reads_60s": Field("Reads in the last 60 seconds.", COUNT),
    "chips_60s": Field("Chips in the last 60 seconds.", COUNT),
    "best_dbm": Field("The strongest signal of the last 60 seconds, in dBm, or null."),
    "revisit_ms": Field("How long the antenna waits for its next turn, in milliseconds; null where not known.", COUNT),
    "on_mat": Field("The chips that stay on the mat."),
    "OnMat.count": Field("How many.", COUNT),
    "longest": Field("Those longest there: chip, and seconds."),
    "counts": Field("Since the daemon began."),
    "Counts.reads": Field("Reads.", COUNT),
    "Counts.splits": Field("Passings told.", COUNT),
    "Counts.chips": Field("Chips.", COUNT),
    "Counts.rejected": Field("Bytes that meant nothing, how often, by reason."),
    "last_read": Field("When the last read came, UTC; null: none yet.", OURS),
    "last_seq": Field("The last entry of this epoch.", COUNT),
    "delivered_seq": Field("Through which entry of this epoch all is delivered.", COUNT),
    "Status.acks": Field("Through which entry of this epoch each collector has it all, by the collector's name."),
    "backlog": Field("Entries not yet delivered.", COUNT),
    "line_use_pct": Field("How much of what the line to the reader can carry is used, in per cent, by reader."),
    "version": Field("Of the program."),
    "uptime_s": Field("How long the daemon has run, in seconds.", COUNT),
    "power": Field("What is known of the supply."),
    "volts": Field("Its voltage; null: not measured."),
    "percent": Field("How full it says it is; null: it does not say.", COUNT | {"maximum": 100}),
    "hours_left": Field("How long it lasts, as it has fallen so far; null: not known yet.", COUNT),
    "hours_needed": Field("Until the last runner is expected here; null: race control has not said.", COUNT),
    "failing": Field("It has said that it is going: the box runs on what is left in it."),
    "teardown": Field("Whether the mat may be rolled up."),
    "verdict": Field("`CLEAR`: it may. Never by silence."),
    "reasons": Field("Why, or why not, in sentences."),
    # ---- selftest
    "SelfTest.time": Field("When it ended, UTC.", OURS),
    "took_s": Field("How long it took, in seconds.", COUNT),
    "SelfTest.verdict": Field("The worst that was found; what was skipped changes nothing."),
    "SelfTest.says": Field("One sentence that a crew can act on, the worst first."),
    "SelfTest.checks": Field("What was found, in the order in which it was looked at."),
    "Check.name": Field("The check, and after a colon of what: the reader, the antenna, the light."),
    "result": Field("`skip`: it was not looked at, and `says` why not."),
    "value": Field("What was measured, with its unit; empty where nothing was."),
    "limit": Field("What the value had to keep, with its unit; empty where there is none."),
    "Check.do": Field("What to do about it; empty where there is nothing to do."),
    # ---- link
    "link": Field("`lost` is the broker's word, the box's last will."),
    "connection": Field("Which connection of the box says so."),
    # ---- commands and replies: of a command's fields the keywords are its struct's, unless it is named here
    "do": Field("The command."),
    "id": Field("Chosen by who asks; the reply bears it."),
    "Reply.id": Field("That of the command; null where it had none."),
    "Gun.at": Field("When it was, by the clock of whoever fired it; without it, now.", THEIRS),
    "set": Field("Set the readers' clocks first."),
    "Clocks.reader": Field("Only this reader's."),
    "Rewind.epoch": Field("Only the entries of this epoch."),
    "Rewind.from_seq": Field("From this entry on; needs `epoch`."),
    "Rewind.through_seq": Field("Through this entry; needs `epoch`."),
    "Rewind.since": Field("From this time on.", THEIRS),
    "Rewind.until": Field("Up to this time.", THEIRS),
    "Rewind.chip": Field("Only the splits of this chip."),
    "SetMode.mode": Field("The mode from here on."),
    "light": Field("Only this light is on, to see whether it works; refused in mode `race`."),
    "for_s": Field("For so long, in seconds."),
    "Release.by": Field("Who says that the mat may be rolled up."),
    "RunSelfTest.checks": Field("Only these checks."),
    "yes": Field("It may transmit, and beep."),
    "seen": Field("By light, and `buzzer`, whether somebody saw it go on, or heard it, when asked by `identify`."),
    "chip_wait_s": Field("How long a test chip is waited for on each antenna, in seconds."),
    "publish": Field("Publish the report as well, retained."),
    "live": Field("Over the control socket: tell of each finding as it is made, before the report."),
    "ok": Field("Whether it was done."),
    "error": Field("Why not, in a sentence."),
    "page": Field("Which page of a rewind this is.", FROM_ONE),
    "pages": Field("How many there are.", FROM_ONE),
    "entries": Field("Whole messages, as on their topics."),
    # ---- from race control
    "Ack.acks": Field("Through which `seq` everything stands on this collector's disk, by epoch."),
    "Ack.time": Field("When that was said.", THEIRS),
    "Expect.count": Field("How many runners are still to come here.", COUNT),
    "Expect.chips": Field("The chips of those still to come; only while they are few.", {"items": CHIP}),
    "sweep_armed": Field("The chips of the sweep, after which the mat may go.", {"items": CHIP}),
    "last_runner_at": Field("When the last one is expected, an estimate; null: not known.", THEIRS),
    "as_of": Field("When this was known.", THEIRS),
}


def field_of(struct: str, name: str) -> Field | None:
    """What is said of that field of that struct; None: nothing yet."""
    return FIELDS.get(f"{struct}.{name}") or FIELDS.get(name)
