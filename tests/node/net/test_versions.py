"""Members of different versions agree on the newest that both speak, or say why they cannot."""

import asyncio
import datetime
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from cryptography import x509
from nacl.signing import SigningKey

from consensus import codec
from node.ledger import crypto
from node.net import tls, versions
from node.net.faults import FrameFault, HandshakeFault
from node.net.frame import HANDSHAKE_TYPES, FrameReader, FrameType, encode
from node.net.handshake import Handshake, Role
from node.net.limits import NetLimits
from node.net.peers import Peers
from node.net.versions import Range

NETWORK = hashlib.sha256(b"network").digest()
KEYS = {name: SigningKey(hashlib.sha256(name.encode()).digest()) for name in ("a", "b")}
MEMBERS = {name: bytes(key.verify_key) for name, key in KEYS.items()}
WAIT_S = 10.0


def side(role: Role, name: str, version: int, spoken: Range = versions.OURS) -> Handshake:
    return Handshake(
        role,
        network=NETWORK,
        self_id=name,
        signer=lambda message: KEYS[name].sign(message).signature,
        verify=crypto.verify,
        members=MEMBERS,
        nonce=hashlib.sha256(role.value.encode()).digest(),
        binding=bytes(32),
        expected="b" if role is Role.DIALER else None,
        version=version,
        spoken=spoken,
        software=f"software of {name}",
    )


class Pair:
    """Two members over real TLS; ``a`` dials ``b``."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[tuple[str, FrameType, bytes]] = asyncio.Queue()
        self.up = asyncio.Event()
        self._stack = AsyncExitStack()

    async def start(self, a: Range, b: Range) -> tuple[Peers, Peers]:
        listener = await self._node("b", b)
        address = {"b": ("127.0.0.1", listener.listening_port)}
        return await self._node("a", a, addresses=address), listener

    async def _node(self, name: str, spoken: Range, **options: Any) -> Peers:
        peers = Peers(
            self_id=name,
            network=NETWORK,
            members=MEMBERS,
            addresses=options.get("addresses", {}),
            listen=("127.0.0.1", 0),
            signer=lambda message: KEYS[name].sign(message).signature,
            verify=crypto.verify,
            on_frame=lambda *frame: self.inbox.put_nowait(frame),
            limits=NetLimits(redial_ms_min=10, redial_ms_max=50),
            rng=random.Random(7),
            clock_ms=lambda: int(asyncio.get_running_loop().time() * 1000),
            on_up=lambda _peer: self.up.set(),
            spoken=spoken,
            software=f"software of {name}",
        )
        await peers.start()
        self._stack.push_async_callback(peers.close)
        return peers

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    yield made
    await made.close()


async def until(happened: Callable[[], bool]) -> None:
    """Statistics have no event; they are looked at."""
    async with asyncio.timeout(WAIT_S):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("dials", "listens", "spoken"),
    [
        (Range(1, 2), Range(1, 2), 2),
        (Range(1, 1), Range(1, 2), 1),
        (Range(1, 2), Range(1, 1), 1),
        (Range(2, 9), Range(1, 4), 4),
    ],
)
async def test_two_members_speak_the_newest_version_that_both_know(
    pair: Pair, dials: Range, listens: Range, spoken: int
) -> None:
    a, b = await pair.start(dials, listens)
    await asyncio.wait_for(pair.up.wait(), WAIT_S)
    a.enqueue("b", FrameType.CONSENSUS, b"hello")
    assert await asyncio.wait_for(pair.inbox.get(), WAIT_S) == (
        "a",
        FrameType.CONSENSUS,
        b"hello",
    )
    said = "" if spoken == 1 else "software of "
    assert a.statistics.spoken == {"b": (spoken, said and said + "b")}
    assert b.statistics.spoken == {"a": (spoken, said and said + "a")}


async def test_a_member_older_than_the_names_of_versions_is_spoken_to_as_ever(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Software before version 2 names nothing in TLS; that is how it is recognised."""
    monkeypatch.setattr(Range, "names", lambda _self: [])
    a, b = await pair.start(Range(1, 1), Range(1, 1))
    await asyncio.wait_for(pair.up.wait(), WAIT_S)
    assert (a.statistics.spoken, b.statistics.spoken) == ({"b": (1, "")}, {"a": (1, "")})


async def test_ranges_that_do_not_meet_are_refused_and_both_sides_say_both(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="chartseal")
    a, b = await pair.start(Range(5, 6), Range(2, 3))
    failures = a.statistics.handshake_failures, b.statistics.handshake_failures
    await until(lambda: all(failures))
    said = {record.fields["versions"] for record in caplog.records}  # type: ignore[attr-defined]
    assert {"theirs 2 to 3, ours 5 to 6", "theirs 5 to 6, ours 2 to 3"} >= said
    assert "theirs 5 to 6, ours 2 to 3" in said
    assert set(b.statistics.handshake_failures) <= {"version", "tls"}
    assert a.statistics.sending_to == set()


