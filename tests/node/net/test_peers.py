"""Members over real TCP and TLS on loopback: they talk, and what attackers and wrecks get."""

import asyncio
import contextlib
import hashlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from node.net import tls, versions
from node.net.faults import PeerFault
from node.net.frame import FrameType, encode
from node.net.handshake import Handshake, Role
from node.net.limits import NetLimits
from node.net.peers import Peers

NETWORK = hashlib.sha256(b"network").digest()
NAMES = ("a", "b", "c", "d")
KEYS = {name: SigningKey(hashlib.sha256(name.encode()).digest()) for name in NAMES}
MEMBERS = {name: bytes(key.verify_key) for name, key in KEYS.items()}
SOON_S = 10.0
QUICK = {"redial_ms_min": 10, "redial_ms_max": 50}


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


pytestmark = pytest.mark.timeout(SOON_S)


class Node:
    """A real ``Peers`` whose frames and connections arrive in queues."""

    def __init__(self, name: str, *, port: int = 0, key: str = "", **options: Any) -> None:
        self.name = name
        self.inbox: asyncio.Queue[tuple[str, FrameType, bytes]] = asyncio.Queue()
        self.ups: asyncio.Queue[str] = asyncio.Queue()
        self.downs: asyncio.Queue[str] = asyncio.Queue()
        self.now_ms: int | None = None
        limits = NetLimits(**(QUICK | options.pop("limits", {})))
        on_frame = options.pop("on_frame", lambda *frame: self.inbox.put_nowait(frame))
        self.peers = Peers(
            self_id=name,
            network=options.pop("network", NETWORK),
            members=MEMBERS,
            addresses=options.pop("addresses", {}),
            listen=("127.0.0.1", port),
            signer=lambda message: KEYS[key or name].sign(message).signature,
            verify=verify,
            on_frame=on_frame,
            limits=limits,
            rng=random.Random(7),
            clock_ms=self.clock_ms,
            on_up=self.ups.put_nowait,
            on_down=self.downs.put_nowait,
        )
        assert not options

    def clock_ms(self) -> int:
        if self.now_ms is not None:
            return self.now_ms
        return int(asyncio.get_running_loop().time() * 1000)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.peers.listening_port)


