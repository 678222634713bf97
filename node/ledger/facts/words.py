"""The closed vocabularies that several families use: coded words, never free text."""

from typing import Final

from node.ledger.payload import ORG_PATTERN

# HL7 v3 PurposeOfUse, the ones that a rule here knows.
PURPOSES: Final = (
    "BTG",  # break the glass
    "ETREAT",  # emergency treatment
    "HLEGAL",
    "HOPERAT",  # operations of the institution
    "HPAYMT",  # payment
    "HQUALIMP",
    "HRESCH",  # research
    "PATRQT",  # the patient asked
    "PUBHLTH",
    "TREAT",
)
# HL7 v3 Confidentiality and sensitivity labels that a consent can single out.
LABELS: Final = ("ETH", "HIV", "N", "PSY", "R", "SDV", "SEX", "V")


def org_id(value: str, what: str) -> None:
    """Raise ``ValueError`` unless ``value`` has the form of an institution's id."""
    if not ORG_PATTERN.fullmatch(value):
        raise ValueError(f"{what} is an institution id")


def known(value: str, words: tuple[str, ...], what: str) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``words``."""
    if value not in words:
        raise ValueError(f"{what} must be one of {', '.join(words)}")


def sized(value: bytes | None, size: int, what: str) -> None:
    """Raise ``ValueError`` unless ``value`` is missing or has ``size`` bytes."""
    if value is not None and len(value) != size:
        raise ValueError(f"{what} is {size} bytes")
