"""A seeded population: patients, practitioners, devices, and what a hospital writes about them.

All words are syllables drawn from a seed: they are in no language and cannot occur by chance,
so that one of them found anywhere is a leak.  They stand wherever FHIR R4 has room for words:
names, identifiers, displays, narrative, notes, extensions, attachments, ids, file names.
``words`` are what must not be found as such; ``guessable`` what must not be found hashed
either: an identifier, a birth date, a laboratory value falls to whoever tries them all.
"""

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.fhir import CONSENT

MRN_SYSTEM: Final = "urn:oid:2.999.1.17"
SSN_SYSTEM: Final = "http://hl7.org/fhir/sid/us-ssn"
LICENCE_SYSTEM: Final = "urn:oid:2.999.2.5"
_ONSETS: Final = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "zh")
_VOWELS: Final = ("a", "e", "i", "o", "u", "ae", "ou")
# What anybody would try first: values of few possibilities, as they stand in resources.
CODES: Final = ("male", "female", "unknown", "positive", "negative", "E11.9", "B20", "O80")
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Patient:
    given: str
    family: str
    born: str
    mrn: str
    ssn: str
    phone: str
    email: str
    street: str
    city: str
    diagnosis: str
    note: str

    @property
    def identifiers(self) -> list[Resource]:
        return [
            {"system": MRN_SYSTEM, "value": self.mrn, "assigner": {"display": self.city}},
            {"system": SSN_SYSTEM, "value": self.ssn},
        ]

    @property
    def reference(self) -> Resource:
        named = {"system": MRN_SYSTEM, "value": self.mrn}
        return {"identifier": named, "display": f"{self.given} {self.family}"}


@dataclass(frozen=True, slots=True)
class Practitioner:
    family: str
    licence: str
    email: str


@dataclass(frozen=True, slots=True)
class Device:
    serial: str
    owner_note: str


