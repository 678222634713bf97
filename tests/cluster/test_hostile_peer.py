"""Four PBFT members, one of them a liar: the other three go on, count the lie, keep it out.

Three honest processes; the fourth member's real keys are in this process.  After every lie
the honest members still commit, and the ledger holds exactly what was honestly submitted.
A node pauses a member after five faults within a minute, so the lies are spread over the
three; the last test spends what is left of one member's patience.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus import certs, wire
from consensus.pbft.messages import Commit, Prepare, PrePrepare, Status
from consensus.types import Proposal
from node.blocksync import SyncBlock, SyncRequest, SyncResponse
from node.cli.cluster import Cluster
from node.gossip import encoding
from node.ledger import block as blocks
from node.ledger import transaction
from node.ledger.block import Header
from node.ledger.crypto import Signer
from node.ledger.genesis import Parameters
from node.ledger.transaction import Op, Payload
from node.net.frame import FRAME_BYTES_MAX, FrameType, encode
from node.net.handshake import Hello
from node.supply import BodyRequest, BodyResponse
from tests.support.hostile import Hostile, Stranger, eventually, half_frame, metric

pytestmark = pytest.mark.cluster

LIAR = 3
HONEST = (0, 1, 2)
OPTIONS = {"headers": {"Content-Type": "application/json", "Prefer": "wait=20"}}


class Net:
    """The cluster and the ids of all that was honestly submitted to it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.honest: set[str] = set()

    def name(self, at: int) -> str:
        return self.cluster.members[at].id

    def commit(self, at: int) -> None:
        """Anchor a record through member ``at`` and wait until it is on the ledger."""
        body = {"commitment": os.urandom(32).hex(), "tag": os.urandom(16).hex(), "canon": 2}
        ops = {"ops": [{"kind": "record.anchor", "body": body}]}
        client = self.cluster.client(at, timeout_s=30)
        answer = client.request(
            "POST", "/v1/operations", body=json.dumps(ops).encode(), **OPTIONS
        ).json()
        self.honest.add(answer["tx_id"])
        assert answer["state"] == "committed"

    def ledger(self, at: int) -> set[str]:
        client, found = self.cluster.client(at), set()
        height = int(client.get("/v1/status")["height"])
        for number in range(1, height + 1):
            block = client.get(f"/v1/blocks/{number}")
            found |= {item["tx_id"] for item in block["transaction_ids"]}
        return found

    async def goes_on(self) -> None:
        """Each honest member commits, and nothing but honest transactions is on the ledger."""
        for at in HONEST:
            await asyncio.to_thread(self.commit, at)
        assert await asyncio.to_thread(self.ledger, HONEST[-1]) == self.honest

    def faults(self, at: int) -> float:
        return metric(self.cluster, at, "net_peer_faults_total", peer=self.name(LIAR))

    def refusals(self, at: int, code: str) -> float:
        return metric(self.cluster, at, "net_handshake_failures_total", code=code)

    async def blames(self, at: int, before: float) -> None:
        await eventually(lambda: self.faults(at) == before + 1, f"fault at {self.name(at)}")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    directory = tmp_path_factory.mktemp("hostile") / "net"
    with Cluster.create(directory, members=4, engine="pbft") as cluster:
        for at in HONEST:
            cluster.start(at)
        for at in HONEST:
            cluster.wait_ready(at)
        yield Net(cluster)


def anchor() -> Op:
    return Op("record.anchor", [os.urandom(32), os.urandom(16), 2, None, None, None])


def forged_transaction(liar: Hostile, org: str) -> bytes:
    """Return a well-formed transaction in the name of ``org`` whose signature is noise."""
    key = next(m.identity_key for m in liar.genesis.institutions if m.id == org)
    payload = Payload(liar.genesis.network, org, 1000, os.urandom(8), (anchor(),))
    return transaction.assemble(
        transaction.encode_payload(payload), [key], [os.urandom(32) + bytes(32)]
    )


# --- without keys ---------------------------------------------------------------------------


