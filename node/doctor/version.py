"""Versions: of members against each other, and of the data on disk."""

from node.doctor.finding import Check, Said, failure, not_applicable, ok
from node.doctor.scene import Scene
from storage.errors import SchemaMismatch


def peers(scene: Scene) -> Said:
    if not scene.running:
        return not_applicable("the node is down")
    found = scene.causes("member-version", "version-here")
    return failure("; ".join(str(item["say"]) for item in found)) if found else ok("as ours")


def data(scene: Scene) -> Said:
    if scene.running:
        return ok("the node runs with it")
    if isinstance(scene.store_error, SchemaMismatch):
        return failure(str(scene.store_error))
    return ok("as ours") if scene.store is not None else not_applicable("no ledger that opens")


def upgrade(_scene: Scene) -> Said:
    return not_applicable("no upgrade is under way that this version knows of")


CHECKS = (
    Check("version.peers", "members speak our version", peers, "bring all to one version"),
    Check(
        "version.data",
        "the data are of our version",
        data,
        "install the version that made them, or migrate",
    ),
    Check("version.upgrade", "no upgrade waits for this node", upgrade, "nothing"),
)
