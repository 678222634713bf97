"""What people and institutions may do next, drawn at random: honest, stale, and lying acts.

An act is made from the state *before* its block, as everybody does who prepares a
transaction; other acts of the block may come first and make it wrong.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from node.ledger.facts import people
from node.ledger.facts.accesses import items_digest
from node.ledger.facts.consent_rule import Rule, Scope
from node.ledger.facts.records import record_key
from node.ledger.families.access import FINDINGS, GLASS_REASONS, Decide, Glass, Request, Review
from node.ledger.families.access_release import Ack, Release
from node.ledger.families.consent import Amend, Grant, OptIn, OptOut, Revoke
from node.ledger.families.consent_law import Preempt, Publish, Unpreempt
from node.ledger.families.identity_practitioner import Status
from tests.interleavings.naive import Naive
from tests.support.accesses import ANNA, DOCTOR, Bench, patient, record
from tests.support.story import named, person

BEN = named("ben")
CUSTODIAN = {ANNA: "north", BEN: "east"}
KEYS = {ANNA: person("anna").public_key, BEN: person("ben").public_key}
RECORDS = {org: [named(f"{org}-record-{at}") for at in range(3)] for org in ("north", "east")}
HOUR_MS = 3_600_000
PURPOSES = ("ETREAT", "TREAT")
DEFAULTS = ("all-normal", "basic-normal", "break-glass-only", "deny")
GLASS = ((), ("primary",), ("primary", "rule"), ("primary", "rule", "secondary", "whole"))


@dataclass(frozen=True, slots=True)
class Act:
    """Who does what; ``key`` co-signs.  ``lie``: made to be refused.  ``says``: it changes
    what is permitted; at most one of those is put into a block."""

    org: str
    body: object
    key: bytes | None = None
    lie: bool = False
    says: bool = False


def founded() -> Bench:
    """Return a ledger with two patients, their records, and no policy yet."""
    bench = Bench()
    bench.put(people.patient_key(ANNA), patient(ANNA))
    row = patient(BEN, "east")
    bench.put(people.patient_key(BEN), type(row)(BEN, "east", KEYS[BEN], *_rest(row)))
    for org, commitments in RECORDS.items():
        for commitment in commitments:
            bench.put(record_key(commitment), record(org))
    return bench


def _rest(row: people.PatientRow) -> tuple[object, ...]:
    names = list(people.PatientRow.__slots__)
    return tuple(getattr(row, name) for name in names[3:])


class Acts:
    """Draws acts; ``naive`` knows what is there to act upon."""

    def __init__(self, rng: random.Random, bench: Bench, naive: Naive) -> None:
        self.rng, self.bench, self.naive = rng, bench, naive
        self._number = 0

    def _name(self, size: int) -> bytes:
        self._number += 1
        return self._number.to_bytes(size, "big")

    def _rule(self) -> Rule:
        rng = self.rng
        now_ms = self.bench.time_ms
        from_ms = until_ms = None
        if rng.random() < 0.4:
            until_ms = now_ms + rng.choice((1, 6, 30, 90)) * HOUR_MS
        if rng.random() < 0.1:
            from_ms = now_ms + rng.choice((0, 1, 5)) * HOUR_MS
            until_ms = from_ms + 20 * HOUR_MS
        scope = Scope(
            orgs=rng.choice(((), (), ("south",), ("payer",), ("east", "south"))),
            purposes=rng.choice(((), (), ("TREAT",), ("HPAYMT",), ("ETREAT", "TREAT"))),
            classes=rng.choice(((), (), (1,), (2,), (1, 2))),
            from_ms=from_ms,
            until_ms=until_ms,
        )
        return Rule(rng.random() < 0.65, scope)

    # --- what patients, regulators and the network say ---------------------------------------

    def grant(self) -> Act:
        subject = self.rng.choice((ANNA, ANNA, BEN))
        body = Grant(self._name(16), subject, self._rule())
        return Act(CUSTODIAN[subject], body, KEYS[subject], says=True)

    def amend(self) -> Act | None:
        cid = self._consent()
        if cid is None:
            return None
        version = self.rng.choice((1, 1, 1, 2, 3))
        body = Amend(cid, version, self._rule())
        return Act("south", body, KEYS[self.naive.consents[cid].subject], says=True)

    def revoke(self) -> Act | None:
        cid = self._consent()
        if cid is None:
            return None
        return Act("south", Revoke(cid), KEYS[self.naive.consents[cid].subject], says=True)

    def _consent(self) -> bytes | None:
        known = list(self.naive.consents)
        return self.rng.choice(known) if known else None

    def opt(self) -> Act:
        subject = self.rng.choice((ANNA, BEN))
        scope = self.rng.choice(("primary", "primary", "secondary", "whole"))
        out = (subject, scope) not in self.naive.outs
        body = OptOut(subject, scope) if out else OptIn(subject, scope)
        return Act("south", body, KEYS[subject], says=True)

    def policy(self) -> Act:
        default, glass = self.rng.choice(DEFAULTS), self.rng.choice(GLASS)
        return Act(
            "watch", Publish("policy", "overarching", bytes(32), default, glass), says=True
        )

    def law(self) -> Act:
        name = self.rng.choice(("law-a", "law-b"))
        if any(law == name for law, _, _ in self.naive.laws):
            return Act("watch", Unpreempt(name), says=True)
        purposes = self.rng.choice((("TREAT",), ("HPAYMT",), ("ETREAT",), ("HPAYMT", "TREAT")))
        return Act("watch", Preempt(name, self.rng.random() < 0.5, purposes), says=True)

    def licence(self) -> Act:
        """Suspend the one practitioner's licence, or give it back."""
        change = "suspend" if self.naive.licence else "resume"
        return Act("south", Status(DOCTOR, change))

    # --- accesses ----------------------------------------------------------------------------

    def request(self) -> Act:
        subject = self.rng.choice((ANNA, ANNA, BEN))
        org = self.rng.choice(("south", "south", "payer"))
        until_ms = None
        if self.rng.random() < 0.3:
            until_ms = self.bench.time_ms + self.rng.choice((2, 20, 80)) * HOUR_MS
        body = Request(
            rid=self._name(32),
            subject=subject,
            custodian=CUSTODIAN[subject],
            purpose="HPAYMT" if org == "payer" else self.rng.choice(PURPOSES),
            seal_key=bytes(32),
            data_class=self.rng.choice((None, 1, 2)),
            practitioner=DOCTOR if self.rng.random() < 0.3 else None,
            until_ms=until_ms,
        )
        return Act(org, body)

    def glass(self) -> Act:
        subject = self.rng.choice((ANNA, BEN))
        body = Glass(
            rid=self._name(32),
            subject=subject,
            custodian=CUSTODIAN[subject],
            reason=self.rng.choice(GLASS_REASONS),
            practitioner=DOCTOR,
            seal_key=bytes(32),
            data_class=self.rng.choice((None, 1, 2)),
        )
        return Act("south", body)

    def _rid(self, *statuses: str) -> bytes | None:
        known = [rid for rid, asked in self.naive.accesses.items() if asked.status in statuses]
        return self.rng.choice(known) if known else None

    def decide(self) -> Act | None:
        rid = self._rid("open")
        if rid is None:
            return None
        found = self.bench.verdict(rid)
        lie = self.rng.random() < 0.2
        body = Decide(
            rid=rid,
            permit=found.permit != lie,
            residual=found.residual,
            height=self.bench.height,
            basis=found.basis,
            basis_version=found.basis_version,
        )
        return Act(self.naive.accesses[rid].custodian, body, lie=lie)

    def release(self) -> Act | None:
        """Hand something over; often for an access whose permit may be gone by now."""
        statuses = ("permitted",) if self.rng.random() < 0.85 else ("open", "denied", "stopped")
        rid = self._rid(*statuses)
        if rid is None:
            return None
        custodian = self.naive.accesses[rid].custodian
        count = self.rng.choice((1, 1, 2))
        lie = self.rng.random() < 0.05
        store = RECORDS["east" if (custodian == "north") == lie else "north"]
        body = Release(
            rid=rid,
            commitments=tuple(self.rng.sample(store, count)),
            wraps=bytes(32),
            residual=self.bench.verdict(rid).residual,
        )
        return Act(custodian, body, lie=lie)

    def ack(self) -> Act | None:
        waiting = [
            (rid, asked, part)
            for rid, asked in self.naive.accesses.items()
            for part, acked in enumerate(asked.acked)
            if not acked
        ]
        if not waiting:
            return None
        rid, asked, part = self.rng.choice(waiting)
        outcome = "mismatch-missing"
        return Act(asked.requester, Ack(rid, part, items_digest(()), outcome))

    def review(self) -> Act | None:
        known = [
            rid
            for rid, asked in self.naive.accesses.items()
            if asked.glass and asked.finding is None
        ]
        if not known:
            return None
        rid = self.rng.choice(known)
        return Act("watch", Review(rid, self.rng.choice(FINDINGS)))

    def draw(self) -> Act | None:
        name = self.rng.choices(_NAMES, _WEIGHTS)[0]
        act: Callable[[], Act | None] = getattr(self, name)
        return act()


_SHARES = {
    "grant": 12,
    "amend": 5,
    "revoke": 6,
    "opt": 4,
    "policy": 4,
    "law": 2,
    "licence": 3,
    "request": 16,
    "glass": 5,
    "decide": 20,
    "release": 22,
    "ack": 8,
    "review": 4,
}
_NAMES = list(_SHARES)
_WEIGHTS = list(_SHARES.values())
