"""One simulated member: engine, driver and guard as in the daemon, on a disk that forgets.

Each turn runs in the daemon's order (write, sync, send, deliver) and may be cut short at any
of its steps.  What the daemon does in other rooms is here in small: a pool of transactions
with gossip, bodies that must be at hand before a proposal is stepped, one atomic batch per
applied block, and fetching of blocks that are final elsewhere.
"""

import random
from collections import deque
from typing import TYPE_CHECKING, Any

from consensus.codec import Malformed
from consensus.driver import Driver, Released, Turn
from consensus.effects import Decided, Envelope, Fetch, ProposeResult, Status
from consensus.guard import PREFIX, GuardRefused, SignGuard
from consensus.types import Applied, Proposal
from tests.sim import ledger
from tests.sim.byzantine import Liar
from tests.sim.checks import Violation
from tests.sim.disk import Disk, from_records, put
from tests.sim.plan import MS

if TYPE_CHECKING:
    from tests.sim.world import World

MESSAGE_BYTES_MAX = 1 << 20
INBOX_MAX = 4096
HELD_MAX = 256
HELD_US_MAX = 2_000_000
BODY_RETRY_US = 60_000
FETCH_BLOCKS_MAX = 32
FETCH_RETRY_US = 100_000
GOSSIP_US = 250_000
LEADING = ("leader", "primary")


class Crashed(Exception):
    """The process of ``node`` died here."""

    def __init__(self, node: "SimNode") -> None:
        super().__init__(node.name)
        self.node = node


