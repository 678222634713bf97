"""What the research operations carry, checked for form alone.

Epsilon is an integer in millionths; ``k`` an integer; methods, purposes and reasons are codes
of closed lists; a study, a dataset, a query and a result are 32 bytes each.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts.research import SOURCES_MAX
from node.ledger.facts.words import known, sized
from node.ledger.transaction import ORG_PATTERN

BUDGET_MICRO_MAX: Final = 1_000_000_000  # epsilon 1000: far beyond any protection
K_MAX: Final = 1 << 20
PURPOSES: Final = ("HQUALIMP", "HRESCH", "PUBHLTH")  # HL7 v3 PurposeOfUse
METHODS: Final = (
    "aggregate",
    "differential-privacy",
    "expert",  # 45 CFR 164.514(b)(1)
    "k-anonymity",
    "safe-harbour",  # 45 CFR 164.514(b)(2)
    "synthetic",
)
RECALL_REASONS: Final = ("breach", "error", "left", "outdated")


@dataclass(frozen=True, slots=True)
class Register:
    """A study.  The board of ``ethics`` co-signs with its institution's identity key.

    ``study``: 32 random bytes; ``approval`` and ``terms``: commitments to the approval and to
    what participants are told; ``budget_micro``: all the epsilon that may ever be spent.
    """

    study: bytes
    ethics: str
    approval: bytes
    terms: bytes
    purposes: tuple[str, ...]
    until_ms: int
    budget_micro: int

    def __post_init__(self) -> None:
        sized(self.study, 32, "study")
        sized(self.approval, 32, "approval")
        sized(self.terms, 32, "terms")
        if not ORG_PATTERN.fullmatch(self.ethics):
            raise ValueError("ethics must match [a-z0-9][a-z0-9-]{0,62}")
        for purpose in self.purposes:
            known(purpose, PURPOSES, "purposes")
        if list(self.purposes) != sorted(set(self.purposes)):
            raise ValueError("purposes are unique and ascending")
        if "HRESCH" not in self.purposes:
            raise ValueError("purposes of a study hold HRESCH")
        if not 1 <= self.budget_micro <= BUDGET_MICRO_MAX:
            raise ValueError("budget_micro must be 1 to 10^9")


@dataclass(frozen=True, slots=True)
class End:
    """End a study before its time: the sponsor, or the ethics board that withdraws."""

    study: bytes

    def __post_init__(self) -> None:
        sized(self.study, 32, "study")


@dataclass(frozen=True, slots=True)
class Join:
    """A patient joins; the patient's key co-signs.  ``terms`` repeats the study's commitment
    to what participants are told: it is what the patient signs."""

    study: bytes
    subject: bytes
    terms: bytes

    def __post_init__(self) -> None:
        sized(self.study, 32, "study")
        sized(self.subject, 32, "subject")
        sized(self.terms, 32, "terms")


@dataclass(frozen=True, slots=True)
class Leave:
    """A patient leaves, at any time and without a reason; the patient's key co-signs."""

    study: bytes
    subject: bytes

    def __post_init__(self) -> None:
        sized(self.study, 32, "study")
        sized(self.subject, 32, "subject")


@dataclass(frozen=True, slots=True)
class Publish:
    """A version of a dataset.

    ``manifest``: root over the de-identified objects; ``k``: 0 where it says nothing;
    ``epsilon_micro``: what publishing it costs of the study's budget; ``sources``: roots of
    anchored batches that it was made from; ``upto``, ``members`` and ``head``: the membership
    that it was made from, by change number, count and commitment.
    """

    study: bytes
    dataset: bytes
    version: int
    manifest: bytes
    method: str
    k: int
    epsilon_micro: int
    sources: tuple[bytes, ...]
    upto: int
    members: int
    head: bytes

    def __post_init__(self) -> None:
        for name in ("study", "dataset", "manifest", "head"):
            sized(getattr(self, name), 32, name)
        known(self.method, METHODS, "method")
        if self.k > K_MAX or self.epsilon_micro > BUDGET_MICRO_MAX:
            raise ValueError("k is at most 2^20 and epsilon_micro at most 10^9")
        if self.method == "k-anonymity" and self.k < 2:
            raise ValueError("k-anonymity has k of 2 or more")
        if self.method == "differential-privacy" and self.epsilon_micro == 0:
            raise ValueError("differential-privacy has an epsilon above 0")
        if not 1 <= len(self.sources) <= SOURCES_MAX:
            raise ValueError("sources are 1 to 64")
        if any(len(root) != 32 for root in self.sources):
            raise ValueError("sources are 32 bytes each")
        if len(set(self.sources)) != len(self.sources):
            raise ValueError("sources are named once")


@dataclass(frozen=True, slots=True)
class Use:
    """A use of the latest version; who published the dataset signs or co-signs.  ``query`` and
    ``result`` are commitments (a plain digest of a small count can be guessed),
    ``epsilon_micro`` what it costs of the study's budget."""

    dataset: bytes
    version: int
    purpose: str
    query: bytes
    result: bytes
    epsilon_micro: int

    def __post_init__(self) -> None:
        for name in ("dataset", "query", "result"):
            sized(getattr(self, name), 32, name)
        known(self.purpose, PURPOSES, "purpose")
        if self.epsilon_micro > BUDGET_MICRO_MAX:
            raise ValueError("epsilon_micro is at most 10^9")


@dataclass(frozen=True, slots=True)
class RecallDataset:
    """Take a version back: it is not used any more.  What was seen stays seen."""

    dataset: bytes
    version: int
    reason: str

    def __post_init__(self) -> None:
        sized(self.dataset, 32, "dataset")
        known(self.reason, RECALL_REASONS, "reason")
