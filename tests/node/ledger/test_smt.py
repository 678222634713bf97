"""The state tree against a short recursive reference, and its pages against damage."""

import json
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.codec import Malformed
from node.ledger import smt

pytestmark = pytest.mark.usefixtures("each_backend")

VECTORS = Path(__file__).parents[2] / "vectors"
KEYS = [b"key-%d" % number for number in range(40)]


def reference(leaves: list[tuple[bytes, bytes]], depth: int = 0) -> bytes:
    """The definition of the root over (path, value hash), one bit at a time."""
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0][0] + leaves[0][1]).digest()
    halves: tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]] = ([], [])
    for leaf in leaves:
        halves[leaf[0][depth // 8] >> (7 - depth % 8) & 1].append(leaf)
    left, right = reference(halves[0], depth + 1), reference(halves[1], depth + 1)
    return sha256(b"\x01" + left + right).digest()


def reference_root(model: dict[bytes, bytes]) -> bytes:
    return reference([(sha256(k).digest(), sha256(v).digest()) for k, v in model.items()])


class Store:
    """Pages in a dictionary, written the way the node writes them: all of a batch or none."""

    def __init__(self) -> None:
        self.pages: dict[bytes, bytes] = {}
        self.tree = smt.StateTree(self.pages.get)

    def apply(self, changes: dict[bytes, bytes | None]) -> bytes:
        root, writes = self.tree.update(changes)
        assert len({key for key, _ in writes}) == len(writes), "a page was written twice"
        for key, page in writes:
            if page is None:
                del self.pages[key]
            else:
                assert self.pages.get(key) != page, "a page was written for nothing"
                self.pages[key] = page
        return root


CHANGES = st.dictionaries(st.sampled_from(KEYS), st.none() | st.binary(max_size=2), max_size=25)


@settings(max_examples=150)
@given(st.lists(CHANGES, max_size=6))
def test_root_and_pages_depend_only_on_the_set_of_keys_and_values(
    batches: list[dict[bytes, bytes | None]],
) -> None:
    store, model = Store(), {}
    for batch in batches:
        root = store.apply(batch)
        model.update(batch)
        model = {key: value for key, value in model.items() if value is not None}
        assert root == reference_root(model) == store.tree.root()
        at_once = Store()
        assert at_once.apply(dict(model)) == root
        assert at_once.pages == store.pages


def test_a_large_tree_built_and_emptied_in_random_batches() -> None:
    random, store, model = Random(20), Store(), {}
    keys = [b"%d" % number for number in range(3_000)]
    for _ in range(12):
        batch = {k: random.choice([None, b"a", b"b"]) for k in random.sample(keys, 700)}
        root = store.apply(batch)
        model.update(batch)
        model = {key: value for key, value in model.items() if value is not None}
        assert root == reference_root(model)
    assert store.apply(dict.fromkeys(model)) == smt.EMPTY
    assert store.pages == {}


def test_roots_match_the_golden_file() -> None:
    golden = json.loads((VECTORS / "smt.json").read_text())
    store = Store()
    assert store.tree.root().hex() == golden["empty"]
    for step in golden["steps"]:
        changes = {bytes.fromhex(k): v and bytes.fromhex(v) for k, v in step["changes"]}
        assert store.apply(changes).hex() == step["root"]
        assert {k.hex(): v.hex() for k, v in store.pages.items()} == step["pages"]


def test_one_key_is_the_root_itself() -> None:
    store = Store()
    path = sha256(b"k").digest()
    expected = sha256(b"\x00" + path + sha256(b"v").digest()).digest()
    assert store.apply({b"k": b"v"}) == expected
    assert smt.verify_state(expected, b"k", b"v", smt.StateProof(0, b"", (), None))


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(KEYS), st.binary(max_size=2)), st.sampled_from(KEYS))
def test_presence_and_absence_are_proven_and_nothing_else(
    model: dict[bytes, bytes], key: bytes
) -> None:
    store = Store()
    root = store.apply(dict(model))
    proof = smt.StateProof.decode(store.tree.prove(key).encode())
    held = model.get(key)
    assert smt.verify_state(root, key, held, proof)
    assert not smt.verify_state(root, key, b"another value", proof)
    assert not smt.verify_state(bytes([root[0] ^ 1]) + root[1:], key, held, proof)
    if held is not None:
        assert not smt.verify_state(root, key, None, proof)
    for number, sibling in enumerate(proof.siblings):
        changed = list(proof.siblings)
        changed[number] = bytes([sibling[0] ^ 1]) + sibling[1:]
        bad = smt.StateProof(proof.depth, proof.bitmap, tuple(changed), proof.other)
        assert not smt.verify_state(root, key, held, bad)


