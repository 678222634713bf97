"""Proven answers: what a question answered at a height, with all that shows it to a stranger.

An answer carries every state row that the question read (or that it was not there), each with
its path to the state root in the seal of one block, and that seal with its path to a tree head
that a quorum of members cosigned.  Whoever verifies it asks the same question again over those
rows alone, with nothing but the text and a policy, and must come to the same answer.  A list is
complete for the same reason: the question counts it in state, and a row that is left out is
missed.

Owns: the encoding and the verification.  Refuses: trust; that is the policy the verifier brings
along, and the version of this software that holds the question.
Invariant: an answer that verifies is what the ledger's rules and state give at ``height``, or a
quorum of members signed a state that the rules did not give.
"""

import enum
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Final

from consensus import wire
from consensus.codec import Malformed
from node.ledger import checkpoint as heads
from node.ledger import registry, sealed, smt
from node.ledger.asking import NotProvable, Question
from node.ledger.block import SEAL_BYTES_MAX, SEAL_TAG
from node.ledger.checkpoint import CheckpointMalformed
from node.ledger.lineage import Link, Trusted
from node.ledger.receipt import PATH_HASHES_MAX
from node.ledger.sealed import LINEAGE_BYTES_MAX, ReceiptInvalid
from node.ledger.smt import StateProof

FORMAT: Final = "chartseal/answer/v1"
FORMAT_WITH_LINEAGE: Final = "chartseal/answer/v2"
_FORMAT_OF_ALL: Final = "chartseal/answer/v"
ROWS_MAX: Final = 2000
ROWS_BYTES_MAX: Final = 2 << 20  # keys and values, without their proofs
JSON_BYTES_MAX: Final = 24 << 20
_HEIGHT_MAX: Final = (1 << 63) - 1


class AnswerMalformed(ValueError):
    """The text is not a proven answer.  Never quotes the content."""


class Reason(enum.StrEnum):
    """Why a well-formed answer proves nothing.  Stable: clients and documents use them."""

    CHECKPOINT_MALFORMED = "checkpoint-malformed"
    WRONG_LOG = "wrong-log"
    QUORUM_MISSING = "quorum-missing"
    SEAL_MALFORMED = "seal-malformed"
    SEAL_MISMATCH = "seal-mismatch"
    HEIGHT_MISMATCH = "height-mismatch"
    ROW_MISMATCH = "row-mismatch"
    ROW_MISSING = "row-missing"
    ROW_UNUSED = "row-unused"
    ROW_UNREADABLE = "row-unreadable"
    NOT_PROVABLE = "not-provable"
    ANSWER_MISMATCH = "answer-mismatch"
    LINEAGE_INVALID = "lineage-invalid"  # its own reason follows


class AnswerInvalid(Exception):
    """An answer that does not prove what it claims; ``reason`` says at which step."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Row:
    """A state key that the question read: its value, None when it was not there."""

    key: bytes
    value: bytes | None
    proof: StateProof


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The fields of a proven answer; raises ``AnswerMalformed`` beyond their limits.

    ``params`` and ``answer`` are the question's own records.  ``seal`` is leaf data,
    ``checkpoint`` the signed note; ``rows`` ascend by key.  ``lineage`` is as in a receipt.
    """

    question: str
    params: Any
    answer: Any
    height: int
    seal: bytes
    seal_path: tuple[bytes, ...]
    checkpoint: bytes
    rows: tuple[Row, ...]
    lineage: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.height <= _HEIGHT_MAX:
            raise AnswerMalformed("height out of range")
        if len(self.seal) > SEAL_BYTES_MAX + len(SEAL_TAG):
            raise AnswerMalformed("seal too long")
        if len(self.checkpoint) > heads.NOTE_BYTES_MAX:
            raise AnswerMalformed(f"checkpoint beyond {heads.NOTE_BYTES_MAX} bytes")
        path = self.seal_path
        if len(path) > PATH_HASHES_MAX or any(len(node) != 32 for node in path):
            raise AnswerMalformed(f"a path is up to {PATH_HASHES_MAX} hashes of 32 bytes")
        if len(self.rows) > ROWS_MAX:
            raise AnswerMalformed(f"more than {ROWS_MAX} rows")
        if sum(len(row.key) + len(row.value or b"") for row in self.rows) > ROWS_BYTES_MAX:
            raise AnswerMalformed(f"rows of more than {ROWS_BYTES_MAX} bytes")
        keys = [row.key for row in self.rows]
        if any(left >= right for left, right in pairwise(keys)):
            raise AnswerMalformed("rows ascend by key, each once")
        if self.lineage and not sealed.fits(self.lineage):
            raise AnswerMalformed(f"lineage beyond {LINEAGE_BYTES_MAX} bytes")


@dataclass(frozen=True, slots=True)
class VerifiedAnswer:
    """What a verified answer proves: that ``answer`` was right as of ``height``.

    ``time_ms`` is the block's time; ``signers`` are member ids in order; ``rows`` how many
    state rows it rests on.
    """

    question: Question
    answer: Any
    height: int
    time_ms: int
    rows: int
    checkpoint_size: int
    signers: tuple[str, ...]
    epoch: int | None = None  # of the era that signed; None where a bare policy was trusted


# --- encoding -----------------------------------------------------------------------------


