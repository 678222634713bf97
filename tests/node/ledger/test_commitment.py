"""Commitments: the formula by vectors, every verdict by example, openings as bytes and text."""

import dataclasses
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.codec import Malformed
from node.ledger.canon import DICOM, FHIR_LEX, JCS, RAW, CanonRefused, Reason
from node.ledger.commitment import (
    OPENING_BYTES_MAX,
    STATUS_WORDS,
    VERDICT_WORDS,
    Anchored,
    Opening,
    Status,
    Verdict,
    commitment,
    decode_opening,
    encode_opening,
    judge,
    open_record,
    opening_from_text,
    opening_to_text,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors/canon.json").read_text(encoding="ascii")
)["commitments"]
R = bytes(range(32))
RAW_OBSERVATION: bytes = VECTORS[0]["raw"].encode()

hashes = st.binary(min_size=32, max_size=32)
openings = st.builds(
    Opening,
    version=st.just(1),
    canon=st.integers(0, 255),
    media_type_id=st.integers(1, 65535),
    r=hashes,
    d1=hashes,
    d0=hashes,
)


def observation(canon: int = FHIR_LEX) -> Opening:
    return open_record(RAW_OBSERVATION, media_type="application/fhir+json", r=R, canon=canon)


def anchored(opening: Opening, status: Status = Status.LIVE) -> Anchored:
    newer = bytes(32) if status is Status.AMENDED else None
    return Anchored(commitment(opening), status, newer)


@pytest.mark.parametrize("row", VECTORS, ids=[row["name"] for row in VECTORS])
def test_openings_and_commitments_are_the_pinned_ones(row: dict[str, Any]) -> None:
    media = {1: "application/fhir+json", 6: "text/plain"}[row["media_type_id"]]
    opening = open_record(row["raw"].encode(), media_type=media, r=bytes.fromhex(row["r"]))
    assert opening.canon == row["canon"]
    assert (opening.d1.hex(), opening.d0.hex()) == (row["d1"], row["d0"])
    assert encode_opening(opening).hex() == row["opening"]
    assert decode_opening(bytes.fromhex(row["opening"])) == opening
    assert commitment(opening).hex() == row["commitment"]


# --- opening a record ---------------------------------------------------------------------


def test_the_default_form_is_that_of_the_media_type_and_may_be_overridden() -> None:
    for media, form in [
        ("application/fhir+json; fhirVersion=4.0", FHIR_LEX),
        ("application/json", FHIR_LEX),
        ("application/dicom", DICOM),
        ("application/pdf", RAW),
    ]:
        opening = open_record(b"{ }", media_type=media, r=R)
        assert opening.canon == form
        assert opening.d0 == sha256(b"{ }").digest()
        assert opening.d1 == sha256(b"{}" if form == FHIR_LEX else b"{ }").digest()
    assert open_record(b"{", media_type="application/json", r=R, canon=RAW).canon == RAW


def test_a_document_without_canonical_form_is_not_opened() -> None:
    for raw, media, canon, reason in [
        (b"{", "application/json", None, Reason.SYNTAX),
        (b"{}", "video/mp4", None, Reason.MEDIA_TYPE),
        (b"{}", "application/json", 3, Reason.CANON_UNSUPPORTED),
        (b"{}", "application/json", 9, Reason.CANON_UNKNOWN),
    ]:
        with pytest.raises(CanonRefused) as caught:
            open_record(raw, media_type=media, r=R, canon=canon)
        assert caught.value.reason is reason


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_the_random_part_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        open_record(b"x", media_type="text/plain", r=bytes(size))


def test_every_field_of_an_opening_moves_the_commitment() -> None:
    opening = observation()
    flipped = bytes(32)
    changes: list[dict[str, Any]] = [
        {"canon": JCS},
        {"media_type_id": 2},
        {"media_type_id": 257},
        {"r": flipped},
        {"d1": flipped},
        {"d0": flipped},
        {"d1": opening.d0, "d0": opening.d1},
    ]
    seen = {commitment(dataclasses.replace(opening, **change)) for change in changes}
    assert len(seen | {commitment(opening)}) == len(changes) + 1


def test_one_document_under_two_random_values_shows_no_relation() -> None:
    other = open_record(RAW_OBSERVATION, media_type="application/fhir+json", r=bytes(32))
    assert other.d0 == observation().d0
    assert commitment(other) != commitment(observation())


