"""Linearizable reads: ask a quorum how far the order may have come.

Theory of operation.  A round asks every member for the highest height that it holds a prepared
or a commit certificate for, with the certificate, so that nobody can inflate it.  It is over
when a quorum answered, ourselves included, and the highest of some quorum's answers is final
here.

Why nothing is missed.  Let somebody be told that height h is final before the read was asked.
A commit certificate existed, so a quorum committed h, and each honest one of them held a
prepared certificate for h before.  Any quorum of answers shares an honest member with it, and
that member still shows h or more when it answers, which is after the read was asked: it keeps
the certificate until h is final there.  It leaves out certificates of earlier views that the
NewView it works under does not carry over: a quorum of view changes then proved that their
blocks are not final and cannot become so.  Without that, a dead certificate would stop reads
until the next block.

Reads that come while a round runs wait for the next one: that round's answers may be older than
they are.  A round number is drawn at random once and counted up, so that no answer to an
earlier life of this member fits.  A height that ends the epoch is waited for until the ledger
applied it; if the committee changed, the new one is asked instead: the old one cannot know what
the new one decided since.
Refused: more than ``READS_MAX`` pending tokens; a member outside the committee asks nothing.
A token is answered with None after ``READ_RESENDS_MAX`` resend pauses.
Invariant: one round at a time; each member's first answer counts, once.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from consensus import certs
from consensus.certs import PreparedHeight
from consensus.effects import Envelope, ReadReady
from consensus.pbft.messages import ReadAnswer, ReadRequest
from consensus.types import U63_MAX, NodeId, Rng

if TYPE_CHECKING:
    from consensus.pbft.state import State

READS_MAX: Final = 4096
READ_RESENDS_MAX: Final = 4
ANSWERS_MAX: Final = 128
_ROUND_START_MAX: Final = 1 << 62


@dataclass(slots=True)
class Round:
    """One question under way.  ``base``: our final height when it was asked; ``own``: our
    own answer, given then."""

    number: int
    base: int
    own: int
    asked_ms: int
    tokens: dict[int, int]
    answers: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Reads:
    """``waiting``: tokens for the next round, and when they came.  ``served``: per peer, when
    its allowance began and how much of it is used."""

    number: int | None = None
    waiting: dict[int, int] = field(default_factory=dict)
    round: Round | None = None
    served: dict[str, tuple[int, int]] = field(default_factory=dict)

    def carried(self) -> "Reads":
        """Return what an epoch hands to the next: every token, still to be asked for."""
        under_way = {} if self.round is None else self.round.tokens
        return Reads(self.number, {**under_way, **self.waiting})

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest pending token came; tokens stand in the order of their coming."""
        first = {} if self.round is None else self.round.tokens
        return next(iter((first or self.waiting).values()), None)

    def __len__(self) -> int:
        return len(self.waiting) + (0 if self.round is None else len(self.round.tokens))

    def plain(self) -> list[object]:
        """Return everything as plain values, for the fingerprint."""
        now = self.round
        running: list[object] = []
        if now is not None:
            answers = [[peer, height] for peer, height in sorted(now.answers.items())]
            running = [now.number, now.base, now.own, now.asked_ms, answers]
            running.append([list(pair) for pair in now.tokens.items()])
        served = [[peer, *used] for peer, used in sorted(self.served.items())]
        return [self.number, [list(p) for p in self.waiting.items()], running, served]


def ask(state: "State", token: int, rng: Rng) -> bool:
    """Take ``token`` for the next round; False when there is no room or no right to ask."""
    reads = state.reads
    if state.observes or len(reads) >= READS_MAX:
        return False
    if reads.number is None:
        reads.number = rng.randrange(0, _ROUND_START_MAX)
    reads.waiting[token] = state.now_ms
    settle(state)
    return True


