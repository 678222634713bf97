"""The description says what the code does: every route, every code, and it is valid."""

import json

from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from node import errors
from node.http import api as http
from node.http.answers import Api
from node.http.limits import HttpLimits
from node.ledger.registry import OPERATIONS


async def test_the_description_is_valid_and_public(client) -> None:
    document = await client.json("/v1/openapi.json", token=None)
    validate(document, cls=OpenAPIV31SpecValidator)


async def test_every_route_stands_in_it_with_its_problems(client, ledger) -> None:
    document = await client.json("/v1/openapi.json")
    routes = http.api_routes(Api(ledger.service, HttpLimits()))
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert described == {(route.method, route.path) for route in routes}
    for route in routes:
        operation = document["paths"][route.path][route.method.lower()]
        assert ("security" in operation) == (route.scope is not None)
        for code in route.problems:
            shown = operation["responses"][str(errors.get(code).status)]["description"]
            assert code in shown


async def test_every_code_and_every_kind_of_operation_is_described(client) -> None:
    document = await client.json("/v1/openapi.json")
    codes = {entry.code for entry in errors.all_codes()}
    schemas = document["components"]["schemas"]
    assert set(schemas["Problem"]["properties"]["code"]["enum"]) == codes
    assert {item["code"] for item in document["x-problems"]} == codes
    text = json.dumps(schemas)
    assert all(f'{{"const": "{kind}"}}' in text for kind in OPERATIONS)
