"""The ledger check: clean after every honest history, and a finding for every forgery."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from consensus import codec, wire
from node.book import Book, TxRow
from node.check import check_ledger
from node.ledger import block as blocks
from node.ledger.facts.records import record_key
from node.ledger.genesis import Genesis
from node.ledger.smt import path_of
from node.ledger.state import institution_key
from storage import keys, pagelog
from storage.blocks import Applied, BlockRow
from storage.check import Code, Finding
from storage.errors import DataDirLocked, DataDirMissing, ForeignDataDir
from storage.history import History
from storage.layout import KV_NAME
from storage.level import LevelKV
from tests.support.ledger import Chain, amend, anchor, batch, digest, genesis, retract

pytestmark = pytest.mark.usefixtures("each_backend", "settling")

Change = Callable[[LevelKV], None]


def build(directory: Path, founded: Genesis, *, blocks_count: int = 4) -> None:
    """Leave a stopped node's directory: applied and refused transactions, a replay, a batch."""
    with Chain(directory, founded) as chain:
        first = chain.tx(anchor("first"))
        chain.commit(first, chain.tx(batch(["a", "b", "c"])))
        chain.commit(first, chain.tx(anchor("first")), chain.tx(amend("first", "second")))
        chain.commit(chain.tx(retract("second")), chain.tx(anchor("x"), org="payer"))
        chain.certify()
        for _ in range(blocks_count - 3):
            chain.commit()


def findings(directory: Path, founded: Genesis) -> tuple[Finding, ...]:
    return check_ledger(directory, founded).findings


def tamper(directory: Path, change: Change) -> None:
    kv = LevelKV(directory / KV_NAME, create=False)
    try:
        change(kv)
    finally:
        kv.close()


def put(key: bytes, value: bytes | None) -> Change:
    return lambda kv: kv.write([(key, value)], sync=True)


def flip(key: bytes, at: int = -1) -> Change:
    def change(kv: LevelKV) -> None:
        raw = bytearray(kv.get(key) or b"")
        raw[at] ^= 1
        kv.write([(key, bytes(raw))], sync=True)

    return change


@pytest.mark.parametrize("engine", ["raft", "pbft"])
@pytest.mark.parametrize("every", [1, 3])
def test_an_honest_history_is_clean(tmp_path: Path, engine: str, every: int) -> None:
    founded = genesis(engine, state_root_every=every)
    build(tmp_path, founded, blocks_count=5)
    stages: list[tuple[str, int, int]] = []
    report = check_ledger(tmp_path, founded, progress=lambda *step: stages.append(step))
    assert report.findings == ()
    assert report.blocks == 5
    assert [step for step in stages if step[0] == "replay"] == [
        ("replay", height, 5) for height in range(1, 6)
    ]
    assert check_ledger(tmp_path, founded) == report  # nothing was changed by looking


def test_an_empty_directory_is_clean_and_the_scratch_copy_goes_away(tmp_path: Path) -> None:
    founded, scratch = genesis(), tmp_path / "scratch"
    scratch.mkdir()
    Chain(tmp_path / "data", founded).close()
    assert check_ledger(tmp_path / "data", founded, scratch_dir=scratch).clean
    assert list(scratch.iterdir()) == []


def test_a_log_of_several_tiles_is_rehashed(tmp_path: Path) -> None:
    founded = genesis()
    with Chain(tmp_path, founded) as chain:
        chain.commit(*[chain.tx() for _ in range(300)])
    assert findings(tmp_path, founded) == ()
    tamper(tmp_path, flip(keys.tile(0, 0), 77))
    assert [item.code for item in findings(tmp_path, founded)] == [Code.TILE_WRONG]


TIP = 4
ROOT_SLOT = keys.NODE + b"\x00" + bytes((path_of(institution_key("payer"))[0] >> 4,))
FORGERIES: list[tuple[str, bytes, Code, str]] = [
    # what, key, code, the beginning of where
    ("a state value", keys.STATE + institution_key("payer"), Code.LEDGER_WRONG, "state value"),
    ("a record", keys.STATE + record_key(digest("x0")), Code.LEDGER_WRONG, "state value"),
    ("a tile", keys.tile(0, 0), Code.TILE_WRONG, "tile"),
    ("a state page", ROOT_SLOT, Code.LEDGER_WRONG, "state page"),
    ("an index row", keys.INDEX + b"leaf/" + bytes(8), Code.LEDGER_WRONG, "index row"),
    ("a seal", keys.seal(TIP), Code.SEAL_WRONG, "seal"),
]