class SimNode:
    """``instance`` tells the two twins of one Byzantine identity apart; honest nodes have 0."""

    def __init__(self, world: "World", node: str, instance: int, liar: Liar | None) -> None:
        self.world = world
        self.id = node
        self.instance = instance
        self.name = f"{node}#{instance}" if instance else node
        self.honest = liar is None
        self._liar = liar
        self.disk = Disk()
        self.incarnation = 0
        self.up = False
        self.paused_until = 0
        self.skew_ms = world.rng.randint(-world.plan.skew_ms, world.plan.skew_ms)
        self.executed = 0
        self.halted = False
        self._pump_at: int | None = None

    # --- life -----------------------------------------------------------------------------

    def boot(self) -> None:
        """Start from what the disk holds; nothing else survives."""
        world = self.world
        self.incarnation += 1
        rng = random.Random(f"{world.plan.seed}/{self.name}/{self.incarnation}")
        self._clock_base_us = world.now - rng.randint(0, 10_000) * MS
        self.up, self.paused_until = True, 0
        self.inbox: list[tuple[str, str, Any]] = []
        self._held: list[list[Any]] = []
        self._asked: set[bytes] = set()
        self._open: Turn | None = None
        self._pump_at = self._timer_at = None
        self._fetched_at = -FETCH_RETRY_US
        self._applying = False
        self._apply_queue: deque[Decided] = deque()
        self._load_ledger()
        pairs = self.disk.pairs(b"e/")
        guard = SignGuard(pair for pair in pairs if pair[0].startswith(PREFIX))
        applied = self.disk.live.get(b"a/applied", ledger.GENESIS)
        engine = world.flavour.engine(
            world,
            self.id,
            pairs=[pair for pair in pairs if not pair[0].startswith(PREFIX)],
            applied=applied,
            rng=rng,
            now_ms=self.now_ms(),
        )
        self.driver = Driver(
            engine,
            world.dialect,
            guard,
            network=ledger.NETWORK,
            sign=lambda message: world.keys.sign(self.id, message),
        )
        self._since: int | None = None
        self._led = -1
        if self.honest:
            world.judge.booted(self, applied, engine.status().round)
        self._after(0, self.pump)
        self._after(world.rng.randint(1, GOSSIP_US), self._gossip)

    def _load_ledger(self) -> None:
        applied: Applied = self.disk.live.get(b"a/applied", ledger.GENESIS)
        self.executed = self.delivered = applied.height
        self._tip_digest = applied.digest
        self.blocks: dict[int, tuple[Proposal, bytes]] = {}
        self.known: dict[bytes, Proposal] = {}
        self.bodies: dict[bytes, None] = {}
        self.committed: set[bytes] = set()
        self.pending: dict[bytes, int] = {}
        for _, proposal in self.disk.pairs(b"b/"):
            self._know(proposal)
        for key, block in self.disk.pairs(b"a/block/"):
            self.blocks[int.from_bytes(key, "big")] = block
            self.committed.update(ledger.txids_of(block[0]))

    def crash(self, *, power_loss: bool) -> None:
        self.up = False
        lost = self.disk.crash(self.world.rng, power_loss=power_loss)
        self.world.tell(f"{self.name} crashes, {lost} write(s) lost")

    def _crash_point(self, where: str) -> None:
        world = self.world
        if self.honest and world.faulty and world.rng.random() < world.plan.crash_point:
            world.tell(f"{self.name} dies {where}")
            raise Crashed(self)

    def now_ms(self) -> int:
        """The monotonic clock of this process."""
        return (self.world.now - self._clock_base_us) // MS

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + self.world.now // MS + self.skew_ms

    def status(self) -> Status:
        return self.driver.engine.status()

    # --- events ---------------------------------------------------------------------------

    def _after(self, delay_us: int, do: Any, *arguments: Any) -> None:
        self.world.at(delay_us, self._guarded, self.incarnation, do, arguments)

    def _guarded(self, incarnation: int, do: Any, arguments: tuple[Any, ...]) -> None:
        """Run ``do`` unless its process is gone; a paused process runs it when it wakes."""
        if not self.up or incarnation != self.incarnation:
            return
        if self.paused_until > self.world.now:
            delay = self.paused_until - self.world.now
            self.world.at(delay, self._guarded, incarnation, do, arguments)
            return
        do(*arguments)

    def receive(self, sender: str, kind: str, payload: Any) -> None:
        if not self.up or self.halted:
            return
        if len(self.inbox) >= INBOX_MAX:
            raise Violation("bounded", f"{self.name}: inbox is full")
        self.inbox.append((sender, kind, payload))
        self._wake(self.world.now + 50)

    def _wake(self, at_us: int) -> None:
        if self._pump_at is None or at_us < self._pump_at:
            self._pump_at = at_us
            self._after(at_us - self.world.now, self._pump_if_due, at_us)

    def _pump_if_due(self, at_us: int) -> None:
        if self._pump_at == at_us:
            self._pump_at = None
            self.pump()

    def pump(self) -> None:
        """Feed all that waits, offer a block, take turns, name the next deadline."""
        if self._open is not None and not self.world.plan.step_while_writing:
            return
        engine = self.driver.engine
        engine.tick(self.now_ms())
        inbox, self.inbox = self.inbox, []
        for sender, kind, payload in inbox:
            self._input(sender, kind, payload)
        self._tell_work()
        self._offer()
        engine.check_invariants()
        if self._turns():
            self._watch()
        deadline = engine.deadline_ms
        if deadline is not None:
            at = max(self._clock_base_us + deadline * MS, self.world.now + 100)
            self._wake(at)

    def _watch(self) -> None:
        if not self.honest:
            return
        status = self.status()
        if status.role == "leader":
            self.world.judge.leader(self, status.round)
        if status.role in LEADING and status.round > self._led:
            self._led = status.round
            self.world.enthroned(self)
        self.world.observe(self)

    # --- turns ----------------------------------------------------------------------------

    def _turns(self) -> bool:
        """Take turns until there is nothing to do or a write is under way; True if any."""
        taken = False
        while self._open is None:
            try:
                turn = self.driver.turn()
            except GuardRefused as error:
                raise Violation("guard", f"{self.name}: {error}") from error
            if turn is None:
                return taken
            taken = True
            self._crash_point("before it writes")
            for envelope in turn.send_now:
                self._transmit(envelope)
            for fetch in turn.fetch:
                self._fetch(fetch)
            self._crash_point("after early sends, before it writes")
            self._write(turn)
        return taken

    def _write(self, turn: Turn) -> None:
        operations = from_records(b"e/", turn.records)
        for proposal in turn.bodies:
            missing = [t for t in ledger.txids_of(proposal) if t not in self.bodies]
            if missing:
                raise Violation("body", f"{self.name} promises a body that it lacks")
            operations.append(put(b"b/" + proposal.digest, proposal))
        self._open = turn
        if not operations:
            self._durable(turn, None)
            return
        mark = self.disk.write(operations)
        if turn.must_sync or turn.bodies:
            round_now = self.status().round
            self._after(self.world.sync_delay(), self._synced, turn, mark, round_now)
            self._crash_point("after writing, before the sync")
        else:
            self._durable(turn, None)

    def _synced(self, turn: Turn, mark: int, round_now: int) -> None:
        if self.honest:
            self.world.judge.promised(self, round_now)
        self._durable(turn, mark)
        self.pump()

    def _durable(self, turn: Turn, mark: int | None) -> None:
        if mark is not None:
            self.disk.sync(mark)
        self._open = None
        released: Released = self.driver.durable(turn)
        self._crash_point("after the sync, before it sends")
        for envelope in released.send:
            self._transmit(envelope)
            self._crash_point("between two sends")
        for message in (*self._looped(turn.send_now), *released.loopback):
            self._consider(self.id, message)
        for decided in released.deliver:
            self._deliver(decided)
        self._apply_more()

    def _looped(self, envelopes: tuple[Envelope, ...]) -> list[Any]:
        return [envelope.message for envelope in envelopes if envelope.to is None]

    def _transmit(self, envelope: Envelope) -> None:
        world = self.world
        raw = world.dialect.encode(envelope.message)
        if len(raw) > MESSAGE_BYTES_MAX:
            raise Violation("bounded", f"{self.name}: message of {len(raw)} bytes")
        for node in world.committee.ids if envelope.to is None else (envelope.to,):
            if node == self.id:
                continue
            if self._liar is None:
                world.send(self, node, "engine", raw)
                continue
            for bent in self._liar.bend(envelope.message, raw):
                world.send(self, node, "engine", bent)

    # --- inputs ---------------------------------------------------------------------------

    def _input(self, sender: str, kind: str, payload: Any) -> None:
        if kind == "engine":
            self._engine_message(sender, payload)
        elif kind == "tx":
            self._learn(payload)
        elif kind == "need":
            have = [txid for txid in payload if txid in self.bodies]
            if have:
                self.world.send(self, sender, "tx", have)
        elif kind == "fetch":
            lo, hi = payload
            wanted = range(lo, min(hi, lo + FETCH_BLOCKS_MAX - 1) + 1)
            blocks = [self.blocks[height] for height in wanted if height in self.blocks]
            if blocks:
                self.world.send(self, sender, "blocks", blocks)
        else:
            self._take_blocks(payload)

    def _engine_message(self, sender: str, raw: bytes) -> None:
        world = self.world
        message = world.admit(sender, raw)
        if message is not None:
            self._consider(sender, message)

    def _consider(self, sender: str, message: Any) -> None:
        """Step ``message`` once the bodies of its proposals are here: our own messages, too,
        may propose again what we have only heard of."""
        world = self.world
        proposals = world.dialect.proposals(message)
        missing = []
        for proposal in proposals:
            if not ledger.well_formed(proposal):
                world.refused(sender, "a proposal that is not well formed")
                return
            missing += [t for t in ledger.txids_of(proposal) if t not in self.bodies]
        if missing:
            self._hold(sender, message, missing)
        else:
            self._step_valid(sender, message, proposals)

    def _hold(self, sender: str, message: Any, missing: list[bytes]) -> None:
        self._held = [item for item in self._held if item[0] > self.world.now][-HELD_MAX:]
        self._held.append(
            [self.world.now + HELD_US_MAX, sender, message, dict.fromkeys(missing)]
        )
        ask = [txid for txid in missing if txid not in self._asked]
        if ask:
            self._asked.update(ask)
            for node in self.world.committee.ids if sender == self.id else (sender,):
                self.world.send(self, node, "need", ask)
            self._after(BODY_RETRY_US, self._ask_again)

    def _ask_again(self) -> None:
        self._held = [item for item in self._held if item[0] > self.world.now]
        wanted = list(dict.fromkeys(txid for item in self._held for txid in item[3]))
        if not wanted:
            self._asked.clear()
            return
        for node in self.world.committee.ids:
            if node != self.id:
                self.world.send(self, node, "need", wanted)
        self._after(BODY_RETRY_US, self._ask_again)

    def _learn(self, txids: list[bytes]) -> None:
        now = self.now_ms()
        for txid in txids:
            if txid not in self.world.submitted:
                continue  # not a valid transaction: intake refuses it
            self.bodies[txid] = None
            if txid not in self.committed:
                self.pending.setdefault(txid, now)
            for item in self._held:
                item[3].pop(txid, None)
        ready = [item for item in self._held if not item[3]]
        if ready:
            self._held = [item for item in self._held if item[3]]
            for _, sender, message, _ in ready:
                self._step_valid(sender, message, self.world.dialect.proposals(message))

    def _step_valid(self, sender: str, message: Any, proposals: tuple[Proposal, ...]) -> None:
        """Step ``message`` unless a block in it breaks a ledger rule."""
        fresh = self.world.dialect.is_fresh(message)
        for proposal in proposals:
            if self._repeats(proposal):
                self.world.refused(sender, "a block that repeats a transaction")
                return
            ahead = ledger.header_time_ms(proposal) - self.wall_ms()
            if fresh and ahead > ledger.CLOCK_DRIFT_MS_MAX:
                self.world.refused(sender, "a block from the future")
                return
        for proposal in proposals:
            self.known.setdefault(proposal.digest, proposal)
        self._step(sender, message)

    def _step(self, sender: str, message: Any) -> None:
        self.driver.engine.step(sender, message)  # type: ignore[arg-type]

    def _repeats(self, proposal: Proposal) -> bool:
        if proposal.height <= self.delivered:
            return False
        earlier = self._in_flight(proposal.height - 1, proposal.parent)
        return earlier is not None and any(
            txid in earlier or txid in self.committed for txid in ledger.txids_of(proposal)
        )

    def _in_flight(self, height: int, digest: bytes) -> set[bytes] | None:
        """Return the transactions between our delivered tip and ``digest``.

        None when ``digest`` does not grow from our tip as far as we know: a block of a leader
        long gone may still be under way, and the engine is the one to refuse it.
        """
        seen: set[bytes] = set()
        while height > self.delivered:
            proposal = self.known.get(digest)
            if proposal is None:
                return None
            seen.update(ledger.txids_of(proposal))
            height, digest = height - 1, proposal.parent
        return seen if digest == self._tip_digest else None

    def _know(self, proposal: Proposal) -> None:
        self.known[proposal.digest] = proposal
        for txid in ledger.txids_of(proposal):
            self.bodies[txid] = None

    # --- proposing ------------------------------------------------------------------------

    def submit(self, txid: bytes) -> None:
        if self.up:
            self.receive(self.id, "tx", [txid])
            for node in self.world.committee.ids:
                if node != self.id:
                    self.world.send(self, node, "tx", [txid])

    def _gossip(self) -> None:
        """Tell one peer, now and then, all that waits here."""
        others = [node for node in self.world.committee.ids if node != self.id]
        if others and self.pending:
            self.world.send(self, self.world.rng.choice(others), "tx", list(self.pending))
        self._after(GOSSIP_US, self._gossip)

    def _tell_work(self) -> None:
        since = next(iter(self.pending.values()), None)
        if since != self._since:
            self._since = since
            self.driver.engine.work(since)

    def _offer(self) -> None:
        engine, plan = self.driver.engine, self.world.plan
        for _ in range(plan.window + 1):
            want = engine.want()
            if want is None or not self.pending:
                return
            taken = self._in_flight(want.height - 1, want.parent)
            if taken is None:
                raise Violation("want", f"{self.name} would build on a block it does not know")
            txids = [t for t in self.pending if t not in taken][: plan.block_transactions_max]
            if not txids:
                return
            parent = self.known.get(want.parent)
            after = ledger.header_time_ms(parent) + 1 if parent is not None else 0
            time_ms = max(after, self.wall_ms())
            proposal = ledger.build(
                want.height, want.parent, time_ms=time_ms, proposer=self.id, txids=txids
            )
            self.known[proposal.digest] = proposal
            if engine.propose(proposal) is not ProposeResult.ACCEPTED:
                return
            self.world.tell(f"{self.name} proposes {want.height}")

    # --- blocks ---------------------------------------------------------------------------

    def _deliver(self, decided: Decided) -> None:
        if self.honest:
            self.world.judge.deliver(self, decided)
            self.world.tell(f"{self.name} delivers {decided.proposal.height}")
        self.delivered = decided.proposal.height
        self._tip_digest = decided.proposal.digest
        self._know(decided.proposal)
        for txid in ledger.txids_of(decided.proposal):
            self.committed.add(txid)
            self.pending.pop(txid, None)
        self._apply_queue.append(decided)

    def _apply_more(self) -> None:
        if self._applying or not self._apply_queue:
            return
        self._applying = True
        if self.world.plan.apply_us == 0:
            self._apply()
        else:
            self._after(self.world.plan.apply_us, self._apply)

    def _apply(self) -> None:
        """Write each block, its certificate and the applied mark in one batch, then sync."""
        heights, mark = [], 0
        while self._apply_queue:
            decided = self._apply_queue.popleft()
            proposal = decided.proposal
            block = (proposal, decided.certificate)
            reached = Applied(proposal.height, proposal.digest, decided.position)
            mark = self.disk.write(
                [
                    put(b"b/" + proposal.digest, proposal),
                    put(b"a/block/" + proposal.height.to_bytes(8, "big"), block),
                    put(b"a/applied", reached),
                ]
            )
            self.blocks[proposal.height] = block
            heights.append(proposal.height)
        self._crash_point("while it applies")
        if self.world.plan.apply_us == 0:
            self._applied(heights, mark)
        else:
            self._after(self.world.sync_delay(), self._applied, heights, mark)

    def _applied(self, heights: list[int], mark: int) -> None:
        self.disk.sync(mark)
        self._applying = False
        for height in heights:
            self.executed = height
            if self.honest:
                self.world.judge.applied(self, height)
            self.driver.applied(height)
        self._wake(self.world.now)
        self._apply_more()

    def _fetch(self, fetch: Fetch) -> None:
        if self.world.now - self._fetched_at >= FETCH_RETRY_US:
            self._fetched_at = self.world.now
            self.world.send(self, fetch.peer, "fetch", (fetch.lo, fetch.hi))

    def _take_blocks(self, blocks: list[tuple[Proposal, bytes]]) -> None:
        world = self.world
        self._fetched_at = -FETCH_RETRY_US
        for proposal, certificate in blocks:
            if proposal.height <= self.delivered:
                continue
            try:
                checks = world.dialect.certificate_checks(
                    certificate,
                    proposal=proposal,
                    committee=world.committee,
                    network=ledger.NETWORK,
                )
            except Malformed:
                return
            if not all(world.keys.holds(check) for check in checks):
                return
            self._know(proposal)
            self.driver.engine.synced(proposal, certificate)
