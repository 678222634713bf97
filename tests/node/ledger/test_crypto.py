"""Signing, and the edge cases on which Ed25519 verifiers disagree: ours is ZIP 215."""

import hashlib
from itertools import product

import nacl.bindings as sodium
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from node.ledger import accel, crypto, merkle

pytestmark = pytest.mark.usefixtures("each_backend")

SIGNER = crypto.Signer(bytes(range(32)))
ORDER = (1 << 252) + 27742317777372353535851937790883648493
ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc"
ORDER_8_TOO = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03"
# Every encoding of the eight points of small order, canonical or not.
SMALL_ORDER = [
    bytes.fromhex(text)
    for text in (
        "00" * 32,
        "00" * 31 + "80",
        "01" + "00" * 31,
        "01" + "00" * 30 + "80",
        ORDER_8 + "05",
        ORDER_8 + "85",
        ORDER_8_TOO + "7a",
        ORDER_8_TOO + "fa",
        "ec" + "ff" * 30 + "7f",
        "ec" + "ff" * 31,
        "ed" + "ff" * 30 + "7f",
        "ed" + "ff" * 31,
        "ee" + "ff" * 30 + "7f",
        "ee" + "ff" * 31,
    )
]


def test_a_signature_verifies_for_its_message_and_key_only() -> None:
    signature = SIGNER.sign(b"message")
    assert len(signature) == 64
    assert crypto.verify(SIGNER.public_key, b"message", signature)
    assert not crypto.verify(SIGNER.public_key, b"messagf", signature)
    assert not crypto.verify(crypto.Signer(bytes(32)).public_key, b"message", signature)


def test_rfc_8032_test_3() -> None:
    seed = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"
    signer = crypto.Signer(bytes.fromhex(seed))
    assert signer.public_key.hex() == (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    )
    assert signer.sign(b"\xaf\x82").hex() == (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )


def test_the_seed_is_never_shown() -> None:
    seed = b"Do not show this seed to anybody"
    shown = repr(crypto.Signer(seed)) + str(crypto.Signer(seed))
    assert seed.hex() not in shown
    assert "seed" not in shown
    with pytest.raises(ValueError, match="a seed has 32 bytes") as caught:
        crypto.Signer(seed[:31])
    assert "show" not in str(caught.value)


@given(st.binary(max_size=70), st.binary(max_size=70))
def test_garbage_is_false_and_never_an_error(key: bytes, signature: bytes) -> None:
    good = SIGNER.sign(b"m")
    assert not crypto.verify(key, b"m", good)
    assert not crypto.verify(SIGNER.public_key, b"m", signature)
    assert accel.verify_batch([(key, b"m", good), (SIGNER.public_key, b"m", good)])[1]


def test_all_pairs_of_small_order_points_are_accepted() -> None:
    items = [
        (key, b"Zcash", point + bytes(32)) for key, point in product(SMALL_ORDER, SMALL_ORDER)
    ]
    assert len(items) == 196
    assert accel.verify_batch(items) == [True] * 196


def test_scalars_must_be_below_the_group_order() -> None:
    identity = SMALL_ORDER[2]
    assert crypto.verify(identity, b"m", identity + bytes(32))
    assert not crypto.verify(identity, b"m", identity + ORDER.to_bytes(32, "little"))
    signature = SIGNER.sign(b"m")
    shifted = int.from_bytes(signature[32:], "little") + ORDER
    assert not crypto.verify(
        SIGNER.public_key, b"m", signature[:32] + shifted.to_bytes(32, "little")
    )


def test_bytes_that_are_no_point_are_refused() -> None:
    no_point = b"\x02" + bytes(31)
    assert not crypto.verify(no_point, b"m", SMALL_ORDER[2] + bytes(32))
    assert not crypto.verify(SMALL_ORDER[2], b"m", no_point + bytes(32))


def test_the_cofactored_equation_decides_where_libsodium_says_no() -> None:
    secret, nonce = (
        sodium.crypto_core_ed25519_scalar_reduce(hashlib.sha512(text).digest())
        for text in (b"secret", b"nonce")
    )
    torsion = bytes.fromhex(ORDER_8 + "05")
    key = sodium.crypto_core_ed25519_add(
        sodium.crypto_scalarmult_ed25519_base_noclamp(secret), torsion
    )
    point = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
    for number in range(20):
        message = b"mixed order %d" % number
        challenge = sodium.crypto_core_ed25519_scalar_reduce(
            hashlib.sha512(point + key + message).digest()
        )
        scalar = sodium.crypto_core_ed25519_scalar_add(
            nonce, sodium.crypto_core_ed25519_scalar_mul(challenge, secret)
        )
        assert crypto.verify(key, message, point + scalar)
        if challenge[0] % 8:
            with pytest.raises(BadSignatureError):
                VerifyKey(key).verify(message, point + scalar)


def test_batches_answer_item_by_item_in_order() -> None:
    items = [(SIGNER.public_key, b"%d" % n, SIGNER.sign(b"%d" % n)) for n in range(accel.CHUNK)]
    items[5] = (items[5][0], b"other", items[5][2])
    assert accel.verify_batch(items) == [number != 5 for number in range(accel.CHUNK)]
    assert accel.verify_batch([]) == []


def test_batch_hashes_are_leaf_hashes() -> None:
    raws = [b"", b"a", bytes(70)]
    assert accel.txids(raws) == accel.leaf_hashes(raws) == [merkle.leaf_hash(r) for r in raws]


def test_tags_separate_domains() -> None:
    assert crypto.tagged(b"a\x00", b"b", b"c") == crypto.sha256(b"a\x00bc")
    for tag in (b"a", b"a\x00b", b"a\x00b\x00"):
        with pytest.raises(AssertionError):
            crypto.tagged(tag, b"c")