def on_request(state: "State", sender: NodeId, message: ReadRequest) -> None:
    """Answer with the proof of what we hold above the asker's height."""
    if sender == state.me:
        return
    began, used = state.reads.served.get(sender, (state.now_ms, 0))
    if state.now_ms >= began + state.config.status_ms:
        began, used = state.now_ms, 0
    if used >= ANSWERS_MAX:
        state.refuse("read-flood")
        return
    state.reads.served[sender] = began, used + 1
    answer = ReadAnswer(state.epoch, message.round)
    held = _prepared(state)
    if held is not None and held.height > message.height:
        answer = ReadAnswer(state.epoch, message.round, prepared=held)
    elif state.delivered > message.height and state.certificate:
        answer = ReadAnswer(
            state.epoch, message.round, committed=certs.decode_commit(state.certificate)
        )
    state.out.send_now.append(Envelope(sender, answer))


def on_answer(state: "State", sender: NodeId, message: ReadAnswer) -> None:
    now = state.reads.round
    if now is None or message.round != now.number or sender in (state.me, *now.answers):
        state.refuse("read-outside")
        return
    now.answers[sender] = max(message.height, now.base)


def _prepared(state: "State") -> PreparedHeight | None:
    """Return the proof of the highest height that we may have helped to make final."""
    opened = state.new_view
    carried = set() if opened is None else {each.height for each in opened.chosen}
    for height in sorted(state.slots, reverse=True):
        held = state.slots[height].prepared
        if held is None:
            continue
        if not state.active or held.view == state.view or height in carried:
            content = certs.proposal_hash(held.proposal)
            return PreparedHeight(
                held.epoch, held.view, height, content, held.signers, held.signatures
            )
    return None


def settle(state: "State") -> None:
    """Finish, give up and begin rounds as far as possible; call after every input."""
    reads = state.reads
    if state.observes:
        _fail(state, [*reads.carried().waiting])
        return
    if state.barrier is not None:
        return  # who must be asked is not known before the ledger applied it
    if reads.round is not None:
        _finish(state, reads.round)
    if reads.round is None and reads.waiting:
        _finish(state, _begin(state))


def _finish(state: "State", now: Round) -> None:
    """End ``now`` if the answers of some quorum are all final here."""
    bar = _bar(state, now)
    if bar <= state.delivered:
        state.out.reads += [ReadReady(token, bar) for token in now.tokens]
        state.reads.round = None


def _bar(state: "State", now: Round) -> int:
    """Return the smallest height that some quorum's answers do not exceed."""
    heights = sorted([now.own, *now.answers.values()])
    needed = state.config.quorum
    return U63_MAX if len(heights) < needed else heights[needed - 1]


def _begin(state: "State") -> Round:
    reads, held = state.reads, _prepared(state)
    assert reads.number is not None
    reads.number += 1
    own = state.delivered if held is None else held.height
    reads.round = Round(reads.number, state.delivered, own, state.now_ms, reads.waiting)
    reads.waiting = {}
    _send(state, reads.round)
    return reads.round


def _send(state: "State", now: Round) -> None:
    request = ReadRequest(state.epoch, now.number, now.base)
    state.out.send_now += [
        Envelope(member, request)
        for member in state.config.committee.ids
        if member != state.me and member not in now.answers
    ]


def _fail(state: "State", tokens: list[int]) -> None:
    state.out.reads += [ReadReady(token, None) for token in tokens]
    for token in tokens:
        state.reads.waiting.pop(token, None)
        if state.reads.round is not None:
            state.reads.round.tokens.pop(token, None)
    if state.reads.round is not None and not state.reads.round.tokens:
        state.reads.round = None


def due_ms(state: "State") -> int | None:
    """When to ask again or give up next; None when nobody reads."""
    now, pause = state.reads.round, state.config.resend_ms
    oldest = state.reads.oldest_ms
    if oldest is None:
        return None
    late = oldest + READ_RESENDS_MAX * pause
    return late if now is None else min(late, now.asked_ms + pause)


def tick(state: "State") -> None:
    """Give up what waited too long, and ask again those that are silent."""
    reads, pause = state.reads, state.config.resend_ms
    oldest, late = reads.oldest_ms, state.now_ms - READ_RESENDS_MAX * pause
    if oldest is not None and oldest <= late:
        _fail(state, [token for token, at in reads.carried().waiting.items() if at <= late])
    if reads.round is not None and reads.round.asked_ms + pause <= state.now_ms:
        reads.round.asked_ms = state.now_ms
        _send(state, reads.round)
