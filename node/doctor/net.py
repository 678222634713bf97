"""The way to the other members: names, TCP, and what the running node says of each."""

from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene

_HANDSHAKE = ("member-wrong-network", "member-version", "member-wrong-key", "member-address",
              "member-hangs-up", "wrong-network", "version-here")  # fmt: skip


def names(scene: Scene) -> Said:
    hosts = sorted({at.host for at in scene.settings.peers.values()})
    unknown = [host for host in hosts if not scene.machine.resolves(host)]
    if not hosts:
        return not_applicable("no other member has an address here")
    return failure(f"unknown: {', '.join(unknown)}") if unknown else ok(f"{len(hosts)} names")


def listen(scene: Scene) -> Said:
    at = scene.settings.p2p.listen
    if not scene.running:
        return not_applicable("the node is down")
    host = "127.0.0.1" if at.host in ("0.0.0.0", "::") else at.host  # noqa: S104
    why = scene.machine.connects(host, at.port)
    return failure(f"{at}: {why}") if why is not None else ok(f"{at} takes connections")


def reach(scene: Scene) -> Said:
    peers = scene.settings.peers
    if not peers:
        return not_applicable("no other member has an address here")
    lost = {
        member: why
        for member, at in sorted(peers.items())
        if (why := scene.machine.connects(at.host, at.port)) is not None
    }
    if not lost:
        return ok(f"TCP to all {len(peers)}")
    say = ", ".join(f"{member} ({why})" for member, why in lost.items())
    return failure(say) if 2 * len(lost) >= len(peers) else warning(say)


def handshake(scene: Scene) -> Said:
    if not scene.running:
        return not_applicable("the node is down: who is behind the ports is not known")
    found = scene.causes(*_HANDSHAKE)
    return (
        failure("; ".join(str(item["say"]) for item in found)) if found else ok("all prove it")
    )


def both_ways(scene: Scene) -> Said:
    if not scene.running:
        return not_applicable("the node is down")
    found = scene.causes("member-one-way")
    return failure("; ".join(str(item["say"]) for item in found)) if found else ok("both ways")


def speed(scene: Scene) -> Said:
    if not scene.running:
        return not_applicable("the node is down")
    found = scene.causes("slow-link", "frames-dropped")
    return (
        warning("; ".join(str(item["say"]) for item in found)) if found else ok("fast enough")
    )


def mtu(_scene: Scene) -> Said:
    return not_applicable("this version does not probe it: TCP finds it by itself")


CHECKS = (
    Check(
        "net.names",
        "members' host names are known",
        names,
        "correct [peers] or the name service",
    ),
    Check(
        "net.listen", "members can reach this node", listen, "see p2p.listen and the firewall"
    ),
    Check(
        "net.reach",
        "other members take connections",
        reach,
        "look at the members that are named, and at the way there",
    ),
    Check("net.handshake", "who answers there is the member", handshake, "see `chartseal why`"),
    Check(
        "net.both-ways",
        "members reach this node too",
        both_ways,
        "look at the firewall before p2p.listen, and at their [peers]",
    ),
    Check("net.speed", "answers come fast", speed, "look at the network between the two"),
    Check("net.mtu", "large packets pass", mtu, "nothing"),
)
