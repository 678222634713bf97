"""Backups of real ledgers: the verdict without a node, the rehearsal, the fence."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from node import backups, roots
from node.archive.write import write
from node.check import check_ledger
from node.drill import Live, drill
from node.errors import ChartsealError
from node.ledger.genesis import Genesis
from node.ledger.tiles import TileLog
from node.rederive import pages_again, tiles_again
from node.signing import refuse_copy
from storage import keys, manifest, pagelog
from storage.backup import Made, Origin, damages
from storage.check import Code, Finding
from storage.errors import Pruned
from storage.manifest import Found
from storage.restore import restore
from storage.store import Store
from tests.support.ledger import Chain, genesis, key
from tests.support.snapshots import installed, opened, snapshot_of


def origin(founded: Genesis, *, signer: str = "alder identity") -> Origin:
    return Origin(
        node="alder",
        software="1",
        key=key(signer).public_key,
        sign=key(signer).sign,
        documents={backups.GENESIS_NAME: founded.encode()},
    )


def back_up(chain: Chain, directory: Path, *, signer: str = "alder identity") -> Found:
    made: Made = backups.create(
        chain.store, directory, origin(chain.genesis, signer=signer), network=chain.network
    )
    return backups.choose(directory, made.manifest.name)


def verdict(directory: Path, found: Found, founded: Genesis, depth: str) -> list[Finding]:
    return backups.verify(directory, found, founded, depth=depth)


@pytest.mark.parametrize("engine", ["raft", "pbft"])
@pytest.mark.parametrize("depth", backups.DEPTHS)
def test_an_honest_backup_has_no_findings(tmp_path: Path, engine: str, depth: str) -> None:
    with Chain(tmp_path / "data", genesis(engine)) as chain:
        chain.commit(*[chain.tx() for _ in range(300)])
        chain.certify()
        chain.commit()
        found = back_up(chain, tmp_path / "b")
        assert verdict(tmp_path / "b", found, chain.genesis, depth) == []
        assert backups.own_genesis(tmp_path / "b", found) == chain.genesis


@pytest.mark.parametrize("depth", backups.DEPTHS)
def test_a_flipped_bit_in_any_chunk_is_named_with_its_file(tmp_path: Path, depth: str) -> None:
    rng = random.Random(11)
    with Chain(tmp_path / "data") as chain:
        for _ in range(3):
            chain.commit()
        chain.certify()
        found = back_up(chain, tmp_path / "b")
        chunks = sorted((tmp_path / "b" / "chunks").glob("*/*"))
        for path in chunks if depth == backups.BYTES else rng.sample(chunks, 2):
            sound = path.read_bytes()
            raw = bytearray(sound)
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            path.write_bytes(raw)
            (named,) = verdict(tmp_path / "b", found, chain.genesis, depth)
            assert (named.code, named.where) == (Code.BYTES_WRONG, str(path))
            path.write_bytes(sound)


def test_a_backup_signed_by_a_stranger_is_found_at_every_depth(tmp_path: Path) -> None:
    with Chain(tmp_path / "data") as chain:
        chain.commit()
        found = back_up(chain, tmp_path / "b", signer="mallory")
        for depth in backups.DEPTHS:
            (named,) = verdict(tmp_path / "b", found, chain.genesis, depth)
            assert named.code is Code.SIGNER_WRONG


def test_another_networks_backup_is_refused(tmp_path: Path) -> None:
    with Chain(tmp_path / "data") as chain:
        chain.commit()
        found = back_up(chain, tmp_path / "b")
    with pytest.raises(ChartsealError, match="foreign-data-dir"):
        verdict(tmp_path / "b", found, genesis("pbft"), backups.BYTES)


@pytest.mark.parametrize(
    ("letter", "words"),
    [
        (keys.STATE, "state root"),
        (keys.NODE, "state page"),
        (keys.TILE, "tile"),
        (keys.SEAL, "block"),
        (keys.CHECKPOINT, "checkpoint"),
        (keys.INDEX + b"leaf/", "index row"),
    ],
)
def test_a_row_that_was_wrong_when_it_was_copied_is_found_without_executing(
    tmp_path: Path, letter: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are as signed; what they say is not what the members cosigned."""
    monkeypatch.setattr(pagelog, "PAGES_MAX", 1)  # stored with every block
    with Chain(tmp_path / "data") as chain:
        for _ in range(3):
            chain.commit()
        chain.certify()
        key_, value = next(iter(chain.store._kv.scan(letter, keys.after(letter))))
        raw = bytearray(value)
        # In a checkpoint the root: a lost cosignature would leave a quorum.
        raw[44 if letter == keys.CHECKPOINT else -min(5, len(raw))] ^= 1
        chain.store.mend([(key_, bytes(raw))])
        found = back_up(chain, tmp_path / "b")
        assert verdict(tmp_path / "b", found, chain.genesis, backups.BYTES) == []
        named = verdict(tmp_path / "b", found, chain.genesis, backups.ROOTS)
        assert any(item.where.startswith(words) for item in named), named


