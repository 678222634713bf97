"""Genesis byte for byte: its digest is the network's name, so no reading may be ambiguous."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger.genesis import (
    Genesis,
    GenesisInvalid,
    Institution,
    Parameters,
    members_digest,
)
from tests.support.ledger import genesis, institution, key
from tests.vectors import make_formats

VECTORS = Path(make_formats.__file__).parent
FOUNDED = make_formats.golden_genesis()


def golden() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / "genesis.json").read_text())
    return loaded


def test_the_golden_file_is_what_the_generator_makes() -> None:
    assert (VECTORS / "genesis.json").read_text() == make_formats.files()["genesis.json"]


def test_the_network_is_the_tagged_hash_of_the_canonical_bytes() -> None:
    raw = bytes.fromhex(golden()["genesis"])
    network = hashlib.sha256(b"chartseal/genesis/v1\0" + raw).hexdigest()
    assert golden()["network"] == network == FOUNDED.network.hex()
    assert golden()["origin"] == f"chartseal/golden/{network[:16]}"
    assert Genesis.decode(raw) == FOUNDED
    assert FOUNDED.encode() == raw


def test_the_members_digest_covers_epoch_ids_and_voting_keys() -> None:
    (alder,) = FOUNDED.validators
    rows = [["alder", alder.consensus_key, alder.cosigner_key]]
    plain = msgpack.packb([0, rows], use_bin_type=True)
    expected = hashlib.sha256(b"chartseal/members/v1\0" + plain).hexdigest()
    assert golden()["members_digest"] == expected
    assert members_digest(1, FOUNDED.validators).hex() != expected
    moved = replace(alder, consensus_key=bytes(32))
    assert members_digest(0, (moved,)).hex() != expected


def test_only_validators_are_voters() -> None:
    assert [item.id for item in genesis().validators] == ["alder", "birch", "cedar", "dogwood"]


ALDER = institution("alder")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"id": "Alder"}, "id must match"),
        ({"id": ""}, "id must match"),
        ({"id": "-a"}, "id must match"),
        ({"id": "a" * 64}, "id must match"),
        ({"name": ""}, "name must have"),
        ({"name": "n" * 201}, "name must have"),
        ({"roles": ("doctor",)}, "roles"),
        ({"roles": ("payer", "author")}, "roles"),
        ({"roles": ("author", "author")}, "roles"),
        ({"identity_key": bytes(31)}, "32 bytes"),
        ({"encryption_key": b""}, "32 bytes"),
    ],
)
def test_an_institution_keeps_its_rules(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replace(ALDER, **change)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"block_transactions_max": 0}, "block_transactions_max"),
        ({"block_transactions_max": 8193}, "block_transactions_max"),
        ({"block_bytes_max": (1 << 17) - 1}, "block_bytes_max"),
        ({"block_bytes_max": (1 << 21) + 1}, "block_bytes_max"),
        ({"state_root_every": 0}, "state_root_every"),
        ({"expires_heights_max": 0}, "expires_heights_max"),
        ({"request_ms": 9}, "timeouts"),
        ({"view_change_ms": 600_001}, "timeouts"),
        ({"heartbeat_ms": 600, "election_ms": 1000}, "twice heartbeat"),
    ],
)
def test_parameters_keep_their_ranges(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Parameters(**change)


def test_the_largest_transaction_fits_the_smallest_block() -> None:
    smallest = Parameters(block_bytes_max=1 << 17)
    assert smallest.block_bytes_max > 65_535 + 5 + 1024


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 2}, "version"),
        ({"name": "Two words"}, "name"),
        ({"engine": "paxos"}, "engine"),
        ({"institutions": ()}, "validator"),
        ({"institutions": (institution("payer", validator=False),)}, "validator"),
        ({"institutions": (institution("birch"), institution("alder"))}, "ascending"),
        ({"institutions": (institution("alder"), institution("alder"))}, "unique"),
    ],
)
def test_a_genesis_does_not_contradict_itself(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replace(FOUNDED, **change)


@pytest.mark.parametrize("first", ["identity_key", "consensus_key", "cosigner_key"])
@pytest.mark.parametrize("second", ["identity_key", "consensus_key", "cosigner_key"])
def test_a_signing_key_is_used_once_across_members_and_uses(first: str, second: str) -> None:
    shared: Any = key("shared").public_key
    alder = replace(institution("alder"), **{first: shared})
    birch = replace(institution("birch"), **{second: shared})
    with pytest.raises(ValueError, match="used once"):
        replace(FOUNDED, institutions=(alder, birch))


@pytest.mark.parametrize("raw", [b"", b"\xc0", FOUNDED.encode()[:-1], FOUNDED.encode() + b"\0"])
def test_what_is_no_genesis_is_refused(raw: bytes) -> None:
    with pytest.raises(GenesisInvalid):
        Genesis.decode(raw)


def test_broken_rules_are_refused_when_decoded_too() -> None:
    plain = msgpack.unpackb(FOUNDED.encode())
    plain[3] = "paxos"
    with pytest.raises(GenesisInvalid, match="engine"):
        Genesis.decode(msgpack.packb(plain, use_bin_type=True))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_invalid(raw: bytes) -> None:
    with pytest.raises(GenesisInvalid):
        Genesis.decode(raw)


@given(st.integers(0, len(FOUNDED.encode()) - 1), st.integers(1, 255))
def test_a_changed_genesis_is_another_network_or_none(at: int, mask: int) -> None:
    raw = bytearray(FOUNDED.encode())
    raw[at] ^= mask
    try:
        read = Genesis.decode(bytes(raw))
    except GenesisInvalid:
        return
    assert read.encode() == bytes(raw)
    assert read.network != FOUNDED.network


def test_an_institution_keeps_its_field_order() -> None:
    """The order is the wire format; a new field goes to the end of a new version."""
    assert list(Institution.__dataclass_fields__) == [
        "id",
        "name",
        "roles",
        "identity_key",
        "consensus_key",
        "cosigner_key",
        "encryption_key",
        "validator",
    ]
