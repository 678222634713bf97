"""The OpenAPI 3.1 description, made from the routes and the types that the handlers use.

Owns: turning both into one document, so that it cannot say anything else than the code does.
The bodies of operations are described from the ledger's own records, by kind.
"""

import dataclasses
import re
import types as python_types
import typing
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Any, Final

import msgspec
from aiohttp import web

from node import errors
from node.http import answers, types
from node.http.answers import JSON, PROBLEM, Answer, Parameter, Route
from node.http.asking import AnswerForm
from node.http.auth import CERTIFICATE_SCOPES
from node.ledger.registry import OPERATIONS, RESULTS

_REF: Final = "#/components/schemas/{name}"
_ALWAYS: Final = (
    "bad-request",
    "unknown-parameter",
    "method-not-allowed",
    "rate-limited",
    "overloaded",
    "internal",
    "storage-failure",
)
_WITH_SCOPE: Final = ("unauthorized", "forbidden")
_WITH_BODY: Final = (
    "body-too-large",
    "media-type-unsupported",
    "request-timeout",
    "json-syntax",
    "json-encoding",
    "json-duplicate-key",
    "json-number",
    "json-depth",
)
_PATH_SAYS: Final = {
    "tx_id": ("transaction id", r"^[0-9a-fA-F]{64}$"),
    "commitment": ("commitment of a record", r"^[0-9a-fA-F]{64}$"),
    "height": ("height from 1, or latest", r"^(?:latest|[1-9][0-9]*)$"),
    "key": ("state key in hexadecimal", r"^(?:[0-9a-fA-F]{2})+$"),
    "type": ("resource type of FHIR R4", r"^[A-Z][A-Za-z]*$"),
    "id": ("commitment of a resource", r"^[0-9a-fA-F]{64}$"),
    "code": ("code of a problem", r"^[a-z0-9-]+$"),
}


def describe_route(all_routes: Callable[[], Sequence[Route]]) -> Route:
    """Return the route that serves the description of ``all_routes()``."""
    made: list[bytes] = []

    async def show(request: web.Request) -> web.Response:
        answers.query(request)
        if not made:
            made.append(types.encode(document(all_routes())))
        return web.Response(body=made[0], content_type=JSON)

    return Route(
        method="GET",
        path="/v1/openapi.json",
        handler=show,
        scope=None,
        summary="This description.",
        answers=(Answer(status=200, say="OpenAPI 3.1.", forms={JSON: None}),),
    )


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the description as a JSON-ready object."""
    kinds = list(_kinds(routes))
    shown, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schemas = dict(zip([_key(kind) for kind in kinds], shown, strict=True))
    components["Problem"]["properties"]["code"] = {
        "type": "string",
        "enum": [entry.code for entry in errors.all_codes()],
    }
    _describe_operations(components)
    paths: dict[str, Any] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Chartseal node",
            "version": metadata.version("chartseal"),
            "description": "Anchoring records, following transactions, proofs for everybody. "
            "Every error is an RFC 9457 problem; `code` is stable.",
        },
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "certificate": {"type": "mutualTLS"},
            },
        },
        "x-problems": [
            {"code": item.code, "title": item.title, "status": item.status, "hint": item.hint}
            for item in errors.all_codes()
        ],
        "x-results": [
            {"number": item.number, "code": item.code, "say": item.say}
            for item in RESULTS.values()
        ],
    }


def _key(kind: Any) -> str:
    return str(kind)


def _kinds(routes: Sequence[Route]) -> Iterable[Any]:
    found: dict[str, Any] = {_key(types.Problem): types.Problem}
    for route in routes:
        forms = [*(route.body or {}).values()]
        forms += [form for item in route.answers for form in item.forms.values()]
        for form in forms:
            several = form if isinstance(form, tuple) else (form,)
            described = [kind for kind in several if kind is not None]
            found |= {_key(k): k for k in described if not isinstance(k, AnswerForm)}
    return found.values()


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *map(_parameter, route.parameters)],
        "responses": {
            **{str(item.status): _answer(item, schemas) for item in route.answers},
            **_problems(route),
        },
    }
    if route.body is not None:
        shown["requestBody"] = {"required": True, "content": _content(route.body, schemas)}
    if route.scope is not None:
        shown["security"] = [{"token": [route.scope]}]
        if route.scope in CERTIFICATE_SCOPES:
            shown["security"].append({"certificate": [route.scope]})
    return shown


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_SAYS[name][0],
            "schema": {"type": "string", "pattern": _PATH_SAYS[name][1]},
        }
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]


def _parameter(item: Parameter) -> dict[str, Any]:
    return {
        "name": item.name,
        "in": item.place,
        "required": False,
        "description": item.say,
        "schema": dict(item.schema),
    }


def _content(forms: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    return {media: _form(kind, schemas) for media, kind in forms.items()}


def _form(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if kind is None:
        return {}
    if isinstance(kind, AnswerForm):
        return {"schema": _answer_of(kind)}
    if isinstance(kind, tuple):
        return {"schema": {"oneOf": [schemas[_key(item)] for item in kind]}}
    return {"schema": schemas[_key(kind)]}


def _answer_of(form: AnswerForm) -> dict[str, Any]:
    """Describe a question's answer; with a proof there are more members beside it."""
    number = {"type": "integer", "minimum": 0}
    return {
        "type": "object",
        "properties": {
            "question": {"const": form.question.name},
            "height": number,
            "time_ms": number,
            "answer": _record(form.question.answer),
        },
        "required": ["question", "height", "answer"],
    }


