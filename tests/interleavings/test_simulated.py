"""The same rules under both engines: whole simulated clusters order consents and accesses.

The simulator brings its faults (lost messages, crashes, partitions, liars under PBFT); the
transactions are acts of this folder, signed; every member executes every block for itself.
The simulator's judge compares the members' states at each height; here each block is judged
by the naive model as well: no applied release without a permit that lives at its block.
"""

import copy
import hashlib
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from consensus.types import Proposal
from node.ledger import execute, registry, transaction
from node.ledger.block import Header
from node.ledger.facts.access_rules import residual_digest
from node.ledger.facts.consent_rule import Rule, Scope
from node.ledger.facts.consent_terms import Decision
from node.ledger.families.access import Decide, Glass, Request, Review
from node.ledger.families.access_release import Ack, Release
from node.ledger.families.consent import Grant, Revoke
from node.ledger.families.consent_law import Publish
from node.ledger.transaction import Payload, Transaction
from tests.interleavings import play
from tests.interleavings.acts import ANNA, KEYS, RECORDS, Act, Status
from tests.interleavings.naive import Naive
from tests.sim import ledger
from tests.sim.plan import draw
from tests.sim.world import World
from tests.support.accesses import DOCTOR, op
from tests.support.story import named, person

pytestmark = pytest.mark.sim
ENGINES = ("raft", "pbft")
SEEDS = 30
MUST_COME = (
    "Decide access-decision-disagrees",
    "Decide applied",
    "Glass applied",
    "Release access-not-permitted",
    "Release access-permit-gone",
    "Release applied",
    "Revoke applied",
)
RIDS = [named(f"rid-{at}") for at in range(4)]
CIDS = [named(f"cid-{at}", 16) for at in range(3)]
NOTHING_LEFT_OUT = residual_digest(Decision(True, ""))
PERMITS, DENIES = Rule(True, Scope(orgs=("south",))), Rule(False)


def _acts() -> list[Act]:
    """Return the acts to draw from, each of which may come again and in any order."""
    found = []
    for cid, rule in zip(CIDS, (PERMITS, DENIES, PERMITS), strict=True):
        found += [Act("north", Grant(cid, ANNA, rule), KEYS[ANNA])] * 2
        found.append(Act("north", Revoke(cid), KEYS[ANNA]))
    for at, rid in enumerate(RIDS):
        licence = DOCTOR if at == 1 else None
        asked = Request(rid, ANNA, "north", "TREAT", bytes(32), practitioner=licence)
        found += [Act("south", asked)] * 3
        found += [
            Act("north", Decide(rid, permit, NOTHING_LEFT_OUT, 0, basis, version))
            for permit, basis, version in (
                (True, CIDS[0], 1),
                (True, CIDS[2], 1),
                (False, CIDS[1], 1),
                (False, b"policy", 1),
            )
        ]
        store = tuple(RECORDS["north"])
        found += [Act("north", Release(rid, store, bytes(32), NOTHING_LEFT_OUT))] * 4
        found.append(Act("south", Ack(rid, 0, bytes(32), "mismatch-missing")))
    glass = Glass(named("glass"), ANNA, "north", "patient-unable", DOCTOR, bytes(32))
    found += [Act("south", glass), Act("watch", Review(glass.rid, "breach"))]
    found.append(Act("north", Release(glass.rid, store, bytes(32), NOTHING_LEFT_OUT)))
    found.append(Act("south", Status(DOCTOR, "suspend")))
    for default in ("deny", "break-glass-only"):
        policy = Publish("policy", "overarching", bytes(32), default, ("rule",))
        found.append(Act("watch", policy))
    return found