class Stranger:
    """A hand-made connection that speaks as much of the protocol as a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def handshake(self, role: Role, name: str, **options: Any) -> Handshake:
        certificate = options.pop("certificate", b"")
        channel = self.writer.get_extra_info("ssl_object")
        return Handshake(
            role,
            network=NETWORK,
            self_id=name,
            signer=lambda message: KEYS[options.get("key") or name].sign(message).signature,
            verify=verify,
            members=MEMBERS,
            nonce=random.randbytes(32),
            binding=tls.channel_binding(
                channel,
                server_side=role is Role.LISTENER,
                own_certificate=certificate,
            ),
            expected=options.get("expected"),
            version=versions.agreed(channel.selected_alpn_protocol()),
        )

    async def run(self, handshake: Handshake) -> None:
        self.writer.write(handshake.begin())
        while handshake.peer_id is None:
            data = await self.reader.read(4096)
            if not data:
                raise ConnectionResetError
            self.writer.write(handshake.step(data))
        await self.writer.drain()

    async def ended(self) -> bytes:
        """Wait for the other side to hang up; return what it said until then."""
        said = b""
        with contextlib.suppress(ConnectionError):
            while data := await self.reader.read(1 << 16):
                said += data
        return said


def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    writer.close()


class Network:
    """Opens nodes and strangers, closes them all at the end."""

    def __init__(self, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack

    async def node(self, name: str, **options: Any) -> Node:
        node = Node(name, **options)
        await node.peers.start()
        self._stack.push_async_callback(node.peers.close)
        return node

    async def mesh(self, *names: str, **options: Any) -> list[Node]:
        """Start members who all dial one another and wait until all are connected."""
        nodes = [await self.node(name, **options) for name in names]
        addresses = {node.name: node.address for node in nodes}
        for node in nodes:
            node.peers.reconfigure(members=MEMBERS, addresses=addresses)
        for node in nodes:
            assert {await node.ups.get() for _ in names[1:]} == set(names) - {node.name}
        return nodes

    async def stranger(self, address: tuple[str, int], *, secure: bool = True) -> Stranger:
        identity = tls.make_identity() if secure else None
        reader, writer = await asyncio.open_connection(
            *address,
            ssl=identity.client_context if identity else None,
            server_hostname="" if identity else None,
        )
        self._stack.callback(hang_up, writer)
        return Stranger(reader, writer)

    async def member(self, name: str, node: Node) -> Stranger:
        """A hand-made connection that proved to be ``name``."""
        stranger = await self.stranger(node.address)
        await stranger.run(stranger.handshake(Role.DIALER, name, expected=node.name))
        return stranger

    async def server(
        self, serve: Callable[[Stranger], Any], identity: tls.TlsIdentity
    ) -> tuple[str, int]:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._stack.callback(hang_up, writer)
            task = asyncio.get_running_loop().create_task(serve(Stranger(reader, writer)))
            tasks.add(task)
            self._stack.callback(task.cancel)

        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        server = await asyncio.start_server(accept, sock=listening, ssl=identity.server_context)
        self._stack.callback(server.close)
        return ("127.0.0.1", listening.getsockname()[1])


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    async with contextlib.AsyncExitStack() as stack:
        yield Network(stack)


# --- members talk ---


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
async def test_members_exchange_frames_both_ways(net: Network, names: tuple[str, ...]) -> None:
    nodes = await net.mesh(*names)
    for node in nodes:
        assert node.peers.broadcast(FrameType.CONSENSUS, node.name.encode()) == len(names) - 1
    for node in nodes:
        got = sorted([await node.inbox.get() for _ in names[1:]])
        assert got == [
            (name, FrameType.CONSENSUS, name.encode()) for name in names if name != node.name
        ]
        assert node.peers.statistics.sending_to == set(names) - {node.name}
        seen = node.peers.statistics
        assert seen.frames_in[FrameType.CONSENSUS] == len(names) - 1
        assert seen.bytes_in[FrameType.CONSENSUS] == seen.bytes_out[FrameType.CONSENSUS] > 0


async def test_many_frames_of_all_sizes_arrive_whole_and_in_order(net: Network) -> None:
    a, b = await net.mesh("a", "b")
    bodies = [random.Random(n).randbytes(n * n) for n in range(0, 1200, 7)]
    bodies.append(bytes((4 << 20) - 1))
    got = []
    for body in bodies:
        while not a.peers.enqueue("b", FrameType.SYNC_RESPONSE, body):
            got.append(await b.inbox.get())
    assert a.peers.queue_bytes()["b"] > 0
    while len(got) < len(bodies):
        got.append(await b.inbox.get())
    assert got == [("a", FrameType.SYNC_RESPONSE, body) for body in bodies]
    assert a.peers.queue_bytes() == {"b": 0}


async def test_frames_queued_before_the_connection_arrive(net: Network) -> None:
    b = await net.node("b")
    a = await net.node("a", addresses={"b": b.address})
    assert a.peers.enqueue("b", FrameType.INVENTORY, b"early")
    assert await b.inbox.get() == ("a", FrameType.INVENTORY, b"early")
    assert not a.peers.enqueue("c", FrameType.INVENTORY, b"no address")
    assert not a.peers.enqueue("a", FrameType.INVENTORY, b"to myself")
    assert a.peers.statistics.dropped == {"unknown-peer": 2}


async def test_a_round_trip_is_measured(net: Network) -> None:
    a, b = await net.mesh("a", "b", limits={"ping_every_ms": 5})
    while b.peers.statistics.frames_in[FrameType.PING] < 3:
        a.peers.enqueue("b", FrameType.CONSENSUS, b"")
        await b.inbox.get()
    assert 0 < a.peers.statistics.rtt_us["b"] < SOON_S * 1_000_000


async def test_a_restarted_member_is_found_again(net: Network) -> None:
    a, b = await net.mesh("a", "b")
    port = b.peers.listening_port
    await b.peers.close()
    assert await a.downs.get() == "b"
    again = await net.node("b", port=port, addresses={"a": a.address})
    assert await a.ups.get() == "b"
    assert a.peers.enqueue("b", FrameType.CONSENSUS, b"welcome")
    assert await again.inbox.get() == ("a", FrameType.CONSENSUS, b"welcome")
    await again.ups.get()
    assert again.peers.enqueue("a", FrameType.CONSENSUS, b"thanks")
    assert await a.inbox.get() == ("b", FrameType.CONSENSUS, b"thanks")


async def test_who_leaves_the_ledger_is_cut_off(net: Network) -> None:
    a, b = await net.mesh("a", "b")
    left = {name: key for name, key in MEMBERS.items() if name != "b"}
    a.peers.reconfigure(members=left, addresses={"b": b.address})
    assert await a.downs.get() == "b"
    assert await b.downs.get() == "a"
    assert not a.peers.enqueue("b", FrameType.CONSENSUS, b"")
    stranger = await net.stranger(a.address)
    with pytest.raises(ConnectionResetError):
        await stranger.run(stranger.handshake(Role.DIALER, "b", expected="a"))
    assert a.peers.statistics.handshake_failures["unknown-member"] >= 1


# --- who does not get in ---


async def test_a_wrong_key_is_refused(net: Network) -> None:
    b = await net.node("b")
    stranger = await net.stranger(b.address)
    with pytest.raises(ConnectionResetError):
        await stranger.run(stranger.handshake(Role.DIALER, "a", expected="b", key="c"))
    assert b.peers.statistics.handshake_failures == {"bad-proof": 1}
    assert b.peers.statistics.receiving_from == set()


async def test_a_node_of_another_network_is_refused(net: Network) -> None:
    b = await net.node("b")
    a = await net.node("a", network=bytes(32), addresses={"b": b.address})
    a.peers.enqueue("b", FrameType.CONSENSUS, b"never arrives")
    stranger = await net.stranger(b.address)
    other = Handshake(
        Role.DIALER,
        network=bytes(32),
        self_id="a",
        signer=lambda message: KEYS["a"].sign(message).signature,
        verify=verify,
        members=MEMBERS,
        nonce=bytes(32),
        binding=bytes(32),
        expected="b",
    )
    with pytest.raises(ConnectionResetError):
        await stranger.run(other)
    assert b.peers.statistics.handshake_failures["wrong-network"] >= 1
    assert b.inbox.empty()


async def test_a_replayed_conversation_proves_nothing(net: Network) -> None:
    b = await net.node("b")
    first = await net.stranger(b.address)
    handshake = first.handshake(Role.DIALER, "a", expected="b")
    hello = handshake.begin()
    first.writer.write(hello)
    proof = handshake.step(await first.reader.read(4096))
    first.writer.write(proof)
    assert await first.reader.read(4096)  # b's own proof: this one was accepted
    replay = await net.stranger(b.address)
    replay.writer.write(hello)
    assert await replay.reader.read(4096)
    replay.writer.write(proof)
    assert await replay.ended() == b""
    assert b.peers.statistics.handshake_failures == {"bad-proof": 1}


async def test_a_man_in_the_middle_with_his_own_certificate_gets_nothing(
    net: Network,
) -> None:
    b = await net.node("b")
    outcome: asyncio.Queue[bytes] = asyncio.Queue()

    async def relay(victim: Stranger) -> None:
        target = await net.stranger(b.address)

        async def copy(source: Stranger, sink: Stranger) -> None:
            while data := await source.reader.read(4096):
                sink.writer.write(data)

        forward = asyncio.get_running_loop().create_task(copy(victim, target))
        hello = await target.reader.read(4096)
        victim.writer.write(hello)
        outcome.put_nowait(await target.ended())
        forward.cancel()
        victim.writer.transport.abort()

    middle = await net.server(relay, tls.make_identity())
    a = await net.node("a", addresses={"b": middle})
    a.peers.enqueue("b", FrameType.CONSENSUS, b"secret")
    assert await outcome.get() == b""
    assert b.peers.statistics.handshake_failures["bad-proof"] >= 1
    assert b.inbox.empty()
    assert a.ups.empty()


async def test_a_dialler_refuses_a_server_without_the_members_key(net: Network) -> None:
    identity = tls.make_identity()
    refused: asyncio.Queue[bytes] = asyncio.Queue()

    async def impostor(victim: Stranger) -> None:
        handshake = victim.handshake(
            Role.LISTENER, "b", key="c", certificate=identity.certificate
        )
        await victim.run(handshake)
        refused.put_nowait(await victim.ended())

    a = await net.node("a", addresses={"b": await net.server(impostor, identity)})
    a.peers.enqueue("b", FrameType.CONSENSUS, b"secret")
    assert await refused.get() == b""
    assert a.peers.statistics.handshake_failures["bad-proof"] >= 1
    assert a.ups.empty()


async def test_plain_garbage_is_closed_and_harms_nobody(net: Network) -> None:
    b = await net.node("b")
    garbage = await net.stranger(b.address, secure=False)
    garbage.writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await garbage.ended()
    inside_tls = await net.stranger(b.address)
    inside_tls.writer.write(b"\xff" * 64)
    await inside_tls.ended()
    assert b.peers.statistics.handshake_failures == {"tls": 1, "malformed": 1}
    a = await net.member("a", b)
    a.writer.write(encode(FrameType.CONSENSUS, b"still alive"))
    assert await b.inbox.get() == ("a", FrameType.CONSENSUS, b"still alive")


@pytest.mark.parametrize("secure", [False, True])
async def test_a_silent_stranger_is_dropped_in_time(net: Network, secure: bool) -> None:
    b = await net.node("b", limits={"handshake_ms_max": 300})
    stranger = await net.stranger(b.address, secure=secure)
    if secure:
        hello = stranger.handshake(Role.DIALER, "a", expected="b").begin()
        stranger.writer.write(hello[:7])
    assert await stranger.ended() == b""
    assert b.peers.statistics.handshake_failures == {"timeout": 1}
    assert b.peers.statistics.unproven_connections == 0


@pytest.mark.parametrize("bound", ["unproven_connections_max", "unproven_per_address_max"])
async def test_strangers_are_bounded(net: Network, bound: str) -> None:
    b = await net.node("b", limits={bound: 1})
    first = await net.stranger(b.address, secure=False)
    second = await net.stranger(b.address, secure=False)
    assert await second.ended() == b""
    assert b.peers.statistics.handshake_failures == {"too-many": 1}
    first.writer.write(b"not TLS")
    await first.ended()
    await net.member("a", b)  # the place is free again


# --- members that misbehave ---


@pytest.mark.parametrize(
    "broken",
    [
        b"\x7f\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x01\x01",
        encode(FrameType.PONG, bytes(8)),
        encode(FrameType.PING, b""),
    ],
)
async def test_broken_frames_end_the_connection_and_count(net: Network, broken: bytes) -> None:
    b = await net.node("b")
    a = await net.member("a", b)
    a.writer.write(encode(FrameType.CONSENSUS, b"good"))
    assert await b.inbox.get() == ("a", FrameType.CONSENSUS, b"good")
    a.writer.write(broken)
    await a.ended()
    assert b.peers.statistics.peer_faults == {"a": 1}
    assert not b.peers.failure.done()


async def test_half_a_frame_and_silence_ends_the_connection(net: Network) -> None:
    b = await net.node("b", limits={"idle_ms_max": 200})
    a = await net.member("a", b)
    a.writer.write(encode(FrameType.CONSENSUS, b"long enough")[:7])
    assert await a.ended() == b""
    assert b.peers.statistics.connections_lost == {"silent": 1}
    assert b.inbox.empty()


async def test_a_newer_connection_replaces_the_older_only_once_proven(net: Network) -> None:
    b = await net.node("b")
    old = await net.member("a", b)
    impostor = await net.stranger(b.address)
    with pytest.raises(ConnectionResetError):
        await impostor.run(impostor.handshake(Role.DIALER, "a", expected="b", key="c"))
    old.writer.write(encode(FrameType.CONSENSUS, b"still here"))
    assert await b.inbox.get() == ("a", FrameType.CONSENSUS, b"still here")
    new = await net.member("a", b)
    await old.ended()
    new.writer.write(encode(FrameType.CONSENSUS, b"moved"))
    assert await b.inbox.get() == ("a", FrameType.CONSENSUS, b"moved")
    assert b.peers.statistics.receiving_from == {"a"}


async def test_a_member_that_keeps_breaking_the_protocol_is_paused_for_a_time(
    net: Network,
) -> None:
    def handler(_peer: str, _kind: FrameType, body: bytes) -> None:
        if body == b"bad":
            raise PeerFault("vote", "signed by nobody")
        accepted.put_nowait(body)

    accepted: asyncio.Queue[bytes] = asyncio.Queue()
    b = await net.node("b", on_frame=handler, limits={"faults_max": 2, "pause_ms": 60_000})
    b.now_ms = 1_000
    for _ in range(2):
        a = await net.member("a", b)
        a.writer.write(encode(FrameType.CONSENSUS, b"bad"))
        await a.ended()
    paused = await net.member("a", b)  # the proof is right, the welcome is not
    await paused.ended()
    assert b.peers.statistics.handshake_failures == {"paused": 1}
    assert b.peers.statistics.pauses == {"a": 1}
    other = await net.member("c", b)
    other.writer.write(encode(FrameType.CONSENSUS, b"c is fine"))
    assert await accepted.get() == b"c is fine"
    b.now_ms += 60_000
    a = await net.member("a", b)
    a.writer.write(encode(FrameType.CONSENSUS, b"good again"))
    assert await accepted.get() == b"good again"


async def test_our_own_error_in_a_handler_surfaces(net: Network) -> None:
    def handler(_peer: str, _kind: FrameType, _body: bytes) -> None:
        raise ZeroDivisionError

    b = await net.node("b", on_frame=handler)
    a = await net.member("a", b)
    a.writer.write(encode(FrameType.CONSENSUS, b""))
    with pytest.raises(ZeroDivisionError):
        await b.peers.failure


# --- back-pressure ---


async def test_a_reader_that_stalls_fills_one_bounded_queue_and_is_left(net: Network) -> None:
    identity = tls.make_identity()
    forever = asyncio.Event()

    async def stall(victim: Stranger) -> None:
        handshake = victim.handshake(Role.LISTENER, "b", certificate=identity.certificate)
        await victim.run(handshake)
        await forever.wait()

    queue_bytes_max = 1 << 20
    a = await net.node(
        "a",
        addresses={"b": await net.server(stall, identity)},
        limits={"gossip_queue_bytes_max": queue_bytes_max, "write_stall_ms_max": 300},
    )
    await a.ups.get()
    body = bytes(64 << 10)
    while a.peers.enqueue("b", FrameType.TRANSACTIONS, body):
        assert a.peers.queue_bytes()["b"] <= queue_bytes_max
        await asyncio.sleep(0)
    assert a.peers.statistics.dropped == {"full": 1}
    assert a.peers.enqueue("b", FrameType.CONSENSUS, b"votes still find room")
    assert await a.downs.get() == "b"
    assert a.peers.statistics.connections_lost["write-stall"] == 1


async def test_a_slow_handler_stops_the_reading_and_loses_nothing(net: Network) -> None:
    release, busy = asyncio.Event(), asyncio.Event()
    handled: list[int] = []
    done: asyncio.Queue[int] = asyncio.Queue()

    async def handler(_peer: str, _kind: FrameType, body: bytes) -> None:
        busy.set()
        await release.wait()
        handled.append(int.from_bytes(body[:4], "big"))
        done.put_nowait(len(handled))

    unread_bytes_max = 128 << 10
    b = await net.node("b", on_frame=handler, limits={"unread_bytes_max": unread_bytes_max})
    a = await net.node(
        "a", addresses={"b": b.address}, limits={"gossip_queue_bytes_max": 256 << 10}
    )
    sent = 0
    while a.peers.enqueue(
        "b", FrameType.TRANSACTIONS, sent.to_bytes(4, "big") + bytes(64 << 10)
    ):
        sent += 1
        if not busy.is_set() and sent > 2:
            await busy.wait()
        await asyncio.sleep(0)
    assert handled == []
    assert b.peers._inbound is not None
    (connection,) = b.peers._inbound._current.values()
    assert connection._unread_bytes <= unread_bytes_max + (256 << 10)
    release.set()
    while await done.get() < sent:
        pass
    assert handled == list(range(sent))


async def test_a_peer_that_never_answers_a_ping_is_left(net: Network) -> None:
    identity = tls.make_identity()

    async def mute(victim: Stranger) -> None:
        await victim.run(victim.handshake(Role.LISTENER, "b", certificate=identity.certificate))
        await victim.ended()

    a = await net.node(
        "a",
        addresses={"b": await net.server(mute, identity)},
        limits={"ping_timeout_ms": 200},
    )
    await a.ups.get()
    assert await a.downs.get() == "b"
    assert a.peers.statistics.connections_lost["ping-timeout"] == 1


async def test_a_listener_may_send_nothing_but_pongs(net: Network) -> None:
    identity = tls.make_identity()

    async def talkative(victim: Stranger) -> None:
        await victim.run(victim.handshake(Role.LISTENER, "b", certificate=identity.certificate))
        assert await victim.reader.read(1)  # its first ping: the handshake is over there too
        victim.writer.write(encode(FrameType.CONSENSUS, b"on the wrong side"))
        await victim.ended()

    a = await net.node("a", addresses={"b": await net.server(talkative, identity)})
    await a.ups.get()
    assert await a.downs.get() == "b"
    assert a.peers.statistics.peer_faults["b"] == 1
    assert a.inbox.empty()


async def test_close_leaves_no_task_behind(net: Network) -> None:
    before = asyncio.all_tasks()
    a, b = await net.mesh("a", "b")
    assert any(task.get_name() == "net-send-b" for task in asyncio.all_tasks())
    await a.peers.close()
    await b.peers.close()
    assert asyncio.all_tasks() == before
    assert a.peers.failure.done()
