"""Are there enough members to order anything, and how many more may be lost."""

from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene
from node.roster import founding_rules


def _reached(scene: Scene) -> tuple[int, int, int] | None:
    """Return voters here, voters needed, voters in all; from TCP when the node is down."""
    if scene.why is not None:
        total, need = len(scene.why["voters"]), int(scene.why["quorum"])
        return total - len(scene.why["missing"]), need, total
    if scene.genesis is None:
        return None
    voters = [item.id for item in scene.genesis.validators]
    peers = scene.settings.peers
    there = [
        member
        for member in voters
        if member in peers
        and scene.machine.connects(peers[member].host, peers[member].port) is None
    ]
    return 1 + len(there), founding_rules(scene.genesis).policy.quorum, len(voters)


def reachable(scene: Scene) -> Said:
    found = _reached(scene)
    if found is None:
        return not_applicable("no genesis to count by")
    here, need, total = found
    how = "" if scene.running else ", counted by open ports, this node included"
    say = f"{here} of {total} voters are there, {need} are needed{how}"
    return failure(say) if here < need else ok(say)


def spare(scene: Scene) -> Said:
    found = _reached(scene)
    if found is None:
        return not_applicable("no genesis to count by")
    here, need, total = found
    if total == need:
        return not_applicable(f"all {total} voters are needed at any time")
    say = f"{max(0, here - need)} of {total - need} may be lost"
    return warning(say) if here <= need else ok(say)


def evidence(scene: Scene) -> Said:
    if not scene.running:
        return not_applicable("the node is down")
    found = scene.causes("member-equivocated", "member-lies")
    return failure("; ".join(str(item["say"]) for item in found)) if found else ok("none")


CHECKS = (
    Check(
        "quorum.reachable", "enough voters are there", reachable, "bring back missing members"
    ),
    Check("quorum.spare", "one more may be lost", spare, "bring back missing members"),
    Check(
        "quorum.evidence",
        "nobody contradicts itself or lies",
        evidence,
        "talk to that member; a vote can remove it",
    ),
)
