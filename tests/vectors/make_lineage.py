"""Write the golden lineage: ``python tests/vectors/make_lineage.py``.

A changed golden file is a changed format, and a changed format is a new version.
"""

from dataclasses import replace
from pathlib import Path

from node.ledger import lineage
from node.ledger import receipt as receipts
from node.ledger.lineage import Lineage
from tests.support.eras import Eras, founded

HERE = Path(__file__).parent
FIVE = ("alder", "birch", "cedar", "dogwood", "elm")


def golden() -> Eras:
    """A network of two that becomes one of five, then changes its engine."""
    made = Eras(founded("raft", ("alder", "birch"), name="golden"))
    made.block(2)
    made.barrier(FIVE)
    made.barrier(FIVE, "pbft")
    made.block(1)
    return made


def files() -> dict[str, str]:
    """Return every golden file's name and text."""
    made = golden()
    told = Lineage(tuple(made.links))
    receipt = replace(made.receipt(4), lineage=told.links)
    return {
        "lineage.json": lineage.to_json(told),
        "lineage.hex": lineage.encode(told).hex() + "\n",
        "lineage-policy.json": made.policy(0).to_text(),
        "receipt-v2.tlog-proof": receipts.to_text(receipt).decode(),
        "receipt-v2.json": receipts.to_json(receipt),
    }


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text)
