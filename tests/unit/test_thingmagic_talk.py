"""What is said to a ThingMagic module, against a module made of a table of answers, and how it is judged."""

from __future__ import annotations

from reader.line.protocols.thingmagic import Conversation, Decoder
from tests.unit.test_thingmagic import KEEP_ALIVE, TAG, frame

S = 10**9
HOT = frame(0x22, "", 0x0504)
REBOOTED = frame(0x04, "07102300 30000003 20141007 01070209 00000010")


class Module:
    """Answers by opcode; while it streams, a keep-alive a second. ``answers[opcode] = b""`` is silence."""

    def __init__(self) -> None:
        self.answers = {
            0x0C: frame(0x0C, "12"),
            0x67: frame(0x67, "0d"),
            0x61: frame(0x61, "05 01 01 02 00 03 01"),
            **{opcode: frame(opcode, "") for opcode in (0x91, 0x93, 0x9A, 0x9B)},
        }
        self.talk = Conversation()
        self.decoder = Decoder()
        self.is_streaming = False
        self.is_deaf = False
        self.streams = KEEP_ALIVE
        self.asked: list[str] = []
        self.now_ns = 5 * S
        self.take(self.talk.opened(self.now_ns))

    def take(self, sent: bytes) -> None:
        while sent:
            one, sent = sent[: sent[1] + 5], sent[sent[1] + 5 :]
            self.asked.append(one[2:-2].hex())
            if not self.is_deaf:
                self.say(self.answer(one[2], one[3:-2]))

    def answer(self, opcode: int, data: bytes) -> bytes:
        if opcode == 0x2F:
            self.is_streaming = 0x2F not in self.answers and data[2] == 1
            return self.answers.get(0x2F, frame(0x2F, f"{data[2]:02x}220000"))
        if opcode == 0x04:
            self.answers[0x0C] = frame(0x0C, "12")
            return REBOOTED
        return self.answers[opcode]

    def say(self, said: bytes) -> None:
        if said:
            self.take(self.talk.heard(self.decoder.feed(said), self.now_ns))

    def run(self, seconds: float) -> None:
        for step in range(round(seconds * 10)):
            self.now_ns += S // 10
            if self.is_streaming and step % 10 == 9:
                self.say(self.streams)
            self.take(self.talk.tick(self.now_ns))

    def stands(self) -> tuple[bool, str]:
        return self.talk.standing.hears, self.talk.standing.word


def restarted(module: Module) -> Module:
    """The same module, on a line just opened."""
    module.is_streaming = False
    module.asked.clear()
    module.take(module.talk.opened(module.now_ns))
    module.run(1)
    return module


def test_it_is_set_up_in_order_and_streams() -> None:
    module = Module()
    assert module.stands() == (False, "unknown")
    module.run(1)
    assert module.stands() == (True, "ok")
    assert module.asked == [
        "2f000002", "0c", "67", "930005", "6105", "910201010303", "9a010c00", "9b050000", "9b05010100",
        "2f00000122000005072210001b03e80016",
    ]  # fmt: skip
    standing = module.talk.standing
    module.run(30)
    assert module.talk.standing is standing
    assert len(module.asked) == 10


def test_nothing_that_writes_flash_or_sets_a_region_is_ever_said() -> None:
    module = Module()
    for _ in range(4):
        module.run(7)
        module.is_deaf = not module.is_deaf
        module.say(REBOOTED)
    assert {said[:2] for said in module.asked} <= {"2f", "0c", "67", "93", "61", "91", "9a", "9b"}


def test_without_a_region_it_does_not_transmit_and_asks_every_ten_seconds() -> None:
    module = Module()
    module.answers[0x67] = frame(0x67, "00")
    assert restarted(module).stands() == (False, "fail")
    assert "no region" in module.talk.standing.says
    module.asked.clear()
    module.run(25)
    assert module.asked == ["67", "67"]
    module.answers[0x67] = frame(0x67, "02")
    module.run(7)
    assert module.stands() == (True, "ok")


