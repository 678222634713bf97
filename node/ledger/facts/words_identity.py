"""The closed vocabularies of family identity: professions, severities, facts of a directory."""

import re
from typing import Final

# Unit groups of the International Standard Classification of Occupations (ISCO-08).
PROFESSIONS: Final = {
    "ambulance-worker": "3258",
    "audiologist": "2266",
    "dental-assistant": "3251",
    "dentist": "2261",
    "dietitian": "2265",
    "general-practitioner": "2211",
    "imaging-technician": "3211",
    "laboratory-technician": "3212",
    "midwife": "2222",
    "nurse": "2221",
    "nurse-associate": "3221",
    "optometrist": "2267",
    "paramedic": "2240",
    "pharmacist": "2262",
    "pharmacy-technician": "3213",
    "physiotherapist": "2264",
    "psychologist": "2634",
    "social-worker": "2635",
    "specialist-physician": "2212",
}

# Qualitative severity ratings of the Common Vulnerability Scoring System.
SEVERITIES: Final = ("none", "low", "medium", "high", "critical")

# A model is known by its UDI device identifier: GTIN-14, HIBCC or ICCBBA, without separators.
MODEL_PATTERN: Final = re.compile(r"[A-Z0-9]{6,23}")
VERSION_PATTERN: Final = re.compile(r"[0-9][0-9A-Za-z.+-]{0,31}")
ADVISORY_PATTERN: Final = re.compile(
    r"CVE-[0-9]{4}-[0-9]{4,7}|ICSMA-[0-9]{2}-[0-9]{3}-[0-9]{2}|[0-9]{1,12}"
)

# What may be said of an institution, and how the value must look.  All of it is public.
DIRECTORY_FACTS: Final = {
    "accepting-patients": re.compile(r"yes|no|waiting-list|existing-only"),
    # ISO 3166-1 or 3166-2, then a postal code; the whole address is behind the digest.
    "address": re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?(/[A-Z0-9]{2,10})?"),
    "legal-id": re.compile(r"[A-Z0-9]{18}[0-9]{2}"),  # LEI, ISO 17442
    "network-status": re.compile(r"in|out|pending"),
    "specialty": re.compile(r"[1-9][0-9]{5,17}"),  # a SNOMED CT concept
    "telephone": re.compile(r"\+[1-9][0-9]{6,14}"),  # E.164, of the institution
}
# What may be said of a licence: the kind alone, its content behind a digest.
LICENCE_FACTS: Final = ("accepting-patients", "network-status", "specialty")


def matching(value: str, pattern: re.Pattern[str], what: str) -> None:
    """Raise ``ValueError`` unless the whole of ``value`` fits ``pattern``."""
    if not pattern.fullmatch(value):
        raise ValueError(f"{what} must match {pattern.pattern}")
