"""Proof of membership: who gets in, and the many who do not."""

import contextlib
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from consensus import wire
from node.net.faults import HandshakeFault
from node.net.frame import HANDSHAKE_TYPES, FrameReader, FrameType, encode
from node.net.handshake import Handshake, Hello, Proof, Role

NETWORK = hashlib.sha256(b"network").digest()
BINDING = hashlib.sha256(b"certificate").digest()
KEYS = {name: SigningKey(hashlib.sha256(name.encode()).digest()) for name in ("a", "b", "c")}
MEMBERS = {name: bytes(key.verify_key) for name, key in KEYS.items()}
signed: list[str] = []


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


def side(
    role: Role,
    self_id: str,
    *,
    expected: str | None = None,
    network: bytes = NETWORK,
    binding: bytes = BINDING,
    key: str | None = None,
    nonce: bytes | None = None,
    members: dict[str, bytes] = MEMBERS,
) -> Handshake:
    def signer(message: bytes) -> bytes:
        signed.append(self_id)
        return KEYS[key or self_id].sign(message).signature

    return Handshake(
        role,
        network=network,
        self_id=self_id,
        signer=signer,
        verify=verify,
        members=members,
        nonce=nonce or hashlib.sha256(role.value.encode() + self_id.encode()).digest(),
        binding=binding,
        expected=expected,
    )


def run(dialer: Handshake, listener: Handshake) -> None:
    to_listener = dialer.begin() + listener.begin()
    while to_listener:
        to_dialer = listener.step(to_listener)
        to_listener = dialer.step(to_dialer) if to_dialer else b""


def refused(dialer: Handshake, listener: Handshake) -> str:
    with pytest.raises(HandshakeFault) as fault:
        run(dialer, listener)
    assert listener.peer_id is None
    return fault.value.code


def test_two_members_prove_themselves_to_each_other() -> None:
    dialer, listener = side(Role.DIALER, "a", expected="b"), side(Role.LISTENER, "b")
    run(dialer, listener)
    assert (dialer.peer_id, listener.peer_id) == ("b", "a")


def test_the_messages_may_arrive_byte_by_byte() -> None:
    dialer, listener = side(Role.DIALER, "a", expected="b"), side(Role.LISTENER, "b")
    pending, turn = dialer.begin(), [listener, dialer]
    while pending:
        pending = b"".join([turn[0].step(bytes([byte])) for byte in pending])
        turn.reverse()
    assert (dialer.peer_id, listener.peer_id) == ("b", "a")


def test_a_listener_signs_nothing_for_a_stranger() -> None:
    signed.clear()
    assert refused(side(Role.DIALER, "a", expected="b", key="c"), side(Role.LISTENER, "b")) == (
        "bad-proof"
    )
    assert signed == ["a"]


def test_a_dialer_refuses_a_listener_with_the_wrong_key() -> None:
    dialer = side(Role.DIALER, "a", expected="b")
    with pytest.raises(HandshakeFault, match="bad-proof"):
        run(dialer, side(Role.LISTENER, "b", key="c"))
    assert dialer.peer_id is None


def test_another_network_is_refused() -> None:
    other = hashlib.sha256(b"other").digest()
    dialer = side(Role.DIALER, "a", expected="b", network=other)
    assert refused(dialer, side(Role.LISTENER, "b")) == "wrong-network"


def test_who_is_not_on_the_ledger_is_refused() -> None:
    members = {"b": MEMBERS["b"]}
    dialer = side(Role.DIALER, "a", expected="b")
    assert refused(dialer, side(Role.LISTENER, "b", members=members)) == "unknown-member"


def test_a_call_for_another_member_is_refused() -> None:
    dialer = side(Role.DIALER, "a", expected="c")
    assert refused(dialer, side(Role.LISTENER, "b")) == "wrong-peer"


def test_a_dialer_refuses_another_member_than_it_wanted() -> None:
    dialer, other = side(Role.DIALER, "a", expected="b"), side(Role.LISTENER, "c")
    hello = wire.encode(Hello(1, NETWORK, "a", bytes(32), "c"))
    answer = other.step(encode(FrameType.HELLO, hello))
    with pytest.raises(HandshakeFault, match="wrong-peer"):
        dialer.step(answer)


