"""Four real nodes through their HTTP interfaces, as clients and auditors use them."""

import base64
import hashlib
import http.client
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from node import tokens
from node.cli.client import Client, Event
from node.cli.cluster import Cluster
from node.cli.demo_proof import by_tlog_scales
from node.cli.layout import TOKENS_NAME
from node.errors import ChartsealError
from node.keys import NodeKeys
from node.ledger import receipt as receipts
from node.ledger import transaction
from node.ledger.checkpoint import Policy
from node.ledger.families.record import Amend, Anchor
from node.ledger.genesis import Genesis, Parameters
from node.ledger.transaction import Op, Payload
from tests.support.hostile import configure, genesis_of, keys_of

pytestmark = pytest.mark.cluster

JSON = "application/json"
OCTETS = "application/octet-stream"
NDJSON = "application/x-ndjson"
MEMBERS = 4
SEED = "seeded-" + secrets.token_hex(8)  # in content that must never reach a log


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Net:
    """The cluster, its keys, and what was put on its ledger."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.genesis: Genesis = genesis_of(cluster)
        self.keys: list[NodeKeys] = [keys_of(cluster, at) for at in range(MEMBERS)]
        self.secret_words: set[str] = {SEED, cluster.token}

    # --- content ---------------------------------------------------------------------------

    def anchor(self) -> Anchor:
        made = Anchor(os.urandom(32), os.urandom(16), 2)
        self.secret_words.add(made.tag.hex())
        return made

    def sign(self, *ops: Op, at: int = 0, expires_height: int = 10_000) -> bytes:
        payload = Payload(
            self.genesis.network,
            self.keys[at].node,
            expires_height,
            os.urandom(8),
            ops or (op_of(self.anchor()),),
        )
        return transaction.sign(payload, self.keys[at].identity)

    # --- requests --------------------------------------------------------------------------

    def ask(
        self,
        at: int,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        token: str | None = "admin",
        **headers: str,
    ) -> Answered:
        """Return whatever the node answers; ``headers`` have ``_`` for ``-``."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            text = self.cluster.token if token == "admin" else token
            sent["Authorization"] = f"Bearer {text}"
        port = self.cluster.members[at].api_port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answered(answer.status, named, answer.read())
        finally:
            connection.close()

    def post(self, at: int, raw: bytes, *, wait_s: int = 30) -> Answered:
        return self.ask(
            at,
            "POST",
            "/v1/transactions",
            body=raw,
            Content_Type=OCTETS,
            Prefer=f"wait={wait_s}",
        )

    def commit(self, at: int, *ops: Op) -> dict[str, Any]:
        answer = self.post(at, self.sign(*ops, at=at))
        assert answer.status == 201, answer.body
        found: dict[str, Any] = answer.json()
        return found

    def status(self, at: int, tx_id: str, *, wait_s: int = 0) -> dict[str, Any]:
        answer = self.ask(at, "GET", f"/v1/transactions/{tx_id}?wait={wait_s}")
        assert answer.status == 200
        found: dict[str, Any] = answer.json()
        return found

    def height(self, at: int) -> int:
        return int(self.cluster.client(at).get("/v1/status")["height"])

    def everywhere(self, tx_id: str) -> None:
        """Return once every node has applied the transaction."""
        for at in range(MEMBERS):
            assert self.status(at, tx_id, wait_s=30)["state"] == "committed"


def op_of(anchor: Anchor) -> Op:
    return Op("record.anchor", wire.to_value(anchor))


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    directory = tmp_path_factory.mktemp("interfaces") / "net"
    quick = Parameters(request_ms=700, view_change_ms=700)
    with Cluster.create(directory, members=MEMBERS, params=quick) as cluster:
        for at in range(MEMBERS):
            configure(cluster, at, 'level = "debug"', section="log")
        cluster.up()
        yield Net(cluster)


# --- submitting -----------------------------------------------------------------------------


