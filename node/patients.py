"""Patients as this institution knows them: from an identifier to a subject, on this node only.

An identifier (system and value, a medical record number for instance) leads to a *subject*:
32 random bytes, the only name that the ledger ever hears, and to the secret from which the
patient's one-time tags are made.  Identifiers are kept as blind names, never in the clear, and
never leave this module in an error or a log.
Refuses: identifiers that already lead to different subjects.
Invariant: an index of a tag is spent, durably, before the tag is used; see ``spend``.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import nacl.utils

from node.errors import ChartsealError
from node.fhir.patient import Identifier
from node.ledger import subject as tags
from node.local_store import Fact, LocalStore

_BY_IDENTIFIER: Final = "patient-identifier"
_PERSON: Final = "patient"


@dataclass(frozen=True, slots=True)
class Known:
    """What an identifier leads to."""

    subject: bytes


@dataclass(frozen=True, slots=True)
class Person:
    """A patient's tags: the secret they are made from and how many are spent."""

    subject: bytes
    secret: bytes
    spent: int


class Patients:
    """The directory.  Who spends tags writes that before anybody else may spend."""

    def __init__(self, local: LocalStore) -> None:
        self._local = local
        self._turn = threading.Lock()

    def find(self, identifier: Identifier) -> bytes | None:
        """Return the subject behind an identifier."""
        found = self._local.get(_BY_IDENTIFIER, identifier.name, Known)
        return None if found is None else found.subject

    def knows(self, subject: bytes) -> bool:
        """Return whether this institution made that subject."""
        return self._local.get(_PERSON, subject, Person) is not None

    def register(self, identifiers: Sequence[Identifier]) -> tuple[bytes, bool]:
        """Return the subject of a patient and whether it is new; all identifiers lead to it
        from then on.  Raises ``ChartsealError`` (patient-ambiguous)."""
        with self._turn:
            found = {self.find(identifier) for identifier in identifiers} - {None}
            if len(found) > 1:
                raise ChartsealError(
                    "patient-ambiguous", "the identifiers lead to different patients"
                )
            known = next(iter(found), None)
            subject = nacl.utils.random(32) if known is None else known
            facts = [Fact(_BY_IDENTIFIER, item.name, Known(subject)) for item in identifiers]
            if known is None:
                secret = nacl.utils.random(tags.SECRET_BYTES)
                facts.append(Fact(_PERSON, subject, Person(subject, secret, 0)))
            self._local.write(facts)
            return subject, known is None

    def spend(self, subject: bytes, count: int) -> tuple[list[bytes], list[Fact]]:
        """Return the patient's next tags, and the facts that spend them: to be written, with
        whatever else must be kept, before a tag is used."""
        person = self._local.get(_PERSON, subject, Person)
        assert person is not None, "only known subjects have tags"
        made = list(tags.tags(person.secret, start=person.spent, count=count))
        spent = replace(person, spent=person.spent + count)
        return [bytes(item) for item in made], [Fact(_PERSON, subject, spent)]
