"""Certificates of PBFT: a quorum's signatures over identical bytes, and their offline check.

Owns the bytes that members sign when they prepare, commit or suspect, and the three
certificates made of such signatures.  Everything here is a pure function of its arguments: an
auditor with the genesis committee needs nothing else.  Refused: more or fewer signatures than
one quorum, signers outside the committee, another epoch.  Exactly a quorum is carried, so that
a certificate has no padding for anyone to play with.
Invariant: the statement tags differ per kind, so a prepare signature never serves as a commit
signature (one engine in the field signed both over the same bytes).

Signed bytes: tag || network (32) || be64 epoch || be64 view || be64 height || digest (32).  A
commit signs the body digest.  A prepare signs ``proposal_hash``, which covers header, parent
and transaction list as well: nobody can re-dress a prepared certificate with other fields.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from consensus import wire
from consensus.codec import Malformed
from consensus.frozen import dataclass
from consensus.types import U63_MAX, Check, Committee, NodeId, Proposal

SIGNATURE_BYTES_MAX: Final = 64
SIGNERS_BYTES_MAX: Final = 128
CERTIFICATE_BYTES_MAX: Final = 128 * 1024
NO_DIGEST: Final = bytes(32)

_PREPARE: Final = b"chartseal/prepare/v1\0"
_COMMIT: Final = b"chartseal/commit/v1\0"
_SUSPECT: Final = b"chartseal/suspect/v1\0"
_PROPOSAL: Final = b"chartseal/proposal/v1\0"

Verify = Callable[[bytes, bytes, bytes], bool]
"""``verify(key, message, signature)``: does the signature hold?"""


class CertificateInvalid(Exception):
    """A certificate does not prove what it is shown for; ``code`` says why.

    Codes: ``malformed``, ``wrong-height``, ``wrong-digest``, ``wrong-epoch``,
    ``wrong-signers``, ``bad-signature``.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"commit certificate refused: {code}")
        self.code = code


class _Structure(Malformed):
    """A structural lie inside a certificate, with the code the offline check reports."""

    def __init__(self, code: str) -> None:
        super().__init__(f"certificate: {code}")
        self.code = code


def check_limits(*numbers: int) -> None:
    """Raise ``ValueError`` unless every epoch, view or height given fits 63 bits."""
    if any(not 0 <= number <= U63_MAX for number in numbers):
        raise ValueError("number out of range")


def _check_bundle(signers: bytes, signatures: tuple[bytes, ...]) -> None:
    if len(signers) > SIGNERS_BYTES_MAX or len(signatures) > 8 * SIGNERS_BYTES_MAX:
        raise ValueError("too many signers")
    if any(not 1 <= len(signature) <= SIGNATURE_BYTES_MAX for signature in signatures):
        raise ValueError("signature length out of range")


@dataclass(frozen=True, slots=True)
class CommitCert:
    """Proof that the block of ``digest`` is final at ``height``.

    ``signers``: bitmap over committee positions, least significant bit first; ``signatures``
    in the same order.
    """

    epoch: int
    view: int
    height: int
    digest: bytes
    signers: bytes
    signatures: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view, self.height)
        if len(self.digest) != 32:
            raise ValueError("digests are 32 bytes")
        _check_bundle(self.signers, self.signatures)


@dataclass(frozen=True, slots=True)
class PreparedCert:
    """Proof that a quorum accepted ``proposal`` in ``view``: no other can commit there."""

    epoch: int
    view: int
    proposal: Proposal
    signers: bytes
    signatures: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view)
        _check_bundle(self.signers, self.signatures)


@dataclass(frozen=True, slots=True)
class SuspectCert:
    """Proof that a quorum lost patience with ``view`` while waiting for ``height``."""

    epoch: int
    view: int
    height: int
    signers: bytes
    signatures: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view, self.height)
        _check_bundle(self.signers, self.signatures)


@dataclass(frozen=True, slots=True)
class PreparedHeight:
    """A ``PreparedCert`` without the proposal itself: proof that a quorum accepted the one of
    ``content`` (its ``proposal_hash``) at ``height``."""

    epoch: int
    view: int
    height: int
    content: bytes
    signers: bytes
    signatures: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view, self.height)
        if len(self.content) != 32:
            raise ValueError("digests are 32 bytes")
        _check_bundle(self.signers, self.signatures)


def _statement(tag: bytes, network: bytes, numbers: Iterable[int], digest: bytes) -> bytes:
    fixed = b"".join(number.to_bytes(8, "big") for number in numbers)
    return tag + network + fixed + digest


def proposal_hash(proposal: Proposal) -> bytes:
    """Return the 32 bytes that stand for every field of ``proposal`` in a prepare."""
    return hashlib.sha256(_PROPOSAL + wire.encode(proposal)).digest()


def prepare_bytes(
    network: bytes, *, epoch: int, view: int, height: int, content: bytes
) -> bytes:
    """Return what a prepare signs; ``content`` is the ``proposal_hash``."""
    return _statement(_PREPARE, network, (epoch, view, height), content)


def commit_bytes(network: bytes, *, epoch: int, view: int, height: int, digest: bytes) -> bytes:
    """Return what a commit signs; ``digest`` is the body digest."""
    return _statement(_COMMIT, network, (epoch, view, height), digest)


