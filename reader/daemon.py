"""The daemon: puts the parts together, starts and watches the threads, and closes them in order.

Threads: one for each reader's line, the recorder (gates and journal), the uplink (broker), and this one:
signals, health, status, the control socket's answers. This one never waits for a disk or the network.
"""

from __future__ import annotations

import logging
import threading
from importlib.metadata import version
from pathlib import Path

from reader.answers import Answers
from reader.box.alive import AliveMark
from reader.box.assigned import applied, keep
from reader.box.configured import look_at_config
from reader.box.control import ControlServer
from reader.box.identity import box_id, label_from_box
from reader.box.notify import Notifier
from reader.box.panel import Panel
from reader.box.power_watch import PowerWatch
from reader.box.racing import RacingMark
from reader.box.status import Facts, StatusTeller, status_from_facts
from reader.box.storage import look_at_storage, places_in_memory
from reader.clock import Clock
from reader.config import Config
from reader.copying.copier import Copier
from reader.errors import JournalError, TimingMatError
from reader.health import hours_until_last_runner, part_of_broker, part_of_clock, part_of_daemon, part_of_journal
from reader.journal import JournalView
from reader.journal.aside import files_aside
from reader.journal.ballast import Ballast
from reader.lines import settings_from_config
from reader.links import Links
from reader.messages import Part, Status
from reader.model import NS_PER_S, Identity
from reader.report import Committed
from reader.resume import resume
from reader.selftest.inside import SelfTests
from reader.uplink.publisher import Uplink

LOOP_S = 0.25
INBOX_ROOM = 64  # chunks; only lines whose other end waits are held back by it
DISK_MAY_TAKE_NS = 60 * NS_PER_S
STUCK_NS = 20 * NS_PER_S
UPLINK_STUCK_NS = 120 * NS_PER_S

log = logging.getLogger("timing-mat")