def test_the_listener_tells_its_range_before_it_hangs_up() -> None:
    dialer = side(Role.DIALER, "a", versions.NONE_IN_COMMON, Range(5, 6))
    listener = side(Role.LISTENER, "b", versions.NONE_IN_COMMON, Range(2, 3))
    with pytest.raises(HandshakeFault, match="theirs 5 to 6, ours 2 to 3") as told:
        listener.step(dialer.begin())
    with pytest.raises(HandshakeFault, match="theirs 2 to 3, ours 5 to 6"):
        dialer.step(told.value.farewell)


def test_fields_of_a_later_hello_are_passed_over() -> None:
    dialer, listener = side(Role.DIALER, "a", 2), side(Role.LISTENER, "b", 2)
    (frame,) = FrameReader(types=HANDSHAKE_TYPES).feed(dialer.begin())
    longer = codec.encode([*codec.decode(frame.body, size_max=4096), "later", [1, 2]])
    dialer.step(listener.step(encode(FrameType.HELLO, longer)))
    assert dialer.peer_software == "software of b"


def test_version_1_allows_no_further_field() -> None:
    dialer, listener = side(Role.DIALER, "a", 1), side(Role.LISTENER, "b", 1)
    (frame,) = FrameReader(types=HANDSHAKE_TYPES).feed(dialer.begin())
    longer = codec.encode([*codec.decode(frame.body, size_max=4096), "later"])
    with pytest.raises(HandshakeFault, match="malformed"):
        listener.step(encode(FrameType.HELLO, longer))


def test_a_proof_for_one_version_is_none_for_another() -> None:
    """Were the version not signed, an old proof could be carried into a new conversation."""
    dialer, listener = side(Role.DIALER, "a", 2), side(Role.LISTENER, "b", 2)
    spoofed = side(Role.DIALER, "a", 1)
    proof = spoofed.step(side(Role.LISTENER, "b", 1).step(spoofed.begin()))
    listener.step(dialer.begin())
    with pytest.raises(HandshakeFault, match="bad-proof"):
        listener.step(proof)


async def test_frames_of_a_type_that_a_newer_member_sends_are_skipped(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await pair.start(Range(), Range())
    await asyncio.wait_for(pair.up.wait(), WAIT_S)
    reader = FrameReader(tolerant=True)
    later = (6).to_bytes(4, "big") + bytes((200,)) + b"later"
    frames = reader.feed(later + encode(FrameType.CONSENSUS, b"x"))
    assert [frame.body for frame in frames] == [b"x"]
    assert reader.skipped == 1
    with pytest.raises(FrameFault, match="unknown-type"):
        FrameReader().feed(later)
    monkeypatch.setattr("node.net.peers.encode", lambda _kind, _body: later)
    a.enqueue("b", FrameType.CONSENSUS, b"")
    await until(lambda: bool(b.statistics.skipped_frames))
    assert b.statistics.skipped_frames == {"a": 1}
    assert b.statistics.peer_faults == {}


def test_an_older_member_is_sent_no_frame_that_it_does_not_know() -> None:
    known = [kind for kind in FrameType if versions.since(kind) == 1]
    assert len(known) == 13
    assert all(versions.since(kind) == 2 for kind in FrameType if kind not in known)


async def test_pings_measure_how_far_the_clocks_are_apart(pair: Pair) -> None:
    a, b = await pair.start(Range(), Range())
    await until(lambda: bool(a.statistics.clock_from_ms))

    def agrees() -> bool:  # asked again, in case the machine looked away between two clocks
        ahead, error = a.statistics.clock_ahead_ms()["b"]
        return abs(ahead) <= error + 1

    await until(agrees)
    assert b.statistics.clock_ahead_ms() == {}, "b dials nobody"


async def test_members_talk_over_certificates_that_expired_long_ago(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expired(spoken: Range) -> tls.TlsIdentity:
        return made(spoken, lifetime=datetime.timedelta(days=-400))

    made = tls.make_identity
    monkeypatch.setattr(tls, "make_identity", expired)
    a, _ = await pair.start(Range(), Range())
    await asyncio.wait_for(pair.up.wait(), WAIT_S)
    a.enqueue("b", FrameType.CONSENSUS, b"hello")
    assert (await asyncio.wait_for(pair.inbox.get(), WAIT_S))[2] == b"hello"
    certificate = x509.load_der_x509_certificate(expired(Range()).certificate)
    age = datetime.datetime.now(datetime.UTC) - certificate.not_valid_after_utc
    assert age > datetime.timedelta(days=399)
