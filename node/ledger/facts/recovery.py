"""Recoveries of patients' keys that wait, and links between subjects, in state."""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts import numbered
from node.ledger.state import Read

OPEN: Final = "open"
DONE: Final = "done"
CANCELLED: Final = "cancelled"


@dataclass(frozen=True, slots=True)
class RecoveryRow:
    """New keys that an institution asked for; they take over at ``due_ms``."""

    sign_key: bytes
    seal_key: bytes
    status: str  # open, done, cancelled
    opened_height: int
    opened_ms: int
    due_ms: int
    closed_height: int | None = None
    closed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LinkRow:
    """Who stands for a link: the key of ``subject``, or both institutions."""

    org: str
    other: str | None
    subject: bytes | None
    from_height: int
    from_ms: int
    until_height: int | None = None
    until_ms: int | None = None


def recoveries(subject: bytes) -> bytes:
    return b"patient-recovery/" + subject


def link_key(link: bytes) -> bytes:
    return b"patient-link/" + link


def open_recovery(read: Read, subject: bytes) -> tuple[int, RecoveryRow | None]:
    """Return the recovery that waits and its number; only the newest can wait."""
    name = recoveries(subject)
    row = numbered.last(read, name, RecoveryRow)
    waits = row is not None and row.status == OPEN
    return numbered.length(read, name) - 1 if waits else 0, row if waits else None
