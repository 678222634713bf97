"""The examples that HL7 publishes with FHIR R4, where they lie beside the project.

They are not part of the project; without them the tests that need them say so and stop.
"""

import json
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "fhir-r4-examples"


def official(name: str) -> dict[str, Any]:
    """Return one official example, or skip the test."""
    path = EXAMPLES / f"{name}.json"
    if not path.is_file():
        pytest.skip("the official R4 examples (../shared/data/fhir-r4-examples) are not here")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def broken(resource: Any, junk: Any) -> list[Any]:
    """Return copies of ``resource``, in each of which one value is replaced by ``junk``."""
    found = [junk]
    if isinstance(resource, dict):
        for name, value in resource.items():
            found += [{**resource, name: item} for item in broken(value, junk)]
            found.append({key: item for key, item in resource.items() if key != name})
    elif isinstance(resource, list):
        for place, value in enumerate(resource):
            found += [
                [*resource[:place], item, *resource[place + 1 :]]
                for item in broken(value, junk)
            ]
    return found