def suspect_bytes(network: bytes, *, epoch: int, view: int, height: int) -> bytes:
    """Return what a suspicion signs."""
    return _statement(_SUSPECT, network, (epoch, view, height), NO_DIGEST)


def bundle(
    signatures: Mapping[str, bytes], committee: Committee
) -> tuple[bytes, tuple[bytes, ...]]:
    """Return bitmap and signatures of the first quorum, by position, among ``signatures``.

    Signers must be members, and there must be a quorum of them.
    """
    order = {member.id: position for position, member in enumerate(committee.members)}
    placed = sorted((order[NodeId(m)], signature) for m, signature in signatures.items())
    chosen = placed[: committee.byzantine_quorum]
    assert len(chosen) == committee.byzantine_quorum, "a certificate needs a quorum"
    bits = sum(1 << position for position, _ in chosen)
    size = (len(committee.members) + 7) // 8
    return bits.to_bytes(size, "little"), tuple(signature for _, signature in chosen)


def signer_positions(signers: bytes, committee: Committee) -> tuple[int, ...]:
    """Return the positions set in a bitmap; ``Malformed`` unless it is one quorum."""
    count = len(committee.members)
    if len(signers) != (count + 7) // 8:
        raise _Structure("wrong-signers")
    bits = int.from_bytes(signers, "little")
    if bits >> count:
        raise _Structure("wrong-signers")
    positions = tuple(position for position in range(count) if bits >> position & 1)
    if len(positions) != committee.byzantine_quorum:
        raise _Structure("wrong-signers")
    return positions


def _checks(
    certificate: CommitCert | PreparedCert | PreparedHeight | SuspectCert,
    signed: bytes,
    committee: Committee,
) -> tuple[Check, ...]:
    if certificate.epoch != committee.epoch:
        raise _Structure("wrong-epoch")
    positions = signer_positions(certificate.signers, committee)
    if len(positions) != len(certificate.signatures):
        raise _Structure("wrong-signers")
    return tuple(
        Check(committee.members[position].key, signed, signature)
        for position, signature in zip(positions, certificate.signatures, strict=True)
    )


def commit_checks(
    certificate: CommitCert, *, committee: Committee, network: bytes
) -> tuple[Check, ...]:
    """Return the signatures that must hold; ``Malformed`` on a structural lie."""
    signed = commit_bytes(
        network,
        epoch=certificate.epoch,
        view=certificate.view,
        height=certificate.height,
        digest=certificate.digest,
    )
    return _checks(certificate, signed, committee)


def prepared_checks(
    certificate: PreparedCert, *, committee: Committee, network: bytes
) -> tuple[Check, ...]:
    """Return the signatures that must hold; ``Malformed`` on a structural lie."""
    signed = prepare_bytes(
        network,
        epoch=certificate.epoch,
        view=certificate.view,
        height=certificate.proposal.height,
        content=proposal_hash(certificate.proposal),
    )
    return _checks(certificate, signed, committee)


def prepared_height_checks(
    certificate: PreparedHeight, *, committee: Committee, network: bytes
) -> tuple[Check, ...]:
    """Return the signatures that must hold; ``Malformed`` on a structural lie."""
    signed = prepare_bytes(
        network,
        epoch=certificate.epoch,
        view=certificate.view,
        height=certificate.height,
        content=certificate.content,
    )
    return _checks(certificate, signed, committee)


def suspect_checks(
    certificate: SuspectCert, *, committee: Committee, network: bytes
) -> tuple[Check, ...]:
    """Return the signatures that must hold; ``Malformed`` on a structural lie."""
    signed = suspect_bytes(
        network,
        epoch=certificate.epoch,
        view=certificate.view,
        height=certificate.height,
    )
    return _checks(certificate, signed, committee)


def decode_commit(certificate: bytes) -> CommitCert:
    """Return the decoded certificate; ``Malformed`` for anything else."""
    return wire.decode(CommitCert, certificate, size_max=CERTIFICATE_BYTES_MAX)


def checks_for(
    certificate: bytes, *, height: int, digest: bytes, committee: Committee, network: bytes
) -> tuple[Check, ...]:
    """Return the signatures proving that ``digest`` is final at ``height``.

    ``Malformed`` when the certificate cannot prove it whatever its signatures are.
    """
    decoded = decode_commit(certificate)
    if decoded.height != height:
        raise _Structure("wrong-height")
    if decoded.digest != digest:
        raise _Structure("wrong-digest")
    return commit_checks(decoded, committee=committee, network=network)


def verify_commit_certificate(
    certificate: bytes,
    *,
    proposal_height: int,
    digest: bytes,
    committee: Committee,
    network: bytes,
    verify: Verify,
) -> None:
    """Return when ``certificate`` proves the block final; raise ``CertificateInvalid`` if not.

    ``committee`` is the one in force at that height.  Needs no ledger, no node and no clock.
    """
    try:
        checks = checks_for(
            certificate,
            height=proposal_height,
            digest=digest,
            committee=committee,
            network=network,
        )
    except _Structure as error:
        raise CertificateInvalid(error.code) from error
    except Malformed as error:
        raise CertificateInvalid("malformed") from error
    if not all(verify(check.key, check.message, check.signature) for check in checks):
        raise CertificateInvalid("bad-signature")
