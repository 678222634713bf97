"""Devices in FHIR R4: what is taken, what stays, what is refused, and the round trip."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.fhir.device import DeviceRefused, Given, read_device, write_device
from node.ledger.facts import people
from node.ledger.facts.people import DeviceRow
from node.ledger.families.identity_device import Register
from tests.support.examples import broken, official

GIVEN = Given(bytes(32), b"k" * 32, b"f" * 32, b"s" * 32, (40, 41))
PACEMAKER: dict[str, Any] = {
    "resourceType": "Device",
    "id": "pacemaker",
    "udiCarrier": [
        {
            "deviceIdentifier": "09504000059118",
            "issuer": "http://hl7.org/fhir/NamingSystem/gs1-di",
            "carrierHRF": "(01)09504000059118(17)141120(10)7654321D(21)10987654d321",
        }
    ],
    "status": "active",
    "manufacturer": "Acme Devices, Inc",
    "lotNumber": "7654321D",
    "serialNumber": "10987654d321",
    "version": [{"value": "1.0"}],
    "patient": {"reference": "Patient/example"},
}
ROW = DeviceRow(
    device=b"d" * 32,
    manufacturer="pump-maker",
    model="09504000059118",
    sign_key=b"k" * 32,
    firmware=b"f" * 32,
    data_classes=(40, 41),
    status=people.ACTIVE,
    assigned=b"t" * 16,
    custodian="clinic",
    counter=7,
    since_height=3,
    serial=b"s" * 32,
)


def refused(resource: dict[str, Any], given: Given | None = GIVEN) -> tuple[str, str]:
    with pytest.raises(DeviceRefused) as caught:
        read_device(resource, given)
    return caught.value.code, caught.value.element


def test_a_device_with_a_udi_is_taken_and_what_is_personal_stays() -> None:
    taken = read_device(PACEMAKER, GIVEN)
    assert taken.register == Register(
        bytes(32), "09504000059118", b"k" * 32, b"f" * 32, b"s" * 32, (40, 41)
    )
    assert taken.status == people.ACTIVE
    assert taken.stays == (
        "id",
        "lotNumber",
        "manufacturer",
        "patient",
        "serialNumber",
        "version",
    )


@pytest.mark.parametrize("name", ["Device-example", "Device-f001"])
def test_official_examples_have_no_udi_and_are_refused_for_it(name: str) -> None:
    assert refused(official(name)) == ("udi-missing", "Device.udiCarrier")


def test_an_example_becomes_acceptable_with_a_udi() -> None:
    example = official("Device-f001") | {"udiCarrier": PACEMAKER["udiCarrier"]}
    taken = read_device(example, GIVEN)
    assert (taken.register.model, taken.stays) == ("09504000059118", ("id", "text"))


def test_the_identifier_may_stand_in_the_human_readable_form_alone() -> None:
    carrier = {"carrierHRF": "(01)00844588003288(17)141120(10)7654321D(21)10987654d321"}
    taken = read_device(PACEMAKER | {"udiCarrier": [carrier]}, GIVEN)
    assert taken.register.model == "00844588003288"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"resourceType": "DeviceMetric"}, "not-a-device"),
        ({"modifierExtension": [{"url": "urn:x"}]}, "modifier"),
        ({"status": "entered-in-error"}, "entered-in-error"),
        ({"status": "asleep"}, "unknown-code"),
        ({"udiCarrier": []}, "udi-missing"),
        ({"udiCarrier": [{"carrierHRF": "no GTIN here"}]}, "udi-missing"),
        ({"udiCarrier": [{"deviceIdentifier": "x y"}]}, "udi-malformed"),
        (
            {"udiCarrier": [{"deviceIdentifier": "111111"}, {"deviceIdentifier": "222222"}]},
            "udi-ambiguous",
        ),
        ({"udiCarrier": "09504000059118"}, "malformed"),
    ],
)
def test_what_cannot_be_registered_is_refused_by_name(
    changed: dict[str, Any], code: str
) -> None:
    assert refused(PACEMAKER | changed)[0] == code


def test_what_is_given_must_be_registrable_too() -> None:
    assert refused(PACEMAKER, replace(GIVEN, data_classes=(2, 2)))[0] == "not-registrable"


@given(
    status=st.sampled_from([people.ACTIVE, people.ENDED, people.QUARANTINED]),
    model=st.from_regex(r"[A-Z0-9]{6,23}", fullmatch=True),
    digests=st.tuples(*[st.binary(min_size=32, max_size=32)] * 4),
    classes=st.lists(st.integers(0, 0xFFFF), max_size=16, unique=True),
    custodian=st.sampled_from([None, "clinic"]),
)
def test_what_the_ledger_keeps_survives_the_round_trip(
    status: str,
    model: str,
    digests: tuple[bytes, ...],
    classes: list[int],
    custodian: str | None,
) -> None:
    device, key, firmware, serial = digests
    row = replace(
        ROW,
        device=device,
        model=model,
        sign_key=key,
        firmware=firmware,
        serial=serial,
        data_classes=tuple(classes),
        status=status,
        custodian=custodian,
    )
    taken = read_device(write_device(row))
    assert taken.register == Register(device, model, key, firmware, serial, row.data_classes)
    assert (taken.status, taken.stays) == (status, ("id",))


def test_nothing_of_the_patient_or_the_counter_is_written() -> None:
    written = str(write_device(ROW))
    assert ROW.assigned is not None
    assert ROW.assigned.hex() not in written
    assert write_device(replace(ROW, status=people.QUARANTINED))["status"] == "inactive"


def test_without_our_identifiers_somebody_has_to_give_them() -> None:
    assert refused(PACEMAKER, None) == ("not-given", "Device.identifier")
    without = write_device(replace(ROW, serial=None))
    assert refused(without, None) == ("not-given", "Device.identifier")
    malformed = write_device(ROW)
    malformed["version"][0]["value"] = "1.0"
    assert refused(malformed, None) == ("malformed", "Device.version")


@pytest.mark.parametrize("junk", [None, 7, "", [], {}, [[]], [{}], {"coding": 3}], ids=repr)
def test_no_damage_leads_to_anything_but_a_refusal(junk: Any) -> None:
    for whole, given_ in ((PACEMAKER, GIVEN), (write_device(ROW), None)):
        for resource in broken(whole, junk):
            if not isinstance(resource, dict):
                continue
            try:
                read_device(resource, given_)
            except DeviceRefused as error:
                assert error.element.startswith("Device")  # noqa: PT017
