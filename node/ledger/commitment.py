"""Record commitments: 32 bytes that bind an institution to a document and tell others nothing.

Owns the commitment formula, its opening, and the verdict on a copy that somebody presents.
A bare hash of a laboratory value falls to a few dozen guesses; hence ``r``, random per record
version, which never leaves the holders.  Two digests are committed to: ``d0`` of the exact
octets and ``d1`` of the canonical form, so that a copy which a server re-serialised can still
be told from one that was altered.  Refuses any ``r`` that is not 32 bytes: the formula has
no length fields, fixed lengths are what makes it injective.
Invariant: whoever cannot produce ``r`` learns nothing from a commitment, and nobody can open
one commitment to two documents (as long as SHA-256 holds).

Everything here is decided without the ledger's storage: the caller looks the commitment up
and passes what the ledger says as ``Anchored``.
"""

import json
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Any, Final, NewType

from consensus import wire
from consensus.codec import Malformed
from node.ledger.canon import (
    JSON_BYTES_MAX,
    CanonRefused,
    MediaType,
    Reason,
    canonical,
    media_type_by_id,
)
from node.ledger.canon import media_type as media_type_by_name

Commitment = NewType("Commitment", bytes)

OPENING_VERSION: Final = 1
OPENING_BYTES_MAX: Final = 256  # canonical encoding: about 110
OPENING_CHARS_MAX: Final = 1024  # JSON text: about 300
DIGEST_BYTES: Final = 32
_LABEL: Final = b"chartseal/commit/v1\x00"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a holder keeps beside the content to prove it; secret as long as the record is.

    ``version`` is the opening's own format.  Numbers that this release does not know
    (``canon``, ``media_type_id``) are kept: an older node must not lose a newer opening.
    """

    version: int
    canon: int  # 0 .. 255, see canon.py
    media_type_id: int  # 1 .. 65535, see canon.MEDIA_TYPES
    r: bytes  # 32 random bytes, fresh for every version of a record
    d1: bytes  # SHA-256 of the canonical form
    d0: bytes  # SHA-256 of the octets as received

    def __post_init__(self) -> None:
        if self.version != OPENING_VERSION:
            raise ValueError(f"opening version {self.version}, {OPENING_VERSION} expected")
        if not 0 <= self.canon <= 0xFF:
            raise ValueError("canon lies in 0 .. 255")
        if not 1 <= self.media_type_id <= 0xFFFF:
            raise ValueError("media type id lies in 1 .. 65535")
        if not len(self.r) == len(self.d1) == len(self.d0) == DIGEST_BYTES:
            raise ValueError(f"r, d1 and d0 have {DIGEST_BYTES} bytes each")


def open_record(
    raw: bytes,
    *,
    media_type: str | MediaType,
    r: bytes,
    canon: int | None = None,
    size_max: int = JSON_BYTES_MAX,
) -> Opening:
    """Return the opening of the document ``raw`` under the fresh random ``r`` (32 bytes).

    ``canon`` defaults to that of the media type.  Raises ``CanonRefused`` when the media type
    is not in the table or ``raw`` has no such canonical form, ``ValueError`` for a bad ``r``.
    """
    media = media_type if isinstance(media_type, MediaType) else media_type_by_name(media_type)
    form = media.canon if canon is None else canon
    return Opening(
        version=OPENING_VERSION,
        canon=form,
        media_type_id=media_type_by_id(media.id).id,
        r=r,
        d1=sha256(canonical(raw, form, size_max=size_max)).digest(),
        d0=sha256(raw).digest(),
    )


def commitment(opening: Opening) -> Commitment:
    """Return the 32 bytes that go on the ledger for ``opening``."""
    return Commitment(
        sha256(
            _LABEL
            + opening.canon.to_bytes(1, "big")
            + opening.media_type_id.to_bytes(2, "big")
            + opening.r
            + opening.d1
            + opening.d0
        ).digest()
    )


# --- openings as bytes and as text --------------------------------------------------------


def encode_opening(opening: Opening) -> bytes:
    """Return the canonical bytes of ``opening``."""
    return wire.encode(opening)


def decode_opening(raw: bytes) -> Opening:
    """Return the opening that ``raw`` canonically encodes; raise ``Malformed`` otherwise."""
    return wire.decode(Opening, raw, size_max=OPENING_BYTES_MAX)


def opening_to_text(opening: Opening) -> str:
    """Return ``opening`` as one line of JSON: field names, byte strings in hexadecimal."""
    return json.dumps(wire.to_plain(opening))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("duplicate name")
    return members


def opening_from_text(text: str) -> Opening:
    """Inverse of ``opening_to_text``; anything else raises ``Malformed`` and nothing else."""
    if len(text) > OPENING_CHARS_MAX:
        raise Malformed(f"{len(text)} characters, at most {OPENING_CHARS_MAX} allowed")
    try:
        plain = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Malformed("an opening is a JSON object") from None  # the cause quotes r
    opening = wire.from_plain(Opening, plain)
    assert isinstance(opening, Opening)
    return opening


# --- verdicts -----------------------------------------------------------------------------


class Status(Enum):
    """What the ledger says of an anchored record now; the value is the code on interfaces."""

    LIVE = "live"
    AMENDED = "amended"  # a newer version exists; this one was true when it was anchored
    RETRACTED = "retracted"  # the institution took it back, for instance wrong patient
    ERASED = "erased"  # content, keys and opening were destroyed, or a holder reports so


@dataclass(frozen=True, slots=True)
class Anchored:
    """A commitment found on the ledger, with the record's present status."""

    commitment: bytes
    status: Status
    superseded_by: bytes | None = None  # the newer commitment, exactly when amended

    def __post_init__(self) -> None:
        if len(self.commitment) != DIGEST_BYTES:
            raise ValueError(f"a commitment has {DIGEST_BYTES} bytes")
        if (self.status is Status.AMENDED) != (self.superseded_by is not None):
            raise ValueError("superseded_by belongs to an amended record, and only there")
        if self.superseded_by is not None and len(self.superseded_by) != DIGEST_BYTES:
            raise ValueError(f"a commitment has {DIGEST_BYTES} bytes")