def test_a_bootloader_is_made_to_start_the_program() -> None:
    module = Module()
    module.answers[0x0C] = frame(0x0C, "11")
    assert restarted(module).stands() == (True, "ok")
    assert module.asked[:4] == ["2f000002", "0c", "04", "0c"]


def test_who_does_not_answer_is_asked_for_ever() -> None:
    module = Module()
    module.is_deaf = True
    restarted(module).run(3.5)
    assert module.stands() == (False, "fail")
    assert "does not answer at this baud" in module.talk.standing.says
    assert module.asked == ["2f000002", "0c", "0c", "0c", "2f000002"]
    module.run(40)
    assert module.asked.count("2f000002") >= 10
    module.is_deaf = False
    module.run(6)
    assert module.stands() == (True, "ok")


def test_a_cable_that_carries_one_way_still_hears() -> None:
    module = Module()
    module.is_deaf = True
    restarted(module)
    module.is_streaming = True
    module.streams = TAG
    module.run(20)
    assert module.stands() == (True, "warn")
    assert module.talk.standing.says.startswith("reports, but does not answer")
    module.is_streaming = False
    module.run(4)
    assert module.stands() == (False, "fail")


def test_once_it_answers_its_reports_no_longer_excuse_what_is_wrong() -> None:
    module = Module()
    module.answers[0x67] = frame(0x67, "00")
    module.is_deaf = True
    restarted(module)
    module.is_streaming = True
    module.run(9)
    assert module.stands() == (True, "warn")
    module.is_deaf = False
    while "67" not in module.asked:
        module.run(0.1)
    assert module.stands() == (False, "fail")


def test_what_it_refuses_is_named_and_not_in_the_way() -> None:
    module = Module()
    module.answers |= {0x61: frame(0x61, "", 0x0109), 0x9A: frame(0x9A, "", 0x0105)}
    assert restarted(module).stands() == (True, "warn")
    assert "refused reporting every read: bad value (0105)" in module.talk.standing.says
    assert "refused antenna detection" in module.talk.standing.says
    assert "91020101" in module.asked


def test_what_it_must_not_refuse() -> None:
    module = Module()
    module.answers[0x2F] = frame(0x2F, "", 0x010B)
    restarted(module).run(10)
    assert module.stands() == (False, "fail")
    assert "refuses the start: region not possible (010B)" in module.talk.standing.says
    assert 4 <= module.asked.count("0c") <= 7


def test_silence_is_not_taken_for_health() -> None:
    module = Module()
    module.run(5)
    module.is_streaming = False
    module.is_deaf = True
    module.run(3)
    assert module.stands() == (False, "fail")
    assert module.talk.standing.says.startswith("silent: no keep-alive for 2.")
    module.is_deaf = False
    module.run(5)
    assert module.stands() == (True, "ok")


def test_a_reader_that_restarts_is_set_up_again_but_not_in_a_rush() -> None:
    for said in (REBOOTED, frame(0x22, "", 0x0405)):
        module = Module()
        module.run(5)
        module.is_streaming = False
        module.asked.clear()
        for _ in range(5):
            module.say(said)
        assert module.stands() == (False, "fail")
        module.run(3)
        assert module.stands() == (True, "ok")
        assert module.asked.count("0c") <= 3


def test_faults_are_told_while_they_last() -> None:
    module = Module()
    module.run(2)
    module.say(HOT)
    assert module.stands() == (True, "warn")
    assert "too hot" in module.talk.standing.says
    module.run(9)
    assert module.stands() == (True, "warn")
    module.run(2)
    assert module.stands() == (True, "ok")


def test_a_stream_left_running_is_heard_at_once() -> None:
    module = Module()
    module.is_deaf = True
    restarted(module).say(TAG)
    assert module.stands() == (True, "warn")
