"""How the fields of operations and the parameters of questions are written on a command line.

Bytes are hexadecimal, or ``new`` for fresh random ones (16 where the name says tag, else 32);
times are Unix milliseconds, ``2026-03-01T08:00Z``, ``now``, ``+30d`` or ``-6h``; spans are
milliseconds or ``72h``; records and lists of records are JSON or ``@FILE``; lists of plain
values repeat the option.

Owns: the option of each field and the way back to plain JSON members.  Refuses: judging what a
value means; the ledger's own records do that.
"""

import dataclasses
import json
import re
import time
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import nacl.utils

from node.ledger.asking import inner_kind
from node.record_files import read_bytes
from node.settings import ID_PATTERN, Address

_UNITS: Final = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN: Final = re.compile(r"([+-]?)(\d{1,15})(ms|s|min|h|d)")
_JSON_BYTES_MAX: Final = 1 << 16
_NOW: Final = "now"
_NEW: Final = "new"


class Octets(click.ParamType[str]):
    """Bytes in hexadecimal, or ``new``: 32 random ones (16 for a tag)."""

    name = "hex"

    def __init__(self, size: int) -> None:
        self._size = size

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if text == _NEW:
            return nacl.utils.random(self._size).hex()
        if not re.fullmatch(r"(?:[0-9a-fA-F]{2})*", text):
            self.fail("bytes as hexadecimal digits, or the word new", param, ctx)
        return text.lower()


class Number(click.ParamType[int]):
    """A whole number; for times and spans also the forms that people write."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        number = number_of(str(value), now_ms=time.time_ns() // 1_000_000)
        if number is None or number < 0:
            self.fail("a whole number, a time such as +30d, or a span such as 72h", param, ctx)
        return number


def number_of(text: str, *, now_ms: int) -> int | None:
    """Return what ``text`` says in whole numbers (times: Unix milliseconds), else None."""
    if text.isascii() and text.isdigit():
        return int(text)
    if text == _NOW:
        return now_ms
    if match := _SPAN.fullmatch(text):
        span = int(match[2]) * _UNITS[match[3]]
        return {"": span, "+": now_ms + span, "-": now_ms - span}[match[1]]
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return None
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    return round(stamp.timestamp() * 1000)


class Plain(click.ParamType[Any]):
    """A record or a list of records, as JSON text or in a file."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        text = str(value)
        if text.startswith("@"):
            text = read_bytes(Path(text[1:]), bytes_max=_JSON_BYTES_MAX).decode(
                "utf-8", "replace"
            )
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            self.fail("JSON, or @ and the name of a file with JSON", param, ctx)


def _option(name: str, kind: Any, *, needed: bool, default: Any) -> click.Option:
    flag = "--" + name.replace("_", "-")
    plain, several = inner_kind(kind), False
    if typing.get_origin(plain) is tuple:
        item = inner_kind(typing.get_args(plain)[0])
        several = not dataclasses.is_dataclass(item)
        plain = item if several else plain
    say = _says(name, plain, several=several)
    if plain is bool:
        return click.Option(
            [f"{flag}/--no-{name.replace('_', '-')}", name], default=None, help=say
        )
    shown = f" Default: {default}." if default not in (None, (), dataclasses.MISSING) else ""
    return click.Option(
        [flag, name],
        type=_type(name, plain),
        multiple=several,
        required=needed and not several,
        help=say + shown,
    )


def _type(name: str, kind: Any) -> click.ParamType[Any]:
    if kind is bytes:
        return Octets(16 if "tag" in name.split("_") else 32)
    if kind is int:
        return Number()
    return click.STRING if kind is str else Plain()


def _says(name: str, kind: Any, *, several: bool) -> str:
    words = name.replace("_", " ").removesuffix(" ms")
    if kind is int and name.endswith("_ms"):
        words += ", a time or a span"
    if kind not in (bytes, int, str, bool):
        words += ", as JSON"
    return words[0].upper() + words[1:] + (", may be repeated." if several else ".")


def options_of(kind: type) -> list[click.Option]:
    hints = typing.get_type_hints(kind)
    return [
        _option(
            field.name,
            hints[field.name],
            needed=field.default is dataclasses.MISSING and not _optional(hints[field.name]),
            default=field.default,
        )
        for field in dataclasses.fields(kind)
    ]


def _optional(kind: Any) -> bool:
    return type(None) in typing.get_args(kind) and typing.get_origin(kind) in (
        typing.Union,
        types.UnionType,
    )


def given_members(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain members that were given; optional ones without default become null."""
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        value = options[field.name]
        has_default = field.default is not dataclasses.MISSING
        is_list = typing.get_origin(inner_kind(hints[field.name])) is tuple
        if value is None or (value == () and has_default):
            if not has_default and _optional(hints[field.name]):
                found[field.name] = None
            continue
        found[field.name] = list(value) if is_list else value
    return found


def address_option(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> str | None:
    """Check an option that is HOST:PORT."""
    try:
        return None if value is None else str(Address.parse(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def id_option(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Check an option that is an institution's id."""
    if not ID_PATTERN.fullmatch(value):
        raise click.BadParameter("an id matches [a-z0-9][a-z0-9-]{0,62}")
    return value