def test_a_transaction_of_bytes_is_answered_once_it_is_on_the_ledger(net: Net) -> None:
    raw = net.sign(at=1)
    first = net.post(2, raw)  # any member takes it, whoever signed
    assert first.status == 201
    assert first.headers["preference-applied"] == "wait=30"
    status = first.json()
    assert status["tx_id"] == transaction.txid_of(raw).hex()
    assert (status["state"], status["code"]) == ("committed", "applied")
    again = net.post(2, raw)
    assert again.status == 200
    assert again.json()["height"] == status["height"]
    content = net.ask(2, "GET", first.headers["location"] + "/content", Accept=OCTETS)
    assert content.body == raw


def structured(net: Net, *, at: int) -> tuple[dict[str, Any], bytes]:
    """Return a transaction as JSON members, and its bytes."""
    anchor = net.anchor()
    raw = net.sign(op_of(anchor), at=at)
    parsed, frame = transaction.parse(raw), transaction.slice_frame(raw)
    document = {
        "version": 1,
        "network": parsed.payload.network.hex(),
        "org": parsed.payload.org,
        "expires_height": parsed.payload.expires_height,
        "nonce": parsed.payload.nonce.hex(),
        "ops": [{"kind": "record.anchor", "body": wire.to_plain(anchor)}],
        "signers": [
            {"key": key.hex(), "signature": signature.hex()}
            for key, signature in zip(frame.keys, frame.signatures, strict=True)
        ],
    }
    return document, raw


def test_a_transaction_of_json_members_becomes_the_signed_bytes(net: Net) -> None:
    document, raw = structured(net, at=3)
    options = {"Content_Type": JSON, "Prefer": "wait=30"}
    answer = net.ask(
        0, "POST", "/v1/transactions", body=json.dumps(document).encode(), **options
    )
    assert answer.status == 201, answer.body
    assert answer.json()["tx_id"] == transaction.txid_of(raw).hex()
    document["nonce"] = "00" * 8  # not what was signed
    changed = net.ask(
        0, "POST", "/v1/transactions", body=json.dumps(document).encode(), **options
    )
    assert (changed.status, changed.json()["code"]) == (403, "bad-signature")


def test_bad_lines_of_a_bulk_stream_leave_the_good_ones_alone(net: Net) -> None:
    document, first = structured(net, at=0)
    second = net.sign(at=1)
    lines = [
        json.dumps(document).encode(),
        b'{"name": "%s' % SEED.encode(),
        json.dumps({"transaction": base64.b64encode(second).decode()}).encode(),
        json.dumps(document).encode(),
        json.dumps({"transaction": base64.b64encode(second[:-3]).decode()}).encode(),
    ]
    answer = net.ask(
        1, "POST", "/v1/transactions:batch", body=b"\n".join(lines), Content_Type=NDJSON
    )
    assert answer.status == 200
    got = [json.loads(line) for line in answer.body.splitlines()]
    assert [item["line"] for item in got] == [1, 2, 3, 4, 5]
    assert [item.get("code", item["status"]) for item in got] == [
        "accepted",
        "json-syntax",
        "accepted",
        "known",
        "transaction-malformed",
    ]
    for raw in (first, second):
        net.everywhere(transaction.txid_of(raw).hex())


def test_binary_bulk_answers_each_frame_in_order(net: Net) -> None:
    raws = [net.sign(at=number % MEMBERS) for number in range(40)]
    raws[7] = raws[7][:-1] + bytes((raws[7][-1] ^ 1,))  # a signature that does not hold
    body = b"".join(len(raw).to_bytes(4, "big") + raw for raw in raws)
    answer = net.ask(2, "POST", "/v1/transactions:batch", body=body, Content_Type=OCTETS)
    got = [json.loads(line) for line in answer.body.splitlines()]
    assert [item["tx_id"] for item in got] == [transaction.txid_of(raw).hex() for raw in raws]
    assert [at for at, item in enumerate(got) if item["status"] != "accepted"] == [7]
    assert got[7]["code"] == "bad-signature"
    net.everywhere(got[-1]["tx_id"])
    assert net.status(3, got[7]["tx_id"])["state"] == "unknown"


