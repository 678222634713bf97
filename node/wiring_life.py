"""How life is wired to the rooms it looks after; the second half of ``node.wiring``.

Owns: these constructors' arguments.  Nothing here runs yet.
"""

import time

from node.certificates import ApiCertificates
from node.clock import Clock
from node.config import Config
from node.draining import Drain
from node.life import Life, Parts
from node.notify import Notifier
from node.queues import Rooms


def build_life(config: Config, rooms: Rooms) -> Life:
    """Return life and make the rest of the node go by it (clock, drain).

    Whoever has a service manager to tell sets ``notifier``.
    """
    service, peers = rooms.service, rooms.peers
    clock = Clock(
        wall_ns=time.time_ns,
        monotonic_ns=time.monotonic_ns,
        ahead_ms=peers.statistics.clock_ahead_ms,
        quorum=lambda: service.roster.now.policy.quorum,
        limit_ms=service.genesis.parameters.clock_drift_ms_max,
    )
    handover = service.handover
    assert handover is not None, "wired before"
    drain = Drain(
        waiting=service.mempool.ids,
        pending=service.mempool.__contains__,
        hand_over=handover.before_stop,
        patience_s=config.node.drain_seconds,
    )
    certificates = ApiCertificates(config)
    parts = Parts(service.disk, clock, certificates, drain, Notifier({}), rooms.queues)
    rooms.replica.wall_ms = rooms.replica.holding.wall_ms = clock.now_ms
    life = Life(parts, service=service, replica=rooms.replica)
    life.versions = lambda: peers.statistics.spoken
    return life