async def test_noise_before_any_proof_is_dropped_and_counted(net: Net) -> None:
    port = net.cluster.members[0].p2p_port

    def noise() -> None:
        with Stranger(port) as plain:
            plain.send(b"GET / HTTP/1.1\r\nHost: hospital\r\n\r\n" + os.urandom(4096))
            assert plain.ended()
        for raw in (os.urandom(64), encode(FrameType.CONSENSUS, b"before any proof")):
            with Stranger(port) as inside:
                inside.secure()
                inside.send(raw)
                assert inside.ended()

    plain, inside = net.refusals(0, "tls"), net.refusals(0, "malformed")
    await asyncio.to_thread(noise)
    await eventually(lambda: net.refusals(0, "tls") > plain, "TLS failure counted")
    await eventually(lambda: net.refusals(0, "malformed") >= inside + 2, "noise counted")
    await net.goes_on()


async def test_a_silent_stranger_holds_up_nobody_and_is_cut_off(net: Net) -> None:
    hello = wire.encode(Hello(1, bytes(32), net.name(LIAR), os.urandom(32), net.name(1)))
    before = net.refusals(1, "timeout")
    with Stranger(net.cluster.members[1].p2p_port) as silent:
        silent.secure()
        silent.send(half_frame(FrameType.HELLO, hello))
        await net.goes_on()  # while it is silent
        assert await asyncio.to_thread(silent.ended), "cut off after the handshake's time"
    await eventually(lambda: net.refusals(1, "timeout") > before, "timeout counted")


async def test_a_key_that_is_not_the_members_proves_nothing(net: Net) -> None:
    stranger = Signer(os.urandom(32))
    before = net.refusals(0, "bad-proof")
    async with Hostile(net.cluster, LIAR, signer=stranger.sign) as liar:
        await eventually(lambda: net.refusals(0, "bad-proof") > before, "bad proof counted")
        assert not liar.reaches(net.name(0))
        assert not liar.said, "nobody spoke to it"
    assert net.faults(0) == 0, "anybody can claim to be a member: nobody is blamed"
    await net.goes_on()


async def test_a_member_of_another_network_is_refused(net: Net) -> None:
    before = net.refusals(2, "wrong-network")
    async with Hostile(net.cluster, LIAR, network=os.urandom(32)) as liar:
        await eventually(lambda: net.refusals(2, "wrong-network") > before, "counted")
        assert not liar.said
    await net.goes_on()


# --- with a member's keys -------------------------------------------------------------------


async def test_frames_that_are_none_end_the_connection_and_count(net: Net) -> None:
    async with Hostile(net.cluster, LIAR) as liar:
        before = await asyncio.to_thread(net.faults, 0)
        oversized = (FRAME_BYTES_MAX + 1).to_bytes(4, "big")
        await liar.say_raw(net.name(0), oversized)
        await net.blames(0, before)
        before = await asyncio.to_thread(net.faults, 1)
        await liar.say(net.name(1), FrameType.CONSENSUS, os.urandom(300))
        await net.blames(1, before)
        await net.goes_on()


async def test_messages_with_bad_signatures_count_and_have_no_effect(net: Net) -> None:
    status = await asyncio.to_thread(net.cluster.client(0).get, "/v1/status")
    at = status["height"] + 1
    async with Hostile(net.cluster, LIAR) as liar:
        before = await asyncio.to_thread(net.faults, 0)
        noise = os.urandom(64)
        await liar.state(net.name(0), Commit(0, 0, at, os.urandom(32), liar.id, noise))
        await net.blames(0, before)
        # In another member's name: relayed messages count for their author, if he signed.
        before = await asyncio.to_thread(net.faults, 1)
        await liar.state(net.name(1), Prepare(0, 0, at, os.urandom(32), net.name(2), noise))
        await net.blames(1, before)
        refused = "consensus_dropped_total"
        for victim in (0, 1):
            dropped = metric(net.cluster, victim, refused, reason="bad-signature")
            assert dropped >= 1
        await net.goes_on()


