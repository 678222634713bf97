"""Every condition the product can name, once: for HTTP, command line, logs and manuals.

    ChartsealError             a condition from the registry, raised where people see it
    +-- ConfigError            node/config.py: settings that cannot be used
    +-- KeystoreError          node/keys.py: key files that cannot be used

Owns: the registry (its first entries stand in error_codes.py; others may add theirs), the
mapping of library errors to them by their ``code`` attribute, and the problem document of
RFC 9457.  Refuses: content; a detail shows places, sizes, names of settings and digests, never
what a patient's record says, and an unforeseen exception shows no text at all.
Invariant: whatever is raised or answered carries a registered code, so that every code has a
title, an HTTP status, an exit code and a hint what to do next.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from node.error_codes import CODES, EXIT_DO_NOT_RESTART, Code, Exit, is_code

__all__ = [
    "EXIT_DO_NOT_RESTART",
    "PROBLEM_TYPE_PREFIX",
    "ChartsealError",
    "Code",
    "Exit",
    "all_codes",
    "code_of_status",
    "from_exception",
    "from_problem",
    "get",
    "lookup",
    "problem",
    "register",
]

PROBLEM_TYPE_PREFIX: Final = "/v1/problems/"


_registry: dict[str, Code] = {}


def register(*codes: Code) -> None:
    """Add ``codes``; the same entry twice is harmless, another meaning for a code is a bug."""
    for item in codes:
        known = _registry.setdefault(item.code, item)
        assert known == item, f"code {item.code} is registered with another meaning"


def lookup(code: str) -> Code | None:
    """Return the entry of ``code``, or None."""
    return _registry.get(code)


def get(code: str) -> Code:
    """Return the entry of ``code``, which must exist."""
    entry = _registry.get(code)
    assert entry is not None, f"code {code} is not registered"
    return entry


def all_codes() -> Iterator[Code]:
    """Yield every entry in alphabetical order (the manual's table of problems)."""
    for name in sorted(_registry):
        yield _registry[name]


class ChartsealError(Exception):
    """A registered condition.  ``detail`` is one sentence for people; both go outside."""

    def __init__(self, code: str, detail: str = "", *, hint: str | None = None) -> None:
        self.entry: Final = get(code)
        self.code: Final = code
        self.detail: Final = detail
        self.hint: Final = self.entry.hint if hint is None else hint
        super().__init__(f"{code}: {detail}" if detail else code)

    @property
    def exit_code(self) -> Exit:
        return self.entry.exit


def from_exception(error: BaseException) -> ChartsealError:
    """Return ``error`` as a registered condition, by its ``code`` attribute.

    An exception without a registered code is ours to repair: it becomes ``internal`` and only
    its type is told, because its text may hold content.
    """
    if isinstance(error, ChartsealError):
        return error
    code = getattr(error, "code", None)
    if isinstance(code, str) and code in _registry:
        converted = ChartsealError(code, _detail_of(error, code))
    else:
        converted = ChartsealError("internal", f"unforeseen {type(error).__name__}")
    converted.__cause__ = error
    return converted


def _detail_of(error: BaseException, code: str) -> str:
    text = str(error)
    if text == code:
        return ""
    return text.removeprefix(f"{code}: ")


def problem(code: str, detail: str = "", **members: Any) -> dict[str, Any]:
    """Return the RFC 9457 problem document of ``code`` as a JSON-ready object.

    ``members`` are further members (``request_id``, ``height``, ``errors``); they must not
    replace the standard ones.  ``detail`` and ``hint`` are always present.
    """
    entry = get(code)
    document: dict[str, Any] = {
        "type": PROBLEM_TYPE_PREFIX + entry.code,
        "title": entry.title,
        "status": entry.status,
        "detail": detail,
        "code": entry.code,
        "retryable": entry.retryable,
        "hint": entry.hint,
    }
    clash = document.keys() & members.keys()
    assert not clash, f"problem members {sorted(clash)} are fixed by the registry"
    return document | members


def from_problem(document: Mapping[str, Any]) -> ChartsealError:
    """Return the condition that a node answered.

    A newer node may know codes that we do not: these keep their own text but take title and
    exit code from the HTTP status.
    """
    code, status = document.get("code"), document.get("status")
    detail, hint = document.get("detail"), document.get("hint")
    text = detail if isinstance(detail, str) else ""
    advice = hint if isinstance(hint, str) and hint else None
    if isinstance(code, str) and code in _registry:
        return ChartsealError(code, text, hint=advice)
    foreign = code if isinstance(code, str) and is_code(code) else "unnamed"
    general = code_of_status(status if isinstance(status, int) else 500)
    return ChartsealError(general, f"{foreign}: {text}" if text else foreign, hint=advice)


_BY_STATUS: Final = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "body-too-large",
    415: "media-type-unsupported",
    422: "bad-request",
    429: "rate-limited",
    503: "not-ready",
    504: "timeout-outcome-unknown",
}


def code_of_status(status: int) -> str:
    """Return the general code for an HTTP error that names none."""
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    return "bad-request" if 400 <= status < 500 else "internal"


register(*CODES)
