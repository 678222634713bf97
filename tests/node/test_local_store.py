"""Local facts: sealed, under blind names, whole or not at all; patients and their tags."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.errors import ChartsealError
from node.fhir.patient import Identifier
from node.ledger import subject as tags
from node.local_store import Fact, LocalStore
from node.patients import Known, Patients, Person
from storage.errors import Corrupt
from storage.store import Store

NETWORK = bytes(32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "ledger", network=NETWORK, create=True) as made:
        yield made


@pytest.fixture
def local(store: Store, tmp_path: Path) -> LocalStore:
    return LocalStore(store, tmp_path)


def test_a_fact_is_kept_replaced_and_forgotten(local: LocalStore) -> None:
    assert local.get("k", b"a", Known) is None
    local.write([Fact("k", b"a", Known(b"one")), Fact("k", b"b", Known(b"two"))])
    assert local.get("k", b"a", Known) == Known(b"one")
    local.write([Fact("k", b"a", Known(b"three")), Fact("k", b"b", None)])
    assert local.get("k", b"a", Known) == Known(b"three")
    assert local.get("k", b"b", Known) is None
    assert local.get("other", b"a", Known) is None


def test_facts_survive_a_restart_with_their_secret_only(tmp_path: Path) -> None:
    for start in range(2):
        with Store.open(tmp_path / "ledger", network=NETWORK, create=True) as store:
            local = LocalStore(store, tmp_path)
            if start:
                assert local.get("k", b"a", Known) == Known(b"one")
            local.write([Fact("k", b"a", Known(b"one"))])
    (tmp_path / "local.secret").write_text("00" * 32)
    with Store.open(tmp_path / "ledger", network=NETWORK) as store:
        with pytest.raises(ChartsealError, match="not the secret"):
            LocalStore(store, tmp_path).get("k", b"a", Known)
        (tmp_path / "local.secret").write_text("short")
        with pytest.raises(ChartsealError, match="32 bytes"):
            LocalStore(store, tmp_path).get("k", b"a", Known)


def test_a_value_under_another_name_does_not_open(local: LocalStore, store: Store) -> None:
    local.write([Fact("k", b"a", Known(b"one")), Fact("k", b"b", Known(b"two"))])
    first, second = (b"local/k/" + local.blind("k", name) for name in (b"a", b"b"))
    store.meta_put(second, store.meta_get(first))
    with pytest.raises(Corrupt):
        local.get("k", b"b", Known)


def test_names_say_nothing_and_differ_by_kind(local: LocalStore, store: Store) -> None:
    local.write([Fact("k", b"a name", Known(b"a value"))])
    assert local.blind("k", b"a name") != local.blind("l", b"a name")
    everything = b"".join(key + value for key, value in store.scan_all())
    assert b"a name" not in everything
    assert b"a value" not in everything


def test_identifiers_of_one_patient_lead_to_one_subject(local: LocalStore) -> None:
    patients = Patients(local)
    first, second = Identifier("urn:x", "1"), Identifier("urn:y", "1")
    subject, new = patients.register([first])
    assert (len(subject), new) == (32, True)
    assert patients.register([second, first]) == (subject, False)
    assert patients.find(second) == subject
    assert patients.find(Identifier("urn:x", "2")) is None
    assert patients.find(Identifier("urn", ":x1")) is None
    other, _new = patients.register([Identifier("", "3")])
    with pytest.raises(ChartsealError, match="patient-ambiguous") as caught:
        patients.register([first, Identifier("", "3")])
    assert "urn:x" not in json.dumps(str(caught.value))
    assert patients.knows(other)
    assert not patients.knows(bytes(32))


def test_a_tag_is_spent_once_it_is_written(local: LocalStore) -> None:
    patients = Patients(local)
    subject, _new = patients.register([Identifier("", "1")])
    made, facts = patients.spend(subject, 2)
    assert patients.spend(subject, 2)[0] == made  # nothing was written, nothing is spent
    local.write(facts)
    after, _facts = patients.spend(subject, 1)
    person = local.get("patient", subject, Person)
    assert person is not None
    assert [*made, *after] == list(tags.tags(person.secret, count=3))


def test_identifiers_are_read_as_fhir_writes_them() -> None:
    assert Identifier.read("urn:x|7") == Identifier("urn:x", "7")
    assert Identifier.read("7") == Identifier.read("|7") == Identifier("", "7")
    for wrong in ("urn:x|", "", "a|" + "b" * 257):
        with pytest.raises(ValueError, match="identifier"):
            Identifier.read(wrong)