# --- following ------------------------------------------------------------------------------


def test_what_a_rule_refused_is_rejected_with_its_place(net: Net) -> None:
    body = Amend(os.urandom(32), net.anchor(), "corrected")
    raw = net.sign(Op("record.amend", wire.to_value(body)))
    answer = net.post(0, raw)
    problem = answer.json()
    assert (answer.status, problem["code"]) == (404, "record-unknown")
    status = net.status(3, transaction.txid_of(raw).hex(), wait_s=30)
    assert (status["state"], status["code"]) == ("rejected", "record-unknown")
    assert status["height"] == problem["tx_height"]


def test_what_was_never_ordered_is_rejected_without_a_place(net: Net) -> None:
    raw = net.sign()
    raw = raw[:-1] + bytes((raw[-1] ^ 1,))
    assert net.post(0, raw).json()["code"] == "bad-signature"
    status = net.status(0, transaction.txid_of(raw).hex())
    assert (status["state"], status["height"]) == ("rejected", None)
    assert net.status(1, secrets.token_hex(32))["state"] == "unknown"


def test_without_a_quorum_it_is_pending_and_expires_when_blocks_pass(net: Net) -> None:
    cluster, others = net.cluster, range(1, MEMBERS)
    net.everywhere(net.commit(0)["tx_id"])
    for at in others:
        assert cluster.kill(at)
    next_height = net.height(0) + 1
    raw = net.sign(expires_height=next_height)
    answer = net.post(0, raw, wait_s=0)
    assert answer.status == 202
    tx_id = answer.json()["tx_id"]
    assert net.status(0, tx_id)["state"] == "pending"
    early = net.ask(0, "GET", f"/v1/transactions/{tx_id}/receipt")
    assert (early.status, early.json()["code"]) == (404, "receipt-pending")
    pid = cluster.pid(0)
    assert pid is not None
    # Held still, so that the others order blocks without ever hearing of it.
    os.kill(pid, signal.SIGSTOP)
    try:
        for at in others:
            cluster.start(at)
        for at in others:
            cluster.wait_ready(at)
        for _ in range(2):
            net.commit(1)
        assert net.status(1, tx_id)["state"] == "unknown"
    finally:
        os.kill(pid, signal.SIGCONT)
    status = net.status(0, tx_id, wait_s=30)
    assert (status["state"], status["code"]) == ("expired", "transaction-expired")
    late = net.post(1, raw)
    assert (late.status, late.json()["code"]) == (409, "transaction-expired")


# --- proofs and records ---------------------------------------------------------------------


def test_every_node_gives_receipts_that_verify_without_any_node(
    net: Net, tmp_path: Path
) -> None:
    tx_id = net.commit(1)["tx_id"]
    net.everywhere(tx_id)
    policy = Policy.from_text(net.cluster.policy_path.read_text())
    for at in range(MEMBERS):
        text = net.ask(
            at, "GET", f"/v1/transactions/{tx_id}/receipt?wait=30", Accept="text/plain"
        )
        assert text.status == 200, text.body
        receipt = receipts.from_text(text.body)
        proven = receipts.verify_receipt(receipt, policy)
        assert proven.code == 0
        assert transaction.txid_of(receipt.transaction).hex() == tx_id
        path = tmp_path / f"{at}.receipt"
        path.write_bytes(text.body)
        assert by_tlog_scales(path, net.cluster.policy_path) >= policy.quorum
        found = net.ask(
            at, "GET", f"/v1/transactions/{tx_id}/receipt", Accept=JSON
        ).body.decode()
        assert receipts.verify_receipt(receipts.from_json(found), policy).code == 0
        assert net.ask(at, "GET", "/v1/policy", token=None).body.decode() == policy.to_text()


