"""Proof of membership inside a fresh TLS connection, as a pure state machine.

    dialer   -> Hello                      [version, network, id, nonce, expected id, ...]
    listener -> Hello                      after cheap checks of the dialer's
    dialer   -> Proof                      signature over the transcript
    listener -> Proof                      only after the dialer's proof holds

Owns who may speak and in which order.  The dialer proves first, so a stranger never makes a
listener sign.  Invariant: ``peer_id`` is set only after the other side signed, with the key
the ledger knows for that id, our fresh nonce and the hash of the certificate that this very
connection shows.  A relay in the middle shows another certificate, so what it relays does not
verify (channel binding, RFC 5929 section 4); role, ids and nonces keep a proof from being
replayed, reflected or moved to another pair of members.

TLS has named the version before (``versions.py``).  From version 2 on a Hello may have more
fields than we know, which are passed over, and the proofs sign the version.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from consensus import codec, wire
from consensus.codec import Malformed
from consensus.codec import encode as canonical
from node.net import versions
from node.net.faults import FrameFault, HandshakeFault
from node.net.frame import (
    HANDSHAKE_FRAME_BYTES_MAX,
    HANDSHAKE_TYPES,
    Frame,
    FrameReader,
    FrameType,
    encode,
)

NONCE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
TAG: Final = b"chartseal/hello/v1\0"
TAG_SINCE_2: Final = b"chartseal/hello/v2\0"
SOFTWARE_MAX: Final = 64  # characters

Signer = Callable[[bytes], bytes]  # message -> Ed25519 signature of our member key
Verify = Callable[[bytes, bytes, bytes], bool]  # key, message, signature


class Role(StrEnum):
    DIALER = "dialer"
    LISTENER = "listener"


class Refusal(StrEnum):
    """Codes of ``HandshakeFault``, also the label of the failure metric."""

    MALFORMED = "malformed"
    OUT_OF_ORDER = "out-of-order"
    VERSION = "version"
    WRONG_NETWORK = "wrong-network"
    UNKNOWN_MEMBER = "unknown-member"
    WRONG_PEER = "wrong-peer"
    REFLECTED = "reflected"
    BAD_PROOF = "bad-proof"


@dataclass(frozen=True, slots=True)
class Hello:
    version: int
    network: bytes
    id: str
    nonce: bytes
    expected: str  # the member the sender believes to speak with


@dataclass(frozen=True, slots=True)
class HelloSince2:
    """The same; ``version`` is the agreed one, 0 when there is none in common."""

    version: int
    network: bytes
    id: str
    nonce: bytes
    expected: str
    version_low: int
    version_high: int
    software: str

    def __post_init__(self) -> None:
        if len(self.software) > SOFTWARE_MAX or not self.software.isprintable():
            raise ValueError("the name of a software is short and printable")
        versions.Range(self.version_low, self.version_high)


_FIELDS_SINCE_2: Final = len(fields(HelloSince2))


@dataclass(frozen=True, slots=True)
class Proof:
    signature: bytes


def statement(
    *,
    network: bytes,
    role: Role,
    own_id: str,
    other_id: str,
    own_nonce: bytes,
    other_nonce: bytes,
    binding: bytes,
    version: int,
) -> bytes:
    """Return what the side with ``role`` signs; ``own`` and ``other`` are as that side sees."""
    said = [network, role.value, own_id, other_id, own_nonce, other_nonce, binding]
    return TAG + canonical(said) if version == 1 else TAG_SINCE_2 + canonical([version, *said])


class Handshake:
    """One side of one handshake.

    ``members`` maps ids to 32-byte identity keys, ``nonce`` is 32 fresh random bytes,
    ``binding`` the channel binding of this connection, ``expected`` the member a dialer wants
    (a listener passes ``None``), ``version`` what TLS agreed on, ``spoken`` our range.  Every
    call may raise ``HandshakeFault``; then drop the connection without a word.
    """

    def __init__(
        self,
        role: Role,
        *,
        network: bytes,
        self_id: str,
        signer: Signer,
        verify: Verify,
        members: Mapping[str, bytes],
        nonce: bytes,
        binding: bytes,
        expected: str | None = None,
        version: int = versions.LOWEST,
        spoken: versions.Range = versions.OURS,
        software: str = "",
    ) -> None:
        assert (expected is not None) == (role is Role.DIALER), "a dialer knows whom it dials"
        assert len(nonce) == NONCE_BYTES, "nonces have 32 bytes"
        self._role = role
        self._network = network
        self._self_id = self_id
        self._signer = signer
        self._verify = verify
        self._members = members
        self._nonce = nonce
        self._binding = binding
        self._expected = expected
        self._version = version
        self._spoken = spoken
        self._software = software
        self._hello: Hello | HelloSince2 | None = None
        self._peer_id: str | None = None
        self.claimed: str | None = expected
        """Who the other side says it is, proven or not; for people who look for a cause."""
        self._reader = FrameReader(
            types=HANDSHAKE_TYPES, frame_bytes_max=HANDSHAKE_FRAME_BYTES_MAX
        )

    @property
    def peer_id(self) -> str | None:
        """The proven member on the other side, once the handshake is complete."""
        return self._peer_id

    @property
    def peer_software(self) -> str:
        """What the other side says it runs; empty for version 1, which says nothing."""
        return self._hello.software if isinstance(self._hello, HelloSince2) else ""

    def begin(self) -> bytes:
        """Return the first bytes to send: the dialer's Hello; nothing for a listener."""
        return b"" if self._expected is None else self._own_hello(self._expected)

    def step(self, data: bytes) -> bytes:
        """Take bytes from the other side and return the bytes to answer with.

        Raises ``HandshakeFault`` for everything the other side can get wrong, bytes after
        the last message included: each side waits for the other before it goes on.
        """
        try:
            frames = self._reader.feed(data)
        except FrameFault as fault:
            raise HandshakeFault(Refusal.MALFORMED, fault.code) from fault
        answer = b"".join([self._on_frame(frame) for frame in frames])
        if self._peer_id is not None and self._reader.buffered_bytes:
            raise HandshakeFault(Refusal.OUT_OF_ORDER, "bytes after the last proof")
        return answer

    def _on_frame(self, frame: Frame) -> bytes:
        if self._peer_id is not None:
            raise HandshakeFault(Refusal.OUT_OF_ORDER, "frame after the last proof")
        wanted = FrameType.HELLO if self._hello is None else FrameType.PROOF
        if frame.type is not wanted:
            raise HandshakeFault(Refusal.OUT_OF_ORDER, f"{frame.type.name} came too early")
        try:
            if self._hello is None:
                return self._on_hello(self._decode_hello(frame.body))
            return self._on_proof(
                self._hello, wire.decode(Proof, frame.body, size_max=len(frame.body))
            )
        except Malformed as error:
            raise HandshakeFault(Refusal.MALFORMED, f"{frame.type.name} body") from error

    def _decode_hello(self, body: bytes) -> Hello | HelloSince2:
        if self._version == 1:
            return wire.decode(Hello, body, size_max=len(body))
        said = codec.decode(body, size_max=len(body))
        if type(said) is not list:
            raise Malformed("expected an array")
        return wire.from_value(HelloSince2, said[:_FIELDS_SINCE_2])

    def _on_hello(self, hello: Hello | HelloSince2) -> bytes:
        self.claimed = hello.id
        if self._version not in self._spoken or hello.version != self._version:
            theirs = str(hello.version)
            if isinstance(hello, HelloSince2):
                theirs = str(versions.Range(hello.version_low, hello.version_high))
            # Else the dialer would never learn why: it is told our range, and nothing more.
            tell = self._version == versions.NONE_IN_COMMON and self._expected is None
            raise HandshakeFault(
                Refusal.VERSION,
                f"theirs {theirs}, ours {self._spoken}",
                farewell=self._own_hello(hello.id) if tell else b"",
            )
        if hello.network != self._network:
            raise HandshakeFault(Refusal.WRONG_NETWORK, f"ours {self._network.hex()[:8]}")
        if len(hello.nonce) != NONCE_BYTES:
            raise HandshakeFault(Refusal.MALFORMED, "nonce length")
        if hello.nonce == self._nonce or hello.id == self._self_id:
            raise HandshakeFault(Refusal.REFLECTED, "our own Hello came back")
        if hello.id not in self._members:
            raise HandshakeFault(Refusal.UNKNOWN_MEMBER, "id is not on the ledger")
        if hello.expected != self._self_id or self._expected not in (None, hello.id):
            raise HandshakeFault(Refusal.WRONG_PEER, "meant for another member")
        self._hello = hello
        return self._own_proof(hello) if self._expected else self._own_hello(hello.id)

    def _on_proof(self, hello: Hello | HelloSince2, proof: Proof) -> bytes:
        other = Role.LISTENER if self._role is Role.DIALER else Role.DIALER
        message = statement(
            network=self._network,
            role=other,
            own_id=hello.id,
            other_id=self._self_id,
            own_nonce=hello.nonce,
            other_nonce=self._nonce,
            binding=self._binding,
            version=self._version,
        )
        key = self._members.get(hello.id)  # membership may have changed since the Hello
        if key is None:
            raise HandshakeFault(Refusal.UNKNOWN_MEMBER, "id left the ledger")
        if len(proof.signature) != SIGNATURE_BYTES or not self._verify(
            key, message, proof.signature
        ):
            raise HandshakeFault(Refusal.BAD_PROOF, "signature does not verify")
        answer = self._own_proof(hello) if self._role is Role.LISTENER else b""
        self._peer_id = hello.id
        return answer

    def _own_hello(self, expected: str) -> bytes:
        said = (self._version, self._network, self._self_id, self._nonce, expected)
        if self._version == 1:
            return encode(FrameType.HELLO, wire.encode(Hello(*said)))
        low, high = self._spoken.low, self._spoken.high
        hello = HelloSince2(*said, low, high, self._software)
        return encode(FrameType.HELLO, wire.encode(hello))

    def _own_proof(self, hello: Hello | HelloSince2) -> bytes:
        message = statement(
            network=self._network,
            role=self._role,
            own_id=self._self_id,
            other_id=hello.id,
            own_nonce=self._nonce,
            other_nonce=hello.nonce,
            binding=self._binding,
            version=self._version,
        )
        return encode(FrameType.PROOF, wire.encode(Proof(self._signer(message))))
