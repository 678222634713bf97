"""What the demonstration proves once every node is down: with our verifier, and without us.

``by_chartseal`` runs the command an auditor would run, in an empty directory with an empty
environment.  ``by_tlog_scales`` hands the same receipt to a tool that others wrote: inclusion
by RFC 9162, cosignatures by C2SP, and the same again with one bit changed, which must fail.
"""

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

from node.errors import ChartsealError
from node.ledger import receipt as receipts
from node.ledger.checkpoint import Policy
from node.ledger.transaction import txid_of


def by_chartseal(receipt: Path, policy: Path, record: Path, opening: Path) -> str:
    """Return the verifier's last line; raises ``ChartsealError`` unless it says yes."""
    command = [sys.executable, "-m", "node", "receipt", "verify", str(receipt)]
    command += ["--policy", str(policy), "--record", str(record), "--opening", str(opening)]
    package_root = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(  # noqa: S603 - our own program, arguments of our own making
            command,
            cwd=empty,
            env={"PYTHONPATH": package_root, "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if done.returncode != 0:
        raise ChartsealError("verification-failed", done.stderr.strip() or done.stdout.strip())
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines else ""


def by_tlog_scales(receipt: Path, policy: Path) -> int:
    """Return how many members' cosignatures the tool accepted; raises ``ChartsealError``."""
    try:
        from tlog_scales.signing import Vkey, VkeySet
        from tlog_scales.tlog import Checkpoint, InclusionProof, InclusionProofInvalid
    except ImportError as error:
        hint = "install the extra: pip install 'chartseal[demo]'"
        raise ChartsealError("not-found", "the tool tlog-scales", hint=hint) from error
    trusted = Policy.from_text(policy.read_text())
    keys = VkeySet(*(Vkey.from_string(vkey.text()) for _, vkey in trusted.members))
    head, _, rest = receipt.read_text().partition("\n\n")
    lines = head.splitlines()
    index = int(next(line for line in lines if line.startswith("index "))[6:])
    start = next(at for at, line in enumerate(lines) if line.startswith("index ")) + 1
    path = [base64.b64decode(line) for line in lines[start:]]
    checkpoint = Checkpoint.from_text(rest)
    leaf = txid_of(receipts.from_text(receipt.read_bytes()).transaction)
    proof = InclusionProof(index, checkpoint.size, path)
    proof.check(leaf, checkpoint.root_hash)
    accepted = len({vkey.name for vkey, _ in keys.verify(checkpoint.signatures, checkpoint)})
    if accepted < trusted.quorum:
        raise ChartsealError("verification-failed", f"tlog-scales accepts {accepted} signers")
    forged = bytes((leaf[0] ^ 1,)) + leaf[1:]
    try:
        proof.check(forged, checkpoint.root_hash)
    except InclusionProofInvalid:
        return accepted
    raise ChartsealError("verification-failed", "tlog-scales accepts a forged leaf")