def test_absence_is_not_shown_by_a_leaf_from_elsewhere_or_by_the_key_itself() -> None:
    store = Store()
    root = store.apply(dict.fromkeys(KEYS, b"v"))
    proof = store.tree.prove(KEYS[0])
    itself = smt.OtherLeaf(smt.path_of(KEYS[0]), sha256(b"v").digest())
    claimed = smt.StateProof(proof.depth, proof.bitmap, proof.siblings, itself)
    assert not smt.verify_state(root, KEYS[0], None, claimed)
    assert not smt.verify_state(root, KEYS[0], b"v", claimed)
    # A true leaf with its true siblings, shown for a key that lives on another side.
    first_bit = smt.path_of(KEYS[0])[0] >> 7
    absent = next(
        k for k in (b"%d" % n for n in range(99)) if smt.path_of(k)[0] >> 7 != first_bit
    )
    assert smt.verify_state(root, absent, None, store.tree.prove(absent))
    assert not smt.verify_state(root, absent, None, claimed)


def test_proofs_beyond_their_bounds_are_refused() -> None:
    store = Store()
    store.apply(dict.fromkeys(KEYS, b"v"))
    raw = store.tree.prove(KEYS[0]).encode()
    assert smt.StateProof.decode(raw).encode() == raw
    for damaged in (raw[:-1], raw + b"\x00", b"", bytes(40_000)):
        with pytest.raises(Malformed):
            smt.StateProof.decode(damaged)
    one = bytes([1]) * 32
    for depth, bitmap, siblings in (
        (257, bytes(33), ()),
        (1, b"", ()),
        (1, b"\x40", (one,)),
        (1, b"\x80", ()),
        (1, b"\x80", (bytes(32),)),
        (1, b"\x80", (one[:31],)),
    ):
        with pytest.raises(ValueError, match=r"depth|bitmap|sibling"):
            smt.StateProof(depth, bitmap, siblings, None)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_proof_decoder_raise_anything_else(raw: bytes) -> None:
    try:
        proof = smt.StateProof.decode(raw)
    except Malformed:
        return
    assert proof.encode() == raw


def test_a_page_with_any_bit_flipped_is_an_error_and_never_a_root() -> None:
    store = Store()
    store.apply(dict.fromkeys(KEYS, b"v"))
    name, page = max(store.pages.items(), key=lambda item: len(item[0]))
    for bit in range(0, len(page) * 8, 7):
        damaged = bytearray(page)
        damaged[bit // 8] ^= 1 << bit % 8
        store.pages[name] = bytes(damaged)
        with pytest.raises(smt.PageCorrupt):
            store.tree.update(dict.fromkeys(KEYS, b"w"))
    store.pages[name] = page[:-1]
    with pytest.raises(smt.PageCorrupt):
        store.tree.update(dict.fromkeys(KEYS, b"w"))
    del store.pages[name]
    with pytest.raises(smt.PageCorrupt, match="missing"):
        store.tree.update(dict.fromkeys(KEYS, b"w"))


def test_a_sound_page_in_the_wrong_place_is_noticed_when_proving() -> None:
    store = Store()
    store.apply(dict.fromkeys(KEYS, b"v"))
    key = next(k for k in KEYS if smt.page_key(smt.path_of(k), 1) in store.pages)
    stale = store.pages[smt.page_key(smt.path_of(key), 1)]
    store.apply({key: b"w"})
    store.pages[smt.page_key(smt.path_of(key), 1)] = stale
    with pytest.raises(smt.PageCorrupt, match="not the one above"):
        store.tree.prove(key)


def test_a_page_of_another_prefix_is_refused() -> None:
    store = Store()
    store.apply({b"%d" % number: b"v" for number in range(300)})
    names = [name for name in store.pages if name[0] == 1]
    store.pages[names[0]] = store.pages[names[1]]
    with pytest.raises(smt.PageCorrupt, match="another page"):
        store.tree.update({b"%d" % number: b"w" for number in range(300)})


def test_dropping_the_pages_of_an_update_leaves_the_tree_as_it_was() -> None:
    store = Store()
    root = store.apply(dict.fromkeys(KEYS, b"v"))
    assert store.tree.update({KEYS[0]: b"other"})[0] != root
    assert store.tree.root() == root
    assert store.tree.update({}) == (root, [])
