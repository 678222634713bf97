"""What a check is, and what it says.

Owns: the words.  An id (``group.name``) is a promise: it may be added, never renamed.
A check whose subject does not exist says ``not-applicable`` and never ``ok``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from node.doctor.scene import Scene

MANUAL: Final = "deploy/docs/doctor.md"
GROUPS: Final = (
    "cfg", "os", "time", "disk", "keys", "tls", "net", "store", "ledger", "quorum", "sinks",
    "backup", "security", "version",
)  # fmt: skip


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class Said:
    """A check's answer: how it stands, and the facts that it rests on."""

    state: State
    evidence: str


def ok(evidence: str) -> Said:
    return Said(State.OK, evidence)


def warning(evidence: str) -> Said:
    return Said(State.WARNING, evidence)


def failure(evidence: str) -> Said:
    return Said(State.FAILURE, evidence)


def not_applicable(evidence: str) -> Said:
    return Said(State.NOT_APPLICABLE, evidence)


@dataclass(frozen=True, slots=True)
class Check:
    """``what`` must hold; ``fix`` is what to do when it does not.

    ``mend`` does what is safe by itself and returns what it did; None: nothing is.
    """

    id: str
    what: str
    look: "Callable[[Scene], Said]"
    fix: str
    mend: "Callable[[Scene], list[str]] | None" = None

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that was made; ``severity`` is the state's word."""

    id: str
    group: str
    severity: str
    what: str
    evidence: str
    fix: str
    docs: str
    mended: list[str]