def _answer(item: Answer, schemas: dict[str, Any]) -> dict[str, Any]:
    headers = {
        "Chartseal-Height": {
            "description": "height that this node has applied",
            "schema": {"type": "integer"},
        },
        "X-Request-Id": {"description": "for support", "schema": {"type": "string"}},
    }
    return {
        "description": item.say,
        "headers": headers,
        "content": _content(item.forms, schemas),
    }


def _problems(route: Route) -> dict[str, Any]:
    codes = [*_ALWAYS, *route.problems]
    codes += _WITH_SCOPE if route.scope is not None else ()
    codes += _WITH_BODY if route.body is not None else ()
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in sorted(set(codes)):
        by_status[errors.get(code).status].append(code)
    ref = {"$ref": _REF.format(name="Problem")}
    return {
        str(status): {
            "description": f"Problem: {', '.join(found)}.",
            "content": {PROBLEM: {"schema": ref}},
        }
        for status, found in sorted(by_status.items())
    }


# --- operations of the ledger -------------------------------------------------------------


def _describe_operations(components: dict[str, Any]) -> None:
    """Replace the free ``body`` of operations by one schema for each kind."""
    variants = []
    for kind, operation in sorted(OPERATIONS.items()):
        name = "Op" + "".join(part.title() for part in kind.split("."))
        components[name] = {
            "type": "object",
            "description": operation.say,
            "properties": {"kind": {"const": kind}, "body": _record(operation.body)},
            "required": ["kind", "body"],
            "additionalProperties": False,
        }
        variants.append({"$ref": _REF.format(name=name)})
    components["Operation"] = {"oneOf": variants, "description": "One operation."}


def _record(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return {
        "type": "object",
        "properties": {item.name: _value(hints[item.name]) for item in fields},
        "required": [i.name for i in fields if i.default is dataclasses.MISSING],
        "additionalProperties": False,
    }


def _value(kind: Any) -> dict[str, Any]:
    while isinstance(kind, typing.NewType):
        kind = kind.__supertype__
    if kind is bytes:
        return {"type": "string", "pattern": r"^(?:[0-9a-fA-F]{2})*$"}
    if kind is bool:
        return {"type": "boolean"}
    if kind is int:
        return {"type": "integer", "minimum": 0}
    if kind is str:
        return {"type": "string"}
    if dataclasses.is_dataclass(kind):
        return _record(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return {"type": "array", "items": _value(arguments[0])}
    assert origin in (typing.Union, python_types.UnionType), f"{kind} in an operation"
    (only,) = [item for item in arguments if item is not type(None)]
    return {"anyOf": [_value(only), {"type": "null"}]}