# --- verdicts -----------------------------------------------------------------------------


def reserialised(**changes: Any) -> bytes:
    text = RAW_OBSERVATION.decode().replace("4.10", '"4.10"')  # keep the lexeme over json
    document = dict(reversed((json.loads(text) | changes).items()))
    return json.dumps(document, indent=3).replace('"4.10"', "4.10").encode()


def test_the_same_octets_are_exact() -> None:
    assert judge(RAW_OBSERVATION, observation(), anchored(observation())) is Verdict.EXACT


@pytest.mark.parametrize(
    "copy",
    [
        reserialised(),
        reserialised(meta={"versionId": "8", "source": "other server"}),
        reserialised(text={"status": "generated", "div": "<div>rewritten</div>"}),
        RAW_OBSERVATION.replace(b"\n", b"\r\n\t"),
        RAW_OBSERVATION.replace(b"Potassium", b"Pot\\u0061ssium"),
    ],
    ids=["key order and white space", "meta", "narrative", "line ends", "escapes"],
)
@pytest.mark.parametrize("canon", [JCS, FHIR_LEX])
def test_a_copy_that_a_server_wrote_again_has_the_same_meaning(copy: bytes, canon: int) -> None:
    assert copy != RAW_OBSERVATION
    opening = observation(canon)
    assert judge(copy, opening, anchored(opening)) is Verdict.SAME_MEANING


@pytest.mark.parametrize(
    "copy",
    [
        RAW_OBSERVATION.replace(b"4.10", b"4.11"),
        RAW_OBSERVATION.replace(b"2823-3", b"2823-4"),
        RAW_OBSERVATION.replace(b'"text": "Potassium"', b'"text": "Sodium"'),
        RAW_OBSERVATION.replace(b'"k-1"', b'"k-2"'),
        RAW_OBSERVATION.replace(b"final", b"final "),
        RAW_OBSERVATION[:-1],
        b"",
        b"\xff",
    ],
    ids=["digit", "code", "code text", "id", "blank", "cut short", "empty", "not UTF-8"],
)
@pytest.mark.parametrize("canon", [RAW, JCS, FHIR_LEX])
def test_one_changed_digit_is_altered(copy: bytes, canon: int) -> None:
    opening = observation(canon)
    assert judge(copy, opening, anchored(opening)) is Verdict.ALTERED


def test_a_changed_precision_is_altered_unless_rfc_8785_was_chosen() -> None:
    copy = RAW_OBSERVATION.replace(b"4.10", b"4.1")
    for canon, verdict in [(FHIR_LEX, Verdict.ALTERED), (JCS, Verdict.SAME_MEANING)]:
        opening = observation(canon)
        assert judge(copy, opening, anchored(opening)) is verdict


def test_what_the_ledger_does_not_hold_is_unknown() -> None:
    opening = observation()
    other = dataclasses.replace(opening, r=bytes(32))
    assert judge(RAW_OBSERVATION, opening, None) is Verdict.UNKNOWN
    assert judge(RAW_OBSERVATION, other, anchored(opening)) is Verdict.UNKNOWN
    assert judge(RAW_OBSERVATION, None, anchored(opening)) is Verdict.UNKNOWN
    assert judge(None, opening, anchored(opening)) is Verdict.UNKNOWN
    assert judge(None, None, None) is Verdict.UNKNOWN


def test_an_erased_record_is_erased_even_if_somebody_kept_a_copy() -> None:
    opening = observation()
    erased = anchored(opening, Status.ERASED)
    assert judge(None, None, erased) is Verdict.ERASED
    assert judge(RAW_OBSERVATION, None, erased) is Verdict.ERASED
    assert judge(RAW_OBSERVATION, opening, erased) is Verdict.ERASED
    stranger = dataclasses.replace(opening, r=bytes(32))
    assert judge(RAW_OBSERVATION, stranger, erased) is Verdict.UNKNOWN


@pytest.mark.parametrize("status", [Status.AMENDED, Status.RETRACTED])
def test_amended_and_retracted_records_are_judged_like_live_ones(status: Status) -> None:
    opening = observation()
    assert judge(RAW_OBSERVATION, opening, anchored(opening, status)) is Verdict.EXACT
    assert judge(b"{}", opening, anchored(opening, status)) is Verdict.ALTERED


