"""Canonical forms: pinned vectors, an independent strict reader, both roads of one form."""

import importlib.util
import json
import json.scanner
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.ledger import canon
from node.ledger.canon import (
    DEPTH_MAX,
    DICOM,
    FHIR_LEX,
    JCS,
    JSON_BYTES_MAX,
    MEDIA_TYPES,
    RAW,
    CanonRefused,
    Reason,
    canonical,
    media_type,
    media_type_by_id,
    read_json,
)

TESTS = Path(__file__).parents[2]
VECTORS = json.loads((TESTS / "vectors/canon.json").read_text(encoding="ascii"))
JCS_PAIRS = TESTS.parents[1] / "shared/data/vectors/jcs"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


jcs = load(TESTS / "conformance/jcs.py")


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [str(row["name"]) for row in rows]


# --- vectors ------------------------------------------------------------------------------


def test_the_vector_file_is_what_its_generator_writes() -> None:
    generator = load(TESTS / "vectors/make_canon.py")
    assert (TESTS / "vectors/canon.json").read_text(encoding="ascii") == generator.build()


@pytest.mark.parametrize("row", VECTORS["forms"], ids=names(VECTORS["forms"]))
def test_canonical_form_is_the_pinned_one_and_canonicalising_it_changes_nothing(
    row: dict[str, Any],
) -> None:
    form = canonical(row["raw"].encode(), row["canon"])
    assert form == row["canonical"].encode()
    assert canonical(form, row["canon"]) == form


@pytest.mark.parametrize("row", VECTORS["refusals"], ids=names(VECTORS["refusals"]))
def test_ambiguous_documents_are_refused_with_their_reason(row: dict[str, Any]) -> None:
    with pytest.raises(CanonRefused) as caught:
        canonical(bytes.fromhex(row["raw_hex"]), row["canon"])
    assert caught.value.reason is Reason(row["reason"])


def test_public_rfc_8785_pairs() -> None:
    if not JCS_PAIRS.is_dir():
        pytest.skip("the public RFC 8785 pairs (../shared/data/vectors/jcs) are not here")
    pairs = sorted((JCS_PAIRS / "input").iterdir())
    assert len(pairs) >= 6
    for pair in pairs:
        output = (JCS_PAIRS / "output" / pair.name).read_bytes()
        assert jcs.check_pair(pair.read_bytes(), output), pair.name
        assert not jcs.check_pair(pair.read_bytes(), output + b"\n")
    assert not jcs.check_pair(b"[NaN]", b"[NaN]")


@pytest.mark.parametrize(
    "row", VECTORS["doubles"], ids=[row["bits"] for row in VECTORS["doubles"]]
)
def test_doubles_print_as_ecmascript_prints_them(row: dict[str, str]) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(row["bits"]))
    assert canonical(repr(value).encode(), JCS) == row["printed"].encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_printed_doubles_read_back_and_print_the_same(value: float) -> None:
    printed = canonical(repr(value).encode(), JCS)
    assert float(printed) == value
    assert canonical(printed, JCS) == printed


@given(st.integers(-(10**25), 10**25))
@example(10**18)
@example(2**53 + 1)
def test_an_integer_is_printed_exactly_or_refused(value: int) -> None:
    assert canonical(str(value).encode(), FHIR_LEX) == str(value).encode()
    try:
        printed = canonical(str(value).encode(), JCS)
    except CanonRefused:
        assert abs(value) > 2**53
    else:
        mantissa, _, exponent = printed.decode().partition("e")
        whole, _, fraction = mantissa.partition(".")
        assert int(whole + fraction) * 10 ** (int(exponent or 0) - len(fraction)) == value


# --- what the forms mean ------------------------------------------------------------------


def test_decimal_precision_counts_in_the_lexeme_form_only() -> None:
    one, two = b'{"value":1.0}', b'{"value":1.00}'
    assert canonical(one, FHIR_LEX) != canonical(two, FHIR_LEX)
    assert canonical(one, JCS) == canonical(two, JCS)


@pytest.mark.parametrize("form", [JCS, FHIR_LEX])
def test_only_meta_and_text_of_resources_may_change_unnoticed(form: int) -> None:
    def document(meta: int, text: str, note: str) -> bytes:
        patient = {"resourceType": "Patient", "meta": {"v": meta}, "text": {"div": text}}
        condition = {"code": {"text": note}, "contained": [dict(patient)]}
        condition |= {"resourceType": "Condition", "meta": {"v": meta}}
        entries = [{"resource": patient}, {"resource": condition}]
        return json.dumps({"resourceType": "Bundle", "entry": entries}).encode()

    base = canonical(document(1, "a", "flu"), form)
    assert canonical(document(2, "b", "flu"), form) == base
    assert canonical(document(1, "a", "flux"), form) != base
    assert b'"meta"' not in base


@pytest.mark.parametrize("kind", ['"basic"', '""', "5", "null", '["Basic"]', '"B\\u0000"'])
def test_nothing_is_left_out_where_the_resource_type_is_not_a_type_name(kind: str) -> None:
    raw = f'{{"meta":{{}},"resourceType":{kind},"text":"t"}}'.encode()
    assert canonical(raw, FHIR_LEX) == raw


