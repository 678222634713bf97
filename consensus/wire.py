"""Typed records on canonical MessagePack: a dataclass is an array of its fields, in order.

Owns the one rule by which our messages, ledger operations and disk records become bytes and
come back *typed*: parse once at the edge, no dictionaries inside.  Supported field types:
``int`` (0 .. 2^64-1), ``bool``, ``bytes``, ``str``, ``NewType`` of these, ``X | None``,
``tuple[X, ...]`` and nested dataclasses.  ``Tagged`` unions put a small integer in front.
A record that grew after it was first written says ``GROWN_FROM: ClassVar[int]``, how many
fields it had then: later ones have defaults and are left out from the end while they are at
them, so what was written before keeps its bytes.  The shortest form is the only one.
Everything a peer can get wrong raises ``Malformed``; nothing else escapes.
"""

import dataclasses
import operator
import types
import typing
from collections.abc import Callable
from typing import Any, Final, TypeVar

from consensus import codec
from consensus.codec import Malformed

T = TypeVar("T")
U64_MAX: Final = (1 << 64) - 1
GROWN: Final = "GROWN_FROM"

_Parser = Callable[[Any], Any]
_parsers: dict[Any, _Parser] = {}


def _parse_int(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= U64_MAX:
        raise Malformed("expected an unsigned integer")
    return value


def _parse_exact(kind: type) -> _Parser:
    def parse(value: Any) -> Any:
        if type(value) is not kind:
            raise Malformed(f"expected {kind.__name__}")
        return value

    return parse


def _parse_dataclass(cls: type) -> _Parser:
    hints = typing.get_type_hints(cls)
    parsers = [_parser(hints[field.name]) for field in dataclasses.fields(cls)]
    defaults = [field.default for field in dataclasses.fields(cls)]
    count = len(parsers)
    least = getattr(cls, GROWN, count)

    def parse(value: Any) -> Any:
        if type(value) is not list or not least <= len(value) <= count:
            raise Malformed(f"{cls.__name__} takes an array of {count}")
        fields = [parser(item) for parser, item in zip(parsers, value, strict=False)]
        if len(fields) > least and fields[-1] == defaults[len(fields) - 1]:
            raise Malformed(f"{cls.__name__} is not in its shortest form")
        try:
            return cls(*fields)
        except ValueError as error:  # __post_init__ states the record's own limits
            raise Malformed(f"{cls.__name__}: {error}") from error

    return parse


def _parse_generic(kind: Any) -> _Parser:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        inner = _parser(arguments[0])

        def parse_tuple(value: Any) -> Any:
            if type(value) is not list:
                raise Malformed("expected an array")
            return tuple([inner(item) for item in value])

        return parse_tuple
    if origin in (typing.Union, types.UnionType) and type(None) in arguments:
        (only,) = [item for item in arguments if item is not type(None)]
        some = _parser(only)
        return lambda value: None if value is None else some(value)
    raise TypeError(f"wire cannot carry {kind!r}")


def _parser(kind: Any) -> _Parser:
    known = _parsers.get(kind)
    if known is not None:
        return known
    base = kind
    while isinstance(base, typing.NewType):
        base = base.__supertype__
    if base is int:
        parser: _Parser = _parse_int
    elif base in (bool, bytes, str):
        parser = _parse_exact(base)
    elif dataclasses.is_dataclass(base) and isinstance(base, type):
        parser = _parse_dataclass(base)
    else:
        parser = _parse_generic(base)
    _parsers[kind] = parser
    return parser


_Encoder = Callable[[Any], Any]
_encoders: dict[type, _Encoder] = {}


def _is_plain(kind: Any) -> bool:
    """Whether values of ``kind`` go to the codec as they are."""
    while isinstance(kind, typing.NewType):
        kind = kind.__supertype__
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return all(item is type(None) or _is_plain(item) for item in typing.get_args(kind))
    return kind in (int, bool, bytes, str)


def _encoder(cls: type) -> _Encoder:
    """Return a function from instances of ``cls`` to arrays; compiled once, this is hot."""
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    nested = [at for at, name in enumerate(names) if not _is_plain(hints[name])]
    if not names:
        _encoders[cls] = lambda _record: []
        return _encoders[cls]
    get: Callable[[Any], Any] = operator.attrgetter(*names)
    single = len(names) == 1

    def encode_record(record: Any) -> list[Any]:
        value = [get(record)] if single else list(get(record))
        for at in nested:
            value[at] = to_value(value[at])
        return value

    _encoders[cls] = _shortened(cls, encode_record) if hasattr(cls, GROWN) else encode_record
    return _encoders[cls]


def _shortened(cls: Any, encode_record: _Encoder) -> _Encoder:
    """Return ``encode_record`` without the later fields that stand at their defaults."""
    defaults = [to_value(field.default) for field in dataclasses.fields(cls)]
    least: int = cls.GROWN_FROM

    def encode_short(record: Any) -> list[Any]:
        value: list[Any] = encode_record(record)
        while len(value) > least and value[-1] == defaults[len(value) - 1]:
            value.pop()
        return value

    return encode_short


def to_value(record: Any) -> Any:
    """Return ``record`` as plain arrays, integers, bytes and text, ready for the codec."""
    kind = type(record)
    known = _encoders.get(kind)
    if known is not None:
        return known(record)
    if kind is tuple or kind is list:
        return [to_value(item) for item in record]
    if dataclasses.is_dataclass(kind):
        return _encoder(kind)(record)
    return record


def from_value(kind: type[T], value: Any) -> T:
    """Return ``value`` as a ``kind``; raise ``Malformed`` when it is not one."""
    return typing.cast(T, _parser(kind)(value))


def encode(record: Any) -> bytes:
    """Return the canonical bytes of a dataclass instance."""
    return codec.encode_typed(to_value(record))


def decode(kind: type[T], raw: bytes, *, size_max: int) -> T:
    """Return the ``kind`` that ``raw`` canonically encodes; raise ``Malformed`` otherwise."""
    return from_value(kind, codec.decode(raw, size_max=size_max))


class Tagged:
    """A closed set of message types, each under a small integer, as ``[tag, [fields...]]``."""

    def __init__(self, kinds: dict[int, type]) -> None:
        self._kinds = kinds
        self._tags = {kind: tag for tag, kind in kinds.items()}

    def to_value(self, message: Any) -> list[Any]:
        return [self._tags[type(message)], to_value(message)]

    def from_value(self, value: Any) -> Any:
        if type(value) is not list or len(value) != 2:
            raise Malformed("expected [tag, fields]")
        tag = value[0]
        kind = self._kinds.get(tag) if type(tag) is int else None
        if kind is None:
            raise Malformed("unknown message tag")
        return from_value(kind, value[1])

    def encode(self, message: Any) -> bytes:
        return codec.encode_typed(self.to_value(message))

    def decode(self, raw: bytes, *, size_max: int) -> Any:
        return self.from_value(codec.decode(raw, size_max=size_max))


# --- plain JSON shapes: the same records for people and integrators -----------------------


def to_plain(record: Any) -> Any:
    """Return ``record`` for JSON: field names, byte strings as lower-case hex."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_plain(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, tuple):
        return [to_plain(item) for item in record]
    return record.hex() if isinstance(record, bytes) else record


def from_plain(kind: Any, value: Any) -> Any:
    """Inverse of ``to_plain``; unknown or missing names and bad hex raise ``Malformed``.

    Fields with a default may be left out.
    """
    while isinstance(kind, typing.NewType):
        kind = kind.__supertype__
    if kind is bytes:
        if type(value) is not str:
            raise Malformed("expected hexadecimal text")
        try:
            return bytes.fromhex(value)
        except ValueError as error:
            raise Malformed("expected hexadecimal text") from error
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _from_plain_object(kind, value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        if type(value) is not list:
            raise Malformed("expected a list")
        return tuple([from_plain(arguments[0], item) for item in value])
    if origin in (typing.Union, types.UnionType):
        (only,) = [item for item in arguments if item is not type(None)]
        return None if value is None else from_plain(only, value)
    return _parser(kind)(value)


def _from_plain_object(kind: Any, value: Any) -> Any:
    if type(value) is not dict:
        raise Malformed(f"{kind.__name__} takes an object")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = [name for name in value if name not in fields]
    if unknown:
        raise Malformed(f"{kind.__name__} has no field of that name")
    arguments = {}
    for name, field in fields.items():
        if name in value:
            arguments[name] = from_plain(hints[name], value[name])
        elif field.default is dataclasses.MISSING:
            raise Malformed(f"{kind.__name__} needs {name!r}")
    try:
        return kind(**arguments)
    except ValueError as error:
        raise Malformed(f"{kind.__name__}: {error}") from error