class Verdict(Enum):
    """The answer about one copy; the value is the code on interfaces."""

    EXACT = "exact"
    SAME_MEANING = "same-meaning"
    ALTERED = "altered"
    ERASED = "erased"
    UNKNOWN = "unknown"


# Refusals that say something about this node's abilities and nothing about the document.
_CANNOT_TELL: Final = frozenset(
    {Reason.SIZE, Reason.CANON_UNKNOWN, Reason.CANON_UNSUPPORTED, Reason.MEDIA_TYPE}
)


def judge(
    raw: bytes | None,
    opening: Opening | None,
    anchored: Anchored | None,
    *,
    size_max: int = JSON_BYTES_MAX,
) -> Verdict:
    """Return what can be said of the copy ``raw``, given its opening and the ledger's word.

    Amended and retracted records are judged like live ones: whether a copy is the anchored
    one and whether the record still stands are two questions; show ``status`` beside it.
    A copy without any canonical form is ALTERED, since the anchored one had a form; a form
    this node cannot compute (newer, or too large) is UNKNOWN unless the octets are equal.
    """
    if anchored is None:
        return Verdict.UNKNOWN
    if opening is None:
        return Verdict.ERASED if anchored.status is Status.ERASED else Verdict.UNKNOWN
    if commitment(opening) != anchored.commitment:
        return Verdict.UNKNOWN
    if anchored.status is Status.ERASED:
        return Verdict.ERASED  # somebody kept a copy: the ledger does not vouch for it
    if raw is None:
        return Verdict.UNKNOWN
    if sha256(raw).digest() == opening.d0:
        return Verdict.EXACT
    try:
        form = canonical(raw, opening.canon, size_max=size_max)
    except CanonRefused as refused:
        return Verdict.UNKNOWN if refused.reason in _CANNOT_TELL else Verdict.ALTERED
    return Verdict.SAME_MEANING if sha256(form).digest() == opening.d1 else Verdict.ALTERED


# --- words for people ---------------------------------------------------------------------

# fmt: off
VERDICT_WORDS: Final[dict[str, dict[Verdict, str]]] = {
    "en": {
        Verdict.EXACT: "This is the record as it was anchored, unchanged to the last byte.",
        Verdict.SAME_MEANING:
            "The structured content is unchanged since it was anchored. Layout, server "
            "metadata and the display text were not compared and may differ.",
        Verdict.ALTERED: "This copy is not what was anchored: its content differs.",
        Verdict.ERASED:
            "This record has been erased. Its content can no longer be confirmed; the ledger "
            "keeps only a mark that reveals nothing about it.",
        Verdict.UNKNOWN:
            "This copy cannot be checked: the ledger has no matching entry, or something "
            "needed for the check is missing. It may be genuine or not.",
    },
    "zh": {
        Verdict.EXACT: "这就是存证时的记录，逐字节未变。",  # noqa: RUF001
        Verdict.SAME_MEANING:
            "结构化内容自存证以来未变。排版、服务器元数据和显示文本未作比对，可能不同。",  # noqa: RUF001
        Verdict.ALTERED: "此副本与存证的记录不符，内容有差异。",  # noqa: RUF001
        Verdict.ERASED: "此记录已被删除，内容无法再核实；账本只保留不透露任何内容的标记。",  # noqa: RUF001
        Verdict.UNKNOWN:
            "无法核验此副本：账本中没有对应的条目，或缺少核验所需的材料。其真伪未知。",  # noqa: RUF001
    },
}
STATUS_WORDS: Final[dict[str, dict[Status, str]]] = {
    "en": {
        Status.LIVE: "The record stands.",
        Status.AMENDED: "A newer version of this record exists.",
        Status.RETRACTED: "The institution has withdrawn this record.",
        Status.ERASED: "The record has been erased.",
    },
    "zh": {
        Status.LIVE: "该记录有效。",
        Status.AMENDED: "该记录已有更新的版本。",
        Status.RETRACTED: "该记录已被出具机构撤回。",
        Status.ERASED: "该记录已被删除。",
    },
}
# fmt: on
