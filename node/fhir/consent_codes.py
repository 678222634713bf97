"""Code systems of Consent, the ledger's own naming systems, and what cannot be mapped.

The ledger's own names stand in logical references (``Reference.identifier``): they are handles
and commitments, which lead nowhere for whoever was not told.
"""

from typing import Final

TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
SCOPES: Final = TERMINOLOGY + "consentscope"
ACTIONS: Final = TERMINOLOGY + "consentaction"
CATEGORIES: Final = TERMINOLOGY + "consentcategorycodes"
ACT_CODE: Final = TERMINOLOGY + "v3-ActCode"
ACT_REASON: Final = TERMINOLOGY + "v3-ActReason"
CONFIDENTIALITY: Final = TERMINOLOGY + "v3-Confidentiality"
PARTICIPATION: Final = TERMINOLOGY + "v3-ParticipationType"
LOINC: Final = "http://loinc.org"

SUBJECT: Final = "urn:chartseal:subject"
INSTITUTION: Final = "urn:chartseal:institution"
ROLE: Final = "urn:chartseal:role"
LICENCE: Final = "urn:chartseal:licence"
COMMITMENT: Final = "urn:chartseal:commitment"
RECORD_CLASS: Final = "urn:chartseal:record-class"
POLICY: Final = "urn:chartseal:policy:"
HOW: Final = "urn:chartseal:consent-how"

CONFIDENTIAL: Final = ("N", "R", "V")
RECIPIENTS: Final = ("IRCP", "PRCP")
CUSTODIAN: Final = "CST"
# What a consent may be filed under.  Categories that change what is meant (emergency only,
# do not resuscitate, research) are refused rather than filed away.
FILED_UNDER: Final = {
    LOINC: ("57016-8", "57017-6", "59284-0", "64292-6"),
    CATEGORIES: ("npp",),
    ACT_CODE: ("IDSCL", "INFA", "INFAO"),
}

ELEMENT: Final = "fhir-element-unsupported"
CODE: Final = "fhir-code-unsupported"
MISSING: Final = "fhir-element-missing"
MALFORMED: Final = "fhir-value-malformed"
UNRESOLVED: Final = "fhir-reference-unresolved"
TOO_MUCH: Final = "fhir-out-of-bounds"
REFUSALS: Final = {
    CODE: "The ledger has no word for a code there.",
    ELEMENT: "The ledger cannot keep what that element says.",
    MALFORMED: "The value there is not in its format.",
    MISSING: "Without that element the consent is ambiguous.",
    TOO_MUCH: "There is more of it, or it lies further away, than the ledger keeps.",
    UNRESOLVED: "What is referred to there is not known.",
}


class NotMapped(Exception):
    """A consent cannot be put on the ledger without changing what it says.

    ``code`` is one of ``REFUSALS``, ``element`` the FHIR path.  No value of the resource
    stands in it: it may go into a log.
    """

    def __init__(self, code: str, element: str) -> None:
        super().__init__(f"{element}: {REFUSALS[code]}")
        self.code = code
        self.element = element
