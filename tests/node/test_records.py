"""Records as files: exact octets, safe openings, tags used once, errors without content."""

import json
import stat
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import wire
from node import record_files, records
from node.errors import ChartsealError
from node.ledger import merkle, subject
from node.ledger.commitment import Anchored, Status, Verdict, judge, opening_to_text
from node.ledger.families.record import Amend, Anchor, Batch
from node.ledger.transaction import Op, Payload, Transaction, TxId
from node.record_files import Source

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(alphabet="ab\"\\{}[],: ", max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def _source(raw: bytes, name: str = "a.json") -> Source:
    return Source(name, lambda: raw)


def _kept(raw: bytes = b"{}", name: str = "a.json") -> records.Kept:
    return records.commit_to(_source(raw, name), forced=None)


def _transaction(*ops: Op) -> Transaction:
    return Transaction(b"", TxId(bytes(32)), Payload(bytes(32), "a", 1, bytes(8), ops), ())


# --- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "raw", "media"),
    [
        ("a.json", b'{"resourceType":"Patient"}', "application/fhir+json"),
        ("a.json", b'{"kind":"Patient"}', "application/json"),
        ("a.JSON", b"[]", "application/json"),
        ("a.dcm", b"\x00", "application/dicom"),
        ("a.pdf", b"%PDF", "application/pdf"),
        ("a.hl7", b"MSH|", "application/hl7-v2"),
        ("a", b"{}", "application/octet-stream"),
        ("line 3", b'{"resourceType":"Patient"}', "application/fhir+json"),
        ("b.json#entry[0]", b'{"resourceType":"Patient"}', "application/fhir+json"),
    ],
)
def test_the_media_type_comes_from_ending_and_resource_type(name, raw, media) -> None:
    assert record_files.media_type_of(name, raw) == media


@given(
    st.lists(json_values, max_size=4),
    st.sampled_from([(None, None), (1, None), (2, (" , ", " :\n"))]),
)
def test_entries_of_a_bundle_are_the_octets_that_stand_in_it(resources, form) -> None:
    indent, separators = form
    bundle = {
        "note]": "}{",
        "resourceType": "Bundle",
        "entry": [{"fullUrl": "\"]}", "resource": item, "x": [1]} for item in resources],
        "z": None,
    }  # fmt: skip
    raw = json.dumps(bundle, indent=indent, separators=separators, ensure_ascii=False).encode()
    found = record_files.bundle_entries(raw)
    assert [number for number, _ in found] == list(range(len(resources)))
    assert [json.loads(piece) for _, piece in found] == resources
    for _, piece in found:
        assert piece in raw
        assert piece == piece.strip()


def test_numbers_of_any_length_do_not_disturb_the_entries() -> None:
    long = b'{"resourceType":"X","v":' + b"7" * 5000 + b"}"
    raw = b'{"resourceType":"Bundle","entry":[{"resource":' + long + b"}]}"
    assert record_files.bundle_entries(raw) == [(0, long)]


@pytest.mark.parametrize("raw", [b"[]", b"{", b'{"resourceType":"Patient"}', b"\xff",
                                 b'{"resourceType":"Bundle","entry":{}}'])  # fmt: skip
def test_what_is_no_bundle_is_refused_without_quoting(raw) -> None:
    with pytest.raises(ChartsealError) as caught:
        record_files.bundle_entries(raw)
    assert caught.value.code == "content-refused"


