"""A bench for accesses on the pure rules: unsigned transactions, time in our hand, rows put in.

Signatures are verified at intake, not by the rules, so here they are left out: ``keys`` say
who signed.  Patients, licences and the network's policy are written into the state.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from consensus import wire
from node.ledger import execute, registry
from node.ledger.block import Header
from node.ledger.facts import consent_rows, people
from node.ledger.facts.access_rules import Verdict, verdict_at
from node.ledger.facts.accesses import AccessRow, access
from node.ledger.facts.consent_rows import Count, PolicyRow
from node.ledger.facts.people import PatientRow, PractitionerRow
from node.ledger.facts.records import LIVE, RecordRow, record_key
from node.ledger.frame import TxId
from node.ledger.genesis import Genesis
from node.ledger.state import genesis_state
from node.ledger.transaction import Op, Payload, Transaction
from tests.support.story import START_MS, founded, named, person

KINDS: Final = {item.body: kind for kind, item in registry.OPERATIONS.items()}
MEMBERS: Final = (
    "board:ethics",
    "east:author,custodian",
    "north:author,custodian",
    "payer:payer",
    "south:author,custodian",
    "watch:regulator",
)
FOUNDED: Final = founded(MEMBERS)
NETWORK: Final = FOUNDED.network
IDENTITY: Final = {item.id: item.identity_key for item in FOUNDED.institutions}
ANNA: Final = named("anna")
DOCTOR: Final = named("doctor")
FAR_MS: Final = START_MS + 50 * 365 * 86_400_000


def op(body: object) -> Op:
    """Return the operation with this body; its kind follows from the type."""
    return Op(KINDS[type(body)], wire.to_value(body))


def tx(org: str, *ops: Op, number: int, keys: Sequence[bytes] = ()) -> Transaction:
    """Return an unsigned transaction of ``org``, told apart by ``number``."""
    nonce = number.to_bytes(8, "big")
    payload = Payload(NETWORK, org, 90_000, nonce, tuple(ops))
    txid = TxId(hashlib.sha256(nonce + org.encode()).digest())
    return Transaction(b"", txid, payload, (IDENTITY[org], *keys))


def header(height: int, time_ms: int) -> Header:
    return Header(1, NETWORK, 0, height, bytes(32), time_ms, "north", bytes(32))


def patient(subject: bytes = ANNA, org: str = "north", status: str = "active") -> PatientRow:
    key = person("anna").public_key
    return PatientRow(subject, org, key, bytes(32), 2, status, (), 0, 1, 0, START_MS)


def licence(name: bytes = DOCTOR, until_ms: int = FAR_MS) -> PractitionerRow:
    return PractitionerRow(name, "south", "nurse", "active", 0, until_ms, 0)


def record(org: str = "north", status: str = LIVE) -> RecordRow:
    return RecordRow(org, bytes(32), 0, 0, status, 1, 2, bytes(16), None, None, None)


class Bench:
    """State and a clock.  ``do`` makes one block of one operation, a second later."""

    def __init__(self, genesis: Genesis = FOUNDED) -> None:
        self.state = genesis_state(genesis)
        self.height = 0
        self.time_ms = START_MS
        self._number = itertools.count()
        self.put(people.patient_key(ANNA), patient())
        self.put(people.practitioner_key(DOCTOR), licence())
        for name in ("scan", "letter", "result"):
            self.put(record_key(named(name)), record())
        self._policies = 0
        self.policy("all-normal", glass=())

    def put(self, key: bytes, row: object) -> None:
        self.state[key] = wire.encode(row)

    def policy(self, default: str, *, glass: Sequence[str]) -> None:
        """Let the network's implicit policy be this from the next block on."""
        row = PolicyRow(
            policy="net",
            version=self._policies + 1,
            kind="overarching",
            digest=bytes(32),
            default=default,
            glass=tuple(glass),
            org="watch",
            from_height=self.height,
            from_ms=self.time_ms,
        )
        self.put(consent_rows.implicit_row_key(self._policies), row)
        self._policies += 1
        self.put(consent_rows.IMPLICIT_KEY, Count(self._policies))

    def block(self, *transactions: Transaction, span_ms: int = 1000) -> list[str]:
        """Apply one block, ``span_ms`` after the last; return the result codes."""
        self.height += 1
        self.time_ms += span_ms
        done = execute.execute(
            header(self.height, self.time_ms),
            transactions,
            self.state.get,
            first_index=self.height * 1000,
        )
        self.take(done.writes)
        return [registry.result_of(code).code for code in done.codes]

    def take(self, writes: Mapping[bytes, bytes | None]) -> None:
        for key, value in writes.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value

    def do(self, org: str, *bodies: object, span_ms: int = 1000, key: str | None = None) -> str:
        """Apply one transaction of ``org``; return its result's code."""
        keys = () if key is None else (person(key).public_key,)
        ops = [op(body) for body in bodies]
        made = tx(org, *ops, number=next(self._number), keys=keys)
        return self.block(made, span_ms=span_ms)[0]

    def later(self, span_ms: int) -> None:
        self.block(span_ms=span_ms)

    def access(self, rid: bytes) -> AccessRow:
        row = access(self.state.get, rid)
        assert row is not None
        return row

    def verdict(self, rid: bytes, *, ahead_ms: int = 1000) -> Verdict:
        """Return what the consents will say at the next block."""
        return verdict_at(
            self.state.get,
            self.access(rid),
            time_ms=self.time_ms + ahead_ms,
            height=self.height + 1,
        )

    def ask(self, name: str, **params: Any) -> Any:
        question = registry.QUESTIONS[name]
        return question.ask(self, question.params(**params))

    # --- what questions read -----------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        return self.state.get(key)

    def scan(self, prefix: bytes, *, start: bytes = b"", limit: int) -> Any:
        raise AssertionError("provable questions never scan")
