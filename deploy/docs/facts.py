"""What the code knows about itself, for the manual and the tests that hold both together.

Owns: metrics, log events, commands, routes, conditions and make targets as they are, read from
the code; and the one thing that code has no place for, what a log event says to its reader.
Refuses: form; tables are made in generate.py.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import click

ROOT: Final = Path(__file__).resolve().parents[2]

# What a log event says to the person who reads it.
EVENTS: Final = {
    "audit.batch-refused": "This node's batch of local audit events was refused by the ledger "
    "with `code`; its events stay here and go into the next batch.",
    "evidence.found": "This node saw `member` contradict itself and will report it. "
    "`reportable` false: the proof is too long for a transaction. See "
    "[A member contradicted itself](#a-member-contradicted-itself).",
    "evidence.recorded": "A block recorded a proven contradiction of `member`; `reporter` "
    "brought it in transaction `tx`.",
    "node.start": "Disk, keys and genesis were opened; the network comes next. `torn_bytes` "
    "counts bytes of an unfinished write that were cut off; `accel` names the accelerator, "
    "`native` or `pure`; `loop` the event loop, `uvloop` or `asyncio`.",
    "node.stop": "An orderly end after SIGTERM or SIGINT.",
    "peer.up": "This member proved its key and is connected.",
    "peer.down": "The connection to this member ended; it is dialled again by itself.",
    "request.failed": "A request could not be served for the reason in `code`: disk, quorum, "
    "shutdown. The client has the same code and request id.",
    "request.internal": "A fault of this software while answering: the exception's type and "
    "where it was raised, never its text. Report it.",
    "request.malformed": "Bytes that are no HTTP request came from this address; any stranger "
    "can cause it.",
}


class Nothing(dict[str, Any]):
    """Answers every question of a collector or a handler table with nothing at all."""

    def __getattr__(self, name: str) -> "Nothing":
        return Nothing()

    def __getitem__(self, key: Any) -> "Nothing":
        return Nothing()

    def __call__(self, *_args: Any, **_kwargs: Any) -> "Nothing":
        return Nothing()

    def __truediv__(self, _other: Any) -> "Nothing":
        return Nothing()

    def __sub__(self, _other: Any) -> "Nothing":
        return Nothing()

    def __float__(self) -> float:
        return 0.0

    def __str__(self) -> str:
        return ""


@cache
def metric_families() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Return name as scraped -> (type, help, label names) of every family of the node."""
    from node.observe import NodeCollector

    found = {}
    parts: list[Any] = [Nothing() for _ in range(7)]
    family: Any
    for family in NodeCollector(*parts).collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, family.documentation, tuple(family._labelnames))  # noqa: SLF001
    return found


@cache
def log_events() -> dict[str, list[str]]:
    """Return event name -> names of its fields, from every ``event("...")`` call in node."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "node").rglob("*.py")):
        if "ledger" in path.parts:
            continue  # pure: it logs nothing, and speaks of other events
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not _is_event(call.func) or not call.args:
                continue
            for name in _texts(call.args[0]):
                keys = {item.arg for item in call.keywords if item.arg not in (None, "level")}
                found.setdefault(name, set()).update(keys)
    return {name: sorted(keys) for name, keys in sorted(found.items())}


def _is_event(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == "event" and getattr(function.value, "id", "") == "log"
    return isinstance(function, ast.Name) and function.id == "event"


def _texts(argument: ast.expr) -> list[str]:
    """Return the texts that an argument may be: a literal, or either side of a choice."""
    if isinstance(argument, ast.IfExp):
        return _texts(argument.body) + _texts(argument.orelse)
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value]
    raise SystemExit(f"line {argument.lineno}: event names are literals")


def commands(
    command: click.Command | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command of the command line with its words, groups before their members."""
    if command is None:
        from node.cli.main import cli

        command = cli
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{name} is listed"
            if not inner.hidden:
                yield from commands(inner, (*path, name))


@cache
def error_codes() -> list[Any]:
    """Return every registered condition, after importing each module that registers some."""
    from node import errors

    for path in sorted((ROOT / "node").rglob("*.py")):
        if re.search(r"^register\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return list(errors.all_codes())


@cache
def routes() -> list[Any]:
    """Return the routes of the client port as ``node.http.answers.Route``."""
    from node.http.answers import Api
    from node.http.api import api_routes
    from node.http.limits import HttpLimits

    return list(api_routes(Api(Nothing(), HttpLimits())))  # type: ignore[arg-type]


@cache
def ops_routes() -> list[tuple[str, str]]:
    """Return method and path of every route of the operators' port."""
    from node.http.api import build_ops

    app = build_ops(Nothing(), metrics=bytes)  # type: ignore[arg-type]
    return [
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    ]


@cache
def make_targets() -> dict[str, str]:
    """Return target -> meaning, from the Makefile's own help texts."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rows = re.findall(r"^([a-z-]+):(?:[^=\n]*?)(?:##\s*(.*))?$", text, re.MULTILINE)
    return {name: say or f"the part `{name}` of `make check`" for name, say in rows}