def test_a_form_this_node_cannot_compute_is_unknown_and_not_an_accusation() -> None:
    for canon in (3, 200):
        newer = dataclasses.replace(observation(), canon=canon)
        assert judge(RAW_OBSERVATION, newer, anchored(newer)) is Verdict.EXACT
        assert judge(reserialised(), newer, anchored(newer)) is Verdict.UNKNOWN
    opening = observation()
    assert judge(reserialised(), opening, anchored(opening), size_max=9) is Verdict.UNKNOWN


def test_only_an_amended_record_names_its_successor() -> None:
    successor = bytes(32)
    for status in Status:
        matching = successor if status is Status.AMENDED else None
        assert Anchored(bytes(32), status, matching).superseded_by == matching
        with pytest.raises(ValueError, match="superseded_by"):
            Anchored(bytes(32), status, None if matching else successor)
    with pytest.raises(ValueError, match="32 bytes"):
        Anchored(bytes(31), Status.LIVE)
    with pytest.raises(ValueError, match="32 bytes"):
        Anchored(bytes(32), Status.AMENDED, bytes(31))


@given(hashes, st.binary(max_size=60), st.binary(max_size=60))
def test_octet_forms_know_exact_and_altered_only(r: bytes, raw: bytes, copy: bytes) -> None:
    opening = open_record(raw, media_type="application/octet-stream", r=r)
    verdict = judge(copy, opening, anchored(opening))
    assert verdict is (Verdict.EXACT if copy == raw else Verdict.ALTERED)


# --- openings as bytes and as text --------------------------------------------------------


@given(openings)
def test_openings_survive_bytes_and_text(opening: Opening) -> None:
    encoded = encode_opening(opening)
    assert len(encoded) <= OPENING_BYTES_MAX
    assert decode_opening(encoded) == opening
    assert opening_from_text(opening_to_text(opening)) == opening


def test_the_text_of_an_opening_names_its_fields() -> None:
    assert json.loads(opening_to_text(observation())) == {
        "version": 1,
        "canon": 2,
        "media_type_id": 1,
        "r": R.hex(),
        "d1": VECTORS[0]["d1"],
        "d0": VECTORS[0]["d0"],
    }


@given(st.binary(max_size=300), openings, st.integers(0, 120), st.integers(0, 255))
def test_a_damaged_opening_is_malformed_or_another_opening_and_nothing_else_escapes(
    noise: bytes, opening: Opening, at: int, byte: int
) -> None:
    damaged = bytearray(encode_opening(opening))
    damaged[at % len(damaged)] = byte
    for raw in (noise, bytes(damaged)):
        try:
            assert encode_opening(decode_opening(raw)) == raw
        except Malformed:
            continue


@given(st.text(max_size=60) | st.text('{}[]":,0123456789abcdefnul.-', max_size=60))
def test_arbitrary_text_is_no_opening(text: str) -> None:
    with pytest.raises(Malformed):
        opening_from_text(text)


def test_near_misses_of_an_opening_are_malformed() -> None:
    good = json.loads(opening_to_text(observation()))
    text = json.dumps(good)
    near = [
        json.dumps(good | change)
        for change in (
            {"version": 2},
            {"canon": 256},
            {"canon": -1},
            {"canon": True},
            {"media_type_id": 0},
            {"media_type_id": 65536},
            {"r": "00" * 31},
            {"d1": "00" * 33},
            {"d0": "zz" * 32},
            {"more": 1},
        )
    ]
    near += [text[:-1], text + " " * 1024, text[:-1] + ', "r": "' + R.hex() + '"}', "[" * 1000]
    near.append(json.dumps({name: value for name, value in good.items() if name != "r"}))
    for candidate in near:
        with pytest.raises(Malformed) as caught:
            opening_from_text(candidate)
        assert R.hex() not in str(caught.value)


# --- words --------------------------------------------------------------------------------


def test_every_verdict_and_status_has_words_in_english_and_chinese() -> None:
    assert set(VERDICT_WORDS) == set(STATUS_WORDS) == {"en", "zh"}
    for language in ("en", "zh"):
        for words, closed_set in [
            (VERDICT_WORDS[language], Verdict),
            (STATUS_WORDS[language], Status),
        ]:
            assert set(words) == set(closed_set)
            assert len(set(words.values())) == len(words)
            for sentence in words.values():
                assert sentence.endswith("." if language == "en" else "\u3002")
                assert sentence.isascii() == (language == "en")
