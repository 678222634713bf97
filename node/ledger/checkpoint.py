"""Signed tree heads: what a quorum of members says the log holds.

A checkpoint is a C2SP tlog-checkpoint of three lines (origin, size, root), signed as a C2SP
signed note by the members' tlog-cosignatures of type 0x04 (Ed25519 with a time).  The same
bytes come out under Raft and under PBFT, and tools we did not write can check them.

Owns: the texts, their strict parsing, the policy that says whose cosignatures count.
Refuses: extension lines (nobody would vouch for them), and the choice of what to cosign.
Invariant: one member counts once, whatever lines a note carries.  A cosignature does not
commit to the cosigner's name, therefore a policy never holds one key twice.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from consensus import wire
from consensus.codec import Malformed
from node.ledger import accel
from node.ledger.crypto import HASH_BYTES, KEY_BYTES, SIGNATURE_BYTES, sha256, verify

NOTE_BYTES_MAX: Final = 16 * 1024
SIGNATURES_MAX: Final = 64
POLICY_BYTES_MAX: Final = 64 * 1024
POLICY_FORMAT: Final = "chartseal/policy/v1"
TREE_SIZE_MAX: Final = (1 << 63) - 1
TIME_S_MAX: Final = (1 << 63) - 1  # C2SP tlog-cosignature

_TYPE_COSIGNATURE: Final = b"\x04"
_KEY_ID_BYTES: Final = 4
_MEMBER_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ORIGIN: Final = re.compile(r"chartseal/[a-z0-9][a-z0-9.-]{0,62}/[0-9a-f]{16}")
_NAME_REFUSED: Final = re.compile(r"[\s+\ud800-\udfff]")  # JSON can smuggle surrogates
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")


class CheckpointMalformed(Exception):
    """A note, a verifier key or a policy is not what its format promises."""


class QuorumMissing(Exception):
    """Too few valid cosignatures of distinct members."""


class CosignatureSigner(Protocol):
    """What ``cosign`` needs of a signer; ``crypto.Signer`` is one."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


# --- texts --------------------------------------------------------------------------------


def decode_base64(text: str) -> bytes:
    """Return the bytes of canonical standard base64; raise ``CheckpointMalformed``."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointMalformed("not base64") from error
    if encode_base64(raw) != text:
        raise CheckpointMalformed("base64 with stray bits")
    return raw


def encode_base64(raw: bytes) -> str:
    """Return standard padded base64 (RFC 4648, section 4)."""
    return base64.b64encode(raw).decode("ascii")


def decode_decimal(text: str) -> int:
    """Return an ASCII decimal up to 2^63 - 1; raise ``CheckpointMalformed``."""
    if not _DECIMAL.fullmatch(text) or int(text) > TREE_SIZE_MAX:
        raise CheckpointMalformed("not a decimal number in range")
    return int(text)


def origin_of(network_name: str, network: bytes) -> str:
    """Return the log's origin line for a network's name and its 32-byte digest."""
    return f"chartseal/{network_name}/{network.hex()[:16]}"


def cosigner_name(origin: str, member: str) -> str:
    """Return the key name under which ``member`` cosigns the log ``origin``."""
    return f"{origin}/{member}"


def _check_name(name: str) -> None:
    if not name or _NAME_REFUSED.search(name) or _CONTROL.search(name):
        raise CheckpointMalformed("a key name is not empty and has no space or plus")


# --- checkpoint and signatures ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's origin, its number of leaves, its 32-byte root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """Return the three lines that are signed, final newline included."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n".encode()


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line of a note, of whatever type: name, 4-byte key id, payload."""

    name: str
    key_id: bytes
    payload: bytes

    def line(self) -> str:
        """Return the line, newline included."""
        return f"\u2014 {self.name} {encode_base64(self.key_id + self.payload)}\n"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A member's cosignature: its key name, 4-byte key id, POSIX seconds, 64-byte signature."""

    name: str
    key_id: bytes
    time_s: int
    signature: bytes

    def note_signature(self) -> NoteSignature:
        """Return the line for a note."""
        payload = self.time_s.to_bytes(8, "big") + self.signature
        return NoteSignature(self.name, self.key_id, payload)

    @classmethod
    def of(cls, line: NoteSignature) -> Self | None:
        """Return ``line`` read as a cosignature; None when it has another shape."""
        time_s = int.from_bytes(line.payload[:8], "big")
        if len(line.payload) != 8 + SIGNATURE_BYTES or time_s > TIME_S_MAX:
            return None
        return cls(line.name, line.key_id, time_s, line.payload[8:])


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A cosigner's name and 32-byte Ed25519 key, as C2SP vkey text of type 0x04."""

    name: str
    key: bytes

    @property
    def key_id(self) -> bytes:
        """The 4-byte id that signature lines carry."""
        return key_id_of(self.name, self.key)

    def text(self) -> str:
        """Return ``<name>+<key id>+<base64>``."""
        material = encode_base64(_TYPE_COSIGNATURE + self.key)
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Inverse of ``text``; raises ``CheckpointMalformed``."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise CheckpointMalformed("a verifier key is <name>+<id>+<base64>")
        name, key_id, material = parts
        _check_name(name)
        raw = decode_base64(material)
        if raw[:1] != _TYPE_COSIGNATURE or len(raw) != 1 + KEY_BYTES:
            raise CheckpointMalformed("a verifier key has type 4 and 32 key bytes")
        vkey = cls(name, raw[1:])
        if vkey.key_id.hex() != key_id:
            raise CheckpointMalformed(f"key id {vkey.key_id.hex()} expected")
        return vkey


