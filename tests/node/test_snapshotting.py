"""A snapshot is made, verified and put into a new store, which goes on as the old one does."""

from pathlib import Path

import pytest

from node import snapshotting
from node.book import Book, before_snapshot
from node.ledger import snapshot, statechunk
from node.ledger.snapshot import SnapshotRefused
from node.snapshotting import SnapshotUnready, make
from storage import keys
from storage.errors import Corrupt
from storage.snapshots import Snapshots
from tests.support.ledger import Chain, anchor, batch, genesis
from tests.support.snapshots import installed, opened, snapshot_of


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut so finely that a short chain has many chunks of both kinds."""
    monkeypatch.setattr(statechunk, "CHUNK_BYTES_TARGET", 1 << 10)
    monkeypatch.setattr(statechunk, "CHUNK_BYTES_MAX", 2 << 10)
    monkeypatch.setattr(snapshot, "LOG_CHUNK_LEAVES", 256)
    monkeypatch.setattr(snapshotting, "LOG_CHUNK_LEAVES", 256)
    monkeypatch.setattr(snapshotting, "SPOOL_BYTES_MAX", 4 << 10)


def grown(chain: Chain, blocks: int, each: int = 9) -> Chain:
    for _ in range(blocks):
        chain.commit(*(chain.tx() for _ in range(each)))
    return chain


def rows(store: object, *letters: bytes) -> dict[bytes, bytes]:
    scan = store.scan_all()  # type: ignore[attr-defined]
    return {key: value for key, value in scan if key[:1] in letters}


@pytest.mark.usefixtures("small_chunks")
def test_a_store_from_a_snapshot_holds_the_same_ledger_and_goes_on_alike(
    tmp_path: Path,
) -> None:
    with Chain(tmp_path / "old") as chain:
        grown(chain, 60)
        old_tx = chain.tx()
        chain.commit(old_tx)
        chain.commit(chain.tx(batch(["a", "b", "c"])), chain.tx())
        directory = snapshot_of(chain)
        verified = opened(directory, chain.genesis)
        assert verified.manifest.log_chunks >= 2
        assert verified.manifest.state_chunks > 20
        with installed(verified, chain.genesis, tmp_path / "new") as store:
            assert store.applied() == chain.store.applied()
            same = (keys.STATE, keys.TILE)
            assert rows(store, *same) == rows(chain.store, *same)
            assert list(store.iter_pages()) == list(chain.store.iter_pages())
            new = Chain(tmp_path / "x", chain.genesis, store=store)
            assert new.book.tip == chain.book.tip
            body = chain.body(chain.tx(), old_tx, chain.tx(anchor("more")))
            assert new.apply(body) == chain.apply(body)
            assert before_snapshot(store.tx_row(old_tx.txid) or b"")
            for _ in range(40):
                body = chain.body(*(chain.tx() for _ in range(9)))
                assert new.apply(body).tip == chain.apply(body).tip


@pytest.mark.usefixtures("small_chunks")
def test_equal_ledgers_give_equal_snapshots(tmp_path: Path) -> None:
    with Chain(tmp_path / "a") as one, Chain(tmp_path / "b") as two:
        for _ in range(20):
            body = one.body(*(one.tx() for _ in range(5)))
            one.apply(body)
            two.apply(body)
        parts = []
        for chain in (one, two):
            directory = snapshot_of(chain)
            parts.append(
                {p.name: p.read_bytes() for p in directory.iterdir() if p.name != "evidence"}
            )
        assert parts[0] == parts[1]


@pytest.mark.usefixtures("small_chunks")
def test_a_snapshot_of_one_moment_is_not_disturbed_by_later_blocks(tmp_path: Path) -> None:
    with Chain(tmp_path) as chain:
        grown(chain, 10)
        note, tip = chain.certify(), chain.book.tip
        with chain.store.snapshot() as view:
            grown(chain, 10)
            height = make(view, Snapshots(tmp_path), note)
        verified = opened(Snapshots(tmp_path).path(height), chain.genesis)
        assert verified.applied().state_root == tip.state_root
        assert height == 10


def test_every_flipped_byte_of_every_part_is_detected(tmp_path: Path) -> None:
    """The checksum finds it, and so does the proof of the part when the checksum fits."""
    with Chain(tmp_path) as chain:
        chain.commit(chain.tx())
        directory = snapshot_of(chain)
        for path in directory.iterdir():
            raw = path.read_bytes()
            for at in range(len(raw)):
                path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
                with pytest.raises(Corrupt):
                    opened(directory, chain.genesis)
            path.write_bytes(raw)
        opened(directory, chain.genesis)


@pytest.mark.parametrize("part", ["manifest", "chunk-000000", "chunk-000001", "evidence"])
def test_every_byte_that_a_member_changes_is_detected(tmp_path: Path, part: str) -> None:
    """A member that lies gets its checksums right."""
    from storage.snapshots import read_part, write_part

    with Chain(tmp_path) as chain:
        grown(chain, 2, each=2)
        directory = snapshot_of(chain)
        raw = read_part(directory, part) or b""
        step = max(1, len(raw) // 400)
        spared = 0
        for at in range(0, len(raw), step):
            write_part(directory, part, raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
            try:
                opened(directory, chain.genesis)
            except SnapshotRefused:
                continue
            spared += 1
        # Of the evidence, the engine's certificate is verified by the engine's own rules, and
        # of the note's four cosignatures three are enough.
        assert spared == 0 or part == "evidence"


def test_no_snapshot_is_made_above_the_newest_certified_checkpoint(tmp_path: Path) -> None:
    with Chain(tmp_path) as chain:
        grown(chain, 2)
        note = chain.certify()
        grown(chain, 1)
        with (
            chain.store.snapshot() as view,
            pytest.raises(SnapshotUnready, match="certified checkpoint"),
        ):
            make(view, Snapshots(tmp_path), note)
        assert Snapshots(tmp_path).heights() == []


def test_no_snapshot_is_made_where_the_state_has_no_root_of_its_own(tmp_path: Path) -> None:
    with Chain(tmp_path, genesis(state_root_every=4)) as chain:
        grown(chain, 6)
        note = chain.certify()
        with (
            chain.store.snapshot() as view,
            pytest.raises(SnapshotUnready, match="state root"),
        ):
            make(view, Snapshots(tmp_path), note)
        grown(chain, 2)
        assert opened(snapshot_of(chain), chain.genesis).manifest.height == 8


def test_damaged_state_is_never_put_into_a_snapshot(tmp_path: Path) -> None:
    with Chain(tmp_path) as chain:
        grown(chain, 3)
        key, value = next(chain.store.iter_state())
        chain.store._kv.write([(keys.STATE + key, value + b"x")], sync=True)
        with pytest.raises(Corrupt):
            snapshot_of(chain)
        assert Snapshots(tmp_path).heights() == []
        root = Snapshots(tmp_path).root
        assert not root.exists() or list(root.iterdir()) == []


def test_the_new_store_begins_where_the_snapshot_was_made(tmp_path: Path) -> None:
    with Chain(tmp_path / "old") as chain:
        grown(chain, 5)
        verified = opened(snapshot_of(chain), chain.genesis)
        with installed(verified, chain.genesis, tmp_path / "new") as store:
            assert store.lowest() == 5
            assert store.block(4) is None
            assert next(store.iter_blocks(5, 6)).row == chain.store.block(5)
            assert Book(store, chain.genesis).tip == chain.book.tip
