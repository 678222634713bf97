"""The diagnosis: every rule asked once, what they say ranked.

Pure.  Ranking: the worst first; among equals the order of the table of causes, which puts what
explains others before what it explains; then the one that lasts longer.
"""

from node.why import rules_machine, rules_network, rules_order
from node.why.causes import RANK, Cause
from node.why.observation import Observation

CAUSES_MAX = 64
_RULES = (
    rules_machine.disk,
    rules_machine.process,
    rules_machine.clock,
    rules_machine.certificates,
    rules_machine.clients,
    rules_network.members,
    rules_network.behaviour,
    rules_order.standing,
    rules_order.progress,
    rules_order.certifying,
)


def diagnose(o: Observation) -> tuple[Cause, ...]:
    """Return why ``o`` is not as it should be, the first cause first; empty: all is well."""
    found = [item for rule in _RULES for item in rule(o)]
    found.sort(key=lambda item: (item.severity, RANK[item.id], item.since_ms or o.now_ms))
    return tuple(found[:CAUSES_MAX])
