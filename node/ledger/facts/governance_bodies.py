"""What members may propose, as bodies; state keeps each with its proposal.

Closed: fourteen actions, each belongs to one topic, and a proposal is exactly one of them.
Parameters that an engine reads from genesis are not here: members that run with different
timeouts or block sizes would disagree without knowing it.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

from node.ledger.facts.membership_bodies import Admit, Feature, ReplaceKeys
from node.ledger.facts.words import known, sized
from node.ledger.genesis import ENGINES, ROLES, Institution
from node.ledger.payload import ORG_PATTERN
from node.ledger.policies import (
    ENGINE,
    FEATURES,
    INCIDENT_POLICY,
    INSTITUTION,
    KEYS,
    LEGAL,
    MEMBERSHIP,
    PARAMETERS,
    RULES,
    Policy,
)

# Kind of document -> topic under which the members decide on it.
DOCUMENTS: Final = {
    "associate-agreement": LEGAL,  # HIPAA 45 CFR 164.504(e)
    "dpia": LEGAL,  # GDPR Art. 35
    "incident-plan": INCIDENT_POLICY,
    "joint-controllers": LEGAL,  # GDPR Art. 26
    "privacy-notice": LEGAL,  # GDPR Art. 13, 14
    "rule-set": RULES,
    "software-release": RULES,
    "terms": LEGAL,
    "transfer-clauses": LEGAL,  # GDPR Art. 46, PIPL Art. 38
}
# Action -> topic; a document's follows from its kind.
ACTIONS: Final = {
    "register": INSTITUTION,
    "roles": INSTITUTION,
    "suspend": INSTITUTION,
    "resume": INSTITUTION,
    "document": LEGAL,
    "expires_heights_max": PARAMETERS,
    "policy": RULES,
    "limits": INCIDENT_POLICY,
    "admit": MEMBERSHIP,
    "demote": MEMBERSHIP,
    "remove": MEMBERSHIP,
    "engine": ENGINE,
    "replace_keys": KEYS,
    "feature": FEATURES,
}
EXPIRES_HEIGHTS_MIN: Final = 100
EXPIRES_HEIGHTS_MAX: Final = 1_000_000
_HEIGHT_MAX: Final = 1 << 48


def _org(value: str) -> None:
    if not ORG_PATTERN.fullmatch(value):
        raise ValueError("org must match [a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles that ``org`` is to have from then on, all of them, ascending."""

    org: str
    roles: tuple[str, ...]

    def __post_init__(self) -> None:
        _org(self.org)
        if set(self.roles) - ROLES or list(self.roles) != sorted(set(self.roles)):
            raise ValueError("roles must be known, unique and ascending")


@dataclass(frozen=True, slots=True)
class Document:
    """A document by its SHA-256 ``digest``; without it the document of that kind ends.

    ``version`` counts up; ``from_height`` 0: from the block that executes the proposal on.
    """

    kind: str
    version: int
    digest: bytes | None
    from_height: int = 0

    def __post_init__(self) -> None:
        known(self.kind, tuple(DOCUMENTS), "kind of document")
        sized(self.digest, 32, "digest")
        if not 1 <= self.version < 1 << 32:
            raise ValueError("version must be 1 to 2^32-1")
        if self.from_height > _HEIGHT_MAX:
            raise ValueError("from_height is out of range")


@dataclass(frozen=True, slots=True)
class Limits:
    """Time for the duties after an incident.  The law's own time is the longest that members
    can agree on: GDPR Art. 33 (72 hours), 45 CFR 164.404 and 164.408 (60 days)."""

    gdpr_authority_hours: int
    hipaa_persons_days: int
    hipaa_authority_days: int

    def __post_init__(self) -> None:
        if not 1 <= self.gdpr_authority_hours <= 72:
            raise ValueError("gdpr_authority_hours must be 1 to 72")
        for days in (self.hipaa_persons_days, self.hipaa_authority_days):
            if not 1 <= days <= 60:
                raise ValueError("hipaa days must be 1 to 60")


@dataclass(frozen=True, slots=True)
class Propose:
    """Exactly one action under the random handle ``proposal`` (32 bytes).

    ``register``: an institution that does not vote; its identity key co-signs.  ``suspend``,
    ``resume``: an institution's id.  ``expires_heights_max``: how many blocks ahead a
    transaction may expire.  ``admit``, ``demote`` (voter or learner to observer), ``remove``
    (out of the members' network, not off the ledger): an institution's place in the members'
    network.  ``engine``: pbft or raft.  ``replace_keys``: the new identity key co-signs.
    """

    GROWN_FROM: ClassVar[int] = 9

    proposal: bytes
    register: Institution | None = None
    roles: Roles | None = None
    suspend: str | None = None
    resume: str | None = None
    document: Document | None = None
    expires_heights_max: int | None = None
    policy: Policy | None = None
    limits: Limits | None = None
    admit: Admit | None = None
    demote: str | None = None
    remove: str | None = None
    engine: str | None = None
    replace_keys: ReplaceKeys | None = None
    feature: Feature | None = None

    def __post_init__(self) -> None:
        sized(self.proposal, 32, "proposal")
        given = [getattr(self, name) is not None for name in ACTIONS]
        if sum(given) != 1:
            raise ValueError("a proposal is exactly one action")
        for org in (self.suspend, self.resume, self.demote, self.remove):
            if org is not None:
                _org(org)
        heights = self.expires_heights_max
        if heights is not None and not EXPIRES_HEIGHTS_MIN <= heights <= EXPIRES_HEIGHTS_MAX:
            raise ValueError("expires_heights_max must be 100 to 1000000")
        if self.engine not in (None, *ENGINES):
            raise ValueError("engine must be pbft or raft")

    @property
    def action(self) -> str:
        """The name of the one field that is given."""
        return next(name for name in ACTIONS if getattr(self, name) is not None)

    @property
    def topic(self) -> str:
        """The topic under whose threshold and times the action is decided."""
        if self.document is not None:
            return DOCUMENTS[self.document.kind]
        return ACTIONS[self.action]
