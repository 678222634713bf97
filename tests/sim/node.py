"""One simulated member: engine, driver and guard as in the daemon, on a disk that forgets.

Each turn runs in the daemon's order (write, sync, send, deliver) and may be cut short at any
of its steps.  Around it: the real mempool and gossip (``pool``) and what becomes of final
blocks (``chain``).
"""

import random
from typing import TYPE_CHECKING, Any

from consensus.driver import Driver, Released, Turn
from consensus.effects import Envelope, ProposeResult, Status
from consensus.guard import PREFIX, GuardRefused, SignGuard
from consensus.mark import NOTHING, Mark, compare
from consensus.mark import Standing as MarkStanding
from consensus.standing import Standing
from consensus.succession import Succession
from consensus.succession_dialect import InForce, SuccessionDialect
from consensus.types import Era, NodeId, Proposal
from tests.sim import ledger
from tests.sim.byzantine import Liar
from tests.sim.chain import Chain
from tests.sim.checks import Violation
from tests.sim.disk import from_records, put
from tests.sim.eras import Eras
from tests.sim.plan import MS
from tests.sim.pool import RECONNECT_US, Pool
from tests.sim.process import Process

if TYPE_CHECKING:
    from tests.sim.world import Packet, World

MESSAGE_BYTES_MAX = 1 << 20
INBOX_MAX = 4096
LEADING = ("leader", "primary")


