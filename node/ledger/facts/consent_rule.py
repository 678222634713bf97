"""What a consent says: a rule shaped like the provisions of FHIR R4 Consent under IHE PCF.

Owns the bounds: closed vocabularies, ``ITEMS_MAX`` entries in each list of a scope,
``EXEMPTIONS_MAX`` exemptions of a rule, one level deep.  Lists are unique and ascending, so a
rule has one form.  Whom and what a rule names it names by institution id or by commitment.
Not kept, as PCF has it: ``action``, ``class`` and ``code``.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from node.ledger.facts.words import LABELS, PURPOSES, known, sized
from node.ledger.genesis import ROLES
from node.ledger.payload import ORG_PATTERN

ITEMS_MAX: Final = 16
EXEMPTIONS_MAX: Final = 16
TIME_MS_MAX: Final = 253_402_300_799_999  # the year 9999 ends: what FHIR can write

# Meanings of named data: FHIR R4 value set consent-data-meaning.
MEANINGS: Final = ("authoredby", "dependents", "instance", "related")

T = TypeVar("T", str, int, bytes)


def ordered(items: tuple[T, ...], what: str) -> None:
    """Raise ``ValueError`` unless ``items`` are few, unique and ascending."""
    if len(items) > ITEMS_MAX:
        raise ValueError(f"{what}: at most {ITEMS_MAX}")
    if list(items) != sorted(set(items)):
        raise ValueError(f"{what} must be unique and ascending")


def spanned(from_ms: int | None, until_ms: int | None, what: str) -> None:
    """Raise ``ValueError`` unless the half-open period is sane; None: open on that side."""
    if any(item is not None and item > TIME_MS_MAX for item in (from_ms, until_ms)):
        raise ValueError(f"{what} lies beyond the year 9999")
    if from_ms is not None and until_ms is not None and from_ms >= until_ms:
        raise ValueError(f"{what} ends before it begins")


@dataclass(frozen=True, slots=True)
class Named:
    """Data or an author by commitment: ``meaning`` is a code of FHIR consent-data-meaning."""

    meaning: str
    commitment: bytes

    def __post_init__(self) -> None:
        known(self.meaning, MEANINGS, "meaning")
        sized(self.commitment, 32, "commitment")


@dataclass(frozen=True, slots=True)
class Scope:
    """To whom, for what and to which data a rule applies; what is left empty is not limited.

    Actors are alternatives: an institution (``orgs``), any institution with a role, or a
    practitioner by the commitment of the licence.  ``classes``: coarse class codes of records;
    ``labels``: sensitivity; ``data_from_ms``, ``data_until_ms``: when the data was made;
    ``from_ms``, ``until_ms``: when the rule holds.  Lists are ascending.
    """

    orgs: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    practitioners: tuple[bytes, ...] = ()
    purposes: tuple[str, ...] = ()
    classes: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    named: tuple[Named, ...] = ()
    data_from_ms: int | None = None
    data_until_ms: int | None = None
    from_ms: int | None = None
    until_ms: int | None = None

    def __post_init__(self) -> None:
        ordered(self.orgs, "orgs")
        ordered(self.roles, "roles")
        ordered(self.practitioners, "practitioners")
        ordered(self.purposes, "purposes")
        ordered(self.classes, "classes")
        ordered(self.labels, "labels")
        if any(not ORG_PATTERN.fullmatch(item) for item in self.orgs):
            raise ValueError("orgs are institution ids")
        if not ROLES.issuperset(self.roles):
            raise ValueError("roles must be roles of this ledger")
        for practitioner in self.practitioners:
            sized(practitioner, 32, "practitioner")
        for purpose in self.purposes:
            known(purpose, PURPOSES, "purpose")
        for label in self.labels:
            known(label, LABELS, "label")
        if any(item > 255 for item in self.classes):
            raise ValueError("a class is one byte")
        if len(self.named) > ITEMS_MAX or len(set(self.named)) != len(self.named):
            raise ValueError(f"named: at most {ITEMS_MAX}, each once")
        spanned(self.data_from_ms, self.data_until_ms, "data period")
        spanned(self.from_ms, self.until_ms, "period")


@dataclass(frozen=True, slots=True)
class Exemption:
    """An exception to a rule, one level deep.  What its scope leaves empty it inherits."""

    permit: bool
    scope: Scope


@dataclass(frozen=True, slots=True)
class Rule:
    """What a consent says: permit or deny, for a scope, with exemptions."""

    permit: bool
    scope: Scope = Scope()
    exemptions: tuple[Exemption, ...] = ()

    def __post_init__(self) -> None:
        if len(self.exemptions) > EXEMPTIONS_MAX:
            raise ValueError(f"at most {EXEMPTIONS_MAX} exemptions")
