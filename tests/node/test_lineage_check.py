"""The check of a stopped node: the links that it keeps of its eras."""

from dataclasses import replace
from pathlib import Path

from consensus import wire
from node.lineage_check import check_links
from storage.check import Code
from storage.store import Store
from tests.support.eras import Eras, founded, voter

FOUR = ("alder", "birch", "cedar", "dogwood")


def lived(directory: Path) -> Eras:
    genesis = founded()
    made = Eras(genesis, store=Store.open(directory, network=genesis.network, create=True))
    made.block()
    made.barrier(FOUR)
    made.block()
    made.barrier(FOUR, "pbft")
    made.block()
    assert made.store is not None
    for link in made.links:
        made.store.save_links([(link.era.epoch, wire.encode(link))])
    return made


def test_before_the_first_block_there_is_nothing_to_find(tmp_path: Path) -> None:
    genesis = founded()
    with Store.open(tmp_path, network=genesis.network, create=True) as store:
        assert list(check_links(store, genesis)) == []


def test_links_that_hold_are_no_finding_and_missing_ones_neither(tmp_path: Path) -> None:
    made = lived(tmp_path)
    assert made.store is not None
    with made.store as store:
        assert list(check_links(store, made.genesis)) == []
    with Store.open(tmp_path / "short", network=made.network, create=True) as store:
        store.save_links([(1, wire.encode(made.links[0]))])
        assert list(check_links(store, made.genesis)) == []


def test_every_spoiled_link_is_found_and_located(tmp_path: Path) -> None:
    made = lived(tmp_path)
    first, second = made.links
    forged = replace(second.era, members=(*second.era.members, voter("oak")))
    cases = [
        (1, b"\x00", "not a link"),
        (1, wire.encode(replace(first, path=())), "seal-mismatch"),
        (2, wire.encode(replace(second, era=forged)), "the ledger has another era"),
        (2, wire.encode(replace(second, note=made.note(epoch=1))), "seal-not-last"),
    ]
    assert made.store is not None
    with made.store as store:
        for epoch, raw, why in cases:
            kept = store.link(epoch)
            store.save_links([(epoch, raw)])
            found = next(check_links(store, made.genesis))
            assert (found.code, found.where) == (Code.LEDGER_WRONG, f"lineage of epoch {epoch}")
            assert why in found.detail
            assert kept is not None
            store.save_links([(epoch, kept)])