class SimNode(Process):
    def __init__(self, world: "World", node: str, instance: int, liar: Liar | None) -> None:
        super().__init__(world, node, instance)
        self.liar = liar
        self.honest = liar is None
        self.wiped = False  # its disk was lost once: its promises may be broken
        self.lost = False  # and it never comes back
        slow = world.ids.index(node) % 2 == world.plan.seed % 2
        self.apply_us = world.plan.apply_us + world.plan.slow_ledger_us * slow
        self._mark: Mark = NOTHING
        self.inbox: list[tuple[str, str, Any]] = []
        if liar is not None:
            liar.node = self

    def forget(self) -> None:
        """Disk and mark are gone, as if somebody had set the member up with its old key."""
        self.disk.wipe()
        self._mark = NOTHING
        self.wiped = True

    # --- life -----------------------------------------------------------------------------

    def boot(self) -> None:
        """Start from what the disk holds; nothing else survives."""
        world = self.world
        self.start_clock()
        if self.disk.recover():
            world.count("torn-batch")
        self.inbox = []
        self._open: Turn | None = None
        self._led = -1
        self._turns_taken = 0
        self.stated_in = world.first_era.committee.epoch  # of what the turn under way says
        self._key: bytes | None = None  # with which it says so
        self.pool = Pool(self)
        self.chain = Chain(self)
        for proposal in self.chain.known.values():
            self.pool.have(ledger.txids_of(proposal))
        self._start_engine()
        if self.honest:
            world.judge.booted(self, self.chain.applied, self.status().round)
        self.after(0, self.pump)
        self.after(RECONNECT_US, self._connect)

    def _start_engine(self) -> None:
        world = self.world
        pairs = self.disk.pairs(b"e/")
        guard = SignGuard(pair for pair in pairs if pair[0].startswith(PREFIX))
        committee = self.chain.committee
        self.engine_epoch = committee.epoch
        state: dict[str, Any] = {
            "pairs": [pair for pair in pairs if not pair[0].startswith(PREFIX)],
            "applied": self.chain.applied,
            "rng": random.Random(f"{world.plan.seed}/{self.name}/{self.incarnation}"),
            "now_ms": self.now_ms(),
        }
        dialect = world.dialect
        if isinstance(world.flavour, Eras):
            in_force = InForce(self.chain.era)
            dialect = SuccessionDialect(in_force, founders=world.plan.founders)
            engine = world.flavour.succession(world, self, in_force, **state)
        else:
            engine = world.flavour.engine(world, self.id, committee, **state)
        self._take_mark(guard.mark)
        self.driver = Driver(
            engine,
            dialect,
            guard,
            marked=self,
            network=ledger.NETWORK,
            sign=self._sign,
        )
        self._since: int | None = None
        self.quorum = engine.status().quorum

    @property
    def sequence(self) -> int:
        """The mark that survives everything (``consensus.mark.Marked``)."""
        return self._mark.sequence

    def _take_mark(self, stored: Mark) -> None:
        """The mark beside the key must fit what the database remembers."""
        standing = compare(stored=stored, marked=self._mark)
        if standing is MarkStanding.ONE_SHORT:
            self.world.count("mark-one-short")
        elif standing is not MarkStanding.LEVEL:
            raise Violation("mark", f"{self.name}: {standing.name} of its database")
        self._mark = stored

    def _sign(self, message: bytes) -> bytes:
        if self._key is not None and isinstance(self.world.flavour, Eras):
            return self.world.keys.sign_as(self._key, message)
        return self.world.keys.sign(self.id, message)

    @property
    def lies(self) -> bool:
        """A liar lies where lies are expected: members of a Raft era trust one another."""
        return self.chain.era.engine == "pbft"

    def hint(self, peer: str, height: int) -> None:
        """Whoever cosigned the state after ``height`` has the blocks up to there."""
        engine = self.driver.engine
        if isinstance(engine, Succession):
            engine.hint(NodeId(peer), height)

    def enter_era(self, height: int, era: Era) -> None:
        """The block at ``height`` changed who orders, or who observes."""
        world, epoch = self.world, era.committee.epoch
        self.driver.applied(height, era)
        if epoch == self.engine_epoch:
            world.count("observers-change")
            return
        world.count("epoch-change")
        world.count(f"era {era.engine}")
        if world.judge.eras[-1].committee.epoch > epoch:
            world.count("left behind")
        world.tell(
            f"{self.name} enters epoch {epoch}: {era.engine} {' '.join(era.committee.ids)}"
        )
        self.engine_epoch, self._led = epoch, -1
        self.quorum = self.status().quorum

    def _connect(self) -> None:
        """The links to and from this process stand again."""
        for peer in self.world.nodes:
            if peer.up and peer.id != self.id:
                self.pool.linked(peer.id)
                peer.pool.linked(self.id)

    @property
    def observes(self) -> bool:
        """Not a member at present: it follows and has no say."""
        return self.id not in self.world.flavour.members(self)

    def status(self) -> Status:
        return self.driver.engine.status()

    # --- events ---------------------------------------------------------------------------

    def receive(self, sender: str, kind: str, payload: Any) -> None:
        if not self.up:
            return
        inbox = self.inbox
        if len(inbox) >= INBOX_MAX:
            raise Violation("bounded", f"{self.name}: inbox is full")
        inbox.append((sender, kind, payload))
        world = self.world
        if self.paused_until > world.now:
            return  # whoever paused it wakes it
        if world.plan.batch_us:
            if world.now + world.plan.batch_us < self._timer_due:
                self.wake_in(world.plan.batch_us)
        else:
            self.pump()

    def woken(self) -> None:
        self.pump()

    def pump(self) -> None:
        """Feed all that waits, offer a block, take turns, name the next deadline."""
        if self._open is not None and not self.world.plan.step_while_writing:
            return  # the end of the write looks again
        now_ms = self.now_ms()
        self._tell_work()
        self.driver.engine.tick(now_ms)
        if self.inbox:
            inbox, self.inbox = self.inbox, []
            for sender, kind, payload in inbox:
                self._input(sender, kind, payload)
        self.pool.tick(now_ms)
        self._tell_work()
        while True:
            self._offer()
            if not self._turns() or self._open is not None:
                break
        due_ms = self.pool.gossip_due_ms
        deadline = self.driver.engine.deadline_ms
        self.wake_at_ms(due_ms if deadline is None else min(deadline, due_ms))

    def _tell_work(self) -> None:
        """Tell the engine what waits, as the daemon does before every tick."""
        since = self.pool.mempool.oldest_ms
        if since != self._since:
            self._since = since
            self.driver.engine.work(since)

    def check(self) -> None:
        """What must hold of one node alone."""
        self.driver.engine.check_invariants()
        self.pool.check()
        self.chain.check()

    def _watch(self, status: Status) -> None:
        world = self.world
        if status.role == "leader":
            world.judge.leader(self, status.round)
        if status.role in LEADING and status.round != self._led:
            self._led = status.round
            world.enthroned(self, status.round)
        elif status.role == "candidate":
            world.faults.campaigning(self)

    # --- turns ----------------------------------------------------------------------------

    def _turns(self) -> bool:
        """Take turns until there is nothing to do or a write is under way; True if any."""
        taken, world = False, self.world
        while self._open is None:
            try:
                turn = self.driver.turn()
            except GuardRefused as error:
                if self.honest and not self.wiped:
                    raise Violation("guard", f"{self.name}: {error}") from error
                self.up = False  # a liar, or a member that forgot: it stops, as it must
                return taken
            if turn is None:
                return taken
            taken = True
            self.stated_in = self.chain.committee.epoch
            self._key = self.chain.committee.key(self.id)
            self._turns_taken += 1
            if self._turns_taken % world.plan.check_every == 0:
                self.check()
            self.crash_point("before it writes")
            for envelope in turn.send_now:
                self._transmit(envelope)
            for fetch in turn.fetch:
                self.chain.fetch(fetch)
            self._write(turn)
            if world.fingerprints:
                world.observe(self)
        return taken

    def _write(self, turn: Turn) -> None:
        operations = from_records(b"e/", turn.records)
        for proposal in turn.bodies:
            if any(txid not in self.pool.bodies for txid in ledger.txids_of(proposal)):
                raise Violation("body", f"{self.name} promises a body that it lacks")
            operations.append(put(b"b/" + proposal.digest, proposal))
        self._open = turn
        if not operations:
            self._durable(turn)
            return
        mark = self.write(operations)
        if turn.must_sync or turn.bodies:
            status = self.status()
            if self.honest:
                self._watch(status)
            at = (self.engine_epoch, status.round)
            self.after(self.world.sync_delay(), self._synced, turn, mark, at)
            self.crash_point("after writing, before the sync")
        else:
            self._durable(turn)

    def _synced(self, turn: Turn, mark: int, at: tuple[int, int]) -> None:
        self.sync(mark)
        if self.honest:
            self.world.judge.promised(self, at)
        self._durable(turn)
        self.pump()

    def _durable(self, turn: Turn) -> None:
        if self.honest and self.world.plan.member_changes:
            self.world.judge.changes(self)
        if turn.mark is not None:
            self.crash_point("after the sync, before the mark")
            self._mark = turn.mark
        self._open = None
        released: Released = self.driver.durable(turn)
        if released.send:
            self.crash_point("after the sync, before it sends")
        for envelope in released.send:
            if self.honest and type(envelope.message).__name__ == "Commit":
                self.world.judge.committed(self, envelope.message)
                self._away_with_what_it_knows()
            self._transmit(envelope)
            self.crash_point("between two sends")
            self._cut_point()
        for message in released.loopback:
            self.consider(self.id, message)
        for decided in released.deliver:
            self.chain.deliver(decided)
        for answer in released.reads:
            self.world.judge.answered(self, answer)
        for contradiction in released.evidence:
            self.world.judge.evidence(self, contradiction)
        self.chain.apply_more()

    def _away_with_what_it_knows(self) -> None:
        """Cut off when it has prepared a block and before anybody hears of it."""
        world, chance = self.world, self.world.plan.cut_commit
        if chance and world.faulty and world.random() < chance:
            world.faults.away(self)

    def _cut_point(self) -> None:
        world = self.world
        if world.cut_point and world.faulty and world.random() < world.cut_point:
            world.isolate(self)

    def _transmit(self, envelope: Envelope) -> None:
        world = self.world
        packet = world.packet(self, envelope.message)
        if len(packet.raw) > MESSAGE_BYTES_MAX:
            raise Violation("bounded", f"{self.name}: message of {len(packet.raw)} bytes")
        for node in world.ids if envelope.to is None else (envelope.to,):
            if node == self.id:
                continue
            if self.liar is None or not self.lies or isinstance(envelope.message, Standing):
                world.send(self, node, "engine", packet)
                continue
            for delay_us, bent in self.liar.bend(packet, node):
                world.send(self, node, "engine", bent, later_us=delay_us)

    def say(self, message: Any) -> None:
        """A liar's own words, to everybody, past its engine."""
        if not self.lies:
            return
        packet = self.world.packet(self, message)
        for node in self.world.ids:
            self.world.send(self, node, "engine", packet)

    # --- inputs ---------------------------------------------------------------------------

    def _input(self, sender: str, kind: str, payload: Any) -> None:
        if kind == "engine":
            self._engine_message(sender, payload)
        elif kind == "gossip":
            self.pool.on_frame(*payload)
        elif kind == "submit":
            self.pool.submit(payload)
        elif kind == "need":
            self.pool.serve(sender, payload)
        elif kind == "bodies":
            self.pool.bodies_came(payload)
        elif kind == "fetch":
            self.chain.serve(sender, *payload)
        elif kind == "blocks":
            self.chain.take(sender, payload)
        else:
            self.chain.cosigned(sender, *payload)

    def _engine_message(self, sender: str, packet: "Packet") -> None:
        message = self.world.admit(sender, packet, self.chain.era)
        if message is not None:
            if self.liar is not None and self.lies:
                self.liar.hear(packet)
            self.consider(sender, message)

    def consider(self, sender: str, message: Any) -> None:
        """Step ``message`` once the bodies of its proposals are here: our own messages, too,
        may propose again what we have only heard of."""
        world = self.world
        proposals = world.dialect.proposals(message)
        if not proposals:
            self.driver.engine.step(sender, message)  # type: ignore[arg-type]
            return
        missing = []
        for proposal in proposals:
            if not world.well_formed(proposal):
                world.refused(sender, "a proposal that is not well formed")
                return
            bodies = self.pool.bodies
            missing += [t for t in ledger.txids_of(proposal) if t not in bodies]
        if missing:
            self.pool.hold(sender, message, missing)
        else:
            self.bodies_complete(sender, message)

    def bodies_complete(self, sender: str, message: Any) -> None:
        """Step ``message`` unless a block in it breaks a ledger rule."""
        world = self.world
        fresh = world.dialect.is_fresh(message)
        proposals = world.dialect.proposals(message)
        for proposal in proposals:
            if ledger.epoch_of(proposal) != self.chain.committee.epoch:
                return  # of an epoch that is over, or not yet ours
            if self.chain.repeats(proposal):
                world.refused(sender, "a block that repeats a transaction")
                return
            if fresh and sender != self.id:
                ahead = ledger.header_time_ms(proposal) - self.wall_ms()
                if ahead > ledger.CLOCK_DRIFT_MS_MAX:
                    world.untimely(sender)
                    return
        for proposal in proposals:
            self.chain.known.setdefault(proposal.digest, proposal)
        self.driver.engine.step(sender, message)  # type: ignore[arg-type]

    def ask_read(self, token: int) -> None:
        """A client reads here: note what it may not miss, and ask the engine."""
        engine = self.driver.engine
        engine.tick(self.now_ms())
        floor = self.world.judge.acknowledged
        if engine.read(token):
            self.world.judge.asked(self, token, floor)
        self.pump()

    # --- proposing ------------------------------------------------------------------------

    def _offer(self) -> None:
        mempool, plan = self.pool.mempool, self.world.plan
        for _ in range(plan.window + 1):
            if not len(mempool):
                return
            engine = self.driver.engine
            want = engine.want()
            if want is None:
                return
            taken = self.chain.in_flight(want.height - 1, want.parent)
            if taken is None:
                raise Violation("want", f"{self.name} would build on a block it does not know")
            waiting = mempool.pending(len(taken) + plan.block_transactions_max + 64)
            txids: list[bytes] = [txid for txid in waiting if txid not in taken]
            if self.liar is not None and self.lies:
                txids = self.liar.choose(txids)
            proposal = self._build(want.height, want.parent, txids)
            if proposal is None:
                return
            if engine.propose(proposal) is not ProposeResult.ACCEPTED:
                return
            if self.world.story is not None:
                self.world.tell(f"{self.name} proposes {want.height}")

    def _build(self, height: int, parent: bytes, txids: list[bytes]) -> Proposal | None:
        txids = txids[: self.world.plan.block_transactions_max]
        if not txids:
            return None
        known = self.chain.known.get(parent)
        after = ledger.header_time_ms(known) + 1 if known is not None else 0
        proposal = ledger.build(
            height,
            parent,
            time_ms=max(after, self.wall_ms()),
            proposer=self.id,
            txids=txids,
            epoch=self.chain.committee.epoch,
            barrier=self.world.is_barrier(txids),
        )
        self.chain.known[proposal.digest] = proposal
        return proposal

    def pause(self, span_us: int) -> None:
        world = self.world
        self.paused_until = world.now + span_us
        world.tell(f"{self.name} stalls until {self.paused_until / (1000 * MS):.4f}")
        self.after(0, self.pump)  # which waits for the end of the pause
