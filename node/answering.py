"""Asking and proving: a question over the ledger of this node, now or as of a kept height.

Owns: which height an answer speaks of, and putting a proven answer together from one snapshot.
Synchronous, safe to call from a worker thread.  Refuses: guesses.  A height that cannot be read
raises ``HeightUnavailable``, one that no certified checkpoint covers yet ``AnswerPending``.
"""

from dataclasses import dataclass
from typing import Any, Final

from node.book import Book
from node.facts import (
    AnswerTooLarge,
    Base,
    FactsAt,
    HeightUnavailable,
    StateAt,
    Traced,
    ValueAhead,
    base_at,
)
from node.ledger import answers, registry
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger.asking import NotProvable, Question
from node.ledger.smt import StateProof
from node.ledger.tiles import TileLog
from node.lineage_keeping import links_for
from storage.store import Store
from storage.view import Snapshot

__all__ = [
    "REFUSALS",
    "AnswerPending",
    "AnswerTooLarge",
    "Answered",
    "Answering",
    "HeightUnavailable",
    "QuestionUnknown",
    "StateAnswer",
    "ValueAhead",
]


class QuestionUnknown(Exception):
    """There is no question of that name."""

    code = "question-unknown"


class AnswerPending(Exception):
    """The state is there; a quorum has not cosigned a tree head over its block yet."""

    code = "answer-pending"


REFUSALS: Final = (
    AnswerPending,
    AnswerTooLarge,
    HeightUnavailable,
    NotProvable,
    QuestionUnknown,
    ValueAhead,
)
"""All that asking and proving may raise for the one who asks; each has a registered code."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and the block it speaks of; ``answer`` is the question's own record."""

    height: int
    time_ms: int
    answer: Any


@dataclass(frozen=True, slots=True)
class StateAnswer:
    """A state key as of a height, with its proof against the seal's state root."""

    key: bytes
    value: bytes | None
    height: int
    state_root: bytes
    proof: StateProof


class Answering:
    def __init__(self, store: Store, book: Book) -> None:
        self._store = store
        self._book = book

    def ask(self, name: str, params: Any, *, height: int | None = None) -> Answered:
        """Answer the question ``name`` at the newest block, or as of ``height``.

        Where the state root moves every few blocks only, an older height is that of the newest
        root at or below it; ``Answered.height`` says which.  Raises ``QuestionUnknown``,
        ``HeightUnavailable``, or ``NotProvable`` for an older height of a question that reads
        the index.
        """
        question = _question(name)
        with self._store.snapshot() as view:
            facts = self._facts(view, question, height)
            return Answered(facts.height, facts.time_ms, question.ask(facts, params))

    def _facts(self, view: Snapshot, question: Question, height: int | None) -> FactsAt:
        applied = view.applied()
        if applied is None:
            if height:
                raise HeightUnavailable("no block is applied yet")
            return _Founded(view, self._book)
        scans = not question.provable
        if height is None or height == applied.height:
            row = view.block(applied.height)
            assert row is not None, "the applied block has its row"
            time_ms = blocks.decode_header(row.header).time_ms
            return FactsAt(
                view, height=applied.height, time_ms=time_ms, state=None, scans=scans
            )
        if scans:
            raise NotProvable("this question reads an index of the newest height only")
        base = base_at(view, height)
        state = StateAt(view, base)
        return FactsAt(view, height=base.height, time_ms=base.time_ms, state=state, scans=False)

    def prove(self, name: str, params: Any, *, height: int | None = None) -> answers.Answer:
        """Answer the question ``name`` with its proof, as of the newest height that a
        certified checkpoint covers, or as of ``height``.

        Raises ``QuestionUnknown``, ``NotProvable``, ``HeightUnavailable``, ``AnswerPending``,
        or ``AnswerTooLarge`` when the question must be asked in smaller pages.
        """
        question = _question(name)
        if not question.provable:
            raise NotProvable("this question reads an index that no root covers")
        with self._store.snapshot() as view:
            base, note = _certified(view, height)
            try:
                traced = Traced(StateAt(view, base), base)
            except HeightUnavailable as error:
                if height is not None:
                    raise
                # Without history only the newest state can be proven, once it is certified.
                raise AnswerPending(f"height {base.height} is certified") from error
            answer = question.ask(traced, params)
            head, _ = checkpoints.parse_note(note)
            applied = view.applied()
            assert applied is not None, "a certified block is applied"
            log = TileLog(applied.log_size, view.tile)
            return answers.Answer(
                question=name,
                params=params,
                answer=answer,
                height=base.height,
                seal=base.seal,
                seal_path=tuple(log.inclusion_path(base.seal_index, head.size)),
                checkpoint=note,
                rows=tuple(answers.Row(key, *traced.rows[key]) for key in sorted(traced.rows)),
                lineage=links_for(view, note),
            )

    def state(self, key: bytes, *, height: int | None = None) -> StateAnswer | None:
        """Return a state key with its proof at the newest state root, or at the newest one at
        or below ``height``; None before block 1.

        Raises ``HeightUnavailable``; ``ValueAhead`` when the value is newer than the root.
        """
        with self._store.snapshot() as view:
            applied = view.applied()
            if applied is None:
                return None
            base = base_at(view, applied.height if height is None else height)
            value, proof = StateAt(view, base).prove(key)
            return StateAnswer(key, value, base.height, base.state_root, proof)


class _Founded(FactsAt):
    """The network as it was founded, before its first block."""

    def __init__(self, view: Snapshot, book: Book) -> None:
        time_ms = book.tip.time_ms
        super().__init__(view, height=0, time_ms=time_ms, state=None, scans=True)
        self._book = book

    def get(self, key: bytes) -> bytes | None:
        return self._book.read(key)


def _question(name: str) -> Question:
    found = registry.QUESTIONS.get(name)
    if found is None:
        raise QuestionUnknown(name)
    return found


def _certified(view: Snapshot, height: int | None) -> tuple[Base, bytes]:
    """Return the block that a proof speaks of and the note that covers its seal."""
    newest = view.latest_checkpoint()
    if height is None:
        if newest is None:
            raise AnswerPending("no checkpoint is certified yet")
        return base_at(view, newest[0]), newest[1]
    base = base_at(view, height)
    covering = view.latest_checkpoint(covering=base.seal_index)
    if covering is None:
        raise AnswerPending(f"height {base.height}")
    return base, covering[1]