@dataclass(slots=True)
class Population:
    """Everybody of one seed; the same seed makes the same people."""

    seed: int
    patients: list[Patient] = field(default_factory=list)
    practitioners: list[Practitioner] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self.patients = [self._patient() for _ in range(20)]
        self.practitioners = [
            Practitioner(
                self._word(), self._number(11), f"{self._word()}@{self._word()}.example"
            )
            for _ in range(5)
        ]
        self.devices = [
            Device(f"SN{self._number(12)}", f"{self._word()} {self._word()}") for _ in range(5)
        ]

    # --- drawing -----------------------------------------------------------------------------

    def _word(self, syllables: int = 6) -> str:
        made = "".join(
            self._rng.choice(_ONSETS) + self._rng.choice(_VOWELS) for _ in range(syllables)
        )
        return made.capitalize()

    def _number(self, digits: int) -> str:
        return str(self._rng.randrange(10 ** (digits - 1), 10**digits))

    def _patient(self) -> Patient:
        born = (self._rng.randrange(1921, 1969), self._rng.randrange(1, 13))
        ssn = self._number(9)
        return Patient(
            given=self._word(),
            family=self._word(),
            born=f"{born[0]}-{born[1]:02}-{self._rng.randrange(1, 29):02}",
            mrn=f"MRN-{self._number(10)}",
            ssn=f"{ssn[:3]}-{ssn[3:5]}-{ssn[5:]}",
            phone=f"+49 30 {self._number(9)}",
            email=f"{self._word()}@{self._word()}.example",
            street=f"{self._word()} {self._number(3)}",
            city=self._word(),
            diagnosis=f"{self._word()} {self._word()}",
            note=f"{self._word()} {self._word()} {self._word()}",
        )

    # --- what must not be found --------------------------------------------------------------

    @property
    def words(self) -> list[str]:
        """Return every seeded text, and each part of those with spaces or an at sign."""
        found: dict[str, None] = {}
        for text in self._texts():
            found[text] = None
            for part in text.replace("@", " ").replace(".example", "").split():
                if len(part) >= 8:
                    found[part] = None
        return list(found)

    def _texts(self) -> Iterator[str]:
        for who in self.patients:
            yield from (who.given, who.family, f"{who.given} {who.family}", who.born)
            yield from (who.born.replace("-", ""), who.mrn, who.mrn.removeprefix("MRN-"))
            yield from (who.ssn, who.ssn.replace("-", ""), who.phone, who.email)
            yield from (who.street, who.city, who.diagnosis, who.note)
        for person in self.practitioners:
            yield from (person.family, person.licence, person.email)
        for device in self.devices:
            yield from (device.serial, device.serial.removeprefix("SN"), device.owner_note)

    @property
    def guessable(self) -> list[str]:
        """Return what is short enough to be tried: words, tokens of identifiers, values."""
        found = [*self.words, *CODES]
        found += [value for at in range(len(self.patients)) for value in self._value(at)]
        for who in self.patients:
            for system, value in ((MRN_SYSTEM, who.mrn), (SSN_SYSTEM, who.ssn)):
                found += [f"{system}|{value}", f"{len(system)}|{system}|{value}"]
            found += [f"{who.family}^{who.given}", f"{who.given}{who.family}{who.born}"]
            found += [f"{who.mrn}|{who.born}", f"{who.family}|{who.given}|{who.born}"]
        found += [f"{LICENCE_SYSTEM}|{person.licence}" for person in self.practitioners]
        return found

    # --- resources ---------------------------------------------------------------------------

    def resources(self, at: int) -> list[Resource]:
        """Return everything that is written about patient ``at``, the Patient first."""
        return [
            self.patient(at),
            self._practitioner(at),
            self.consent(at),
            self.observation(at),
            self.audit_event(at),
            self.claim(at),
            self.device(at),
            self._provenance(at),
            self._document(at),
        ]

    def patient(self, at: int) -> Resource:
        who = self.patients[at]
        return {
            "resourceType": "Patient",
            "id": who.family.lower(),
            "identifier": who.identifiers,
            "name": [{"family": who.family, "given": [who.given], "text": who.given}],
            "gender": CODES[at % 2],
            "birthDate": who.born,
            "telecom": [
                {"system": "phone", "value": who.phone},
                {"system": "email", "value": who.email},
            ],
            "address": [{"line": [who.street], "city": who.city}],
            "contact": [{"name": {"text": who.note}}],
            **self._around(at),
        }

    def observation(self, at: int) -> Resource:
        who = self.patients[at]
        value, unit = self._value(at)[:2]
        return {
            "resourceType": "Observation",
            "status": "final",
            "identifier": [{"value": who.mrn}],
            "code": {"coding": [{"code": CODES[5 + at % 3], "display": who.diagnosis}]},
            "subject": who.reference,
            "performer": [self._performer(at)],
            "valueQuantity": {"value": float(value), "unit": unit},
            "note": [{"text": who.note}],
            **self._around(at),
        }

    def consent(self, at: int, org: str = "hosp2") -> Resource:
        made: Resource = json.loads(json.dumps(CONSENT))
        made["patient"] = self.patients[at].reference
        made["text"] = self._around(at)["text"]
        made["performer"] = [{"display": self.patients[at].family}]
        made["provision"]["actor"][0]["reference"] = {
            "reference": f"Organization/{org}",
            "display": self.patients[at].city,
        }
        return made

    def audit_event(self, at: int) -> Resource:
        who = self.patients[at]
        return {
            "resourceType": "AuditEvent",
            "type": {
                "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
                "code": "rest",
                "display": who.note,
            },
            "recorded": "2026-01-01T08:00:00Z",
            "agent": [
                {
                    "requestor": True,
                    "who": self._performer(at),
                    "name": self.practitioners[at % 5].family,
                    "network": {"address": who.email},
                }
            ],
            "source": {"observer": {"display": who.city}},
            "entity": [{"what": who.reference, "name": who.family, "description": who.note}],
            **self._around(at),
        }

    def claim(self, at: int) -> Resource:
        who = self.patients[at]
        price = {"value": 10 + at, "currency": "EUR"}
        return {
            "resourceType": "Claim",
            "status": "active",
            "use": "claim",
            "type": {"coding": [{"code": "oral", "display": who.note}]},
            "patient": who.reference,
            "created": "2026-01-01",
            "provider": self._performer(at),
            "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": {"text": who.diagnosis}}],
            "item": [
                {
                    "sequence": 1,
                    "productOrService": {"text": who.diagnosis},
                    "unitPrice": price,
                    "net": price,
                }
            ],
            **self._around(at),
        }

    def device(self, at: int) -> Resource:
        item = self.devices[at % 5]
        return {
            "resourceType": "Device",
            "status": "active",
            "serialNumber": item.serial,
            "udiCarrier": [{"deviceIdentifier": "09506000117843", "carrierHRF": item.serial}],
            "patient": self.patients[at].reference,
            "note": [{"text": item.owner_note}],
            **self._around(at),
        }

    def _practitioner(self, at: int) -> Resource:
        person = self.practitioners[at % 5]
        return {
            "resourceType": "Practitioner",
            "identifier": [{"system": LICENCE_SYSTEM, "value": person.licence}],
            "name": [{"family": person.family}],
            "telecom": [{"system": "email", "value": person.email}],
            **self._around(at),
        }

    def _provenance(self, at: int) -> Resource:
        return {
            "resourceType": "Provenance",
            "target": [self.patients[at].reference],
            "recorded": "2026-01-01T08:00:00Z",
            "agent": [{"who": self._performer(at)}],
            **self._around(at),
        }

    def _document(self, at: int) -> Resource:
        who = self.patients[at]
        return {
            "resourceType": "DocumentReference",
            "status": "current",
            "masterIdentifier": {"system": MRN_SYSTEM, "value": f"{who.mrn}"},
            "subject": who.reference,
            "description": who.note,
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain",
                        "title": who.diagnosis,
                        "data": base64.b64encode(self.letter(at)).decode(),
                    }
                }
            ],
            **self._around(at),
        }

    def letter(self, at: int) -> bytes:
        """Return a letter about patient ``at``: plain text, as a file would hold it."""
        who = self.patients[at]
        text = f"{who.given} {who.family}, {who.born}, {who.mrn}: {who.diagnosis}. {who.note}\n"
        return text.encode()

    def _value(self, at: int) -> tuple[str, str, str]:
        value = f"{3 + at / 10:.1f}"
        return value, "mmol/L", f"{value} mmol/L"

    def _performer(self, at: int) -> Resource:
        person = self.practitioners[at % 5]
        named = {"system": LICENCE_SYSTEM, "value": person.licence}
        return {"identifier": named, "display": person.family}

    def _around(self, at: int) -> Resource:
        """Return what every resource may carry."""
        who = self.patients[at]
        return {
            "text": {
                "status": "generated",
                "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{who.given} '
                f"{who.family}, {who.diagnosis}</div>",
            },
            "extension": [{"url": "urn:oid:2.999.3", "valueString": who.note}],
            "meta": {"tag": [{"display": who.street}]},
        }
