"""Parse data-driven test files: commands, their input, and what they must print.

The format of the CockroachDB and etcd projects:

    # a comment
    command argument key=value key=(value, value) \\
      key=more
    input lines
    ----
    expected lines, up to an empty line

Expected output that holds empty lines itself stands between doubled rules.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import unified_diff

RULE = "----"
COMMAND = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
ARGUMENT = re.compile(r"\s*([^\s=()]+)(?:=(\([^()]*\)|[^\s()]*))?(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Argument:
    """``key`` (``values`` is None), ``key=value``, or ``key=(value, value)``."""

    key: str
    values: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Directive:
    """One command; ``line`` counts from 1.  ``expected`` ends with a newline unless empty."""

    line: int
    command: str
    arguments: tuple[Argument, ...]
    input: str
    expected: str

    def values(self, key: str) -> tuple[str, ...] | None:
        """Return all values given for ``key``, or None when it does not occur."""
        found = [item.values or () for item in self.arguments if item.key == key]
        return tuple(value for values in found for value in values) if found else None

    def value(self, key: str, default: str) -> str:
        """Return the only value of ``key``, or ``default`` when it does not occur."""
        found = self.values(key)
        if found is None:
            return default
        (only,) = found
        return only

    @property
    def positional(self) -> tuple[str, ...]:
        return tuple(item.key for item in self.arguments if item.values is None)


def parse(text: str) -> list[Directive]:
    """Return the directives of a file; raises ValueError where it is malformed."""
    return list(_directives(text.split("\n")))


def recognises(text: str, commands: frozenset[str]) -> bool:
    """Return whether ``text`` is such a file and uses no other than these commands."""
    try:
        found = {directive.command for directive in parse(text)}
    except ValueError:
        return False
    return bool(found) and found <= commands


def check(text: str, handle: Callable[[Directive], str]) -> str | None:
    """Run every directive in order; return None for agreement, else the first difference."""
    for directive in parse(text):
        printed = handle(directive)
        if printed and not printed.endswith("\n"):
            printed += "\n"
        if printed != directive.expected:
            difference = unified_diff(
                directive.expected.splitlines(), printed.splitlines(), n=0, lineterm=""
            )
            changes = [line for line in difference if line[:3] not in ("---", "+++")]
            return f"line {directive.line}, {directive.command}: {' | '.join(changes)}"
    return None


def _directives(lines: list[str]) -> Iterator[Directive]:
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].startswith("#"):
            at += 1
            continue
        start = at
        head = lines[at].strip()
        while head.endswith("\\"):
            at += 1
            if at == len(lines):
                raise ValueError(f"line {start + 1} continues into nothing")
            head = f"{head[:-1].rstrip()} {lines[at].strip()}"
        try:
            rule = lines.index(RULE, at)
        except ValueError:
            raise ValueError(f"line {start + 1}: no rule follows the command") from None
        command, arguments = _head(head, start + 1)
        given = "\n".join(lines[at + 1 : rule])
        expected, at = _expected(lines, rule + 1)
        yield Directive(start + 1, command, arguments, given, expected)


def _head(head: str, line: int) -> tuple[str, tuple[Argument, ...]]:
    command = COMMAND.match(head)
    if command is None:
        raise ValueError(f"line {line}: not a command")
    arguments, at = [], command.end()
    while at < len(head):
        found = ARGUMENT.match(head, at)
        if found is None:
            raise ValueError(f"line {line}: malformed argument")
        arguments.append(Argument(found[1], _values(found[2])))
        at = found.end()
    return command[0], tuple(arguments)


def _values(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    if not text.startswith("("):
        return (text,)
    inside = text[1:-1].strip()
    return tuple(value.strip() for value in inside.split(",")) if inside else ()


def _expected(lines: list[str], at: int) -> tuple[str, int]:
    """Return what follows a rule, and the number of the line after it."""
    if lines[at : at + 1] == [RULE]:
        end = at + 1
        while lines[end : end + 2] != [RULE, RULE]:
            end += 1
            if end >= len(lines):
                raise ValueError(f"line {at + 1}: doubled rules are not closed")
        return _text(lines[at + 1 : end]), end + 2
    end = at
    while end < len(lines) and lines[end].strip():
        end += 1
    return _text(lines[at:end]), end


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
