"""A cluster made for measuring: real processes, TLS and synced LevelDB, with room for load.

Owns: what differs from an ordinary development cluster (no rate limit for the one caller that
is the load, more institutions that sign, keys that are there before, a member that is dead or
lies) and reading what its processes say of themselves.
Refuses: settings that would make it faster than what is delivered.
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from node.cli.cluster import Cluster
from node.errors import ChartsealError
from node.keys import NodeKeys
from node.ledger.genesis import Genesis
from node.publish import policy_of
from tests.bench import keyspace, machine, stats
from tests.bench.loads import Author
from tests.support.hostile import configure, genesis_of, keys_of

LIMITS: Final = (
    ("api_requests_per_second", 1_000_000),
    ("api_burst", 1_000_000),
    ("api_streams_max", 4096),
)
LEARN_S: Final = 600.0
LIAR_SCRIPT: Final = Path(__file__).with_name("liar.py")
SAMPLER_SCRIPT: Final = Path(__file__).with_name("sampled.py")


@dataclass(frozen=True, slots=True)
class Setup:
    """``signers``: institutions beyond the members that only sign; ``keys``: record keys in
    the state before the first transaction; ``fault``: liar (the first member lies when it
    leads) or nothing."""

    engine: str = "pbft"
    members: int = 4
    signers: int = 0
    keys: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What live nodes say at one moment; lists are in the order of ``Net.live``."""

    at_s: float
    metrics: list[dict[str, float]]
    cpu_s: list[float]
    rss_mb: list[float] = field(default_factory=list)
    own_mb: list[float] = field(default_factory=list)

    def applied(self) -> int:
        """Transactions that the slowest live node has applied since its start."""
        return int(
            min(stats.total(m, "chartseal_ledger_transactions_total") for m in self.metrics)
        )


class BenchCluster(Cluster):
    """A cluster of which some members run through a script: {index: [script, arguments]}."""

    scripts: dict[int, list[str]]

    def command(self, at: int) -> list[str]:
        plain = super().command(at)
        script = self.scripts.get(at)
        return plain if script is None else [plain[0], *script, *plain[3:]]