class Daemon:
    """All parts of one run."""

    def __init__(self, given: Config, clock: Clock, config_trouble: str) -> None:
        self._given = given
        self._config = config = applied(given)
        self._clock = clock
        self._identity = Identity(config.mat.event, config.mat.point, config.mat.id, box_id())
        self._began_ns = clock.mono_ns()
        config_part, bibs = look_at_config(config, config_trouble)
        self._notifier = Notifier()
        self._uplink = self._make_uplink()
        self._uplink_seen = (0, self._began_ns)
        self._resumed = resume(
            path=config.journal.path,
            identity=self._identity,
            role=config.mat.role,
            settings=settings_from_config(config),
            bibs=bibs,
            tells_heard=config.gate.heard,
            clock=clock,
            sweep=frozenset(config.chips.sweep),
            alive=AliveMark(config.box.control),
            told=self._note_told,
            moved=lambda: self._uplink.reopen(),
            memory=places_in_memory(config),
            ballast=Ballast(config.journal.path),
        )
        self._recorder = recorder = self._resumed.recorder
        self._recording = threading.Thread(target=self._record, name="recorder", daemon=True)
        self._links = Links(
            config, clock, recorder.put, lambda: recorder.waiting() < INBOX_ROOM, self._resumed.coverage
        )
        trouble = self._links.trouble
        self._config_part = Part("fail", trouble) if trouble and config_part.word == "ok" else config_part
        self._power = PowerWatch(clock, recorder.put, config.box.empty_volts)
        self._panel = Panel(
            config.panel, clock, recorder.put, self._power.power_failing, lambda: self._selftests.begin()
        )
        self._selftests = SelfTests(
            config,
            clock,
            self._identity,
            self._links,
            self._look,
            lambda: self._panel if self._panel.is_wired else None,
            lambda one: self._uplink.say_selftest(one),
            self._panel.answer,
        )
        self._answers = Answers(
            self._identity,
            clock,
            self._links,
            recorder.put,
            recorder.ask,
            self._look,
            self._journals,
            self._become,
            self._selftests.run,
            self._panel.identify,
        )
        self._control = ControlServer(config.box.control, self._answers.answer)
        self._copier = None
        if config.journal.copy is not None:
            line_of_reader = {reader.name: reader.line for reader in config.readers}
            self._copier = Copier(
                config.journal.copy, config.journal.path, lambda: self._recorder.journal.path, line_of_reader
            )
        self._control_trouble = ""
        self._teller = StatusTeller(self._uplink.say_status)
        self._racing = RacingMark(config.box.control)
        self._words: dict[str, str] = {}
        self._becomes_another = threading.Event()
        self._fault = ""

    def start(self) -> None:
        """Start the threads: recording first, telling last."""
        self._recording.start()
        self._links.start()
        self._panel.start()
        self._uplink.start()
        self._power.start()
        if self._copier is not None:
            self._copier.start()
        try:
            self._config.box.control.parent.mkdir(parents=True, exist_ok=True)
            self._control.start()
        except (TimingMatError, OSError) as error:
            self._control_trouble = f"{error}"
            log.warning("%s", error)
        self._notifier.ready()
        mat = self._config.mat
        log.info("timing %s/%s/%s on box %s; Ctrl-C ends it", mat.event, mat.point, mat.id, self._identity.box)

    def _record(self) -> None:
        try:
            self._recorder.run()
        except Exception as error:
            log.debug("the recorder's fault", exc_info=True)
            self._fault = f"the recorder ended by a fault of this program ({error!r}); please report it"

    def watch(self, stopping: threading.Event) -> None:
        """Look after the threads and say how it stands, until told to stop or to be another mat."""
        while not stopping.wait(LOOP_S) and not self._becomes_another.is_set():
            if self._fault:
                raise JournalError(self._fault)  # to end is to be started anew, and to record again
            self._links.note_found()
            status = self._look()
            self._panel.show(status, is_connected=self._uplink.state.connected)
            self._teller.tell(status, self._clock.mono_ns())
            self._racing.note(is_racing=status.mode == "race")
            self._log_changes(status)
            self._rebuild_stuck_uplink()
            if not self._is_stuck():
                self._notifier.watchdog()

    def stop(self) -> None:
        """Close in order: the lines, then the log with all they gave, then the uplink, which tells what is ready.

        The writer closes while a view is still open: SQLite then leaves the log readable for the crew's page.
        """
        if not self._becomes_another.is_set():
            self._notifier.stopping()  # systemd would end a service that says so and then goes on
        self._selftests.stop()
        if not self._control_trouble:
            self._control.stop()
        self._links.stop()
        self._panel.stop()
        self._power.stop()
        self._recorder.stop()
        self._recording.join(DISK_MAY_TAKE_NS / NS_PER_S)
        self._uplink.stop()
        if not self._recording.is_alive():
            try:
                self._recorder.close()
            except JournalError as error:
                log.warning("the end of the log could not be written: %s", error)
        if self._copier is not None:
            self._copier.stop()  # with the last entry
        self._notifier.close()

    def _make_uplink(self) -> Uplink:
        return Uplink(
            settings=self._config.mqtt,
            identity=self._identity,
            open_view=lambda: JournalView(self._recorder.journal.path),
            delivered=lambda epoch, seq: self._recorder.journal.delivered(epoch, seq),
            answer=lambda command: self._answers.answer(command),
            clock=self._clock,
        )

    # ---- what commands ask for -------------------------------------------------------------------------

    def _journals(self) -> list[Path]:
        """The journal as it is now, and those that a rewind may look into besides."""
        kept, now = self._config.journal.path, self._recorder.journal.path
        return [now, *([kept] if now != kept else []), *files_aside(kept)]

    def _become(self, mat: tuple[str, str, str]) -> None:
        keep(self._given, mat)
        self._becomes_another.set()

    # ---- health ----------------------------------------------------------------------------------------

    def _note_told(self, committed: Committed) -> None:
        """From the recorder, after each commit."""
        self._panel.committed(opened=committed.opened, reads=committed.reads)
        for one in committed.heard:
            self._uplink.say_heard(one)
        self._uplink.wake()
        if self._copier is not None and self._power.is_failing:
            self._copier.sync_now()

    def _is_stuck(self) -> bool:
        """Whether a thread that timing hangs on makes no progress: systemd then starts all anew."""
        now_ns = self._clock.mono_ns()
        if self._links.is_stuck(now_ns, DISK_MAY_TAKE_NS):
            return True
        in_disk_since_ns = self._recorder.in_disk_since_ns
        if in_disk_since_ns is not None:
            return now_ns - in_disk_since_ns > DISK_MAY_TAKE_NS
        return now_ns - self._recorder.progress_ns > STUCK_NS

    def _rebuild_stuck_uplink(self) -> None:
        """An uplink that hangs, in a name server or in TLS, is left to itself and another begun: nothing is lost."""
        progress, now_ns = self._uplink.state.progress, self._clock.mono_ns()
        if progress != self._uplink_seen[0]:
            self._uplink_seen = (progress, now_ns)
        elif now_ns - self._uplink_seen[1] > UPLINK_STUCK_NS:
            log.warning("the uplink makes no progress: it is begun anew")
            self._uplink = self._make_uplink()
            self._uplink_seen = (0, now_ns)
            self._teller = StatusTeller(self._uplink.say_status)
            self._selftests.say_again()
            self._uplink.start()

    def _log_changes(self, status: Status) -> None:
        """A line for each part whose word has changed: for a person at the screen, and for the system's log."""
        for name, part in status.parts.items():
            if self._words.get(name) != part.word:
                self._words[name] = part.word
                level = logging.INFO if part.word in ("ok", "unknown") else logging.WARNING
                log.log(level, "%s: %s: %s", name, part.word, part.says)

    def _look(self) -> Status:
        """How all of it stands now."""
        now = self._clock.now()
        report, uplink = self._recorder.report, self._uplink.state
        readers = self._links.look(now.mono_ns)
        delivered_seq = uplink.delivered.get(report.epoch, 0)
        older = sum(backlog for epoch, backlog in uplink.backlog.items() if epoch != report.epoch)
        hears = any(reader.hears for reader in readers)
        power, supply = self._power.stand(hours_until_last_runner(uplink.expect, now.utc_ns))
        return status_from_facts(
            Facts(
                utc_ns=now.utc_ns,
                uptime_s=(now.mono_ns - self._began_ns) // NS_PER_S,
                identity=self._identity,
                label=self._config.mat.label or label_from_box(self._identity.box),
                mode=report.mode,
                version=version("timing-mat"),
                is_recording=hears and report.keeps and not self._is_stuck(),
                daemon=part_of_daemon(self._control_trouble or self._panel.trouble, is_stuck=self._is_stuck()),
                clock=part_of_clock(self._clock),
                journal=part_of_journal(self._resumed.says, report),
                broker=part_of_broker(uplink),
                power=power,
                supply=supply,
                storage=look_at_storage(
                    self._config.journal.path,
                    report.trouble,
                    is_on_ballast=self._recorder.journal.is_on_ballast,
                    waits_ns=now.mono_ns - (self._recorder.in_disk_since_ns or now.mono_ns),
                    copy=None if self._copier is None else self._copier.part,
                ),
                config=self._config_part,
                readers=readers,
                on_mat=report.on_mat,
                reads=report.reads,
                splits=report.splits,
                chips=report.chips,
                last_read_utc_ns=report.last_read_utc_ns,
                epoch=report.epoch,
                last_seq=report.last_seq,
                delivered_seq=delivered_seq,
                acks=dict(uplink.acks.get(report.epoch, {})),
                undelivered=max(0, report.last_seq - delivered_seq) + older,
            )
        )
