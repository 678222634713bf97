"""Answers for people: nested members as indented lines, times in UTC, one value a line."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from node.cli.output import Session, printable
from node.cli.remote import pick, utc

_MEMBERS: Final = ("question", "height", "answer")


def show_answer(session: Session, answer: Any) -> None:
    """Print a question's answer: as JSON whole, else the answer and the height it is of."""
    found = pick(answer, _MEMBERS)
    if session.json:
        session.show(answer)
        return
    for line in lines(found["answer"]):
        click.echo(line)
    session.talk(f"as of height {found['height']}")


def lines(value: Any, indent: str = "") -> Iterator[str]:
    """Yield ``value`` as indented lines."""
    if isinstance(value, Mapping):
        if not value:
            yield f"{indent}-"
        for name, item in value.items():
            yield from _row(str(name), item, indent)
    elif isinstance(value, list):
        for item in value:
            inner = list(lines(item, indent + "  "))
            yield f"{indent}- {inner[0].strip()}" if inner else f"{indent}-"
            yield from inner[1:]
    else:
        yield indent + _scalar("", value)


def _row(name: str, item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, Mapping) or (
        isinstance(item, list) and any(isinstance(part, Mapping | list) for part in item)
    ):
        yield f"{indent}{name}:"
        yield from lines(item, indent + "  ")
    elif isinstance(item, list):
        yield f"{indent}{name}: {', '.join(_scalar(name, part) for part in item) or '-'}"
    else:
        yield f"{indent}{name}: {_scalar(name, item)}"


def _scalar(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_ms") and value > 100_000_000_000:
        return utc(value) or "-"
    return printable(str(value))