@pytest.mark.parametrize(
    "odd",
    [
        '{"contained":5,"entry":{"a":1},"resourceType":"Bundle"}',
        '{"entry":[1,null,{"resource":[]},{"response":7}],"resourceType":"Bundle"}',
        '{"parameter":[[],{"part":"x","resource":1}],"resourceType":"Parameters"}',
    ],
)
def test_resources_of_odd_shape_are_kept_as_they_are(odd: str) -> None:
    assert canonical(odd.encode(), FHIR_LEX) == odd.encode()
    assert canonical(odd.encode(), JCS) == odd.encode()


def nested(depth: int) -> list[bytes]:
    arrays = b"[" * depth + b"]" * depth
    scalar = b"[" * depth + b"7" + b"]" * depth
    objects = b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)
    return [arrays, scalar, objects, scalar.replace(b"7", b'"\\u0041"')]


def test_depth_64_is_read_and_65_is_refused_by_every_road() -> None:
    for raw in nested(DEPTH_MAX):
        for form in (JCS, FHIR_LEX):
            assert canonical(raw, form)
    for depth in (DEPTH_MAX + 1, 500, 100_000):
        for raw in nested(depth):
            for form in (JCS, FHIR_LEX):
                with pytest.raises(CanonRefused) as caught:
                    canonical(raw, form)
                assert caught.value.reason is Reason.DEPTH


def test_many_brackets_side_by_side_are_not_depth() -> None:
    raw = b"[" + b",".join([b"[]"] * 200) + b"]"
    assert canonical(raw, FHIR_LEX) == raw


def test_size_is_bounded_where_documents_are_parsed_and_only_there() -> None:
    assert JSON_BYTES_MAX == 8 * 1024 * 1024
    for form in (JCS, FHIR_LEX):
        assert canonical(b"[1]", form, size_max=3) == b"[1]"
        with pytest.raises(CanonRefused) as caught:
            canonical(b"[1] ", form, size_max=3)
        assert caught.value.reason is Reason.SIZE
    with pytest.raises(CanonRefused):
        canonical(b" " * JSON_BYTES_MAX + b"1", FHIR_LEX)
    for form in (RAW, DICOM):
        assert canonical(b"\xff\x00" * 8, form, size_max=3) == b"\xff\x00" * 8


def test_a_refusal_never_shows_content() -> None:
    for raw in (
        b'{"name":"Mustermann" "x"}',
        b'{"Mustermann":1,"Mustermann":2}',
        b"[Mustermann",
    ):
        with pytest.raises(CanonRefused) as caught:
            canonical(raw, FHIR_LEX)
        assert "Muster" not in str(caught.value)
        assert caught.value.__cause__ is None


# --- media types --------------------------------------------------------------------------


def test_media_type_numbers_are_pinned() -> None:
    assert {media.name: (media.id, media.canon) for media in MEDIA_TYPES} == {
        "application/fhir+json": (1, FHIR_LEX),
        "application/json": (2, FHIR_LEX),
        "application/fhir+xml": (3, RAW),
        "application/dicom": (4, DICOM),
        "application/pdf": (5, RAW),
        "text/plain": (6, RAW),
        "application/octet-stream": (7, RAW),
        "application/hl7-v2": (8, RAW),
        "application/xml": (9, RAW),
        "application/fhir+ndjson": (10, RAW),
        "image/jpeg": (11, RAW),
        "image/png": (12, RAW),
        "text/csv": (13, RAW),
    }
    assert all(media_type_by_id(media.id) is media for media in MEDIA_TYPES)


def test_media_types_are_found_without_case_and_parameters() -> None:
    assert media_type("Application/FHIR+json; charset=UTF-8").id == 1
    for lookup in (lambda: media_type("video/mp4"), lambda: media_type_by_id(999)):
        with pytest.raises(CanonRefused) as caught:
            lookup()
        assert caught.value.reason is Reason.MEDIA_TYPE


# --- against the independent reader --------------------------------------------------------

lexemes = st.from_regex(
    r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)
characters = st.sampled_from('az"\\/\x00\x1f\n\x7f\u00e9\u4e2d\ufb33\ufeff\U0001f602u0051-') | (
    st.characters(exclude_categories=["Cs"])
)
strings = st.text(characters, max_size=8)
keys = st.sampled_from(["a", "text", "meta", "value"]) | strings


