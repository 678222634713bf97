"""Studies, who is in them, the datasets made from them and how these were used.

Membership of a study is a log of *changes*, numbered from 1: somebody joined or somebody left.
The change number up to which a dataset version looks therefore says exactly who is in it, and
the *head* commits to that: head(0) is 32 zero bytes, head(n) = SHA-256("chartseal/members/v1"
0x00 || head(n-1) || 0x01 joined or 0x00 left || subject).  Anyone can recompute it.

Invariants: ``spent_micro`` only grows and stays within ``budget_micro``; nobody who left up to
the change that a version looks at is in that version.
Bounds: 16 stays of one subject in one study, 64 source batches of one version.

State: ``research/study/<study>`` -> ``StudyRow``; list ``research/changes/<study>`` of
``ChangeRow``; list ``research/stays/<study><subject>`` of ``StayRow``; list
``research/studies/<subject>`` of ``StudyName``; ``research/dataset/<dataset>`` ->
``DatasetRow``; list ``research/versions/<dataset>`` of ``VersionRow``; lists
``research/publications/<study>`` of ``Publication``, ``research/uses/<study>`` of ``UseRow``.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from node.ledger.facts import numbered
from node.ledger.rules import Context, Refused, Result
from node.ledger.state import Read, load_from

STAYS_MAX: Final = 16
SOURCES_MAX: Final = 64
HEAD_TAG: Final = b"chartseal/members/v1\x00"
NO_HEAD: Final = bytes(32)

STUDY_UNKNOWN: Final = Result(461, "research-study-unknown", "No such study on the ledger.")
OVER: Final = Result(464, "research-study-over", "The study is over.")
NOT_SPONSOR: Final = Result(470, "research-not-sponsor", "Another institution runs the study.")


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study.  ``budget_micro`` and ``spent_micro`` are epsilon in millionths."""

    study: bytes
    org: str  # the sponsor
    ethics: str  # the institution whose board approved it
    approval: bytes  # commitment to the approval
    terms: bytes  # commitment to what participants are told
    purposes: tuple[str, ...]
    until_ms: int
    budget_micro: int
    spent_micro: int
    members: int  # now
    changes: int
    last_leave: int  # the number of the latest change that was a leave; 0: none
    head: bytes
    height: int
    time_ms: int
    ended_by: str | None
    ended_height: int | None
    ended_ms: int | None

    def is_over(self, time_ms: int) -> bool:
        return self.ended_ms is not None or time_ms >= self.until_ms


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """Change ``n`` stands at place ``n - 1``; ``members`` and ``head`` are those after it."""

    subject: bytes
    joined: bool
    members: int
    head: bytes
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class StayRow:
    """One time that a subject was in a study, by change numbers."""

    org: str  # the institution that knows the patient
    joined: int
    joined_height: int
    joined_ms: int
    left: int | None
    left_height: int | None
    left_ms: int | None


@dataclass(frozen=True, slots=True)
class StudyName:
    study: bytes


@dataclass(frozen=True, slots=True)
class DatasetRow:
    study: bytes
    org: str
    versions: int


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version; version ``n`` stands at place ``n - 1``."""

    manifest: bytes
    method: str
    k: int
    epsilon_micro: int
    sources: tuple[bytes, ...]
    upto: int  # membership up to this change
    members: int
    head: bytes
    height: int
    time_ms: int
    recalled_reason: str | None
    recalled_height: int | None
    recalled_ms: int | None


@dataclass(frozen=True, slots=True)
class Publication:
    dataset: bytes
    version: int
    upto: int


@dataclass(frozen=True, slots=True)
class UseRow:
    """One use: commitments to question and result, and what it cost of the budget."""

    dataset: bytes
    version: int
    upto: int
    org: str
    purpose: str
    query: bytes
    result: bytes
    epsilon_micro: int
    spent_micro: int  # of the whole study, after it
    txid: bytes
    height: int
    time_ms: int


def study_key(study: bytes) -> bytes:
    return b"research/study/" + study


def changes_key(study: bytes) -> bytes:
    return b"research/changes/" + study


def stays_key(study: bytes, subject: bytes) -> bytes:
    return b"research/stays/" + study + subject


def studies_key(subject: bytes) -> bytes:
    return b"research/studies/" + subject


def dataset_key(dataset: bytes) -> bytes:
    return b"research/dataset/" + dataset


def versions_key(dataset: bytes) -> bytes:
    return b"research/versions/" + dataset


def publications_key(study: bytes) -> bytes:
    return b"research/publications/" + study


def uses_key(study: bytes) -> bytes:
    return b"research/uses/" + study


def study_row(read: Read, study: bytes) -> StudyRow | None:
    return load_from(read, StudyRow, study_key(study))


def stays(read: Read, study: bytes, subject: bytes) -> tuple[StayRow, ...]:
    """Return every stay of a subject in a study, the latest last."""
    found, _ = numbered.page(read, stays_key(study, subject), StayRow, start=0, limit=STAYS_MAX)
    return found


def includes(stay_rows: tuple[StayRow, ...], upto: int) -> bool:
    """Return whether somebody with these stays is in what looks at changes up to ``upto``."""
    return any(
        stay.joined <= upto and (stay.left is None or stay.left > upto) for stay in stay_rows
    )


def next_head(head: bytes, subject: bytes, *, joined: bool) -> bytes:
    """Return the commitment to a membership after one more change."""
    return hashlib.sha256(HEAD_TAG + head + bytes((joined,)) + subject).digest()


def known_study(context: Context, study: bytes) -> StudyRow:
    """Return the row of a study; refuses one that nobody registered."""
    row = study_row(context.view.get, study)
    if row is None:
        raise Refused(STUDY_UNKNOWN)
    return row


def running(context: Context, study: bytes) -> StudyRow:
    """Return the row of a study that is not over."""
    row = known_study(context, study)
    if row.is_over(context.time_ms):
        raise Refused(OVER)
    return row