def test_a_manifest_that_claims_another_height_is_found(tmp_path: Path) -> None:

    with Chain(tmp_path / "data") as chain:
        chain.commit()
        found = back_up(chain, tmp_path / "b")
        lie = replace(found.manifest, height=2)
        signer = key("alder identity")
        path = manifest.write(tmp_path / "b", lie, key=signer.public_key, sign=signer.sign)
        told = verdict(
            tmp_path / "b",
            backups.choose(tmp_path / "b", path.stem),
            chain.genesis,
            backups.ROOTS,
        )
        assert [item.code for item in told] == [Code.APPLIED_WRONG]


# --- pruned directories -------------------------------------------------------------------


def test_a_pruned_directory_is_backed_up_restored_and_checked_by_its_roots(
    tmp_path: Path,
) -> None:
    founded = genesis("pbft")
    store = Store.open(
        tmp_path / "data", network=founded.network, create=True, segment_bytes_max=1 << 14
    )
    with Chain(tmp_path / "data", founded, store=store) as chain:
        for _ in range(40):
            chain.commit(*[chain.tx() for _ in range(4)])
        chain.certify()
        done = store.prune(30)
        assert done is not None
        found = back_up(chain, tmp_path / "b")
        assert found.manifest.lowest_body == done.floor.lowest
        for depth in backups.DEPTHS:
            assert verdict(tmp_path / "b", found, founded, depth) == []
    assert check_ledger(tmp_path / "data", founded).findings == ()


def test_damage_in_a_pruned_directory_is_found(tmp_path: Path) -> None:
    founded = genesis()
    store = Store.open(
        tmp_path / "data", network=founded.network, create=True, segment_bytes_max=1 << 14
    )
    with Chain(tmp_path / "data", founded, store=store) as chain:
        for _ in range(40):
            chain.commit(*[chain.tx() for _ in range(4)])
        assert store.prune(30) is not None
        raw = bytearray(store.tile(0, 0) or b"")
        raw[7] ^= 1
        store.mend([(keys.tile(0, 0), bytes(raw))])
    found = check_ledger(tmp_path / "data", founded).findings
    assert {item.code for item in found} >= {Code.TILE_WRONG}


def test_a_ledger_that_began_with_a_snapshot_is_backed_up_checked_and_scrubbed(
    tmp_path: Path,
) -> None:
    with Chain(tmp_path / "data") as chain:
        for _ in range(5):
            chain.commit(*[chain.tx() for _ in range(60)])
        verified = opened(snapshot_of(chain), chain.genesis)
    store = installed(verified, chain.genesis, tmp_path / "young")
    with Chain(tmp_path / "young", chain.genesis, store=store) as young:
        young.commit(young.tx())
        young.certify()
        assert (store.lowest(), store.lowest_body()) == (5, 5)
        assert list(roots.log_findings(store)) == []
        found = back_up(young, tmp_path / "b")
        for depth in backups.DEPTHS:
            assert verdict(tmp_path / "b", found, young.genesis, depth) == []
        with pytest.raises(Pruned):
            write(store, young.genesis, tmp_path / "archive", up_to=None)
        assert tiles_again(store) is False
        assert pages_again(store) is True
    assert check_ledger(tmp_path / "young", chain.genesis).findings == ()