class Net:
    """Use as a context manager; nodes are started by ``up``."""

    def __init__(self, directory: Path, setup: Setup, *, sample: dict[int, Path] | None = None):
        self.setup = setup
        self.directory = directory
        created = BenchCluster.create(
            directory / "net", members=setup.members, engine=setup.engine
        )
        created.scripts = {}
        self.cluster: BenchCluster = created
        for at, path in (sample or {}).items():
            created.scripts[at] = [str(SAMPLER_SCRIPT), str(path)]
        if setup.fault == "liar":
            created.scripts[0] = [str(LIAR_SCRIPT)]
        for at in range(setup.members):
            for key, value in LIMITS:
                configure(created, at, f"{key} = {value}", section="limits")
        self.authors = self._founders(setup.signers)
        self.genesis = genesis_of(created)
        self.live: list[int] = list(range(setup.members))
        if setup.fault == "liar":
            self.live.remove(0)

    def _founders(self, signers: int) -> list[Author]:
        """Return who signs; beyond the members they are written into genesis here."""
        cluster = self.cluster
        members = [keys_of(cluster, at) for at in range(len(cluster.members))]
        authors = [Author(keys.node, keys.identity) for keys in members]
        if not signers:
            return authors
        genesis = genesis_of(cluster)
        model = genesis.institutions[0]
        more = []
        for at in range(signers):
            keys = NodeKeys.generate(f"clinic{at:05d}")
            public = keys.public
            more.append(
                replace(
                    model, id=keys.node, name=keys.node, roles=("author",), validator=False,
                    identity_key=public.identity, consensus_key=public.consensus,
                    cosigner_key=public.cosigner, encryption_key=public.encryption,
                )
            )  # fmt: skip
            authors.append(Author(keys.node, keys.identity))
        everyone = sorted((*genesis.institutions, *more), key=lambda item: item.id)
        larger: Genesis = replace(genesis, institutions=tuple(everyone))
        cluster.genesis_path.write_bytes(larger.encode())
        cluster.policy_path.write_text(policy_of(larger).to_text())
        return authors[len(members) :]

    # --- processes -------------------------------------------------------------------------

    def up(self) -> None:
        """Start every member that lives, and return when each is ready."""
        if self.setup.keys:
            keyspace.fill(self.cluster, self.genesis, self.setup.keys)
        starting = [*self.live, 0] if self.setup.fault == "liar" else self.live
        for at in starting:
            self.cluster.start(at)
        for at in starting:
            self.cluster.wait_ready(at, 120)
        if self.setup.keys:
            self._learned()

    def _learned(self) -> None:
        """Wait until members know what there is, as they do some time after each start."""
        deadline = time.monotonic() + LEARN_S
        while not all(self.page(at)["chartseal_store_keys_known"] for at in self.live):
            assert time.monotonic() < deadline, "keys are not learned"
            time.sleep(1)

    def bury(self, at: int) -> None:
        """End a member as a power cut would; it counts no longer."""
        self.cluster.kill(at)
        self.live.remove(at)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cluster.__exit__(kind, error, trace)

    @property
    def ports(self) -> list[int]:
        """Client ports of the live members."""
        return [self.cluster.members[at].api_port for at in self.live]

    def processes(self) -> list[psutil.Process]:
        found = []
        for at in self.live:
            pid = self.cluster.pid(at)
            if pid is None:
                name, tail = self.cluster.members[at].id, self.cluster.log_tail(at, 10)
                raise ChartsealError("process-failed", f"{name} ended\n{tail}")
            found.append(psutil.Process(pid))
        return found

    # --- what they say ---------------------------------------------------------------------

    def page(self, at: int) -> dict[str, float]:
        answer = self.cluster.ops_client(at, timeout_s=30).request("GET", "/metrics")
        return stats.parse_metrics(answer.body.decode())

    def snapshot(self) -> Snapshot:
        metrics = [self.page(at) for at in self.live]
        running = self.processes()
        memory = [machine.memory_mb(item) for item in running]
        return Snapshot(
            time.monotonic(),
            metrics,
            [machine.cpu_s(item) for item in running],
            [resident for resident, _ in memory],
            [own for _, own in memory],
        )

    def height(self) -> int:
        return int(self.page(self.live[0])["chartseal_ledger_height"])


def used(before: Snapshot, after: Snapshot, transactions: int) -> dict[str, float]:
    """Return what ``transactions`` between two snapshots cost, per node or in all.

    CPU and bytes are means over the live nodes; lag is that of the worst node.
    """
    moved = [stats.delta(a, b) for a, b in zip(after.metrics, before.metrics, strict=True)]
    nodes, count = len(moved), max(1, transactions)
    cpu = sum(after.cpu_s) - sum(before.cpu_s)
    blocks = max(1.0, max(stats.total(m, "chartseal_ledger_blocks_total") for m in moved))
    syncs = sum(stats.total(m, "chartseal_store_syncs_total") for m in moved)
    sent = sum(stats.total(m, "chartseal_net_bytes_out_total") for m in moved)
    figures = {
        "cpu_us_per_tx_node": cpu / count / nodes * 1e6,
        "tx_per_block": count / blocks,
        "syncs_per_block": syncs / nodes / blocks,
        "net_bytes_per_tx": sent / count,
        "rss_mb_max": max(after.rss_mb, default=0.0),
        "own_mb_max": max(after.own_mb, default=0.0),
    }
    lags = [_lag_ms(m) for m in moved]
    if lags and None not in lags:
        figures["loop_lag_p99_ms"] = max(item for item in lags if item is not None)
    return figures


def _lag_ms(moved: dict[str, float]) -> float | None:
    buckets = stats.buckets_of(moved, "chartseal_loop_lag_seconds")
    try:
        return stats.histogram_quantile(buckets, 0.99) * 1000
    except ValueError:
        return None


def describe(setup: Setup) -> dict[str, Any]:
    return {
        "engine": setup.engine,
        "members": setup.members,
        "signers": setup.signers or setup.members,
        "keys": setup.keys,
        "fault": setup.fault,
    }
