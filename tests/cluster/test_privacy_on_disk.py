"""No operation of any family leaves a word or a bare hash about a person on anybody's disk.

A seeded population is fed to four real nodes through every interface; then the nodes are
stopped, and every byte of every file of each is read.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import plyvel
import pytest

from node import records
from node.cli.cluster import Cluster
from node.ledger.canon import FHIR_LEX, canonical
from node.ledger.registry import OPERATIONS
from tests.support.disk_search import (
    Searcher,
    databases,
    json_forms,
    rows_under,
    search_rows,
    search_tree,
    subtrees,
)
from tests.support.feeding import Feeder, bodies, hungry
from tests.support.population import Population

pytestmark = pytest.mark.cluster

SEED = 20_260_101


@dataclass
class Fed:
    cluster: Cluster
    feeder: Feeder
    searcher: Searcher
    desk: Path


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fed]:
    """Return a cluster that was fed and has stopped, and what to look for on its disks."""
    directory, people = tmp_path_factory.mktemp("privacy"), Population(SEED)
    with hungry(directory / "net", people) as feeder:
        cluster, given = feeder.cluster, bodies()
        feeder.post_resources()
        feeder.read()
        feeder.anchor_files(directory / "desk")
        feeder.misuse(given)
        feeder.operate(given)
        feeder.play_stories()
        feeder.everywhere()
        assert cluster.down() == 4
        yield Fed(cluster, feeder, _patterns(people, feeder), directory / "desk")


def _patterns(people: Population, feeder: Feeder) -> Searcher:
    made = Searcher()
    for word in people.words:
        made.add_text(word)
    for word in people.guessable:
        for case in {word, word.lower(), word.upper()}:
            made.add_hashes(case.encode(), f"text {word!r}")
    for at in range(len(people.patients)):
        made.add_hashes(people.letter(at), f"letter {at}")
    for tree, octets in feeder.sent:
        for raw in json_forms(tree, octets):
            made.add_hashes(raw, f"resource {tree['resourceType']}")
        for part in subtrees(tree):
            for raw in json_forms(part):
                made.add_hashes(raw, f"part {json.dumps(part)[:60]}")
    return made


# --- what was fed ---------------------------------------------------------------------------


def test_everybody_and_every_operation_reached_the_ledger(fed: Fed) -> None:
    assert len(fed.feeder.sent) == 180
    assert set(fed.feeder.fhir.values()) == {20}, "nine types about each of twenty patients"
    decided = {kind for kind, _code in fed.feeder.outcomes}
    assert set(OPERATIONS) - decided == set(), "each kind was ordered, applied or not"
    applied = {kind for kind, code in fed.feeder.outcomes if code == "applied"}
    assert len(applied) >= 100, "no time passes here: what is due later is refused, and kept"


def test_requests_full_of_words_are_refused_before_anything_is_ordered(fed: Fed) -> None:
    refused = fed.feeder.refused
    assert refused["op-malformed"] > 1000
    assert {"content-refused", "fhir-malformed", "not-found", "patient-unknown"} <= set(refused)


# --- what is on the disks -------------------------------------------------------------------


def test_no_disk_of_any_node_holds_a_word_or_a_bare_hash(fed: Fed) -> None:
    """No exceptions: what a node keeps of FHIR resources (openings, with digests of records;
    the way from identifiers to subjects) is sealed, and named by keyed hashes."""
    assert len(fed.searcher) > 100_000
    done = search_tree(fed.searcher, fed.cluster.directory)
    assert done.found == []
    assert done.files > 40
    for member in fed.cluster.members:
        stores = databases(fed.cluster.directory / member.id)
        assert stores, member.id
        for store in stores:
            rows = search_rows(fed.searcher, store)
            assert rows.found == []
            done.rows += rows.rows
    assert done.rows > 4 * 1000
    print(
        f"{done.files} files, {done.bytes} bytes, {done.rows} rows, {len(fed.searcher)} forms"
    )


def test_logs_and_stores_are_among_what_was_read(fed: Fed) -> None:
    for at, member in enumerate(fed.cluster.members):
        names = {path.name for path in (fed.cluster.directory / member.id).rglob("*")}
        assert {"node.log", "config.toml", "tokens.jsonl", "node.key", "CURRENT"} <= names
        assert "node.start" in fed.cluster.log_path(at).read_text()
        assert "local.secret" in names or at >= 2, "sealed facts of what was posted"


def test_what_a_node_keeps_of_resources_is_there_sealed_and_on_that_node_alone(
    fed: Fed,
) -> None:
    """So the digests in those openings were not found because they are sealed, not because
    nothing was kept: eight anchored types, of ten patients each, less audit events."""
    kept = [
        sum(rows_under(store, b"local/fhir-opening/") for store in databases(place))
        for place in map(fed.cluster.node_dir, range(4))
    ]
    assert kept == [10 * 7, 10 * 7, 0, 0]


def test_openings_of_anchored_files_stay_beside_the_files_that_they_open(fed: Fed) -> None:
    """The one exception: an opening names the SHA-256 of its record, exactly and in canonical
    form, or nobody could ever prove the record.  It is a file of whoever anchored, mode 0600;
    the test above shows that none of these digests is on a node's disk, its own included."""
    openings = sorted(fed.desk.rglob("*.opening*.json*"))
    kept = [item for path in openings for item in records.read_openings(path)]
    assert len(kept) == 20 + 1 + 20 * 9
    for path in openings:
        assert path.stat().st_mode & 0o77 == 0
        _size, found = fed.searcher.search(path)
        assert found
        named = [what.partition(" of ") for _where, what in found]
        assert {form for form, _, _ in named} == {"sha256 hex"}
        assert {what.split()[0] for _, _, what in named} <= {"resource", "letter"}
    letters = [fed.feeder.people.letter(at) for at in range(20)]
    digests = {item.opening.d0 for item in kept}
    assert {hashlib.sha256(raw).digest() for raw in letters} <= digests


