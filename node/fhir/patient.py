"""Who a resource is about: identifiers of patients and references to them, in FHIR R4 JSON.

Owns reading ``Patient.identifier`` and the elements that name a patient in other resources
(``patient``, ``subject``, ``beneficiary``, ``individual``).  Nothing else of a Patient is read.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from node.fhir.forms import OURS, Resource

SUBJECT_SYSTEM: Final = OURS + "subject"
IDENTIFIERS_MAX: Final = 32
PART_CHARACTERS_MAX: Final = 256
_ELEMENTS: Final = ("patient", "subject", "beneficiary", "individual")


@dataclass(frozen=True, slots=True)
class Identifier:
    """``system`` is a URI, or empty when the hospital has none."""

    system: str
    value: str

    def __post_init__(self) -> None:
        longest = max(len(self.system), len(self.value))
        if not self.value or longest > PART_CHARACTERS_MAX:
            raise ValueError("an identifier has a value; its parts have 256 characters at most")

    @classmethod
    def read(cls, token: str) -> Self:
        """Return the identifier in FHIR's search form ``system|value``; raises
        ``ValueError``."""
        system, bar, value = token.partition("|")
        return cls(system, value) if bar else cls("", system)

    @property
    def name(self) -> bytes:
        return f"{len(self.system)}|{self.system}|{self.value}".encode()


def identifiers(patient: Any) -> list[Identifier]:
    """Return the identifiers of a Patient that have a value; raises ``ValueError``."""
    listed = patient.get("identifier")
    if type(listed) is not list or len(listed) > IDENTIFIERS_MAX:
        raise ValueError(f"a patient has 1 to {IDENTIFIERS_MAX} identifiers")
    found = [item for part in listed if (item := identifier(part)) is not None]
    if not found:
        raise ValueError("no identifier of the patient has a value")
    return found


def identifier(part: Any) -> Identifier | None:
    """Return the FHIR Identifier ``part``, None when it has no value."""
    if type(part) is not dict or type(part.get("value")) is not str or not part["value"]:
        return None
    system = part.get("system", "")
    return Identifier(system if type(system) is str else "", part["value"])


def about(resource: Any) -> tuple[Identifier | None, str | None]:
    """Return the identifier and the literal reference by which a resource names its patient."""
    for name in _ELEMENTS:
        part = resource.get(name)
        if type(part) is list and part:
            part = part[0]
        if type(part) is not dict:
            continue
        reference = part.get("reference")
        found = identifier(part.get("identifier"))
        if found is not None or type(reference) is str:
            return found, reference if type(reference) is str else None
    return None, None


def reference(subject: bytes) -> Resource:
    """Return a Reference to the patient as the ledger knows them."""
    return {"identifier": {"system": SUBJECT_SYSTEM, "value": subject.hex()}}


def shown(subject: bytes) -> Resource:
    """Return what this interface says of a patient: the subject, and nothing of the person."""
    return {
        "resourceType": "Patient",
        "id": subject.hex(),
        "identifier": [{"system": SUBJECT_SYSTEM, "value": subject.hex()}],
    }