def test_every_node_finds_records_by_commitment_and_by_tag(net: Net) -> None:
    anchor = net.anchor()
    corrected = Anchor(os.urandom(32), anchor.tag, 2)
    net.commit(2, op_of(anchor))
    body = Amend(anchor.commitment, corrected, "corrected")
    tx_id = net.commit(2, Op("record.amend", wire.to_value(body)))["tx_id"]
    net.everywhere(tx_id)
    for at in range(MEMBERS):
        client = net.cluster.client(at)
        old = client.get(f"/v1/records/{anchor.commitment.hex()}")
        assert (old["status"], old["successor"]) == ("amended", corrected.commitment.hex())
        new = client.get(f"/v1/records/{corrected.commitment.hex()}")
        assert (new["status"], new["version"]) == ("live", 2)
        assert new["occurrences"][-1]["tx_id"] == tx_id
        tagged = client.get("/v1/records", tag=anchor.tag.hex())["commitments"]
        assert tagged == [anchor.commitment.hex(), corrected.commitment.hex()]
        many = client.post("/v1/records:by-tags", {"tags": [anchor.tag.hex(), "00" * 16]})
        assert anchor.commitment.hex() in json.dumps(many)
        unknown = net.ask(at, "GET", f"/v1/records/{secrets.token_hex(32)}")
        assert (unknown.status, unknown.json()["code"]) == (404, "record-unknown")


# --- events ---------------------------------------------------------------------------------


class Reader(threading.Thread):
    """Follows one node's events from the first, across whatever happens to the node."""

    def __init__(self, net: Net, at: int) -> None:
        super().__init__(daemon=True)
        self._client: Client = net.cluster.client(at, timeout_s=5)
        self.seen: list[Event] = []
        self.losses = 0
        self._until: str | None = None
        self._moved = threading.Condition()

    def run(self) -> None:
        while not self._done():
            last = self.seen[-1].id if self.seen else None
            start: dict[str, str | int] = {} if last else {"from": "earliest"}
            try:
                for event in self._client.events("/v1/events", last_id=last, **start):
                    with self._moved:
                        if event.event != "goodbye":
                            self.seen.append(event)
                        self._moved.notify_all()
                    if self._done():
                        return
            except ChartsealError:
                self.losses += 1
                with self._moved:
                    self._moved.wait(0.1)  # between two attempts to connect

    def _done(self) -> bool:
        return self._until is not None and any(item.id == self._until for item in self.seen)

    def reaches(self, cursor: str, *, timeout_s: float = 30) -> None:
        with self._moved:
            assert self._moved.wait_for(
                lambda: any(item.id == cursor for item in self.seen), timeout_s
            ), f"{cursor} not among {len(self.seen)} events"

    def finish(self, cursor: str) -> None:
        self._until = cursor
        self.reaches(cursor)
        self.join(30)
        assert not self.is_alive()


def cursors(net: Net, at: int, top: int) -> list[str]:
    """Return the cursor of every event of the ledger up to height ``top``, in order."""
    found = []
    for height in range(1, top + 1):
        block = net.cluster.client(at).get(f"/v1/blocks/{height}")
        found += [f"{height}.{index}" for index in range(block["transactions"] + 1)]
    return found


def test_events_resume_across_a_kill_without_gaps_or_repeats(net: Net) -> None:
    victim, other = 3, 0
    reader = Reader(net, victim)
    reader.start()
    before = net.commit(other)
    reader.reaches(f"{before['height']}.1")
    assert net.cluster.kill(victim)
    for _ in range(3):
        net.commit(other)
    net.cluster.start(victim)
    net.cluster.wait_ready(victim)
    last = net.commit(other)
    reader.finish(f"{last['height']}.1")
    assert reader.losses >= 1, "the stream was cut"
    assert [item.id for item in reader.seen] == cursors(net, other, last["height"])
    told = [json.loads(item.data) for item in reader.seen]
    assert all(
        event["cursor"] == item.id for event, item in zip(told, reader.seen, strict=True)
    )
    assert told[-1]["tx_id"] == last["tx_id"]


# --- who may ask ----------------------------------------------------------------------------


