"""The outbox that every rule of one PBFT member writes to.

Owns the effects asked for since the last drain, in the order they were asked for; it decides
nothing.  Invariant: a record that a message relies on is promised in the same drain.
"""

from consensus.effects import Contradiction, Decided, Effects, Envelope, Fetch, ReadReady
from consensus.types import Proposal, Put, Record


class Outbox:
    """Effects since the last drain, in the order they were asked for."""

    def __init__(self) -> None:
        self.token = 0
        self.records: list[Record] = []
        self.must_sync = False
        self.bodies: list[Proposal] = []
        self.send_now: list[Envelope] = []
        self.send_after: list[Envelope] = []
        self.deliver: list[Decided] = []
        self.fetch: list[Fetch] = []
        self.reads: list[ReadReady] = []
        self.evidence: list[Contradiction] = []

    def promise(self, *records: Put) -> None:
        """Write ``records`` and sync: a message of the same drain relies on them."""
        self.records.extend(records)
        self.must_sync = True

    def any(self) -> bool:
        return bool(
            self.records
            or self.bodies
            or self.send_now
            or self.send_after
            or self.deliver
            or self.fetch
            or self.reads
            or self.evidence
        )

    def drain(self) -> Effects:
        self.token += 1
        effects = Effects(
            self.token,
            tuple(self.records),
            self.must_sync,
            tuple(self.bodies),
            tuple(self.send_now),
            tuple(self.send_after),
            tuple(self.deliver),
            tuple(self.fetch),
            tuple(self.reads),
            tuple(self.evidence),
        )
        for part in (self.records, self.bodies, self.send_now, self.send_after):
            part.clear()
        self.deliver.clear()
        self.fetch.clear()
        self.reads.clear()
        self.evidence.clear()
        self.must_sync = False
        return effects