async def test_forged_transactions_reach_no_block(net: Net) -> None:
    async with Hostile(net.cluster, LIAR) as liar:
        before = await asyncio.to_thread(net.faults, 2)
        raw = forged_transaction(liar, net.name(0))
        frame = encoding.encode_transactions([raw])
        await liar.say(net.name(2), FrameType.TRANSACTIONS, frame)
        await net.blames(2, before)
        elsewhere = Payload(os.urandom(32), liar.id, 1000, os.urandom(8), (anchor(),))
        signed = transaction.sign(elsewhere, liar.keys.identity)
        refused = metric(net.cluster, 0, "intake_refused_total")
        frame = encoding.encode_transactions([signed])
        await liar.say(net.name(0), FrameType.TRANSACTIONS, frame)
        await eventually(
            lambda: metric(net.cluster, 0, "intake_refused_total") == refused + 1,
            "a transaction of another network is refused",
        )
        await net.goes_on()


async def test_blocks_and_bodies_that_nobody_asked_for_are_ignored(net: Net) -> None:
    """They are no fault (an answer may be late) and they change nothing."""
    status = await asyncio.to_thread(net.cluster.client(0).get, "/v1/status")
    async with Hostile(net.cluster, LIAR) as liar:
        before = await asyncio.to_thread(net.faults, 0)
        raw = forged_transaction(liar, net.name(0))
        block = forged_block(liar, status["height"] + 1, [raw], parent=os.urandom(32))
        answer = SyncResponse(status["height"] + 1, (block,))
        await liar.say(net.name(0), FrameType.SYNC_RESPONSE, wire.encode(answer))
        body = BodyResponse(os.urandom(32), (raw,))
        await liar.say(net.name(0), FrameType.BODY_RESPONSE, wire.encode(body))
        await eventually(
            lambda: metric(net.cluster, 0, "net_frames_in_total", type="body_response") >= 1,
            "both frames are handled",
        )
        assert net.faults(0) == before
        await net.goes_on()


def forged_block(liar: Hostile, height: int, raws: list[bytes], *, parent: bytes) -> SyncBlock:
    """Return a block that fits together but whose certificate is noise."""
    ids = [transaction.txid_of(raw) for raw in raws]
    header = Header(
        blocks.VERSION,
        liar.genesis.network,
        0,
        height,
        parent,
        time.time_ns() // 1_000_000,
        liar.id,
        blocks.txids_root(ids),
    )
    encoded = header.encode()
    certificate = certs.CommitCert(
        0, 0, height, blocks.body_digest(encoded), b"\x07", tuple([os.urandom(64)] * 3)
    )
    return SyncBlock(encoded, wire.encode(certificate), blocks.encode_body(header, raws))


async def test_a_forged_answer_to_a_real_question_counts(net: Net) -> None:
    """It claims blocks that nobody has; who asks for them gets a forged one."""
    victim = net.name(2)
    status = await asyncio.to_thread(net.cluster.client(2).get, "/v1/status")

    def answer(peer: str, kind: FrameType, body: bytes) -> None:
        if kind is FrameType.SYNC_REQUEST and peer == victim:
            asked = wire.decode(SyncRequest, body, size_max=100)
            raw = forged_transaction(liar, victim)
            block = forged_block(liar, asked.lo, [raw], parent=os.urandom(32))
            response = SyncResponse(asked.lo, (block,))
            liar.peers.enqueue(peer, FrameType.SYNC_RESPONSE, wire.encode(response))

    liar = Hostile(net.cluster, LIAR, on_frame=answer)
    async with liar:
        before = await asyncio.to_thread(net.faults, 2)
        claim = Status(0, status["engine"]["round"], True, status["height"] + 1000)
        await liar.state(victim, claim)
        await net.blames(2, before)
        await net.goes_on()


async def test_floods_of_announcements_and_wishes_change_nothing(net: Net) -> None:
    async with Hostile(net.cluster, LIAR) as liar:
        for at in HONEST:
            await liar.reach(net.name(at))
        frames = 40
        for number in range(frames):
            ids = [os.urandom(32) for _ in range(encoding.INVENTORY_IDS_MAX)]
            kind = (FrameType.INVENTORY, FrameType.WANT)[number % 2]
            liar.peers.broadcast(kind, encoding.encode_ids(ids))
        await net.goes_on()  # while they work through it
        for at in HONEST:
            await eventually(
                lambda at=at: (
                    metric(net.cluster, at, "net_frames_in_total", type="want") >= frames // 2
                ),
                "the flood is read to its end",
            )
        answered = [kind for _, kind, _ in liar.said if kind is FrameType.TRANSACTIONS]
        wanted = sum(1 for _, kind, _ in liar.said if kind is FrameType.WANT)
        assert wanted <= frames // 2 * len(HONEST), "asking back is bounded by what it said"
        assert len(answered) <= len(net.honest), "nothing is served twice"
        await net.goes_on()