def test_only_tokens_that_count_open_anything(net: Net) -> None:
    path = net.cluster.node_dir(0) / TOKENS_NAME
    known = list(tokens.read_file(path).values())
    now_ms = time.time_ns() // 1_000_000
    expired, expired_row = tokens.create(tokens.SCOPES, expires_ms=now_ms - 1)
    reader, reader_row = tokens.create(["member:read"], expires_ms=now_ms + 600_000)
    tokens.write_file(path, [*known, expired_row, reader_row])
    net.secret_words |= {expired, reader}
    deadline = time.monotonic() + 10
    while net.ask(0, "GET", "/v1/status", token=reader).status != 200:
        assert time.monotonic() < deadline, "a changed file counts within a second or two"
        time.sleep(0.1)
    name, _, secret = reader.rpartition("_")
    wrong = f"{name}_{hashlib.sha256(secret.encode()).hexdigest()}"
    for text in (None, wrong, expired, "no token at all"):
        answer = net.ask(0, "GET", "/v1/status", token=text)
        assert (answer.status, answer.json()["code"]) == (401, "unauthorized"), text
        assert answer.headers["www-authenticate"].startswith("Bearer")
    before = net.height(0)
    answer = net.ask(
        0, "POST", "/v1/transactions", body=net.sign(), token=reader, Content_Type=OCTETS
    )
    assert (answer.status, answer.json()["code"]) == (403, "forbidden")
    assert "tx:submit" in answer.json()["detail"]
    assert net.height(0) == before


# --- limits ---------------------------------------------------------------------------------


def test_tiny_limits_answer_429_and_503_with_a_time_to_come_back(tmp_path: Path) -> None:
    """One of two Raft members runs alone: what it takes stays in its pool."""
    burst = 8
    with Cluster.create(tmp_path / "net", members=2, engine="raft") as cluster:
        for line in (
            f"api_burst = {burst}",
            "api_requests_per_second = 1",
            "api_streams_max = 1",
            "mempool_transactions_max = 1",
        ):
            configure(cluster, 0, line, section="limits")
        cluster.start(0)
        cluster.wait_ready(0)
        small = Net.__new__(Net)
        small.cluster, small.genesis = cluster, genesis_of(cluster)
        small.keys, small.secret_words = [keys_of(cluster, at) for at in range(2)], set()
        taken = small.post(0, small.sign(), wait_s=0)
        assert taken.status == 202
        full = small.post(0, small.sign(), wait_s=0)
        assert (full.status, full.json()["code"]) == (503, "mempool-full")
        assert int(full.headers["retry-after"]) >= 1
        stream = http.client.HTTPConnection(
            "127.0.0.1", cluster.members[0].api_port, timeout=20
        )
        stream.request(
            "GET", "/v1/events", headers={"Authorization": f"Bearer {cluster.token}"}
        )
        assert stream.getresponse().readline() == b": connected\n"
        second = small.ask(0, "GET", "/v1/events")
        assert (second.status, second.json()["code"]) == (503, "overloaded")
        assert int(second.headers["retry-after"]) >= 1
        stream.close()
        statuses = []
        for _ in range(4 * burst):
            limited = small.ask(0, "GET", "/v1/status")
            statuses.append(limited.status)
            if limited.status == 429:
                break
        assert statuses[0] == 200
        assert limited.json()["code"] == "rate-limited"
        assert int(limited.headers["retry-after"]) >= 1
        assert cluster.alive(0)


# --- what nobody may read -------------------------------------------------------------------


def test_no_log_holds_content_tags_or_tokens(net: Net) -> None:
    assert len(net.secret_words) > 40, "the tests above seeded them"
    for at in range(MEMBERS):
        log = net.cluster.log_path(at).read_text()
        assert "node.start" in log, "this is the node's log"
        found = [word for word in net.secret_words if word in log]
        assert not found, f"{net.cluster.members[at].id} wrote {len(found)} secrets"
        assert "Traceback" not in log
