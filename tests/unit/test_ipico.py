"""IPICO lines: what each says, what is rejected and why, and the captures of real readers."""

from __future__ import annotations

import calendar
import json
import time
from pathlib import Path

import pytest

from reader.line.protocols import Known
from reader.line.protocols.asking import Asking
from reader.line.protocols.ipico import MAX_LINE, Conversation, Decoder, fields, identify, is_proof
from reader.model import NS_PER_S, ChipRead, Event, Reason, Rejected, Reply
from reader.simulator.ipico import Form, IpicoReader

SHARED = Path(__file__).parents[2].parent / "shared"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared captures and samples are not beside the checkout"
)

READ = b"aa00058000123b3200012603071348503277"
OTHER = b"aa0005800012860800012603071348515f8a"
TTO = b"aa00058000123b3200012603081222022f060080cd"
CLOCK = b"ab000902260306051855443727cf"
BINARY = bytes.fromhex("aa 40 000000012345 0a 2a 011230184559 27 fd 0d0a")
TRIDENT = b"aaB3058000123b32000726030713485032" + b"00FS5a"
STATISTICS = b"ab000f0af800270000ff31144c2b00034500015b"
IN_SAMPLES = "reader tag i q suffix lrc index page tamper first_seen mode time cs cmd bcd error"
NAMES_IN_SAMPLES = {key: key for key in IN_SAMPLES.split()} | {"timeout": "timeout_s"}
BANNER = b"ARM9 Controller for DF Dual DSP (38.4kB) v1.4 Jun  5 2013 14:16:40 (RWXLF)"


def line(body: str, header: str = "aa") -> bytes:
    """A line with the sum of the manual: the ASCII codes between header and sum."""
    return f"{header}{body}{sum(map(ord, body)) % 256:02x}\r\n".encode()


def record(date: str = "260307134850", hundredths: str = "32", chip: str = "058000123b32") -> bytes:
    return line(f"00{chip}0001{date}{hundredths}")


def decoded(*chunks: bytes) -> list[Event]:
    """The events of these chunks; every byte is in one of them or pending."""
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    assert sum(event.size for event in events) + decoder.pending == sum(map(len, chunks))
    return events


def only(*chunks: bytes) -> Event:
    (event,) = decoded(*chunks)
    return event


def ns(text: str, hundredths: int) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")) * 10**9 + hundredths * 10**7


def test_a_read_bears_chip_and_local_time_with_hex_hundredths() -> None:
    assert only(OTHER + b"\r\n") == ChipRead("058000128608", None, None, ns("2026-03-07 13:48:51", 95), None, 37)


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n", b"FS\r\n", b"LS\r"])
@pytest.mark.parametrize("body", [READ, TTO, line("00058000123B3200012603071348503A", "AA").strip()])
def test_line_ends_and_suffixes(body: bytes, end: bytes) -> None:
    first, second = decoded((body + end) * 2)[:2]
    assert isinstance(first, ChipRead)
    assert isinstance(second, ChipRead)
    assert (first.chip, first.reader_ns) == (second.chip, second.reader_ns)
    assert first.chip == "058000123B32"


def test_a_read_is_told_with_the_first_byte_of_its_line_end() -> None:
    decoder = Decoder()
    assert decoder.feed(READ) == []
    assert len(decoder.feed(b"\r")) == 1
    assert decoder.feed(b"\n") == []
    assert decoder.pending == 1


def test_blank_lines_are_counted_with_what_follows() -> None:
    assert only(b"\r\n\n\r" + READ + b"\r").size == 4 + 37


def test_a_clock_that_was_never_set_gives_no_time() -> None:
    read = only(record(date="000000004510"))
    assert isinstance(read, ChipRead)
    assert read.reader_ns is None