# --- that the search can fail ---------------------------------------------------------------


def _hidden(people: Population) -> Iterator[bytes]:
    """Yield a word, and a bare hash of a laboratory value, as somebody might have kept them;
    each is written as its own codec writes it, not as the search looks for it."""
    word, value = people.patients[7].family, b"3.7 mmol/L"
    for text in (word, word.lower(), word.upper()):
        yield text.encode()
        yield text.encode("utf-16-le")
        yield text.encode().hex().encode()
        yield text.encode().hex().upper().encode()
        for before in (b"", b"x", b"xy"):
            yield base64.b64encode(before + text.encode() + b"?")
    for name in ("sha256", "sha1", "md5"):
        yield hashlib.new(name, value, usedforsecurity=False).digest()
        yield hashlib.new(name, value, usedforsecurity=False).hexdigest().encode()
    digest = hashlib.blake2b(value, digest_size=32).digest()
    yield from (digest, digest.hex().encode())
    for before in (b"", b"x", b"xy"):
        yield base64.b64encode(before + digest)
        yield base64.urlsafe_b64encode(before + digest)
    resource = people.observation(3)
    yield hashlib.sha256(json.dumps(resource).encode()).digest()
    yield hashlib.sha256(canonical(json.dumps(resource).encode(), FHIR_LEX)).digest()
    yield hashlib.sha256(json.dumps(resource["subject"]["identifier"]).encode()).digest()


def test_what_is_planted_in_a_copy_is_found_at_any_place(fed: Fed, tmp_path: Path) -> None:
    source = max(databases(fed.cluster.node_dir(0))[0].glob("*.log"), key=lambda it: it.name)
    clean = source.read_bytes()[:100_000]
    copy = tmp_path / "copy"
    for number, raw in enumerate(_hidden(fed.feeder.people)):
        at = (number * 4099) % (len(clean) + 1)
        copy.write_bytes(clean[:at] + raw + clean[at:])
        assert fed.searcher.search(copy)[1], (number, raw)
    copy.write_bytes(clean)
    assert fed.searcher.search(copy) == (len(clean), [])


def test_a_word_in_a_file_name_or_cut_by_a_block_of_the_store_is_found(
    fed: Fed, tmp_path: Path
) -> None:
    word = fed.feeder.people.patients[7].mrn
    (tmp_path / f"export-{word}.bin").write_bytes(b"")
    assert len(search_tree(fed.searcher, tmp_path).found) > 0
    where = tmp_path / "store"
    with closing(plyvel.DB(str(where), create_if_missing=True, compression=None)) as database:
        # Cut by the end of a block of the log, wherever the header of the record ends.
        for shift in range(len(word)):
            database.put(b"%d" % shift, bytes(32_700 + shift) + word.encode() + bytes(40))
    assert search_rows(fed.searcher, where).found
