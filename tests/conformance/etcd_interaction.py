"""Replay the etcd project's interaction scenarios with our Raft core.

A file describes a few members, their messages in flight and what each turn of theirs must
print, to the letter.  Here are the commands and the surroundings of a member: a store, an
applier that takes a snapshot after every entry, and, for asynchronous storage, the queues of
an append and an apply thread.  What the original *logs* is left out on both sides; everything
it *does* is compared.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import unified_diff
from typing import Any

from consensus.raft import election, reconfigure, replication, step, transfer
from consensus.raft import turn as turns
from consensus.raft.core import Core, HardState, Outcome, Role
from consensus.raft.log import Base, Entry, Log, Restore
from consensus.raft.membership import AUTO, EXPLICIT, IMPLICIT, Change, Members, Step
from consensus.raft.messages import ProposeRequest
from consensus.raft.settings import UNLIMITED, Settings
from consensus.raft.turn import CoreTurn
from consensus.types import Proposal
from tests.conformance import datadriven
from tests.conformance.datadriven import Directive
from tests.conformance.etcd_confchange import tracker_text
from tests.conformance.etcd_describe import (
    APPEND_THREAD,
    APPLY_THREAD,
    STATES,
    STEPS,
    Line,
    SingleChange,
    entry_text,
    line_of,
    line_text,
    turn_text,
)

ELECTION_TICKS, HEARTBEAT_TICKS = 3, 1
LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE")
LOGGED = re.compile(rf"\s*({'|'.join(LEVELS[:-1])}) ")
TRANSITIONS = {"auto": AUTO, "implicit": IMPLICIT, "explicit": EXPLICIT}
DROPPED = "raft proposal dropped"
STRANGER = "raft: cannot step as peer not found"


class Failed(Exception):
    """What a command prints when it does not succeed."""


class Store:
    """A log as a disk holds it: what was written, behind a base."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.entries: list[Entry] = []

    @property
    def last(self) -> int:
        return self.base.index + len(self.entries)

    def write(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.index > self.base.index:
                del self.entries[entry.index - self.base.index - 1 :]
                self.entries.append(entry)

    def restore(self, restore: Restore) -> None:
        if restore.base.index <= self.base.index:
            raise Failed("requested index is older than the existing snapshot")
        self.base, self.entries = restore.base, []

    def compact(self, index: int) -> None:
        if index <= self.base.index:
            raise Failed("requested index is unavailable due to compaction")
        kept = index - self.base.index
        self.base = replace(self.base, index=index, term=self.entries[kept - 1].term)
        del self.entries[:kept]


class MemberCore(Core):
    """Points peers at the newest of its snapshots."""

    history: list[Restore]

    def newest_restore(self) -> Restore:
        return self.history[-1]


class Member:
    def __init__(self, settings: Settings, start: Restore, *, asynchronous: bool) -> None:
        self.id = settings.self_id
        self.asynchronous = asynchronous
        self.store = Store(start.base)
        self.append_work: list[Line] = []
        self.apply_work: list[Line] = []
        self.core = MemberCore(
            settings,
            Log(start.base),
            start.members,
            hard=HardState(0, None),
            commit=start.base.index,
            applied=start.base.index,
            rng=random.Random(7),
        )
        self.core.history = [start]

    def write(self, entries: Sequence[Entry], restore: Restore | None) -> None:
        if restore is not None:
            if entries:
                raise Failed("can't apply snapshot and entries at the same time")
            self.store.restore(restore)
        else:
            self.store.write(entries)

    def apply(self, entries: Sequence[Entry]) -> None:
        history = self.core.history
        for entry in entries:
            members = history[-1].members
            if entry.change is not None:
                members = reconfigure.apply(self.core, entry.change)
            base = Base(entry.index, entry.term, 0, bytes(32))
            history.append(Restore(base, members))

    def applied(self, entries: Sequence[Entry]) -> None:
        turns.applied(
            self.core,
            entries[-1].index,
            size_bytes=sum(entry.size_bytes for entry in entries),
            payload_bytes=sum(entry.payload_bytes for entry in entries),
        )

    def advance(self, turn: CoreTurn) -> None:
        """Synchronous storage: the turn is carried out, all at once."""
        for outgoing in turn.send_after:
            if outgoing.to == self.id:
                step.step(self.core, outgoing.message)
        if turn.stored is not None:
            turns.stored(self.core, turn.stored)
        if turn.committed:
            self.applied(turn.committed)

    def take(self, line: Line) -> None:
        """Take a delivered message, or a report of one of our threads."""
        if line.kind == "MsgStorageAppendResp":
            turns.stored(self.core, line.origin)
        elif line.kind == "MsgStorageApplyResp":
            self.applied(line.origin)
        else:
            outcome = step.step(self.core, line.origin)
            if outcome is Outcome.STRANGER:
                raise Failed(STRANGER)
            if outcome is Outcome.DROPPED and isinstance(line.origin, ProposeRequest):
                raise Failed(DROPPED)


class Printer:
    """Collects what commands print; silent at the highest level."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.level = 0

    @property
    def quiet(self) -> bool:
        return self.level == len(LEVELS) - 1

    def write(self, text: str) -> None:
        if not self.quiet:
            self.parts.append(text)

    def indented(self, act: Callable[[], None]) -> None:
        outer, self.parts = self.parts, []
        try:
            act()
        finally:
            inner = "".join(self.parts)
            self.parts = [*outer, *(f"  {line}\n" for line in inner.splitlines())]


class Scenario:
    def __init__(self) -> None:
        self.members: list[Member] = []
        self.messages: list[Line] = []
        self.out = Printer()

    def answer(self, directive: Directive) -> str:
        """Run one command and return what it prints."""
        self.out.parts = []
        try:
            name = directive.command.replace("-", "_")
            getattr(self, f"do_{name}")(directive)
        except Failed as failure:
            self.out.parts.append(str(failure))
        return "".join(self.out.parts) or "ok"

    def member(self, text: Any) -> Member:
        return self.members[int(text) - 1]

    def chosen(self, directive: Directive) -> list[Member]:
        return [self.member(word) for word in directive.positional]

    # --- members -----------------------------------------------------------------------

    def do_add_nodes(self, directive: Directive) -> None:
        def ids(key: str) -> tuple[Any, ...]:
            return tuple(sorted(int(item) for item in directive.values(key) or ()))

        def flag(key: str) -> bool:
            return directive.value(key, "false") in ("true", "t", "1")

        members = Members(voters=ids("voters"), learners=ids("learners"))
        index = int(directive.value("index", "0"))
        bootstrap = bool(index or members.everybody or directive.values("content"))
        if bootstrap and index <= 1:
            raise Failed("index must be specified as > 1 due to bootstrap")
        base = Base(index, 1 if bootstrap else 0, 0, bytes(32))
        asynchronous = flag("async-storage-writes")
        for _ in range(int(directive.positional[0])):
            settings = Settings(
                self_id=len(self.members) + 1,  # type: ignore[arg-type]
                election_ticks=ELECTION_TICKS,
                election_spread=ELECTION_TICKS,
                heartbeat_ticks=HEARTBEAT_TICKS,
                pre_vote=flag("prevote"),
                check_quorum=flag("checkquorum"),
                lease_reads=directive.value("read-only", "safe") == "lease-based",
                validate_changes=not flag("disable-conf-change-validation"),
                step_down_on_removal=flag("step-down-on-removal"),
                commit_by_refusal=False,
                commit_ahead=not asynchronous,
                inflight_messages_max=int(directive.value("inflight", str(UNLIMITED))),
                committed_bytes_max=int(
                    directive.value("max-committed-size-per-ready", str(UNLIMITED))
                ),
            )
            start = Restore(base, members)
            self.members.append(Member(settings, start, asynchronous=asynchronous))

    def do_campaign(self, directive: Directive) -> None:
        election.on_timeout(self.member(directive.positional[0]).core)

    def do_forget_leader(self, directive: Directive) -> None:
        election.forget_leader(self.member(directive.positional[0]).core)

    def do_tick_election(self, directive: Directive) -> None:
        self._tick(directive, ELECTION_TICKS)

    def do_tick_heartbeat(self, directive: Directive) -> None:
        self._tick(directive, HEARTBEAT_TICKS)

    def _tick(self, directive: Directive, ticks: int) -> None:
        for _ in range(ticks):
            step.tick(self.member(directive.positional[0]).core)

    def do_set_randomized_election_timeout(self, directive: Directive) -> None:
        core = self.member(directive.positional[0]).core
        core.election_timeout = int(directive.value("timeout", ""))

    def do_propose(self, directive: Directive) -> None:
        member, data = directive.positional
        block = Proposal(1, bytes(32), bytes(32), data.encode(), b"")
        self._propose(self.member(member), block, None)

    def do_propose_conf_change(self, directive: Directive) -> None:
        words = directive.input.split()
        steps = tuple(Step(STEPS[word[0]], int(word[1:]) or None) for word in words)
        transition = TRANSITIONS[directive.value("transition", "auto")]
        single = directive.value("v1", "false") == "true"
        if single and (len(steps) > 1 or transition != AUTO):
            raise Failed("v1 conf change can only have one operation and no transition")
        change = (SingleChange if single else Change)(transition, steps)
        self._propose(self.member(directive.positional[0]), None, change)

    def _propose(self, member: Member, block: Proposal | None, change: Change | None) -> None:
        outcome = reconfigure.propose(member.core, block, change)
        if outcome is Outcome.DROPPED:
            raise Failed(DROPPED)

    def do_transfer_leadership(self, directive: Directive) -> None:
        core = self.member(directive.value("from", "")).core
        transfer.transfer(core, int(directive.value("to", "")))  # type: ignore[arg-type]

    def do_report_unreachable(self, directive: Directive) -> None:
        reporter, peer = self.chosen(directive)
        replication.report_unreachable(reporter.core, peer.id)

    def do_send_snapshot(self, directive: Directive) -> None:
        source, target = self.chosen(directive)
        message = replication.snapshot_message(source.core, source.core.newest_restore())
        line = line_of(target.id, message)  # type: ignore[arg-type]
        self.messages.append(line)
        self.out.write(line_text(line))

    def do_compact(self, directive: Directive) -> None:
        member, index = self.member(directive.positional[0]), int(directive.positional[1])
        member.store.compact(index)
        if index > member.core.log.base.index:
            member.core.log.compact(index)
        self._print_log(member)

    # --- what is shown -----------------------------------------------------------------

    def do_log_level(self, directive: Directive) -> None:
        self._set_level(directive.positional[0])

    def _set_level(self, name: str) -> None:
        if name.upper() not in LEVELS:
            raise Failed(f"log levels must be either of [{' '.join(LEVELS)}]")
        self.out.level = LEVELS.index(name.upper())

    def do_raft_log(self, directive: Directive) -> None:
        self._print_log(self.member(directive.positional[0]))

    def _print_log(self, member: Member) -> None:
        store = member.store
        if not store.entries:
            first, last = store.base.index + 1, store.last
            self.out.write(f"log is empty: first index={first}, last index={last}")
        for entry in store.entries:
            self.out.write(f"{entry_text(entry)}\n")

    def do_raft_state(self, directive: Directive) -> None:
        for member in self.members:
            core = member.core
            votes = "Voter" if member.id in core.tracker.voters else "Non-Voter"
            state = f"{member.id}: {STATES[core.role]} ({votes})"
            self.out.write(f"{state} Term:{core.term} Lead:{core.leader or 0}\n")

    def do_status(self, directive: Directive) -> None:
        core = self.member(directive.positional[0]).core
        if core.role is Role.LEADER:
            self.out.write(tracker_text(core.tracker))

    # --- turns, messages, threads ------------------------------------------------------

    def do_process_ready(self, directive: Directive) -> None:
        self._for_each(self.chosen(directive), "handling Ready", self._turn)

    def do_process_append_thread(self, directive: Directive) -> None:
        self._for_each(self.chosen(directive), "processing append thread", self._append)

    def do_process_apply_thread(self, directive: Directive) -> None:
        self._for_each(self.chosen(directive), "processing apply thread", self._apply)

    def _for_each(
        self, members: list[Member], title: str, act: Callable[[Member], None]
    ) -> None:
        for member in members:
            if len(members) == 1:
                act(member)
            else:
                self._titled(member, title, act)

    def _titled(self, member: Member, title: str, act: Callable[[Member], None]) -> None:
        self.out.write(f"> {member.id} {title}\n")
        self.out.indented(lambda: act(member))

    def _turn(self, member: Member) -> None:
        turn = turns.take(member.core)
        lines = [line_of(item.to, item.message) for item in turn.send_now]  # type: ignore[arg-type]
        after = [line_of(item.to, item.message) for item in turn.send_after]  # type: ignore[arg-type]
        if member.asynchronous:
            lines += _thread_lines(member, turn, after)
        else:
            lines += [line for line in after if line.to != member.id]
        self.out.write(turn_text(turn, lines))
        if not member.asynchronous:
            member.write(turn.entries, turn.restore)
            member.apply(turn.committed)
        queues = {APPEND_THREAD: member.append_work, APPLY_THREAD: member.apply_work}
        for line in lines:
            queues.get(line.to, self.messages).append(line)
        if not member.asynchronous:
            member.advance(turn)
        member.core.check_invariants()

    def _append(self, member: Member) -> None:
        if not member.append_work:
            self.out.write("no append work to perform")
            return
        line = member.append_work.pop(0)
        self._work(line, lambda: member.write(line.origin.entries, line.restore))

    def _apply(self, member: Member) -> None:
        if not member.apply_work:
            self.out.write("no apply work to perform")
            return
        line = member.apply_work.pop(0)
        self._work(line, lambda: member.apply(line.origin.committed))

    def _work(self, line: Line, act: Callable[[], None]) -> None:
        self.out.write(f"Processing:\n{line_text(replace(line, responses=()))}\n")
        act()
        self.out.write("Responses:\n")
        for response in line.responses:
            self.out.write(f"{line_text(response)}\n")
        self.messages += line.responses

    def do_deliver_msgs(self, directive: Directive) -> None:
        kind = directive.value("type", "")
        targets: list[tuple[int, bool]] = []
        for argument in directive.arguments:
            if not argument.values:
                targets.append((int(argument.key), False))
            elif argument.key == "drop":
                targets += [(int(value), True) for value in argument.values]
        if not sum([self._deliver(to, kind=kind, drop=drop) for to, drop in targets]):
            self.out.write("no messages\n")

    def _waiting(self, to: Any, *, kind: str, drop: bool) -> list[Line]:
        return [
            line
            for line in self.messages
            if line.to == to and not (drop and line.is_local) and kind in ("", line.kind)
        ]

    def _deliver(self, to: Any, *, kind: str = "", drop: bool = False) -> int:
        taken = self._waiting(to, kind=kind, drop=drop)
        identities = {id(line) for line in taken}
        self.messages = [line for line in self.messages if id(line) not in identities]
        for line in taken:
            self.out.write(f"{'dropped: ' if drop else ''}{line_text(line)}\n")
            if drop:
                continue
            member = self.member(to)
            try:
                member.take(line)
            except Failed as failure:
                self.out.write(f"{failure}\n")
            member.core.check_invariants()
        return len(taken)

    def do_stabilize(self, directive: Directive) -> None:
        level = self.out.level
        named = directive.values("log-level")
        try:
            for name in named or ():
                self._set_level(name)
            self._stabilize(self.chosen(directive) or self.members)
        finally:
            self.out.level = level

    def _stabilize(self, members: list[Member]) -> None:
        busy = True
        while busy:
            busy = False
            for member in members:
                if turns.has_turn(member.core):
                    self._titled(member, "handling Ready", self._turn)
                    busy = True
            for member in members:
                if self._waiting(member.id, kind="", drop=False):
                    self._titled(member, "receiving messages", lambda m: self._receive(m.id))
                    busy = True
            busy = self._run_threads(members) or busy

    def _receive(self, to: Any) -> None:
        self._deliver(to)

    def _run_threads(self, members: list[Member]) -> bool:
        busy = False
        for member in members:
            if member.append_work:
                self.out.write(f"> {member.id} processing append thread\n")
                busy = True
            while member.append_work:
                self.out.indented(lambda m=member: self._append(m))  # type: ignore[misc]
        for member in members:
            if member.apply_work:
                self.out.write(f"> {member.id} processing apply thread\n")
                busy = True
            while member.apply_work:
                self.out.indented(lambda m=member: self._apply(m))  # type: ignore[misc]
        return busy


def _thread_lines(member: Member, turn: CoreTurn, after: list[Line]) -> list[Line]:
    """Return the orders to the append and the apply thread, as far as there is work."""
    lines = []
    if turn.entries or turn.hard is not None or turn.restore is not None or after:
        lines.append(_append_line(member, turn, after))
    if turn.committed:
        entries = tuple(entry_text(entry) for entry in turn.committed)
        done = Line(
            APPLY_THREAD, member.id, "MsgStorageApplyResp", turn.committed, entries=entries
        )
        lines.append(
            Line(
                member.id,
                APPLY_THREAD,
                "MsgStorageApply",
                turn,
                entries=entries,
                responses=(done,),
            )
        )
    return lines


def _append_line(member: Member, turn: CoreTurn, after: list[Line]) -> Line:
    responses, report = list(after), turn.stored
    if report is not None:
        responses.append(
            Line(
                APPEND_THREAD,
                member.id,
                "MsgStorageAppendResp",
                report,
                term=report.term,
                log_term=report.log_term,
                index=report.index,
                restore=report.restore,
            )
        )
    hard = turn.hard
    return Line(
        member.id,
        APPEND_THREAD,
        "MsgStorageAppend",
        turn,
        term=hard.term if hard is not None else 0,
        commit=turn.commit or 0,
        vote=int(hard.vote or 0) if hard is not None else 0,
        entries=tuple(entry_text(entry) for entry in turn.entries),
        restore=turn.restore,
        responses=tuple(responses),
    )


COMMANDS = frozenset(
    name.removeprefix("do_").replace("_", "-") for name in dir(Scenario) if name[:3] == "do_"
)


def recognises(text: str) -> bool:
    return datadriven.recognises(text, COMMANDS)


def check(text: str) -> str | None:
    """Run every command; return None for agreement, else the first difference."""
    scenario = Scenario()
    for directive in datadriven.parse(text):
        try:
            printed = scenario.answer(directive)
        except AssertionError as error:
            return f"line {directive.line}, {directive.command}: assertion: {error}"
        expected = _without_log(directive.expected)
        found = _without_log(printed)
        if found != expected:
            changes = [
                line
                for line in unified_diff(expected, found, n=0, lineterm="")
                if line[:3] not in ("---", "+++")
            ]
            return f"line {directive.line}, {directive.command}: {' | '.join(changes)}"
    return None


def _without_log(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.splitlines() if not LOGGED.match(line)]
    return lines or ["ok"]