def key_id_of(name: str, key: bytes) -> bytes:
    """Return the key id of a type 0x04 cosigner."""
    return sha256(name.encode() + b"\n" + _TYPE_COSIGNATURE + key)[:_KEY_ID_BYTES]


def _cosigned_message(checkpoint: Checkpoint, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n".encode() + checkpoint.text()


def cosign(
    checkpoint: Checkpoint, *, name: str, signer: CosignatureSigner, time_s: int
) -> Cosignature:
    """Return the cosignature of ``checkpoint`` under the key name ``name`` at POSIX seconds."""
    _check_name(name)
    assert 0 <= time_s <= TIME_S_MAX, f"time {time_s} out of range"
    signature = signer.sign(_cosigned_message(checkpoint, time_s))
    return Cosignature(name, key_id_of(name, signer.public_key), time_s, signature)


def verify_cosignature(
    checkpoint: Checkpoint, cosignature: Cosignature, vkey: VerifierKey
) -> bool:
    """Return whether ``vkey`` made ``cosignature`` over ``checkpoint``."""
    return (
        cosignature.name == vkey.name
        and cosignature.key_id == vkey.key_id
        and verify(
            vkey.key, _cosigned_message(checkpoint, cosignature.time_s), cosignature.signature
        )
    )


def parse_note(raw: bytes) -> tuple[Checkpoint, tuple[NoteSignature, ...]]:
    """Return the checkpoint and the signature lines of a note, nothing verified yet.

    Raises ``CheckpointMalformed`` for anything but three lines, a blank one, and 1 to 64
    signature lines in at most 16 KiB.
    """
    if len(raw) > NOTE_BYTES_MAX:
        raise CheckpointMalformed(f"{len(raw)} bytes, at most {NOTE_BYTES_MAX} allowed")
    try:
        note = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointMalformed("not UTF-8") from error
    if _CONTROL.search(note) or not note.endswith("\n"):
        raise CheckpointMalformed("control characters, or no final newline")
    lines = note[:-1].split("\n")
    if len(lines) < 5 or lines[3] != "":
        raise CheckpointMalformed("three lines, a blank line, signatures expected")
    if len(lines) - 4 > SIGNATURES_MAX:
        raise CheckpointMalformed(f"more than {SIGNATURES_MAX} signatures")
    origin, size, root = lines[0], decode_decimal(lines[1]), decode_base64(lines[2])
    if not origin or len(root) != HASH_BYTES:
        raise CheckpointMalformed(f"empty origin, or a root of {len(root)} bytes")
    checkpoint = Checkpoint(origin, size, root)
    return checkpoint, tuple([_parse_line(line) for line in lines[4:]])


def _parse_line(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\u2014":
        raise CheckpointMalformed("a signature line is dash, name, base64")
    _check_name(parts[1])
    blob = decode_base64(parts[2])
    if len(blob) <= _KEY_ID_BYTES:
        raise CheckpointMalformed("a signature line without a signature")
    return NoteSignature(parts[1], blob[:_KEY_ID_BYTES], blob[_KEY_ID_BYTES:])


# --- policy -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Policy:
    """Whose cosignatures count for one log, and how many: all that a verifier has to trust.

    ``members`` are (member id, verifier key).  Raises ``CheckpointMalformed`` unless origin
    and network belong together, ids and keys are distinct and named after the origin, and
    1 <= quorum <= number of members.
    """

    origin: str
    network: bytes
    members: tuple[tuple[str, VerifierKey], ...]
    quorum: int

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(self.origin) or len(self.network) != HASH_BYTES:
            raise CheckpointMalformed("policy origin or network has a wrong form")
        if not self.origin.endswith("/" + self.network.hex()[:16]):
            raise CheckpointMalformed("policy origin names another network")
        if not 1 <= self.quorum <= len(self.members) <= SIGNATURES_MAX:
            raise CheckpointMalformed(f"quorum {self.quorum} of {len(self.members)} members")
        for member, vkey in self.members:
            if not _MEMBER_ID.fullmatch(member):
                raise CheckpointMalformed("a member id has a wrong form")
            if vkey.name != cosigner_name(self.origin, member):
                raise CheckpointMalformed("a verifier key is not named after its member")
        ids, keys = {item[0] for item in self.members}, {item[1].key for item in self.members}
        if not len(ids) == len(keys) == len(self.members):
            raise CheckpointMalformed("a member or a key appears twice")

    def to_text(self) -> str:
        """Return the policy as JSON text, one way only."""
        members = tuple([_MemberFields(member, vkey.text()) for member, vkey in self.members])
        fields = _PolicyFields(POLICY_FORMAT, self.origin, self.network, members, self.quorum)
        return json.dumps(wire.to_plain(fields), indent=2) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the policy of JSON ``text``; raise ``CheckpointMalformed``."""
        try:
            fields: _PolicyFields = wire.from_plain(
                _PolicyFields, load_json(text, size_max=POLICY_BYTES_MAX)
            )
        except Malformed as error:
            raise CheckpointMalformed(f"policy: {error}") from error
        if fields.format != POLICY_FORMAT:
            raise CheckpointMalformed("policy of an unknown format")
        members = tuple([(item.id, VerifierKey.parse(item.vkey)) for item in fields.members])
        return cls(fields.origin, fields.network, members, fields.quorum)


@dataclass(frozen=True, slots=True)
class _MemberFields:
    id: str
    vkey: str


@dataclass(frozen=True, slots=True)
class _PolicyFields:
    format: str
    origin: str
    network: bytes
    members: tuple[_MemberFields, ...]
    quorum: int


def load_json(text: str, *, size_max: int) -> Any:
    """Return the JSON value of ``text``; raise ``CheckpointMalformed``, also on doubles."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in items}) != len(items):
            raise CheckpointMalformed("a name appears twice")
        return dict(items)

    if len(text) > size_max:
        raise CheckpointMalformed(f"{len(text)} characters, at most {size_max} allowed")
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise CheckpointMalformed("not JSON") from error


# --- certificates -------------------------------------------------------------------------


def _valid(
    checkpoint: Checkpoint, cosignatures: Iterable[Cosignature], policy: Policy
) -> Iterator[tuple[str, Cosignature]]:
    """Yield (member id, cosignature) for those that verify; foreign ones are passed over."""
    known = {(vkey.name, vkey.key_id): (member, vkey) for member, vkey in policy.members}
    candidates = [
        (*known[item.name, item.key_id], item)
        for item in cosignatures
        if (item.name, item.key_id) in known
    ]
    verdicts = accel.verify_batch(
        [
            (vkey.key, _cosigned_message(checkpoint, item.time_s), item.signature)
            for _, vkey, item in candidates
        ]
    )
    for (member, _, item), valid in zip(candidates, verdicts, strict=True):
        if valid:
            yield member, item


def certify(
    checkpoint: Checkpoint, cosignatures: Iterable[Cosignature], policy: Policy
) -> bytes:
    """Return the note: one valid cosignature per member (its earliest), in policy order.

    Raises ``QuorumMissing`` when fewer than ``policy.quorum`` members remain, and
    ``CheckpointMalformed`` for the checkpoint of another log.
    """
    if checkpoint.origin != policy.origin:
        raise CheckpointMalformed("checkpoint of another log")
    best: dict[str, Cosignature] = {}
    for member, item in _valid(checkpoint, cosignatures, policy):
        held = best.get(member)
        if held is None or (item.time_s, item.signature) < (held.time_s, held.signature):
            best[member] = item
    if len(best) < policy.quorum:
        raise QuorumMissing(f"{len(best)} valid cosignatures, {policy.quorum} needed")
    lines = [
        best[member].note_signature().line() for member, _ in policy.members if member in best
    ]
    return checkpoint.text() + b"\n" + "".join(lines).encode()


def count_valid(note: bytes, policy: Policy) -> set[str]:
    """Return the ids of the members whose cosignature of ``note`` is valid.

    Empty for the note of another log.  Lines of unknown keys do not count, lines of known
    keys that fail to verify do not either: the quorum decides.  Raises
    ``CheckpointMalformed``.
    """
    checkpoint, lines = parse_note(note)
    if checkpoint.origin != policy.origin:
        return set()
    read = [Cosignature.of(line) for line in lines]
    cosignatures = [item for item in read if item is not None]
    return {member for member, _ in _valid(checkpoint, cosignatures, policy)}