def test_another_channel_is_refused_as_in_a_relay_by_a_man_in_the_middle() -> None:
    dialer = side(Role.DIALER, "a", expected="b", binding=hashlib.sha256(b"mitm").digest())
    assert refused(dialer, side(Role.LISTENER, "b")) == "bad-proof"


def test_a_replayed_proof_is_refused() -> None:
    dialer, listener = side(Role.DIALER, "a", expected="b"), side(Role.LISTENER, "b")
    hello = dialer.begin()
    proof = dialer.step(listener.step(hello))
    listener.step(proof)
    assert listener.peer_id == "a"
    again = side(Role.LISTENER, "b", nonce=hashlib.sha256(b"fresh").digest())
    again.step(hello)
    with pytest.raises(HandshakeFault, match="bad-proof"):
        again.step(proof)
    assert again.peer_id is None


def test_our_own_hello_or_nonce_sent_back_is_refused() -> None:
    dialer = side(Role.DIALER, "a", expected="b")
    with pytest.raises(HandshakeFault, match="reflected"):
        dialer.step(dialer.begin())
    nonce = hashlib.sha256(b"shared").digest()
    dialer = side(Role.DIALER, "a", expected="b", nonce=nonce)
    assert refused(dialer, side(Role.LISTENER, "b", nonce=nonce)) == "reflected"


def test_a_proof_of_one_role_is_no_proof_of_the_other() -> None:
    """Were the role not signed, b's listener proof would serve as b's dialer proof."""
    a, b = b"\x0a" * 32, b"\x0b" * 32
    victim = side(Role.LISTENER, "a", nonce=a)
    victim.step(encode(FrameType.HELLO, wire.encode(Hello(1, NETWORK, "b", b, "a"))))
    real = side(Role.LISTENER, "b", nonce=b)
    caller = side(Role.DIALER, "a", expected="b", nonce=a)
    proof = real.step(caller.step(real.step(caller.begin())))
    assert FrameReader(types=HANDSHAKE_TYPES).feed(proof)[0].type is FrameType.PROOF
    with pytest.raises(HandshakeFault, match="bad-proof"):
        victim.step(proof)


GOOD_HELLO = Hello(1, NETWORK, "a", b"\x01" * 32, "b")


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (replace(GOOD_HELLO, version=2), "version"),
        (replace(GOOD_HELLO, nonce=b"\x01" * 31), "malformed"),
        (replace(GOOD_HELLO, id="b"), "reflected"),
    ],
)
def test_a_hello_that_is_not_ours_is_refused(hello: Hello, code: str) -> None:
    with pytest.raises(HandshakeFault) as fault:
        side(Role.LISTENER, "b").step(encode(FrameType.HELLO, wire.encode(hello)))
    assert fault.value.code == code


def test_nothing_may_come_early_or_after_the_end() -> None:
    proof = encode(FrameType.PROOF, wire.encode(Proof(bytes(64))))
    with pytest.raises(HandshakeFault, match="out-of-order"):
        side(Role.LISTENER, "b").step(proof)
    for extra in (b"\x00", proof):
        dialer, listener = side(Role.DIALER, "a", expected="b"), side(Role.LISTENER, "b")
        last = dialer.step(listener.step(dialer.begin()))
        with pytest.raises(HandshakeFault, match="out-of-order"):
            listener.step(last + extra)


def test_a_stranger_cannot_make_us_hold_a_large_frame() -> None:
    with pytest.raises(HandshakeFault, match="oversize"):
        side(Role.LISTENER, "b").step((4097).to_bytes(4, "big"))


@given(st.binary(max_size=200), st.sampled_from([FrameType.HELLO, FrameType.PROOF]))
def test_garbage_gives_only_handshake_faults(body: bytes, kind: FrameType) -> None:
    for data in (body, encode(kind, body)):
        listener = side(Role.LISTENER, "b")
        with contextlib.suppress(HandshakeFault):
            listener.step(data)
        assert listener.peer_id is None


@given(st.data())
def test_a_changed_byte_never_proves_a_member(data: st.DataObject) -> None:
    dialer, listener = side(Role.DIALER, "a", expected="b"), side(Role.LISTENER, "b")
    hello = dialer.begin()
    proof = dialer.step(listener.step(hello))
    listener = side(Role.LISTENER, "b")
    stream = bytearray(hello + proof)
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(HandshakeFault):
        listener.step(bytes(stream))
    assert listener.peer_id is None
