"""Real input for the demonstration: FHIR R4 resources, from a folder or a seeded generator.

A Bundle is split into its resources: each is a record of its own.  Bytes are kept exactly as
they are anchored; nothing here looks at what they say.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.errors import ChartsealError

PATIENTS: Final = 7  # about 300 resources
SEED: Final = 20_240_611
RECORDS_MAX: Final = 5000


@dataclass(frozen=True, slots=True)
class Record:
    """One resource: a name for messages (type and number, never an identifier), its bytes."""

    name: str
    raw: bytes


def generated() -> list[Record]:
    """Return the resources of a seeded synthetic cohort; raises ``ChartsealError``."""
    try:
        import carebundle
    except ImportError as error:
        hint = "install the extra: pip install 'chartseal[demo]', or give --input FOLDER"
        raise ChartsealError("not-found", "the generator carebundle", hint=hint) from error
    bundles = carebundle.generate_cohort(count=PATIENTS, seed=SEED)
    documents = (json.loads(carebundle.to_json(bundle)) for bundle in bundles)
    return list(_resources(documents))


def from_folder(folder: Path) -> list[Record]:
    """Return every resource in the ``.json`` files of ``folder``; raises ``ChartsealError``."""
    if not folder.is_dir():
        raise ChartsealError("not-found", f"{folder} is no folder")
    records = list(_resources(_documents(folder)))[:RECORDS_MAX]
    if not records:
        raise ChartsealError("not-found", f"{folder} holds no FHIR resources in .json files")
    return records


def _documents(folder: Path) -> Iterator[Any]:
    for path in sorted(folder.rglob("*.json")):
        try:
            yield json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ChartsealError("file-unreadable", f"{path} is no JSON") from error


def _resources(documents: Iterator[Any]) -> Iterator[Record]:
    number = 0
    for document in documents:
        if not isinstance(document, dict):
            continue
        entries = document.get("entry")
        if document.get("resourceType") == "Bundle" and isinstance(entries, list):
            found = [entry.get("resource") for entry in entries if isinstance(entry, dict)]
        else:
            found = [document]
        for resource in found:
            if isinstance(resource, dict) and isinstance(resource.get("resourceType"), str):
                number += 1
                raw = json.dumps(resource, ensure_ascii=False, indent=1).encode()
                yield Record(f"{resource['resourceType']} #{number}", raw)


def reserialised(raw: bytes) -> bytes:
    """Return the same resource written by another system: keys sorted, no white space."""
    tree = json.loads(raw, parse_float=_Lexeme, parse_int=_Lexeme)
    return _write(tree).encode()


class _Lexeme(str):
    """A number as it was written; another system keeps FHIR decimals to the digit."""


def _write(tree: Any) -> str:
    if isinstance(tree, _Lexeme):
        return str(tree)
    if isinstance(tree, dict):
        pairs = (f"{json.dumps(key)}:{_write(tree[key])}" for key in sorted(tree))
        return "{" + ",".join(pairs) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(_write(item) for item in tree) + "]"
    return json.dumps(tree)


def one_digit_changed(raw: bytes) -> bytes:
    """Return ``raw`` with one digit of a number changed: what tampering looks like."""
    marker = raw.find(b'"value": ')
    start = marker + 9 if marker >= 0 else 0
    for at in range(start, len(raw)):
        if 0x30 <= raw[at] <= 0x39:
            digit = bytes((0x30 + (raw[at] - 0x30 + 1) % 10,))
            return raw[:at] + digit + raw[at + 1 :]
    raise ChartsealError("not-found", "the record holds no digit to change")
