"""One-time subject tags: a patient's anchors, findable by one institution and by nobody else.

Each institution draws one random secret per patient and numbers that patient's anchors.  Tag
``i`` is a keyed hash of ``i``: without the secret two tags of one patient look like tags of
two patients, and destroying the secret makes all of them unlinkable for ever, which is what
erasure does.  Refuses secrets of another length: a hash of a medical record number is not a
secret, and it could be guessed.  Where two institutions treat one patient, their secrets are
unrelated; linking them is the business of the patient's encrypted index, not of the ledger.
Invariant: one (secret, index) names one anchor; an index is never used twice.
"""

import hashlib
from collections.abc import Collection, Iterator
from typing import Final, NewType

SubjectTag = NewType("SubjectTag", bytes)

SECRET_BYTES: Final = 32
TAG_BYTES: Final = 16
_PERSON: Final = b"chartseal-tag-1"  # BLAKE2 personalisation, at most 16 bytes
_INDEX_MAX: Final = (1 << 64) - 1


def tag(secret: bytes, i: int) -> SubjectTag:
    """Return tag ``i`` of the patient: BLAKE2b-128 keyed by ``secret`` over ``i`` as be64.

    ``secret`` is 32 random bytes; ``i`` counts from 0 and lies in 0 .. 2^64-1 (RFC 7693 for
    the hash and its personalisation).  Raises ``ValueError`` for anything else.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a subject secret has {SECRET_BYTES} bytes, not {len(secret)}")
    if not 0 <= i <= _INDEX_MAX:
        raise ValueError(f"a tag index lies in 0 .. 2^64-1, not {i}")
    return SubjectTag(
        hashlib.blake2b(
            i.to_bytes(8, "big"), digest_size=TAG_BYTES, key=secret, person=_PERSON
        ).digest()
    )


def tags(secret: bytes, *, start: int = 0, count: int) -> Iterator[SubjectTag]:
    """Yield the tags ``start`` .. ``start + count - 1`` in order."""
    return (tag(secret, i) for i in range(start, start + count))


def find(secret: bytes, seen: Collection[bytes], *, count: int) -> dict[int, SubjectTag]:
    """Return, by index, which of the patient's first ``count`` tags are among ``seen``.

    ``seen`` should be a set: it is asked ``count`` times.
    """
    mine = enumerate(tags(secret, count=count))
    return {i: candidate for i, candidate in mine if candidate in seen}