@pytest.mark.parametrize(
    "bad",
    [record(date="261307134850"), record(date="260230134850"), record(date="2603071348a0"), record(hundredths="64")],
)
def test_a_right_sum_over_an_impossible_time_is_senseless(bad: bytes) -> None:
    assert only(bad) == Rejected(Reason.SANITY, bad[:-1])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (READ[:-1] + b"8", Reason.INTEGRITY),
        (READ.replace(b"5800", b"5801"), Reason.INTEGRITY),
        (READ.replace(b"5800", b"58x0"), Reason.INTEGRITY),
        (READ[:20], Reason.LENGTH),
        (READ[:8] + READ[10:], Reason.LENGTH),
        (CLOCK[:-1] + b"0", Reason.INTEGRITY),
        (CLOCK.replace(b"0902", b"0802"), Reason.LENGTH),
        (b"ba" + READ[2:], Reason.GARBAGE),
        (b"clear_history", Reason.GARBAGE),
        (b"\x00\x80\xfe", Reason.GARBAGE),
    ],
)
def test_what_is_no_frame_is_rejected_whole_with_its_reason(text: bytes, reason: Reason) -> None:
    assert decoded(text + b"\r" + READ + b"\r")[0] == Rejected(reason, text + b"\r")


@pytest.mark.parametrize(
    "garbage", [b"\x00\xff", b"xyz", b"aa", b"aa0005", b"aaa", READ[:30], b"ab00ff", b"\xaa\xaa", b"ab0002"]
)
@pytest.mark.parametrize("frame", [READ, TTO, CLOCK])
def test_garbage_is_cut_from_the_frame_it_is_glued_to(garbage: bytes, frame: bytes) -> None:
    junk, found = decoded(garbage + frame + b"\r" + b"\n" + READ + b"\r")[:2]
    assert junk == Rejected(Reason.GARBAGE, garbage)
    assert not isinstance(found, Rejected)
    assert found.size == len(frame) + 1


def test_reads_that_lost_the_line_end_between_them_are_both_found() -> None:
    events = decoded(READ + TTO + OTHER + b"zz\r")
    assert [type(event) for event in events] == [ChipRead, ChipRead, ChipRead, Rejected]


def test_binary_and_text_share_the_stream() -> None:
    text = record(chip="0d0a0d0aaaaa")
    events = decoded(BINARY + READ + b"\r\n" + BINARY + b"\xaa" + text + BINARY)
    assert [type(event) for event in events] == [ChipRead, ChipRead, ChipRead, Rejected, ChipRead, ChipRead]
    assert events[0] == ChipRead("000000012345", None, None, ns("2001-12-30 18:45:59", 39), None, 20)


def test_a_binary_record_may_hold_line_ends_and_aa() -> None:
    body = bytes.fromhex("00 0d0a0d0aaaaa 00 01 260307134850 32")
    frame = b"\xaa" + body + bytes([sum(body) % 256]) + b"\r\n"
    read = only(frame)
    assert isinstance(read, ChipRead)
    assert read.chip == "0D0A0D0AAAAA"


def test_control_replies() -> None:
    events = decoded(
        CLOCK + b"\r\n",
        b"ab00000121\r\n",
        b"ab000a2c260306052004151b2782ae\r\n",
        b"ab0002090305f3\r\n",
        b"ab0000f258\r\n",
    )
    replies = [event for event in events if isinstance(event, Reply)]
    assert [reply.name for reply in replies] == ["clock", "set_clock", "gun", "mode", "error"]
    assert replies[0].fields["reader_ns"] == ns("2026-03-06 18:55:44", 55)
    assert replies[2].fields["reader_ns"] == ns("2026-03-06 20:04:15", 27)
    assert replies[3].fields["mode"] == 3
    assert replies[4].fields["says"] == "unknown command"


def test_the_sum_of_ac_is_not_checked_and_that_of_ad_and_ae_is() -> None:
    names = [
        getattr(only(text), "name", "rejected") for text in (b"ac000001ff\r", line("000102", "ad"), line("0001", "ae"))
    ]
    assert names == ["set_clock", "page", "short_tto"]
    assert isinstance(only(b"ad000102ff\r"), Rejected)


def test_a_banner_is_text() -> None:
    assert only(b"\r\n" + BANNER + b"\r") == Reply("banner", {"text": BANNER.decode()}, len(BANNER) + 3)


def test_a_line_without_end_is_let_go_and_a_read_in_it_found() -> None:
    events = decoded(b"x" * (MAX_LINE - 10) + READ + b"y" * 5000 + OTHER + b"\r")
    assert [event.chip for event in events if isinstance(event, ChipRead)] == ["058000123B32", "058000128608"]
    decoder = Decoder()
    for _ in range(3 * MAX_LINE):
        decoder.feed(b"\n")
        assert decoder.pending <= MAX_LINE


