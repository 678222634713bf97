"""Oracles for canonical JSON: the public RFC 8785 pairs, and a second reader.

The public pairs hold no FHIR resource, so the ``#static`` half of the form has nothing to do.
``Reference`` is written from the grammar of RFC 8259 and shares no code with the product or
with the standard library's json; it keeps numbers as written, like ``FHIR_LEX``.
"""

import re
import struct

from node.ledger.canon import DEPTH_MAX, JCS, CanonRefused, canonical


def check_pair(input: bytes, output: bytes) -> bool:  # noqa: A002 - the pairs' own names
    """Return whether ``input`` canonicalises to ``output``, byte for byte."""
    try:
        return canonical(input, JCS) == output
    except CanonRefused:
        return False


TOKEN = re.compile(
    r"[ \t\n\r]*(?:([\[\]{},:])|(true|false|null)"
    r"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9.eE+-]))"
    r'|"((?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)")'
)
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
SHORT = {0x22: '\\"', 0x5C: "\\\\", 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}


class Bad(Exception):
    """The bytes are not one unambiguous JSON document."""


class Reference:
    """Parse and print at once: each value becomes its canonical text (without #static)."""

    def __init__(self, raw: bytes) -> None:
        try:
            self.text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Bad from error
        self.position = 0

    def document(self) -> bytes:
        printed = self.value(0)
        if self.text[self.position :].strip(" \t\n\r"):
            raise Bad
        return printed.encode("utf-8")

    def take(self) -> re.Match[str]:
        token = TOKEN.match(self.text, self.position)
        if token is None:
            raise Bad
        self.position = token.end()
        return token

    def string(self, body: str) -> str:
        units = b"".join(
            char.encode("utf-16-be")
            if escape == code == ""
            else struct.pack(">H", int(code, 16))
            if code
            else ESCAPES.get(escape, escape).encode("utf-16-be")
            for code, escape, char in re.findall(
                r"(?s)\\u([0-9a-fA-F]{4})|\\([^u])|([^\\])", body
            )
        )
        try:
            return units.decode("utf-16-be")
        except UnicodeDecodeError as error:
            raise Bad from error

    def quote(self, value: str) -> str:
        return (
            '"'
            + "".join(SHORT.get(ord(c), f"\\u{ord(c):04x}" if c < " " else c) for c in value)
            + '"'
        )

    def value(self, depth: int, token: re.Match[str] | None = None) -> str:
        token = token or self.take()
        mark, word, number, body = token.groups()
        if body is not None:
            return self.quote(self.string(body))
        if mark is None:
            return str(word or number)
        if mark not in "[{" or depth == DEPTH_MAX:
            raise Bad
        return self.array(depth) if mark == "[" else self.object(depth)

    def array(self, depth: int) -> str:
        items: list[str] = []
        token = self.take()
        while token[1] != "]":
            items.append(self.value(depth + 1, token))
            token = self.take()
            if token[1] == ",":
                token = self.take()
                if token[1] == "]":
                    raise Bad
            elif token[1] != "]":
                raise Bad
        return f"[{','.join(items)}]"

    def object(self, depth: int) -> str:
        members: dict[str, str] = {}
        token = self.take()
        while token[1] != "}":
            if token[4] is None or (key := self.string(token[4])) in members:
                raise Bad
            if self.take()[1] != ":":
                raise Bad
            members[key] = self.value(depth + 1)
            token = self.take()
            if token[1] == ",":
                token = self.take()
                if token[1] == "}":
                    raise Bad
            elif token[1] != "}":
                raise Bad
        keys = sorted(members, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{self.quote(key)}:{members[key]}" for key in keys) + "}"