@pytest.mark.parametrize(("what", "key", "code", "where"), FORGERIES)
def test_a_changed_row_is_found(
    tmp_path: Path, what: str, key: bytes, code: Code, where: str
) -> None:
    founded = genesis()
    build(tmp_path, founded)
    if what == "a record":
        tamper(tmp_path, put(key, b"forged from nothing"))
    else:
        tamper(tmp_path, flip(key))
    found = findings(tmp_path, founded)
    assert any(item.code is code and item.where.startswith(where) for item in found), found


@pytest.mark.parametrize("letter", [keys.TRANSACTION, keys.INDEX, keys.STATE])
def test_a_deleted_row_is_found(tmp_path: Path, letter: bytes) -> None:
    founded = genesis()
    build(tmp_path, founded)
    kv = LevelKV(tmp_path / KV_NAME, create=False)
    key, _ = next(iter(kv.scan(letter, keys.after(letter))))
    kv.write([(key, None)], sync=True)
    kv.close()
    (found,) = findings(tmp_path, founded)
    assert (found.code, found.detail) == (Code.LEDGER_WRONG, "executed again: missing")


def test_an_added_transaction_row_is_found(tmp_path: Path) -> None:
    founded = genesis()
    build(tmp_path, founded)
    row = wire.encode(TxRow(1, 0, 0, 0))
    tamper(tmp_path, put(keys.TRANSACTION + digest("never sent"), row))
    (found,) = findings(tmp_path, founded)
    assert found.where.startswith("transaction row")
    assert found.detail == "executed again: not expected"


def test_a_result_code_forged_with_its_seal_is_found(tmp_path: Path) -> None:
    """Row, seal, applied record and transaction row agree with one another, and all lie."""
    founded = genesis()
    build(tmp_path, founded, blocks_count=3)

    def forge(kv: LevelKV) -> None:
        row = wire.decode(BlockRow, kv.get(keys.block(3)) or b"", size_max=1 << 20)
        seal = blocks.decode_seal(kv.get(keys.seal(3)) or b"")
        assert row.results == b"\x00\x00\x00\x05"
        lie = replace(seal, results_root=blocks.results_root([0, 0])).encode()
        applied = wire.decode(Applied, kv.get(keys.APPLIED) or b"", size_max=1 << 20)
        forged = replace(applied, seal_digest=blocks.seal_digest(lie))
        kv.write(
            [
                (keys.block(3), wire.encode(replace(row, results=bytes(4)))),
                (keys.seal(3), lie),
                (keys.APPLIED, wire.encode(forged)),
            ],
            sync=True,
        )

    tamper(tmp_path, forge)
    found = findings(tmp_path, founded)
    assert {item.code for item in found} == {
        Code.LEDGER_WRONG,
        Code.SEAL_WRONG,
        Code.APPLIED_WRONG,
    }
    assert any(item.where.startswith("block row") for item in found)


def test_a_flipped_byte_in_a_segment_stops_the_replay_with_a_finding(tmp_path: Path) -> None:
    founded = genesis()
    build(tmp_path, founded)
    path = tmp_path / "segments" / "00000001.seg"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x80
    path.write_bytes(raw)
    found = findings(tmp_path, founded)
    assert {item.code for item in found} == {
        Code.SEGMENT_CORRUPT,
        Code.BODY_CORRUPT,
        Code.LEDGER_WRONG,
    }
    assert sum("replay stops here" in item.detail for item in found) == 1


@pytest.mark.parametrize("certificate", [b"\xc0", codec.encode([1, 2, 3])])
@pytest.mark.parametrize("engine", ["raft", "pbft"])
def test_a_certificate_that_is_none_is_found(
    tmp_path: Path, engine: str, certificate: bytes
) -> None:
    founded = genesis(engine)
    build(tmp_path, founded)
    tamper(tmp_path, put(keys.certificate(2), certificate))
    assert [item.where for item in findings(tmp_path, founded)] == ["certificate of block 2"]


def test_a_forged_signature_in_a_pbft_certificate_is_found(tmp_path: Path) -> None:
    founded = genesis("pbft")
    build(tmp_path, founded)
    tamper(tmp_path, flip(keys.certificate(3)))
    assert [item.where for item in findings(tmp_path, founded)] == ["certificate of block 3"]


def test_a_checkpoint_of_another_root_or_with_a_broken_signature_is_found(
    tmp_path: Path,
) -> None:
    founded = genesis("pbft")
    build(tmp_path, founded)

    def cut(kv: LevelKV) -> None:
        note = kv.get(keys.checkpoint(3)) or b""
        lines = note.split(b"\n")
        kv.write([(keys.checkpoint(3), b"\n".join([*lines[:5], b""]))], sync=True)

    def move(kv: LevelKV) -> None:
        kv.write([(keys.checkpoint(2), kv.get(keys.checkpoint(3)))], sync=True)
        kv.write([(keys.checkpoint(9), kv.get(keys.checkpoint(3)))], sync=True)

    tamper(tmp_path, move)
    tamper(tmp_path, cut)
    told = {item.where: item.detail for item in findings(tmp_path, founded)}
    assert told["checkpoint 9"] == "above the applied height 4"
    assert "not the block's" in told["checkpoint 2"]
    assert told["checkpoint 3"] == "1 valid cosignatures, 3 needed"
    assert len(told) == 3


