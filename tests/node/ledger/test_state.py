"""State: overlays that merge or vanish, and the pairs that genesis starts with."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import wire
from consensus.codec import Malformed
from node.ledger import smt, state
from node.ledger.genesis import Institution, Parameters, voters_of
from node.ledger.state import Overlay, SignerRow
from tests.support.ledger import genesis, key
from tests.vectors import make_formats

GOLDEN = Path(make_formats.__file__).parent / "genesis.json"


def test_the_golden_state_and_its_root() -> None:
    golden = json.loads(GOLDEN.read_text())
    pairs = {bytes.fromhex(k): bytes.fromhex(v) for k, v in golden["state"].items()}
    assert pairs == state.genesis_state(make_formats.golden_genesis())
    root, _ = smt.StateTree(lambda _: None).update(dict(pairs))
    assert root.hex() == golden["state_root"]


def test_genesis_state_holds_parameters_institutions_and_their_signers() -> None:
    founded = genesis(expires_heights_max=77)
    view = Overlay(state.genesis_state(founded).get)
    assert state.parameters(view) == founded.parameters
    assert view.get(state.ENGINE_KEY) == b"raft"
    assert view.get(state.EPOCH_KEY) == b"\x00"
    for item in founded.institutions:
        assert state.institution(view, item.id) == item
        row = view.load(SignerRow, state.signer_key(item.identity_key))
        assert row == SignerRow(item.id, 0)
    assert state.epoch_of(view) == 0
    assert state.voters(view, 0) == voters_of(0, founded.validators)
    assert state.voters(view, 1) is None
    listed = [
        view.get(state.institution_at_key(number))
        for number in range(len(founded.institutions))
    ]
    assert listed == [item.id.encode() for item in founded.institutions]
    assert view.load(state.Institutions, state.INSTITUTIONS_KEY) == state.Institutions(5)
    assert len(state.genesis_state(founded)) == 5 + 3 * len(founded.institutions)


def test_only_identity_keys_sign_transactions() -> None:
    view = Overlay(state.genesis_state(genesis()).get)
    for use in ("consensus", "cosigner", "encryption"):
        assert view.get(state.signer_key(key(f"alder {use}").public_key)) is None


def test_an_overlay_hides_what_is_below_and_leaves_it_alone() -> None:
    below = {b"a": b"1", b"b": b"2"}
    view = Overlay(below.get)
    view.put(b"a", b"one")
    view.delete(b"b")
    assert (view.get(b"a"), view.get(b"b"), view.get(b"c")) == (b"one", None, None)
    assert below == {b"a": b"1", b"b": b"2"}
    assert view.writes == {b"a": b"one", b"b": None}


def test_a_dropped_child_changes_nothing_and_a_merged_one_everything() -> None:
    view = Overlay({b"a": b"1"}.get)
    child = Overlay(view.get)
    child.delete(b"a")
    child.put(b"b", b"2")
    assert (view.get(b"a"), view.writes) == (b"1", {})
    view.merge(child)
    assert (view.get(b"a"), view.get(b"b")) == (None, b"2")


def test_records_are_saved_and_loaded_typed() -> None:
    view = Overlay(lambda _: None)
    view.save(b"k", SignerRow("alder", 7))
    assert (
        view.load(SignerRow, b"k") == view.load_shared(SignerRow, b"k") == SignerRow("alder", 7)
    )
    assert view.load(SignerRow, b"none") is None
    assert view.load_shared(SignerRow, b"none") is None
    view.save(b"k", SignerRow("alder", 8))
    assert view.load_shared(SignerRow, b"k") == SignerRow("alder", 8)


def test_unreadable_own_state_stops_the_node() -> None:
    view = Overlay({b"k": b"\xc0"}.get)
    with pytest.raises(Malformed):
        view.load(SignerRow, b"k")
    with pytest.raises(AssertionError, match="parameters"):
        state.parameters(Overlay(lambda _: None))
    with pytest.raises(AssertionError):
        view.put(b"k", bytes(state.VALUE_BYTES_MAX + 1))


def test_shared_records_are_told_apart_by_type() -> None:
    """The same bytes under two types must not come back as the first one asked for."""
    raw = wire.encode(Parameters())
    view = Overlay({b"k": raw}.get)
    assert view.load_shared(Parameters, b"k") == Parameters()
    with pytest.raises(Malformed):
        view.load_shared(Institution, b"k")


def test_shared_records_are_looked_up_once_and_never_stale() -> None:
    reads: list[bytes] = []
    below = {b"k": wire.encode(SignerRow("alder", 1))}

    def read(key: bytes) -> bytes | None:
        reads.append(key)
        return below.get(key)

    view = Overlay(read)
    for _ in range(3):
        assert view.child().load_shared(SignerRow, b"k") == SignerRow("alder", 1)
    assert reads == [b"k"]
    dropped, merged = view.child(), view.child()
    dropped.save(b"k", SignerRow("birch", 2))
    assert dropped.load_shared(SignerRow, b"k") == SignerRow("birch", 2)
    assert view.load_shared(SignerRow, b"k") == SignerRow("alder", 1)
    merged.save(b"k", SignerRow("cedar", 3))
    assert view.child().load_shared(SignerRow, b"k") == SignerRow("alder", 1)
    view.merge(merged)
    assert view.child().load_shared(SignerRow, b"k") == SignerRow("cedar", 3)
    removing = view.child()
    removing.delete(b"k")
    assert removing.load_shared(SignerRow, b"k") is None
    view.merge(removing)
    assert view.child().load_shared(SignerRow, b"k") is None


@given(
    st.dictionaries(st.binary(max_size=2), st.binary(max_size=2), max_size=6),
    st.lists(
        st.tuples(st.booleans(), st.binary(max_size=2), st.none() | st.binary(max_size=2)),
        max_size=20,
    ),
)
def test_overlays_agree_with_a_copied_dictionary(
    below: dict[bytes, bytes], steps: list[tuple[bool, bytes, bytes | None]]
) -> None:
    view, model = Overlay(below.get), dict(below)
    for kept, name, value in steps:
        child = Overlay(view.get)
        if value is None:
            child.delete(name)
        else:
            child.put(name, value)
        if not kept:
            continue
        view.merge(child)
        model.pop(name, None)
        if value is not None:
            model[name] = value
    names = {*below, *(name for _, name, _ in steps)}
    assert {name: view.get(name) for name in names} == {name: model.get(name) for name in names}
