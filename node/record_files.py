"""Records as files: which ones there are, their exact octets, their media types.

Owns: walking directories, the entries of a FHIR Bundle as the octets that stand in the file,
lines of NDJSON, the guess of a media type, bounded reading, and two registered conditions,
``content-refused`` and ``opening-invalid``.  Refuses: what JSON readers may understand
differently; ``node.ledger.canon`` decides that.  Error texts name places and never content.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from node.error_codes import Code, Exit
from node.errors import ChartsealError, register
from node.ledger.canon import CanonRefused, Reason, read_json

CONTENT_BYTES_MAX: Final = 1 << 30
BUNDLE_ENTRIES_MAX: Final = 100_000
OPENING_SUFFIX: Final = ".opening.json"
OPENINGS_SUFFIX: Final = ".openings.jsonl"
RECEIPT_SUFFIX: Final = ".tlog-proof"
_OURS: Final = (OPENING_SUFFIX, OPENINGS_SUFFIX, RECEIPT_SUFFIX)
_BY_SUFFIX: Final = {
    ".json": "application/json",
    ".xml": "application/xml",
    ".dcm": "application/dicom",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".hl7": "application/hl7-v2",
    ".ndjson": "application/fhir+ndjson",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".csv": "text/csv",
}
FHIR_JSON: Final = "application/fhir+json"

CODES: Final = (
    Code(
        code="content-refused",
        title="the document has no canonical form",
        status=422,
        exit=Exit.CONFLICT,
        retryable=False,
        hint="repair the document, or pass --media-type application/octet-stream to anchor "
        "its exact octets",
    ),
    Code(
        code="opening-invalid",
        title="the file is not an opening",
        status=422,
        exit=Exit.VERIFICATION_FAILED,
        retryable=False,
        hint="use the file that `chartseal record anchor` wrote beside the record",
    ),
)
register(*CODES)


class Read(Protocol):
    """Returns the octets of a record; raises ``ChartsealError``."""

    def __call__(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A record that can be read when its turn comes."""

    name: str
    read: Read


def read_bytes(path: Path, *, bytes_max: int = CONTENT_BYTES_MAX) -> bytes:
    """Return the content of a file; raises ``ChartsealError``: file-unreadable, too large."""
    try:
        with path.open("rb") as file:
            raw = file.read(bytes_max + 1)
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{path}: {error.strerror}") from error
    if len(raw) > bytes_max:
        raise ChartsealError("body-too-large", f"{path}: more than {bytes_max} bytes")
    return raw


def files_below(directory: Path) -> list[Path]:
    """Return the files below ``directory`` in order; hidden ones and our own are left out."""
    found = []
    for path in sorted(directory.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if path.is_file() and not hidden and not path.name.endswith(_OURS):
            found.append(path)
    return found


def sources(target: Path, *, split_bundles: bool) -> Iterator[Source]:
    """Yield the records of a file or directory; Bundles by entry when asked for."""
    directory = target.is_dir()
    for path in files_below(target) if directory else [target]:
        name = str(path.relative_to(target)) if directory else path.name
        if split_bundles and path.suffix == ".json":
            yield from _entries(name, path)
        else:
            yield Source(name, partial(read_bytes, path))


def _entries(name: str, path: Path) -> Iterator[Source]:
    try:
        raw = read_bytes(path)
        slices = bundle_entries(raw)
    except ChartsealError as error:
        yield Source(name, partial(_fail, error))
        return
    for number, piece in slices:
        yield Source(f"{name}#entry[{number}]", partial(_same, piece))


def _same(raw: bytes) -> bytes:
    return raw


def _fail(error: ChartsealError) -> bytes:
    raise error


def lines(stream: Iterator[bytes]) -> Iterator[Source]:
    """Yield the records of newline-delimited JSON; blank lines are passed over."""
    for number, line in enumerate(stream, start=1):
        raw = line.strip()
        if raw:
            yield Source(f"line {number}", partial(_same, raw))


def bundle_entries(raw: bytes) -> list[tuple[int, bytes]]:
    """Return ``(position, exact octets)`` of each entry's resource in a FHIR Bundle.

    Raises ``ChartsealError`` (content-refused) for anything that is not a Bundle.
    """
    tree = strict_json(raw)
    if not isinstance(tree, dict) or tree.get("resourceType") != "Bundle":
        raise ChartsealError("content-refused", "not a FHIR Bundle")
    entries = tree.get("entry", [])
    if not isinstance(entries, list) or len(entries) > BUNDLE_ENTRIES_MAX:
        raise ChartsealError("content-refused", f"entry is no list up to {BUNDLE_ENTRIES_MAX}")
    text = raw.decode("utf-8")
    spans = dict(_members(text, 0))
    found = []
    for number, at in enumerate(_items(text, spans["entry"]) if entries else ()):
        inside = dict(_members(text, at)) if text[at] == "{" else {}
        start = inside.get("resource")
        if start is not None:
            _value, end = _DECODER.raw_decode(text, start)
            found.append((number, text[start:end].encode()))
    return found


def parameter_resource(raw: bytes, name: str) -> bytes | None:
    """Return the exact octets of the resource in the parameter ``name`` of FHIR Parameters.

    Raises ``ChartsealError`` (content-refused) for anything that is not Parameters.
    """
    tree = strict_json(raw)
    if not isinstance(tree, dict) or tree.get("resourceType") != "Parameters":
        raise ChartsealError("content-refused", "not FHIR Parameters")
    listed = tree.get("parameter", [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise ChartsealError("content-refused", "parameter is no list of objects")
    text = raw.decode("utf-8")
    spans = dict(_members(text, 0))
    starts = _items(text, spans["parameter"]) if listed else iter(())
    for item, at in zip(listed, starts, strict=True):
        if item.get("name") == name and isinstance(item.get("resource"), dict):
            start = dict(_members(text, at))["resource"]
            _value, end = _DECODER.raw_decode(text, start)
            return text[start:end].encode()
    return None


def strict_json(raw: bytes) -> Any:
    """Return the JSON value as ``canon`` reads it; raises ``ChartsealError``."""
    try:
        return read_json(raw)
    except CanonRefused as refused:
        raise refusal(refused) from None


def refusal(refused: CanonRefused) -> ChartsealError:
    """Return a refused document as a registered condition; never quotes the content."""
    code = (
        "media-type-unsupported" if refused.reason is Reason.MEDIA_TYPE else "content-refused"
    )
    return ChartsealError(code, str(refused))


# Only positions matter: numbers stay text, however long they are.
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE: Final = " \t\r\n"


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _items(text: str, at: int) -> Iterator[int]:
    """Yield where each element starts of the array at ``at``; the text is known to be JSON."""
    at = _skip(text, at + 1)
    while text[at] != "]":
        yield at
        _value, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        at = _skip(text, at + 1) if text[at] == "," else at


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield (name, where the value starts) of the object at ``at``."""
    at = _skip(text, _skip(text, at) + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        yield name, at
        _value, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        at = _skip(text, at + 1) if text[at] == "," else at


# --- media types ----------------------------------------------------------------------------


def media_type_of(name: str, raw: bytes) -> str:
    """Return the media type by the name's ending; JSON with a resourceType is FHIR."""
    plain = name.partition("#")[0]
    guess = _BY_SUFFIX.get(Path(plain).suffix.lower(), "application/octet-stream")
    if "#entry[" in name or name.startswith("line "):
        guess = "application/json"
    if guess == "application/json":
        tree = strict_json(raw)
        if isinstance(tree, dict) and "resourceType" in tree:
            return FHIR_JSON
    return guess
