"""A clinic, a hospital, two payers and two regulators, with one plan in force.

``Bench`` acts in plain (JSON) fields and returns result codes; what is not given has a value
that works.  It is what the tests of the claim families stand on.
"""

from typing import Any

from consensus import wire
from node.ledger import registry
from node.ledger.facts import claims
from node.ledger.facts.claims import ClaimRow
from node.ledger.transaction import Op
from tests.support.story import Rules, founded, named, person

DAY_MS = 86_400_000
EXAM = {"code_class": "exam", "allowed": 8000, "percent_bp": None, "coinsurance_bp": 2000}
SCAN = {"code_class": "scan", "allowed": None, "percent_bp": 7000, "preauth": True}
CARE = {"code_class": "care", "allowed": 4500, "percent_bp": None, "units_max": 6}
TARIFFS = [CARE, EXAM, SCAN]
MEMBERS = [
    "clinic:author",
    "hospital:author",
    "insurer:payer",
    "mutual:payer",
    "regulator:regulator",
    "watchdog:regulator",
]


def line(name: str, code: str = "exam", units: int = 1, charge: int = 9000) -> dict[str, Any]:
    nullifier = named(f"nullifier/{name}").hex()
    return {"code_class": code, "units": units, "charge": charge, "nullifier": nullifier}


class Bench:
    def __init__(self, **table: Any) -> None:
        self.rules = Rules()
        self.rules.found(founded(MEMBERS))
        plan = {"plan": "basic", "version": 1, "currency": "EUR", "tariffs": TARIFFS}
        self.fine("insurer", "claim.rule.publish", **(plan | table))
        self.activate("basic", 1)
        self.fine("insurer", "claim.coverage.register", **self.coverage("cover"))
        self.fine("clinic", "record.anchor", **self.record("visit"))

    # --- acting ---------------------------------------------------------------------------

    def act(self, org: str, kind: str, *cosigners: str, **fields: Any) -> str:
        body = wire.from_plain(registry.OPERATIONS[kind].body, fields)
        signers = [person(name) for name in cosigners]
        return self.rules.act(org, Op(kind, wire.to_value(body)), signers)

    def fine(self, org: str, kind: str, *cosigners: str, **fields: Any) -> None:
        assert self.act(org, kind, *cosigners, **fields) == "applied"

    def ask(self, name: str, **fields: Any) -> Any:
        return self.rules.ask(name, fields)

    def later(self, days: int) -> None:
        self.rules.later(days * DAY_MS)

    def activate(self, plan: str, version: int, org: str = "insurer") -> None:
        height = self.rules.height + 2
        self.fine(org, "claim.rule.activate", plan=plan, version=version, from_height=height)

    # --- fields that work -----------------------------------------------------------------

    def record(self, name: str) -> dict[str, Any]:
        return {"commitment": named(name).hex(), "tag": named(name, 16).hex(), "canon": 2}

    def coverage(self, name: str, **changed: Any) -> dict[str, Any]:
        return {
            "coverage": named(name).hex(),
            "plan": "basic",
            "commitment": named("paper").hex(),
            "from_ms": self.rules.time_ms,
            "until_ms": self.rules.time_ms + 730 * DAY_MS,
            "member_key": person("anna").public_key.hex(),
        } | changed

    def claim(self, name: str, *lines: dict[str, Any], **changed: Any) -> dict[str, Any]:
        return {
            "claim": named(name).hex(),
            "coverage": named("cover").hex(),
            "period": 0,
            "lines": list(lines) or [line(name)],
            "anchors": [{"commitment": named("visit").hex()}],
            "detail": named("detail").hex(),
        } | changed

    def submit(self, name: str, *lines: dict[str, Any], **changed: Any) -> str:
        return self.act("clinic", "claim.submit", **self.claim(name, *lines, **changed))

    def shares(self, name: str, **denied: str) -> dict[str, Any]:
        """Return the body of the adjudication that the rules give; ``line2="not-covered"``
        denies the second line."""
        numbers = [int(key.removeprefix("line")) for key in denied]
        asked = {"claim": named(name).hex(), "denied": numbers, "reasons": [*denied.values()]}
        computed = self.rules.ask("claim.computed", asked)
        body = {
            key: computed[key] for key in ("version", "shares", "allowed", "patient", "pay")
        }
        return {"claim": named(name).hex()} | body

    def adjudicate(self, name: str, **denied: str) -> str:
        return self.act("insurer", "claim.adjudicate", **self.shares(name, **denied))

    def adjudicated(self, name: str, *lines: dict[str, Any], **denied: str) -> None:
        assert self.submit(name, *lines) == "applied"
        assert self.adjudicate(name, **denied) == "applied"

    def pend(self, name: str) -> str:
        needed = named("needed").hex()
        fields = {"reason": "documents", "needed": needed, "wait_ms": 10 * DAY_MS}
        return self.act("insurer", "claim.pend", claim=named(name).hex(), **fields)

    def inform(self, name: str) -> str:
        document = named("document").hex()
        return self.act("clinic", "claim.inform", claim=named(name).hex(), document=document)

    def appeal(
        self,
        name: str,
        *lines: int,
        by: str = "provider",
        cosigners: tuple[str, ...] = (),
        org: str = "clinic",
    ) -> str:
        fields = {"by": by, "lines": list(lines), "document": named("grounds").hex()}
        return self.act(org, "claim.appeal.open", *cosigners, claim=named(name).hex(), **fields)

    def decide(self, org: str, name: str, *overturned: int) -> str:
        fields = {"overturned": list(overturned), "document": named("reasons").hex()}
        return self.act(org, "claim.appeal.decide", claim=named(name).hex(), **fields)

    def pay(self, payment: str, amount: int, *names: str, **changed: Any) -> str:
        fields = {
            "payment": named(payment).hex(),
            "provider": "clinic",
            "currency": "EUR",
            "parts": [{"claim": named(name).hex(), "amount": amount} for name in names],
            "remittance": named("advice").hex(),
        }
        return self.act("insurer", "claim.pay", **(fields | changed))

    def recoup(self, name: str, amount: int, *cosigners: str, agreed: str = "clinic") -> str:
        fields = {"amount": amount, "reason": "overpaid", "agreed": agreed}
        document = named("finding").hex()
        claim = named(name).hex()
        return self.act(
            "insurer", "claim.recoup", *cosigners, claim=claim, document=document, **fields
        )

    def preauth(self, name: str = "preauth", units: int = 2, **changed: Any) -> str:
        """Ask for and be granted so many scans; the code of the answer."""
        handle = {"preauth": named(name).hex()}
        wanted = [{"code_class": "scan", "units": units}]
        self.fine("clinic", "claim.preauth.request", **handle, coverage=named("cover").hex(),
                  wanted=wanted, detail=named("detail").hex())  # fmt: skip
        until = self.rules.time_ms + 30 * DAY_MS
        granted = {"reason": "granted", "granted": wanted, "until_ms": until}
        return self.act("insurer", "claim.preauth.answer", **(handle | granted | changed))

    def row(self, name: str) -> ClaimRow:
        row = claims.claim_row(self.rules.get, named(name))
        assert row is not None
        return row
