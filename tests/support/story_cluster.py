"""Stories on real nodes: every institution runs its daemon, asks and acts through its own API.

Ledger time is made to pass by moving the calendar of all processes (``calendar``); their timers
stay as they are.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from consensus import wire
from node.cli.client import Client
from node.cli.cluster import Cluster
from node.errors import ChartsealError
from node.http import codes
from node.ledger import transaction
from node.ledger.crypto import Signer
from node.ledger.families.record import Anchor
from node.ledger.genesis import Genesis
from node.ledger.registry import OPERATIONS
from node.ledger.transaction import Op, Payload
from tests.support.hostile import keys_of
from tests.support.story import APPLIED, Story, person

assert codes.CODES, "the ledger's results have codes here"
_BLOCK_MS: Final = 2_000  # a proposal may have been made just before
_LOOKS: Final = 20
_CALENDAR: Final = Path(__file__).parent / "calendar"
_WEEK_MS: Final = 7 * 86_400_000  # the first one began with 1970, on a Thursday
_JSON: Final = {"Content-Type": "application/json", "Prefer": "wait=20"}
_VOLATILE: Final = (
    (re.compile(r"(day -?\d+) \d\d:\d\d:\d\d"), r"\1"),
    (re.compile(r"\b[0-9a-f]{8}\.\.|\b[0-9a-f]{64}\b"), ".."),
    (re.compile(r"(\w*(?:height|number|index): )\d+"), r"\1#"),
    (re.compile(r"((?:left|late)_ms: )[1-9]\d*"), r"\1#"),
)


def stable(text: str) -> str:
    """Return a story without what differs from run to run: hours, digests, heights."""
    for pattern, replacement in _VOLATILE:
        text = pattern.sub(replacement, text)
    return text


class Processes:
    """A world of real node processes, one for each institution of the cast."""

    def __init__(self, directory: Path, engine: str) -> None:
        self._directory = directory
        self._engine = engine
        self._clock = directory / "calendar"
        self._ahead_ms = 0
        self.applied = ("", 0)
        self._cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        assert self._cluster is not None, "a story begins with its network"
        return self._cluster

    @property
    def time_ms(self) -> int:
        # The next block comes a second later in a story: here that is at once.
        return self._now_ms() - 1000

    def _now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._ahead_ms

    def _until_thursday_ms(self) -> int:
        return -self._now_ms() % _WEEK_MS

    @property
    def height(self) -> int:
        clients = [self.client(member.id) for member in self.cluster.members]
        return max(client.request("GET", "/v1/status").json()["height"] for client in clients)

    @property
    def network(self) -> bytes:
        return Genesis.decode(self.cluster.genesis_path.read_bytes()).network

    @property
    def start_ms(self) -> int:
        return self._start_ms

    @staticmethod
    def _status(client: Client) -> Any:
        return client.request("GET", "/v1/status").json()

    def found(self, genesis: Genesis) -> None:
        """Start the nodes of the cast, or go on with those that run.

        Every story begins at 00:00 UTC on a Thursday, as on the rules, so that what counts
        business days gives the same.
        """
        if self._cluster is not None:
            self.later(self._until_thursday_ms())
            self._start_ms = self._now_ms() // _WEEK_MS * _WEEK_MS
            return
        cast = [(item.id, item.roles) for item in genesis.institutions]
        cluster = Cluster.create(self._directory / "net", cast=cast, engine=self._engine)
        self._ahead_ms = self._until_thursday_ms()
        self._start_ms = self._now_ms() // _WEEK_MS * _WEEK_MS
        self._write_clock()
        with self._environment():
            cluster.up()
        self._cluster = cluster
        self._places = {item.id: at for at, item in enumerate(cluster.members)}

    @contextmanager
    def _environment(self) -> Iterator[None]:
        known = os.environ.get("PYTHONPATH")
        added = {
            "STORY_CALENDAR": str(self._clock),
            "STORY_TOGETHER": "1",
            "PYTHONPATH": f"{_CALENDAR}{os.pathsep}{known}" if known else str(_CALENDAR),
        }
        os.environ.update(added)
        try:
            yield
        finally:
            del os.environ["STORY_CALENDAR"], os.environ["STORY_TOGETHER"]
            os.environ.pop("PYTHONPATH") if known is None else os.environ.update(
                PYTHONPATH=known
            )

    def _write_clock(self) -> None:
        # In place: the processes look through a mapping of this very file.
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(self._ahead_ms.to_bytes(8, "big"))

    def client(self, org: str) -> Client:
        return self.cluster.client(self._places[org], timeout_s=30)

    def institution_key(self, org: str) -> Signer:
        """Return a member's own key, or the story's for an institution without a node."""
        if org not in self._places:
            return person(f"{org}/identity")
        return keys_of(self.cluster, self._places[org]).identity

    def later(self, span_ms: int) -> None:
        """Move every node's calendar and let one block see the new time."""
        self._ahead_ms += span_ms
        self._write_clock()
        author = next(
            item.id
            for item in Genesis.decode(self.cluster.genesis_path.read_bytes()).institutions
            if {"author", "custodian", "laboratory"} & set(item.roles)
        )
        passed_ms = time.time_ns() // 1_000_000 + self._ahead_ms - _BLOCK_MS
        for _ in range(_LOOKS):
            anchor = Anchor(secrets.token_bytes(32), secrets.token_bytes(16), 2)
            code = self.act(author, Op("record.anchor", wire.to_value(anchor)), ())
            assert code == "applied", code
            if self.client(author).get("/v1/status")["time_ms"] >= passed_ms:
                return
        raise AssertionError("the ledger's time does not follow the members' calendars")

    def act(
        self, org: str, op: Op, cosigners: Sequence[Signer], author: Signer | None = None
    ) -> str:
        body = wire.to_plain(wire.from_value(OPERATIONS[op.kind].body, op.body))
        ops = [{"kind": op.kind, "body": body}]
        client = self.client(org if org in self._places else self.cluster.members[0].id)
        if self.applied[0]:
            # This node may be a block behind the one that the last act went through.
            self._final(client, self.applied[0])
        try:
            if author is not None or org not in self._places:
                signers = [author or self.institution_key(org), *cosigners]
                answer = self._carried(client, org, op, signers)
            elif cosigners:
                answer = self._cosigned(client, ops, cosigners)
            else:
                answer = self._post(client, "/v1/operations", {"ops": ops})
        except ChartsealError as error:
            return error.code
        final = self._final(client, answer["tx_id"])
        if final["code"] == APPLIED:
            self.applied = (final["tx_id"], final["height"])
        return str(final["code"])

    @staticmethod
    def _carried(client: Client, org: str, op: Op, signers: Sequence[Signer]) -> Any:
        """Bring a transaction that no node signs: its institution has none, or another key."""
        status = Processes._status(client)
        payload = Payload(
            bytes.fromhex(status["network_digest"]),
            org,
            status["height"] + 1000,
            secrets.token_bytes(8),
            (op,),
        )
        raw = transaction.sign(payload, *signers)
        headers = {"Content-Type": "application/octet-stream", "Prefer": "wait=20"}
        path = "/v1/transactions"
        return client.request("POST", path, body=raw, headers=headers).json()

    def _cosigned(self, client: Client, ops: Any, cosigners: Sequence[Signer]) -> Any:
        keys = [item.public_key.hex() for item in cosigners]
        asked = self._post(client, "/v1/operations:prepare", {"ops": ops, "cosigners": keys})
        message = bytes.fromhex(asked["message"])
        rows = [
            {"key": item.public_key.hex(), "signature": item.sign(message).hex()}
            for item in cosigners
        ]
        body = {"payload": asked["payload"], "cosigners": rows}
        return self._post(client, "/v1/operations:cosigned", body)

    @staticmethod
    def _post(client: Client, path: str, body: Any) -> Any:
        return client.request(
            "POST", path, body=json.dumps(body).encode(), headers=_JSON
        ).json()

    @staticmethod
    def _final(client: Client, tx_id: str) -> Any:
        path = f"/v1/transactions/{tx_id}"
        for _ in range(3):
            status = client.request("GET", path, query={"wait": 20}).json()
            if status["state"] not in ("pending", "unknown"):
                return status
        raise AssertionError(f"{tx_id} has no outcome after a minute")

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        """Ask the last member, with everything that was final anywhere when it is asked."""
        client = self.client(self.cluster.members[-1].id)
        query = {key: _text(value) for key, value in params.items() if value is not None}
        query["consistency"] = "linearizable"
        for _ in range(20):
            try:
                return client.request("GET", f"/v1/ask/{name}", query=query).json()["answer"]
            except ChartsealError as error:
                if error.code != "read-unavailable":
                    raise
                time.sleep(0.5)  # the leader changes: ask again, as every client has to
        raise AssertionError(f"{name}: no leader to ask for ten seconds")

    def roots(self) -> set[tuple[int, str]]:
        """Return height and state root of every member, once all are at one height."""
        for _ in range(200):
            found = set()
            for member in self.cluster.members:
                status = self._status(self.client(member.id))
                found.add((status["height"], status["state_root"]))
            if len({height for height, _ in found}) == 1:
                return found
            time.sleep(0.05)
        return found

    def down(self) -> None:
        if self._cluster is not None:
            self._cluster.down()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def play(path: Path, world: Processes, *, salt: str) -> tuple[str, str]:
    """Return what the story file says and what real nodes said, both without the volatile."""
    story, wanted = Story(world, salt=salt), path.read_text(encoding="utf-8")
    blocks = []
    for block in wanted.strip("\n").split("\n\n"):
        asked = block.split("\n----", maxsplit=1)[0]
        lines = [line for line in asked.splitlines() if line and not line.startswith("#")]
        said = [answer for answer in map(story.line, lines) if answer]
        blocks.append("\n".join([asked, "----", *said]) if lines else asked)
    return stable(wanted.strip("\n")), stable("\n\n".join(blocks))