async def test_a_member_that_keeps_lying_is_paused_and_counted(net: Net) -> None:
    victim = net.name(2)
    async with Hostile(net.cluster, LIAR) as liar:
        while not await asyncio.to_thread(net.refusals, 2, "paused"):
            before = await asyncio.to_thread(net.faults, 2)
            assert before < 10, "it takes no more than five"
            await liar.say(victim, FrameType.CONSENSUS, os.urandom(40))
            await eventually(
                lambda before=before: net.faults(2) > before or net.refusals(2, "paused") > 0,
                "the lie is counted, or not even heard any more",
            )
        await eventually(lambda: net.refusals(2, "paused") >= 1, "its proof is refused now")
        spoken = await asyncio.to_thread(net.faults, 2)
        assert spoken >= 5
        assert liar.reaches(net.name(0)), "the others judge for themselves"
        await net.goes_on()
        assert not liar.reaches(victim)
        assert await asyncio.to_thread(net.faults, 2) == spoken


async def test_the_honest_ledgers_are_one_after_all_that(net: Net) -> None:
    await net.goes_on()
    heads = []
    status = await asyncio.to_thread(net.cluster.client(0).get, "/v1/status")
    for at in HONEST:
        client = net.cluster.client(at)
        await eventually(
            lambda client=client: client.get("/v1/status")["height"] >= status["height"],
            "every honest member applies the same height",
        )
        block = client.get(f"/v1/blocks/{status['height']}")
        heads.append((block["log_root"], block["state_root"]))
        assert net.ledger(at) == net.honest
    assert len(set(heads)) == 1


# --- a liar who leads -----------------------------------------------------------------------


async def test_a_primary_whose_block_holds_a_forgery_is_replaced(tmp_path: Path) -> None:
    """The first primary proposes a forged transaction and serves its body when asked."""
    parameters = Parameters(request_ms=600, view_change_ms=600)
    with Cluster.create(tmp_path / "net", members=4, params=parameters) as cluster:
        for at in (1, 2, 3):
            cluster.start(at)
        for at in (1, 2, 3):
            cluster.wait_ready(at)
        served: list[str] = []

        def answer(peer: str, kind: FrameType, body: bytes) -> None:
            if kind is FrameType.BODY_REQUEST:
                asked = wire.decode(BodyRequest, body, size_max=1000)
                response = BodyResponse(asked.digest, (raw,))
                liar.peers.enqueue(peer, FrameType.BODY_RESPONSE, wire.encode(response))
                served.append(peer)

        liar = Hostile(cluster, 0, on_frame=answer)
        raw = forged_transaction(liar, "hosp2")
        async with liar:
            message = signed_proposal(liar, raw)
            for victim in ("hosp2", "hosp3", "hosp4"):
                await liar.state(victim, message)
            await liar.until(lambda: len(set(served)) == 3)
            for at in (1, 2, 3):
                await eventually(
                    lambda at=at: (
                        metric(cluster, at, "net_peer_faults_total", peer="hosp1") >= 1
                    ),
                    "the forged body is the primary's fault",
                )
            network = Net(cluster)
            await asyncio.to_thread(network.commit, 1)
            status = await asyncio.to_thread(cluster.client(1).get, "/v1/status")
            assert status["engine"]["leader"] == "hosp2"
            assert network.ledger(1) == network.honest


def signed_proposal(liar: Hostile, raw: bytes) -> PrePrepare:
    """Return the liar's PrePrepare of view 0 for block 1 that holds ``raw``, truly signed."""
    network = liar.genesis.network
    block = forged_block(liar, 1, [raw], parent=network)
    digest = blocks.body_digest(block.header)
    proposal = Proposal(1, network, digest, block.header, transaction.txid_of(raw))
    content = certs.proposal_hash(proposal)
    signed = certs.prepare_bytes(network, epoch=0, view=0, height=1, content=content)
    return PrePrepare(0, 0, proposal, liar.id, liar.keys.consensus.sign(signed))
