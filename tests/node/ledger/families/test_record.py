"""Family record, told as a story in record.txt, and the rows that look-ups are made of."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consensus import wire
from node.ledger import registry
from node.ledger.facts import records
from node.ledger.facts.records import BatchRow, RecordRow
from node.ledger.families import record
from node.ledger.families.record import Amend, Anchor, ItemProof
from node.ledger.families.record_custody import Erase
from node.ledger.transaction import Op
from node.queries import Queries
from tests.support.ledger import (
    Chain,
    amend,
    anchor,
    batch,
    batch_root,
    digest,
    item_proof,
    retract,
)
from tests.support.script import run_script

ITEMS = ["a", "b", "c", "d", "e"]


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with Chain(tmp_path) as made:
        yield made


def apply(chain: Chain, *ops: Op, org: str = "alder") -> str:
    """Commit one transaction; return its result's code."""
    done = chain.commit(chain.tx(*ops, org=org))
    return registry.result_of(done.codes[0]).code


def row(chain: Chain, name: str) -> RecordRow | None:
    raw = chain.store.state_get(records.record_key(digest(name)))
    return None if raw is None else wire.decode(RecordRow, raw, size_max=1 << 16)


class Story:
    """The words of record.txt."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._batches: dict[str, list[str]] = {}

    def say(self, line: str) -> str:
        words = line.split()
        match words:
            case ["show", name]:
                return self._show(name)
            case [org, "batches", label, *names]:
                inline = names[-1] != "quietly"
                items = names if inline else names[:-1]
                self._batches[label] = items
                return apply(self._chain, batch(items, inline=inline), org=org)
            case [org, "anchors", name]:
                return apply(self._chain, anchor(name), org=org)
            case [org, "amends", name, "as", new, *rest]:
                return apply(
                    self._chain, amend(name, new, proof=self._proof(rest, name)), org=org
                )
            case [org, "retracts", name, *rest]:
                return apply(self._chain, retract(name, proof=self._proof(rest, name)), org=org)
            case _:
                raise AssertionError(f"no such command: {line}")

    def _proof(self, rest: list[str], name: str) -> ItemProof | None:
        """Read "from BATCH", with "forged" for a path that leads nowhere."""
        if not rest:
            return None
        names = self._batches[rest[1]]
        if name not in names:
            return replace(item_proof(names, names[0]), index=0)
        proof = item_proof(names, name)
        return replace(proof, path=proof.path[::-1]) if "forged" in rest else proof

    def _show(self, name: str) -> str:
        found = Queries(self._chain.store, self._chain.book).record(digest(name))
        if found is None:
            return f"{name}: not on the ledger"
        names = {digest(item): item for item in "abcdefgxyz"}
        places = " ".join(f"{item.kind}@{item.height}" for item in found.occurrences)
        after = "" if found.successor is None else f", then {names[found.successor]}"
        return f"{name}: {found.status}, version {found.version}{after}; {places}"


def test_the_story(chain: Chain) -> None:
    run_script(Path(__file__).with_name("record.txt"), Story(chain).say)


def test_an_anchor_is_found_by_commitment_and_by_tag(chain: Chain) -> None:
    tag = bytes(range(16))
    apply(chain, anchor("a", tag=tag), anchor("b", tag=tag))
    queries = Queries(chain.store, chain.book)
    assert queries.records_by_tag(tag) == [digest("a"), digest("b")]
    assert queries.records_by_tag(bytes(16)) == []
    found = queries.record(digest("b"))
    assert found is not None
    (place,) = found.occurrences
    assert (place.kind, place.leaf_index, place.op_index, place.org) == (
        "anchor",
        0,
        1,
        "alder",
    )
    kept = row(chain, "b")
    assert kept is not None
    assert (kept.tag, kept.txid, kept.height) == (tag, place.txid, 1)


def test_every_item_of_an_inline_batch_is_indexed_at_its_number(chain: Chain) -> None:
    assert apply(chain, anchor("x"), batch(ITEMS)) == "applied"
    queries = Queries(chain.store, chain.book)
    for number, name in enumerate(ITEMS):
        found = queries.record(digest(name))
        assert found is not None
        (place,) = found.occurrences
        assert (place.kind, place.op_index, place.item_index) == ("item", 1, number)
        assert row(chain, name) is None  # no state of its own before it changes
    raw = chain.store.state_get(records.batch_key(batch_root(ITEMS)))
    assert raw is not None
    assert wire.decode(BatchRow, raw, size_max=256).count == 5


def test_a_batch_without_leaves_is_provable_but_not_searchable(chain: Chain) -> None:
    assert apply(chain, batch(ITEMS, inline=False)) == "applied"
    assert Queries(chain.store, chain.book).record(digest("a")) is None
    assert apply(chain, retract("a", proof=item_proof(ITEMS, "a"))) == "applied"
    found = Queries(chain.store, chain.book).record(digest("a"))
    assert found is not None
    assert [item.kind for item in found.occurrences] == ["retract"]


def test_items_that_do_not_give_the_root_are_refused(chain: Chain) -> None:
    op = batch(ITEMS)
    for root, count, leaves in (
        (digest("root"), 5, op.body[2]),
        (op.body[0], 5, op.body[2][::-1]),
        (op.body[0], 4, op.body[2][32:]),
    ):
        code = apply(chain, Op("record.batch", [root, count, leaves]))
        assert code == "record-batch-mismatch"
    for body in ([op.body[0], 4, op.body[2]], [op.body[0], 0, b""], [b"", 1, b""]):
        assert apply(chain, Op("record.batch", body)) == "op-malformed"
    assert apply(chain, Op("record.batch", [op.body[0], (1 << 20) + 1, b""])) == "op-malformed"


def test_the_row_of_an_amended_item_names_its_batch(chain: Chain) -> None:
    apply(chain, batch(ITEMS))
    assert apply(chain, amend("c", "c2", proof=item_proof(ITEMS, "c"))) == "applied"
    raw = chain.store.state_get(records.item_key(batch_root(ITEMS), digest("c")))
    assert raw is not None
    old, new = wire.decode(RecordRow, raw, size_max=1 << 16), row(chain, "c2")
    assert new is not None
    assert (old.status, old.successor, old.batch_root) == (
        "amended",
        digest("c2"),
        batch_root(ITEMS),
    )
    assert (new.status, new.version, new.previous) == ("live", 2, digest("c"))


@pytest.mark.parametrize("change", ["index", "path", "root", "longer"])
def test_a_proof_of_something_else_is_refused(chain: Chain, change: str) -> None:
    apply(chain, batch(ITEMS))
    good = item_proof(ITEMS, "c")
    bad, code = {
        "index": (replace(good, index=1), "record-proof-invalid"),
        "path": (replace(good, path=good.path[:-1]), "record-proof-invalid"),
        "root": (replace(good, root=digest("elsewhere")), "record-unknown"),
        "longer": (replace(good, path=(*good.path, bytes(32))), "record-proof-invalid"),
    }[change]
    assert apply(chain, retract("c", proof=bad)) == code
    assert row(chain, "c") is None
    assert apply(chain, retract("c", proof=good)) == "applied"


@pytest.mark.parametrize("in_batch", [False, True])
def test_a_record_cannot_succeed_itself(chain: Chain, in_batch: bool) -> None:
    apply(chain, batch(ITEMS) if in_batch else anchor("a"))
    proof = item_proof(ITEMS, "a") if in_batch else None
    assert apply(chain, amend("a", "a", proof=proof)) == "record-exists"
    assert apply(chain, amend("a", "a2", proof=proof)) == "applied"


def test_a_new_version_may_not_take_a_commitment_that_stands(chain: Chain) -> None:
    apply(chain, anchor("a"), anchor("b"))
    assert apply(chain, amend("a", "b")) == "record-exists"
    kept = row(chain, "a")
    assert kept is not None
    assert (kept.status, kept.successor) == ("live", None)


def test_bodies_refuse_what_their_format_does_not_allow() -> None:
    made = Anchor(bytes(32), bytes(16), 2)
    with pytest.raises(ValueError, match="reason"):
        Amend(bytes(32), made, "because")
    with pytest.raises(ValueError, match="previous"):
        Amend(bytes(31), made, "corrected")
    with pytest.raises(ValueError, match="path"):
        ItemProof(bytes(32), 0, (bytes(32),) * 21)
    with pytest.raises(ValueError, match="path"):
        ItemProof(bytes(32), 0, (bytes(31),))
    with pytest.raises(ValueError, match="commitment"):
        record.Retract(bytes(33))


def erase(*names: str, proofs: tuple[ItemProof, ...] = ()) -> Op:
    body = Erase(tuple(map(digest, names)), "GDPR17", bytes(32), proofs)
    return Op("record.erase", wire.to_value(body))


@pytest.mark.parametrize("inline", [True, False])
def test_an_erased_item_is_shown_as_erased_wherever_it_was(chain: Chain, inline: bool) -> None:
    apply(chain, batch(ITEMS, inline=inline))
    proofs = (item_proof(ITEMS, "a"), item_proof(ITEMS, "c"))
    assert apply(chain, anchor("x"), erase("a", "c", proofs=proofs)) == "applied"
    for name in ("a", "c"):
        found = Queries(chain.store, chain.book).record(digest(name))
        assert found is not None
        assert (found.status, found.occurrences[-1].kind) == ("erased", "erase")


def test_an_erased_version_names_no_successor(chain: Chain) -> None:
    apply(chain, anchor("a"), amend("a", "b"), erase("a"))
    queries = Queries(chain.store, chain.book)
    old, new = queries.record(digest("a")), queries.record(digest("b"))
    assert old is not None
    assert new is not None
    assert (old.status, old.successor, new.status) == ("erased", None, "live")


def test_the_tag_index_carries_the_class_and_answers_with_commitments(chain: Chain) -> None:
    tag = bytes(range(16))
    apply(chain, anchor("a", tag=tag, record_class=7), anchor("b", tag=tag))
    rows = [value for _, value in chain.store.index_scan(b"t/", b"t/\xff", limit=9)]
    assert rows == [digest("a") + b"\x07", digest("b")]
    found = Queries(chain.store, chain.book).records_by_tag(tag)
    assert found == [digest("a"), digest("b")]