# --- the rehearsal ------------------------------------------------------------------------


def rehearse(tmp_path: Path, chain: Chain, found: Found, live: Live | None) -> tuple[int, ...]:
    def path(old: int, new: int) -> list[bytes]:
        return TileLog(chain.book.tip.log_size, chain.store.tile).consistency_path(old, new)

    done = drill(
        tmp_path / "b",
        found,
        chain.genesis,
        scratch_dir=tmp_path / "scratch",
        full=False,
        live=None if live is None else lambda: live,
        path=path,
        progress=backups.nothing,
    )
    assert list((tmp_path / "scratch").iterdir()) == []
    assert done.recovery_s > 0
    figures = (done.lost_blocks, done.lost_leaves, len(done.findings))
    return tuple(-1 if item is None else item for item in figures)


def test_a_drill_says_what_would_be_lost_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    with Chain(tmp_path / "data") as chain:
        for _ in range(3):
            chain.commit()
        found = back_up(chain, tmp_path / "b")
        assert rehearse(tmp_path, chain, found, None) == (-1, -1, 0)
        for _ in range(5):
            chain.commit()
        note = chain.certify()
        live = Live(note, chain.book.tip.height, chain.book.tip.time_ms)
        assert rehearse(tmp_path, chain, found, live) == (5, 10, 0)


def test_a_drill_notices_a_network_with_another_history(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    with Chain(tmp_path / "data") as chain, Chain(tmp_path / "fork") as fork:
        for _ in range(3):
            chain.commit()
        found = back_up(chain, tmp_path / "b")
        for _ in range(5):
            fork.commit(fork.tx(), fork.tx())
        live = Live(fork.certify(), fork.book.tip.height, None)
        assert rehearse(tmp_path, fork, found, live)[2] == 1
        few = Live(b"\n".join(live.note.split(b"\n")[:5]) + b"\n", live.height, None)
        assert rehearse(tmp_path, fork, found, few)[2] == 1
        assert rehearse(tmp_path, fork, found, Live(b"?", 5, None))[2] == 1


# --- the fence ----------------------------------------------------------------------------


def test_a_restored_directory_refuses_to_be_voted_from(tmp_path: Path) -> None:
    with Chain(tmp_path / "data") as chain:
        chain.commit()
        found = back_up(chain, tmp_path / "b")
        refuse_copy(chain.store)  # the original is no copy
        restore(tmp_path / "b", found, tmp_path / "again", now_ms=1)
        with Store.open(tmp_path / "again", network=chain.network) as again:
            with pytest.raises(ChartsealError, match="data-dir-restored") as refused:
                refuse_copy(again)
            assert found.manifest.name in refused.value.detail


def test_the_log_is_recomputed_over_several_levels_of_tiles(tmp_path: Path) -> None:
    with Chain(tmp_path / "data") as chain:
        for _ in range(3):
            chain.commit(*[chain.tx() for _ in range(200)])
        assert list(roots.log_findings(chain.store)) == []
        top = bytearray(chain.store.tile(1, 0) or b"")
        top[33] ^= 1
        chain.store.mend([(keys.tile(1, 0), bytes(top))])
        named = list(roots.log_findings(chain.store))
        assert {item.where for item in named} == {"tile 1/0", "log root"}


def test_damages_tells_progress_in_bytes(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with Chain(tmp_path / "data") as chain:
        chain.commit()
        found = back_up(chain, tmp_path / "b")
        list(damages(tmp_path / "b", found.manifest, progress=lambda *t: told.append(t)))
    assert told[-1][1] == told[-1][2] == found.manifest.bytes_total