def test_when_the_line_falls_silent_a_whole_frame_is_let_out_and_the_rest_kept() -> None:
    decoder = Decoder()
    assert decoder.feed(b"zz" + READ + OTHER[:9]) == []
    junk, read = decoder.idle()
    assert junk == Rejected(Reason.INCOMPLETE, b"zz")
    assert isinstance(read, ChipRead)
    assert decoder.idle() == []
    assert [type(event) for event in decoder.feed(OTHER[9:] + b"\r\n")] == [ChipRead]


def test_a_false_binary_beginning_holds_a_line_back_only_until_silence() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\xaaab00000121\r\n") == []
    assert [type(event) for event in decoder.idle()] == [Rejected, Reply]


def test_fields_say_all() -> None:
    said = fields(TTO + b"\r\n")
    assert (said["index"], said["page"], said["tamper"], said["first_seen"]) == ("06", "00", "80", True)
    with pytest.raises(ValueError, match="integrity"):
        fields(READ[:-1] + b"8")


def test_a_trident_tells_its_receiver_as_the_antenna() -> None:
    at_ns = ns("2026-03-07 13:48:50", 50)
    assert len(TRIDENT) == 40
    assert only(TRIDENT + b"\r\n") == ChipRead("058000123B32", 3, None, at_ns, None, 41)
    for kind in (b"LS", b"BS", b"RR"):
        assert isinstance(only(TRIDENT.replace(b"FS", kind) + b"\r"), ChipRead)
    nobody = only(TRIDENT.replace(b"aaB3", b"aaz0") + b"\n")
    assert isinstance(nobody, ChipRead)
    assert nobody.antenna is None
    said = fields(TRIDENT + b"\r\n")
    assert (said["reader"], said["receiver"], said["count"], said["suffix"], said["signal"]) == ("B", 3, 7, "FS", 0x5A)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"260307", b"261307", Reason.SANITY),
        (b"260307", b"000000", Reason.SANITY),
        (b"13485032", b"13485064", Reason.SANITY),
        (b"13485032", b"24485032", Reason.SANITY),
        (b"260307", b"2603a7", Reason.INTEGRITY),
        (b"00FS", b"01FS", Reason.INTEGRITY),
        (b"00FS", b"00XS", Reason.INTEGRITY),
        (b"aaB3", b"aa13", Reason.INTEGRITY),
        (b"aaB3", b"aaBB", Reason.INTEGRITY),
        (b"aaB3", b"abB3", Reason.GARBAGE),
        (b"aaB3", b"zaaB3", Reason.GARBAGE),
        (b"5a", b"5a0", Reason.INTEGRITY),
    ],
)
def test_a_trident_s_line_is_believed_only_whole_and_sane(old: bytes, new: bytes, reason: Reason) -> None:
    bad = TRIDENT.replace(old, new) + b"\r"
    assert only(bad) == Rejected(reason, bad)


def test_a_trident_s_answers() -> None:
    date, unhandled = decoded(b"DATE:Mon Aug 31 2015 13:17:00\r\n", b"CMD UNHANDLED\r\n")
    assert isinstance(date, Reply)
    assert (date.name, date.fields["reader_ns"]) == ("date", ns("2015-08-31 13:17:00", 0))
    assert getattr(unhandled, "name", "") == "unhandled"
    later = only(b"DATE:Mon Aug 31 2015 13:17:00.250\r")
    assert isinstance(later, Reply)
    assert later.fields["reader_ns"] == ns("2015-08-31 13:17:00", 25)


def test_statistics_tell_the_firmware() -> None:
    reply = only(STATISTICS + b"\r")
    assert isinstance(reply, Reply)
    assert (reply.name, reply.fields["firmware"], reply.fields["noise"]) == ("statistics", "15.8", 255)


def told_by(reader: IpicoReader) -> Known:
    """What ``identify`` finds out from this reader, which answers at once or never."""
    decoder, asking, now_ns = Decoder(), Asking(identify()), ns("2026-03-07 13:48:50", 50)
    said = asking.begin(now_ns)
    while not asking.is_done:
        replies = [event for event in decoder.feed(reader.answer(said, now_ns)) if isinstance(event, Reply)]
        said = b"".join(asking.heard(reply, now_ns) for reply in replies)
        now_ns += NS_PER_S
        said += asking.tick(now_ns)
    return asking.result


