"""How FHIR requests are read and answered: media type, parameters, resources, conditions.

Owns: the FHIR interface's own conditions, search parameters of GET and of ``_search`` (a form,
so that identifiers of patients need not stand in URLs), and the form of its answers.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from node.error_codes import Code, Exit
from node.errors import ChartsealError, register
from node.fhir import forms
from node.fhir.forms import MEDIA_TYPE, Resource
from node.http import answers, types
from node.http.limits import HttpLimits

JSON: Final = answers.JSON
FORM: Final = "application/x-www-form-urlencoded"
PATH: Final = "/fhir"
PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 200
PARAMETER_CHARACTERS_MAX: Final = 1024
PARAMETERS_MAX: Final = 32
_COMMON: Final = ("_count", "_offset", "_format")

register(
    Code(
        "fhir-type-unknown",
        "no such resource type in FHIR R4, or none that can be posted",
        404,
        Exit.NOT_FOUND,
        retryable=False,
        hint="see the CapabilityStatement at /fhir/metadata",
    ),
    Code(
        "fhir-malformed",
        "the resource is not what this request needs",
        400,
        Exit.USAGE,
        retryable=False,
        hint="compare it with FHIR R4 and with the detail",
    ),
    Code(
        "fhir-consent-unsupported",
        "the Consent says what the ledger's rules cannot hold",
        422,
        Exit.CONFLICT,
        retryable=False,
        hint="see the manual's page on consents for what is kept of a provision",
    ),
    Code(
        "patient-unknown",
        "no patient is registered here under that identifier",
        404,
        Exit.NOT_FOUND,
        retryable=False,
        hint="register the patient first: POST /fhir/Patient with the identifier",
    ),
    Code(
        "patient-ambiguous",
        "the identifiers lead to different patients",
        409,
        Exit.CONFLICT,
        retryable=False,
        hint="find out which of the identifiers belong together before registering them",
    ),
)


def resource(
    value: Resource, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return ``value`` as FHIR JSON."""
    return web.Response(
        body=types.encode(value), status=status, content_type=MEDIA_TYPE, headers=headers
    )


async def posted(request: web.Request, limits: HttpLimits) -> bytes:
    """Return the octets of the resource in the body."""
    answers.accepted(request, MEDIA_TYPE, JSON)
    answers.media_type(request, MEDIA_TYPE, JSON)
    return await answers.bounded_body(request, limits)


class Given:
    """Search or operation parameters, each known by name; values in the order given."""

    def __init__(self, pairs: Sequence[tuple[str, str]], known: Sequence[str]) -> None:
        if len(pairs) > PARAMETERS_MAX:
            answers.refuse("bad-request", f"at most {PARAMETERS_MAX} parameters")
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if name not in known and name not in _COMMON:
                answers.refuse("unknown-parameter", "a parameter is unknown here")
            if len(value) > PARAMETER_CHARACTERS_MAX:
                answers.refuse("bad-request", "a parameter is too long")
            self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def one(self, name: str) -> str | None:
        """Return the value of a parameter that may stand once."""
        values = self.all(name)
        if len(values) > 1:
            answers.refuse("bad-request", f"{name} is given twice")
        return values[0] if values else None

    def needed(self, name: str) -> str:
        value = self.one(name)
        if value is None:
            answers.refuse("bad-request", f"{name} is required")
        return value

    def whole(self, name: str, *, default: int, low: int, high: int) -> int:
        return answers.whole(self.one(name), name, default=default, low=low, high=high)

    @property
    def count(self) -> int:
        return self.whole("_count", default=PAGE_DEFAULT, low=1, high=PAGE_MAX)

    @property
    def offset(self) -> int:
        return self.whole("_offset", default=0, low=0, high=answers.NUMBER_MAX)

    def url(self, path: str, *, offset: int | None = None) -> str:
        """Return the request again as a URL, at another offset if one is given."""
        values = {name: list(items) for name, items in self._values.items()}
        if offset is not None:
            values["_offset"] = [str(offset)]
        text = urlencode(values, doseq=True)
        return f"{path}?{text}" if text else path


async def given(request: web.Request, limits: HttpLimits, *known: str) -> Given:
    """Return the parameters of a GET, or of a POST whose body is a form."""
    answers.accepted(request, MEDIA_TYPE, JSON)
    pairs = list(request.query.items())
    if request.method == "POST":
        answers.media_type(request, FORM)
        body = await answers.bounded_body(request, limits)
        try:
            pairs += parse_qsl(
                body.decode("utf-8"), keep_blank_values=True, max_num_fields=PARAMETERS_MAX
            )
        except ValueError:
            raise ChartsealError("bad-request", "the form cannot be read") from None
    return Given(pairs, known)


def from_parameters(tree: Any, known: Sequence[str]) -> Given:
    """Return FHIR Parameters with simple values as if they had been given in a URL."""
    listed = tree.get("parameter") if type(tree) is dict else None
    if type(listed) is not list or tree.get("resourceType") != "Parameters":
        answers.refuse("fhir-malformed", "Parameters with a list of parameter are expected")
    pairs = []
    for item in listed:
        name = item.get("name") if type(item) is dict else None
        values = (
            [value for key, value in item.items() if key.startswith("value")] if name else []
        )
        if type(name) is not str or len(values) != 1:
            answers.refuse("fhir-malformed", "each parameter has a name and one value")
        pairs.append((name, _simple(values[0])))
    return Given(pairs, known)


def _simple(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is dict:  # Identifier or Coding
        system = value.get("system", "")
        return f"{system}|{value.get('value') or value.get('code') or ''}"
    if not isinstance(value, str):
        answers.refuse("fhir-malformed", "values are strings, numbers, booleans, identifiers")
    return str(value)


def searchset(
    given: Given, path: str, found: Sequence[Resource], *, total: int | None, after: int | None
) -> web.Response:
    """Return a page of a search with links to itself and to the next one."""
    links = [("self", given.url(path))]
    if after is not None:
        links.append(("next", given.url(path, offset=after)))
    entries = [forms.found_entry(item) for item in found]
    return resource(forms.bundle("searchset", entries, total=total, links=links))
