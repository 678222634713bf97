"""Whether a snapshot that others offer may be believed.

Owns: the steps from what this node trusts (genesis, the chain of eras from it, and a checkpoint
that its operator pinned) to a manifest.  Refuses: everything that does not follow from these.
A quorum of keys that once were members' could certify a second past, when their owners are long
gone and the keys were lost: against that only a pin helps, see ``network.trusted_checkpoint``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from consensus.codec import Malformed
from consensus.engine import Dialect
from consensus.raft.records import decode_certificate
from consensus.types import Committee, Proposal
from node.errors import ChartsealError
from node.ledger import accel, frame, snapshot
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger import lineage as lineages
from node.ledger.checkpoint import Checkpoint, CheckpointMalformed
from node.ledger.genesis import Genesis
from node.ledger.lineage import LineageInvalid, LineageMalformed, Link
from node.ledger.snapshot import Contents, Evidence, Manifest, SnapshotRefused
from node.roster import Rules
from node.snapshot_load import Verified
from node.trust import quorum

BODY_BYTES_MAX: Final = 3 << 20  # the block parameter's bound is 2 MiB, whatever it is now


def pinned_checkpoint(path: Path | None) -> Checkpoint | None:
    """Return the checkpoint in the file that the operator pinned; its signatures, if any, do
    not matter: whoever wrote the setting vouches for it.  Raises ``ChartsealError``."""
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="ascii").split("\n")
        size, root = checkpoints.decode_decimal(lines[1]), checkpoints.decode_base64(lines[2])
    except (OSError, ValueError, IndexError, CheckpointMalformed) as error:
        raise ChartsealError("config-invalid", f"{path}: no checkpoint: {error}") from error
    if len(root) != 32:
        raise ChartsealError("config-invalid", f"{path}: no checkpoint: the root's length")
    return Checkpoint(lines[0], size, root)


class Trust:
    """``dialects``: what each engine's certificates say, by its name."""

    def __init__(
        self, genesis: Genesis, dialects: Mapping[str, Dialect], pinned: Checkpoint | None
    ) -> None:
        self._genesis = genesis
        self._dialects = dialects
        self.pinned = pinned

    def verify(self, directory: Path, manifest: Manifest, evidence: Evidence) -> Verified:
        """Return what may be loaded once its chunks are in ``directory``, verified one by one.

        Raises ``SnapshotRefused``.
        """
        genesis = self._genesis
        contents = snapshot.open_manifest(
            manifest, genesis.network, body_bytes_max=BODY_BYTES_MAX
        )
        if self.pinned is not None:
            self._check_pin(manifest, self.pinned)
        links = _links(evidence)
        rules = self._rules(manifest, links)
        if contents.header.epoch != rules.era.epoch:
            raise SnapshotRefused("a block of another era")
        snapshot.check_evidence(manifest, evidence, rules.policy)
        dialect = self._dialects[rules.era.engine]
        position = _position(
            manifest, contents, evidence, rules.committee, dialect, genesis.network
        )
        return Verified(directory, manifest, evidence, contents, position, links)

    def _rules(self, manifest: Manifest, links: tuple[Link, ...]) -> Rules:
        """Return the rules under which the manifest's checkpoint was certified."""
        genesis = self._genesis
        try:
            believed = lineages.Trust.of(genesis, quorum=quorum).extended(links)
        except (LineageInvalid, LineageMalformed) as error:
            raise SnapshotRefused(f"lineage: {error}") from error
        era = believed.step_at(manifest.log_size).era
        assert era is not None, "from genesis on every era is known by its row"
        return Rules.of(era, origin=genesis.origin, network=genesis.network)

    def _check_pin(self, manifest: Manifest, pinned: Checkpoint) -> None:
        if pinned.origin != self._genesis.origin:
            raise SnapshotRefused("the pinned checkpoint is another network's")
        if manifest.log_size < pinned.size:
            raise SnapshotRefused("older than the pinned checkpoint")


def _links(evidence: Evidence) -> tuple[Link, ...]:
    if not evidence.lineage:
        return ()
    try:
        return lineages.decode(evidence.lineage).links
    except LineageMalformed as error:
        raise SnapshotRefused(str(error)) from error


def _position(
    manifest: Manifest,
    contents: Contents,
    evidence: Evidence,
    committee: Committee,
    dialect: Dialect,
    network: bytes,
) -> int:
    """Return the engine's coordinate of the block, after its certificate was verified."""
    header = contents.header.encode()
    txids = b"".join(frame.txid_of(raw) for raw in contents.transactions)
    digest = blocks.body_digest(header)
    proposal = Proposal(manifest.height, contents.header.parent, digest, header, txids)
    try:
        checks = dialect.certificate_checks(
            evidence.certificate,
            proposal=proposal,
            committee=committee,
            network=network,
        )
        raft = dialect.name == "raft"
        position = decode_certificate(evidence.certificate)[1] if raft else manifest.height
    except (Malformed, ValueError) as error:
        raise SnapshotRefused(f"certificate: {error}") from error
    if not all(accel.verify_batch([(c.key, c.message, c.signature) for c in checks])):
        raise SnapshotRefused("the certificate does not prove the block")
    return position