@st.composite
def written_string(draw: st.DrawFn, source: st.SearchStrategy[str] = strings) -> str:
    value = draw(source)
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def written_object(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    members = draw(st.dictionaries(keys, values, max_size=5))
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    written = [
        f"{space}{json.dumps(key, ensure_ascii=draw(st.booleans()))}{space}:{space}{value}"
        for key, value in members.items()
    ]
    return "{" + ",".join(written) + space + "}"


scalars = lexemes | written_string() | st.sampled_from(["true", "false", "null"])
documents = st.recursive(
    scalars,
    lambda values: (
        written_object(values)
        | st.lists(values, max_size=4).map(lambda items: "[" + ", ".join(items) + "]")
    ),
    max_leaves=12,
).map(str.encode)


@given(documents)
def test_documents_canonicalise_as_the_independent_reader_says(raw: bytes) -> None:
    assert canonical(raw, FHIR_LEX) == jcs.Reference(raw).document()


@given(documents, st.data())
@example(b'["\\u005cu00001.5", "\\\\u00001.5", "\\u00001.5", "\\"\\u00001.5"]', None)
@example(b'{"\\ud83d\\ude02":1,"\xef\xac\xb3":-0}', None)
def test_damaged_documents_get_the_independent_readers_verdict(
    raw: bytes, data: st.DataObject | None
) -> None:
    damaged = bytearray(raw)
    if data is not None:
        at = data.draw(st.integers(0, len(raw)))
        damage = st.sampled_from(
            [b"", b"\\", b'"', b"]", b"}", b",", b"0", b"\\ud800", b"\xff"]
        )
        damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(damage)
    try:
        expected: bytes | None = jcs.Reference(bytes(damaged)).document()
    except jcs.Bad:
        expected = None
    try:
        got: bytes | None = canonical(bytes(damaged), FHIR_LEX)
    except CanonRefused:
        got = None
    assert got == expected


@given(
    st.binary(max_size=40) | st.text('[]{}",:0123456789eE+-.\\utrnfalsNIiy ').map(str.encode)
)
def test_arbitrary_bytes_are_canonicalised_or_refused_and_nothing_else_escapes(
    raw: bytes,
) -> None:
    for form in range(6):
        try:
            once = canonical(raw, form)
        except CanonRefused:
            continue
        assert canonical(once, form) == once


# --- the fast road ------------------------------------------------------------------------


@st.composite
def resources(draw: st.DrawFn) -> bytes:
    """A FHIR-shaped document, holding resources wherever they may be held."""
    inner = draw(documents).decode()
    held = f'{{"resourceType":"Basic","meta":{inner},"text":1,"code":{{"text":{inner}}}}}'
    shape = draw(
        st.sampled_from(
            [
                '{"resourceType":"Bundle","entry":[{"resource":%s},{"response":{"outcome":%s}}]}',
                '{"text":2.50,"contained":[%s,{"text":%s}],"resourceType":"Patient"}',
                '{"resourceType":"Parameters","parameter":[{"part":[{"resource":%s}]},%s]}',
                '[%s,{"resourceType":1.0,"text":%s}]',
            ]
        )
    )
    return (shape % (held, held)).encode()


@given(documents | resources())
@example(b'{"a":"\xf0\x9f\x98\x82"}')
@example(b'{"b":"\xe4\xb8\xad","a":[1.00,-0,1E5,"","-1"]}')
def test_the_fast_road_arrives_where_the_exact_road_does(raw: bytes) -> None:
    exact = canon._canonical_json(raw, canon._verbatim, JSON_BYTES_MAX)
    assert canon._fast_lex(raw.decode()) in (None, exact)
    assert canonical(raw, FHIR_LEX) == exact


@given(st.binary(max_size=30) | st.text('[]{}",:01eE.\\u ').map(str.encode))
def test_both_roads_refuse_for_the_same_reason(raw: bytes) -> None:
    def outcome(run: Any) -> bytes | Reason | None:
        try:
            return run()
        except CanonRefused as refused:
            return refused.reason

    fast = outcome(lambda: canon._fast_lex(canon._text(raw, JSON_BYTES_MAX)))
    exact = outcome(lambda: canon._canonical_json(raw, canon._verbatim, JSON_BYTES_MAX))
    assert fast in (None, exact)


def test_the_fast_road_is_taken_by_ordinary_documents_and_left_where_it_cannot_promise() -> (
    None
):
    assert (
        canon._fast_lex('{"b":1.00,"a":"\u4e2d\u6587"}')
        == '{"a":"\u4e2d\u6587","b":1.00}'.encode()
    )
    assert canon._fast_lex('{"a":"\\u0041"}') is None
    assert canon._fast_lex('{"a":"\U0001f602"}') is None


def test_numbers_are_read_as_they_were_written_and_are_no_strings() -> None:
    number, text = read_json(b'[1.50, "1.50"]')
    assert number == text == "1.50"
    assert type(number) is canon.Number
    assert type(text) is str


@pytest.mark.parametrize("form", [JCS, FHIR_LEX])
def test_a_pure_python_scanner_gives_the_same_answers(
    form: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for decoder in (canon._EXACT, canon._MARKING):
        monkeypatch.setattr(decoder, "scan_once", json.scanner.py_make_scanner(decoder))
    assert canonical(b'{"b":[1.5,-0.25],"a":12}', form) == b'{"a":12,"b":[1.5,-0.25]}'
    for raw in ("[1\u0663]", "[1.\u0663]", "[1e\u0663]"):
        with pytest.raises(CanonRefused) as caught:
            canonical(raw.encode(), form)
        assert caught.value.reason is Reason.SYNTAX