ACTS = _acts()
# The first ones come in this order from the clients; the engine may still turn them round.
FIRST = (
    Act("watch", Publish("policy", "overarching", bytes(32), "deny")),
    Act("north", Grant(CIDS[0], ANNA, PERMITS), KEYS[ANNA]),
    Act("south", Request(RIDS[0], ANNA, "north", "TREAT", bytes(32))),
    Act("north", Decide(RIDS[0], True, NOTHING_LEFT_OUT, 0, CIDS[0], 1)),
    Act("north", Release(RIDS[0], tuple(RECORDS["north"]), bytes(32), NOTHING_LEFT_OUT)),
    Act("north", Revoke(CIDS[0]), KEYS[ANNA]),
    Act("north", Release(RIDS[0], tuple(RECORDS["north"]), bytes(32), NOTHING_LEFT_OUT)),
)


class Replicas:
    """What members hold after each block, by state root; ``next_root`` is how they execute."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._made: list[Transaction] = []
        self._acts: dict[bytes, Act] = {}
        naive = Naive()
        naive.default = "all-normal"
        self._states: dict[bytes, tuple[dict[bytes, bytes], Naive]] = {
            ledger.NETWORK: (dict(play.START), naive)
        }
        self.counts: Counter[str] = Counter()

    def numbered(self, number: int) -> Transaction:
        """Return the ``number``-th transaction that clients bring."""
        while len(self._made) <= number:
            at = len(self._made)
            act = FIRST[at] if at < len(FIRST) else self._rng.choice(ACTS)
            payload = Payload(
                ledger.NETWORK, act.org, 90_000, at.to_bytes(8, "big"), (op(act.body),)
            )
            signers = [person(f"{act.org}/identity")]
            if act.key is not None:
                signers.append(person("anna"))
            made = transaction.parse(transaction.sign(payload, *signers))
            self._made.append(made)
            self._acts[made.txid] = act
        return self._made[number]

    def next_root(self, root: bytes, proposal: Proposal) -> bytes:
        """Execute a block on the state of ``root``: each member does, for itself."""
        state, naive = self._states[root]
        state, naive = dict(state), copy.deepcopy(naive)
        by_txid = {made.txid: made for made in self._made}
        txids = ledger.txids_of(proposal)
        time_ms = ledger.header_time_ms(proposal)
        at = Header(
            1,
            ledger.NETWORK,
            ledger.epoch_of(proposal),
            proposal.height,
            proposal.parent,
            time_ms,
            "m0",
            hashlib.sha256(proposal.txids).digest(),
        )
        transactions = [by_txid[txid] for txid in txids]
        first = proposal.height * 100
        done = execute.execute(at, transactions, state.get, first_index=first)
        play._take(state, done.writes)
        for txid, number in zip(txids, done.codes, strict=True):
            self._judge(naive, self._acts[txid], registry.RESULTS[number].code, time_ms)
        digest = hashlib.sha256(proposal.digest)
        for key in sorted(state):
            digest.update(len(key).to_bytes(2, "big") + key + state[key])
        new = digest.digest()
        self._states[new] = (state, naive)
        return new

    def _judge(self, naive: Naive, act: Act, code: str, now_ms: int) -> None:
        rid = getattr(act.body, "rid", None)
        starts = isinstance(act.body, Request | Glass)
        self.counts[f"{type(act.body).__name__} {code}"] += 1
        if starts and rid in naive.accesses:
            assert code in {"access-rid-taken", "access-practitioner-invalid"}
        elif not starts and rid is not None and rid not in naive.accesses:
            assert code == "access-unknown"
        elif isinstance(act.body, Ack) and not naive.accesses[act.body.rid].acked:
            assert code == "access-release-unknown"
        else:
            play._JUDGES[type(act.body)](naive, act, code, now_ms)


def simulate(seed: int, engine: str, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Play one seed of the simulator with our acts; its judge and ours raise."""
    replicas = Replicas(seed)
    monkeypatch.setattr(ledger, "numbered", replicas.numbered)
    monkeypatch.setattr(ledger, "next_root", replicas.next_root)
    drawn: Any = draw(seed, engine)
    World(replace(drawn, transactions=24)).run()
    return replicas.counts


@pytest.mark.parametrize("engine", ENGINES)
def test_clusters_agree_and_release_nothing_without_a_permit(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        counts += simulate(seed, engine, monkeypatch)
    for wanted in MUST_COME:
        assert counts[wanted] > 0, wanted