def to_json(answer: Answer) -> str:
    """Return the answer as JSON text: field names, byte strings in lower-case hex."""
    form = FORMAT_WITH_LINEAGE if answer.lineage else FORMAT
    return json.dumps({"format": form, **_plain(answer)}, indent=1) + "\n"


def _plain(answer: Answer) -> dict[str, Any]:
    names = [item.name for item in fields(answer)]
    if not answer.lineage:  # version 1 has no such name
        names.remove("lineage")
    return {name: wire.to_plain(getattr(answer, name)) for name in names}


def from_json(text: str) -> Answer:
    """Return the answer in JSON ``text``; raise ``AnswerMalformed``.

    Also for a question that this version does not know: only the question says how its answer
    reads.
    """
    try:
        plain = heads.load_json(text, size_max=JSON_BYTES_MAX)
        form = plain.pop("format", None) if type(plain) is dict else None
        if form not in (FORMAT, FORMAT_WITH_LINEAGE):
            newer = type(form) is str and form.startswith(_FORMAT_OF_ALL)
            later = "an answer of a later version: verify it with newer software"
            raise AnswerMalformed(later if newer else f"not a {FORMAT}")
        name = plain.get("question")
        question = registry.QUESTIONS.get(name) if type(name) is str else None
        if question is None:
            raise AnswerMalformed("a question that this version does not know")
        answer = Answer(**_typed(question, plain, lineage=form == FORMAT_WITH_LINEAGE))
    except (Malformed, CheckpointMalformed) as error:
        raise AnswerMalformed(f"answer: {error}") from error
    if _plain(answer) != plain:  # an empty lineage is none
        raise AnswerMalformed("fields are written one way only, byte strings in lower case")
    return answer


def _typed(question: Question, plain: Mapping[str, Any], *, lineage: bool) -> dict[str, Any]:
    kinds: dict[str, Any] = {
        "question": str,
        "params": question.params,
        "answer": question.answer,
        "height": int,
        "seal": bytes,
        "seal_path": tuple[bytes, ...],
        "checkpoint": bytes,
        "rows": tuple[Row, ...],
    }
    if lineage:
        kinds["lineage"] = tuple[Link, ...]
    if plain.keys() != kinds.keys():
        raise Malformed(f"the fields are {', '.join(kinds)}")
    try:  # a surrogate without its other half is no text, and no question expects it
        json.dumps([plain["params"], plain["answer"]], ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Malformed("not Unicode text") from error
    return {name: wire.from_plain(kind, plain[name]) for name, kind in kinds.items()}


# --- verification -------------------------------------------------------------------------


class _Rows:
    """Facts of proven rows only; remembers which of them were read."""

    def __init__(self, answer: Answer, time_ms: int) -> None:
        self.height = answer.height
        self.time_ms = time_ms
        self._rows = {row.key: row.value for row in answer.rows}
        self.unread = set(self._rows)

    def get(self, key: bytes) -> bytes | None:
        if key not in self._rows:
            raise AnswerInvalid(Reason.ROW_MISSING, f"the question reads {_named(key)}")
        self.unread.discard(key)
        return self._rows[key]

    def scan(
        self, prefix: bytes, *, start: bytes = b"", limit: int
    ) -> Iterator[tuple[bytes, bytes]]:
        del prefix, start, limit
        raise NotProvable("the question reads an index that no root covers")


def _named(key: bytes) -> str:
    return f"the state key {key[:64].hex()}"


def verify(answer: Answer, trusted: Trusted) -> VerifiedAnswer:
    """Return what ``answer`` proves to someone who trusts ``trusted``, a policy or, for answers
    of any era, a ``Trust``.

    Raises ``AnswerInvalid`` with the first step that fails.
    """
    try:
        tree_head, signers, epoch = sealed.verify_head(
            answer.checkpoint, trusted, answer.lineage
        )
        seal = sealed.verify_seal(answer.seal, answer.seal_path, tree_head, leaf_index=None)
    except ReceiptInvalid as error:
        detail = str(error).removeprefix(f"{error.reason}: ")
        raise AnswerInvalid(Reason(error.reason.value), detail) from error
    if not answer.height == seal.height == seal.state_height:
        raise AnswerInvalid(
            Reason.HEIGHT_MISMATCH,
            f"answered for {answer.height}, sealed at {seal.height} for {seal.state_height}",
        )
    for row in answer.rows:
        if not smt.verify_state(seal.state_root, row.key, row.value, row.proof):
            raise AnswerInvalid(Reason.ROW_MISMATCH, _named(row.key))
    question = registry.QUESTIONS[answer.question]
    rows = _Rows(answer, seal.time_ms)
    try:
        again = question.ask(rows, answer.params)
    except NotProvable as error:
        raise AnswerInvalid(Reason.NOT_PROVABLE, str(error)) from error
    except Malformed as error:
        raise AnswerInvalid(Reason.ROW_UNREADABLE, "by this version's rules") from error
    if again != answer.answer:
        raise AnswerInvalid(Reason.ANSWER_MISMATCH, "the rows give another answer")
    if rows.unread:
        raise AnswerInvalid(Reason.ROW_UNUSED, _named(min(rows.unread)))
    return VerifiedAnswer(
        question=question,
        answer=again,
        height=seal.height,
        time_ms=seal.time_ms,
        rows=len(answer.rows),
        checkpoint_size=tree_head.size,
        signers=signers,
        epoch=epoch,
    )
