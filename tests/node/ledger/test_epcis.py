"""The EPCIS event hash against published hashes, and what it refuses rather than guesses.

Events and hashes of ``PUBLISHED``: the worked examples and ``epcisDocWithVariousEventTypes`` in
github.com/RalphTro/epcis-event-hash-generator (README; tests/examples/expected/CBV2.0).
"""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger import canon, epcis, gs1
from node.ledger.canon import CanonRefused, Reason

CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"example": "https://ns.example.com/epcis/", "cbvmda": "urn:epcglobal:cbv:mda:"},
]
SGTIN, SSCC, SGLN = "urn:epc:id:sgtin:", "urn:epc:id:sscc:", "urn:epc:id:sgln:"
PGLN, LGTIN = "urn:epc:id:pgln:", "urn:epc:class:lgtin:"
BT = "urn:epcglobal:cbv:bt:"


def event(kind: str, time: str, zone: str, **fields: Any) -> dict[str, Any]:
    named = {name.replace("example_", "example:"): value for name, value in fields.items()}
    return {"type": kind, "eventTime": time, "eventTimeZoneOffset": zone, **named}


def place(code: str, **more: Any) -> dict[str, Any]:
    return {"id": SGLN + code} | {f"example:{name}": value for name, value in more.items()}


def typed(member: str, *pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": kind, member: value} for kind, value in pairs]


DEPARTING = event(
    "ObjectEvent",
    "2020-03-04T11:00:30.000+01:00",
    "+01:00",
    recordTime="2020-03-04T11:00:30.999+01:00",
    epcList=[f"{SSCC}4012345.0000000{part}" for part in ("333", "111", "222")],
    action="OBSERVE",
    bizStep="departing",
    readPoint=place("4012345.00011.987"),
    example_myField1={"example:mySubField1": "2", "example:mySubField2": "5"},
    example_myField2="0",
    example_myField3={"example:mySubField3": ["3", "1"]},
)
OWNERS = event(
    "ObjectEvent",
    "2020-03-04T11:00:30+01:00",
    "+01:00",
    epcList=[SGTIN + "0614141.011111.987"],
    action="OBSERVE",
    bizStep="departing",
    disposition="in_transit",
    readPoint=place("4012345.00011.0", myField1="AB-12"),
    bizTransactionList=typed("bizTransaction", ("po", "urn:epc:id:gdti:4012345.11111.123")),
    sourceList=typed("source", ("owning_party", PGLN + "4012345.00000")),
    destinationList=typed("destination", ("owning_party", PGLN + "0614141.00000")),
    example_userExt="CD-34",
)
TWO_TARGETS = event(
    "ObjectEvent",
    "2019-10-21T11:00:30.000+01:00",
    "+01:00",
    epcList=[SSCC + "5200001.0111111146"],
    action="OBSERVE",
    bizStep="departing",
    readPoint=place("5200001.99901.0"),
    bizTransactionList=typed(
        "bizTransaction",
        ("desadv", BT + "5200001000008:4711"),
        ("inv", BT + "5200001000008:RE1099"),
    ),
    sourceList=typed("source", ("possessing_party", PGLN + "5200001.00000")),
    destinationList=typed(
        "destination",
        ("possessing_party", PGLN + "4000001.98765"),
        ("location", SGLN + "4012345.00012.0"),
    ),
)
COMMISSIONED = event(
    "ObjectEvent",
    "2019-10-21T14:58:56.000+02:00",
    "+02:00",
    quantityList=[
        {"epcClass": LGTIN + "4054739.099914.20160711", "quantity": 600, "uom": "KGM"}
    ],
    action="ADD",
    bizStep="commissioning",
    readPoint=place("4054739.00001.0"),
    ilmd={"cbvmda:bestBeforeDate": "2019-10-21"},
)
PACKED = event(
    "AggregationEvent",
    "2019-10-21T11:58:56.591+02:00",
    "+02:00",
    parentID=SSCC + "4047023.0111111122",
    childEPCs=[f"{SGTIN}4047023.077551.{serial}" for serial in (98, 97, 107, 109)],
    action="ADD",
    bizStep="packing",
    readPoint=place("4047023.00012.0"),
)
SOLD = event(
    "TransactionEvent",
    "2019-10-21T00:05:00-06:00",
    "-06:00",
    epcList=[SGTIN + "0614141.107340.1", SGTIN + "0614141.107340.2"],
    action="ADD",
    bizStep="shipping",
    readPoint=place("4012345.00000.5"),
    bizLocation=place("4012345.00000.0"),
    bizTransactionList=typed("bizTransaction", ("po", BT + "4012345123456:RE100099")),
)
MADE = event(
    "TransformationEvent",
    "2019-10-21T14:58:56.591+02:00",
    "+02:00",
    inputEPCList=[SGTIN + "4012345.011122.25", SGTIN + "4000001.065432.99886655"],
    outputEPCList=[f"{SGTIN}4012345.077889.{serial}" for serial in (25, 26, 27, 28)],
    inputQuantityList=[
        {"epcClass": LGTIN + "4012345.011111.4444", "quantity": 10, "uom": "KGM"},
        {"epcClass": LGTIN + "0614141.077777.987", "quantity": 30},
        {"epcClass": "urn:epc:idpat:sgtin:4012345.066666.*", "quantity": 220},
    ],
    bizStep="commissioning",
    readPoint=place("4012345.00001.0"),
    ilmd={"example:bestBeforeDate": "2015-11-10", "example:batch": "XYZ"},
)
TRIED = event(
    "TransformationEvent",
    "2019-10-21T14:58:56.591+02:00",
    "+02:00",
    inputEPCList=[SGTIN + "4012345.011122.25", SGTIN + "4000001.065432.99886655"],
    outputQuantityList=[{"epcClass": LGTIN + "4054739.099902.P20131121", "quantity": 9520}],
    transformationID="urn:epc:id:gdti:4012345.55555.1234",
    bizStep="http://epcis.example.com/user/vocab/bizstep/exampling",
    readPoint=place("4012345.00001.0"),
)
PUBLISHED = {
    "6ae96341e0acc6d7a261364751f60e68278a81cdf51da0abb6b4e617014e39d7": DEPARTING,
    "3ae14c02c4bdc220cc31942cf804f6845eb8dec96ba6483391c92a9b165f9329": OWNERS,
    "253f0178f96349eedc207505b49044a602129605cf692e3d9f1f36c8bd1dfb0d": TWO_TARGETS,
    "5f396ea5cb32fe4d0980cb79f5a5eb9640559e9f5a6cefa5c98a7d6ad554b50b": COMMISSIONED,
    "c941e6486c561c2be83c28dc228c150eaef9a6befb1015e6cc563982fb7414b6": PACKED,
    "cf6559dc931963f19ed9cd2fe33c02ef64c8cfd557e5a96b086a87db315b7122": SOLD,
    "36ab2ba0e3eac03d14a630148c63c31da00b8c4f1c311f501eb459e89a6e6350": MADE,
    "756558aa09b2d38c6bcb6e50eab2fcbebd9bde17362a7c4f4686a5d7f5fb013f": TRIED,
}


def document(*events: dict[str, Any]) -> bytes:
    tree = {"@context": CONTEXT, "type": "EPCISDocument", "epcisBody": {"eventList": events}}
    return json.dumps(tree).encode()


@pytest.mark.parametrize("digest", PUBLISHED)
def test_the_hash_of_an_event_is_the_published_one(digest):
    assert epcis.event_hash(document(PUBLISHED[digest])).hex() == digest


def test_an_event_may_stand_alone_with_its_own_context():
    alone = json.dumps({"@context": CONTEXT, **DEPARTING}).encode()
    assert epcis.prehash(alone) == epcis.prehash(document(DEPARTING))


def test_a_document_gives_one_string_for_each_event_in_its_order():
    both = epcis.prehashes(document(DEPARTING, OWNERS))
    assert both == (epcis.prehash(document(DEPARTING)), epcis.prehash(document(OWNERS)))


def test_canonical_form_three_is_the_pre_hash_string():
    raw = document(PACKED)
    assert canon.canonical(raw, canon.EPCIS) == epcis.prehash(raw)
    with pytest.raises(CanonRefused) as caught:
        canon.canonical(raw, canon.EPCIS, size_max=10)
    assert caught.value.reason is Reason.SIZE


def shuffled(tree: Any, rng: random.Random) -> Any:
    """Return the same event with members and elements in another order."""
    if isinstance(tree, dict):
        members = [(key, shuffled(value, rng)) for key, value in tree.items()]
        rng.shuffle(members)
        return dict(members)
    if isinstance(tree, list):
        items = [shuffled(item, rng) for item in tree]
        rng.shuffle(items)
        return items
    return tree


@given(st.integers(0, 1 << 32), st.sampled_from(sorted(PUBLISHED)))
def test_order_is_no_matter(seed, digest):
    made = shuffled(PUBLISHED[digest], random.Random(seed))
    assert epcis.event_hash(document(made)).hex() == digest


@pytest.mark.parametrize(
    "same",
    [
        {"eventTime": "2020-03-04T10:00:30Z"},
        {"eventTime": "2020-03-04T05:00:30.0-05:00"},
        {"eventTime": "2020-03-04T10:00:30.000000Z"},
        {"bizStep": "urn:epcglobal:cbv:bizstep:departing"},
        {"bizStep": "https://ref.gs1.org/cbv/BizStep-departing"},
        {"readPoint": {"id": "https://example.org/414/4012345000115/254/987?a=b"}},
        {"eventID": "urn:uuid:7d2ea7a0-0000-4000-8000-000000000000"},
        {"recordTime": None},
        {"example:myField2": 0},
        {"example:myField2": " 0 "},
    ],
    ids=str,
)
def test_another_notation_is_the_same_event(same):
    assert epcis.prehash(document(DEPARTING | same)) == epcis.prehash(document(DEPARTING))


@pytest.mark.parametrize(
    "other",
    [
        {"eventTime": "2020-03-04T11:00:30.001+01:00"},
        {"eventTimeZoneOffset": "+02:00"},
        {"action": "ADD"},
        {"bizStep": "arriving"},
        {"disposition": "in_transit"},
        {"readPoint": {"id": SGLN + "4012345.00011.988"}},
        {"example:myField2": "1"},
        {"example:myField4": "0"},
    ],
    ids=str,
)
def test_whatever_changes_the_event_changes_the_hash(other):
    assert epcis.prehash(document(DEPARTING | other)) != epcis.prehash(document(DEPARTING))


REFUSED = {
    "sensors": {"sensorElementList": [{"sensorReport": [{"type": "Temperature"}]}]},
    "a microsecond": {"eventTime": "2020-03-04T11:00:30.0001+01:00"},
    "no zone": {"eventTime": "2020-03-04T11:00:30"},
    "no such day": {"eventTime": "2020-02-30T11:00:30Z"},
    "no offset": {"eventTimeZoneOffset": None},
    "a number in another form": {"example:myField2": "007"},
    "an exponent": {"example:myField2": "1e5"},
    "a long number": {"example:myField2": 1234567890123456},
    "a tiny number": {"example:myField2": 0.00001},
    "not a number": {"example:myField2": "nan"},
    "a time in another form": {"example:myField2": "2020-03-04T11:00:30+01:00"},
    "a compact URI": {"example:myField2": "example:thing"},
    "nothing": {"example:myField2": None},
    "blanks": {"example:myField2": "  "},
    "a list in a list": {"example:myField2": [["1"]]},
    "an unknown field": {"colour": "red"},
    "an unknown namespace": {"foreign:colour": "red"},
    "an unknown action": {"action": "REMOVE"},
    "an unknown type": {"type": "PartyEvent"},
    "an unknown scheme": {"epcList": ["urn:epc:id:adi:W81X9C.3KL984PX1.2WMA52"]},
    "a prefix too short": {"epcList": [SGTIN + "4012345.11111.1"]},
    "a code without serial": {"epcList": [SGTIN + "4012345.011111"]},
    "a link in words": {"epcList": ["https://id.gs1.org/gtin/09780345418913"]},
    "an element with more": {"sourceList": [{"source": PGLN + "4012345.00000", "note": "x"}]},
    "an element without": {"sourceList": [{"type": "location"}]},
    "a list that is none": {"epcList": SGTIN + "4012345.011111.1"},
    "a place without id": {"readPoint": {}},
    "a term in the context": {"@context": {"colour": {"@id": "https://example.org/c"}}},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_rules_leave_open_is_refused(what):
    with pytest.raises(CanonRefused) as caught:
        epcis.prehash(document(DEPARTING | REFUSED[what]))
    assert caught.value.reason is Reason.CANON_UNSUPPORTED


@pytest.mark.parametrize("raw", [b"{}", b"[]", document(), document(PACKED, SOLD)])
def test_no_event_and_several_events_have_no_single_hash(raw):
    with pytest.raises(CanonRefused):
        epcis.event_hash(raw)


# --- identifiers -----------------------------------------------------------------------------

LINKS = {
    SGTIN + "415056789012.0.987654": "/01/04150567890128/21/987654",
    SGTIN + "0614141.812345.6789%2F!()": "/01/80614141123458/21/6789%2F%21%28%29",
    SSCC + "4012345.0000000333": "/00/040123450000003338",
    SGLN + "4012345.00005.0": "/414/4012345000054",
    SGLN + "4012345.00005.122": "/414/4012345000054/254/122",
    PGLN + "999999999999.": "/417/9999999999994",
    "urn:epc:id:grai:4012345.66666.87": "/8003/0401234566666387",
    "urn:epc:id:giai:4012345.AAbb": "/8004/4012345AAbb",
    "urn:epc:id:gsrn:4012345.9876540000": "/8018/401234598765400000",
    "urn:epc:id:gsrnp:4012345.0000098765": "/8017/401234500000987658",
    "urn:epc:id:gdti:4012345.55555.98": "/253/401234555555498",
    "urn:epc:idpat:grai:4012345.66666.*": "/8003/04012345666663",
    "urn:epc:idpat:gdti:4012345.55555.*": "/253/4012345555554",
    "urn:epc:idpat:sgtin:4012345.012345.7": None,
}


@pytest.mark.parametrize("uri", LINKS)
def test_an_epc_has_one_digital_link(uri):
    path = LINKS[uri]
    if path is None:
        with pytest.raises(gs1.Unknown):
            gs1.from_epc(uri)
        return
    link = gs1.from_epc(uri)
    assert link == gs1.HOST + path
    assert gs1.canonical_link(link) == link


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("http://example.org/shop/01/9780345418913", "/01/09780345418913"),
        ("https://example.org/01/9780345418913/22/344/10/1223/21/765tz", None),
        ("https://id.gs1.org/8006/040123451234560102/22/AB/10/XYZ", None),
        ("https://example.org/01/97803", "same"),
        ("https://id.gs1.org/01/9780345418913/99/utfgf", "same"),
        ("https://www.ncbi.nlm.nih.gov/taxonomy/1126011", "same"),
        ("https://example.org", "same"),
    ],
)
def test_a_digital_link_keeps_its_finest_level_only(uri, link):
    finest = {"01": "/01/09780345418913/21/765tz", "80": "/8006/040123451234560102/10/XYZ"}
    key = "01" if "/01/" in uri else "80"
    wanted = uri if link == "same" else gs1.HOST + (link or finest[key])
    assert gs1.canonical_link(uri) == wanted
