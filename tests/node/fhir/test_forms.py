"""Shapes of FHIR answers: dates of searches, who a resource is about, lines of a report."""

import dataclasses

import pytest

from node.fhir import forms, patient, report
from node.fhir.forms import date_range
from node.fhir.patient import Identifier
from node.ledger.facts.accesses import Event
from node.ledger.facts.words import PURPOSES

DAY = 86_400_000
Y2026 = 1_767_225_600_000


def test_prefixes_narrow_the_range() -> None:
    assert date_range(["ge2026-01-01", "lt2026-01-02"]) == (Y2026, Y2026 + DAY)
    assert date_range(["gt2026-01-01"])[0] == Y2026 + DAY
    assert date_range(["le2026-01-01"])[1] == Y2026 + DAY
    assert date_range(["2026-01-01"]) == date_range(["eq2026-01-01"]) == (Y2026, Y2026 + DAY)
    for wrong in ("ap2026", "soon", "2026-13", "ge", "9999-12-31"):
        with pytest.raises(ValueError, match=r"."):
            date_range([wrong])


def test_every_status_of_a_condition_has_an_issue_type() -> None:
    assert forms.issue("a", "b", 404)["code"] == "not-found"
    assert forms.issue("a", "b", 500)["severity"] == "fatal"
    assert forms.issue("a", "b", 503)["severity"] == "error"
    assert "diagnostics" not in forms.issue("a", "b", 400)


def test_a_bundle_has_no_empty_array() -> None:
    assert "entry" not in forms.bundle("searchset", [], total=0)


def test_who_a_resource_is_about() -> None:
    named = {"identifier": {"system": "urn:x", "value": "7"}}
    assert patient.about({"subject": named}) == (Identifier("urn:x", "7"), None)
    assert patient.about({"patient": {"reference": "Patient/1"}}) == (None, "Patient/1")
    assert patient.about({"subject": [named]}) == (Identifier("urn:x", "7"), None)
    assert patient.about({"subject": {"display": "somebody"}}) == (None, None)
    assert patient.about({"subject": "text"}) == (None, None)
    for wrong in ({}, {"identifier": [{}]}, {"identifier": [{"value": "1"}] * 33}):
        with pytest.raises(ValueError, match="identifier"):
            patient.identifiers(wrong)


@pytest.mark.parametrize("language", report.LANGUAGES)
def test_every_event_and_purpose_has_words(language: str) -> None:
    base = Event(
        number=0,
        event="request",
        rid=bytes(32),
        org="birch",
        custodian="alder",
        recipient=None,
        practitioner=None,
        purpose="TREAT",
        data_class=None,
        reason="justified",
        basis=None,
        items=3,
        digest=None,
        happened_ms=Y2026,
        time_ms=Y2026,
        height=1,
        txid=None,
    )
    kinds = [
        "request",
        "permit",
        "deny",
        "release",
        "receipt",
        "glass",
        "review",
        "disclosure",
        "overdue",
    ]
    lines = {
        report.line(dataclasses.replace(base, event=kind, purpose=purpose), language)
        for kind in kinds
        for purpose in PURPOSES
    }
    assert all(line.startswith("2026-01-01 00:00 UTC: ") for line in lines)
    assert len(lines) >= len(kinds)