def test_what_is_not_this_ledger_is_refused_by_name(tmp_path: Path) -> None:
    founded = genesis()
    with pytest.raises(DataDirMissing):
        check_ledger(tmp_path / "nothing", founded)
    with Chain(tmp_path, founded) as chain:
        chain.commit()
        with pytest.raises(DataDirLocked):
            check_ledger(tmp_path, founded)
    with pytest.raises(ForeignDataDir):
        check_ledger(tmp_path, genesis("pbft"))


def test_a_directory_too_damaged_to_open_is_a_finding(tmp_path: Path) -> None:
    founded = genesis()
    build(tmp_path, founded)
    (tmp_path / "segments" / "00000001.seg").unlink()
    (found,) = findings(tmp_path, founded)
    assert found.code is Code.KV_UNREADABLE


@pytest.mark.parametrize("every", [1, 2])
def test_a_history_that_was_cut_or_began_late_is_clean(tmp_path: Path, every: int) -> None:
    founded = genesis(state_root_every=every)
    for kept_in_turn in ((2,), (0, 100), (100, 0), (100, 0, 100), (100, 1)):
        directory = tmp_path / "-".join(map(str, kept_in_turn))
        with Chain(directory, founded) as chain:
            for kept in kept_in_turn:
                chain.book = Book(chain.store, founded, history_blocks=kept)
                for _ in range(4):
                    chain.commit()
        assert findings(directory, founded) == (), kept_in_turn


@pytest.mark.parametrize("letter", [keys.STATE_WAS, keys.PAGES_WERE, keys.WAS_AT])
def test_a_flipped_byte_in_what_blocks_replaced_is_found(tmp_path: Path, letter: bytes) -> None:
    founded = genesis()
    build(tmp_path, founded)
    with Chain(tmp_path, founded) as chain:
        for _ in range(4):
            chain.commit(*[chain.tx() for _ in range(9)])
    kv = LevelKV(tmp_path / KV_NAME, create=False)
    rows = [key for key, raw in kv.scan(letter, keys.after(letter)) if raw]
    kv.close()
    for key in rows:
        tamper(tmp_path, flip(key))
        (found,) = findings(tmp_path, founded)
        assert (found.code, found.detail) == (
            Code.LEDGER_WRONG,
            "executed again: another value",
        )
        tamper(tmp_path, flip(key))
    assert rows
    assert findings(tmp_path, founded) == ()


def test_a_flipped_byte_in_patches_of_pages_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagelog, "PAGES_MAX", 4)
    founded = genesis()
    build(tmp_path, founded)
    kv = LevelKV(tmp_path / KV_NAME, create=False)
    pairs = kv.scan(keys.PAGE_LOG, keys.after(keys.PAGE_LOG))
    rows = [key for key, raw in pairs if len(raw) > 8]
    kv.close()
    for key in rows:
        tamper(tmp_path, flip(key))
        found = [item.detail for item in findings(tmp_path, founded) if "patches" in item.where]
        assert found
        assert set(found) <= {"executed again: another value", "executed again: missing"}
        tamper(tmp_path, flip(key))
    assert rows
    assert findings(tmp_path, founded) == ()


def test_a_ledger_of_the_layout_that_stored_every_page_is_clean_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    founded = genesis()
    with monkeypatch.context() as before:
        before.setattr(pagelog, "PAGES_MAX", 1)
        build(tmp_path, founded)
    kv = LevelKV(tmp_path / KV_NAME, create=False)
    unknown = [key for key, _ in kv.scan(keys.PAGE_LOG, keys.after(keys.PAGE_LOG))]
    kv.write([(key, None) for key in (*unknown, keys.PAGES)], sync=True)
    kv.close()
    for _ in range(5):
        assert findings(tmp_path, founded) == ()
        with Chain(tmp_path, founded) as chain:
            chain.commit(*[chain.tx() for _ in range(3)])
    assert findings(tmp_path, founded) == ()


def test_bounds_of_a_history_that_cannot_be_are_found(tmp_path: Path) -> None:
    founded = genesis()
    build(tmp_path, founded)
    for raw in (b"short", History(1, 1, TIP + 1).encode()):
        tamper(tmp_path, put(keys.HISTORY, raw))
        (found,) = findings(tmp_path, founded)
        assert found.where == "bounds of the history"