def test_a_directory_gives_its_files_in_order_without_ours_and_hidden_ones(tmp_path) -> None:
    for name in ("b.json", "sub/a.json", ".hidden", ".git/x", "b.json.opening.json",
                 "k.openings.jsonl", "b.tlog-proof"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    names = [item.name for item in record_files.sources(tmp_path, split_bundles=False)]
    assert names == ["b.json", "sub/a.json"]


def test_reading_is_bounded_and_names_the_place_only(tmp_path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"secret")
    with pytest.raises(ChartsealError) as caught:
        record_files.read_bytes(path, bytes_max=5)
    assert caught.value.code == "body-too-large"
    assert "secret" not in str(caught.value)
    with pytest.raises(ChartsealError, match="file-unreadable"):
        record_files.read_bytes(tmp_path)


# --- committing -----------------------------------------------------------------------------


def test_every_commitment_is_fresh_and_opens_its_content() -> None:
    first, second = _kept(b'{"a":1}'), _kept(b'{"a":1}')
    assert first.commitment != second.commitment
    anchored = Anchored(first.commitment, Status.LIVE)
    assert judge(b'{"a":1}', first.opening, anchored) is Verdict.EXACT
    assert judge(b'{"a": 1}', first.opening, anchored) is Verdict.SAME_MEANING


def test_a_batch_holds_the_commitments_in_order_under_their_root() -> None:
    kept = [_kept(b"%d" % number) for number in range(5)]
    items, (op,) = records.as_batch(kept)
    batch = wire.from_plain(Batch, op["body"])
    leaves = [item.commitment for item in kept]
    assert records.leaves_of(batch) == leaves
    assert batch.root == merkle.root([merkle.leaf_hash(leaf) for leaf in leaves])
    assert {item.batch_root for item in items} == {batch.root}
    assert records.operations_of(items) == [op]


def test_anchors_carry_their_tags_and_can_be_formed_again() -> None:
    kept, ops = records.as_anchors([_kept(), _kept()], [b"a" * 16, b"b" * 16])
    anchors = [wire.from_plain(Anchor, op["body"]) for op in ops]
    assert [item.tag for item in anchors] == [b"a" * 16, b"b" * 16]
    assert [item.commitment for item in anchors] == [item.commitment for item in kept]
    assert records.operations_of(kept) == ops


def test_a_transaction_shows_every_commitment_that_it_anchors() -> None:
    tag = bytes(16)
    anchor, newer = Anchor(b"a" * 32, tag, 2), Anchor(b"n" * 32, tag, 2)
    batch = Batch(bytes(32), 2, b"b" * 32 + b"c" * 32)
    tx = _transaction(
        Op("record.anchor", wire.to_value(anchor)),
        Op("record.amend", wire.to_value(Amend(b"o" * 32, newer, "amended"))),
        Op("record.batch", wire.to_value(batch)),
        Op("record.retract", [b"r" * 32, None]),
        Op("record.anchor", []),
    )
    assert records.commitments_in(tx) == {c * 32 for c in (b"a", b"n", b"b", b"c")}


# --- tags -----------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("cd" * 32)
    path.chmod(0o600)
    return path


def test_tags_go_on_where_the_last_ones_ended(secret, tmp_path) -> None:
    counter = tmp_path / "counter"
    got = records.spend_tags(secret, counter, 2) + records.spend_tags(secret, counter, 3)
    assert got == list(subject.tags(b"\xcd" * 32, start=0, count=5))
    assert counter.read_text() == "5\n"
    assert stat.S_IMODE(counter.stat().st_mode) == 0o600


def test_writers_that_share_a_counter_never_use_an_index_twice(secret, tmp_path) -> None:
    with ThreadPool(8) as pool:
        many = pool.map(
            lambda _: records.spend_tags(secret, tmp_path / "counter", 3), range(16)
        )
    assert len({tag for tags in many for tag in tags}) == 48


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31])
def test_what_is_no_secret_is_refused_without_quoting(secret, tmp_path, text) -> None:
    secret.write_text(text)
    with pytest.raises(ChartsealError) as caught:
        records.spend_tags(secret, tmp_path / "counter", 1)
    assert caught.value.code == "keystore-malformed"
    assert not text or text not in str(caught.value)
    assert not (tmp_path / "counter").exists()


def test_a_damaged_counter_stops_rather_than_start_again(secret, tmp_path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("-1")
    counter.chmod(0o600)
    with pytest.raises(ChartsealError, match="keystore-malformed"):
        records.spend_tags(secret, counter, 1)


# --- files of openings ----------------------------------------------------------------------


def test_openings_come_back_as_they_were_kept(tmp_path) -> None:
    items, _ = records.as_batch([_kept(name="ä b"), _kept()])
    tagged, _ = records.as_anchors([_kept()], [bytes(16)])
    path = tmp_path / "x.openings.jsonl"
    records.write_openings(path, [*items, *tagged])
    assert records.read_openings(path) == [*items, *tagged]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_a_file_of_openings_is_never_replaced(tmp_path) -> None:
    path = tmp_path / "a.opening.json"
    records.write_openings(path, [_kept()])
    before = path.read_bytes()
    with pytest.raises(ChartsealError, match="exists-already"):
        records.write_openings(path, [_kept()])
    assert path.read_bytes() == before


def test_a_bare_opening_is_read_too(tmp_path) -> None:
    kept = _kept()
    path = tmp_path / "scan.json.opening.json"
    path.write_text(opening_to_text(kept.opening))
    (read,) = records.read_openings(path)
    assert (read.name, read.opening, read.tag) == ("scan.json", kept.opening, None)


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_as_no_opening(tmp_path_factory, raw) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.opening.json"
    path.write_bytes(raw)
    with pytest.raises(ChartsealError, match="opening-invalid"):
        records.read_openings(path)


@pytest.mark.parametrize(
    "member", ["format", "name", "commitment", "tag", "batch_root", "opening"]
)
def test_a_member_that_lacks_or_lies_is_refused(tmp_path, member) -> None:
    row = json.loads(records.openings_text([_kept()]))
    path = tmp_path / "a.opening.json"
    for spoiled in ({k: v for k, v in row.items() if k != member}, row | {member: 5}):
        path.write_text(json.dumps(spoiled))
        with pytest.raises(ChartsealError, match="opening-invalid"):
            records.read_openings(path)
