"""Write the golden proven answer: ``python tests/vectors/make_answer.py``.

A changed golden file is a changed format, and a changed format is a new version.
"""

from pathlib import Path

from node.ledger import answers, checkpoint, crypto, merkle, registry, smt
from node.ledger.answers import Answer, Row
from node.ledger.block import Seal, results_root
from node.ledger.questions.network import MembersParams
from node.ledger.state import genesis_state
from tests.vectors import make_formats, make_ledger

HERE = Path(__file__).parent
QUESTION = "network.members"


class _Facts:
    """A state in memory that remembers what was read."""

    height = 2
    time_ms = 1_767_225_600_500

    def __init__(self, state: dict[bytes, bytes]) -> None:
        self._state = state
        self.read: set[bytes] = set()

    def get(self, key: bytes) -> bytes | None:
        self.read.add(key)
        return self._state.get(key)

    def scan(self, prefix: bytes, *, start: bytes = b"", limit: int):
        raise AssertionError("the golden question reads by key")


def golden_answer() -> Answer:
    """Who belongs to the golden network, at height 2 of a log of two blocks."""
    state = genesis_state(make_formats.golden_genesis())
    pages: dict[bytes, bytes] = {}
    root, writes = smt.StateTree(pages.get).update(dict(state))
    pages.update({key: page for key, page in writes if page is not None})
    leaves = [crypto.sha256(b"leaf %d" % number) for number in range(3)]
    seal = Seal(
        height=_Facts.height,
        parent_seal=crypto.sha256(b"seal before"),
        body_digest=crypto.sha256(b"body"),
        time_ms=_Facts.time_ms,
        first_index=2,
        count=1,
        results_root=results_root([0]),
        state_height=_Facts.height,
        state_root=root,
        members_digest=crypto.sha256(b"members"),
    ).encode()
    leaves += [merkle.leaf_hash(seal), crypto.sha256(b"leaf 4")]
    head = checkpoint.Checkpoint(make_ledger.ORIGIN, len(leaves), merkle.root(leaves))
    facts, params = _Facts(state), MembersParams(0, 2)
    told = registry.QUESTIONS[QUESTION].ask(facts, params)
    tree = smt.StateTree(pages.get)
    return Answer(
        question=QUESTION,
        params=params,
        answer=told,
        height=_Facts.height,
        seal=seal,
        seal_path=tuple(merkle.inclusion_path(leaves, 3)),
        checkpoint=checkpoint.certify(
            head, make_ledger.cosignatures(head), make_ledger.policy()
        ),
        rows=tuple(Row(key, state.get(key), tree.prove(key)) for key in sorted(facts.read)),
    )


def files() -> dict[str, str]:
    """Return the golden file's name and text."""
    return {"answer.json": answers.to_json(golden_answer())}


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text)
