"""Records on this machine: committing to them, keeping their openings, forming operations.

Owns: the files that hold openings, the counter of a patient's one-time tags, and the operations
that go to a node.  Refuses: sending anything; content never leaves this module except as
commitments.
Invariant: ``write_openings`` returns only once the disk has them, so that a caller who writes
first never anchors what nobody can open (an opening without anchor is harmless, the reverse is
a loss); an index of a subject secret is spent before it is used.

File of openings: one JSON object per line with ``format, name, commitment, tag, batch_root,
opening``; mode 0600.  A bare opening (``commitment.opening_to_text``) is read as well.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import nacl.utils

from consensus import wire
from consensus.codec import Malformed
from node.errors import ChartsealError
from node.keys import KeystoreError, read_secret, write_secret
from node.ledger import accel, merkle, subject
from node.ledger.canon import CanonRefused, media_type
from node.ledger.commitment import Opening, commitment, open_record, opening_from_text
from node.ledger.families.record import Anchor, Batch
from node.ledger.transaction import Transaction
from node.record_files import OPENING_SUFFIX, Source, media_type_of, read_bytes, refusal

FORMAT: Final = "chartseal/opening/v1"
OPENINGS_BYTES_MAX: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """An opening as its holder keeps it: what it opens, under which tag, in which batch."""

    name: str  # the file as it was given; stays on this machine
    opening: Opening
    tag: bytes | None = None  # 16 bytes; None for items of a batch
    batch_root: bytes | None = None  # 32 bytes; None unless it is an item of a batch

    @property
    def commitment(self) -> bytes:
        return commitment(self.opening)


# --- committing ---------------------------------------------------------------------------


def commit_to(source: Source, *, forced: str | None) -> Kept:
    """Read a record and commit to it under fresh randomness; raises ``ChartsealError``."""
    raw = source.read()
    try:
        media = media_type(forced or media_type_of(source.name, raw))
        opening = open_record(raw, media_type=media, r=nacl.utils.random(32))
    except CanonRefused as refused:
        raise refusal(refused) from None
    return Kept(source.name, opening)


def as_batch(kept: Sequence[Kept]) -> tuple[list[Kept], list[dict[str, Any]]]:
    """Return the items with their batch root, and the one operation that anchors them all."""
    leaves = [item.commitment for item in kept]
    root = merkle.root(accel.leaf_hashes(leaves))
    body = wire.to_plain(Batch(root, len(leaves), b"".join(leaves)))
    return (
        [replace(item, tag=None, batch_root=root) for item in kept],
        [{"kind": "record.batch", "body": body}],
    )


def as_anchors(
    kept: Sequence[Kept], tags: Sequence[bytes]
) -> tuple[list[Kept], list[dict[str, Any]]]:
    """Return the records with their tags, and one anchor operation for each."""
    tagged = [replace(item, tag=tag) for item, tag in zip(kept, tags, strict=True)]
    return tagged, [
        {"kind": "record.anchor", "body": wire.to_plain(anchor_of(item))} for item in tagged
    ]


def anchor_of(kept: Kept) -> Anchor:
    """Return the anchor of a tagged record."""
    assert kept.tag is not None, "an anchor has a tag"
    return Anchor(kept.commitment, kept.tag, kept.opening.canon)


def operations_of(kept: Sequence[Kept]) -> list[dict[str, Any]]:
    """Return the operations that kept openings were written for (to send them once more)."""
    if kept[0].batch_root is not None:
        return as_batch(kept)[1]
    return as_anchors(kept, [item.tag or b"" for item in kept])[1]


def leaves_of(batch: Batch) -> list[bytes]:
    """Return the commitments that stand in a batch; none when its leaves are kept elsewhere."""
    return [batch.leaves[at : at + 32] for at in range(0, len(batch.leaves), 32)]


def commitments_in(transaction: Transaction) -> set[bytes]:
    """Return every record commitment that ``transaction`` itself puts on the ledger."""
    found: set[bytes] = set()
    for op in transaction.payload.ops:
        match op.kind, op.body:
            case "record.anchor", [bytes() as single, *_]:
                found.add(single)
            case "record.amend", [bytes(), [bytes() as single, *_], *_]:
                found.add(single)
            case "record.batch", [bytes(), int(), bytes() as leaves, *_]:
                found.update(leaves[at : at + 32] for at in range(0, len(leaves), 32))
            case _:
                pass
    return found


# --- subject tags -------------------------------------------------------------------------


def random_tags(count: int) -> list[bytes]:
    """Return tags that link to nobody."""
    return [nacl.utils.random(subject.TAG_BYTES) for _ in range(count)]


def spend_tags(secret_file: Path, counter_file: Path, count: int) -> list[bytes]:
    """Return the patient's next ``count`` tags; their indexes are spent before this returns.

    A crash afterwards leaves unused indexes, never a tag that is used twice.  Processes that
    share the counter take turns.  Raises ``ChartsealError``.
    """
    secret = read_subject_secret(secret_file)
    lock = counter_file.with_name(f".{counter_file.name}.lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{lock}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        first = _counter(counter_file)
        write_secret(counter_file, b"%d\n" % (first + count), replace=True)
    finally:
        os.close(handle)
    return list(subject.tags(secret, start=first, count=count))


def read_subject_secret(path: Path) -> bytes:
    """Return the 32 bytes that a file of mode 0600 holds as hexadecimal."""
    try:
        secret = bytes.fromhex(read_secret(path, bytes_max=256).decode("ascii"))
    except ValueError:
        raise ChartsealError("keystore-malformed", f"{path} is not hexadecimal") from None
    if len(secret) != subject.SECRET_BYTES:
        raise ChartsealError("keystore-malformed", f"{path} has not 32 bytes")
    return secret


def _counter(path: Path) -> int:
    if not path.exists():
        return 0
    text = read_secret(path, bytes_max=32).strip()
    if not text.isdigit():
        raise ChartsealError("keystore-malformed", f"{path} is not a decimal number")
    return int(text)


# --- files of openings --------------------------------------------------------------------


def openings_text(kept: Sequence[Kept]) -> str:
    """Return the lines of a file of openings."""
    rows = [
        {
            "format": FORMAT,
            "name": item.name,
            "commitment": item.commitment.hex(),
            "tag": None if item.tag is None else item.tag.hex(),
            "batch_root": None if item.batch_root is None else item.batch_root.hex(),
            "opening": wire.to_plain(item.opening),
        }
        for item in kept
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_openings(path: Path, kept: Sequence[Kept]) -> None:
    """Return once ``path`` durably holds the openings, mode 0600; never replaces a file."""
    try:
        write_secret(path, openings_text(kept).encode())
    except KeystoreError as error:
        if error.code == "keystore-exists":
            raise ChartsealError(
                "exists-already",
                f"openings are kept in {path}",
                hint="pass --resume to finish that run, or --out to keep new ones elsewhere",
            ) from error
        raise ChartsealError("file-unreadable", error.detail) from error


def read_openings(path: Path) -> list[Kept]:
    """Return the openings in a file; raises ``ChartsealError`` (opening-invalid)."""
    raw = read_bytes(path, bytes_max=OPENINGS_BYTES_MAX)
    rows = [line for line in raw.split(b"\n") if line.strip()]
    if not rows:
        raise ChartsealError("opening-invalid", f"{path} is empty")
    kept = []
    for number, row in enumerate(rows, start=1):
        try:
            kept.append(_kept(row.decode("utf-8"), path))
        except (Malformed, ValueError, KeyError, TypeError, RecursionError):
            # The cause quotes r: it must not travel into a log.
            raise ChartsealError("opening-invalid", f"{path}, line {number}") from None
    return kept


def _kept(text: str, path: Path) -> Kept:
    plain = json.loads(text)
    if "format" not in plain:
        return Kept(path.name.removesuffix(OPENING_SUFFIX), opening_from_text(text))
    if plain["format"] != FORMAT or not isinstance(plain["name"], str):
        raise ValueError("format")
    tag, root = plain["tag"], plain["batch_root"]
    kept = Kept(
        plain["name"],
        opening_from_text(json.dumps(plain["opening"])),
        None if tag is None else bytes.fromhex(tag),
        None if root is None else bytes.fromhex(root),
    )
    if kept.commitment.hex() != plain["commitment"]:
        raise ValueError("commitment")
    return kept
