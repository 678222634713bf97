"""The ledger's newest blocks by the ledger's own rules: a chain, certified, cosigned."""

from typing import Final

from consensus.codec import Malformed
from consensus.types import Proposal
from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene
from node.engines import dialects
from node.ledger import accel, checkpoint
from node.ledger import block as blocks
from node.ledger.checkpoint import CheckpointMalformed
from node.roster import StoredRules
from storage.errors import Corrupt

BLOCKS: Final = 32
UNCERTIFIED: Final = 64
_NONE: Final = "no block yet, it does not open, or the node runs"


def _top(scene: Scene) -> int:
    applied = None if scene.store is None else scene.store.applied()
    return 0 if applied is None else applied.height


def headers(scene: Scene) -> Said:
    store, top = scene.store, _top(scene)
    if store is None or not top or scene.genesis is None:
        return not_applicable(_NONE)
    low = max(1, top - BLOCKS + 1)
    above = store.block(low - 1)
    parent = scene.genesis.network if above is None else above.digest
    try:
        for stored in store.iter_blocks(low, top + 1):
            header = blocks.decode_header(stored.row.header)
            if (
                header.parent != parent
                or blocks.body_digest(stored.row.header) != stored.row.digest
            ):
                return failure(f"block {stored.row.height} does not follow the one before")
            parent = stored.row.digest
    except (Corrupt, ValueError) as damage:
        return failure(str(damage))
    return ok(f"blocks {low} to {top} are a chain")


def certificates(scene: Scene) -> Said:
    store, top, genesis = scene.store, _top(scene), scene.genesis
    if store is None or not top or genesis is None:
        return not_applicable(_NONE)
    spoken, known = dialects(genesis), StoredRules(genesis, store)
    low = max(1, top - BLOCKS + 1)
    try:
        for stored in store.iter_blocks(low, top + 1):
            row = stored.row
            rules = known.at(row.height)
            parent = blocks.decode_header(row.header).parent
            proposal = Proposal(row.height, parent, row.digest, row.header, row.txids)
            checks = spoken[rules.era.engine].certificate_checks(
                stored.certificate,
                proposal=proposal,
                committee=rules.committee,
                network=genesis.network,
            )
            if not all(accel.verify_batch([(c.key, c.message, c.signature) for c in checks])):
                return failure(f"the certificate of block {row.height} does not hold")
    except (Corrupt, Malformed, ValueError) as damage:
        return failure(str(damage))
    return ok(f"{top - low + 1} certificates hold")


def certified(scene: Scene) -> Said:
    store, top, genesis = scene.store, _top(scene), scene.genesis
    if store is None or not top or genesis is None:
        return not_applicable(_NONE)
    newest = store.latest_checkpoint()
    if newest is None:
        return warning(f"no tree head is certified, {top} blocks are applied")
    policy = StoredRules(genesis, store).at(newest[0]).policy
    try:
        signers = checkpoint.count_valid(newest[1], policy)
    except CheckpointMalformed as error:
        return failure(f"checkpoint {newest[0]}: {error}")
    if len(signers) < policy.quorum:
        return failure(f"checkpoint {newest[0]}: {len(signers)} of {policy.quorum} signers")
    short = top - newest[0]
    say = f"height {newest[0]} is certified, {short} blocks back"
    return warning(say) if short > UNCERTIFIED else ok(say)


def progress(scene: Scene) -> Said:
    if not scene.running:
        return not_applicable("the node is down")
    found = scene.causes("stuck-behind", "no-progress", "no-leader", "window-full")
    slow = scene.causes("catching-up", "cosignatures-missing")
    if found:
        return failure(str(found[0]["say"]))
    return warning(str(slow[0]["say"])) if slow else ok("it moves with the others")


CHECKS = (
    Check(
        "ledger.headers",
        "the newest blocks are a chain",
        headers,
        "`chartseal check` says more; fetch the ledger anew from the members",
    ),
    Check(
        "ledger.certificates",
        "enough members ordered each",
        certificates,
        "`chartseal check` says more; fetch the ledger anew from the members",
    ),
    Check(
        "ledger.certified",
        "tree heads are cosigned",
        certified,
        "bring back the members whose cosignatures are missing",
    ),
    Check(
        "ledger.progress", "this node moves with the others", progress, "see `chartseal why`"
    ),
)
