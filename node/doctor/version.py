"""Versions: of members against each other, and of the data on disk."""

from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene
from node.ledger.facts.features import FEATURES, all_features
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


def upgrade(scene: Scene) -> Said:
    """Features that members decided: this software must know them before they begin."""
    if scene.store is None or (applied := scene.store.applied()) is None:
        return not_applicable("the node runs, or has no block yet: see `chartseal status`")
    decided = all_features(scene.store.state_get)
    unknown = [row for row in decided if row.name not in FEATURES]
    if unknown:
        names = ", ".join(f"{row.name} from height {row.from_height}" for row in unknown)
        late = any(row.from_height <= applied.height for row in unknown)
        say = f"this software does not know {names}"
        return failure(say) if late else warning(say)
    waiting = [row.name for row in decided if row.from_height > applied.height]
    return ok(f"known: {', '.join(waiting)}" if waiting else "none waits")


CHECKS = (
    Check("version.peers", "members speak our version", peers, "bring all to one version"),
    Check(
        "version.data",
        "the data are of our version",
        data,
        "install the version that made them, or migrate",
    ),
    Check(
        "version.upgrade",
        "no upgrade waits for this node",
        upgrade,
        "install a version that knows it, before that height",
    ),
)
