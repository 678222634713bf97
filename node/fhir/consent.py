"""FHIR R4 Consent (IHE PCF basic, intermediate, advanced) to a ledger consent.

Pure.  ``read_consent`` makes the body of ``consent.grant`` and the remainder that stays with
the sender; ``write_consent`` (``consent_written``) goes the other way.  What the ledger cannot
say is refused by name, never dropped: nested twice, ``action`` other than access, ``code``,
labels and purposes without a word here, modifiers.

The base decision is ``provision.type`` as PCF has it, or ``policyRule`` OPTIN or OPTOUT.
Beside a ``policyRule`` a root provision of the other type is an exception to it.  R4 leaves
open what a root provision *without* a type means beside a ``policyRule``, and its own examples
take both views; so that is refused, unless the caller says whether it limits the consent
(``LIMITS``) or is an exception to it (``EXCEPTION``).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from node.fhir import consent_codes as codes
from node.fhir.consent_codes import NotMapped
from node.fhir.consent_written import write_consent
from node.fhir.moments import span_of
from node.fhir.remainder import Remainder, remainder
from node.ledger.facts.consent_rule import Exemption, Named, Rule, Scope
from node.ledger.facts.words import LABELS, PURPOSES
from node.ledger.families.consent import Grant

T = TypeVar("T", str, int, bytes)
Resolve = Callable[[str], bytes | str | None]
"""From a reference as written (also ``system|code``, and a policy's uri) to what the ledger
calls it: 32 bytes, an institution's or policy's id, the number of a record class; or None."""

REFUSE: Final = "refuse"
LIMITS: Final = "limits"
EXCEPTION: Final = "exception"

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
_STAYS: Final = {
    *("resourceType", "id", "meta", "text", "language", "contained", "extension"),
    *("identifier", "dateTime", "performer", "organization", "sourceAttachment"),
}
_READ: Final = {
    *("status", "scope", "category", "patient", "sourceReference", "policy", "policyRule"),
    "provision",
}
_PROVISION: Final = {
    *("id", "extension", "type", "period", "actor", "action", "securityLabel", "purpose"),
    *("class", "dataPeriod", "data", "provision"),
}


_SAYS_NOTHING: Final = {"id", "extension", "action"}


@dataclass(frozen=True, slots=True)
class Mapped:
    """``active``: whether it is in force, or was withdrawn (``consent.revoke``)."""

    grant: Grant
    active: bool
    remainder: Remainder


@dataclass(frozen=True, slots=True)
class Choices:
    """What the resource leaves to the caller.

    ``cid``: 16 random bytes for a new consent; ``custodian``: the institution that knows the
    patient (actors with the role CST must be it); ``how``: signed, ink or proxy; ``untyped``:
    see the module.
    """

    cid: bytes
    custodian: str | None = None
    how: str = "signed"
    untyped: str = REFUSE


def read_consent(resource: Mapping[str, Any], resolve: Resolve, choices: Choices) -> Mapped:
    """Return the consent that ``resource`` states; raises ``NotMapped``."""
    reader = _Reader(resolve, choices)
    if resource.get("resourceType") != "Consent":
        raise NotMapped(codes.MISSING, "Consent")
    _only(resource, _STAYS | _READ, "Consent")
    status = resource.get("status")
    if status not in ("active", "inactive"):
        raise NotMapped(codes.CODE, "Consent.status")
    _coded(resource.get("scope"), {codes.SCOPES: ("patient-privacy",)}, "Consent.scope")
    categories = _many(resource, "category", "Consent")
    if not categories:
        raise NotMapped(codes.MISSING, "Consent.category")
    for category in categories:
        _coded(category, codes.FILED_UNDER, "Consent.category")
    subject = reader.bytes_of(resource.get("patient"), codes.SUBJECT, "Consent.patient")
    try:
        grant = Grant(
            cid=choices.cid,
            subject=subject,
            rule=reader.rule(resource),
            how=_how(resource, choices.how),
            source=reader.source(resource),
            policy=reader.policy(resource),
        )
    except ValueError as error:
        raise NotMapped(codes.TOO_MUCH, "Consent") from error
    rest = remainder(dict(resource), write_consent(grant, status=status))
    return Mapped(grant, status == "active", rest)


def _how(resource: Mapping[str, Any], otherwise: str) -> str:
    for extension in _many(resource, "extension", "Consent"):
        if isinstance(extension, dict) and extension.get("url") == codes.HOW:
            return str(extension.get("valueCode"))
    return otherwise


def _only(element: Mapping[str, Any], names: set[str], path: str) -> None:
    for name in element:
        if name not in names and not name.startswith("_"):
            raise NotMapped(codes.ELEMENT, f"{path}.{name}")


def _many(element: Mapping[str, Any], name: str, path: str) -> list[Any]:
    found = element.get(name, [])
    if not isinstance(found, list):
        raise NotMapped(codes.MALFORMED, f"{path}.{name}")
    return found


def _codings(concept: Any, path: str) -> list[dict[str, Any]]:
    if concept is None:
        raise NotMapped(codes.MISSING, path)
    if not isinstance(concept, dict):
        raise NotMapped(codes.MALFORMED, path)
    found = _many(concept, "coding", path)
    if not found or any(not isinstance(item, dict) for item in found):
        raise NotMapped(codes.MISSING, path)
    return found


def _coded(concept: Any, systems: Mapping[str, Sequence[str]], path: str) -> str:
    """Return the first code that is known; all codings of a concept say the same."""
    for coding in _codings(concept, path):
        if coding.get("code") in systems.get(str(coding.get("system")), ()):
            return str(coding["code"])
    raise NotMapped(codes.CODE, path)


def _code(coding: Any, systems: Mapping[str, Sequence[str]], path: str) -> str:
    return _coded({"coding": [coding]}, systems, path)


def _period(period: Any, path: str, *, since_ever: bool) -> tuple[int | None, int | None]:
    """Return a half-open period.  ``since_ever``: a start before 1970 may be forgotten, for
    nothing that it is compared with lies before."""
    if period is None:
        return None, None
    if not isinstance(period, dict):
        raise NotMapped(codes.MALFORMED, path)
    _only(period, {"start", "end"}, path)
    try:
        start = span_of(period["start"])[0] if "start" in period else None
        end = span_of(period["end"])[1] if "end" in period else None
    except (TypeError, ValueError, OverflowError) as error:
        raise NotMapped(codes.MALFORMED, path) from error
    if start is not None and start < 0:
        if not since_ever:
            raise NotMapped(codes.TOO_MUCH, f"{path}.start")
        start = 0
    if end is not None and end <= (start or 0):
        raise NotMapped(codes.TOO_MUCH, f"{path}.end")
    return start, end


class _Reader:
    def __init__(self, resolve: Resolve, choices: Choices) -> None:
        self._resolve = resolve
        self._choices = choices

    # --- references ---------------------------------------------------------------------

    def _known(self, reference: Any, systems: Sequence[str], path: str) -> bytes | str:
        """Return what a Reference is called here: our own identifier, or what resolves."""
        if reference is None:
            raise NotMapped(codes.MISSING, path)
        if not isinstance(reference, dict):
            raise NotMapped(codes.MALFORMED, path)
        identifier = reference.get("identifier")
        if isinstance(identifier, dict) and identifier.get("system") in systems:
            return self._own(identifier, path)
        literal = reference.get("reference")
        found = self._resolve(literal) if isinstance(literal, str) else None
        if found is None:
            raise NotMapped(codes.UNRESOLVED, path)
        return found

    @staticmethod
    def _own(identifier: Mapping[str, Any], path: str) -> bytes | str:
        value = identifier.get("value")
        if not isinstance(value, str):
            raise NotMapped(codes.MALFORMED, path)
        if identifier["system"] in (codes.INSTITUTION, codes.ROLE):
            return value
        if not _HEX.fullmatch(value):
            raise NotMapped(codes.MALFORMED, path)
        return bytes.fromhex(value)

    def bytes_of(self, reference: Any, system: str, path: str) -> bytes:
        found = self._known(reference, (system,), path)
        if not isinstance(found, bytes) or len(found) != 32:
            raise NotMapped(codes.UNRESOLVED, path)
        return found

    def source(self, resource: Mapping[str, Any]) -> bytes | None:
        if "sourceReference" not in resource:
            return None
        path = "Consent.sourceReference"
        return self.bytes_of(resource["sourceReference"], codes.COMMITMENT, path)

    def policy(self, resource: Mapping[str, Any]) -> str | None:
        policies = _many(resource, "policy", "Consent")
        if not policies:
            return None
        if len(policies) > 1:
            raise NotMapped(codes.TOO_MUCH, "Consent.policy")
        if not isinstance(policies[0], dict):
            raise NotMapped(codes.MALFORMED, "Consent.policy")
        _only(policies[0], {"uri"}, "Consent.policy")
        uri = policies[0].get("uri")
        if not isinstance(uri, str):
            raise NotMapped(codes.MISSING, "Consent.policy.uri")
        if uri.startswith(codes.POLICY):
            return uri.removeprefix(codes.POLICY)
        found = self._resolve(uri)
        if not isinstance(found, str):
            raise NotMapped(codes.UNRESOLVED, "Consent.policy.uri")
        return found

    # --- the rule ---------------------------------------------------------------------

    def rule(self, resource: Mapping[str, Any]) -> Rule:
        """Return the rule; see the module for what a type, or none, means."""
        path = "Consent.provision"
        root = resource.get("provision", {})
        if not isinstance(root, dict):
            raise NotMapped(codes.MALFORMED, path)
        kind = None if "type" not in root else self._permits(root, path)
        base = kind
        if "policyRule" in resource:
            opted = {codes.ACT_CODE: ("OPTIN", "OPTOUT")}
            base = _coded(resource["policyRule"], opted, "Consent.policyRule") == "OPTIN"
        if base is None:
            raise NotMapped(codes.MISSING, f"{path}.type")
        scope = self._scope(root, path)
        nested = _many(root, "provision", path)
        exception = kind is not None and kind != base
        if kind is None and set(root) - _SAYS_NOTHING:
            if self._choices.untyped not in (LIMITS, EXCEPTION):
                raise NotMapped(codes.MISSING, f"{path}.type")
            exception = self._choices.untyped == EXCEPTION
        if not exception:
            return Rule(base, scope, tuple(self._exemption(item) for item in nested))
        if nested:
            raise NotMapped(codes.ELEMENT, f"{path}.provision")  # an exception to an exception
        return Rule(base, Scope(), (Exemption(not base, scope),))

    @staticmethod
    def _permits(provision: Mapping[str, Any], path: str) -> bool:
        if "type" not in provision:
            raise NotMapped(codes.MISSING, f"{path}.type")
        if provision["type"] not in ("permit", "deny"):
            raise NotMapped(codes.CODE, f"{path}.type")
        return bool(provision["type"] == "permit")

    def _exemption(self, provision: Any) -> Exemption:
        path = "Consent.provision.provision"
        if not isinstance(provision, dict):
            raise NotMapped(codes.MALFORMED, path)
        if "provision" in provision:
            raise NotMapped(codes.ELEMENT, f"{path}.provision")
        return Exemption(self._permits(provision, path), self._scope(provision, path))

    def _scope(self, provision: Mapping[str, Any], path: str) -> Scope:
        _only(provision, _PROVISION, path)
        for action in _many(provision, "action", path):
            _coded(action, {codes.ACTIONS: ("access",)}, f"{path}.action")
        labels = {
            codes.CONFIDENTIALITY: codes.CONFIDENTIAL,
            codes.ACT_CODE: [item for item in LABELS if item not in codes.CONFIDENTIAL],
        }
        orgs, roles, licences = self._actors(provision, path)
        reasons = {codes.ACT_REASON: PURPOSES}
        from_ms, until_ms = _period(provision.get("period"), f"{path}.period", since_ever=True)
        data_period = _period(
            provision.get("dataPeriod"), f"{path}.dataPeriod", since_ever=False
        )
        try:
            return Scope(
                orgs=orgs,
                roles=roles,
                practitioners=licences,
                purposes=_sorted(
                    _code(item, reasons, f"{path}.purpose")
                    for item in _many(provision, "purpose", path)
                ),
                classes=self._classes(provision, path),
                labels=_sorted(
                    _code(item, labels, f"{path}.securityLabel")
                    for item in _many(provision, "securityLabel", path)
                ),
                named=self._named(provision, path),
                data_from_ms=data_period[0],
                data_until_ms=data_period[1],
                from_ms=from_ms,
                until_ms=until_ms,
            )
        except ValueError as error:
            raise NotMapped(codes.TOO_MUCH, path) from error

    def _actors(
        self, provision: Mapping[str, Any], path: str
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[bytes, ...]]:
        """Return institutions, roles and licences; the custodian itself is no recipient."""
        path = f"{path}.actor"
        orgs: set[str] = set()
        roles: set[str] = set()
        licences: set[bytes] = set()
        for actor in _many(provision, "actor", path):
            if not isinstance(actor, dict):
                raise NotMapped(codes.MALFORMED, path)
            parts = {codes.PARTICIPATION: (*codes.RECIPIENTS, codes.CUSTODIAN)}
            part = _coded(actor.get("role"), parts, f"{path}.role")
            reference = actor.get("reference")
            systems = (codes.INSTITUTION, codes.ROLE, codes.LICENCE)
            who = self._known(reference, systems, f"{path}.reference")
            if part == codes.CUSTODIAN:
                if who != self._choices.custodian:
                    raise NotMapped(codes.ELEMENT, f"{path}.role")
            elif isinstance(who, bytes):
                licences.add(who)
            elif (reference or {}).get("identifier", {}).get("system") == codes.ROLE:
                roles.add(who)
            else:
                orgs.add(who)
        return _sorted(orgs), _sorted(roles), _sorted(licences)

    def _classes(self, provision: Mapping[str, Any], path: str) -> tuple[int, ...]:
        """Return record classes: ours, or what ``system|code`` resolves to."""
        path = f"{path}.class"
        found = set()
        for coding in _many(provision, "class", path):
            if not isinstance(coding, dict):
                raise NotMapped(codes.MALFORMED, path)
            system, code = coding.get("system"), coding.get("code")
            number = code if system == codes.RECORD_CLASS else self._resolve(f"{system}|{code}")
            if not (isinstance(number, str) and number.isascii() and number.isdigit()):
                raise NotMapped(codes.CODE, path)
            found.add(int(number))
        return _sorted(found)

    def _named(self, provision: Mapping[str, Any], path: str) -> tuple[Named, ...]:
        path = f"{path}.data"
        found: dict[Named, None] = {}
        for item in _many(provision, "data", path):
            if not isinstance(item, dict):
                raise NotMapped(codes.MALFORMED, path)
            reference = item.get("reference")
            commitment = self.bytes_of(reference, codes.COMMITMENT, f"{path}.reference")
            try:
                found[Named(str(item.get("meaning")), commitment)] = None
            except ValueError as error:
                raise NotMapped(codes.CODE, f"{path}.meaning") from error
        return tuple(found)


def _sorted(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(sorted(set(items)))