def test_who_it_is_and_how_it_is_set() -> None:
    reader = IpicoReader()
    known = told_by(reader)
    assert (known.model, known.firmware) == ("IPICO STK Lite", "1.4 Jun 5 2013 14:16:40")
    assert known.says == ("its clock said 2026-03-07 13:48:50.50", "reports every read")
    reader.answer(b"ab0003090305075b\r\n", 0)
    assert told_by(reader).says[-1] == "reports events, again after 5 s"


def test_a_trident_is_known_by_what_it_does_not_understand() -> None:
    known = told_by(IpicoReader(form="trident"))
    assert known.model == "Trident TimeMachine"
    assert known.says[0].startswith("its clock said 2026-03-07 13:48:")


def test_one_that_does_not_answer_is_left_in_peace() -> None:
    asking = Asking(identify())
    said = asking.begin(0)
    for second in range(1, 9):
        said += asking.tick(second * NS_PER_S)
    assert asking.is_done
    assert said == b"ab00000222\r\n" * 2
    assert asking.result.model == "IPICO"


def test_reads_and_answers_are_proof_but_no_banner_and_no_echo() -> None:
    for proof in (READ, TTO, CLOCK, b"ab0000f258", b"ab0002090305f3", TRIDENT, b"CMD UNHANDLED"):
        assert is_proof(decoded(b"\x00\x80" + b"\r", proof + b"\r")), proof
    assert is_proof(decoded(BINARY))
    for none in (
        BANNER,
        b"ab00000222",
        b"ab0000372a",
        b"ac00010205ff",
        b"00058000123b",
        b"DATE:Mon Xyz 31 2015 13:17:00",
    ):
        assert not is_proof(decoded(none + b"\r")), none


@pytest.mark.parametrize("form", ["text", "binary", "trident"])
def test_each_form_of_the_simulator_is_read(form: Form) -> None:
    reader = IpicoReader(form=form)
    at_ns = ns("2026-03-07 13:48:50", 99)
    frame, stamp_ns = reader.report("058000123B32", at_ns + 9_000_000, -60, 2)
    read = next(event for event in decoded(frame) if isinstance(event, ChipRead))
    assert (read.chip, read.reader_ns, read.antenna) == ("058000123B32", at_ns, 2 if form == "trident" else None)
    assert stamp_ns == at_ns


def test_it_hears_from_the_start_and_is_asked_only_what_changes_nothing() -> None:
    talk = Conversation()
    assert not talk.standing.hears
    assert talk.opened(0) + talk.heard([], 1) + talk.tick(2) == b"ab00000222\r\n"
    assert (talk.standing.hears, talk.standing.word) == (True, "ok")


@needs_shared
def test_samples_say_what_is_expected_of_them() -> None:
    count = 0
    for text in (SHARED / "samples" / "samples.jsonl").read_text().splitlines():
        sample = json.loads(text)
        if sample["protocol"] not in ("ipico", "ipico-binary", "ipico-control"):
            continue
        frame = bytes.fromhex(sample["hex"]) if "hex" in sample else sample["ascii"].encode() + b"\r\n"
        event, said, expected = only(frame), fields(frame), sample["expected"]
        assert not isinstance(event, Rejected), sample
        for key, name in NAMES_IN_SAMPLES.items():
            if key in expected:
                assert said[name] == expected[key], sample
        count += 1
    assert count == 25


@needs_shared
@pytest.mark.parametrize("path", sorted((SHARED / "captures").glob("*.jsonl")), ids=lambda path: path.stem)
def test_captures_read_as_by_hand_however_they_are_cut(path: Path) -> None:
    chunks = [bytes.fromhex(json.loads(text)["hex"]) for text in path.read_text().splitlines()]
    whole = b"".join(chunks)
    by_hand = [
        (
            text[4:16].upper(),
            ns(time.strftime("%Y-%m-%d %H:%M:%S", time.strptime(text[20:32], "%y%m%d%H%M%S")), int(text[32:34], 16)),
        )
        for text in whole.decode().split("\r\n")
        if text.startswith("aa")
    ]
    as_it_came = decoded(*chunks)
    assert [(read.chip, read.reader_ns) for read in as_it_came if isinstance(read, ChipRead)] == by_hand
    assert as_it_came == decoded(whole) == decoded(*(bytes([byte]) for byte in whole))
    assert not [event for event in as_it_came if isinstance(event, Rejected)]
