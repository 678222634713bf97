"""Commit certificates prove finality offline, and nothing else passes for one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import wire
from consensus.certs import (
    CertificateInvalid,
    CommitCert,
    bundle,
    commit_bytes,
    prepare_bytes,
    proposal_hash,
    signer_positions,
    suspect_bytes,
    verify_commit_certificate,
)
from consensus.codec import Malformed
from tests.consensus.pbft.harness import (
    NETWORK,
    block,
    committee_of,
    fake_sign,
    fake_verify,
    key_of,
)

DIGEST = block(7, bytes(32)).digest


def certificate(size: int, signers: list[int] | None = None) -> CommitCert:
    committee = committee_of(size)
    message = commit_bytes(NETWORK, epoch=1, view=3, height=7, digest=DIGEST)
    chosen = range(size) if signers is None else signers
    signatures = {f"m{i:02d}": fake_sign(key_of(f"m{i:02d}"), message) for i in chosen}
    return CommitCert(1, 3, 7, DIGEST, *bundle(signatures, committee))


def verify(
    cert: CommitCert, size: int = 4, *, epoch: int = 1, raw: bytes | None = None
) -> None:
    verify_commit_certificate(
        wire.encode(cert) if raw is None else raw,
        proposal_height=7,
        digest=DIGEST,
        committee=committee_of(size, epoch),
        network=NETWORK,
        verify=fake_verify,
    )


@pytest.mark.parametrize(
    ("size", "quorum"),
    [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (10, 7), (31, 21)],
)
def test_a_certificate_carries_exactly_one_quorum(size: int, quorum: int) -> None:
    cert = certificate(size)
    assert len(cert.signatures) == quorum
    assert len(cert.signers) == (size + 7) // 8
    verify(cert, size)


def test_any_quorum_of_members_will_do() -> None:
    verify(certificate(4, [3, 1, 0]))
    assert signer_positions(certificate(4, [3, 1, 0]).signers, committee_of(4)) == (0, 1, 3)


GOOD = certificate(4)
FORGERIES: dict[str, tuple[CommitCert, str]] = {
    "height": (replace(GOOD, height=8), "wrong-height"),
    "digest": (replace(GOOD, digest=bytes(32)), "wrong-digest"),
    "epoch": (replace(GOOD, epoch=2), "wrong-epoch"),
    "view": (replace(GOOD, view=4), "bad-signature"),
    "more signers": (replace(GOOD, signers=b"\x0f"), "wrong-signers"),
    "fewer signers": (replace(GOOD, signers=b"\x03"), "wrong-signers"),
    "a stranger": (replace(GOOD, signers=b"\x13"), "wrong-signers"),
    "a longer bitmap": (replace(GOOD, signers=b"\x07\x00"), "wrong-signers"),
    "another signer": (replace(GOOD, signers=b"\x0b"), "bad-signature"),
    "a signature less": (replace(GOOD, signatures=GOOD.signatures[:2]), "wrong-signers"),
    "one thrice": (replace(GOOD, signatures=(GOOD.signatures[0],) * 3), "bad-signature"),
    "reordered": (replace(GOOD, signatures=GOOD.signatures[::-1]), "bad-signature"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_certificate_says_what_is_wrong(name: str) -> None:
    forged, code = FORGERIES[name]
    with pytest.raises(CertificateInvalid) as caught:
        verify(forged)
    assert caught.value.code == code


def test_prepare_signatures_do_not_make_a_commit_certificate() -> None:
    message = prepare_bytes(NETWORK, epoch=1, view=3, height=7, content=DIGEST)
    signatures = {f"m{i:02d}": fake_sign(key_of(f"m{i:02d}"), message) for i in range(3)}
    cert = CommitCert(1, 3, 7, DIGEST, *bundle(signatures, committee_of(4)))
    with pytest.raises(CertificateInvalid, match="bad-signature"):
        verify(cert)


def test_another_network_does_not_verify() -> None:
    with pytest.raises(CertificateInvalid, match="bad-signature"):
        verify_commit_certificate(
            wire.encode(certificate(4)),
            proposal_height=7,
            digest=DIGEST,
            committee=committee_of(4),
            network=bytes(32),
            verify=fake_verify,
        )


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_and_nothing_else_escapes(raw: bytes) -> None:
    with pytest.raises(CertificateInvalid):
        verify(certificate(4), raw=raw)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_flipped_byte_is_accepted(at: int, bits: int) -> None:
    raw = bytearray(wire.encode(certificate(4)))
    raw[at % len(raw)] ^= bits
    with pytest.raises(CertificateInvalid):
        verify(certificate(4), raw=bytes(raw))


def test_statements_have_fixed_width_and_their_own_tags() -> None:
    made = [
        commit_bytes(NETWORK, epoch=1, view=2, height=3, digest=DIGEST),
        prepare_bytes(NETWORK, epoch=1, view=2, height=3, content=DIGEST),
        suspect_bytes(NETWORK, epoch=1, view=2, height=3),
    ]
    bodies = [item.split(b"\0", 1) for item in made]
    assert len({tag for tag, _ in bodies}) == 3
    assert {len(body) for _, body in bodies} == {32 + 24 + 32}
    assert made[0] == (
        b"chartseal/commit/v1\0" + NETWORK + bytes(7) + b"\1" + bytes(7) + b"\2"
        + bytes(7) + b"\3" + DIGEST
    )  # fmt: skip


def test_a_prepare_covers_every_field_of_the_proposal() -> None:
    proposal = block(7, bytes(32))
    redressed = [
        replace(proposal, height=8),
        replace(proposal, parent=DIGEST),
        replace(proposal, digest=bytes(32)),
        replace(proposal, header=b"other"),
        replace(proposal, txids=b""),
    ]
    assert len({proposal_hash(p) for p in [proposal, *redressed]}) == 6


def test_a_bitmap_of_the_wrong_size_is_malformed() -> None:
    with pytest.raises(Malformed):
        signer_positions(b"", committee_of(4))
